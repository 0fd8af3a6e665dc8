"""Every table of the gateway, by noun: access, catalog, keys, usage, work.

Import from here. Importing this module registers all tables on `Base.metadata`.
"""

from __future__ import annotations

from gateway.store.tables.access import (
    AccountRow,
    AccountSessionRow,
    AdminTokenRow,
    AuditRow,
    LoginFailureRow,
    SpentSecretRow,
)
from gateway.store.tables.base import Base, UtcMicros, from_us, to_us
from gateway.store.tables.catalog import (
    ModelAliasRow,
    ModelRow,
    ModelServerRow,
    OverrideVersionRow,
    ServerRow,
)
from gateway.store.tables.keys import ApiKeyModelRow, ApiKeyRow, CounterLeaseRow, KeyCounterRow
from gateway.store.tables.usage import (
    RemovedNameRow,
    RequestLogBodyRow,
    RequestLogRow,
    UsageDayRow,
    UsageHourRow,
    UsageSumRow,
)
from gateway.store.tables.work import (
    ChangeVersionRow,
    CommandRow,
    JobLockRow,
    JobRow,
    ResponseItemRow,
    ResponseRow,
    SettingRow,
    WorkerRow,
)

__all__ = [
    "AccountRow",
    "AccountSessionRow",
    "AdminTokenRow",
    "ApiKeyModelRow",
    "ApiKeyRow",
    "AuditRow",
    "Base",
    "ChangeVersionRow",
    "CommandRow",
    "CounterLeaseRow",
    "JobLockRow",
    "JobRow",
    "KeyCounterRow",
    "LoginFailureRow",
    "ModelAliasRow",
    "ModelRow",
    "ModelServerRow",
    "OverrideVersionRow",
    "RemovedNameRow",
    "RequestLogBodyRow",
    "RequestLogRow",
    "ResponseItemRow",
    "ResponseRow",
    "ServerRow",
    "SettingRow",
    "SpentSecretRow",
    "UsageDayRow",
    "UsageHourRow",
    "UsageSumRow",
    "UtcMicros",
    "WorkerRow",
    "from_us",
    "to_us",
]
