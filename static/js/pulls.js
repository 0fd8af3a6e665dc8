// How far pulls and loads are: asked once a second while one runs.
import { element, icon } from "./gateway.js";

const box = document.querySelector("[data-pulls]");
let timer = null;
const SEEN_MS = 600; // until the gateway has asked the server what is in its memory
const names = { good: "check-circle-fill", bad: "x-circle-fill", info: "info-circle-fill" };

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
    row.querySelector("[data-state]").replaceChildren(element("span", { class: `state state-${pull.kind}` }, icon(names[pull.kind] ?? "dash-circle-fill"), pull.state));
    const bar = row.querySelector("progress");
    bar.hidden = !pull.open;
    if (pull.share !== null) bar.value = pull.share;
    row.querySelector("[data-figures]").textContent = [pull.figures, pull.open || pull.kind === "bad" ? pull.status : ""].filter(Boolean).join(" · ");
    if (!pull.open) row.querySelector("[data-stop]")?.remove();
    const ended = !pull.open && row.dataset.was === "open";
    if (ended && (pull.kind === "good" || pull.load)) setTimeout(() => location.reload(), pull.load ? SEEN_MS : 0);
    row.dataset.was = pull.open ? "open" : "closed";
  }
  if (!running) clearInterval(timer);
}

if (box?.querySelector('[data-was="open"]')) timer = setInterval(look, 1000);
