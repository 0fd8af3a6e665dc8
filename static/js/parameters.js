// Parameters of a model: the form and the JSON beside it say the same; either edits the other.
import { sendByKeys } from "./gateway.js";

const text = document.querySelector("#override-json textarea");
const form = document.getElementById("override-fields");

const READ = {
  text: String,
  stop: (value) => value.split("\n").filter(Boolean),
  steps: (value) => value.split(",").map(Number),
};

/** Return what a field says: a number, other JSON, or else its words. */
function read({ value, dataset }) {
  if (READ[dataset.kind]) return READ[dataset.kind](value);
  if (!Number.isNaN(Number(value))) return Number(value);
  try {
    return JSON.parse(value);
  } catch {
    return value.trim();
  }
}

function shown({ dataset }, value) {
  if (Array.isArray(value)) return value.join(dataset.kind === "stop" ? "\n" : ", ");
  return typeof value === "object" ? JSON.stringify(value, null, 2) : String(value);
}

/** Return the object that the JSON says; null where it is none. */
function current() {
  try {
    const value = JSON.parse(text.value.trim() || "{}");
    return value?.constructor === Object ? value : null;
  } catch {
    return null;
  }
}

function write(value) {
  text.value = Object.keys(value).length ? JSON.stringify(value, null, 2) : "";
}

function toForm() {
  const value = current();
  if (!value) return;
  for (const field of form.querySelectorAll("[data-kind]"))
    field.value = shown(field, value[field.name.slice("p-".length)] ?? "");
}

function toJson(field) {
  const value = current();
  if (!value) return;
  const name = field.name.slice("p-".length);
  if (field.value.trim()) value[name] = read(field);
  else delete value[name];
  write(value);
}

// What the window takes in memory, said anew when its number has not changed for a moment.
const need = document.querySelector("[data-need]");
let asking = 0;

function tellNeed() {
  clearTimeout(asking);
  asking = setTimeout(async () => {
    const tokens = current()?.num_ctx;
    const wanted = Number.isInteger(tokens) ? tokens : 0;
    const answer = await fetch(`${need.dataset.need}?num_ctx=${wanted}`);
    if (answer.ok) need.textContent = (await answer.json()).words;
  }, 300);
}

text.addEventListener("input", toForm);
form.addEventListener("input", ({ target }) => toJson(target));
if (need) for (const one of [text, form]) one.addEventListener("input", tellNeed);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  text.form.requestSubmit();
});
for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", () => {
    const example = JSON.parse(button.dataset.example);
    write(Object.keys(example).length ? { ...current(), ...example } : {});
    toForm();
    text.focus();
  });
}
sendByKeys(text);
