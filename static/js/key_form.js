// The form of a key: ticks that choose for themselves, round budgets.
import { short } from "./gateway.js";

const form = document.querySelector("[data-key-form]");

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
