// Parameters of a model: the form and the JSON beside it say the same; either edits the other.
const text = document.querySelector("#override-json textarea");
const form = document.getElementById("override-fields");

const READ = {
  number: Number,
  integer: Number,
  limit: Number,
  milliseconds: Number,
  flag: (value) => value === "true",
  think: (value) => (value === "true" ? true : value === "false" ? false : value),
  stop: (value) => value.split("\n").filter(Boolean),
  steps: (value) => value.split(",").map((part) => Number(part)),
  format: (value) => (value.trim() === "json" ? "json" : JSON.parse(value)),
  duration: (value) => (/^-?\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : value.trim()),
};

function shown(field, value) {
  if (value === undefined || value === null) return "";
  if (field.dataset.kind === "steps") return [value].flat().join(", ");
  if (field.dataset.kind === "stop") return Array.isArray(value) ? value.join("\n") : String(value);
  return typeof value === "object" ? JSON.stringify(value, null, 2) : String(value);
}

function current() {
  try {
    const value = JSON.parse(text.value.trim() || "{}");
    return value && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

function toForm() {
  const value = current();
  if (!value) return;
  for (const field of form.querySelectorAll("[data-kind]"))
    field.value = shown(field, value[field.name.slice(2)]);
}

function toJson(field) {
  const value = current();
  if (!value) return;
  const name = field.name.slice(2);
  if (field.value.trim() === "") delete value[name];
  else {
    try {
      const read = (READ[field.dataset.kind] ?? String)(field.value);
      value[name] = Number.isNaN(read) ? field.value : read;
    } catch {
      return;
    }
  }
  text.value = Object.keys(value).length ? JSON.stringify(value, null, 2) : "";
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
form.addEventListener("input", (event) => toJson(event.target));
if (need) {
  text.addEventListener("input", tellNeed);
  form.addEventListener("input", tellNeed);
}
form.addEventListener("submit", (event) => {
  event.preventDefault();
  text.form.requestSubmit();
});
for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", () => {
    const example = JSON.parse(button.dataset.example);
    const merged = Object.keys(example).length ? { ...current(), ...example } : {};
    text.value = Object.keys(merged).length ? JSON.stringify(merged, null, 2) : "";
    toForm();
    text.focus();
  });
}
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  text.form.requestSubmit();
});
