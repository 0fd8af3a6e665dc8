"""Lays the layers of parameters over each other and remembers where each value came from.

Strong to weak (docs/contract/parameters.md):

    force:key     what the key forces
    force:alias   the `force` object of the alias's override
    force:model   the `force` object of the model's override
    request       what the caller wrote
    alias         the override of the alias that was used
    model         the override of the model
    key           what the key brings as defaults
    default       the endpoint's and the gateway's settings

Values are never merged: the strongest layer that says something about a key decides it alone. Two
keys are limits instead, `max_tokens_cap` and `max_num_ctx`: the smallest of all layers holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from gateway.core.catalog import Resolved
from gateway.core.chat import (
    EMPTY,
    Call,
    ChatRequest,
    CompletionRequest,
    DecisionRequest,
    EmbedRequest,
    Json,
    Message,
    Params,
    Sendable,
)
from gateway.core.options import KEYS, OPTIONS, SPELLINGS
from gateway.policy import context
from gateway.schemas.key import Key
from gateway.schemas.settings import RuntimeSettings

R = TypeVar("R", bound=Sendable)
Reason: TypeAlias = Literal["forced", "capped", "not allowed", "unknown", "no use"]
ReasoningField: TypeAlias = Literal["reasoning_content", "reasoning", "both"]

_PARAMS: Final = ("think", "format", "keep_alive", "truncate", "shift", "raw", "timeout_ms")
_RUNNER: Final = frozenset(name for name in KEYS if KEYS[name].runner) - {"num_ctx"}
"""What `allow_client_runner_options` is about: not `num_ctx`, which has its own limit. Where there
are steps for the window, requests may not set them either."""
_CAPS: Final = ("max_tokens_cap", "max_num_ctx")
_REQUEST: Final = "request"
_FOR_EMBEDDINGS: Final = frozenset(name for name, rule in KEYS.items() if rule.embeddings)
_FOR_DECISIONS: Final = frozenset({"keep_alive", "timeout_ms", "num_ctx", "max_num_ctx"})


@dataclass(frozen=True, slots=True)
class Layers:
    """What others than the caller say, in override words."""

    key_forced: Mapping[str, Json] = field(default_factory=lambda: EMPTY)
    alias: Mapping[str, Json] = field(default_factory=lambda: EMPTY)
    model: Mapping[str, Json] = field(default_factory=lambda: EMPTY)
    key_default: Mapping[str, Json] = field(default_factory=lambda: EMPTY)
    default: Mapping[str, Json] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Change:
    """A value the caller asked for and did not get: `name` as in `x-gateway-ignored`, and why."""

    name: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Applied(Generic[R]):
    """A request with everything laid over it.

    `ignored` are entries for `x-gateway-ignored`; `changes` everything that was not done as asked,
    for the log; `said` maps each key that a layer decided to its value, `provenance` to the layer.
    `timeout_ms` bounds the whole call, 0 is none.
    """

    request: R
    ignored: tuple[str, ...]
    changes: tuple[Change, ...]
    said: Mapping[str, Json]
    provenance: Mapping[str, str]
    timeout_ms: int
    hide_thinking: bool
    parse_think_tags: bool | Literal["opened"]
    reasoning_field: ReasoningField
    context_policy: context.Policy
    context_steps: tuple[int, ...]
    max_num_ctx: int


def layers_of(key: Key, resolved: Resolved, call: Call | None = None) -> Layers:
    """Gather the layers that concern one call."""
    default: dict[str, Json] = {}
    if call is not None:
        default["think"] = call.default_think
        default["raw"] = call.default_raw
        default["truncate"] = call.default_truncate
    return Layers(
        key_forced=key.forced_params,
        alias=EMPTY if resolved.alias is None else resolved.alias.override,
        model=resolved.model.override,
        key_default=key.default_params,
        default=default,
    )


def apply(request: R, layers: Layers, behaviour: RuntimeSettings) -> Applied[R]:
    """Lay all layers over a request."""
    merge = _Merge(request, layers, behaviour)
    won = merge.won
    changed = replace(request, params=merge.params(request))
    policy = won.get("context_policy", behaviour.context_policy)
    return Applied(
        request=_with_system(changed, merge),
        ignored=tuple(merge.ignored),
        changes=tuple(merge.changes),
        said=won,
        provenance=merge.sources,
        timeout_ms=won.get("timeout_ms", behaviour.request_timeout_ms),
        hide_thinking=won.get("exclude_reasoning", False),
        parse_think_tags=won.get("parse_think_tags", behaviour.parse_think_tags),
        reasoning_field=won.get("reasoning_field", behaviour.reasoning_field),
        context_policy=policy,
        context_steps=() if policy == "allow" else tuple(won.get("context_steps", ())),
        max_num_ctx=merge.caps.get("max_num_ctx", 0),
    )


def for_loading(
    override: Mapping[str, Json],
    behaviour: RuntimeSettings,
    request: Sendable,
    trained_tokens: int = 0,
) -> Params:
    """Return what a call like `request`, without wishes of its own, sends of all that decides how a
    model is loaded: loaded otherwise, the model would be loaded again for its first call."""
    applied = apply(request, Layers(model=override), behaviour)
    params = applied.request.params
    options = {
        name: value
        for name, value in params.options.items()
        if name in OPTIONS and OPTIONS[name].runner
    }
    wish = context.wish(
        applied.context_policy,
        estimate=0,
        answer=0,
        asked=options.get("num_ctx") or 0,
        steps=applied.context_steps,
        cap=applied.max_num_ctx or trained_tokens,
    )
    if wish is not None:
        options["num_ctx"] = wish.window(0)
    return Params(
        options=options or EMPTY,
        shift=params.shift if isinstance(request, ChatRequest) else None,
        keep_alive=params.keep_alive,
    )


def flatten(override: Json) -> dict[str, Json]:
    """Return an override's keys in one level: `options` below the flat ones, without `force`."""
    if not override:
        return {}
    flat = dict(override.get("options") or {})
    for name, value in override.items():
        if name not in ("options", "force"):
            flat[SPELLINGS.get(name, name)] = value
    return {name: value for name, value in flat.items() if value is not None}


class _Merge:
    """Which layer decides each key: `won` maps a key to its value, `sources` to its layer."""

    def __init__(self, request: Any, layers: Layers, behaviour: RuntimeSettings) -> None:
        self.ignored: list[str] = []
        self.changes: list[Change] = []
        self.won: dict[str, Json] = {}
        self.sources: dict[str, str] = {}
        self.caps: dict[str, int] = {}
        self._useful = _useful(request)
        asked = _asked(request.params)
        self._layers = layers
        layered = (
            ("default", layers.default),
            ("key", layers.key_default),
            ("model", layers.model),
            ("alias", layers.alias),
            (_REQUEST, self._allowed(asked, behaviour)),
            ("force:model", layers.model.get("force")),
            ("force:alias", layers.alias.get("force")),
            ("force:key", layers.key_forced),
        )
        caps = self.caps
        for source, override in layered:
            if not override:
                continue
            said = override if source == _REQUEST else flatten(override)
            for name, value in said.items():
                if name in _CAPS:
                    caps[name] = min(value, caps.get(name, value))
                else:
                    self._decide(name, source, value)
        policy = self.won.get("context_policy", behaviour.context_policy)
        if policy != "allow" and self._useful is None:
            self.won.setdefault("truncate", False)
        self._drop_useless(behaviour)
        for name, value in asked.items():
            forced = self.sources.get(name, "").startswith("force:")
            if forced and self.won[name] != value:
                self._change(name, "forced")
        if caps:
            self._cap(caps)

    def _decide(self, name: str, source: str, value: Json) -> None:
        self.won[name] = value
        self.sources[name] = source

    def params(self, request: Any) -> Params:
        """Return the parameters in force."""
        asked: Params = request.params
        options: dict[str, Json] = {}
        said: dict[str, Any] = dict.fromkeys(_PARAMS)
        for name, value in self.won.items():
            if name in said:
                said[name] = value
            elif name not in KEYS or name in OPTIONS:
                options[name] = value
        effort = asked.effort if self.sources.get("think") == _REQUEST else ""
        if said["think"] == "minimal":
            said["think"], effort = False, "minimal"
        if not isinstance(request, CompletionRequest) or request.suffix:
            said["raw"] = None  # it belongs to text completions; a suffix needs the template (D24)
        return replace(
            asked,
            options=options or EMPTY,
            hide_thinking=self.won.get("exclude_reasoning"),
            effort=effort,
            **said,
        )

    def _cap(self, caps: Mapping[str, int]) -> None:
        """Cut lengths to the limits of the layers."""
        most = caps.get("max_tokens_cap")
        if most is not None and self._useful is None:
            wanted = self.won.get("num_predict", -1)
            if wanted < 0 or wanted > most:
                if self.sources.get("num_predict") == _REQUEST:
                    self._change("max_tokens(capped)", "capped", told=True)
                self._decide("num_predict", "cap", most)
        most = caps.get("max_num_ctx")
        is_asked = self.sources.get("num_ctx") == _REQUEST
        if most is not None and is_asked and self.won["num_ctx"] > most:
            self._decide("num_ctx", "cap", most)
            self._change("num_ctx(capped)", "capped", told=True)

    def _allowed(self, asked: dict[str, Json], behaviour: RuntimeSettings) -> dict[str, Json]:
        """Return what the caller asked for, without what callers may not ask for here."""
        barred = asked.keys() & _RUNNER
        if barred and behaviour.allow_client_runner_options and not self._has_steps():
            barred = set()
        if not behaviour.allow_client_keep_alive:
            barred |= asked.keys() & {"keep_alive"}
        for name in barred:
            self._change(name, "not allowed", told=True)
        return {name: value for name, value in asked.items() if name not in barred}

    def _has_steps(self) -> bool:
        said = self._layers
        plain = (said.key_default, said.model, said.alias, said.key_forced)
        forced = (override.get("force") for override in plain)
        return any("context_steps" in override for override in (*plain, *forced) if override)

    def _drop_useless(self, behaviour: RuntimeSettings) -> None:
        """Remove options nobody knows, if the settings say so, and what embeddings and decisions
        have no use for."""
        for name, source in list(self.sources.items()):
            rule = KEYS.get(name)
            if rule is None and not behaviour.allow_unverified_options:
                del self.won[name], self.sources[name]
                self._change(f"options.{name}"[:80], "unknown", told=True)
            elif self._useful is not None and name not in self._useful:
                del self.won[name], self.sources[name]
                if source == _REQUEST:
                    self._change(name, "no use")

    def _change(self, name: str, reason: Reason, *, told: bool = False) -> None:
        self.changes.append(Change(name, reason))
        if told:
            self.ignored.append(name)


def _useful(request: Sendable) -> frozenset[str] | None:
    """Return the keys that mean something for a request; None where all may."""
    match request:
        case EmbedRequest():
            return _FOR_EMBEDDINGS
        case DecisionRequest():
            return _FOR_DECISIONS
        case ChatRequest() | CompletionRequest():
            return None


def _asked(params: Params) -> dict[str, Json]:
    """Return what a request says, in override words."""
    asked = dict(params.options)
    for name in _PARAMS:
        value = getattr(params, name)
        if value is not None:
            asked[name] = value
    if params.hide_thinking is not None:
        asked["exclude_reasoning"] = params.hide_thinking
    return asked


def _with_system(request: R, merge: _Merge) -> R:
    """Return the request with the system prompt of the layers, by `system_mode`."""
    system = merge.won.get("system", "")
    if not system:
        return request
    mode = merge.won.get("system_mode", "default")
    if merge.sources["system"].startswith("force:") and mode == "default":
        mode = "replace"
    if isinstance(request, CompletionRequest):
        if request.params.raw:
            return request  # a raw prompt has no place for it
        return replace(request, system=_joined(system, request.system or "", mode))
    assert isinstance(request, ChatRequest)  # the others have no use for a system prompt
    if not request.messages:
        return request  # it only loads the model; a message would be answered
    return replace(request, messages=_messages(request.messages, system, mode))


def _joined(system: str, own: str, mode: str) -> str:
    if not own or mode == "replace":
        return system
    if mode == "default":
        return own
    return f"{system}\n\n{own}" if mode == "prepend" else f"{own}\n\n{system}"


def _messages(messages: Sequence[Message], system: str, mode: str) -> tuple[Message, ...]:
    at = next((at for at, message in enumerate(messages) if message.role == "system"), None)
    if mode == "replace" or at is None:
        kept = (message for message in messages if message.role != "system")
        return (Message("system", system), *kept)
    changed = replace(messages[at], content=_joined(system, messages[at].content, mode))
    return (*messages[:at], changed, *messages[at + 1 :])
