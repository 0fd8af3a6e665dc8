// The playground: a conversation with one model, or the same message to two, shown while it is written.
import { copyOf, parsed, sendByKeys } from "./gateway.js";
import { Answer } from "./playground/answer.js";
import { addImage, images } from "./playground/images.js";
import { events } from "./playground/stream.js";

const NEAR_END_PX = 80;
const field = (id) => document.getElementById(id);
const form = field("play");
const conversation = field("answers");
let running = new AbortController();
let turns = [];
let before = null; // the answer that a repeated request got

// ---- what is sent -----------------------------------------------------------------------------------

/** Return the JSON of a field; throws a sentence where it is none. */
function json(id) {
  const { value, dataset } = field(id);
  try {
    return value.trim() ? JSON.parse(value) : undefined;
  } catch (error) {
    throw new SyntaxError(dataset.wrong.replace("{problem}", error.message));
  }
}

function options() {
  const given = [...form.querySelectorAll("[data-option]")].filter((input) => input.value.trim());
  return given.map(({ dataset, value }) => [
    dataset.option,
    Number.isNaN(Number(value)) ? value : Number(value),
  ]);
}

/** Return the messages that are sent; throws a sentence where there is nothing to say. */
function messages() {
  const { value: text, dataset } = field("prompt");
  if (!text.trim()) {
    if (turns.at(-1)?.role === "tool") return turns;
    throw new SyntaxError(dataset.wrong);
  }
  const pictures = images().map(({ src }) => ({ type: "image_url", image_url: { url: src } }));
  const content = pictures.length ? [{ type: "text", text }, ...pictures] : text;
  return [...turns, { role: "user", content }];
}

/** Return the body of a chat completion, but for its model; throws a sentence where something is wrong. */
function request() {
  const system = field("system").value;
  const schema = json("schema");
  const given = options();
  return {
    messages: [...(system.trim() ? [{ role: "system", content: system }] : []), ...messages()],
    stream: true,
    stream_options: { include_usage: true },
    reasoning_effort: field("think").value || undefined,
    options: given.length ? Object.fromEntries(given) : undefined,
    tools: json("tools"),
    response_format: schema && { type: "json_schema", json_schema: { name: "answer", schema } },
  };
}

// ---- the conversation -------------------------------------------------------------------------------

async function send(event) {
  event.preventDefault();
  if (!field("send") || field("send").disabled) return;
  let body;
  field("wrong").textContent = "";
  try {
    body = request();
  } catch (error) {
    field("wrong").textContent = error.message;
    return;
  }
  const asked = messages();
  const models = [field("model").value, field("second").value].filter(Boolean);
  const answers = models.map((model) => new Answer(model));
  showTurn(answers);
  busy(true);
  await Promise.all(answers.map((answer, i) => run({ model: models[i], ...body }, answer)));
  busy(false);
  if (models.length === 1 && answers[0].text)
    turns = [...asked, { role: "assistant", content: answers[0].text }];
}

/** Move what was typed into the conversation, and the answers below it. */
function showTurn(answers) {
  const boxes = [before, ...answers].filter(Boolean).map((answer) => answer.box);
  const question = copyOf("question");
  question.querySelector(".answer").textContent = field("prompt").value || "…";
  question.lastElementChild.append(...images());
  const row = document.createElement("div");
  row.className = boxes.length > 1 ? "grid-2" : "vstack";
  row.append(...boxes);
  const turn = document.createElement("div");
  turn.className = "vstack gap-3";
  turn.append(question, row);
  conversation.append(turn);
  conversation.scrollTop = conversation.scrollHeight;
  before = null;
  field("prompt").value = "";
  field("previews").replaceChildren();
}

async function run(body, answer) {
  for await (const event of events(form.dataset.run, { key: field("key").value, body }, running.signal)) {
    const { scrollHeight, scrollTop, clientHeight } = conversation;
    // Who looks at the end of the conversation wants to see it grow.
    const follows = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    if (event.type === "start") showCopies(event.copies);
    else answer.take(event);
    if (follows) conversation.scrollTop = conversation.scrollHeight;
  }
}

/** Show the request as other programs write it. */
function showCopies(copies) {
  field("copies").hidden = false;
  for (const [name, text] of Object.entries(copies))
    document.querySelector(`#copy-${name} code`).textContent = text;
}

function busy(on) {
  field("send").disabled = on;
  field("stop").hidden = !on;
  running = new AbortController();
}

/** Show the answer that a recorded request got: the next one comes beside it. */
function repeat(start) {
  turns = start.turns;
  start.images.forEach(addImage);
  before = new Answer(start.title);
  before.text = start.answer;
  before.take({ piece: parsed(start.html) });
  conversation.append(before.box);
}

// ---- the rest of the page ---------------------------------------------------------------------------

function startAnew() {
  turns = [];
  before = null;
  conversation.replaceChildren();
  field("prompt").focus();
}

/** Show the models that the chosen key may use. */
async function showModels() {
  const [key, model, second] = ["key", "model", "second"].map((id) => field(id).value);
  const answer = await fetch(`${form.dataset.models}?${new URLSearchParams({ key, model, second })}`);
  if (answer.ok) field("models").replaceChildren(parsed(await answer.text()));
}

/** Show the vectors of one or two texts. */
async function embed({ currentTarget: button }) {
  const texts = [field("text-1").value, field("text-2").value].filter((text) => text.trim());
  field("no-text").hidden = texts.length > 0;
  if (!texts.length) return;
  button.disabled = true;
  const body = { model: field("model").value, input: texts };
  for await (const { piece } of events(form.dataset.embed, { key: field("key").value, body }))
    field("vectors").replaceChildren(piece);
  button.disabled = false;
}

form.addEventListener("submit", send);
sendByKeys(field("prompt"));
field("key").addEventListener("change", showModels);
field("embed")?.addEventListener("click", embed);
field("stop").addEventListener("click", () => running.abort());
field("fresh").addEventListener("click", startAnew);
field("examples").addEventListener("click", ({ target }) => {
  if (!target.matches("[data-prompt]")) return;
  field("prompt").value = target.textContent;
  field("prompt").focus();
});
const start = field("play-repeat");
if (start) repeat(JSON.parse(start.textContent));
