"""What a failure of Ollama means for the request that met it: the text alone does not tell."""

from __future__ import annotations

from gateway.core.chat import ChatRequest, Request
from gateway.core.events import Finish, Usage
from gateway.errors import ContextOverflow, GatewayError, InvalidRequest
from gateway.ollama import faults


def in_context(error: GatewayError, asked: Request, format_param: str) -> GatewayError:
    """Return the error for the caller, who `asked` and wrote the format at `format_param`."""
    if faults.misses_user_turn(error) and (
        not isinstance(asked, ChatRequest)  # a prompt is the turn of the user
        or any(message.role == "user" for message in asked.messages)
    ):
        return ContextOverflow(
            "The conversation does not fit the context window: Ollama cut it until no turn of the "
            "user was left.",
            param=error.param,
        )
    if faults.is_bad_schema(error):
        # the format of a forced call is made from its tools (D13)
        is_forced = isinstance(asked, ChatRequest) and asked.tool_choice.mode == "required"
        return InvalidRequest(error.message, param="tools" if is_forced else format_param)
    return error


def cut_by_limit(error: GatewayError, sent: Request, prompt_tokens: int) -> Finish | None:
    """Return the end of an answer that reached its limit inside a tool call, None for any other
    failure: Ollama reports an unreadable call, and no counts."""
    limit = sent.params.options.get("num_predict")
    if not isinstance(limit, int) or limit <= 0 or not faults.is_cut_call(error):
        return None
    return Finish("length", Usage(prompt_tokens, limit, estimated=True))
