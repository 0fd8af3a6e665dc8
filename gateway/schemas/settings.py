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

_addresses = partial(field, tab="general", group="Address and time")
_models = partial(field, tab="general", group="Models")
_context = partial(field, tab="general", group="Context window")
_serving = partial(field, tab="general", group="Servers and shutdown")
_backups = partial(field, tab="general", group="Backups")
_alerts = partial(field, tab="general", group="Alerts")
_reasoning = partial(field, tab="api", group="Reasoning")
_agents = partial(field, tab="api", group="Coding agents")
_tools = partial(field, tab="api", group="Tools and formats")
_completions = partial(field, tab="api", group="Stop sequences and raw prompts")
_streams = partial(field, tab="api", group="Streams")
_images = partial(field, tab="api", group="Images")
_clients = partial(field, tab="api", group="Client permissions")
_responses = partial(field, tab="api", group="Responses API")
_browsers = partial(field, tab="api", group="Browsers")
_timeouts = partial(field, tab="api", group="Timeouts")
_texts = partial(field, tab="privacy", group="Prompts and responses")
_records = partial(field, tab="privacy", group="Records")
_queue = partial(field, tab="limits", group="Queue and concurrency")
_sizes = partial(field, tab="limits", group="Size of a request")
_downloads = partial(field, tab="limits", group="Downloads")


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
    public_url: str = _addresses(
        "",
        "Public address",
        "How clients reach the gateway, such as https://ai.example.org. Used in snippets; "
        "empty takes the address you are using now.",
        check=_url,
        max_length=2_000,
    )
    display_timezone: str = _addresses(
        "UTC",
        "Time zone of the gateway",
        "For budgets of new keys and for reports. You always see times in your own zone.",
        check=types.zone,
        max_length=2_000,
    )
    enable_new_models: bool = _models(
        True, "Enable new models", "Models that appear on a server can be used at once."
    )
    fallback_model: str = _models(
        "",
        "Fallback model",
        "Answers when a client asks for a model that does not exist.",
        check=types.line,
        max_length=2_000,
    )
    allow_cloud_models: bool = _models(
        False,
        "Allow cloud models",
        "Models that Ollama forwards to its cloud leave this machine. Turn off to keep all data "
        "local.",
    )
    model_registry: str = _models(
        "https://registry.ollama.ai",
        "Model registry",
        "Asked how large a model is when somebody wants to know before a pull. Empty: never.",
        check=_url,
        max_length=2_000,
    )
    context_policy: Literal["error", "grow", "allow"] = _context(
        "error",
        "Prompt longer than the context window",
        "Refuse it, let the window grow by the steps of the model, or let Ollama cut the prompt "
        "without a notice.",
    )
    context_shrink_after_s: int = _context(
        900,
        "Shrink the window after",
        "A model with steps goes back to a smaller window when no request has needed the larger "
        "one for so long. 0: not before it has left the memory.",
        unit="s",
        ge=0,
        le=604_800,
    )
    prefix_affinity: bool = _serving(
        True,
        "Keep conversations together",
        "Sends turns of one conversation to the server that still has them in its cache.",
    )
    server_header: bool = _serving(
        True,
        "Tell clients which server answered",
        "Adds the server's name as the header x-gateway-server.",
    )
    drain_s: int = _serving(
        30,
        "Grace period at shutdown",
        "Running requests may finish for this long when the gateway stops.",
        unit="s",
        ge=0,
        le=3_600,
    )
    backup_every_h: int = _backups(
        0,
        "Interval of backups",
        "Written to the folder backups in the data folder and tried by restoring. 0: never. "
        "With PostgreSQL use pg_dump.",
        unit="hours",
        ge=0,
        le=8_760,
    )
    backup_keep: int = _backups(14, "Max backups kept", "Older ones are deleted.", ge=1, le=1_000)
    alert_error_percent: int = _alerts(
        20,
        "Failed requests for an alert",
        "Of the requests of the last five minutes, if there were at least 20.",
        unit="%",
        ge=1,
        le=99,
    )
    alert_disk_free_percent: int = _alerts(
        10,
        "Free disk space for an alert",
        "Less than this is free on the disk with the data folder.",
        unit="%",
        ge=1,
        le=90,
    )
    # api
    reasoning_field: Literal["reasoning_content", "reasoning", "both"] = _reasoning(
        "reasoning_content",
        "Reasoning field name",
        "Where chat responses carry the model's reasoning. Most clients read reasoning_content.",
    )
    parse_think_tags: bool = _reasoning(
        False,
        "Parse <think> tags into reasoning",
        "For models whose reasoning Ollama cannot parse.",
    )
    anthropic_default_think: Literal["false", "true", "none"] = _reasoning(
        "false",
        "Default thinking for /v1/messages",
        "For requests that do not set it. Anthropic's own models do not think unless asked.",
    )
    anthropic_system_reminders: Literal["inline", "hoist"] = _agents(
        "inline",
        "System messages inside a conversation",
        "Keep them where they stand, or move them to the top: on all APIs.",
    )
    strip_attribution_header: bool = _agents(
        True,
        "Strip the coding agent's billing header",
        "Some coding agents add a line that differs in every request and spoils the prompt cache.",
    )
    forced_tool_choice: Literal["emulate", "best_effort", "reject"] = _tools(
        "emulate",
        "Required tool calls",
        "Ollama cannot force a tool call. Emulation enforces it, with one more request if needed.",
    )
    tools_with_format: Literal["two_pass", "tools_only", "both"] = _tools(
        "two_pass",
        "Tools together with a JSON schema",
        "Ollama lets the schema win. Two passes: tools first, then the schema.",
    )
    stop_mode: Literal["auto", "upstream", "gateway"] = _completions(
        "auto",
        "Stop-sequence handling",
        "The gateway can match them exactly where a model thinks or calls tools.",
    )
    completions_raw: Literal["auto", "always", "never"] = _completions(
        "auto",
        "Raw prompts in Completions",
        "A raw prompt bypasses the model's template. Automatic decides by the request.",
    )
    usage_on_finish_chunk: bool = _streams(
        True,
        "Include usage in the final chunk",
        "Some clients look for it there, even if they did not ask.",
    )
    sse_keepalive: Literal["comments_and_chunks", "comments", "off"] = _streams(
        "comments_and_chunks",
        "Stream keep-alive",
        "Prevents proxies from closing idle streams.",
    )
    sse_comment_interval_s: int = _streams(15, "Interval of comments", unit="s", ge=1, le=3_600)
    sse_chunk_interval_s: int = _streams(60, "Interval of empty chunks", unit="s", ge=1, le=3_600)
    stream_commit_ms: int = _streams(
        10_000,
        "Delay before streaming starts",
        "Failures within this time keep their HTTP status instead of becoming an error event.",
        unit="ms",
        ge=0,
        le=600_000,
    )
    allow_remote_images: bool = _images(
        True,
        "Fetch images by URL",
        "The gateway downloads images that a request names by their address.",
    )
    allow_private_image_urls: bool = _images(
        False,
        "Also from private addresses",
        "Lets clients make the gateway read from your own network. Leave off if unsure.",
    )
    allow_client_keep_alive: bool = _clients(
        True, "Clients may set keep_alive", "How long a model stays in memory after their request."
    )
    allow_client_runner_options: bool = _clients(
        True,
        "Clients may set runner options",
        "Such as num_ctx and num_gpu, which make Ollama load the model again.",
    )
    allow_unverified_options: bool = _clients(
        True,
        "Pass on unknown options",
        "Options this version does not know are sent to Ollama as they are.",
    )
    responses_store: bool = _responses(
        True,
        "Store responses for follow-ups",
        "Needed for previous_response_id in the Responses API.",
    )
    responses_store_ttl_days: int = _responses(
        30, "Delete stored responses after", unit="days", ge=1, le=3_650
    )
    responses_store_max_rows: int = _responses(
        20_000, "Max stored responses", ge=100, le=10_000_000
    )
    responses_store_key_mb: int = _responses(
        100,
        "Storage per key",
        "When it is full, the oldest responses of the key are deleted.",
        unit="MB",
        ge=1,
        le=1_000_000,
    )
    responses_store_mb: int = _responses(
        1000, "Storage for all keys", unit="MB", ge=1, le=1_000_000
    )
    cors_allow_origins: str = _browsers(
        "*",
        "Allowed CORS origins",
        "Web pages that may use the API: * for all, or addresses such as "
        "https://chat.example.org, separated by spaces.",
        check=_origins,
        max_length=2_000,
    )
    request_timeout_ms: int = _timeouts(
        600_000,
        "Total request timeout",
        "For streams, only the wait for the first token. 0 is no limit.",
        unit="ms",
        ge=0,
        le=86_400_000,
    )
    connect_timeout_s: int = _timeouts(5, "Ollama connect timeout", unit="s", ge=1, le=300)
    idle_timeout_s: int = _timeouts(
        300,
        "Ollama idle timeout",
        "Counted from the first token: not while Ollama loads the model or evaluates the prompt.",
        unit="s",
        ge=1,
        le=86_400,
    )
    client_write_timeout_s: int = _timeouts(
        60,
        "Client write timeout",
        "A request whose client stops reading is ended after this time.",
        unit="s",
        ge=1,
        le=3_600,
    )
    # privacy
    log_bodies: bool = _texts(
        False, "Log prompts and responses", "Off by default. Each key can override it."
    )
    body_max_kb: int = _texts(
        256, "Max size of a logged text", "Longer texts are cut.", unit="KB", ge=1, le=65_536
    )
    body_retention_days: int = _texts(7, "Delete logged texts after", unit="days", ge=1, le=3_650)
    usage_retention_days: int = _records(
        90,
        "Delete request records after",
        "Hourly and daily sums stay. 0 keeps all.",
        unit="days",
        ge=0,
        le=36_500,
    )
    usage_max_rows: int = _records(
        5_000_000,
        "Max request records",
        "The oldest are deleted first. 0 is no limit.",
        ge=1000,
        le=1_000_000_000,
    )
    audit_retention_days: int = _records(
        0, "Delete the audit log after", "0 keeps all.", unit="days", ge=0, le=36_500
    )
    # limits
    default_key_concurrency: int = _queue(
        0,
        "Concurrent requests per key",
        "For keys without a limit of their own. 0 is no limit.",
        ge=0,
        le=100_000,
    )
    queue_max_waiting: int = _queue(
        512,
        "Max queue length per model",
        "Further requests are refused at once as busy.",
        ge=0,
        le=1_000_000,
    )
    queue_max_wait_s: int = _queue(300, "Max wait in the queue", unit="s", ge=0, le=86_400)
    max_body_mb: int = _sizes(50, "Max request size", unit="MB", ge=1, le=1_024)
    max_messages: int = _sizes(10_000, "Max messages in a request", ge=1, le=1_000_000)
    max_tools: int = _sizes(512, "Max tools in a request", ge=1, le=10_000)
    max_images: int = _sizes(
        100,
        "Max images in a request",
        "Of more, the newest are sent and the model is told that older ones are missing.",
        ge=0,
        le=10_000,
    )
    max_image_mb: int = _sizes(20, "Max size of an image", unit="MB", ge=1, le=1_024)
    max_embedding_inputs: int = _sizes(2048, "Max texts in an embeddings request", ge=1, le=100_000)
    max_n: int = _sizes(8, "Max choices in a request (n)", ge=1, le=128)
    pull_limit_gb: int = _downloads(
        20,
        "Max size of a model pulled with a key",
        "Larger downloads are stopped. Only for keys with the endpoint pull. 0 is no limit.",
        unit="GB",
        ge=0,
        le=100_000,
    )


DEFAULTS = {one.name: one.default for one in fields(RuntimeSettings)}
