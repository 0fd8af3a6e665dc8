// "Connect" for another application or model: asked of the key's page, with the key where this page shows it.

const box = document.querySelector("[data-connect]");

async function show(form, changed) {
  const address = new URL(form.action);
  address.search = new URLSearchParams(new FormData(form));
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const asked = page.querySelector("[data-connect]");
  const secret = document.getElementById("secret")?.textContent;
  for (const code of secret ? asked.querySelectorAll("code") : []) {
    code.textContent = code.textContent.replaceAll(box.dataset.placeholder, secret);
  }
  box.replaceChildren(...asked.childNodes);
  document.getElementById(changed)?.focus();
}

box?.addEventListener("change", (event) => show(event.target.form, event.target.id));
