// The search dialog: opened by "/" or Ctrl-K, walked through by arrows, Enter opens what is chosen.
import { parsed } from "./gateway.js";

const WAIT_MS = 120;
const dialog = document.getElementById("search");
const field = document.getElementById("search-text");
const list = document.getElementById("search-hits");
const none = document.getElementById("search-none");
let timer = null;

/** Choose the hit that is `step` further than the chosen one, or the first. */
function choose(step) {
  const hits = [...list.children];
  const before = hits.findIndex((hit) => hit.matches(".active"));
  const chosen = hits.at((before + step) % hits.length);
  for (const hit of hits) {
    hit.classList.toggle("active", hit === chosen);
    hit.ariaSelected = hit === chosen;
  }
  chosen?.scrollIntoView({ block: "nearest" });
  field.setAttribute("aria-activedescendant", chosen?.id ?? "");
}

async function look() {
  const text = field.value;
  const answer = await fetch(`${dialog.dataset.url}?${new URLSearchParams({ q: text })}`).catch(() => null);
  // An answer that comes when something else is asked is of no use.
  if (!answer?.ok || text !== field.value) return;
  list.replaceChildren(parsed(await answer.text()));
  list.hidden = !list.children.length;
  none.hidden = !list.hidden;
  field.ariaExpanded = !list.hidden;
  choose(1);
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
  const withControl = event.ctrlKey || event.metaKey;
  const isShortcut = withControl ? event.key.toLowerCase() === "k" : event.key === "/" && !isTyping;
  if (!isShortcut || event.altKey) return;
  event.preventDefault();
  bootstrap.Modal.getOrCreateInstance(dialog).show();
});

dialog.addEventListener("shown.bs.modal", () => {
  field.focus();
  field.select();
  look();
});

field.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(look, WAIT_MS);
});

field.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) choose(step);
  else if (event.key === "Enter") list.querySelector(".active")?.click();
  else return;
  event.preventDefault();
});
