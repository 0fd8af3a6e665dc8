// The form of a key: parts that matter for one choice, ticks that choose for themselves, round budgets.
import { short } from "./gateway.js";

const form = document.querySelector("[data-key-form]");

for (const part of document.querySelectorAll("[data-shown-if]")) {
  const [name, value] = part.dataset.shownIf.split("=");
  const inputs = part.closest("form").querySelectorAll(`[name="${name}"]`);
  const look = () => {
    const chosen = [...inputs].find((input) => input.type !== "radio" || input.checked)?.value;
    part.hidden = chosen !== value;
  };
  for (const input of inputs) input.addEventListener("change", look);
  look();
}

// A ticked model means "only these"; "all" means none is ticked.
form.addEventListener("change", ({ target }) => {
  const models = form.querySelectorAll("input[name=models]");
  if (target.name === "models" && target.checked) {
    form.querySelector("input[name=access][value=some]").click();
  } else if (target.name === "access" && target.value === "all") {
    for (const model of models) model.checked = false;
  }
});

form.addEventListener("click", ({ target }) => {
  const chip = target.closest("[data-fills]");
  if (!chip) return;
  const field = document.getElementById(chip.dataset.fills);
  field.value = chip.value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
});

form.addEventListener("input", ({ target }) => {
  const shown = form.querySelector(`[data-short-of="${target.id}"]`);
  const value = Number(target.value.replace(/[\s,'_]/g, ""));
  if (shown) shown.textContent = value ? short(value) : "";
});
