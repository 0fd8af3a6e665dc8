// Markdown as nodes of a page: made from marked's tokens, never from markup, so nothing in a text can run.
import { lexer } from "../vendor/marked/marked.esm.js";
import { copyOf, element } from "./gateway.js";

const SAFE_LINK = /^(https?:|mailto:)/i;
const HEADING_SHIFT = 2; // the page and the answer have headings of their own

/** Return the nodes of a text in Markdown. */
export function markdown(text) {
  try {
    return lexer(text, { gfm: true, breaks: true }).map(shown);
  } catch {
    return [element("div", { class: "answer" }, text)]; // nested deeper than anybody reads
  }
}

function shown(token) {
  const inside = token.tokens?.map(shown) ?? [token.raw];
  switch (token.type) {
    case "space":
    case "def":
      return "";
    case "br":
    case "hr":
      return element(token.type);
    case "del":
    case "em":
    case "strong":
      return element(token.type, {}, ...inside);
    case "heading":
      return element(`h${Math.min(6, token.depth + HEADING_SHIFT)}`, { class: "mt-3 mb-2" }, ...inside);
    case "paragraph":
      return element("p", { class: "mb-2" }, ...inside);
    case "blockquote":
      return element("blockquote", { class: "border-start ps-3 text-body-secondary" }, ...inside);
    case "list":
      return list(token);
    case "list_item":
      return element("li", {}, ...inside);
    case "table":
      return table(token);
    case "code":
      return code(token.text);
    case "codespan":
      return element("code", {}, token.text);
    case "checkbox":
      return token.checked ? "☑ " : "☐ ";
    case "link":
      return link(token.href, inside);
    case "image": // only linked to: a page asks no other host for anything
      return link(token.href, [token.text || token.href]);
    case "escape":
      return token.text;
    default: // text, with or without pieces, and markup, which stays text
      return element("span", {}, ...inside);
  }
}

function list({ ordered, start, items }) {
  return element(ordered ? "ol" : "ul", { start: ordered && start, class: "mb-2" }, ...items.map(shown));
}

function table({ header, rows }) {
  const row = (tag, cells) =>
    element("tr", {}, ...cells.map((cell) => element(tag, {}, ...cell.tokens.map(shown))));
  const body = element("tbody", {}, row("th", header), ...rows.map((cells) => row("td", cells)));
  const inside = element("table", { class: "table table-sm w-auto" }, body);
  return element("div", { class: "table-responsive mb-2" }, inside);
}

function code(text) {
  const box = copyOf("code");
  box.classList.add("mb-2");
  box.querySelector("code").textContent = text;
  return box;
}

function link(href, children) {
  if (!SAFE_LINK.test(href)) return element("span", {}, ...children);
  return element("a", { href, target: "_blank", rel: "noreferrer noopener" }, ...children);
}
