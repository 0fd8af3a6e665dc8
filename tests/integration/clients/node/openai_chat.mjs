// npm `openai`: chat answers, the stream helper, a tool loop run by the client, errors.
import OpenAI from "openai";
import { city, input, key, tell, told, url } from "./things.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const messages = [{ role: "user", content: "Hello?" }];
const tools = [{ type: "function", function: { name: "get_weather", parameters: city } }];

const steps = {
  async whole() {
    const { data, request_id } = await client.chat.completions
      .create({ model: "qwen3:8b", messages, seed: 7 })
      .withResponse();
    return { choice: data.choices[0], usage: data.usage, request_id };
  },
  async streamed() {
    const stream = client.chat.completions.stream({
      model: "qwen3:8b",
      messages,
      tools,
      stream_options: { include_usage: true },
    });
    let pieces = "";
    stream.on("content", (delta) => (pieces += delta));
    const final = await stream.finalChatCompletion();
    return { pieces, choice: final.choices[0], usage: final.usage };
  },
  async loop() {
    const asked = [];
    const runner = client.chat.completions.runTools({
      model: "qwen3:8b",
      messages,
      tools: [
        {
          type: "function",
          function: {
            name: "get_weather",
            description: "Tell the weather of a city.",
            parameters: city,
            parse: JSON.parse,
            function: ({ city }) => {
              asked.push(city);
              return `rain in ${city}`;
            },
          },
        },
      ],
    });
    return { asked, content: await runner.finalContent() };
  },
  async refused() {
    try {
      await client.chat.completions.create({ model: "nobody", messages });
    } catch (error) {
      return told(error);
    }
  },
  async broken() {
    let pieces = "";
    try {
      const stream = await client.chat.completions.create({ model: "llama3.2", messages, stream: true });
      for await (const chunk of stream) pieces += chunk.choices[0]?.delta?.content ?? "";
    } catch (error) {
      return { pieces, ...told(error) };
    }
  },
  async aborted() {
    const stream = await client.chat.completions.create({ model: "llama3.2", messages, stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta?.content) break;
    }
    return { left: true };
  },
  async models() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    const one = await client.models.retrieve("hf.co/user/Model-GGUF:Q4_K_M");
    return { ids, one: one.id };
  },
  async embeddings() {
    const answer = await client.embeddings.create({ model: "nomic-embed-text", input: ["a", "b"] });
    return { lengths: answer.data.map((one) => one.embedding.length), first: answer.data[0].embedding };
  },
};

tell(await steps[input.step]());
