"""A few callers who keep asking, so that there is something to see."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping

import requests

_PAUSE_S = (1.0, 6.0)
_QUESTIONS = (
    "When is low tide tomorrow?",
    "Name three birds of the shore.",
    "Write a packing list for a walk by the sea.",
    "Why is the sea salty?",
)


class Visitors:
    """Threads that call the gateway until they are told to stop."""

    def __init__(self, url: str, secrets: Mapping[str, str]) -> None:
        self._url = url
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(path, secrets[key], models), daemon=True)
            for path, key, models in (
                ("/v1/chat/completions", "Open WebUI", ("llama3.2", "gemma3:4b")),
                ("/v1/messages", "Coding agent", ("qwen3:8b", "claude-3-5-haiku-latest")),
                ("/v1/embeddings", "Documents to vectors", ("nomic-embed-text",)),
            )
        ]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop asking; calls under way end with the gateway."""
        self._stop.set()

    def _ask(self, path: str, secret: str, models: tuple[str, ...]) -> None:
        dice = random.Random()
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {secret}"
            while not self._stop.wait(dice.uniform(*_PAUSE_S)):
                body = _body(path, dice.choice(models), dice.choice(_QUESTIONS))
                try:
                    with session.post(
                        f"{self._url}{path}", json=body, stream=True, timeout=120
                    ) as answer:
                        for _ in answer.iter_content(4096):
                            if self._stop.is_set():
                                return
                except requests.RequestException:
                    continue  # the gateway is stopping; the next turn ends the loop


def _body(path: str, model: str, question: str) -> dict[str, object]:
    if path == "/v1/embeddings":
        return {"model": model, "input": [question]}
    turn = [{"role": "user", "content": question}]
    return {"model": model, "messages": turn, "max_tokens": 400, "stream": True}
