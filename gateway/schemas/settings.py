"""The settings of the public contract that an admin edits, as one frozen value.

One field a setting, named as in the contract (docs/contract/parameters.md) and stored under that
name; the page of the settings shows them in this order, one tab after the other. 0 where it is
allowed means none or for ever; times carry their unit in the name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import partial
from typing import Literal
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


def _url(value: str) -> str:
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
    public_url: str = _general(
        "",
        "Public address",
        "How clients reach the gateway, such as https://ai.example.org. Used in snippets; "
        "empty takes the address you are using now.",
        check=_url,
        max_length=2_000,
    )
    display_timezone: str = _general(
        "UTC",
        "Time zone of the gateway",
        "For budgets of new keys and for reports. You always see times in your own zone.",
        check=types.zone,
        max_length=2_000,
    )
    enable_new_models: bool = _general(
        True, "Enable new models", "Models that appear on a server can be called at once."
    )
    context_policy: Literal["error", "grow", "allow"] = _general(
        "error",
        "A prompt longer than the context window",
        "Refuse it, let the window grow by the steps of the model, or let Ollama cut it in "
        "silence.",
    )
    context_shrink_after_s: int = _general(
        900,
        "Shrink the window after (s)",
        "A model with steps goes back to a smaller window when no call has needed the larger one "
        "for so long. 0: not before it has left the memory.",
        ge=0,
        le=604_800,
    )
    fallback_model: str = _general(
        "",
        "Fallback model",
        "Answers when a client asks for a model that does not exist. Empty: such calls "
        "get an error.",
        check=types.line,
        max_length=2_000,
    )
    allow_cloud_models: bool = _general(
        False,
        "Allow cloud models",
        "Models that Ollama forwards to its cloud leave this machine. Off keeps all local.",
    )
    model_registry: str = _general(
        "https://registry.ollama.ai",
        "Registry of models",
        "Asked how large a model is when somebody wants to know before a pull. Empty: never.",
        check=_url,
        max_length=2_000,
    )
    prefix_affinity: bool = _general(
        True,
        "Keep conversations together",
        "Sends turns of one conversation to the server that still has them in its cache.",
    )
    server_header: bool = _general(
        True,
        "Tell clients which server answered",
        "Adds the server's name as the header x-gateway-server.",
    )
    drain_s: int = _general(
        30,
        "Grace time when stopping (s)",
        "Running answers may finish for this long when the gateway stops.",
        ge=0,
        le=3_600,
    )
    backup_every_h: int = _general(
        0,
        "Back up every (hours)",
        "Into the folder backups of the data folder, tried by restoring. 0: never. With PostgreSQL "
        "use pg_dump.",
        ge=0,
        le=8_760,
    )
    backup_keep: int = _general(14, "Backups kept", "Older ones are deleted.", ge=1, le=1_000)
    # api
    reasoning_field: Literal["reasoning_content", "reasoning", "both"] = _api(
        "reasoning_content",
        "Name of the thinking field",
        "How chat answers call what the model thought: reasoning_content is read by most.",
    )
    parse_think_tags: bool = _api(
        False,
        "Take think tags out of answers",
        "Text between think tags becomes thinking. For models that Ollama cannot parse.",
    )
    anthropic_default_think: Literal["false", "true", "none"] = _api(
        "false",
        "Thinking in Messages calls that do not say",
        "Anthropic's own models do not think unless asked.",
    )
    anthropic_system_reminders: Literal["inline", "hoist"] = _api(
        "inline",
        "System messages inside a conversation",
        "Keep them where they stand, or move them to the top: on all APIs.",
    )
    strip_attribution_header: bool = _api(
        True,
        "Drop changing attribution lines",
        "Some coding agents add a line that differs in every call and spoils the cache.",
    )
    forced_tool_choice: Literal["emulate", "best_effort", "reject"] = _api(
        "emulate",
        "When a client demands a tool call",
        "Ollama cannot force one. Emulate makes sure of it, with one more call if needed.",
    )
    tools_with_format: Literal["two_pass", "tools_only", "both"] = _api(
        "two_pass",
        "Tools together with a JSON schema",
        "Ollama lets the schema win. Two passes: tools first, then the schema.",
    )
    stop_mode: Literal["auto", "upstream", "gateway"] = _api(
        "auto",
        "Who watches for stop words",
        "The gateway can match them exactly where a model thinks or calls tools.",
    )
    completions_raw: Literal["auto", "always", "never"] = _api(
        "auto",
        "Raw prompts in Completions",
        "Raw leaves the model's template out. Automatic decides by the request.",
    )
    usage_on_finish_chunk: bool = _api(
        True,
        "Usage on the last piece of a stream",
        "Some clients look for it there, even if they did not ask.",
    )
    sse_keepalive: Literal["comments_and_chunks", "comments", "off"] = _api(
        "comments_and_chunks",
        "While a stream is silent",
        "What is sent so that nobody on the way hangs up.",
    )
    sse_comment_interval_s: int = _api(15, "Comment every (s)", ge=1, le=3_600)
    sse_chunk_interval_s: int = _api(60, "Empty piece every (s)", ge=1, le=3_600)
    stream_commit_ms: int = _api(
        10_000,
        "Wait for an early error (ms)",
        "Within this time a failure still gets a true status instead of an error event.",
        ge=0,
        le=600_000,
    )
    allow_remote_images: bool = _api(
        True,
        "Fetch images by address",
        "The gateway downloads pictures that a request names by URL.",
    )
    allow_private_image_urls: bool = _api(
        False,
        "Also from private addresses",
        "Lets callers make the gateway read from your own network. Leave off if unsure.",
    )
    allow_client_keep_alive: bool = _api(
        True, "Clients may set keep_alive", "How long a model stays in memory after their call."
    )
    allow_client_runner_options: bool = _api(
        True,
        "Clients may set runner options",
        "Such as num_ctx and num_gpu, which make Ollama load the model again.",
    )
    allow_unverified_options: bool = _api(
        True,
        "Pass on unknown options",
        "Options this version does not know are sent to Ollama as they are.",
    )
    responses_store: bool = _api(
        True,
        "Keep responses for follow-ups",
        "Needed for previous_response_id in the Responses API.",
    )
    responses_store_ttl_days: int = _api(30, "Keep them for (days)", ge=1, le=3_650)
    responses_store_max_rows: int = _api(20_000, "Keep at most", ge=100, le=10_000_000)
    responses_store_key_mb: int = _api(
        100,
        "Of one key at most (MB)",
        "Then its oldest responses are forgotten.",
        ge=1,
        le=1_000_000,
    )
    responses_store_mb: int = _api(1000, "Of all keys at most (MB)", ge=1, le=1_000_000)
    cors_allow_origins: str = _api(
        "*",
        "Web pages that may call the API",
        "* for all, or addresses such as https://chat.example.org, separated by spaces.",
        check=_origins,
        max_length=2_000,
    )
    request_timeout_ms: int = _api(
        600_000,
        "Whole call at most (ms)",
        "Of a stream only the wait for its first word. 0 is no limit.",
        ge=0,
        le=86_400_000,
    )
    connect_timeout_s: int = _api(5, "Connecting at most (s)", ge=1, le=300)
    idle_timeout_s: int = _api(
        300,
        "Silence of Ollama at most (s)",
        "Counted from its first word: not while it loads the model or reads the prompt.",
        ge=1,
        le=86_400,
    )
    client_write_timeout_s: int = _api(
        60, "Client that does not read (s)", "Its call is ended after this time.", ge=1, le=3_600
    )
    # privacy
    log_bodies: bool = _privacy(
        False, "Keep prompts and answers", "Off by default. Each key can say otherwise."
    )
    body_max_kb: int = _privacy(
        256, "Keep at most (KB each)", "Longer texts are cut.", ge=1, le=65_536
    )
    body_retention_days: int = _privacy(7, "Delete texts after (days)", ge=1, le=3_650)
    usage_retention_days: int = _privacy(
        90,
        "Delete request records after (days)",
        "Hourly and daily sums stay. 0 keeps all.",
        ge=0,
        le=36_500,
    )
    usage_max_rows: int = _privacy(
        5_000_000,
        "Request records at most",
        "The oldest go first. 0 is no limit.",
        ge=1000,
        le=1_000_000_000,
    )
    audit_retention_days: int = _privacy(
        0, "Delete the audit log after (days)", "0 keeps all.", ge=0, le=36_500
    )
    # limits
    default_key_concurrency: int = _limits(
        0,
        "Calls at once per key",
        "For keys without a limit of their own. 0 is no limit.",
        ge=0,
        le=100_000,
    )
    queue_max_waiting: int = _limits(
        512,
        "Calls that may wait per model",
        "More are refused at once as busy.",
        ge=0,
        le=1_000_000,
    )
    queue_max_wait_s: int = _limits(300, "Longest wait (s)", ge=0, le=86_400)
    max_body_mb: int = _limits(50, "Request size (MB)", ge=1, le=1_024)
    max_messages: int = _limits(10_000, "Messages in a request", ge=1, le=1_000_000)
    max_tools: int = _limits(512, "Tools in a request", ge=1, le=10_000)
    max_images: int = _limits(
        100,
        "Images in a request",
        "Of more, the newest are sent and the model is told that older ones are missing.",
        ge=0,
        le=10_000,
    )
    max_image_mb: int = _limits(20, "Size of an image (MB)", ge=1, le=1_024)
    max_embedding_inputs: int = _limits(2048, "Texts in an embeddings request", ge=1, le=100_000)
    max_n: int = _limits(8, "Answers in one request (n)", ge=1, le=128)
    pull_limit_gb: int = _limits(
        20,
        "Model that a key may pull (GB)",
        "Larger ones are ended. Only for keys with the endpoint pull. 0 is no limit.",
        ge=0,
        le=100_000,
    )


DEFAULTS = {one.name: one.default for one in fields(RuntimeSettings)}
