"""Every table of the gateway, by noun: access, catalog, keys, usage, work.

Import from here. Importing this module registers all tables on `Base.metadata`.
"""

from __future__ import annotations

from gateway.store.tables.access import (
    AUDIT_TRIGGERS,
    AdminRow,
    AdminSessionRow,
    AdminTokenRow,
    AuditRow,
    LoginFailureRow,
    SpentSecretRow,
)
from gateway.store.tables.base import Base, Instant, from_us, to_us
from gateway.store.tables.catalog import (
    ModelAliasRow,
    ModelRow,
    ModelServerRow,
    OverrideVersionRow,
    PullJobRow,
    ServerRow,
)
from gateway.store.tables.keys import ApiKeyRow, CounterLeaseRow, KeyCounterRow
from gateway.store.tables.usage import (
    MERGE_HISTOGRAMS,
    UsageBodyRow,
    UsageDayRow,
    UsageHourRow,
    UsageRow,
    UsageSumRow,
)
from gateway.store.tables.work import (
    CommandRow,
    NoticeRow,
    RevisionRow,
    SettingRow,
    StoredItemRow,
    StoredResponseRow,
    WorkerStateRow,
)

__all__ = [
    "AUDIT_TRIGGERS",
    "MERGE_HISTOGRAMS",
    "AdminRow",
    "AdminSessionRow",
    "AdminTokenRow",
    "ApiKeyRow",
    "AuditRow",
    "Base",
    "CommandRow",
    "CounterLeaseRow",
    "Instant",
    "KeyCounterRow",
    "LoginFailureRow",
    "ModelAliasRow",
    "ModelRow",
    "ModelServerRow",
    "NoticeRow",
    "OverrideVersionRow",
    "PullJobRow",
    "RevisionRow",
    "ServerRow",
    "SettingRow",
    "SpentSecretRow",
    "StoredItemRow",
    "StoredResponseRow",
    "UsageBodyRow",
    "UsageDayRow",
    "UsageHourRow",
    "UsageRow",
    "UsageSumRow",
    "WorkerStateRow",
    "from_us",
    "to_us",
]
