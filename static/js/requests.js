// The live tail of the requests page: new rows on top while the box is ticked, and rows that ran
// replaced once they ended. Nothing moves while the mouse is over the list.
import { parsed, subscribe, unsubscribe } from "./live.js";

const MOST = 200;
const box = document.getElementById("tail");
const body = document.querySelector("[data-calls]");
const count = document.getElementById("tail-count");
let waiting = new Map();
let isHeld = false;

const rowOf = (id) => body.querySelector(`tr[data-id="${id}"]`);
const newest = () => Number(body.querySelector("tr")?.dataset.id ?? 0);

/** Show rows by their id. They are made and escaped by the server, as in the first page. */
function show(rows) {
  if (!body) return location.reload(); // the first requests there are
  for (const [id, html] of Object.entries(rows)) waiting.set(Number(id), html);
  if (!isHeld) flush();
  const fresh = [...waiting.keys()].filter((id) => !rowOf(id) && id > newest()).length;
  count.hidden = !fresh;
  count.textContent = `+${fresh}`;
}

function flush() {
  const last = newest();
  for (const [id, html] of [...waiting].sort(([one], [other]) => one - other)) {
    const row = parsed(html).querySelector("tr");
    const known = rowOf(id);
    if (known) known.replaceWith(row);
    else if (id > last) body.prepend(row);
  }
  waiting = new Map();
  while (body.children.length > MOST) body.lastElementChild.remove();
}

body?.addEventListener("pointerenter", (event) => {
  isHeld = event.pointerType === "mouse";
});
body?.addEventListener("pointerleave", () => {
  isHeld = false;
  show({});
});
box?.addEventListener("change", () => {
  if (box.checked) subscribe("tail", location.search, show);
  else unsubscribe("tail");
});
