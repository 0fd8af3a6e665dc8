// The AI SDK over its three providers: text, streams with reasoning, tool loops, objects, embeddings.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateObject, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { city, input, key, tell, url } from "./things.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;

const compatible = createOpenAICompatible({
  name: "gateway",
  baseURL: `${url}/v1`,
  apiKey: key,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: key });
const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey: key });

const providers = {
  compatible: (name) => compatible(name),
  chat: (name) => openai.chat(name),
  responses: (name) => openai.responses(name),
  anthropic: (name) => anthropic(name),
};
const model = (name) => providers[input.provider](name);
const asked = [];
const tools = {
  get_weather: tool({
    description: "Tell the weather of a city.",
    inputSchema: jsonSchema(city),
    execute: async ({ city }) => {
      asked.push(city);
      return `rain in ${city}`;
    },
  }),
};

const steps = {
  async whole() {
    const answer = await generateText({ model: model("llama3.2"), prompt: "Hello?", maxRetries: 0 });
    return { text: answer.text, finish: answer.finishReason, usage: answer.usage };
  },
  async streamed() {
    const result = streamText({ model: model("qwen3:8b"), prompt: "Hello?", maxRetries: 0 });
    let text = "";
    let reasoning = "";
    const errors = [];
    for await (const part of result.fullStream) {
      if (part.type === "text-delta") text += part.text;
      if (part.type === "reasoning-delta") reasoning += part.text;
      if (part.type === "error") errors.push(String(part.error?.message ?? part.error));
    }
    return { text, reasoning, errors, finish: await result.finishReason, usage: await result.usage };
  },
  async broken() {
    const result = streamText({
      model: model("llama3.2"),
      prompt: "Hello?",
      maxRetries: 0,
      onError: () => {},
    });
    let text = "";
    const errors = [];
    for await (const part of result.fullStream) {
      if (part.type === "text-delta") text += part.text;
      if (part.type === "error") errors.push(String(part.error?.message ?? part.error));
    }
    return { text, errors };
  },
  async loop() {
    const answer = await generateText({
      model: model("qwen3:8b"),
      prompt: "Weather in Oban?",
      tools,
      stopWhen: stepCountIs(3),
      maxRetries: 0,
    });
    return { asked, text: answer.text, steps: answer.steps.length };
  },
  async streamed_loop() {
    const result = streamText({
      model: model("qwen3:8b"),
      prompt: "Weather in Oban?",
      tools,
      stopWhen: stepCountIs(3),
      maxRetries: 0,
    });
    return { text: await result.text, asked, steps: (await result.steps).length };
  },
  async object() {
    const answer = await generateObject({
      model: model("qwen3:8b"),
      prompt: "Which city?",
      schema: jsonSchema({
        type: "object",
        properties: { name: { type: "string" }, people: { type: "integer" } },
        required: ["name", "people"],
        additionalProperties: false,
      }),
      maxRetries: 0,
    });
    return { object: answer.object };
  },
  async tree() {
    const node = z.object({ name: z.string(), children: z.lazy(() => z.array(node)) });
    const answer = await generateObject({
      model: model("qwen3:8b"),
      prompt: "Which tree?",
      schema: node,
      maxRetries: 0,
    });
    return { object: answer.object };
  },
  async union() {
    const edits = z.discriminatedUnion("op", [
      z.object({ op: z.literal("move"), to: z.string() }),
      z.object({ op: z.literal("delete"), force: z.boolean().optional() }),
    ]);
    const done = [];
    const answer = await generateText({
      model: model("qwen3:8b"),
      prompt: "Edit the file.",
      tools: {
        edit: tool({
          description: "Edit a file.",
          inputSchema: edits,
          execute: async (edit) => {
            done.push(edit);
            return "done";
          },
        }),
      },
      stopWhen: stepCountIs(3),
      maxRetries: 0,
    });
    return { done, text: answer.text };
  },
  async embeddings() {
    const answer = await embedMany({
      model: compatible.textEmbeddingModel("nomic-embed-text"),
      values: ["a", "b"],
      maxRetries: 0,
    });
    return { lengths: answer.embeddings.map((one) => one.length) };
  },
};

tell(await steps[input.step]());
