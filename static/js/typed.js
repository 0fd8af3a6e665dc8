// What was typed is not lost when the session ended: a form that is sent waits in this tab (never its
// passwords), and is filled again when the sign-in leads back to its page.

const SLOT = "typed";
const LONGEST = 262144;
const LEFT_OUT = "[type=password], [type=file], [type=hidden]:not([name=version]), button";

const here = () => location.pathname + location.search;
const fieldsOf = (form) => [...form.elements].filter((one) => one.name && !one.matches(LEFT_OUT));
const isTicked = (field) => ["checkbox", "radio"].includes(field.type);

function keep(form, place) {
  const values = fieldsOf(form).map((field) => [
    field.name,
    isTicked(field) ? field.checked : [...(field.selectedOptions ?? [field])].map((one) => one.value),
  ]);
  const text = JSON.stringify({ page: here(), place, values });
  if (text.length <= LONGEST) sessionStorage.setItem(SLOT, text);
}

function restore(form, values) {
  fieldsOf(form).forEach((field, index) => {
    const [name, value] = values[index] ?? [];
    if (name !== field.name) return;
    if (isTicked(field)) field.checked = value;
    else if (field.options)
      for (const option of field.options) option.selected = value.includes(option.value);
    else [field.value] = value;
  });
  form.dispatchEvent(new Event("input", { bubbles: true }));
  for (const fold of form.querySelectorAll("details")) fold.open = true;
}

/** Keep each form that is sent, and fill the one that the end of a session stopped; tell whether it did. */
export function keepTyped() {
  const kept = JSON.parse(sessionStorage.getItem(SLOT));
  if (!document.getElementById("side")) {
    if (kept) sessionStorage.setItem(SLOT, JSON.stringify({ ...kept, ended: true }));
    return false;
  }
  sessionStorage.removeItem(SLOT);
  const forms = document.querySelectorAll("main form[method='post']");
  forms.forEach((form, place) => {
    form.addEventListener("submit", () => keep(form, place));
  });
  const form = kept?.ended && kept.page === here() && forms[kept.place];
  if (form) restore(form, kept.values);
  return Boolean(form);
}
