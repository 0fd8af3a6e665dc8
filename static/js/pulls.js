// How far pulls and loads are: asked once a second while one runs.
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
    const bar = row.querySelector("progress");
    bar.hidden = !pull.open;
    if (pull.share !== null) bar.value = pull.share;
    row.querySelector("[data-figures]").textContent = [
      pull.figures,
      pull.open || pull.kind === "danger" ? pull.status : "",
    ]
      .filter(Boolean)
      .join(" · ");
    if (!pull.open) row.querySelector("[data-stop]")?.remove();
    const ended = !pull.open && row.dataset.was === "open";
    if (ended && (pull.kind === "success" || pull.load))
      setTimeout(() => location.reload(), pull.load ? SEEN_MS : 0);
    row.dataset.was = pull.open ? "open" : "closed";
  }
  if (!running) clearInterval(timer);
}

if (box?.querySelector('[data-was="open"]')) timer = setInterval(look, 1000);
