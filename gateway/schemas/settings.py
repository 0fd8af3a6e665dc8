"""The settings of the public contract that an admin edits, as one frozen value.

One field a setting, named as in the contract (docs/contract/parameters.md) and stored under that
name; the page of the settings shows them in this order, one tab after the other. 0 where it is
allowed means none or for ever; times carry their unit in the name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Literal
from urllib.parse import urlsplit

from gateway.errors import Message
from gateway.schemas import types
from gateway.schemas.types import Problem, field

_general = partial(field, tab="general")
_api = partial(field, tab="api")
_privacy = partial(field, tab="privacy")
_limits = partial(field, tab="limits")


def _origins(value: str) -> str:
    text = value.strip()
    for origin in [] if text == "*" else text.replace(",", " ").split():
        if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+", origin):
            raise Problem(
                Message(
                    "must be * or origins such as https://chat.example.org, separated by spaces"
                )
            )
    return text


def _public_url(value: str) -> str:
    text = value.strip()
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query
    except ValueError:
        is_good = False
    if text and (not is_good or re.search(r"[\x00-\x20\\@]", text)):
        raise Problem(Message("must be an address such as https://ai.example.org"))
    return text


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """The settings in force."""

    # general
    public_url: Annotated[
        str,
        _general(
            "Public address",
            "How clients reach the gateway, such as https://ai.example.org. Used in snippets; "
            "empty takes the address you are using now.",
            check=_public_url,
            max_length=2_000,
        ),
    ] = ""
    display_timezone: Annotated[
        str,
        _general(
            "Time zone of the gateway",
            "For budgets of new keys and for reports. You always see times in your own zone.",
            check=types.zone,
            max_length=2_000,
        ),
    ] = "UTC"
    enable_new_models: Annotated[
        bool, _general("Enable new models", "Models that appear on a server can be called at once.")
    ] = True
    context_policy: Annotated[
        Literal["error", "grow", "allow"],
        _general(
            "A prompt longer than the context window",
            "Refuse it, let the window grow by the steps of the model, or let Ollama cut it in "
            "silence.",
        ),
    ] = "error"
    fallback_model: Annotated[
        str,
        _general(
            "Fallback model",
            "Answers when a client asks for a model that does not exist. Empty: such calls "
            "get an error.",
            check=types.line,
            max_length=2_000,
        ),
    ] = ""
    allow_cloud_models: Annotated[
        bool,
        _general(
            "Allow cloud models",
            "Models that Ollama forwards to its cloud leave this machine. Off keeps all local.",
        ),
    ] = False
    prefix_affinity: Annotated[
        bool,
        _general(
            "Keep conversations together",
            "Sends turns of one conversation to the server that still has them in its cache.",
        ),
    ] = True
    server_header: Annotated[
        bool,
        _general(
            "Tell clients which server answered",
            "Adds the server's name as the header x-gateway-server.",
        ),
    ] = True
    drain_s: Annotated[
        int,
        _general(
            "Grace time when stopping (s)",
            "Running answers may finish for this long when the gateway stops.",
            ge=0,
            le=3_600,
        ),
    ] = 30
    # api
    reasoning_field: Annotated[
        Literal["reasoning_content", "reasoning", "both"],
        _api(
            "Name of the thinking field",
            "How chat answers call what the model thought: reasoning_content is read by most.",
        ),
    ] = "reasoning_content"
    parse_think_tags: Annotated[
        bool,
        _api(
            "Take think tags out of answers",
            "Text between think tags becomes thinking. For models that Ollama cannot parse.",
        ),
    ] = False
    anthropic_default_think: Annotated[
        Literal["false", "true", "none"],
        _api(
            "Thinking in Messages calls that do not say",
            "Anthropic's own models do not think unless asked.",
        ),
    ] = "false"
    anthropic_system_reminders: Annotated[
        Literal["inline", "hoist"],
        _api(
            "System messages inside a conversation",
            "Keep them where they stand, or move them to the top: on all APIs.",
        ),
    ] = "inline"
    strip_attribution_header: Annotated[
        bool,
        _api(
            "Drop changing attribution lines",
            "Some coding agents add a line that differs in every call and spoils the cache.",
        ),
    ] = True
    forced_tool_choice: Annotated[
        Literal["emulate", "best_effort", "reject"],
        _api(
            "When a client demands a tool call",
            "Ollama cannot force one. Emulate makes sure of it, with one more call if needed.",
        ),
    ] = "emulate"
    tools_with_format: Annotated[
        Literal["two_pass", "tools_only", "both"],
        _api(
            "Tools together with a JSON schema",
            "Ollama lets the schema win. Two passes: tools first, then the schema.",
        ),
    ] = "two_pass"
    stop_mode: Annotated[
        Literal["auto", "upstream", "gateway"],
        _api(
            "Who watches for stop words",
            "The gateway can match them exactly where a model thinks or calls tools.",
        ),
    ] = "auto"
    completions_raw: Annotated[
        Literal["auto", "always", "never"],
        _api(
            "Raw prompts in Completions",
            "Raw leaves the model's template out. Automatic decides by the request.",
        ),
    ] = "auto"
    usage_on_finish_chunk: Annotated[
        bool,
        _api(
            "Usage on the last piece of a stream",
            "Some clients look for it there, even if they did not ask.",
        ),
    ] = True
    sse_keepalive: Annotated[
        Literal["comments_and_chunks", "comments", "off"],
        _api("While a stream is silent", "What is sent so that nobody on the way hangs up."),
    ] = "comments_and_chunks"
    sse_comment_interval_s: Annotated[int, _api("Comment every (s)", ge=1, le=3_600)] = 15
    sse_chunk_interval_s: Annotated[int, _api("Empty piece every (s)", ge=1, le=3_600)] = 60
    stream_commit_ms: Annotated[
        int,
        _api(
            "Wait for an early error (ms)",
            "Within this time a failure still gets a true status instead of an error event.",
            ge=0,
            le=600_000,
        ),
    ] = 10_000
    allow_remote_images: Annotated[
        bool,
        _api(
            "Fetch images by address", "The gateway downloads pictures that a request names by URL."
        ),
    ] = True
    allow_private_image_urls: Annotated[
        bool,
        _api(
            "Also from private addresses",
            "Lets callers make the gateway read from your own network. Leave off if unsure.",
        ),
    ] = False
    allow_client_keep_alive: Annotated[
        bool,
        _api("Clients may set keep_alive", "How long a model stays in memory after their call."),
    ] = True
    allow_client_runner_options: Annotated[
        bool,
        _api(
            "Clients may set runner options",
            "Such as num_ctx and num_gpu, which make Ollama load the model again.",
        ),
    ] = True
    allow_unverified_options: Annotated[
        bool,
        _api(
            "Pass on unknown options",
            "Options this version does not know are sent to Ollama as they are.",
        ),
    ] = True
    responses_store: Annotated[
        bool,
        _api(
            "Keep responses for follow-ups", "Needed for previous_response_id in the Responses API."
        ),
    ] = True
    responses_store_ttl_days: Annotated[int, _api("Keep them for (days)", ge=1, le=3_650)] = 30
    responses_store_max_rows: Annotated[int, _api("Keep at most", ge=100, le=10_000_000)] = 20_000
    responses_store_key_mb: Annotated[
        int,
        _api(
            "Of one key at most (MB)",
            "Then its oldest responses are forgotten.",
            ge=1,
            le=1_000_000,
        ),
    ] = 100
    responses_store_mb: Annotated[int, _api("Of all keys at most (MB)", ge=1, le=1_000_000)] = 1000
    cors_allow_origins: Annotated[
        str,
        _api(
            "Web pages that may call the API",
            "* for all, or addresses such as https://chat.example.org, separated by spaces.",
            check=_origins,
            max_length=2_000,
        ),
    ] = "*"
    request_timeout_ms: Annotated[
        int,
        _api(
            "Whole call at most (ms)",
            "Of a stream only the wait for its first word. 0 is no limit.",
            ge=0,
            le=86_400_000,
        ),
    ] = 600_000
    connect_timeout_s: Annotated[int, _api("Connecting at most (s)", ge=1, le=300)] = 5
    idle_timeout_s: Annotated[
        int,
        _api(
            "Silence of Ollama at most (s)",
            "Counted from its first word: not while it loads the model or reads the prompt.",
            ge=1,
            le=86_400,
        ),
    ] = 300
    client_write_timeout_s: Annotated[
        int,
        _api("Client that does not read (s)", "Its call is ended after this time.", ge=1, le=3_600),
    ] = 60
    # privacy
    log_bodies: Annotated[
        bool, _privacy("Keep prompts and answers", "Off by default. Each key can say otherwise.")
    ] = False
    body_max_kb: Annotated[
        int, _privacy("Keep at most (KB each)", "Longer texts are cut.", ge=1, le=65_536)
    ] = 256
    body_retention_days: Annotated[int, _privacy("Delete texts after (days)", ge=1, le=3_650)] = 7
    usage_retention_days: Annotated[
        int,
        _privacy(
            "Delete request records after (days)",
            "Hourly and daily sums stay. 0 keeps all.",
            ge=0,
            le=36_500,
        ),
    ] = 90
    usage_max_rows: Annotated[
        int,
        _privacy(
            "Request records at most",
            "The oldest go first. 0 is no limit.",
            ge=1000,
            le=1_000_000_000,
        ),
    ] = 5_000_000
    audit_retention_days: Annotated[
        int, _privacy("Delete the audit log after (days)", "0 keeps all.", ge=0, le=36_500)
    ] = 0
    # limits
    default_key_concurrency: Annotated[
        int,
        _limits(
            "Calls at once per key",
            "For keys without a limit of their own. 0 is no limit.",
            ge=0,
            le=100_000,
        ),
    ] = 0
    queue_max_waiting: Annotated[
        int,
        _limits(
            "Calls that may wait per model", "More are refused at once as busy.", ge=0, le=1_000_000
        ),
    ] = 512
    queue_max_wait_s: Annotated[int, _limits("Longest wait (s)", ge=0, le=86_400)] = 300
    max_body_mb: Annotated[int, _limits("Request size (MB)", ge=1, le=1_024)] = 50
    max_messages: Annotated[int, _limits("Messages in a request", ge=1, le=1_000_000)] = 10_000
    max_tools: Annotated[int, _limits("Tools in a request", ge=1, le=10_000)] = 512
    max_images: Annotated[
        int,
        _limits(
            "Images in a request",
            "Of more, the newest are sent and the model is told that older ones are missing.",
            ge=0,
            le=10_000,
        ),
    ] = 100
    max_image_mb: Annotated[int, _limits("Size of an image (MB)", ge=1, le=1_024)] = 20
    max_embedding_inputs: Annotated[
        int, _limits("Texts in an embeddings request", ge=1, le=100_000)
    ] = 2048
    max_n: Annotated[int, _limits("Answers in one request (n)", ge=1, le=128)] = 8


DEFAULTS = {one.name: one.default for one in fields(RuntimeSettings)}
