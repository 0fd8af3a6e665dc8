// The playground: a conversation with one model, or the same message to two, shown while it is written.
import { element } from "./gateway.js";
import { Answer } from "./playground/answer.js";
import { offerEmbeddings } from "./playground/embeddings.js";
import { Images, thumbnail } from "./playground/images.js";
import { followKey, followModel } from "./playground/models.js";
import { events } from "./playground/stream.js";
import { words } from "./playground/words.js";

const NEAR_END_PX = 80;
const form = document.getElementById("play");
const field = (id) => document.getElementById(id);
let images = null;
let running = [];
let turns = [];
let before = null; // the answer that a repeated request got
let copies = {};
let copyAs = "curl";

class Mistake extends Error {}

// ---- what is sent -----------------------------------------------------------------------------------

function json(id, label) {
  const text = field(id).value.trim();
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Mistake(words.bad_json.replace("{field}", label).replace("{problem}", error.message));
  }
}

function options() {
  const given = [...form.querySelectorAll("[data-option]")].filter((input) => input.value.trim() !== "");
  return Object.fromEntries(
    given.map((input) => {
      const value = Number(input.value);
      return [input.dataset.option, Number.isNaN(value) ? input.value : value];
    }),
  );
}

function bodyFor(model, messages) {
  const body = { model, messages, stream: true, stream_options: { include_usage: true } };
  if (field("think").value) body.reasoning_effort = field("think").value;
  if (Object.keys(options()).length) body.options = options();
  const tools = json("tools", words.tools);
  if (tools) body.tools = tools;
  const schema = json("schema", words.schema);
  if (schema) body.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  return body;
}

/** Return the message as typed; null where a tool had the last word. */
function message() {
  const text = field("prompt").value;
  if (!text.trim() && turns.at(-1)?.role === "tool") return null;
  if (!text.trim()) throw new Mistake(words.empty);
  if (!images.urls.length) return { role: "user", content: text };
  const pictures = images.urls.map((url) => ({ type: "image_url", image_url: { url } }));
  return { role: "user", content: [{ type: "text", text }, ...pictures] };
}

// ---- the conversation -------------------------------------------------------------------------------

async function send(event) {
  event.preventDefault();
  if (!field("send") || field("send").disabled) return;
  const asked = checked();
  if (asked === undefined) return;
  const models = [field("model").value, field("second").value].filter(Boolean);
  const system = field("system").value.trim() ? [{ role: "system", content: field("system").value }] : [];
  const conversation = [...turns, ...(asked ? [asked] : [])];
  const answers = models.map((model) => new Answer(model));
  showTurn(asked ? field("prompt").value : "…", answers);
  const bodies = models.map((model) => bodyFor(model, [...system, ...conversation]));
  field("prompt").value = "";
  images.set([]);
  busy(true);
  await Promise.all(answers.map((answer, i) => run(bodies[i], answer)));
  busy(false);
  if (models.length === 1 && answers[0].text)
    turns = [...conversation, { role: "assistant", content: answers[0].text }];
  field("fresh").hidden = false;
}

/** Return what is to be sent; undefined where something is wrong, which is then shown. */
function checked() {
  field("wrong").hidden = true;
  try {
    bodyFor(field("model").value, []);
    return message();
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    field("wrong").textContent = error.message;
    field("wrong").hidden = false;
    return undefined;
  }
}

function showTurn(text, answers) {
  const boxes = [...(before ? [before.box] : []), ...answers.map((answer) => answer.box)];
  before = null;
  const pictures = element("div", { class: "d-flex flex-wrap gap-2" }, ...images.urls.map(thumbnail));
  const question = element(
    "div",
    { class: "align-self-end mw-100 rounded-3 bg-primary-subtle text-primary-emphasis px-3 py-2" },
    element("span", { class: "visually-hidden" }, `${words.you}: `),
    element("div", { class: "answer" }, text),
    pictures,
  );
  field("examples").hidden = true;
  const row = element("div", { class: boxes.length > 1 ? "grid-2" : "vstack" }, ...boxes);
  field("answers").append(element("div", { class: "vstack gap-3" }, question, row));
  scrollToEnd();
}

async function run(body, answer) {
  const control = new AbortController();
  running.push(control);
  for await (const event of events(form.dataset.run, { key: field("key").value, body }, control.signal)) {
    const follows = isAtEnd();
    if (event.type === "start") showCopies(event.copies);
    else answer.take(event);
    if (follows) scrollToEnd();
  }
}

function scrollToEnd() {
  field("answers").scrollTop = field("answers").scrollHeight;
}

/** Whether the reader looks at the end of the conversation, and so wants to see it grow. */
function isAtEnd() {
  const box = field("answers");
  return box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END_PX;
}

function busy(on) {
  field("send").disabled = on;
  field("stop").hidden = !on;
  if (!on) running = [];
}

function startAnew() {
  turns = [];
  before = null;
  field("answers").replaceChildren();
  field("fresh").hidden = true;
  field("examples").hidden = false;
  field("prompt").focus();
}

/** Show the answer that a recorded request got: the next one comes beside it. */
function repeat(start) {
  turns = start.turns;
  images.set(start.images);
  before = new Answer(`${start.model} · ${words.before}`);
  before.text = start.answer;
  before.render();
  before.showFoot("", start.url);
  field("answers").append(before.box);
  field("examples").hidden = true;
  field("fresh").hidden = false;
}

// ---- the same request for other programs ---------------------------------------------------------------

function showCopies(given) {
  copies = given ?? copies;
  field("copy-text").textContent = copies[copyAs];
  field("copies").hidden = false;
}

function chooseCopy(button) {
  copyAs = button.dataset.copyAs;
  for (const other of document.querySelectorAll("[data-copy-as]")) {
    other.classList.toggle("active", other === button);
    other.setAttribute("aria-pressed", String(other === button));
  }
  showCopies();
}

function begin() {
  images = new Images(field("images"), field("attach"), field("previews"), field("composer"));
  followKey(form, field("key"), field("model"), field("second"));
  followModel(form, field("model"), field("second"));
  offerEmbeddings(form);
  form.addEventListener("submit", send);
  field("prompt").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  field("stop").addEventListener("click", () => {
    for (const control of running) control.abort();
  });
  field("fresh").addEventListener("click", startAnew);
  for (const button of document.querySelectorAll("[data-prompt]"))
    button.addEventListener("click", () => {
      field("prompt").value = button.textContent;
      field("prompt").focus();
    });
  for (const button of document.querySelectorAll("[data-copy-as]"))
    button.addEventListener("click", () => chooseCopy(button));
  const start = document.getElementById("play-repeat");
  if (start) repeat(JSON.parse(start.textContent));
}

if (form) begin();
