// npm `@anthropic-ai/sdk`: answers, the stream helper, errors before and inside a stream.
import Anthropic from "@anthropic-ai/sdk";
import { city, input, key, tell, told, url } from "./things.mjs";

const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
const messages = [{ role: "user", content: "Hello?" }];
const tools = [{ name: "get_weather", description: "Tell the weather.", input_schema: city }];
const thinking = { type: "enabled", budget_tokens: 1024 };

const steps = {
  async whole() {
    const { data, request_id } = await client.messages
      .create({ model: "llama3.2", max_tokens: 50, messages, system: "Be kind." })
      .withResponse();
    return { message: data, request_id };
  },
  async streamed() {
    const stream = client.messages.stream({
      model: "qwen3:8b",
      max_tokens: 2000,
      messages,
      tools,
      thinking,
    });
    const kinds = [];
    stream.on("streamEvent", (event) => kinds.push(event.type));
    const final = await stream.finalMessage();
    return { kinds: [...new Set(kinds)], message: final };
  },
  async counted() {
    return client.messages.countTokens({ model: "llama3.2", messages });
  },
  async models() {
    const ids = [];
    for await (const model of client.models.list({ limit: 4 })) ids.push(model.id);
    return { ids };
  },
  async refused() {
    try {
      await client.messages.create({ model: "nobody", max_tokens: 5, messages });
    } catch (error) {
      return told(error);
    }
  },
  async broken() {
    let pieces = "";
    try {
      const stream = client.messages.stream({ model: "llama3.2", max_tokens: 50, messages });
      stream.on("text", (delta) => (pieces += delta));
      await stream.finalMessage();
    } catch (error) {
      return { pieces, ...told(error) };
    }
  },
};

tell(await steps[input.step]());
