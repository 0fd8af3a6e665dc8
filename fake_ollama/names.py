"""Model names as Ollama reads them: ``[host/][namespace/]model[:tag]``.

Defaults are ``registry.ollama.ai``, ``library`` and ``latest``. A ``:cloud`` or ``-cloud`` ending
asks for the cloud, ``:local`` forbids it. Source: ``types/model/name.go``,
``internal/modelref/modelref.go``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HOST = "registry.ollama.ai"
NAMESPACE = "library"
TAG = "latest"

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_MODEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")


@dataclass(frozen=True, slots=True)
class Name:
    """A whole name; ``key`` is how names are compared."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def full(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def short(self) -> str:
        """The form that lists show: defaults left out, the tag always there."""
        if self.host != HOST:
            return self.full
        if self.namespace != NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"

    @property
    def key(self) -> str:
        return self.full.lower()


def parse_name(text: str) -> Name | None:
    """Give the whole name, or None when it is not a valid one."""
    rest, host, namespace, tag = text, HOST, NAMESPACE, TAG
    head, colon, tail = rest.rpartition(":")
    if colon and "/" not in tail:
        rest, tag = head, tail
    parts = rest.rsplit("/", 2)
    if len(parts) == 3:
        host, namespace, model = parts
    elif len(parts) == 2:
        namespace, model = parts
    else:
        model = parts[0]
    checks = ((_HOST, host), (_NAMESPACE, namespace), (_MODEL, model), (_MODEL, tag))
    if any(pattern.fullmatch(part) is None for pattern, part in checks):
        return None
    return Name(host, namespace, model, tag)


def short_name(text: str) -> str:
    """The canonical short form of a name, or the text itself when it is no valid name."""
    name = parse_name(text)
    return text if name is None else name.short


def name_key(text: str) -> str:
    """What two spellings of one model share."""
    name = parse_name(text)
    return text.lower() if name is None else name.key


def split_source(text: str) -> tuple[str, str]:
    """Separate a name from its source: ``""``, ``"local"`` or ``"cloud"``.

    Raises ValueError when both are asked for.
    """
    base, local = _strip(text, ":local")
    base, cloud = _strip_cloud(base)
    if not local:
        base, local = _strip(base, ":local")
    if local and cloud:
        raise ValueError(f'use either :local or :cloud, not both: "{text}"')
    if cloud:
        return base, "cloud"
    return (base, "local") if local else (text, "")


def _strip(text: str, ending: str) -> tuple[str, bool]:
    if text.lower().endswith(ending):
        return text[: -len(ending)], True
    return text, False


def _strip_cloud(text: str) -> tuple[str, bool]:
    base, found = _strip(text, ":cloud")
    if found:
        return base, True
    _, colon, tag = text.rpartition(":")
    if colon and "/" not in tag and tag.lower().endswith("-cloud"):
        return text[: -len("-cloud")], True
    return text, False
