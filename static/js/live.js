// What is live on a page: one stream of events that brings HTML for each element with data-live.
//
// The stream is closed while the page is hidden. The server sends a beat every few seconds; without
// two of them the header says that the gateway cannot be reached, until the next event.

import { Idiomorph } from "../vendor/idiomorph/idiomorph.esm.js";
import { parsed } from "./gateway.js";

const RETRY_MS = 2000;
const events = document.querySelector('meta[name="events"]');
const beatMs = Number(events.dataset.beatS) * 1000;
const subscriptions = new Map();
let source = null;
let silence = null;
let retry = null;

/** Have `show` called with the data of a topic whenever it changed; `query` narrows what is meant. */
export function subscribe(topic, query, show) {
  subscriptions.set(topic, { query, show });
  open();
}

export function unsubscribe(topic) {
  subscriptions.delete(topic);
  open();
}

/** What stays when an element's content is renewed, beside all that is the same: open folds, and charts, which get
 * their new figures only. */
const callbacks = {
  beforeAttributeUpdated: (name) => name !== "open",
  beforeNodeMorphed(old, fresh) {
    if (!old.dataset || !("chart" in old.dataset)) return true;
    old.querySelector("script").textContent = fresh.querySelector("script").textContent;
    return false;
  },
};

/** Make an element's content what `html` says. It was drawn for many pages: this one's token goes into its forms. */
function renew(element, html) {
  const content = parsed(html);
  for (const input of content.querySelectorAll('input[name="csrf_token"]'))
    input.setAttribute("value", document.querySelector('meta[name="csrf-token"]').content);
  Idiomorph.morph(element, content, { morphStyle: "innerHTML", callbacks });
}

// ---- the stream ------------------------------------------------------------------------------------

function address() {
  const query = new URLSearchParams({ topics: [...subscriptions.keys()] });
  for (const { query: given } of subscriptions.values())
    for (const [name, value] of new URLSearchParams(given)) query.append(name, value);
  return `${events.content}?${query}`;
}

function open() {
  close();
  if (document.hidden || !subscriptions.size) return;
  source = new EventSource(address());
  for (const [topic, { show }] of subscriptions)
    source.addEventListener(topic, (event) => {
      heard();
      show(JSON.parse(event.data));
    });
  source.addEventListener("beat", heard);
  source.addEventListener("ended", leave);
  source.addEventListener("error", () => {
    if (source?.readyState === EventSource.CLOSED) retry = setTimeout(ask, RETRY_MS);
  });
  listen();
}

function close() {
  source?.close();
  source = null;
  clearTimeout(silence);
  clearTimeout(retry);
}

/** The browser gave up: the gateway is away, or answers something else because the session ended. */
async function ask() {
  const answer = await fetch(address(), { method: "HEAD", redirect: "manual" }).catch(() => null);
  if (answer?.type === "opaqueredirect") leave();
  else if (answer?.ok) open();
  else retry = setTimeout(ask, RETRY_MS);
}

function listen() {
  clearTimeout(silence);
  silence = setTimeout(() => say("unreachable"), 2.5 * beatMs);
}

function heard() {
  listen();
  say("header-state");
}

/** Show one of the header's three states, and marks of what is live only with the first. */
function say(state) {
  for (const id of ["header-state", "unreachable", "signed-out"])
    document.getElementById(id)?.classList.toggle("d-none", id !== state);
  for (const dot of document.querySelectorAll("[data-live-dot]")) dot.hidden = state !== "header-state";
}

function leave() {
  close();
  subscriptions.clear();
  say("signed-out");
}

for (const element of document.querySelectorAll("[data-live]"))
  subscriptions.set(element.dataset.live, {
    query: element.dataset.liveQuery,
    show(html) {
      renew(element, html);
      element.dispatchEvent(new CustomEvent("live"));
    },
  });
document.addEventListener("visibilitychange", open);
addEventListener("pagehide", close);
open();
