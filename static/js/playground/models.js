// The models that the chosen key may use, and what is done with the chosen one: chat or embeddings.
import { element } from "../gateway.js";
import { words } from "./words.js";

const option = (model) =>
  element(
    "option",
    { value: model.name, "data-mode": model.mode, "data-can": model.can.join(" ") },
    model.is_down ? `${model.name} (${words.down})` : model.name,
  );

/** Keep both selects to what the key may use; `form` names where that is asked. */
export function followKey(form, key, model, second) {
  key.addEventListener("change", async () => {
    const answer = await fetch(`${form.dataset.models}?key=${key.value}`, { credentials: "same-origin" });
    if (!answer.ok) return;
    const { models } = await answer.json();
    renew(model, [], models);
    renew(second, [second.options[0]], models);
    document.getElementById("no-model").hidden = models.length > 0;
    model.dispatchEvent(new Event("change"));
  });
}

/** Put models into a select, behind the options that stay; the one that was chosen stays so where it can. */
function renew(select, staying, models) {
  const before = select.value;
  select.replaceChildren(...staying, ...models.map(option));
  if ([...select.options].some((one) => one.value === before)) select.value = before;
}

/** Show the parts of the page that are for the chosen model, and only models that chat beside it. */
export function followModel(form, model, second) {
  const follow = () => {
    const mode = model.selectedOptions[0]?.dataset.mode ?? "chat";
    for (const part of form.querySelectorAll("div[data-mode]")) part.hidden = part.dataset.mode !== mode;
    for (const one of second.options) one.hidden = one.dataset.mode === "embeddings";
  };
  model.addEventListener("change", follow);
  follow();
}
