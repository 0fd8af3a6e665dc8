// Asks before a page is left whose form was changed and not sent. Forms say so by `data-unsaved`.

const contents = (form) => String(new URLSearchParams(new FormData(form)));

/** Watch every form with `data-unsaved`; one that came back with errors counts as changed. */
export function askBeforeLeaving() {
  for (const form of document.querySelectorAll("form[data-unsaved]")) {
    let isSent = false;
    const before = form.querySelector(".is-invalid") ? null : contents(form);
    form.addEventListener("submit", (event) => {
      isSent ||= !event.defaultPrevented;
    });
    addEventListener("beforeunload", (event) => {
      if (!isSent && contents(form) !== before) event.preventDefault();
    });
  }
}
