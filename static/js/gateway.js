// Behaviour shared by every page. Each part looks for its own marks and does nothing without them.
import { keepTyped } from "./typed.js";
import { askBeforeLeaving } from "./unsaved.js";

const root = document.documentElement;
const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;

/** Send a body by POST, as this page. */
export const post = (url, body, signal) =>
  fetch(url, {
    method: "POST",
    body,
    signal,
    headers: { "X-CSRFToken": meta("csrf-token") },
    redirect: "manual",
  });

/** Return the only element of a `<template>`, anew. */
export const copyOf = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

/** Return HTML of the server as nodes. */
export function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

/** Return an element; an attribute that is false or missing is left out. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== false && value !== undefined) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Return a large number in few characters, as the server writes it. */
export const short = (value) =>
  new Intl.NumberFormat(root.lang, {
    notation: Math.abs(value) < 10_000 ? "standard" : "compact",
    maximumFractionDigits: 1,
  }).format(value);

/** Have a form sent by Ctrl + Enter in a field. */
export function sendByKeys(field) {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    field.form.requestSubmit();
  });
}

/** Show a toast of the page, given itself or by its selector. */
const toast = (box) => bootstrap.Toast.getOrCreateInstance(box).show();

// ---- parts of every page -------------------------------------------------------------------------------

function themes() {
  const form = document.querySelector("[data-theme-form]");
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = event.submitter;
    root.applyTheme(chosen.value);
    for (const button of form.querySelectorAll("button"))
      button.classList.toggle("active", button === chosen);
    const shown = form.previousElementSibling.querySelector("use");
    shown.setAttribute("href", chosen.querySelector("use").getAttribute("href"));
    post(form.action, new URLSearchParams({ theme: chosen.value }));
  });
}

function zone() {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  if (timeZone === root.dataset.zone) return;
  post(meta("preferences"), new URLSearchParams({ zone: timeZone }));
  const { format } = new Intl.DateTimeFormat(root.lang, {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  for (const time of document.querySelectorAll("time"))
    if (/\d\d:\d\d$/.test(time.textContent)) time.textContent = format(new Date(time.dateTime));
}

async function copyText(source) {
  if (navigator.clipboard) return navigator.clipboard.writeText(source.textContent);
  getSelection().selectAllChildren(source);
  if (!document.execCommand("copy")) throw new Error("copy");
}

function copies() {
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-copy]");
    if (!button) return;
    const source = button.closest(":has(code)").querySelector("code");
    copyText(source).then(
      () => toast("#copied"),
      () => toast("#copy-failed"),
    );
  });
}

function forms() {
  // A filter applies itself; the button stays for those without scripts.
  for (const form of document.querySelectorAll("form[data-auto]")) {
    form.addEventListener("change", ({ target }) => {
      if (!["text", "search"].includes(target.type)) form.requestSubmit();
    });
    form.addEventListener("formdata", ({ formData }) => {
      for (const [name, value] of [...formData]) if (!value) formData.delete(name);
    });
  }
  for (const form of document.querySelectorAll("form[method='post']:not([data-theme-form])")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "1";
      const button = event.submitter;
      if (button?.dataset.busy)
        setTimeout(() => {
          button.disabled = true;
          button.textContent = button.dataset.busy;
        });
    });
  }
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  for (const box of document.querySelectorAll("[data-check-all]")) {
    box.addEventListener("change", () => {
      for (const other of document.getElementsByName(box.dataset.checkAll)) other.checked = box.checked;
    });
  }
  document.querySelector(".is-invalid")?.focus();
}

/** Scroll a row of tabs that is wider than a phone until the chosen one is whole. */
function tabs() {
  const tab = document.querySelector(".nav-tabs > .active");
  if (!tab) return;
  const row = tab.parentElement;
  row.scrollLeft = tab.offsetLeft + tab.offsetWidth - row.offsetLeft - row.clientWidth;
}

themes();
zone();
tabs();
copies();
forms();
askBeforeLeaving();
for (const box of document.querySelectorAll(".toast.show")) toast(box);
if (keepTyped()) toast("#typed");
