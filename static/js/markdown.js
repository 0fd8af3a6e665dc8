// Markdown as nodes of a page: made from marked's tokens, never from markup, so nothing in a text can run.
import { lexer } from "../vendor/marked/marked.esm.js";
import { element, icon } from "./gateway.js";

const SAFE_LINK = /^(https?:|mailto:)/i;
const HEADING_SHIFT = 2; // the page and the answer have headings of their own

/** Return the nodes of a text in Markdown; `copyLabel` names the buttons that copy code. */
export function markdown(text, copyLabel) {
  return new Renderer(copyLabel).blocks(lexer(text, { gfm: true, breaks: true }));
}

class Renderer {
  constructor(copyLabel) {
    this.copyLabel = copyLabel;
  }

  blocks(tokens) {
    return tokens.map((token) => this.block(token)).filter(Boolean);
  }

  block(token) {
    switch (token.type) {
      case "space":
      case "def":
        return null;
      case "heading":
        return element(
          `h${Math.min(6, token.depth + HEADING_SHIFT)}`,
          { class: "mt-3 mb-2" },
          ...this.inlines(token.tokens),
        );
      case "paragraph":
        return element("p", { class: "mb-2" }, ...this.inlines(token.tokens));
      case "code":
        return this.code(token.text);
      case "blockquote":
        return element(
          "blockquote",
          { class: "border-start ps-3 text-body-secondary" },
          ...this.blocks(token.tokens),
        );
      case "list":
        return this.list(token);
      case "table":
        return this.table(token);
      case "hr":
        return element("hr");
      default: // text of list items, and markup, which stays text
        return element("span", {}, ...(token.tokens ? this.inlines(token.tokens) : [token.raw]));
    }
  }

  code(text) {
    const button = element(
      "button",
      {
        type: "button",
        class: "btn btn-outline-secondary btn-sm copy",
        "data-copy": "",
        "aria-label": this.copyLabel,
      },
      icon("clipboard"),
    );
    const body = element("pre", { tabindex: "0" }, element("code", {}, text));
    return element("div", { class: "code-box mb-2", "data-copy-box": "" }, button, body);
  }

  list(token) {
    const items = token.items.map((item) => element("li", {}, ...this.blocks(item.tokens)));
    const start = token.ordered && token.start !== 1 ? token.start : null;
    return element(token.ordered ? "ol" : "ul", { start, class: "mb-2" }, ...items);
  }

  table(token) {
    const cell = (tag, one) => element(tag, {}, ...this.inlines(one.tokens));
    const head = element("tr", {}, ...token.header.map((one) => cell("th", one)));
    const rows = token.rows.map((row) => element("tr", {}, ...row.map((one) => cell("td", one))));
    return element(
      "div",
      { class: "table-responsive mb-2" },
      element(
        "table",
        { class: "table table-sm w-auto" },
        element("thead", {}, head),
        element("tbody", {}, ...rows),
      ),
    );
  }

  inlines(tokens) {
    return tokens.map((token) => this.inline(token));
  }

  inline(token) {
    switch (token.type) {
      case "strong":
      case "em":
      case "del":
        return element(token.type, {}, ...this.inlines(token.tokens));
      case "codespan":
        return element("code", {}, token.text);
      case "br":
        return element("br");
      case "checkbox":
        return token.checked ? "☑ " : "☐ ";
      case "link":
        return this.link(token.href, this.inlines(token.tokens));
      case "image": // only linked to: a page asks no other host for anything
        return this.link(token.href, [token.text || token.href]);
      case "escape":
        return token.text;
      default:
        return token.tokens ? element("span", {}, ...this.inlines(token.tokens)) : token.raw;
    }
  }

  link(href, children) {
    if (!SAFE_LINK.test(href)) return element("span", {}, ...children);
    return element("a", { href, target: "_blank", rel: "noreferrer noopener" }, ...children);
  }
}
