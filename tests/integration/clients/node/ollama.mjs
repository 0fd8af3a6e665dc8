// npm `ollama` and `@langchain/ollama`, with a key or without one: answers whole and streamed, tools,
// lists, vectors, errors.
import { ChatOllama, OllamaEmbeddings } from "@langchain/ollama";
import { Ollama } from "ollama";
import { city, input, key, tell, url } from "./things.mjs";

const headers = key ? { Authorization: `Bearer ${key}` } : undefined;
const client = new Ollama({ host: url, headers });
const messages = [{ role: "user", content: "Hello?" }];
const tools = [
  {
    type: "function",
    function: { name: "get_weather", description: "Tell the weather of a city.", parameters: city },
  },
];

const steps = {
  async chat() {
    const whole = await client.chat({ model: "qwen3:8b", messages, think: true });
    let streamed = "";
    for await (const part of await client.chat({ model: "qwen3:8b", messages, stream: true }))
      streamed += part.message.content;
    return { whole: whole.message, streamed };
  },
  async generate() {
    const asked = { model: "llama3.2", prompt: "When?" };
    const { response } = await client.generate(asked);
    let streamed = "";
    for await (const part of await client.generate({ ...asked, stream: true })) streamed += part.response;
    return { whole: response, streamed };
  },
  async tools() {
    const whole = await client.chat({ model: "qwen3:8b", messages, tools });
    const streamed = [];
    for await (const part of await client.chat({ model: "qwen3:8b", messages, tools, stream: true }))
      streamed.push(...(part.message.tool_calls ?? []));
    return { whole: whole.message.tool_calls, streamed };
  },
  async lists() {
    const { models } = await client.list();
    const { capabilities } = await client.show({ model: "qwen3:8b" });
    await client.ps();
    return { names: models.map((model) => model.model), capabilities };
  },
  async embed() {
    const { embeddings } = await client.embed({ model: "nomic-embed-text", input: ["a", "b"] });
    return { lengths: embeddings.map((vector) => vector.length) };
  },
  async refused() {
    try {
      await client.chat({ model: "nobody", messages });
    } catch (error) {
      return { name: error.name, status: error.status_code, message: error.message };
    }
  },
  async langchain() {
    const chat = new ChatOllama({ baseUrl: url, model: "llama3.2", headers });
    const whole = await chat.invoke("When?");
    let streamed = "";
    for await (const chunk of await chat.stream("When?")) streamed += chunk.content;
    const vectors = new OllamaEmbeddings({ baseUrl: url, model: "nomic-embed-text", headers });
    const found = await vectors.embedDocuments(["a", "b"]);
    return { whole: whole.content, streamed, lengths: found.map((vector) => vector.length) };
  },
  async langchain_tools() {
    const chat = new ChatOllama({ baseUrl: url, model: "qwen3:8b", headers }).bindTools(tools);
    const whole = await chat.invoke("Weather in Oban?");
    const streamed = [];
    for await (const chunk of await chat.stream("Weather in Oban?"))
      streamed.push(...(chunk.tool_calls ?? []));
    const bare = ({ name, args }) => ({ name, args });
    return { whole: whole.tool_calls.map(bare), streamed: streamed.map(bare) };
  },
};

tell(await steps[input.step]());
