// How far downloads and loads are: asked once a second while one runs; at its end the page is read anew.
import { state } from "./gateway.js";

const box = document.querySelector("[data-pulls]");
let timer = null;
const SEEN_MS = 600; // until the gateway has asked the server what is in its memory

async function look() {
  if (document.hidden) return;
  const answer = await fetch(box.dataset.pulls, { credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok) return;
  const { pulls } = await answer.json();
  let running = false;
  for (const pull of pulls) {
    const row = box.querySelector(`[data-pull="${pull.id}"]`);
    if (!row) continue;
    running ||= pull.open;
    row.querySelector("[data-state]").replaceChildren(state(pull.kind, pull.state));
    if (pull.open) show(row, pull);
    else if (row.dataset.was === "open") setTimeout(() => location.reload(), pull.load ? SEEN_MS : 0);
    row.dataset.was = pull.open ? "open" : "closed";
  }
  if (!running) clearInterval(timer);
}

function show(row, pull) {
  if (pull.share !== null) row.querySelector("progress").value = pull.share;
  const words = [pull.figures, pull.status].filter(Boolean).join(" · ");
  row.querySelector("[data-figures]").textContent = words;
}

if (box?.querySelector('[data-was="open"]')) timer = setInterval(look, 1000);
