"""From the name a caller wrote to the model that is meant (docs/contract/names.md).

Only enabled, available models count. The first step that finds something wins:

    1 display name             4 name without :latest is a display name
    2 original name            5 alias, then alias patterns, longest first
    3 name + :latest           6 all of these without regard to case, if that is one model
    7 a registry prefix removed, then 1 to 6 once more
    8 any spelling Ollama takes for the same model (full registry names, `:local`)
    9 the fallback model of the settings

What a key has for the role in a name goes before alias patterns and all below: `policy/roles.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.core.catalog import Alias, Model, Resolved
from gateway.core.chat import Json
from gateway.errors import InvalidRequest, ModelNotFound
from gateway.policy import names

PREFIXES: Final = ("ollama/", "ollama_chat/", "openai/", "library/")
_LATEST: Final = ":latest"
_SHOWN: Final = 200


class Index:
    """The models of one snapshot, arranged for looking up names. Never changed after it is
    built."""

    def __init__(self, models: Iterable[Model], allow_cloud: bool = True) -> None:
        self.models = tuple(
            model
            for model in models
            if model.enabled and model.available and (allow_cloud or not _is_cloud(model))
        )
        self._exact = _Tables(self.models, folded=False)
        self._folded = _Tables(self.models, folded=True)
        self._keys: dict[str, list[Model]] = {}
        for model in self.models:
            self._keys.setdefault(names.key_of(model.name), []).append(model)

    def find(self, name: str, *, patterns: bool = True) -> Resolved | None:
        """Return what a name means, if wanted without alias patterns; None when nothing has this
        name."""
        for prefix in ("", *PREFIXES):
            if name.lower().startswith(prefix):
                rest = name[len(prefix) :]
                found = self._exact.find(rest, patterns) or self._folded.find(
                    rest.casefold(), patterns
                )
                if found is not None:
                    return found
        local = name.lower().endswith(":local")  # which forbids the cloud
        parsed = names.parse_name(name[: -len(":local")] if local else name)
        if parsed is None:
            return None
        same = self._keys.get(parsed.key, ())
        if len(same) != 1 or (local and _is_cloud(same[0])):
            return None
        return Resolved(same[0])


class _Tables:
    """Steps 1 to 5, with names as they are or without case."""

    def __init__(self, models: Iterable[Model], folded: bool) -> None:
        fold = str.casefold if folded else str
        self._display: dict[str, list[Resolved]] = {}
        self._original: dict[str, list[Resolved]] = {}
        self._alias: dict[str, list[Resolved]] = {}
        patterns: list[tuple[str, Alias, Model]] = []
        for model in models:
            self._display.setdefault(fold(model.display_name), []).append(Resolved(model))
            self._original.setdefault(fold(model.name), []).append(Resolved(model))
            for alias in model.aliases:
                if alias.is_pattern:
                    patterns.append((alias.name, alias, model))
                else:
                    self._alias.setdefault(fold(alias.name), []).append(Resolved(model, alias))
        self._patterns = sorted(patterns, key=lambda entry: (-len(entry[0]), entry[0]))
        self._folded = folded

    def find(self, name: str, patterns: bool) -> Resolved | None:
        """Return the first step's find that is one model."""
        for found in self._steps(name, patterns):
            if len({one.model.id for one in found}) == 1:
                return found[0]
        return None

    def _steps(self, name: str, patterns: bool) -> Iterator[list[Resolved]]:
        nothing: list[Resolved] = []
        yield self._display.get(name, nothing)
        yield self._original.get(name, nothing)
        if not names.has_tag(name):
            yield self._original.get(name + _LATEST, nothing)
        elif name.endswith(_LATEST):
            yield self._display.get(name[: -len(_LATEST)], nothing)
        yield self._alias.get(name, nothing)
        for pattern, alias, model in self._patterns if patterns else ():
            if names.matches(pattern, name, case=not self._folded):
                yield [Resolved(model, alias)]


def resolve(name: Json, index: Index, fallback: str = "") -> Resolved:
    """Return the model a caller's `model` field means. Raises InvalidRequest, ModelNotFound."""
    if name is not None and not isinstance(name, str):
        raise InvalidRequest("'model' must be a string.", param="model", code="invalid_type")
    wanted = (name or "").strip()
    if not wanted:
        raise InvalidRequest(
            "You must provide a model parameter.",
            param="model",
            code="missing_required_parameter",
        )
    found = index.find(wanted) if len(wanted) <= names.MAX_NAME else None
    if found is None and fallback:
        found = index.find(fallback.strip())
    if found is None:
        raise not_found(wanted)
    return found


def not_found(name: str, similar: Sequence[str] = ()) -> ModelNotFound:
    """Return the error for a name nobody has: one text for unknown, disabled and unavailable, and
    the names that the caller may have meant. It says "not found", for which Ollama's command line
    looks (`cmd/interactive.go`), and "does not exist", as OpenAI does."""
    shown = "".join(c if c.isprintable() else "?" for c in name[:_SHOWN])
    sentence = f"The model '{shown}' was not found: it does not exist or is not available here."
    if similar:
        sentence += " Did you mean '{}'?".format("' or '".join(similar))
    return ModelNotFound(sentence, param="model")


def _is_cloud(model: Model) -> bool:
    return model.remote or names.is_cloud(model.name)
