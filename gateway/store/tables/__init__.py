"""Every table of the gateway, by noun: access, alerts, catalog, keys, usage, work.

Import from here. Importing this module registers all tables on `Base.metadata`.
"""

from __future__ import annotations

from gateway.store.tables.access import AccountRow as AccountRow
from gateway.store.tables.access import AccountSessionRow as AccountSessionRow
from gateway.store.tables.access import AdminTokenRow as AdminTokenRow
from gateway.store.tables.access import AuditRow as AuditRow
from gateway.store.tables.access import LoginFailureRow as LoginFailureRow
from gateway.store.tables.access import RecoveryCodeRow as RecoveryCodeRow
from gateway.store.tables.access import SpentSecretRow as SpentSecretRow
from gateway.store.tables.alerts import AlertCauseRow as AlertCauseRow
from gateway.store.tables.alerts import AlertLogRow as AlertLogRow
from gateway.store.tables.alerts import AlertPendingRow as AlertPendingRow
from gateway.store.tables.alerts import AlertTargetRow as AlertTargetRow
from gateway.store.tables.base import Base as Base
from gateway.store.tables.base import UtcMicros as UtcMicros
from gateway.store.tables.base import from_us as from_us
from gateway.store.tables.base import to_us as to_us
from gateway.store.tables.catalog import ModelAliasRow as ModelAliasRow
from gateway.store.tables.catalog import ModelRow as ModelRow
from gateway.store.tables.catalog import ModelServerRow as ModelServerRow
from gateway.store.tables.catalog import OverrideVersionRow as OverrideVersionRow
from gateway.store.tables.catalog import ServerRow as ServerRow
from gateway.store.tables.keys import ApiKeyModelRow as ApiKeyModelRow
from gateway.store.tables.keys import ApiKeyRow as ApiKeyRow
from gateway.store.tables.keys import CounterLeaseRow as CounterLeaseRow
from gateway.store.tables.keys import KeyCounterRow as KeyCounterRow
from gateway.store.tables.usage import MemorySpanRow as MemorySpanRow
from gateway.store.tables.usage import RemovedNameRow as RemovedNameRow
from gateway.store.tables.usage import RequestLogBodyRow as RequestLogBodyRow
from gateway.store.tables.usage import RequestLogRow as RequestLogRow
from gateway.store.tables.usage import UsageDayRow as UsageDayRow
from gateway.store.tables.usage import UsageHourRow as UsageHourRow
from gateway.store.tables.usage import UsageSumRow as UsageSumRow
from gateway.store.tables.work import ChangeVersionRow as ChangeVersionRow
from gateway.store.tables.work import CommandRow as CommandRow
from gateway.store.tables.work import JobLockRow as JobLockRow
from gateway.store.tables.work import JobRow as JobRow
from gateway.store.tables.work import ResponseItemRow as ResponseItemRow
from gateway.store.tables.work import ResponseRow as ResponseRow
from gateway.store.tables.work import SettingRow as SettingRow
from gateway.store.tables.work import WorkerRow as WorkerRow
