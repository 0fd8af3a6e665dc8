// The playground: sends one call (or two, side by side) and shows the answer while it is written.
import { duration, element, icon, num } from "./gateway.js";

const form = document.getElementById("play");
const words = JSON.parse(document.getElementById("play-words")?.textContent ?? "{}");
const field = (id) => document.getElementById(id);
const token = document.querySelector('meta[name="csrf-token"]').content;
let pictures = [];
let running = [];
let turns = [];
let copies = {};
let before = null;

class Mistake extends Error {}

function json(id, label) {
  const text = field(id).value.trim();
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Mistake(words.bad_json.replace("{field}", label).replace("{problem}", error.message));
  }
}

function bodyFor(model, messages) {
  const body = { model, messages, stream: true, stream_options: { include_usage: true } };
  if (field("think").value) body.reasoning_effort = field("think").value;
  const options = {};
  for (const input of form.querySelectorAll("[data-option]")) {
    if (input.value.trim() === "") continue;
    const value = Number(input.value);
    options[input.dataset.option] = Number.isNaN(value) ? input.value : value;
  }
  if (Object.keys(options).length) body.options = options;
  const tools = json("tools", words.tools);
  if (tools) body.tools = tools;
  const schema = json("schema", words.schema);
  if (schema) body.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  return body;
}

function message() {
  const text = field("prompt").value;
  if (!text.trim() && turns.at(-1)?.role === "tool") return null;
  if (!text.trim()) throw new Mistake(words.empty);
  if (!pictures.length) return { role: "user", content: text };
  return {
    role: "user",
    content: [{ type: "text", text }, ...pictures.map((url) => ({ type: "image_url", image_url: { url } }))],
  };
}

class Card {
  constructor(model) {
    this.text = "";
    this.thoughts = element(
      "details",
      { class: "accordion accordion-item mb-3", hidden: true },
      element("summary", { class: "accordion-button" }, words.thinking),
      element(
        "div",
        { class: "accordion-body" },
        element("div", { class: "answer border-start ps-3 text-body-secondary small", "data-thought": true }),
      ),
    );
    this.bubble = element(
      "div",
      { class: "answer", "data-answer": true },
      element("span", { class: "text-body-secondary" }, words.waiting),
    );
    this.extra = element("div", { class: "vstack gap-3" });
    this.foot = element("div", { class: "card-footer small text-body-secondary", hidden: true });
    this.box = element(
      "section",
      { class: "card" },
      element("div", { class: "card-header" }, element("h2", {}, model)),
      element("div", { class: "card-body" }, this.thoughts, this.bubble, this.extra),
      this.foot,
    );
  }

  take(event) {
    if (event.type === "start") {
      copies = event.copies;
      showCopy();
    } else if (event.type === "thinking") {
      this.thoughts.hidden = false;
      if (!this.text) this.thoughts.open = true;
      this.thoughts.querySelector("[data-thought]").append(event.text);
    } else if (event.type === "text") {
      if (!this.text) {
        this.bubble.replaceChildren();
        this.thoughts.open = false;
      }
      this.text += event.text;
      this.bubble.append(event.text);
    } else if (event.type === "tool") {
      this.begin();
      const code = element("pre", { class: "m-0" }, `${event.name}(${event.arguments})`);
      this.extra.append(
        element(
          "div",
          {},
          element("div", { class: "small text-body-secondary mb-1" }, words.tool),
          element("div", { class: "code-box" }, code),
        ),
      );
    } else if (event.type === "done") this.done(event);
    else if (event.type === "failed") this.failed(event);
  }

  begin() {
    if (!this.text) this.bubble.replaceChildren();
  }

  done(event) {
    this.begin();
    const parts = [
      `${num(event.input)} ${words.input} · ${num(event.output)} ${words.output}`,
      event.thinking ? `${num(event.thinking)} ${words.thinking_tokens}` : "",
      event.first_ms === null ? "" : `${duration(event.first_ms)} ${words.first}`,
      event.speed ? `${num(event.speed, 1)} tok/s` : "",
      event.server,
      event.reason,
    ].filter(Boolean);
    this.foot.replaceChildren(
      element("span", {}, parts.join(" · ")),
      element("a", { href: event.url, class: "ms-auto" }, words.request),
    );
    this.foot.hidden = false;
    if (event.parameters.length || event.changes.length) {
      const body = element("tbody");
      for (const [name, value, layer] of event.parameters)
        body.append(
          element(
            "tr",
            {},
            element("td", { class: "font-monospace small" }, name),
            element("td", { class: "font-monospace small" }, value),
            element("td", {}, layer),
          ),
        );
      for (const [name, reason] of event.changes)
        body.append(
          element(
            "tr",
            {},
            element("td", { class: "font-monospace small" }, name),
            element("td", { class: "text-warning-emphasis", colspan: "2" }, reason),
          ),
        );
      this.extra.append(
        element(
          "details",
          { class: "accordion accordion-item" },
          element("summary", { class: "accordion-button" }, words.details),
          element(
            "div",
            { class: "table-responsive border-0" },
            element("table", { class: "table table-hover" }, body),
          ),
        ),
      );
    }
  }

  failed(event) {
    this.begin();
    const link = event.url
      ? element("p", { class: "small" }, element("a", { href: event.url }, words.request))
      : "";
    this.extra.append(
      element(
        "div",
        { class: "alert alert-danger d-flex gap-3" },
        icon("x-circle-fill"),
        element(
          "div",
          {},
          element("p", {}, element("b", {}, `${event.status} · ${event.code}`)),
          element("p", {}, event.message),
          link,
        ),
      ),
    );
  }

  stopped() {
    this.begin();
    this.extra.append(element("p", { class: "text-body-secondary small m-0" }, words.stopped));
  }
}

async function run(model, messages, card) {
  const control = new AbortController();
  running.push(control);
  try {
    const answer = await fetch(form.dataset.run, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token },
      body: JSON.stringify({ key: field("key").value, body: bodyFor(model, messages) }),
      signal: control.signal,
      credentials: "same-origin",
    });
    if (answer.redirected) {
      location.reload(); // the session ended: the page leads to the sign-in
      return;
    }
    if (!answer.ok || !answer.headers.get("content-type")?.startsWith("text/event-stream")) {
      card.take({ type: "failed", status: answer.status, code: answer.statusText, message: words.refused });
      return;
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const frames = (rest + value).split("\n\n");
      rest = frames.pop();
      for (const frame of frames) if (frame.startsWith("data: ")) card.take(JSON.parse(frame.slice(6)));
    }
  } catch (error) {
    if (error.name === "AbortError") card.stopped();
    else card.take({ type: "failed", status: 0, code: "network", message: String(error.message) });
  }
}

async function send(event) {
  event.preventDefault();
  const wrong = field("wrong");
  wrong.hidden = true;
  let asked;
  try {
    asked = message();
    bodyFor(field("model").value, []);
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    wrong.textContent = error.message;
    wrong.hidden = false;
    return;
  }
  const models = [field("model").value, field("second").value].filter(Boolean);
  const system = field("system").value.trim() ? [{ role: "system", content: field("system").value }] : [];
  const messages = [...system, ...turns, ...(asked ? [asked] : [])];
  const shown = !asked ? "…" : typeof asked.content === "string" ? asked.content : asked.content[0].text;
  const group = field("answers");
  const cards = models.map((model) => new Card(model));
  const boxes = [...(before ? [before.box] : []), ...cards.map((card) => card.box)];
  for (const box of boxes) box.classList.toggle("grid-all", boxes.length === 1);
  before = null;
  field("examples").hidden = true;
  group.prepend(
    element(
      "div",
      { class: "text-body-secondary small grid-all" },
      element("b", {}, `${words.you}: `),
      shown,
    ),
    ...boxes,
  );
  busy(true);
  await Promise.all(models.map((model, i) => run(model, messages, cards[i])));
  busy(false);
  if (models.length === 1 && cards[0].text)
    turns = [...messages.slice(system.length), { role: "assistant", content: cards[0].text }];
  field("prompt").value = "";
  pictures = [];
  field("images").value = "";
  field("previews").replaceChildren();
  field("fresh").hidden = turns.length === 0;
}

// What a recorded request asked, and the answer it got: the next answer comes beside it.
function repeat(start) {
  turns = start.turns;
  pictures = start.images;
  preview();
  before = new Card(`${start.model} · ${words.before}`);
  before.text = start.answer;
  before.bubble.replaceChildren(start.answer);
  before.foot.replaceChildren(element("a", { href: start.url, class: "ms-auto" }, words.request));
  before.foot.hidden = false;
  before.box.classList.add("turn");
  field("answers").append(before.box);
  field("examples").hidden = true;
  field("fresh").hidden = false;
}

function preview() {
  field("previews").replaceChildren(
    ...pictures.map((url) =>
      element("img", {
        src: url,
        alt: "",
        width: "72",
        height: "72",
        class: "rounded border object-fit-cover",
      }),
    ),
  );
}

function busy(on) {
  field("send").disabled = on;
  field("stop").hidden = !on;
  if (!on) running = [];
}

// ---- the same call for other programs -----------------------------------------------------------------

let copyAs = "curl";

function showCopy() {
  field("copy-text").textContent = copies[copyAs];
  field("copies").hidden = false;
}

if (form) {
  form.addEventListener("submit", send);
  field("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (!field("send").disabled) form.requestSubmit();
    }
  });
  field("stop").addEventListener("click", () => {
    for (const control of running) control.abort();
  });
  field("fresh").addEventListener("click", () => {
    turns = [];
    before = null;
    field("answers").replaceChildren();
    field("fresh").hidden = true;
    field("prompt").focus();
  });
  for (const button of document.querySelectorAll("[data-prompt]")) {
    button.addEventListener("click", () => {
      field("prompt").value = button.textContent;
      field("prompt").focus();
    });
  }
  for (const button of document.querySelectorAll("[data-copy-as]")) {
    button.addEventListener("click", () => {
      copyAs = button.dataset.copyAs;
      for (const other of document.querySelectorAll("[data-copy-as]")) {
        other.classList.toggle("active", other === button);
        other.setAttribute("aria-pressed", String(other === button));
      }
      showCopy();
    });
  }
  field("images").addEventListener("change", async () => {
    const read = (file) =>
      new Promise((resolve) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result);
        reader.readAsDataURL(file);
      });
    pictures = await Promise.all([...field("images").files].map(read));
    preview();
  });
  const start = document.getElementById("play-repeat");
  if (start) repeat(JSON.parse(start.textContent));
}
