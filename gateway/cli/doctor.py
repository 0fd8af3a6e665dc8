"""Looks an installation over and explains what it finds, with what helps."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import make_url, text

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.management.admins import is_first_password
from gateway.management.servers import Servers
from gateway.openid.refusals import ProviderAway, SignInRefused
from gateway.policy import access
from gateway.reports.key_status import state
from gateway.schemas.alert import AlertTarget
from gateway.schemas.key import Key
from gateway.schemas.server import Server
from gateway.store import admins, alert_targets, alerts, catalog, key_queries, keys, servers
from gateway.store.alerts import LogEntry
from gateway.store.coordination import workers
from gateway.store.database import schema
from gateway.store.database.engine import Database

if TYPE_CHECKING:
    from gateway.openid.provider import Provider

_LEAST_FREE = 512 << 20
_HEARD = timedelta(seconds=10)
"""A process that serves was heard within that time."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: good, odd (works, but look at it), or bad; and what helps."""

    level: Literal["good", "odd", "bad"]
    subject: str
    words: str
    fix: str = ""


def examine(
    settings: Settings, attempts: Servers | None, provider: Provider | None = None
) -> Iterator[Finding]:
    """Yield findings, one after the other. `attempts` tries Ollama servers, `provider` is asked for
    its configuration; None: not asked."""
    yield from _folder(settings)
    yield from _port(settings)
    found = list(_database(settings))
    yield from found
    if not any(finding.level == "bad" for finding in found):
        yield from _contents(settings, attempts)
    if settings.redis_url:
        yield _redis(settings.redis_url)
    elif settings.web_concurrency > 1:
        yield Finding(
            "bad",
            "redis",
            f"WEB_CONCURRENCY={settings.web_concurrency} needs REDIS_URL: it will not start",
            "set REDIS_URL, or WEB_CONCURRENCY=1",
        )
    if provider is not None:
        yield _provider(provider)


def _folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    open_ones = [
        path.name
        for path in [folder, *folder.iterdir()]
        if path.exists() and path.stat().st_size and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    if open_ones:
        yield Finding(
            "odd",
            "data folder",
            f"others may read {', '.join(sorted(open_ones)[:5])} in {folder}",
            f"chmod -R go-rwx {folder}",
        )
    else:
        yield Finding("good", "data folder", f"{folder} is private and writable")
    free = shutil.disk_usage(folder).free
    level: Literal["good", "odd"] = "good" if free > _LEAST_FREE else "odd"
    yield Finding(level, "disk", f"{free >> 20} MiB free at {folder}")


def _port(settings: Settings) -> Iterator[Finding]:
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = probe.connect_ex(("127.0.0.1", settings.port)) == 0
    words = "answers: the gateway, or another program, runs there" if taken else "is free"
    yield Finding("good", "port", f"{settings.port} {words}")


def _database(settings: Settings) -> Iterator[Finding]:
    shown = schema.shown(settings.database_url)
    try:
        revision = schema.check(settings.database_url)
    except schema.SchemaError as exc:
        yield Finding("bad", "database", str(exc))
        return
    yield Finding("good", "database", f"{shown}, schema {revision}")
    if not settings.uses_sqlite:
        return
    path = Path(make_url(settings.database_url).database or "")
    started_s = time.monotonic()
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as exc:
        found = str(exc)
    finally:
        connection.close()
    seconds = time.monotonic() - started_s
    if found == "ok":
        size = path.stat().st_size >> 20
        yield Finding("good", "integrity", f"{size} MiB checked in {seconds:.1f} s")
    else:
        words = found.splitlines()[-1]
        yield Finding("bad", "integrity", words, "restore a backup with 'ollama2openai restore'")


def _contents(settings: Settings, attempts: Servers | None) -> Iterator[Finding]:
    database = Database.open(settings.database_url)
    try:
        with database.read() as session:
            session.execute(text("SELECT 1"))
            accounts = admins.all_admins(session)
            locked_in = [
                admin.username
                for admin in accounts
                if admin.totp_enabled and not admins.recovery_codes_left(session, admin.id)
            ]
            known = servers.all_servers(session)
            models = catalog.all_models(session)
            key_count = key_queries.count(session, datetime.now(UTC))
            anonymous = keys.anonymous(session)
            beats = workers.last_heard(session)
            targets = alert_targets.all_targets(session)
            sent = alerts.page(session, limit=1)
    finally:
        database.close()
    yield _workers(settings, beats)
    yield _alerts(targets, sent)
    if any(is_first_password(admin) for admin in accounts):
        yield Finding(
            "odd", "accounts", "the first password was never changed", "log in and choose your own"
        )
    if locked_in:
        yield Finding(
            "odd",
            "accounts",
            f"two-factor without recovery codes: {', '.join(locked_in[:5])}",
            "make new codes in the console, Settings > Security",
        )
    owners = sum(admin.role == "owner" and admin.enabled for admin in accounts)
    yield Finding(
        "good" if owners else "bad",
        "accounts",
        f"{len(accounts)}, {owners} of them owners",
        "" if owners else "ollama2openai account create NAME --role owner",
    )
    yield Finding("good" if key_count else "odd", "keys", f"{key_count} API keys")
    yield from _anonymous(anonymous)
    callable_ones = sum(model.enabled and model.available for model in models)
    yield Finding(
        "good" if callable_ones else "odd",
        "models",
        f"{callable_ones} of {len(models)} can be called",
        "" if callable_ones else "ollama2openai model refresh",
    )
    if not known:
        yield Finding("bad", "servers", "no Ollama server", "add one in the console, or OLLAMA_URL")
    for server in known if attempts is not None else ():
        yield _server(server, attempts)


def _anonymous(found: Iterable[Key]) -> Iterator[Finding]:
    """Yield who needs no key: a warning, a severe one where that is everybody."""
    for key in found:
        if state(key, datetime.now(UTC)) != "active":
            continue
        is_open = access.is_for_everybody(key)
        networks = ", ".join(key.cidrs[:5]) + (" and more" if key.cidrs[5:] else "")
        who = f"{networks}, which is everybody" if is_open else networks
        yield Finding(
            "bad" if is_open else "odd",
            "keys",
            f"requests without a key are accepted from {who} (key {key.name!r})",
            "give it the addresses of your own network only",
        )


def _workers(settings: Settings, heard: Mapping[str, datetime]) -> Finding:
    oldest = datetime.now(UTC) - _HEARD
    live = sorted(worker for worker, at in heard.items() if at >= oldest)
    if len(live) > 1 and not settings.redis_url:
        return Finding(
            "bad",
            "processes",
            f"{len(live)} serve from this database without Redis: {', '.join(live[:5])}",
            "set REDIS_URL for all, or stop all but one",
        )
    return Finding("good", "processes", f"{len(live)} running")


def _alerts(targets: Iterable[AlertTarget], sent: Sequence[LogEntry]) -> Finding:
    count = sum(one.enabled for one in targets)
    if not count:
        words = "nobody is told when something is wrong"
        return Finding("good", "alerts", words, "add a target under Settings, Alerts")
    if sent and not sent[0].is_sent:
        words = f"the last one to {sent[0].target} was not sent: {sent[0].outcome}"
        return Finding("odd", "alerts", words, f"ollama2openai alert test '{sent[0].target}'")
    return Finding("good", "alerts", f"{count} targets are told when something is wrong")


def _server(server: Server, attempts: Servers | None) -> Finding:
    assert attempts is not None
    subject = f"server {server.name}"
    try:
        tried = attempts.attempt(server)
    except GatewayError as error:
        return Finding("bad", subject, error.message)
    if tried.trouble is not None:
        return Finding("bad", subject, tried.trouble.message, tried.trouble.fix)
    return Finding("good", subject, f"Ollama {tried.version}, {len(tried.models)} models")


def _provider(provider: Provider) -> Finding:
    try:
        provider.configuration()
    except ProviderAway as refused:
        words = f"{provider.issuer} cannot be used: {refused.cause}"
        return Finding("odd", "sign-in", words, "check OIDC_ISSUER; local accounts still sign in")
    except SignInRefused as refused:
        return Finding("bad", "sign-in", refused.message, "copy OIDC_ISSUER from the provider")
    return Finding("good", "sign-in", f"{provider.issuer} answers")


def _redis(url: str) -> Finding:
    from redis import Redis

    client = Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
    ping: Callable[[], object] = client.ping
    try:
        ping()
    except Exception as exc:  # whatever redis-py makes of what answers there
        words = f"does not answer ({type(exc).__name__}): each process counts for itself"
        return Finding("odd", "redis", words, "check REDIS_URL")
    finally:
        client.close()
    return Finding("good", "redis", "answers")
