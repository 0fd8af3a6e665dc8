// One request to the gateway, and the events of its answer.
import { words } from "./words.js";

const token = document.querySelector('meta[name="csrf-token"]').content;

/** Return the response to a JSON body. */
export function send(url, body, signal) {
  return fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": token },
    body: JSON.stringify(body),
    signal,
    credentials: "same-origin",
    redirect: "manual",
  });
}

/** Return a response that is no answer as the event of a failure. */
export const refusal = (response) => ({
  type: "failed",
  status: response.status,
  code: response.statusText,
  message: words.refused,
});

/** Yield the events of an answer; what goes wrong on the way is an event as well. */
export async function* events(url, body, signal) {
  try {
    const response = await send(url, body, signal);
    if (response.type === "opaqueredirect") {
      location.reload(); // the session ended: the page leads to the sign-in
      return;
    }
    if (!response.ok || !response.headers.get("content-type")?.startsWith("text/event-stream")) {
      yield refusal(response);
      return;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const frames = (rest + value).split("\n\n");
      rest = frames.pop();
      for (const frame of frames) if (frame.startsWith("data: ")) yield JSON.parse(frame.slice(6));
    }
  } catch (error) {
    if (error.name === "AbortError") yield { type: "stopped" };
    else yield { type: "failed", status: 0, code: "network", message: String(error.message) };
  }
}
