"""Every failure the gateway can answer with; docs/contract/errors.md has all their codes.

Status and words for machines live on the class or are given by keyword; the shape of the reply
lives in the dialects. Messages are English sentences a caller can act on: no stack trace, no
address of an Ollama server, no key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Self

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Message(str):
    """A sentence for people: English as a `str`, its template and values for other languages.

    `Message("There is no key %(id)s.", id=7)`. A value may be a Message as well.
    """

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, **values: object) -> Self:
        """Return the sentence with its values filled in."""
        made = super().__new__(cls, template % values if values else template)
        made.template, made.values = template, values
        return made


class GatewayError(Exception):
    """A failure with a status, machine-readable words and a sentence.

    `param` is the dotted path of the field concerned (`messages[2].content`), `retry_after_s` whole
    seconds (at most 60 go out), `should_retry` overrules what SDKs do by status, `headers` are
    sent as is. `recorded` is what records say instead of `message`, where that may quote others.
    """

    status: int = 500
    type: str = "server_error"
    code: str = "internal_error"
    anthropic_type: str = "api_error"
    retry_after_s: int | None = None
    should_retry: bool | None = None
    recorded: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        type: str | None = None,
        status: int | None = None,
        retry_after_s: int | None = None,
        should_retry: bool | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        detail: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = headers
        self.detail = detail
        given = {
            "code": code,
            "type": type,
            "status": status,
            "retry_after_s": retry_after_s,
            "should_retry": should_retry,
        }
        for name, value in given.items():  # others stay as the class has them
            if value is not None:
                setattr(self, name, value)


class InvalidRequest(GatewayError):
    """The caller's request cannot be served as written; `code` says why, `param` where."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"
    anthropic_type = "invalid_request_error"


class InvalidFields(InvalidRequest):
    """Values that a schema refuses; `problems` are (field, what is wrong with it)."""

    def __init__(self, problems: Sequence[tuple[str, Message]]) -> None:
        self.problems = problems
        (param, whole), *more = self.sentences()
        for _, sentence in more:
            whole = Message(_TWO, first=whole, second=sentence)
        super().__init__(whole, param=param)

    def sentences(self) -> list[tuple[str, Message]]:
        """Return a sentence for each field."""
        return [
            (name, Message("'%(field)s' %(problem)s.", field=name, problem=problem))
            for name, problem in self.problems
        ]


_TWO = "%(first)s %(second)s"


class ContextOverflow(InvalidRequest):
    """The prompt does not fit the window; `detail` may hold both sizes in tokens."""

    code = "context_length_exceeded"


class CapabilityMissing(InvalidRequest):
    """The model cannot do what was asked: tools, vision, audio, insert, embeddings, chat."""

    code = "tools_not_supported"


class Unauthenticated(GatewayError):
    """No usable key came with the request."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"
    anthropic_type = "authentication_error"


class Forbidden(GatewayError):
    """The key is good but may not do this."""

    status = 403
    type = "invalid_request_error"
    code = "permission_denied"
    anthropic_type = "permission_error"


class NotFound(GatewayError):
    """Nothing is at this address."""

    status = 404
    type = "invalid_request_error"
    code = "unknown_url"
    anthropic_type = "not_found_error"


class ModelNotFound(NotFound):
    """No enabled, available model has this name."""

    code = "model_not_found"


class MethodNotAllowed(GatewayError):
    """The path exists, the method does not; `headers` carries `Allow`."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"
    anthropic_type = "invalid_request_error"


class RequestTimeout(GatewayError):
    """The body came too slowly to wait for its end; not 408, which SDKs would repeat (D50)."""

    status = 400
    type = "invalid_request_error"
    code = "request_timeout"
    anthropic_type = "invalid_request_error"
    should_retry = False


class TooLarge(GatewayError):
    """The decoded body is over the limit."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"
    anthropic_type = "request_too_large"


class UnsupportedEncoding(GatewayError):
    """The body has a Content-Encoding nobody here can decode."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_encoding"
    anthropic_type = "invalid_request_error"


class RateLimited(GatewayError):
    """A limit per time, or of calls at once, is reached; `type` is `requests` or `tokens`."""

    status = 429
    type = "requests"
    code = "rate_limit_exceeded"
    anthropic_type = "rate_limit_error"
    retry_after_s: int | None = 1


class QuotaExhausted(RateLimited):
    """A budget of the key is used up: waiting a little does not help."""

    type = "insufficient_quota"
    code = "insufficient_quota"
    retry_after_s = None
    should_retry = False


class UpstreamError(GatewayError):
    """Ollama failed, or said something that cannot be understood."""

    status = 502
    code = "upstream_error"


class UpstreamUnreachable(UpstreamError):
    """No connection: refused, DNS, TLS, or reset before the head of the answer."""

    code = "upstream_unreachable"
    retry_after_s: int | None = 2


class RunnerDied(UpstreamError):
    """The process that runs the model ended; Ollama starts a new one at the next call."""


class UpstreamTimeout(UpstreamError):
    """A time limit passed: connect, silence, or the whole call."""

    status = 504
    code = "upstream_timeout"
    anthropic_type = "timeout_error"
    should_retry = False


class Unavailable(GatewayError):
    """Nobody can serve this now, but soon: queue full, servers down, shutting down, store gone."""

    status = 503
    code = "upstream_busy"
    anthropic_type = "overloaded_error"
    retry_after_s: int | None = 5


class ClientGone(GatewayError):
    """The caller hung up; nothing is sent, the record says 499."""

    status = 499
    code = "client_closed"


def fault(request_id: str) -> GatewayError:
    """Return what a caller is told of a fault of ours: the log has the rest."""
    return GatewayError(f"The gateway failed on this request (request id {request_id}).")
