// The live tail of the requests page: new rows on top while the box is ticked, and rows that ran
// replaced once they ended. Nothing moves while the mouse is over the list.
import { parsed } from "./gateway.js";
import { subscribe, unsubscribe } from "./live.js";

const MOST = 200;
const box = document.getElementById("tail");
const body = document.querySelector(".calls tbody");
const count = document.getElementById("tail-count");
let waiting = {}; // the HTML of rows by their id

const rowOf = (id) => body.querySelector(`tr[data-id="${id}"]`);
const isNewer = (id) => Number(id) > Number(body.querySelector("tr").dataset.id);

/** Show rows by their id. They are made and escaped by the server, as in the first page. */
function show(rows) {
  if (!body) return location.reload(); // the first requests there are
  Object.assign(waiting, rows);
  if (!body.matches(":hover")) flush();
  const fresh = Object.keys(waiting).filter(isNewer).length;
  count.hidden = !fresh;
  count.textContent = `+${fresh}`;
}

function flush() {
  for (const [id, html] of Object.entries(waiting)) {
    // numbers as names come in their order
    const row = parsed(html).querySelector("tr");
    if (rowOf(id)) rowOf(id).replaceWith(row);
    else if (isNewer(id)) body.prepend(row);
  }
  waiting = {};
  while (body.children.length > MOST) body.lastElementChild.remove();
}

body?.addEventListener("pointerleave", () => show({}));
box?.addEventListener("change", () => {
  if (box.checked) subscribe("tail", location.search, show);
  else unsubscribe("tail");
});
