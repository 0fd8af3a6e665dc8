// The answer of one model: thinking and text as they come, then pieces that the server drew.
import { copyOf } from "../gateway.js";
import { markdown } from "../markdown.js";

const RENDER_MS = 80;

export class Answer {
  constructor(title) {
    this.text = "";
    this.box = copyOf("answer");
    this.thoughts = this.box.querySelector("details");
    this.thought = this.box.querySelector("[data-thought]");
    this.bubble = this.box.querySelector("[data-answer]");
    this.box.querySelector("[data-title]").textContent = title;
  }

  /** Show one event of the stream. */
  take({ type, text, piece }) {
    if (type === "thinking") {
      this.thoughts.hidden = false;
      if (!this.text) this.thoughts.open = true;
      this.thought.append(text);
    } else if (type === "text") {
      if (!this.text) this.thoughts.open = false;
      this.text += text;
      this.timer ??= setTimeout(() => this.render(), RENDER_MS);
    } else if (piece) {
      this.render();
      this.box.append(piece);
    }
  }

  render() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.bubble.hidden = !this.text;
    this.bubble.replaceChildren(...markdown(this.text));
  }
}
