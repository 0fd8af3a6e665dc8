// One request to the gateway, and the events of its answer.
import { copyOf, parsed, post } from "../gateway.js";

/** Yield the events of an answer, HTML as a `piece` of the page; what goes wrong on the way is an event as well. */
export async function* events(url, fields, signal) {
  try {
    const body = new Blob([JSON.stringify(fields)], { type: "application/json" });
    const response = await post(url, body, signal);
    if (response.type === "opaqueredirect") {
      location.reload(); // the session ended: the page leads to the sign-in
      return;
    }
    if (!response.ok) {
      yield failed(`${response.status} ${response.statusText}`);
      return;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const frames = (rest + value).split("\n\n");
      rest = frames.pop();
      for (const frame of frames) {
        const event = JSON.parse(frame.slice("data: ".length));
        yield { ...event, piece: event.html && parsed(event.html) };
      }
    }
  } catch (error) {
    if (error.name === "AbortError") yield { piece: copyOf("stopped") };
    else yield failed(error.message);
  }
}

function failed(title) {
  const note = copyOf("failed");
  note.querySelector("p").textContent = title;
  return { piece: note };
}
