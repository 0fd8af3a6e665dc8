"""The types of what the admin API answers, and of bodies and queries that are no noun's schema."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, get_type_hints

import msgspec

from gateway.calls.registry import LiveCall
from gateway.core.admin import Admin, AdminToken, AuditEntry
from gateway.core.catalog import Loaded, Model, OverrideVersion
from gateway.core.requests import CallRow
from gateway.core.usage import Group, Sums
from gateway.management.config_transfer import Change
from gateway.management.model_operations import Done
from gateway.management.servers import Tried
from gateway.reports import key_status, usage
from gateway.reports.time_steps import Step
from gateway.runtime.tasks import Failures
from gateway.scheduling import routing_preview
from gateway.scheduling.catalog import Refreshed
from gateway.schemas.call_query import CallQuery, RequestQuery
from gateway.schemas.key import Key
from gateway.schemas.server import Server, ServerStatus
from gateway.schemas.types import each, field
from gateway.store.jobs import Job


def _shown(title: str, base: type, /, *left_out: str, **more: Any) -> Any:
    """Return a type with the fields of another one, its secrets told as has_…, and further ones."""
    hints = get_type_hints(base, include_extras=True)
    hidden = {one.name for one in fields(base) if not one.repr} if is_dataclass(base) else set()
    kinds = {
        f"has_{one}" if one in hidden else one: bool if one in hidden else kind
        for one, kind in hints.items()
        if one not in left_out
    }
    optional = [(one, kind[0] | msgspec.UnsetType, msgspec.UNSET) for one, kind in more.items()
                if isinstance(kind, tuple)]  # fmt: skip
    plain = [(one, kind) for one, kind in (kinds | more).items() if not isinstance(kind, tuple)]
    return msgspec.defstruct(title, [*plain, *optional], kw_only=True)


def _list(of: Any, /, **more: Any) -> Any:
    """Return the type of a list of things."""
    return msgspec.defstruct(f"{of.__name__}List", [("data", list[of]), *more.items()])


class Deleted(msgspec.Struct):
    id: int
    deleted: Literal[True]


class BudgetUsed(msgspec.Struct):
    metric: Literal["requests", "tokens"]
    period: Literal["day", "week", "month", "total"]
    used: int


KeyAnswer = _shown(
    "Key", Key, state=key_status.State, budgets_used=list[BudgetUsed],
    unknown_models=list[str],
)  # fmt: skip
NewKey = _shown("NewKey", KeyAnswer, secret=str)
KeyList = _list(KeyAnswer, total=int)

ModelAnswer = _shown("Model", Model, aliases=dict[str, dict[str, Any]])
ModelDetail = _shown("ModelDetail", ModelAnswer, details=dict[str, Any])
ModelList, VersionList = _list(ModelAnswer), _list(OverrideVersion)

ServerAnswer = _shown("Server", Server)
ServerState = _shown(
    "ServerState", ServerAnswer, state=ServerStatus, reason=str, healthy=(bool,), version=(str,),
    latency_ms=(float | None,), in_flight=(dict[str, int],), loaded=(list[Loaded],),
)  # fmt: skip
ServerList = _list(ServerState)


Probe = _shown("Probe", Tried, ok=bool)
Refresh = _shown("Refresh", Refreshed)


class LayerAnswer(msgspec.Struct):
    completed_bytes: int
    total_bytes: int


RefreshList = _list(Refresh)
PullAnswer = _shown(
    "Pull", Job, "kind", layers=dict[str, LayerAnswer], share=float | None,
    bytes_per_s=float | None, eta_s=float | None,
)  # fmt: skip
PullList = _list(PullAnswer)


class Outcome(msgspec.Struct):
    ok: bool
    data: list[Done]


Route = _shown(
    "Route", routing_preview.Route, "server", "choice", "is_chosen", server_id=int, server_name=str,
    usable=bool, chosen=bool, rank=str | None, weight=int,
)  # fmt: skip
RouteList = _list(Route, waiting=int)


@dataclass(frozen=True, slots=True)
class ConfigDocument:
    """A configuration; what an import does not mention stays."""

    product: Annotated[str, field("Product")]
    version: Annotated[int, field("Version")]
    exported_at: Annotated[str, field("When it was exported")]
    settings: Annotated[dict[str, Any], field("Settings")]
    servers: Annotated[list[dict[str, Any]], field("Servers")]
    models: Annotated[list[dict[str, Any]], field("Models")]
    keys: Annotated[list[dict[str, Any]], field("Keys")]


class ImportResult(msgspec.Struct):
    dry_run: bool
    changes: list[Change]


class UsageHealth(msgspec.Struct):
    state: Literal["ok", "behind", "unavailable"]
    backlog: int


class Health(msgspec.Struct):
    usage: UsageHealth
    limits: dict[str, Any]
    slots: dict[str, Any]
    failures: dict[str, Failures]
    draining: bool
    running: int


GroupAnswer: Any = _shown("GroupSums", Sums, group=str, name=str)
Usage = _shown(
    "Usage", usage.Answer, metric=usage.Metric, group=Group, step=Step, since=datetime,
    until=datetime, groups=list[GroupAnswer],
)  # fmt: skip
RequestList = _list(CallRow, next=str | None)
ActiveList = _list(LiveCall)


class Cancelled(msgspec.Struct):
    request_id: str
    cancelled: Literal[True]


AccountAnswer = _shown("Account", Admin, "password_hash", "totp_secret")
AccountList = _list(AccountAnswer)
TokenAnswer = _shown("Token", AdminToken)
NewToken = _shown("NewToken", TokenAnswer, secret=str)
TokenList = _list(TokenAnswer)
AuditList = _list(AuditEntry, next=int | None)


@dataclass(frozen=True, slots=True)
class Rotation:
    """How long the old key works beside the new one."""

    grace_hours: Annotated[float, field("Hours the old key works on", ge=0, le=2160)] = 24.0


@dataclass(frozen=True, slots=True)
class KeyQuery:
    """A page of the keys whose name, owner, prefix or end contains `search`."""

    search: Annotated[str, field("Part of name, owner, prefix or end", max_length=200)] = ""
    limit: Annotated[int, field("Limit", ge=1, le=1000)] = 100
    offset: Annotated[int, field("Offset", ge=0, le=10_000_000)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Which servers."""

    server_ids: Annotated[
        tuple[int, ...],
        field(
            "Servers",
            "Some of the servers that have it; without it all.",
            check=each(lambda one: one),
            min_length=1,
            max_length=1_000,
        ),
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(Servers):
    """Where a model is brought into memory, and for how long."""

    keep_alive: Annotated[
        int | float | str | None, field("How long", "Such as `10m`, or seconds; -1 is for good.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Servers):
    """A second name of a model in Ollama."""

    destination: Annotated[str, field("New name", max_length=256)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest(Servers):
    """A model to fetch."""

    model: Annotated[str, field("Model", "As `ollama pull` takes it.", max_length=256)]


@dataclass(frozen=True, slots=True)
class RefreshRequest:
    """Which server is asked for its models; without it all."""

    server_id: Annotated[int | None, field("Server")] = None


@dataclass(frozen=True, slots=True)
class RouteQuery:
    """What a call would need."""

    num_ctx: Annotated[int, field("Context it needs, in tokens", ge=0, le=10_000_000)] = 0


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """What is exported."""

    digests: Annotated[bool, field("Digests", "Let keys work where it is imported.")] = False


@dataclass(frozen=True, slots=True)
class ImportQuery:
    """How it is imported."""

    dry_run: Annotated[bool, field("Rehearsal", "Only say what would change.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery(CallQuery):
    """Which sums."""

    metric: Annotated[usage.Metric, field("Metric")] = "requests"
    group: Annotated[Group, field("Group")] = "none"
    step: Annotated[
        Literal["", "hour", "day", "week", "month"],
        field("Step", "One that fits the time where none, or a far too fine one, is given."),
    ] = ""
    compare: Annotated[bool, field("Compare", "Add the sums of the time before.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsQuery(RequestQuery):
    """A page of calls."""

    limit: Annotated[int, field("Limit", ge=1, le=500)] = 50
    after: Annotated[str, field("Cursor", "`next` of the page before.", max_length=64)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestExportQuery(RequestQuery):
    """Which calls, and in which form."""

    format: Annotated[Literal["csv", "jsonl"], field("Format")] = "csv"


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which changes."""

    limit: Annotated[int, field("Limit", ge=1, le=500)] = 50
    before: Annotated[int, field("Cursor", "`next` of the page before.", ge=0, le=2**53 - 1)] = 0
    object_kind: Annotated[str, field("Kind of object", max_length=64)] = ""
    object_id: Annotated[str, field("Id of the object", max_length=64)] = ""
    actor: Annotated[str, field("Who", max_length=256)] = ""
    action: Annotated[str, field("Action", "Its beginning, such as `key.`.", max_length=64)] = ""
