"""How the gateway behaves: the settings of the public contract that an admin edits, as one frozen
value.

One field a setting, named as in the contract (docs/contract/parameters.md) and stored under that
name. `core` knows the defaults; `store/settings.py` reads and writes them; `management/settings.py`
hands out the current value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The settings in force; times carry their unit in the name."""

    # Public API
    max_body_mb: int = 50
    cors_allow_origins: str = "*"
    max_n: int = 8
    forced_tool_choice: Literal["emulate", "best_effort", "reject"] = "emulate"
    tools_with_format: Literal["two_pass", "tools_only", "both"] = "two_pass"
    allow_remote_images: bool = True
    allow_private_image_urls: bool = False
    completions_raw: Literal["auto", "always", "never"] = "auto"
    responses_store: bool = True
    responses_store_ttl_days: int = 30
    responses_store_max_rows: int = 20_000
    responses_store_key_mb: int = 100
    responses_store_mb: int = 1_000
    stop_mode: Literal["auto", "upstream", "gateway"] = "auto"
    reasoning_field: Literal["reasoning_content", "reasoning", "both"] = "reasoning_content"
    parse_think_tags: bool = False
    usage_on_finish_chunk: bool = True
    stream_commit_ms: int = 10_000
    sse_comment_interval_s: int = 15
    sse_chunk_interval_s: int = 60
    sse_keepalive: Literal["comments_and_chunks", "comments", "off"] = "comments_and_chunks"
    anthropic_default_think: Literal["false", "true", "none"] = "false"
    strip_attribution_header: bool = True
    anthropic_system_reminders: Literal["inline", "hoist"] = "inline"
    request_timeout_ms: int = 600_000
    connect_timeout_s: int = 5
    idle_timeout_s: int = 300
    allow_client_keep_alive: bool = True
    allow_client_runner_options: bool = True
    allow_unverified_options: bool = True
    allow_cloud_models: bool = False
    enable_new_models: bool = True
    fallback_model: str = ""
    # Limits of one request
    max_messages: int = 10_000
    max_tools: int = 512
    max_images: int = 100
    max_image_mb: int = 20
    max_embedding_inputs: int = 2_048
    default_key_concurrency: int = 0
    # Routing and queue
    queue_max_waiting: int = 512
    queue_max_wait_s: int = 300
    prefix_affinity: bool = True
    server_header: bool = True
    # Operation
    drain_s: int = 30
    client_write_timeout_s: int = 60
    display_timezone: str = "UTC"
    public_url: str = ""
    # Privacy and retention
    log_bodies: bool = False
    body_max_kb: int = 256
    body_retention_days: int = 7
    usage_retention_days: int = 90
    usage_max_rows: int = 5_000_000
    audit_retention_days: int = 0
