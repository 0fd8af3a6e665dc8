"""The kit: every client with its text, the calls it makes and what it needs of a model.

One source for the console's pages, `flask client-config` and `docs/clients.md`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.core.catalog import Model
from gateway.errors import Message
from gateway.policy.clients.pieces import PIECES

OLLAMA: Final = "api_chat"
"""The dialect of clients that speak Ollama's own API."""


@dataclass(frozen=True, slots=True)
class Client:
    """One client of the kit. `group` is code, agents or apps, `place` where the text belongs,
    `text` has places for address, key and model. `dialect` is the API it speaks, `steps` are the
    calls it makes, in their order, `window` the least tokens of context it works with (0: any)."""

    group: str
    id: str
    name: str
    place: str
    dialect: str
    steps: tuple[str, ...]
    window: int
    text: str

    @property
    def scope(self) -> str:
        """Which endpoint a key must be allowed for this client."""
        return "chat" if self.dialect == OLLAMA else self.dialect

    @property
    def suffix(self) -> str:
        """What stands behind the gateway's address where this client is told it."""
        if _CHAT.search(self.text):
            return "/v1/chat/completions"
        return "/v1" if _API.search(self.text) else ""


def missing(client: Client, model: Model, window: int) -> tuple[Message, ...]:
    """Return what a model lacks for a client, a sentence each. `window` is the model's context
    window in tokens; 0, and a capability nobody knows, count as enough."""
    names = {"model": model.display_name, "client": client.name}
    sizes = {"needed": f"{client.window:,}", "window": f"{window:,}"}
    found = []
    if model.can("completion") is False:
        found.append(Message("%(model)s does not write text: choose another model.", **names))
    if "tools" in client.steps and model.can("tools") is False:
        found.append(
            Message("%(model)s has no tools, but %(client)s needs them: choose another.", **names)
        )
    if 0 < window < client.window:
        found.append(
            Message(
                "%(client)s needs a context window of %(needed)s tokens, %(model)s has %(window)s: "
                "raise num_ctx, or choose another model.",
                **names,
                **sizes,
            )
        )
    return tuple(found)


_API: Final = re.compile(r"\$(\w+_)?api\b")
_CHAT: Final = re.compile(r"\$(\w+_)?chat\b")
_HEADS: Final = re.compile(
    r"^=== (\w+)\.(\w+): (.*?)(?: \| (.*))?\n"
    r"(?:calls (\w+): ([a-z ]+)(?:; (\d+) tokens)?\n)?",
    re.MULTILINE,
)


def read(pieces: str) -> dict[str, Client]:
    """Return the clients of a text in the form of `pieces`, by their ids. The line of calls may be
    left out."""
    parts = _HEADS.split(pieces)[1:]
    return {
        id: Client(
            group=group,
            id=id,
            name=name,
            place=place or "",
            dialect=dialect or "",
            steps=tuple((steps or "").split()),
            window=int(window or 0),
            text=text.rstrip("\n"),
        )
        for group, id, name, place, dialect, steps, window, text in zip(
            *(parts[at::8] for at in range(8)), strict=True
        )
    }


KIT: Final = read(PIECES)
"""Every client by its id, group by group."""
