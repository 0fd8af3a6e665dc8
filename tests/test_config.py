"""Settings from the environment: typed, checked, and secret where they must be."""

from __future__ import annotations

import pickle
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import ConfigError, Secret, Settings


def load(tmp_path: Path, **environ: str) -> Settings:
    return Settings.load({"DATA_DIR": str(tmp_path / "data"), **environ}, None)


def test_nothing_set_gives_a_gateway_on_port_3000_with_its_own_file(tmp_path: Path) -> None:
    settings = load(tmp_path)

    assert settings.port == 3000
    assert settings.database_url == f"sqlite:///{tmp_path / 'data' / 'gateway.db'}"
    assert settings.uses_sqlite
    assert settings.ollama_urls is None


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("PORT", "http", "a whole number from 1 to 65535"),
        ("PORT", "70000", "a whole number from 1 to 65535"),
        ("PORT", "-1", "a whole number"),
        ("PORT", "3000.5", "a whole number"),
        ("HOST", "0.0.0.0; rm", "an address or host name"),
        ("OLLAMA_URL", "ftp://ollama", "http://127.0.0.1:11434"),
        ("OLLAMA_URL", "http://", "http://127.0.0.1:11434"),
        ("OLLAMA_URL", "http://user:pw@host:1", "no user name or password"),
        ("OLLAMA_URL", "http://ok:11434, http://a b", "http://127.0.0.1:11434"),
        ("OLLAMA_URL", "http://host:99999", "http://127.0.0.1:11434"),
        ("SESSION_SECRET", "short", "at least 16 characters"),
        ("DATABASE_URL", "mysql://host/db", "postgresql:// or sqlite:///"),
        ("DATABASE_URL", "sqlite://", "name a file"),
        ("DATABASE_URL", "gateway.db", "postgresql:// or sqlite:///"),
        ("REDIS_URL", "localhost:6379", "redis://"),
        ("DATABASE_URL", "postgresql://u:pw@127.0.0.1:notaport/x", "postgresql://USER"),
        ("DATABASE_URL", "postgresql://u:pw@h:5432:5/x", "postgresql://USER"),
        ("DATABASE_URL", "postgresql://h:/x", "postgresql://USER"),
        ("DATABASE_URL", "postgresql://[::1/x", "postgresql://USER"),
        ("DATABASE_URL", "postgresql://u:pw@a..b/x", "postgresql://USER"),
        ("DATABASE_URL", "postgresql://h/x?host=/tmp&port=zz", "postgresql://USER"),
        ("DATABASE_URL", "postgresql+psycopg2://h/x", "postgresql:// or sqlite:///"),
        ("DATABASE_URL", "sqlite://host/x", "postgresql://USER"),
        ("REDIS_URL", "redis://:pw@x:notaport/0", "redis://127.0.0.1"),
        ("REDIS_URL", "redis://:pw@x:99999/0", "redis://127.0.0.1"),
        ("REDIS_URL", "redis://[::1/0", "redis://127.0.0.1"),
        ("REDIS_URL", "redis://x/0?foo=bar", "redis://127.0.0.1"),
        ("REDIS_URL", "redis://x/0?socket_timeout=abc", "redis://127.0.0.1"),
        ("REDIS_URL", "rediss://x/0?ssl_cert_reqs=zzz", "redis://127.0.0.1"),
        ("OLLAMA_URL", "http://[::1", "http://127.0.0.1:11434"),
        ("OLLAMA_URL", "http://[::1]x", "http://127.0.0.1:11434"),
        ("OLLAMA_URL", "http://a..b", "http://127.0.0.1:11434"),
        ("OLLAMA_URL", "http://h:notaport", "http://127.0.0.1:11434"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:notaport", "http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1", "http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a..b", "http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://h", "http://127.0.0.1:4318"),
        ("OIDC_ISSUER", "id.example.com", "https://id.example.com"),
        ("OIDC_ISSUER", "https://id.example.com/?a=b", "https://id.example.com"),
        ("OIDC_ISSUER", "http://id.example.com", "must begin with https://"),
        ("OIDC_ISSUER", "https://user:pw@id.example.com", "must begin with https://"),
        ("OIDC_SCOPES", "profile email", "must hold openid"),
        ("OIDC_NAME", "x" * 65, "1 to 64 characters"),
        ("HOST", "[::1", "an address or host name"),
        ("WEB_CONCURRENCY", "0", "a whole number from 1"),
        ("WEB_CONCURRENCY", "many", "a whole number from 1"),
        ("WORKER_CONNECTIONS", "1", "a whole number from 10"),
        ("GRACEFUL_TIMEOUT", "0", "a whole number from 1"),
        ("KEEPALIVE", "0", "a whole number from 1"),
        ("LOG_LEVEL", "loud", "debug, info, warning, error"),
        ("LOG_FORMAT", "xml", "text, json"),
        ("TRUSTED_PROXIES", "10.0.0.0/8", "a whole number from 0 to 10"),
        ("TRUSTED_HOSTS", "a b", "an address or host name"),
        ("COOKIE_SECURE", "yes", "auto, always, never"),
        ("ADMIN_USERNAME", "<script>", "letters, digits"),
        ("GATEWAY_SQLITE_SYNCHRONOUS", "off", "normal, full"),
        ("GATEWAY_DATABASE_POOL", "0", "a whole number from 1"),
        ("GATEWAY_USAGE_BUFFER", "1", "a whole number from 1000"),
        ("GATEWAY_UNKNOWN", "1", "not a setting"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable(
    tmp_path: Path, variable: str, text: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **{variable: text})

    line = str(caught.value)
    assert line.startswith(f"{variable}: ")
    assert words in line
    assert "\n" not in line
    assert "pw" not in line


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"^DATA_DIR: "):
        load(tmp_path, DATA_DIR=str(tmp_path / "file" / "data"))


def test_a_missing_session_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    first, second = load(tmp_path), load(tmp_path)
    path = tmp_path / "data" / "session_secret"

    assert first.session_secret == second.session_secret
    assert len(first.session_secret.reveal()) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


REVEAL = """
import sys
from pathlib import Path
from tests.test_config import load
print(load(Path(sys.argv[1])).session_secret.reveal())
"""


def test_processes_that_start_together_agree_on_the_secret(tmp_path: Path) -> None:
    command = [sys.executable, "-c", REVEAL, str(tmp_path)]
    root = Path(__file__).parents[1]
    started = [
        subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(8)
    ]
    secrets = [process.communicate(timeout=60)[0].strip() for process in started]

    assert len(set(secrets)) == 1
    assert len(secrets[0]) >= 32
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["session_secret"]


def test_a_damaged_secret_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "session_secret").write_text("")

    with pytest.raises(ConfigError, match=r"^SESSION_SECRET: .*damaged"):
        load(tmp_path)


WRONG_FILES = [
    ("PORT=3000\n\nOLLAMA_URL\n", "line 3 must read NAME=value"),
    ("=5\n", "line 1 must read NAME=value"),
    ("SESSION SECRET=x\n", "line 1 must read NAME=value"),
    ("ADMIN_PASSWORD='open\n", "line 1 must read NAME=value"),
    (
        "# c\nOLAMA_URL=http://x:1\n",
        "line 2: 'OLAMA_URL' is not a setting; did you mean OLLAMA_URL?",
    ),
    (
        "database_url=sqlite:///x\n",
        "line 1: 'database_url' is not a setting; did you mean DATABASE_URL?",
    ),
]


@pytest.mark.parametrize(("text", "words"), WRONG_FILES, ids=[row[0][:12] for row in WRONG_FILES])
def test_a_slip_in_a_dotenv_file_is_named_by_its_line(
    tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / ".env"
    file.write_text(text)

    with pytest.raises(ConfigError, match=re.escape(f"{file}: {words}")):
        Settings.load({"DATA_DIR": str(tmp_path)}, file)


def test_variables_of_others_may_stand_in_a_dotenv_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "\ufeffPOSTGRES_PASSWORD=a\nOLLAMA_MODELS=/m\nexport PORT='3456'\nCOMPOSE_FILE=x\nTZ=UTC\n"
    )

    assert Settings.load({"DATA_DIR": str(tmp_path)}, file).port == 3456


def test_a_dotenv_file_is_read_below_the_environment(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=4000\nLOG_LEVEL=debug\nADMIN_PASSWORD='pa$$word ${HOME}'\n")
    settings = Settings.load({"DATA_DIR": str(tmp_path / "data"), "PORT": "5000"}, file)

    assert (settings.port, settings.log_level) == (5000, "debug")
    assert settings.admin_password.reveal() == "pa$$word ${HOME}"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u:p@db/gw", "postgresql+psycopg://u:p@db/gw"),
        (
            "postgresql://u:p@db/gw?sslmode=require",
            "postgresql+psycopg://u:p@db/gw?sslmode=require",
        ),
        ("sqlite:////srv/gw.db", "sqlite:////srv/gw.db"),
        ("sqlite:///data/gw.db", f"sqlite:///{Path.cwd()}/data/gw.db"),
    ],
)
def test_database_addresses_are_understood(tmp_path: Path, given: str, used: str) -> None:
    assert load(tmp_path, DATABASE_URL=given).database_url == used


def test_servers_are_a_comma_list_and_may_lack_the_scheme(tmp_path: Path) -> None:
    settings = load(tmp_path, OLLAMA_URL="http://a:11434/, b:11434 ,https://c/ollama")

    assert settings.ollama_urls == ("http://a:11434", "http://b:11434", "https://c/ollama")


def test_secrets_show_in_no_text_of_the_settings(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        SESSION_SECRET="canary-session-secret",
        ADMIN_PASSWORD="canary-password",
        METRICS_TOKEN="canary-metrics",
        DATABASE_URL="postgresql://u:canary-db@h/d",
        REDIS_URL="redis://:canary-redis@h",
    )

    for text in (repr(settings), str(settings), f"{settings.session_secret}"):
        assert "canary" not in text
    assert pickle.loads(pickle.dumps(Secret("canary"))).reveal() == "***"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"OIDC_NAME": "Keycloak"}, "OIDC_ISSUER: is missing, and OIDC_NAME is set"),
        ({"OIDC_ISSUER": "https://id.example.com"}, "OIDC_CLIENT_ID: is missing"),
        (
            {
                "OIDC_ISSUER": "http://127.0.0.1:8080",
                "OIDC_CLIENT_ID": "gateway",
                "OIDC_CLIENT_SECRET": "not shown",
            },
            "OIDC_OWNERS: is missing",
        ),
    ],
)
def test_a_provider_that_is_set_in_part_is_refused(
    tmp_path: Path, environ: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        load(tmp_path, **environ)

    assert "not shown" not in str(caught.value)
