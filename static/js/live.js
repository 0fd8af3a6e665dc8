// What is live on a page: one stream of events that brings HTML for each element with data-live.
//
// The stream is closed while the page is hidden. The server sends a beat every few seconds; without
// two of them the header says that the gateway cannot be reached, until the next event.

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

/** Let a topic go. */
export function unsubscribe(topic) {
  subscriptions.delete(topic);
  open();
}

/** Make an element's content what `html` says; what is the same stays, and so focus, folds and charts. */
function renew(target, html) {
  const content = parsed(html);
  const token = document.querySelector('meta[name="csrf-token"]').content;
  // What comes live is drawn for many pages: this one's token goes into its forms.
  for (const input of content.querySelectorAll('input[name="csrf_token"]'))
    input.setAttribute("value", token);
  renewChildren(target, content);
}

/** Return HTML of the server as nodes. */
export function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

function renewChildren(old, fresh) {
  const keys = new Set([...fresh.children].map((one) => one.dataset.id));
  const known = new Map();
  for (const one of [...old.children]) {
    if (!one.dataset.id) continue;
    if (keys.has(one.dataset.id)) known.set(one.dataset.id, one);
    else one.remove();
  }
  let place = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    const same = node.dataset?.id ? known.get(node.dataset.id) : place;
    if (same && isAlike(same, node)) {
      if (same === place) place = place.nextSibling;
      else old.insertBefore(same, place);
      renewNode(same, node);
    } else {
      old.insertBefore(node, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

const isAlike = (old, fresh) => old.nodeName === fresh.nodeName && old.dataset?.id === fresh.dataset?.id;

function renewNode(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  const isFold = old.nodeName === "DETAILS";
  for (const { name } of [...old.attributes])
    if (!fresh.hasAttribute(name) && !(isFold && name === "open")) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes)
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  if (!old.hasAttribute("data-chart")) renewChildren(old, fresh);
  else old.querySelector("script").textContent = fresh.querySelector("script").textContent;
}

// ---- the stream ------------------------------------------------------------------------------------

function address() {
  const query = new URLSearchParams({ topics: [...subscriptions.keys()].join(",") });
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
  silence = setTimeout(() => reachable(false), 2.5 * beatMs);
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

function heard() {
  clearTimeout(silence);
  silence = setTimeout(() => reachable(false), 2.5 * beatMs);
  reachable(true);
}

const toggle = (id, is) => document.getElementById(id)?.classList.toggle("d-none", !is);

function reachable(is) {
  toggle("header-state", is);
  toggle("unreachable", !is);
  for (const dot of document.querySelectorAll("[data-live-dot]")) dot.hidden = !is;
}

function leave() {
  close();
  subscriptions.clear();
  reachable(false);
  toggle("unreachable", false);
  toggle("signed-out", true);
}

for (const element of document.querySelectorAll("[data-live]"))
  subscriptions.set(element.dataset.live, {
    query: element.dataset.liveQuery ?? "",
    show: (html) => {
      renew(element, html);
      element.dispatchEvent(new CustomEvent("live"));
    },
  });
document.addEventListener("visibilitychange", open);
addEventListener("pagehide", close);
open();
