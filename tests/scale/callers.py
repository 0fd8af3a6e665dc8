"""People who keep calling while things happen to the site, and what became of each call."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import requests

WAIT_S = 120.0
PAUSE_S = 0.05
"""Between two calls of a caller: what happens to the site needs a processor, too."""
QUESTION = [{"role": "user", "content": "When is low tide?"}]


@dataclass(slots=True)
class Outcome:
    """What callers got, by kind."""

    good: int = 0
    bad: list[str] = field(default_factory=list)
    bad_whole: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, problem: str, request_id: str, stream: bool) -> None:
        """Note one call; an empty problem is a good one."""
        with self.lock:
            if request_id:
                self.ids.append(request_id)
            if problem:
                self.bad.append(problem)
                if not stream:
                    self.bad_whole.append(problem)
            else:
                self.good += 1


def call(url: str, key: str, *, stream: bool, model: str = "llama3.2") -> tuple[str, str]:
    """Make one call without any repeating; give what was wrong with it ("": nothing) and its id."""
    body = {"model": model, "messages": QUESTION, "stream": stream}
    headers = {"Authorization": f"Bearer {key}"}
    try:
        with requests.post(
            f"{url}/v1/chat/completions", json=body, headers=headers, stream=stream, timeout=120
        ) as answer:
            request_id = answer.headers.get("x-request-id", "")
            if answer.status_code != 200:
                return f"{answer.status_code} {answer.text[:200]}", request_id
            text = answer.text
    except requests.RequestException as error:
        return f"{type(error).__name__}: {error}", ""
    ended = text.endswith("data: [DONE]\n\n") if stream else '"finish_reason":"stop"' in text
    return "" if ended else f"cut off: {text[-200:]}", request_id


class Callers:
    """Threads that call again and again until they are told to stop. A context manager."""

    def __init__(self, url: str, key: str, count: int = 6) -> None:
        self.outcome = Outcome()
        self.streams = (count + 1) // 2
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(url, key, number % 2 == 0), daemon=True)
            for number in range(count)
        ]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(150)

    def until(self, good: int) -> None:
        """Wait until that many further calls went well."""
        goal = self.outcome.good + good
        until_s = time.monotonic() + WAIT_S
        while self.outcome.good < goal:
            assert time.monotonic() < until_s, self.outcome.bad
            self._stop.wait(0.02)

    def _run(self, url: str, key: str, stream: bool) -> None:
        while not self._stop.is_set():
            self.outcome.note(*call(url, key, stream=stream), stream)
            self._stop.wait(PAUSE_S)
