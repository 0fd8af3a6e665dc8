"""Keeps count of one running call: phases, tokens, times; ends as the settlement of its usage
record."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from gateway.calls.explanation import Sent, as_text, body_text
from gateway.core.chat import EMPTY, Json
from gateway.core.events import Event, Failed, Finish, Ping, TextDelta, ThinkingDelta, ToolCallDone
from gateway.core.events import Usage as TokenUsage
from gateway.core.usage import Admission, Settlement
from gateway.errors import ClientGone, GatewayError
from gateway.policy import context, loads

if TYPE_CHECKING:
    from gateway.core.catalog import Model
    from gateway.scheduling.tickets import Slot

_QUOTED = re.compile(r"(?<!\w)['\"].*['\"](?!\w)", re.DOTALL)
"""From the first quote to the last, not an apostrophe: what is quoted may hold quotes itself."""

Phase = Literal["queued", "loading", "thinking", "answering"]


@dataclass(slots=True)
class CallStats:
    """Counts of one call. Written by the call's own greenlet, read by the live view.

    Times are monotonic seconds; `records` approximates tokens while the true count is not known
    yet. `choices_a_prompt` is how many answers each prompt gets, `prompt_estimate` stands in for
    the prompt where Ollama could not count it, `has_one_prompt` tells that it is of one alone,
    `head_sent` that a stream has begun. `answers` tells that text has come and nothing but its
    records is left to count. `window` is the context window the call runs with, 0 where it is not
    known. `sent` is the last request that went to Ollama, `before` what was known of its model
    there. `kept_chars` bounds each text that is kept, 0 where none is.
    """

    admission: Admission
    started_s: float = field(default_factory=time.monotonic)
    choices_a_prompt: int = 1
    prompt_estimate: int = 0
    has_one_prompt: bool = True
    head_sent: bool = False
    phase: Phase = "queued"
    records: int = 0
    queued_ms: float | None = None
    first_token_s: float | None = None
    first_answer_s: float | None = None
    had_thinking: bool = False
    had_calls: bool = False
    server_id: int | None = None
    server_name: str = ""
    route_reason: str = ""
    upstream_calls: int = 0
    window: int = 0
    sent: Sent | None = None
    before: loads.Before | None = None
    usage: TokenUsage | None = None
    finish: str = ""
    error: GatewayError | None = None
    ignored: tuple[str, ...] = ()
    request_body: str | None = None
    texts: list[str] | None = None
    thoughts: list[str] = field(default_factory=list)
    answers: bool = False
    kept_chars: int = 0
    _room: int = 0
    _thoughts_room: int = 0
    _prompts: set[int] = field(default_factory=set)
    _took_over: bool = False

    def keep_bodies(self, body: Mapping[str, Json], limit: int) -> None:
        """Keep what is asked, sent, thought and answered, each up to `limit` characters: an admin
        switched that on."""
        self.request_body = as_text(body, limit)
        self.texts = []
        self.kept_chars = self._room = self._thoughts_room = limit

    @property
    def upstream_body(self) -> str | None:
        """The JSON that went to Ollama, where texts are kept."""
        if self.sent is None or not self.kept_chars:
            return None
        return body_text(self.sent, self.kept_chars)

    def on_events(self, events: Sequence[Event], choice: int = 0) -> None:
        """Count events of a choice."""
        for event in events:
            match event:
                case TextDelta() | ToolCallDone():
                    self.records += 1
                    if self.first_answer_s is None:
                        self.first_answer_s = time.monotonic()
                        self.phase = "answering"
                        self.answers = self.texts is None
                    self.had_calls |= isinstance(event, ToolCallDone)
                    self.first_token_s = self.first_token_s or self.first_answer_s
                    if self._room > 0:
                        self._keep(event)
                case ThinkingDelta(text=text):
                    self.records += 1
                    if self._thoughts_room > 0:
                        self.thoughts.append(text[: self._thoughts_room])
                        self._thoughts_room -= len(text)
                    self.had_thinking = True
                    self.first_token_s = self.first_token_s or time.monotonic()
                    self.phase = "thinking"
                case Finish(reason, usage):
                    called = reason == "stop" and self.had_calls
                    self.finish = "tool_calls" if called else reason
                    self._count(usage, choice // self.choices_a_prompt)
                case Failed(error):
                    self.fail(error)
                case Ping():
                    pass

    def _keep(self, event: TextDelta | ToolCallDone) -> None:
        """Keep a text for the request page."""
        if isinstance(event, TextDelta):
            text = event.text
        else:
            text = f"\n[{event.name}({event.arguments})]\n"
        assert self.texts is not None
        self.texts.append(text[: self._room])
        self._room -= len(text)

    def _count(self, usage: TokenUsage, prompt: int) -> None:
        """Add what a choice took; a prompt that is answered several times counts once (D16)."""
        if prompt in self._prompts:
            usage = replace(usage, prompt_tokens=0, cached_tokens=0)
        self._prompts.add(prompt)
        self.usage = usage if self.usage is None else self.usage + usage

    def on_fallback(self, model: Model) -> None:
        """Remember that another model answers than was asked for."""
        self.admission = replace(self.admission, model_id=model.id, model=model.display_name)
        self._took_over = True

    def note_ignored(self, path: str) -> None:
        """Remember a field that turned out to have no effect."""
        self.ignored = (*self.ignored, path)

    def on_held_back(self, waited_s: float) -> None:
        """Remember that the call let others go first, as time in the queue."""
        if waited_s:
            self.queued_ms = (self.queued_ms or 0.0) + waited_s * 1000

    def on_slot(self, slot: Slot) -> None:
        """Remember where the call runs now; it has left the queue."""
        self.upstream_calls += 1
        self.server_id = slot.server.id
        self.server_name = slot.server.name
        self.route_reason = slot.choice.reason
        self.queued_ms = (self.queued_ms or 0.0) + slot.queued_ms
        if self.phase == "queued":
            self.phase = "loading"

    def on_sent(self, slot: Slot, sent: Sent) -> None:
        """Remember what goes to Ollama, and what is known of the model there."""
        here, params = slot.deployment, sent.request.params
        loaded = here.context_tokens
        self.window = params.options.get("num_ctx") or (loaded if loaded > 1 else 0)
        is_shared = here.in_flight - here.remote_in_flight > 1
        self.sent = sent
        self.before = loads.Before(here.sent, loaded, here.gone, is_shared)
        here.sent = params

    def fail(self, error: GatewayError) -> None:
        """Remember why the call failed."""
        self.error = error
        self.finish = finish_of(error)

    def settlement(
        self, now_s: float, explained: Mapping[str, Json] = EMPTY, sent: str | None = None
    ) -> Settlement:
        """Return the record's second half. `now_s` is monotonic, `explained` what the record says
        of parameters, `sent` the JSON that went to Ollama where texts are kept."""
        usage, admission, error = self.usage, self.admission, self.error
        if usage is None:  # its counts never came: nothing was taken, if it never began
            usage = TokenUsage()
            if self.records:
                usage = TokenUsage(self.prompt_estimate, self.records, estimated=True)
        load_ms = usage.load_ns / 1e6
        return Settlement(
            request_id=self.admission.request_id,
            status=200 if error is None else self._status(error),
            finish=self.finish or "stop",
            error_code="" if error is None else error.code,
            error_message=""
            if error is None
            else recorded_words(
                error, with_texts=self.texts is not None, model=admission.requested_model
            ),
            server_id=self.server_id,
            server_name=self.server_name,
            route_reason=self.route_reason,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            cached_tokens=usage.cached_tokens,
            estimated=usage.estimated,
            queue_ms=self.queued_ms,
            first_token_ms=self._since_start(self.first_token_s),
            first_answer_ms=self._since_start(self.first_answer_s),
            duration_ms=(now_s - self.started_s) * 1000,
            ollama_load_ms=load_ms or None,
            ollama_prompt_ms=usage.prompt_ns / 1e6 or None,
            ollama_eval_ms=usage.eval_ns / 1e6 or None,
            upstream_calls=self.upstream_calls,
            context_tokens=self.window,
            load_reason=self._load_reason(load_ms),
            cut=self._looks_cut(usage),
            had_thinking=self.had_thinking,
            explain=explained,
            request_body=self.request_body,
            upstream_body=sent,
            thinking_body="".join(self.thoughts) or None,
            response_body=None if self.texts is None else "".join(self.texts),
            model_id=admission.model_id if self._took_over else None,
            model=admission.model if self._took_over else "",
        )

    def _load_reason(self, load_ms: float) -> str:
        if load_ms <= loads.LOAD_MS or self.sent is None or self.before is None:
            return ""
        return self.before.reason(self.sent.request.params) or ""

    def _looks_cut(self, usage: TokenUsage) -> bool:
        is_known = self.has_one_prompt and not usage.estimated
        return is_known and context.looks_cut(
            self.prompt_estimate, usage.prompt_tokens, self.window
        )

    def _status(self, error: GatewayError) -> int:
        """Return what the client got: a stream that failed inside had begun with 200."""
        begun = self.head_sent or (self.admission.streamed and self.first_token_s is not None)
        return 200 if begun and not isinstance(error, ClientGone) else error.status

    def _since_start(self, at_s: float | None) -> float | None:
        return None if at_s is None else (at_s - self.started_s) * 1000


def finish_of(error: GatewayError) -> str:
    """Return the word a record has for the end of a call that failed so."""
    return error.code if error.code in {"client_closed", "cancelled"} else "error"


def recorded_words(error: GatewayError, *, with_texts: bool, model: str = "") -> str:
    """Return what a record says of a failure: unless texts are kept, nothing that a caller, a model
    or Ollama said, but for the field in question and the name of the model asked for."""
    if with_texts:
        return error.message[:500]
    if error.recorded is not None:
        return error.recorded
    names = (error.param, (error.param or "").rpartition(".")[2], model)
    known = sorted({repr(name) for name in names if name}, key=len, reverse=True)
    kept = re.compile("(" + "|".join(map(re.escape, known)) + ")") if known else None
    pieces = [error.message] if kept is None else kept.split(error.message)
    return "".join(piece if piece in known else _QUOTED.sub("'…'", piece) for piece in pieces)[:500]


def rejection(request_id: str, error: GatewayError, model: str) -> Settlement:
    """Return the second half of the record of a call for `model` that never began."""
    return Settlement(
        request_id=request_id,
        status=error.status,
        finish=finish_of(error),
        error_code=error.code,
        error_message=recorded_words(error, with_texts=False, model=model),
    )
