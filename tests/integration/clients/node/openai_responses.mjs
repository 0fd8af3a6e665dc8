// npm `openai`, Responses API: stream helper, structured output, state.
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { city, input, key, tell, url } from "./things.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const tools = [{ type: "function", name: "get_weather", parameters: city, strict: true }];

const steps = {
  async streamed() {
    const stream = client.responses.stream({ model: "qwen3:8b", input: "Weather?", tools });
    const kinds = [];
    for await (const event of stream) kinds.push(event.type);
    const final = await stream.finalResponse();
    return { kinds, output: final.output, status: final.status };
  },
  async parsed() {
    const City = z.object({ name: z.string(), people: z.number() });
    const answer = await client.responses.parse({
      model: "qwen3:8b",
      input: "Which city?",
      text: { format: zodTextFormat(City, "city") },
    });
    return { parsed: answer.output_parsed };
  },
  async state() {
    const first = await client.responses.create({ model: "llama3.2", input: "Who?" });
    const second = await client.responses.create({
      model: "llama3.2",
      input: "Where?",
      previous_response_id: first.id,
    });
    const again = await client.responses.retrieve(second.id);
    const items = [];
    for await (const item of client.responses.inputItems.list(second.id)) items.push(item);
    await client.responses.delete(second.id);
    let gone = null;
    await client.responses.retrieve(second.id).catch((error) => (gone = error.status));
    return { texts: [first.output_text, again.output_text], items: items.length, gone };
  },
};

tell(await steps[input.step]());
