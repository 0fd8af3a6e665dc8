"""Commands: what operators do without the console, and what they are told when it goes wrong."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import Result
from flask import Flask
from sqlalchemy import select

from fake_ollama import FakeModel, FakeOllama
from gateway import create_app, lifecycle
from gateway.accounting.export import safe_cell
from gateway.cli.doctor import examine
from gateway.config import Settings
from gateway.core.admin import SYSTEM
from gateway.core.usage import Admission, Settlement
from gateway.errors import Unauthenticated
from gateway.management.backups import copies
from gateway.store.coordination import workers
from gateway.store.tables import KeyCounterRow, RequestLogRow
from gateway.store.usage import records
from gateway.web.context import Services, of
from tests.support.database import prepare
from tests.support.keys import insert_many

Run = Callable[..., Result]


def make_app(folder: Path) -> Flask:
    settings = Settings.load({"DATA_DIR": str(folder), "PORT": "1"}, None)
    prepare(settings)
    return create_app(settings)


def close(app: Flask) -> None:
    parts = of(app)
    lifecycle.end(parts)
    parts.keyring.versions.stop()
    parts.store.database.close()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """An application on an empty store of its own."""
    made = make_app(tmp_path / "data")
    yield made
    close(made)


@pytest.fixture
def parts(app: Flask) -> Services:
    return of(app)


@pytest.fixture
def run(app: Flask) -> Run:
    """Run a command as the shell would."""
    return runs(app)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application that no test changes."""
    made = make_app(tmp_path_factory.mktemp("untouched") / "data")
    yield made
    close(made)


@pytest.fixture(scope="module")
def refused(untouched: Flask) -> Run:
    """Run a command that changes nothing."""
    return runs(untouched)


def runs(app: Flask) -> Run:
    """Return what runs commands of an application."""
    runner = app.test_cli_runner()

    def invoke(*args: object, stdin: str | None = None) -> Result:
        return runner.invoke(args=[str(arg) for arg in args], input=stdin)

    return invoke


def test_a_key_can_be_issued_listed_rotated_and_revoked(run: Run, parts: Services) -> None:
    issued = run(
        "key",
        "create",
        "laptop",
        "--allow",
        "llama*",
        "--requests-per-minute",
        5,
        "--budgets",
        "tokens/day=1000",
        "--cidrs",
        "10.0.0.0/8",
        "--expires-at",
        "2999-01-01",
    )
    secret = issued.stdout.strip()
    key = parts.keyring.find(secret)
    listed = run("key", "list").stdout
    rotated = run("key", "rotate", f"{key.prefix}…{key.last4}", "--grace-hours", 0)
    replaced = rotated.stdout.strip()
    found = parts.keyring.find(replaced)
    revoked = run("key", "revoke", found.id)

    assert issued.exit_code == rotated.exit_code == revoked.exit_code == 0
    assert (key.allow, key.requests_per_minute) == (("llama*",), 5)
    assert (key.budgets[0].limit, key.cidrs) == (1000, ("10.0.0.0/8",))
    assert "laptop" in listed
    assert secret not in listed
    for old in (secret, replaced):
        with pytest.raises(Unauthenticated):
            parts.keyring.find(old)


def test_options_are_the_fields_of_a_key(run: Run, parts: Services) -> None:
    made = run(
        *("key", "create", "all", "--no-enabled", "--log-bodies", "--zone", "Asia/Shanghai"),
        *("--priority", "batch", "--scopes", "chat", "--scopes", "models", "--tags", "a"),
        *("--owner", "Mara", "--notes", "for tests", "--deny", "secret*"),
    )
    (key,) = parts.keys.search("all")

    assert made.exit_code == 0, made.stderr
    assert (key.enabled, key.log_bodies, key.zone) == (False, True, "Asia/Shanghai")
    assert (key.priority, key.scopes, key.tags) == ("batch", ("chat", "models"), ("a",))
    assert (key.owner, key.notes, key.deny) == ("Mara", "for tests", ("secret*",))


def test_a_server_is_added_and_its_models_are_listed(run: Run, parts: Services) -> None:
    with FakeOllama([FakeModel("tern:latest")]) as ollama:
        made = run("server", "create", ollama.url, "--name", "box", "--weight", 2, "--tags", "gpu")
        wrong = run("server", "create", ollama.url, "--weight", 0)
        listed, models = run("server", "list").stdout, run("model", "list").stdout

    assert made.exit_code == 0, made.stderr
    assert "'weight' must be a whole number from 1 to 100." in wrong.stderr
    assert ["1", "box", ollama.url, "enabled"] in [line.split() for line in listed.splitlines()]
    assert ["1", "tern", "tern:latest", "ready"] in [line.split() for line in models.splitlines()]
    assert (parts.catalog.servers()[0].weight, parts.catalog.servers()[0].tags) == (2, ("gpu",))


def test_every_key_is_listed_whatever_number_there_is(run: Run, parts: Services) -> None:
    parts.store.write(lambda session: insert_many(session, 1_001))
    lines = run("key", "list").stdout.splitlines()

    assert len(lines) == 1_002
    assert len({line.split()[0] for line in lines}) == 1_002


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("key", "create", "x", "--expires-at", "2001-01-01"), "lies in the past"),
        (("key", "create", "x", "--budgets", "tokens=5"), "tokens/day=100000"),
        (
            ("key", "create", "x", "--opus-model", "gone:1"),
            "'opus_model' names a model that",
        ),
        (("key", "revoke", "99"), "There is no key 99"),
        (("key", "revoke", "sk-…zzzz"), "give its id"),
        (("account", "set-password", "nobody", "--password-stdin"), "There is no account"),
        (("account", "create", "a b", "--password-stdin"), "has 1 to 64 letters"),
        (("restore", "/nowhere.db", "--yes"), "is not there"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_1(
    refused: Run, args: tuple[str, ...], words: str
) -> None:
    result = refused(*args, stdin="violet harbour 71\n")

    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output


UNUSABLE = {
    "missing": "is not set up: start the gateway once",
    "older": "carry keys and models over",
    "newer": "a newer version of the gateway made",
    "garbage": "is damaged (file is not a database): restore a backup",
}
COMMANDS = ("usage", "prune", "backup", "config export")
CASES = [*((state, "key list") for state in UNUSABLE), *(("missing", name) for name in COMMANDS)]


@pytest.mark.parametrize(("state", "name"), CASES)
def test_a_database_that_cannot_be_used_is_explained(tmp_path: Path, state: str, name: str) -> None:
    settings = Settings.load({"DATA_DIR": str(tmp_path / "data"), "PORT": "1"}, None)
    path = settings.data_dir / "gateway.db"
    if state == "garbage":
        path.write_bytes(b"garbage" * 1000)
    elif state != "missing":
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        revision = {"older": "0001", "newer": "9999"}[state]
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        connection.commit()
        connection.close()
    app = create_app(settings)
    result = app.test_cli_runner().invoke(args=name.split())
    close(app)

    assert result.exit_code == 1
    assert UNUSABLE[state] in result.stderr
    assert result.output.count("\n") == 1, result.output


def test_accounts_can_be_made_and_given_passwords(run: Run, parts: Services) -> None:
    made = run(
        "account",
        "create",
        "Second",
        "--role",
        "viewer",
        "--password-stdin",
        stdin="violet harbour 71\n",
    )
    weak = run("account", "set-password", "second", "--password-stdin", stdin="password\n")
    good = run("account", "set-password", "second", "--password-stdin", stdin="green lantern 82\n")

    assert (made.exit_code, weak.exit_code, good.exit_code) == (0, 1, 0)
    assert "must have at least 10 characters" in weak.stderr
    assert parts.admins.login("second", "green lantern 82")[0].role == "viewer"


def record(parts: Services, count: int = 3, **changes: object) -> None:
    for number in range(count):
        name = f"req_{number}"
        admission = Admission(
            request_id=name,
            created_at=datetime.now(UTC),
            key_id=1,
            key_name="laptop",
            endpoint="chat",
            model_id=1,
            model="llama3.2",
            requested_model="llama3.2",
            streamed=False,
            client_app=str(changes.get("client_app", "sdk")),
        )
        parts.usage.admit(admission)
        cached = 4 if changes.get("cached") else 0
        parts.usage.settle(
            Settlement(name, 200, prompt_tokens=5, completion_tokens=7, cached_tokens=cached)
        )
    assert parts.usage.flush()


def test_usage_is_told_as_sums_and_as_files_safe_for_spreadsheets(
    run: Run, parts: Services
) -> None:
    parts.keys.issue({"name": "laptop"}, SYSTEM)
    record(parts, client_app='=HYPERLINK("http://evil")')
    told = run("usage").stdout
    rows = list(csv.DictReader(io.StringIO(run("usage", "--format", "csv").stdout)))
    lines = [json.loads(line) for line in run("usage", "--format", "jsonl").stdout.splitlines()]

    assert "laptop  3         0       15             21" in told
    assert [row["client_app"] for row in rows] == ['\'=HYPERLINK("http://evil")'] * 3
    assert [line["completion_tokens"] for line in lines] == [7, 7, 7]


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "＝1", "\0=1"])
def test_no_cell_starts_a_formula(cell: str) -> None:
    assert safe_cell(cell).startswith("'")


def test_prune_deletes_what_is_over_and_keeps_the_sums(run: Run, parts: Services) -> None:
    parts.keys.issue({"name": "laptop"}, SYSTEM)
    old = Admission(
        request_id="req_old",
        created_at=datetime(2020, 1, 1, tzinfo=UTC),
        key_id=1,
        key_name="laptop",
        endpoint="chat",
        model_id=1,
        model="m",
        requested_model="m",
        streamed=False,
    )
    settled = Settlement("req_old", 200, prompt_tokens=1, request_body="ask")
    parts.store.write(
        records.write,
        [records.Entry(old, settled)],
        worker="w",
        now=datetime(2020, 1, 1, tzinfo=UTC),
    )
    record(parts, 2)
    result = run("prune")
    left = parts.store.read(lambda s: s.scalars(select(RequestLogRow.request_id)).all())
    total = parts.store.read(
        lambda s: s.scalar(
            select(KeyCounterRow.used).where(
                KeyCounterRow.period == "total", KeyCounterRow.metric == "requests"
            )
        )
    )

    assert "Deleted 1 calls" in result.stdout
    assert set(left) == {"req_0", "req_1"}
    assert total == 3


def test_a_key_is_issued_for_requests_without_one(run: Run, parts: Services) -> None:
    refused = run("key", "create", "home", "--anonymous")
    issued = run("key", "create", "home", "--anonymous", "--cidrs", "192.168.1.0/24")

    assert "'cidrs' must say which addresses need no key." in refused.stderr
    assert issued.exit_code == 0
    assert parts.keyring.anonymous("192.168.1.20") == parts.keyring.find(issued.stdout.strip())


def test_doctor_explains_an_installation(run: Run, app: Flask) -> None:
    result = run("doctor", "--offline")

    assert result.exit_code == 1
    assert "XX  servers: no Ollama server" in result.stdout
    assert "!   accounts: the first password was never changed" in result.stdout
    assert "ok  database: " in result.stdout


def test_doctor_warns_of_who_needs_no_key(parts: Services) -> None:
    for name, network in (("Home", "192.168.1.0/24"), ("World", "::/0"), ("Old", "10.0.0.0/8")):
        fields = {"name": name, "cidrs": [network], "anonymous": True, "enabled": name != "Old"}
        parts.keys.issue(fields, SYSTEM)

    found = [(one.level, one.words) for one in examine(parts.config, None) if one.fix]

    accepted = "requests without a key are accepted from"
    assert ("odd", f"{accepted} 192.168.1.0/24 (key 'Home')") in found
    assert ("bad", f"{accepted} ::/0, which is everybody (key 'World')") in found
    assert not any("Old" in words for _, words in found)


def test_doctor_finds_several_processes_without_redis(parts: Services) -> None:
    now = datetime.now(UTC)
    for worker in ("a:1", "b:1"):
        parts.store.write(workers.record, worker, started_at=now, now=now)
    settings = replace(parts.config, web_concurrency=4)

    found = {finding.subject: finding for finding in examine(settings, None)}

    assert (found["processes"].level, found["redis"].level) == ("bad", "bad")
    assert "a:1, b:1" in found["processes"].words
    assert "set REDIS_URL" in found["redis"].fix


def test_a_backup_brings_everything_back(run: Run, parts: Services, tmp_path: Path) -> None:
    _, kept = parts.keys.issue({"name": "kept"}, SYSTEM)
    target = tmp_path / "saved.db"
    made = run("backup", target)
    _, later = parts.keys.issue({"name": "later"}, SYSTEM)
    again = run("backup", target)
    restored = run("restore", target, "--yes")
    parts.keyring.drop()
    parts.keyring.versions._watch.close()

    assert made.exit_code == restored.exit_code == 0, restored.output
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert "in plain" in made.stdout
    assert again.exit_code == 1
    assert parts.keyring.find(kept).name == "kept"
    with pytest.raises(Unauthenticated):
        parts.keyring.find(later)
    content = "\n".join(sqlite3.connect(target).iterdump())
    assert kept not in content


@pytest.mark.parametrize("damage", ["not a database", "flipped", "other"])
def test_a_damaged_backup_changes_nothing(
    run: Run, parts: Services, tmp_path: Path, damage: str
) -> None:
    _, secret = parts.keys.issue({"name": "kept"}, SYSTEM)
    target = tmp_path / "saved.db"
    run("backup", target)
    match damage:
        case "not a database":
            target.write_bytes(b"garbage" * 5000)
        case "flipped":
            content = bytearray(target.read_bytes())
            content[8192:40960] = b"\xaa" * (40960 - 8192)
            target.write_bytes(content)
        case _:
            target.unlink()
            connection = sqlite3.connect(target)
            connection.execute("CREATE TABLE other (x)")
            connection.commit()
            connection.close()
    result = run("restore", target, "--yes")

    assert result.exit_code == 1
    assert parts.keyring.find(secret).name == "kept"


def test_backups_of_postgresql_are_left_to_its_own_programs(parts: Services) -> None:
    settings = replace(parts.config, database_url="postgresql+psycopg://box/gateway")

    for refused in (copies.make, copies.restore):
        with pytest.raises(copies.BackupError, match="pg_dump"):
            refused(settings, settings.data_dir)


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE request_log",
        "ALTER TABLE server DROP COLUMN tags",
        "ALTER TABLE server ADD COLUMN more TEXT NOT NULL DEFAULT ''",
        "CREATE TRIGGER foreign_one AFTER INSERT ON request_log BEGIN DELETE FROM api_keys; END",
        "ALTER TABLE request_log RENAME TO kept; CREATE VIEW request_log AS SELECT * FROM kept",
        "DROP TABLE alembic_version; CREATE VIEW alembic_version AS WITH RECURSIVE n(i) AS"
        " (SELECT 1 UNION ALL SELECT i FROM n) SELECT max(i) AS version_num FROM n",
    ],
)
def test_a_backup_with_other_tables_is_refused_in_one_line(
    run: Run, parts: Services, tmp_path: Path, change: str
) -> None:
    _, secret = parts.keys.issue({"name": "kept"}, SYSTEM)
    target = tmp_path / "saved.db"
    run("backup", target)
    with closing(sqlite3.connect(target)) as connection:
        connection.executescript(change)
    before = target.read_bytes()
    folder = parts.config.data_dir
    result = run("restore", target, "--yes")

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert parts.keyring.find(secret).name == "kept"
    assert target.read_bytes() == before
    assert not [path.name for path in folder.iterdir() if "restor" in path.name]


def test_restore_waits_for_the_gateway_to_be_stopped(
    run: Run, parts: Services, tmp_path: Path
) -> None:
    from gateway.runtime.workers import Reaper

    run("backup", tmp_path / "saved.db")
    Reaper(parts.store).look()
    refused = run("restore", tmp_path / "saved.db", "--yes")
    forced = run("restore", tmp_path / "saved.db", "--yes", "--force")

    assert "the gateway is running" in refused.stderr
    assert forced.exit_code == 0


def configured(parts: Services) -> str:
    parts.settings.update({"max_n": 3, "public_url": "https://ai.example.org"}, SYSTEM)
    parts.store.write(_add_model)
    _, secret = parts.keys.issue(
        {
            "name": "app",
            "allow": ["m"],
            "budgets": [{"metric": "tokens", "period": "day", "limit": 500}],
            "cidrs": ["10.0.0.0/8"],
            "anonymous": True,
        },
        SYSTEM,
    )
    return secret


def _add_model(session) -> None:
    from gateway.store import catalog
    from tests.support.models import change

    now = datetime.now(UTC)
    model_id, _ = catalog.ensure(session, "m:latest", now)
    aliases = {"gpt-4o": {"temperature": 0.5}}
    change(session, model_id, override={"num_ctx": 4096}, aliases=aliases)


def test_a_configuration_moves_to_another_installation_with_working_keys(
    run: Run, parts: Services, tmp_path: Path
) -> None:
    secret = configured(parts)
    file = tmp_path / "config.yaml"
    exported = run("config", "export", file, "--with-digests")
    other = make_app(tmp_path / "other")
    there = other.test_cli_runner()
    rehearsed = there.invoke(args=["config", "import", str(file), "--dry-run"])
    before = of(other).keys.search()
    imported = there.invoke(args=["config", "import", str(file)])
    again = there.invoke(args=["config", "import", str(file)])
    key = of(other).keyring.find(secret)
    model = of(other).catalog.models()[0]
    behaviour = of(other).settings.behaviour()
    close(other)

    assert exported.exit_code == imported.exit_code == 0, imported.output
    assert "+ key app" in rehearsed.stdout
    assert "max_n: 8 -> 3" in rehearsed.stdout
    assert before == []
    assert "Nothing to change." in again.stdout
    assert (key.name, key.budgets[0].limit) == ("app", 500)
    assert (model.name, model.override, model.aliases[0].name) == (
        "m:latest",
        {"num_ctx": 4096},
        "gpt-4o",
    )
    assert (behaviour.max_n, behaviour.public_url) == (3, "https://ai.example.org")
    assert secret not in file.read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["settings"].update(max_n="many"), "settings.max_n"),
        (lambda d: d["settings"].update(unknown=1), "'unknown' is not known"),
        (lambda d: d["keys"][0].update(cidrs=["x"]), "keys[0].cidrs[0]"),
        (lambda d: d["keys"][0].update(digest="zz"), "keys[0].digest"),
        (lambda d: d["keys"][0].update(colour="red"), "keys[0].colour"),
        (lambda d: d["models"][0].update(override={"num_ctx": "big"}), "models[0]"),
        (lambda d: d["models"][0].update(name="a b"), "models[0].name"),
        (lambda d: d["servers"].append({"name": "x", "url": "ftp://x"}), "servers[0].url"),
        (lambda d: d.update(keys={}), "keys: must be a list"),
        (lambda d: d.update(product="other"), "of another product"),
        (lambda d: d.update(extra=1), "'extra' is not known"),
    ],
)
def test_a_wrong_document_changes_nothing_and_names_the_place(
    run: Run, parts: Services, tmp_path: Path, change: Callable[[dict], object], words: str
) -> None:
    configured(parts)
    file = tmp_path / "config.yaml"
    run("config", "export", file, "--with-digests")
    document = yaml.safe_load(file.read_text())
    document["settings"]["max_n"] = 5
    change(document)
    file.write_text(yaml.safe_dump(document))
    result = run("config", "import", file)

    assert result.exit_code == 1
    assert words in result.stderr
    assert parts.settings.behaviour().max_n == 3


def test_every_problem_of_a_document_is_told(run: Run, parts: Services, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    document = {
        "settings": {"max_n": 0, "drain_s": -1, "colour": "red"},
        "servers": [{"name": "a", "url": "http://a:1", "weight": 0}, {"name": "b"}, 7],
        "models": [{"name": "m", "aliases": {"x*": {"num_ctx": "big"}}}],
    }
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    lines = run("config", "import", file).stderr.splitlines()

    assert [line.removeprefix("Error: ").partition(": ")[0] for line in lines] == [
        "settings.max_n",
        "settings.drain_s",
        "settings.colour",
        "servers[0].weight",
        "servers[1]",
        "servers[2]",
        "models[0]",
    ]
    assert parts.catalog.servers() == ()


HOSTILE = {
    "deep": "[" * 100_000,
    "deep JSON": '{"a":' * 100_000,
    "deep override": "models: [{name: m, override: " + "{a: " * 3000 + "1" + "}" * 3000 + "}]",
    "aliases of aliases": "a: &a [x, x]\n"
    + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)).replace("a0", "a"),
    "itself": "keys: &k [*k]",
    "itself in a setting": "settings: &k {max_n: *k}",
    "no date": "settings: {max_n: 2026-99-99}",
    "a huge number": "settings: {max_n: " + "9" * 6000 + "}",
    "no number": "settings: {max_n: .nan}",
    "endless slots": "servers: [{name: b, url: 'http://x', slots: .inf}]",
    "a set": "servers: !!set {a, b}",
    "bytes": "keys: [{name: !!binary YWJj}]",
    "odd keys": "{1: 2, null: 3}",
    "half a character": 'keys: [{name: "\\ud800"}]',
    "a NUL": 'settings: {public_url: "a\\0b"}',
    "a long name": f"keys: [{{name: {'x' * 100_000}}}]",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("rehearsal", [(), ("--dry-run",)], ids=["import", "rehearsal"])
def test_a_hostile_document_is_one_line_and_changes_nothing(
    refused: Run, untouched: Flask, tmp_path: Path, content: str, rehearsal: tuple[str, ...]
) -> None:
    parts = of(untouched)
    before = parts.settings.behaviour(), parts.keys.search(), parts.catalog.servers()
    file = tmp_path / "config.yaml"
    file.write_text(content)
    result = refused("config", "import", file, *rehearsal)

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert len(result.stderr) < 400
    assert (parts.settings.behaviour(), parts.keys.search(), parts.catalog.servers()) == before


@pytest.mark.parametrize(
    "name", ["config.json", "api_keys.json", "models.json", "overrides.json", "logs.json"]
)
@pytest.mark.parametrize("content", ["[" * 100_000, "9" * 6000, '{"a": ' + "9" * 6000 + "}"])
def test_a_hostile_file_of_the_old_product_is_no_fault(
    refused: Run, tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    result = refused("legacy", "import", tmp_path)

    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert len(result.stderr.splitlines()) <= 1


@pytest.mark.parametrize(
    "content", ["{", "- 1", "text", "a: [1", "\t", "!!python/object:os.system x"]
)
def test_a_broken_document_is_refused(refused: Run, tmp_path: Path, content: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(content)
    result = refused("config", "import", file)

    assert result.exit_code == 1
    assert "Traceback" not in result.output


OLD_KEY = "sk-0123456789abcdef0123456789abcdef"


def old_data(folder: Path) -> Path:
    """Write what the Node product leaves behind."""
    created, used = "2024-01-02T03:04:05.678Z", "2024-05-06T07:08:09.000Z"
    call = {"model": "llama3.2", "responseTime": 1500, "timestamp": used, "id": "1714979289000"}
    keyed = {"apiKeyId": "1700000000000", "apiKeyName": "Chat app", "status": "success"}
    counts = {"tokens": 30, "promptTokens": 10, "completionTokens": 20}
    files = {
        "config.json": {
            "ollamaUrl": "http://192.168.1.5:11434",
            "adminPasswordHash": "$2b$10$x",
            "allowUnverifiedOptions": False,
            "rateLimit": {"windowMs": 900000, "max": 1000},
        },
        "api_keys.json": [
            {"id": "1700000000000", "name": "Chat app", "key": OLD_KEY, "created": created,
             "allowedModels": ["llama3.2", "Coder"], "usageCount": 12, "lastUsed": used},
            {"id": "1700000000001", "name": "All", "key": f"sk-{'f' * 32}",
             "allowedModels": ["*"], "created": created, "lastUsed": None},
        ],
        "models.json": [
            {"id": "llama3.2:latest", "originalName": "llama3.2:latest",
             "displayName": "llama3.2", "enabled": True,
             "parameterOverrides": {"num_ctx": 8192, "temperature": "hot", "think": True}},
            {"id": "qwen2.5-coder:7b", "originalName": "qwen2.5-coder:7b",
             "displayName": "Coder", "enabled": False},
        ],
        "overrides.json": {"Coder": {"temperature": 0.1}, "llama3.2": {"num_ctx": 1}},
        "logs.json": [
            {**call, **keyed, **counts, "endpoint": "/chat/completions", "userAgent": "curl/8"},
            {**call, "apiKeyId": "gone", "apiKeyName": "Old", "status": "error"},
            {"model": "no time"},
        ],
    }  # fmt: skip
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2))
    return folder


def test_the_node_products_data_is_taken_over(run: Run, parts: Services, tmp_path: Path) -> None:
    folder = old_data(tmp_path / "old")
    rehearsed = run("legacy", "import", folder, "--dry-run")
    untouched = parts.keys.search()
    first = run("legacy", "import", folder)
    used_at = parts.keys.search("Chat app")[0].last_used_at
    second = run("legacy", "import", folder)
    key = parts.keyring.find(OLD_KEY)
    models = {model.name: model for model in parts.catalog.models()}
    calls = parts.store.read(lambda s: s.scalars(select(RequestLogRow)).all())

    assert rehearsed.exit_code == first.exit_code == second.exit_code == 0, first.output
    assert untouched == []
    assert (key.name, key.allow, key.legacy) == ("Chat app", ("llama3.2", "Coder"), True)
    assert (key.prefix, key.last4) == ("sk-012", "cdef")
    assert key.created_at == datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    assert models["llama3.2:latest"].override == {"num_ctx": 8192, "think": True}
    assert models["qwen2.5-coder:7b"].override == {"temperature": 0.1}
    assert (models["qwen2.5-coder:7b"].display_name, models["qwen2.5-coder:7b"].enabled) == (
        "Coder",
        False,
    )
    assert [server.url for server in parts.catalog.servers()] == ["http://192.168.1.5:11434"]
    assert parts.settings.behaviour().allow_unverified_options is False
    assert [(c.key_id, c.status, c.completion_tokens) for c in calls if c.key_id] == [
        (key.id, 200, 20)
    ]
    assert len(calls) == 2
    assert used_at == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert "2 calls of the old log would be taken over" in rehearsed.stdout
    assert "2 calls of the old log were taken over" in first.stdout
    assert "0 calls of the old log were taken over" in second.stdout
    assert "Nothing to change." in second.stdout
    assert "temperature" in first.stdout
    assert "logs.json[2] has no time" in first.stdout


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("api_keys.json", '[{"key": "sk-', "api_keys.json, line 1: is not JSON"),
        ("api_keys.json", '{"a": 1}', "api_keys.json must be a list"),
        ("api_keys.json", '[{"key": 5}]', "api_keys.json[0].key must be a text"),
        ("api_keys.json", '[{"key": "sk-aaaaaaaa", "allowedModels": "*"}]', "allowedModels"),
        ("models.json", '["x"]', "models.json[0] must be an object"),
        ("config.json", '{"ollamaUrl": "file:///etc"}', "config.json: ollamaUrl"),
        ("config.json", '{"allowUnverifiedOptions": "yes"}', "true or false"),
        ("overrides.json", "[]", "overrides.json must be an object"),
        ("logs.json", "{}", "logs.json must be a list"),
    ],
)
def test_a_broken_old_file_is_named_and_nothing_is_taken_over(
    refused: Run, untouched: Flask, tmp_path: Path, name: str, content: str, words: str
) -> None:
    folder = old_data(tmp_path / "old")
    (folder / name).write_text(content)
    result = refused("legacy", "import", folder)

    assert result.exit_code == 1
    assert words in result.stderr
    parts = of(untouched)
    assert parts.keys.search() == []
    assert parts.catalog.models() == ()


def test_a_folder_without_old_files_is_refused(refused: Run, tmp_path: Path) -> None:
    result = refused("legacy", "import", tmp_path)

    assert result.exit_code == 1
    assert "has none of config.json" in result.stderr
