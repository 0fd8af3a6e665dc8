// Behaviour shared by every page. Each part looks for its own marks and does nothing without them.

import { keepTyped } from "./typed.js";
import { askBeforeLeaving } from "./unsaved.js";

export const words = JSON.parse(document.getElementById("words")?.textContent ?? "{}");
const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";

export function post(url, fields) {
  const body = fields instanceof FormData ? fields : new URLSearchParams(fields);
  return fetch(url, {
    method: "POST",
    body,
    headers: { "X-CSRFToken": meta("csrf-token") },
    credentials: "same-origin",
    redirect: "manual",
  });
}

export function icon(name) {
  const source = document.querySelector("svg.icon use")?.getAttribute("href").split("#")[0] ?? "";
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${source}#${name}`);
  svg.append(use);
  return svg;
}

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const KIND_ICONS = {
  success: "check-circle-fill",
  warning: "exclamation-triangle-fill",
  danger: "x-circle-fill",
  info: "info-circle-fill",
};

/** Return the icon of a kind: success, warning, danger, info or secondary. */
const kindIcon = (kind) => icon(KIND_ICONS[kind] ?? "dash-circle-fill");

export function toast(message, kind = "success") {
  const close = element("button", {
    type: "button",
    class: "btn-close btn-sm",
    "data-bs-dismiss": "toast",
    "aria-label": words.close,
  });
  const text = element("div", { class: "flex-grow-1" }, message);
  const body = element(
    "div",
    { class: "toast-body d-flex gap-2 align-items-start" },
    kindIcon(kind),
    text,
    close,
  );
  const box = element("div", { class: `toast text-bg-${kind}` }, body);
  document.getElementById("toasts").append(box);
  showToast(box, kind);
}

function showToast(box, kind) {
  box.addEventListener("hidden.bs.toast", () => box.remove());
  bootstrap.Toast.getOrCreateInstance(box, { autohide: !["danger", "warning"].includes(kind) }).show();
}

// ---- figures, as the server writes them --------------------------------------------------------------

const locale = document.documentElement.lang;
const plain = new Intl.NumberFormat(locale);
export const num = (value, digits = 0) =>
  value === null || value === undefined
    ? "–"
    : new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);
export const short = (value) =>
  value === null || value === undefined
    ? "–"
    : Math.abs(value) < 10000
      ? plain.format(Math.round(value * 10) / 10)
      : new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 }).format(value);
export function size(value) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${num(value, unit && value < 100 ? 1 : 0)} ${units[unit]}`;
}
export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${num(ms, ms < 10 ? 1 : 0)} ms`;
  if (ms < 60000) return `${num(ms / 1000, ms < 10000 ? 2 : 1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

// ---- parts of every page -------------------------------------------------------------------------------

function themes() {
  for (const form of document.querySelectorAll("[data-theme-form]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const chosen = event.submitter.value;
      document.documentElement.applyTheme(chosen);
      for (const button of form.querySelectorAll("button"))
        button.classList.toggle("active", button === event.submitter);
      const shown = form.parentElement.querySelector("[data-bs-toggle] use");
      shown.setAttribute("href", event.submitter.querySelector("use").getAttribute("href"));
      bootstrap.Dropdown.getInstance(form.previousElementSibling)?.hide();
      post(form.action, { theme: chosen });
    });
  }
}

function zone() {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const root = document.documentElement;
  if (!here || here === root.dataset.zone) return;
  post(meta("preferences"), { zone: here });
  const twelve = new Intl.DateTimeFormat(locale, {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hour12: false,
  });
  for (const time of document.querySelectorAll("time[datetime]")) {
    if (/\d\d:\d\d$/.test(time.textContent)) time.textContent = twelve.format(new Date(time.dateTime));
  }
}

async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = element("textarea", { readonly: true, class: "visually-hidden" });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("copy");
}

function clicks() {
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (!copy) return;
    const source = copy.dataset.copy
      ? document.getElementById(copy.dataset.copy)
      : copy.closest("[data-copy-box]").querySelector("code");
    try {
      await copyText(source.textContent);
      toast(words.copied);
    } catch {
      toast(words.copy_failed, "warning");
    }
  });
}

function forms() {
  // A filter applies itself; the button stays for those without scripts.
  for (const form of document.querySelectorAll("form[data-auto]")) {
    form.addEventListener("change", (event) => {
      if (event.target.type !== "text" && event.target.type !== "search") form.requestSubmit();
    });
    form.addEventListener("submit", () => {
      for (const input of form.elements) if (input.name && !input.value) input.disabled = true;
    });
  }
  for (const form of document.querySelectorAll("form[method='post']:not([data-theme-form])")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) {
        event.preventDefault();
        return;
      }
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
      document.querySelectorAll(`input[type=checkbox][name="${box.dataset.checkAll}"]`).forEach((other) => {
        other.checked = box.checked;
      });
    });
  }
  document.querySelector(".is-invalid")?.focus();
}

/** Let what the server had to say go as its toasts do. */
function toasts() {
  for (const box of document.querySelectorAll(".toast.show")) {
    const kind = ["danger", "warning"].find((one) => box.classList.contains(`text-bg-${one}`));
    showToast(box, kind);
  }
}

themes();
zone();
clicks();
forms();
askBeforeLeaving();
toasts();
if (keepTyped()) toast(words.typed, "info");
