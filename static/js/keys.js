// Keys: parts of the form that only matter for one choice, and the wait for a key's first call.
import { element, kindIcon } from "./gateway.js";

for (const part of document.querySelectorAll("[data-shown-if]")) {
  const [name, value] = part.dataset.shownIf.split("=");
  const inputs = part.closest("form").querySelectorAll(`[name="${name}"]`);
  const look = () => {
    const chosen = [...inputs].find((input) => input.type !== "radio" || input.checked)?.value;
    part.hidden = chosen !== value;
  };
  for (const input of inputs) input.addEventListener("change", look);
  look();
}

const waiting = document.getElementById("waiting");
if (waiting) {
  const look = async () => {
    if (document.hidden) return;
    const answer = await fetch(waiting.dataset.url, { credentials: "same-origin" }).catch(() => null);
    if (!answer?.ok) return;
    const call = await answer.json();
    if (!call.arrived) return;
    waiting.className = `alert alert-${call.kind} d-flex gap-3 mt-3`;
    const line = element("p", {}, element("b", {}, call.title));
    const more = element("p", { class: "small" }, call.words);
    const link = call.url
      ? element("p", { class: "small" }, element("a", { href: call.url }, call.link))
      : null;
    waiting.replaceChildren(kindIcon(call.kind), element("div", {}, line, more, link));
    if (call.kind === "success") clearInterval(timer);
  };
  const timer = setInterval(look, 1000);
  look();
}
