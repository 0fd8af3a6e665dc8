"""The types of what the admin API answers, and of bodies and queries that are no noun's schema."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any, Literal, get_type_hints

import msgspec

from gateway.alerts.sending import Outcome as AlertSent
from gateway.calls.registry import LiveCall
from gateway.core.admin import Admin, AdminToken, AuditEntry
from gateway.core.catalog import Loaded, Model, OverrideVersion
from gateway.core.memory_estimate import Estimate
from gateway.core.requests import CallRow
from gateway.core.usage import Group, Sums
from gateway.management.model_operations import Done
from gateway.management.servers import Tried
from gateway.management.transfer.configuration import Change
from gateway.policy.roles import ModelRole
from gateway.reports import key_status, usage
from gateway.reports.memory import ServerMemory
from gateway.reports.memory_need import Fit
from gateway.reports.model_state import State
from gateway.reports.time_steps import Step
from gateway.runtime.tasks import Failures
from gateway.scheduling import routing_preview
from gateway.scheduling.catalog import Refreshed
from gateway.schemas import convert
from gateway.schemas.alert import AlertTarget
from gateway.schemas.call_query import CallQuery, RequestQuery
from gateway.schemas.key import Budget, Key
from gateway.schemas.server import Server, ServerStatus
from gateway.schemas.settings import RuntimeSettings
from gateway.schemas.types import field, unique
from gateway.store.alerts import LogEntry
from gateway.store.jobs import Job


def _shown(title: str, base: type, /, *left_out: str, **more: Any) -> Any:
    """Return a type with the fields of another one, its secrets told as has_…, and further ones."""
    hints, hidden = get_type_hints(base, include_extras=True), set()
    if is_dataclass(base):
        hints |= convert.fields_of(base)
        hidden = {one.name for one in fields(base) if not one.repr}
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


def _object(title: str, /, **kinds: Any) -> Any:
    """Return the type of an object."""
    return msgspec.defstruct(title, list(kinds.items()), kw_only=True)


Deleted = _object("Deleted", id=int, deleted=Literal[True])
BudgetUsed: Any = _shown("BudgetUsed", Budget, "limit", used=int)
KeyAnswer = _shown(
    "Key", Key, state=key_status.State, budgets_used=list[BudgetUsed],
    unknown_models=list[str], ignored_roles=list[ModelRole],
)  # fmt: skip
NewKey = _shown("NewKey", KeyAnswer, secret=str)
KeyList = _list(KeyAnswer, total=int)

ModelAnswer = _shown("Model", Model, aliases=dict[str, dict[str, Any]], state=State)
ModelDetail = _shown("ModelDetail", ModelAnswer, details=dict[str, Any])
ModelList, VersionList = _list(ModelAnswer), _list(OverrideVersion)

ServerAnswer = _shown("Server", Server)
MemoryAnswer: Any = _shown("ServerMemory", ServerMemory, "models", "segments")
ServerState = _shown(
    "ServerState", ServerAnswer, state=ServerStatus, reason=str, healthy=(bool,), version=(str,),
    latency_ms=(float | None,), in_flight=(dict[str, int],), loaded=(list[Loaded],),
    memory=(MemoryAnswer,),
)  # fmt: skip
ServerList = _list(ServerState)
Probe = _shown("Probe", Tried, ok=bool)
Refresh = _shown("Refresh", Refreshed)
LayerAnswer: Any = _object("LayerAnswer", completed_bytes=int, total_bytes=int)
RefreshList = _list(Refresh)
PullAnswer = _shown(
    "Pull", Job, "kind", layers=dict[str, LayerAnswer], share=float | None,
    bytes_per_s=float | None, eta_s=float | None,
)  # fmt: skip
PullList = _list(PullAnswer)
Outcome = _object("Outcome", ok=bool, data=list[Done])
Route = _shown(
    "Route", routing_preview.Route, "server", "choice", "is_chosen", server_id=int, server_name=str,
    usable=bool, chosen=bool, rank=str | None, weight=int,
)  # fmt: skip
RouteList = _list(Route, waiting=int)
MemoryNeed = _shown("MemoryNeed", Estimate, num_ctx=int, slots=int, total_bytes=int, data=list[Fit])


@dataclass(frozen=True, slots=True)
class ConfigDocument:
    """A configuration; what an import does not mention stays."""

    product: str = field(..., "Product")
    version: int = field(..., "Version")
    exported_at: str = field(..., "When it was exported")
    settings: dict[str, Any] = field(..., "Settings")
    servers: list[dict[str, Any]] = field(..., "Servers")
    models: list[dict[str, Any]] = field(..., "Models")
    keys: list[dict[str, Any]] = field(..., "Keys")
    alerts: list[dict[str, Any]] = field(..., "Targets of alerts")


ConfigAnswer = _shown("ConfigDocument", ConfigDocument)
SettingsAnswer = _shown("RuntimeSettings", RuntimeSettings)
ImportResult = _object("ImportResult", dry_run=bool, changes=list[Change])
UsageHealth = _object("UsageHealth", state=Literal["ok", "behind", "unavailable"], backlog=int)
Health = _object(
    "Health", usage=UsageHealth, limits=dict[str, Any], slots=dict[str, Any],
    failures=dict[str, Failures], draining=bool, running=int,
)  # fmt: skip
GroupAnswer: Any = _shown("GroupSums", Sums, group=str, name=str, cached_share=float | None)
Usage = _shown(
    "Usage", usage.Answer, metric=usage.Metric, group=Group, step=Step, since=datetime,
    until=datetime, groups=list[GroupAnswer],
)  # fmt: skip
RequestList = _list(CallRow, next=str | None)
ActiveList = _list(LiveCall)
Cancelled = _object("Cancelled", request_id=str, cancelled=Literal[True])
AccountAnswer = _shown("Account", Admin, "password_hash", "totp_secret")
AccountList = _list(AccountAnswer)
TokenAnswer = _shown("Token", AdminToken)
NewToken = _shown("NewToken", TokenAnswer, secret=str)
TokenList = _list(TokenAnswer)
AuditList = _list(AuditEntry, next=int | None)
AlertTargetAnswer = _shown("AlertTarget", AlertTarget, place=str)
AlertTargetList = _list(AlertTargetAnswer)
AlertOutcome = _shown("AlertOutcome", AlertSent, "words", words=str)
AlertEntry: Any = _shown("AlertEntry", LogEntry)
AlertLog = msgspec.defstruct("AlertLog", [("data", list[AlertEntry]), ("next", int | None)])


@dataclass(frozen=True, slots=True)
class AlertLogQuery:
    """Which entries."""

    limit: int = field(50, "Limit", ge=1, le=500)
    before: int = field(0, "Cursor", "`next` of the page before.", ge=0, le=2**53 - 1)


@dataclass(frozen=True, slots=True)
class Rotation:
    """How long the old key works beside the new one."""

    grace_hours: float = field(24.0, "Hours the old key works on", ge=0, le=2160)


@dataclass(frozen=True, slots=True)
class KeyQuery:
    """A page of the keys whose name, owner, prefix or end contains `search`."""

    search: str = field("", "Part of name, owner, prefix or end", max_length=200)
    limit: int = field(100, "Limit", ge=1, le=1000)
    offset: int = field(0, "Offset", ge=0, le=10_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Which servers."""

    server_ids: tuple[int, ...] = field(
        (),
        "Servers",
        "Some of the servers that have it; without it all.",
        check=unique,
        min_length=1,
        max_length=1_000,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(Servers):
    """Where a model is brought into memory, and for how long."""

    keep_alive: int | float | str | None = field(
        None, "How long", "Such as `10m`, or seconds; -1 is for good."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Servers):
    """A second name of a model in Ollama."""

    destination: str = field(..., "New name", max_length=256)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest(Servers):
    """A model to fetch."""

    model: str = field(..., "Model", "As `ollama pull` takes it.", max_length=256)


@dataclass(frozen=True, slots=True)
class RefreshRequest:
    """Which server is asked for its models; without it all."""

    server_id: int | None = field(None, "Server")


@dataclass(frozen=True, slots=True)
class RouteQuery:
    """What a call would need."""

    num_ctx: int = field(0, "Context it needs, in tokens", ge=0, le=10_000_000)


@dataclass(frozen=True, slots=True)
class WindowQuery:
    """Which context window."""

    num_ctx: int = field(
        0, "Window in tokens", "0 is the one it would get now.", ge=0, le=10_000_000
    )


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """What is exported."""

    digests: bool = field(False, "Digests", "Let keys work where it is imported.")


@dataclass(frozen=True, slots=True)
class ImportQuery:
    """How it is imported."""

    dry_run: bool = field(False, "Rehearsal", "Only say what would change.")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery(CallQuery):
    """Which sums."""

    metric: usage.Metric = field("requests", "Metric")
    group: Group = field("none", "Group")
    step: Literal["", "hour", "day", "week", "month"] = field(
        "", "Step", "One that fits the time where none, or a far too fine one, is given."
    )
    compare: bool = field(False, "Compare", "Add the sums of the time before.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsQuery(RequestQuery):
    """A page of calls."""

    limit: int = field(50, "Limit", ge=1, le=500)
    after: str = field("", "Cursor", "`next` of the page before.", max_length=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestExportQuery(RequestQuery):
    """Which calls, and in which form."""

    format: Literal["csv", "jsonl"] = field("csv", "Format")


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which changes."""

    limit: int = field(50, "Limit", ge=1, le=500)
    before: int = field(0, "Cursor", "`next` of the page before.", ge=0, le=2**53 - 1)
    object_kind: str = field("", "Kind of object", max_length=64)
    object_id: str = field("", "Id of the object", max_length=64)
    actor: str = field("", "Who", max_length=256)
    action: str = field("", "Action", "Its beginning, such as `key.`.", max_length=64)
