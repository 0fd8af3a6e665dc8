// "Connect" for another model: asked of the key's page, with the key where this page still shows it.

import { pieces } from "./gateway.js";

const box = document.querySelector("[data-connect]");

async function show(form) {
  const address = new URL(form.action);
  address.search = new URLSearchParams(new FormData(form));
  const answer = await fetch(address, { credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const asked = page.querySelector("[data-connect]");
  const secret = document.getElementById("secret")?.textContent;
  for (const code of secret ? asked.querySelectorAll("code") : []) {
    code.textContent = code.textContent.replaceAll(box.dataset.placeholder, secret);
  }
  const client = box.querySelector("[data-shows]")?.value;
  box.replaceChildren(...asked.childNodes);
  const clients = box.querySelector("[data-shows]");
  if ([...(clients?.options ?? [])].some((option) => option.value === client)) clients.value = client;
  pieces(box);
  box.querySelector("select")?.focus();
}

box?.addEventListener("change", (event) => {
  if (event.target.name === "model") show(event.target.form);
});
