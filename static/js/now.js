// The table of running calls, renewed once a second.
import { duration, element, icon, listen, num, post, state, toast } from "./gateway.js";

const box = document.querySelector("[data-live]");
const body = box.querySelector("[data-rows]");
const none = box.querySelector("[data-none]");
const rows = new Map();

function make(call) {
  const row = element("tr", {});
  const cells = {};
  for (const name of ["key", "model", "phase", "server", "tokens", "speed", "elapsed", "actions"]) {
    const isNumber = ["tokens", "speed", "elapsed"].includes(name);
    cells[name] = element("td", {
      class: isNumber ? "text-end text-nowrap" : name === "actions" ? "actions" : null,
    });
    row.append(cells[name]);
  }
  cells.key.append(call.key, element("div", { class: "small text-body-secondary" }, call.client));
  cells.model.textContent = call.model;
  if (body.dataset.cancel) {
    const button = element(
      "button",
      { type: "button", class: "btn btn-outline-secondary btn-sm" },
      icon("stop-fill"),
      body.dataset.cancel,
    );
    button.addEventListener("click", async () => {
      button.disabled = true;
      const answer = await post(call.cancel, {});
      if (answer.ok) toast(body.dataset.cancelled);
    });
    cells.actions.append(button);
  }
  return { row, cells };
}

function show({ calls }) {
  const seen = new Set();
  for (const call of calls) {
    seen.add(call.id);
    let known = rows.get(call.id);
    if (!known) {
      known = make(call);
      rows.set(call.id, known);
      body.append(known.row);
    }
    const { cells } = known;
    if (cells.phase.dataset.phase !== call.phase) {
      cells.phase.dataset.phase = call.phase;
      cells.phase.replaceChildren(state(call.kind, call.phase, call.icon));
    }
    cells.server.textContent = call.server;
    cells.tokens.textContent = num(call.tokens);
    cells.speed.textContent = call.speed === null ? "–" : `${num(call.speed, 1)} tok/s`;
    cells.elapsed.textContent = duration(call.elapsed_ms);
  }
  for (const [id, known] of rows) {
    if (!seen.has(id)) {
      known.row.remove();
      rows.delete(id);
    }
  }
  none.hidden = calls.length > 0;
}

body.replaceChildren();
listen(box.dataset.live, { calls: show });
