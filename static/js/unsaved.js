// Asks before a page is left whose form was changed and not sent. Forms say so by `data-unsaved`.

const contents = (form) =>
  JSON.stringify([...new FormData(form)].map(([name, value]) => [name, String(value)]));

/** Watch every form with `data-unsaved`; one that came back with errors counts as changed. */
export function askBeforeLeaving() {
  const before = new Map();
  for (const form of document.querySelectorAll("form[data-unsaved]")) {
    before.set(form, form.querySelector(".is-invalid") ? null : contents(form));
    form.addEventListener("submit", (event) => {
      if (!event.defaultPrevented) before.delete(form);
    });
  }
  if (!before.size) return;
  addEventListener("beforeunload", (event) => {
    for (const [form, contentsBefore] of before) {
      if (contents(form) !== contentsBefore) event.preventDefault();
    }
  });
}
