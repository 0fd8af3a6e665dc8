// npm `ollama` and `@langchain/ollama`: answers whole and streamed, lists, vectors, errors.
import { ChatOllama, OllamaEmbeddings } from "@langchain/ollama";
import { Ollama } from "ollama";
import { input, key, tell, url } from "./things.mjs";

const headers = { Authorization: `Bearer ${key}` };
const client = new Ollama({ host: url, headers });
const messages = [{ role: "user", content: "Hello?" }];

const steps = {
  async chat() {
    const whole = await client.chat({ model: "qwen3:8b", messages, think: true });
    let streamed = "";
    for await (const part of await client.chat({ model: "qwen3:8b", messages, stream: true }))
      streamed += part.message.content;
    return { whole: whole.message, streamed };
  },
  async generate() {
    const { response } = await client.generate({ model: "llama3.2", prompt: "When?" });
    return { response };
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
};

tell(await steps[input.step]());
