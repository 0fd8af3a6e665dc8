// The search dialog: opened by "/" or Ctrl-K, walked through by arrows, Enter opens what is chosen.
import { element, icon } from "./gateway.js";

const WAIT_MS = 120;
const dialog = document.getElementById("search");
const field = document.getElementById("search-text");
const list = document.getElementById("search-hits");
const none = document.getElementById("search-none");
let chosen = 0;
let asked = "";
let timer = null;

const isTyping = (target) => target.closest?.("input, textarea, select, [contenteditable]");

function choose(index) {
  const hits = [...list.children];
  chosen = (index + hits.length) % Math.max(hits.length, 1);
  hits.forEach((hit, i) => {
    hit.classList.toggle("active", i === chosen);
    hit.setAttribute("aria-selected", String(i === chosen));
  });
  const hit = hits[chosen];
  hit?.scrollIntoView({ block: "nearest" });
  if (hit) field.setAttribute("aria-activedescendant", hit.id);
  else field.removeAttribute("aria-activedescendant");
}

function row(hit, index) {
  return element(
    "a",
    {
      class: "list-group-item list-group-item-action d-flex gap-2 align-items-center",
      role: "option",
      tabindex: "-1",
      id: `search-hit-${index}`,
      href: hit.url,
    },
    icon(hit.icon),
    element("span", { class: "text-truncate" }, hit.title),
    element("span", { class: "small text-truncate" }, hit.hint),
    element("span", { class: "small ms-auto" }, hit.kind),
  );
}

function show(hits) {
  list.replaceChildren(...hits.map(row));
  list.hidden = !hits.length;
  none.hidden = hits.length > 0;
  field.setAttribute("aria-expanded", String(hits.length > 0));
  choose(0);
}

async function look() {
  const text = field.value;
  asked = text;
  const url = `${dialog.dataset.url}?${new URLSearchParams({ q: text })}`;
  const answer = await fetch(url, { credentials: "same-origin" }).catch(() => null);
  // An answer that comes behind a later one is of no use.
  if (answer?.ok && asked === text) show((await answer.json()).hits);
}

document.addEventListener("keydown", (event) => {
  const isShortcut = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k";
  const isSlash = event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (!isShortcut && !(isSlash && !isTyping(event.target))) return;
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
  if (step) {
    event.preventDefault();
    choose(chosen + step);
  }
  if (event.key === "Enter") {
    event.preventDefault();
    list.children[chosen]?.click();
  }
});
