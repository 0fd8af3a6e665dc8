"""Where an answer leaves: counted, timed, and on a short way where the long one would do nothing.

    batches   pass every layer of the relay; a generator each is resumed for them
    words     go from Ollama's socket to the dialect in four steps

The short way opens after a batch of plain text that came out of the layers as it went in, while
none of them counts or checks text. Whatever is not the next piece of such text is put back and
closes it again: the layers see it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from gateway.calls.stats import Tally
from gateway.core.events import Batch, Event, TextDelta
from gateway.ollama.upstream import Upstream
from gateway.ollama.wire import Decoder


class Outlet:
    """What leaves one answer. Used by the greenlet of the call; `is_stuck` from anywhere."""

    __slots__ = (
        "_decode",
        "_gives",
        "_is_given",
        "_is_open",
        "_looked",
        "_next_line",
        "_passing",
        "_put_back",
        "_tally",
    )

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._gives = 0
        self._is_given = False
        self._looked = (0, 0.0)
        self._is_open = False
        self._passing: Sequence[Event] | None = None
        self._next_line: Callable[[], bytes | None]
        self._put_back: Callable[[], None]
        self._decode: Callable[[bytes], str | None]

    def give(self, batch: Batch) -> None:
        """Count a batch that leaves now."""
        choice, events = batch
        self._tally.see(events, choice)
        self._gives += 1
        self._is_given = True
        self._is_open = events is self._passing

    def taken(self) -> None:
        """Note that the caller has taken what was given."""
        self._is_given = False

    def offer(self, events: Sequence[Event], upstream: Upstream, decoder: Decoder) -> None:
        """Open the short way if `events`, which just came, are plain text and leave as they are.
        Only for an answer whose text no layer counts, keeps or checks."""
        if len(events) != 1:
            return
        event = events[0]
        if isinstance(event, TextDelta) and not event.logprobs and self._tally.texts is None:
            self._passing = events
            self._next_line, self._put_back = upstream.quick_lines()
            self._decode = decoder.text

    def words(self) -> str | None:
        """Return the next piece of text; None where the next batch says what comes. To be asked
        only when the batch before has been taken."""
        if not self._is_open:
            return None
        self._is_given = False
        line = self._next_line()
        if line is not None:
            text = self._decode(line)
            if text is not None:
                self._tally.records += 1
                self._gives += 1
                self._is_given = True
                return text
            self._put_back()
        self._is_open = False
        return None

    def is_stuck(self, limit_s: float) -> bool:
        """Whether the caller has taken nothing of what was given for longer than `limit_s`. To be
        asked now and then: nobody looks at the clock for each token."""
        now_s = time.monotonic()
        gives, since_s = self._looked
        if not self._is_given or gives != self._gives:
            self._looked = self._gives, now_s
            return False
        return now_s - since_s > limit_s
