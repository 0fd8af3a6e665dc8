"""How the gateway behaves: the settings of the public contract that an admin edits, as one frozen
value.

One field a setting, named as in the contract (docs/contract/parameters.md) and stored under that
name. `core` knows the defaults; `store/settings.py` reads and writes them; `management/settings.py`
hands out the current value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The settings in force; times carry their unit in the name. Beside a number stand the lowest
    and the highest it may be; 0 where allowed means none or for ever."""

    # Public API
    max_body_mb: Annotated[int, (1, 1024)] = 50
    cors_allow_origins: str = "*"
    max_n: Annotated[int, (1, 128)] = 8
    forced_tool_choice: Literal["emulate", "best_effort", "reject"] = "emulate"
    tools_with_format: Literal["two_pass", "tools_only", "both"] = "two_pass"
    allow_remote_images: bool = True
    allow_private_image_urls: bool = False
    completions_raw: Literal["auto", "always", "never"] = "auto"
    responses_store: bool = True
    responses_store_ttl_days: Annotated[int, (1, 3650)] = 30
    responses_store_max_rows: Annotated[int, (100, 10_000_000)] = 20_000
    responses_store_key_mb: Annotated[int, (1, 1_000_000)] = 100
    responses_store_mb: Annotated[int, (1, 1_000_000)] = 1_000
    stop_mode: Literal["auto", "upstream", "gateway"] = "auto"
    reasoning_field: Literal["reasoning_content", "reasoning", "both"] = "reasoning_content"
    parse_think_tags: bool = False
    usage_on_finish_chunk: bool = True
    stream_commit_ms: Annotated[int, (0, 600_000)] = 10_000
    sse_comment_interval_s: Annotated[int, (1, 3600)] = 15
    sse_chunk_interval_s: Annotated[int, (1, 3600)] = 60
    sse_keepalive: Literal["comments_and_chunks", "comments", "off"] = "comments_and_chunks"
    anthropic_default_think: Literal["false", "true", "none"] = "false"
    strip_attribution_header: bool = True
    anthropic_system_reminders: Literal["inline", "hoist"] = "inline"
    request_timeout_ms: Annotated[int, (0, 86_400_000)] = 600_000
    connect_timeout_s: Annotated[int, (1, 300)] = 5
    idle_timeout_s: Annotated[int, (1, 86_400)] = 300
    allow_client_keep_alive: bool = True
    allow_client_runner_options: bool = True
    allow_unverified_options: bool = True
    allow_cloud_models: bool = False
    enable_new_models: bool = True
    fallback_model: str = ""
    # Limits of one request
    max_messages: Annotated[int, (1, 1_000_000)] = 10_000
    max_tools: Annotated[int, (1, 10_000)] = 512
    max_images: Annotated[int, (0, 10_000)] = 100
    max_image_mb: Annotated[int, (1, 1024)] = 20
    max_embedding_inputs: Annotated[int, (1, 100_000)] = 2_048
    default_key_concurrency: Annotated[int, (0, 100_000)] = 0
    # Routing and queue
    queue_max_waiting: Annotated[int, (0, 1_000_000)] = 512
    queue_max_wait_s: Annotated[int, (0, 86_400)] = 300
    prefix_affinity: bool = True
    server_header: bool = True
    # Operation
    drain_s: Annotated[int, (0, 3600)] = 30
    client_write_timeout_s: Annotated[int, (1, 3600)] = 60
    display_timezone: str = "UTC"
    public_url: str = ""
    # Privacy and retention
    log_bodies: bool = False
    body_max_kb: Annotated[int, (1, 65_536)] = 256
    body_retention_days: Annotated[int, (1, 3650)] = 7
    usage_retention_days: Annotated[int, (0, 36_500)] = 90
    usage_max_rows: Annotated[int, (1_000, 1_000_000_000)] = 5_000_000
    audit_retention_days: Annotated[int, (0, 36_500)] = 0
