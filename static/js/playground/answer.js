// The answer of one model: thinking, text, tool calls, figures, parameters, or why there is none.
import { duration, element, icon, num } from "../gateway.js";
import { markdown } from "../markdown.js";
import { words } from "./words.js";

const RENDER_MS = 80;

export class Answer {
  constructor(title) {
    this.text = "";
    this.thought = element("div", { class: "answer small text-body-secondary", "data-thought": true });
    this.thoughts = fold(words.thinking, element("div", { class: "accordion-body" }, this.thought));
    this.thoughts.hidden = true;
    this.bubble = element(
      "div",
      { "data-answer": true },
      element("span", { class: "text-body-secondary" }, words.waiting),
    );
    this.extra = element("div", { class: "vstack gap-3" });
    this.foot = element("div", { class: "card-footer small text-body-secondary", hidden: true });
    const body = element("div", { class: "card-body vstack gap-3" }, this.thoughts, this.bubble, this.extra);
    const head = element("div", { class: "card-header" }, element("h2", {}, title));
    this.box = element("section", { class: "card min-w-0" }, head, body, this.foot);
  }

  /** Show one event of the stream. */
  take(event) {
    if (event.type === "thinking") this.takeThought(event.text);
    else if (event.type === "text") this.takeText(event.text);
    else if (event.type === "tool") this.takeTool(event);
    else if (event.type === "done") this.takeEnd(event);
    else if (event.type === "failed") this.takeFailure(event);
    else if (event.type === "stopped") this.takeStop();
  }

  takeThought(text) {
    this.thoughts.hidden = false;
    if (!this.text) this.thoughts.open = true;
    this.thought.append(text);
  }

  takeText(text) {
    if (!this.text) this.thoughts.open = false;
    this.text += text;
    this.timer ??= setTimeout(() => this.render(), RENDER_MS);
  }

  render() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.bubble.hidden = !this.text;
    this.bubble.replaceChildren(...formatted(this.text));
  }

  takeTool(event) {
    this.render();
    const code = element("pre", {}, `${event.name}(${event.arguments})`);
    const title = element("div", { class: "small text-body-secondary mb-1" }, words.tool);
    this.extra.append(element("div", {}, title, element("div", { class: "code-box" }, code)));
  }

  takeEnd(event) {
    this.render();
    this.showFoot(figures(event), event.url);
    if (event.parameters.length || event.changes.length) this.extra.append(parameters(event));
  }

  takeFailure(event) {
    this.render();
    this.extra.append(failureNote(event));
  }

  takeStop() {
    this.render();
    this.extra.append(element("p", { class: "text-body-secondary small m-0" }, words.stopped));
  }

  showFoot(text, url) {
    const link = element("a", { href: url, class: "ms-auto" }, words.request);
    this.foot.replaceChildren(element("span", {}, text), link);
    this.foot.hidden = false;
  }
}

/** Return a failure as a note with its status. */
export function failureNote(event) {
  const link = event.url ? element("p", {}, element("a", { href: event.url }, words.request)) : null;
  const title = element(
    "p",
    { class: "fw-semibold" },
    [event.status, event.code].filter(Boolean).join(" · "),
  );
  const body = element("div", { class: "min-w-0" }, title, element("p", {}, event.message), link);
  return element(
    "div",
    { class: "alert alert-danger d-flex gap-3 m-0", role: "alert" },
    icon("x-circle-fill"),
    body,
  );
}

function formatted(text) {
  try {
    return markdown(text, words.copy);
  } catch {
    return [element("div", { class: "answer" }, text)]; // nested deeper than anybody reads
  }
}

function fold(title, body) {
  const summary = element("summary", { class: "accordion-button" }, title);
  return element("details", { class: "accordion accordion-item" }, summary, body);
}

function figures(event) {
  return [
    `${num(event.input)} ${words.input} · ${num(event.output)} ${words.output}`,
    event.thinking ? `${num(event.thinking)} ${words.thinking_tokens}` : "",
    event.first_ms === null ? "" : `${duration(event.first_ms)} ${words.first}`,
    event.speed ? `${num(event.speed, 1)} tok/s` : "",
    event.server,
    event.reason,
  ]
    .filter(Boolean)
    .join(" · ");
}

function parameters(event) {
  const code = (text) => element("td", { class: "font-monospace" }, text);
  const rows = event.parameters.map(([name, value, layer]) =>
    element("tr", {}, code(name), code(value), element("td", {}, layer)),
  );
  const changes = event.changes.map(([name, reason]) =>
    element("tr", {}, code(name), element("td", { class: "text-warning-emphasis", colspan: "2" }, reason)),
  );
  const table = element("table", { class: "table m-0" }, element("tbody", {}, ...rows, ...changes));
  return fold(words.details, element("div", { class: "table-responsive" }, table));
}
