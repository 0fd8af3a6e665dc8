// A model that only embeds: the vectors of one or two texts, and how alike these are.
import { duration, element, num } from "../gateway.js";
import { failureNote } from "./answer.js";
import { refusal, send } from "./stream.js";
import { words } from "./words.js";

const DIGITS = 4;
const field = (id) => document.getElementById(id);

export function offerEmbeddings(form) {
  field("embed")?.addEventListener("click", async (event) => {
    const texts = [field("text-1").value, field("text-2").value].filter((text) => text.trim());
    field("no-text").hidden = texts.length > 0;
    if (!texts.length) return;
    event.currentTarget.disabled = true;
    const body = { model: field("model").value, input: texts };
    const found = await ask(form.dataset.embed, { key: field("key").value, body });
    field("embed").disabled = false;
    field("vectors").replaceChildren(found.type === "vectors" ? result(found) : failureNote(found));
  });
}

async function ask(url, body) {
  try {
    const response = await send(url, body);
    return response.ok ? await response.json() : refusal(response);
  } catch (error) {
    return { type: "failed", status: 0, code: "network", message: String(error.message) };
  }
}

function result(found) {
  const values = (vector) => `${vector.map((value) => num(value, DIGITS)).join(", ")}, …`;
  const facts = [
    [words.dimension, num(found.dimension)],
    found.similarity === null ? null : [words.similarity, num(found.similarity, DIGITS)],
    ...found.vectors.map((vector) => [words.values, values(vector)]),
    [words.tokens, num(found.input)],
    [words.duration, duration(found.total_ms)],
  ].filter(Boolean);
  const list = element(
    "dl",
    { class: "facts" },
    ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
  );
  return element("div", {}, list, element("a", { href: found.url, class: "small" }, words.request));
}
