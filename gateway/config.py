"""Where and how much: the settings that come from the environment, read once at the start.

Names are in `_READERS` with what each may hold. A `.env` file in the working folder is read as
well; real variables win over it. A wrong value, or an unknown name that begins with GATEWAY_,
raises ConfigError: one line that names the variable and says what would be right.
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from gateway import paths
from gateway.env_file import read_env_file

_PREFIX = "GATEWAY_"
_SECRET_FILE = "session_secret"
_MIN_SECRET = 16
_OWN_HOSTS = ("localhost", "127.0.0.1")


class ConfigError(Exception):
    """Something that stops the start; its text is one line and names the variable or the file."""

    def __init__(self, subject: str, problem: str = "") -> None:
        super().__init__(f"{subject}: {problem}" if problem else subject)


class Secret:
    """A text that shows itself to nobody by accident: `repr`, `str` and format give ***."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return secrets.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Secret, ("***",))


_NO_SECRET = Secret()


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment as typed values. `redis_url` and `database_url` may hold passwords, so they
    do not show.

    `trusted_proxies` is how many reverse proxies stand in front (0: forwarded headers are
    ignored). `admin_password` and `ollama_urls` seed an empty database and are not looked at
    afterwards; `ollama_urls` is None when not set: then the start looks for a server itself.
    `wrong_keys_per_minute` is how many wrong API keys one address may try.
    """

    host: str = "0.0.0.0"
    port: int = 3000
    data_dir: Path = field(default_factory=paths.default_data_dir)
    database_url: str = field(default="", repr=False)
    redis_url: str = field(default="", repr=False)
    session_secret: Secret = _NO_SECRET
    ollama_urls: tuple[str, ...] | None = None
    admin_username: str = "admin"
    admin_password: Secret = _NO_SECRET
    web_concurrency: int = 1
    worker_connections: int = 4000
    graceful_timeout: int = 60
    keepalive: int = 75
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    trusted_proxies: int = 0
    wrong_keys_per_minute: int = 30
    trusted_hosts: tuple[str, ...] = ()
    cookie_secure: Literal["auto", "always", "never"] = "auto"
    metrics_token: Secret = _NO_SECRET
    sqlite_synchronous: Literal["normal", "full"] = "normal"
    database_pool: int = 10
    usage_buffer: int = 100_000
    demo: bool = False
    otlp_endpoint: str = ""
    otlp_headers: Secret = _NO_SECRET
    otlp_service: str = "ollama2openai"

    @property
    def uses_sqlite(self) -> bool:
        """Whether the store is a file of ours."""
        return self.database_url.startswith("sqlite")

    def flask_config(self) -> dict[str, Any]:
        """Return what Flask and its extensions read from `app.config`."""
        return {
            "SECRET_KEY": self.session_secret.reveal(),
            "GATEWAY_DEMO": self.demo,
            # Probes of this machine, such as the container's, always come through.
            "TRUSTED_HOSTS": [*self.trusted_hosts, *_OWN_HOSTS] if self.trusted_hosts else None,
            "BOOTSTRAP_SERVE_LOCAL": True,
            "WTF_CSRF_TIME_LIMIT": None,
            "SESSION_COOKIE_HTTPONLY": True,
            "SESSION_COOKIE_SAMESITE": "Lax",
            "SESSION_COOKIE_SECURE": self.cookie_secure == "always",
            "MAX_FORM_MEMORY_SIZE": 2 << 20,
            "MAX_FORM_PARTS": 2_000,
        }

    @classmethod
    def load(
        cls, environ: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")
    ) -> Settings:
        """Read the environment over `env_file`, prepare the data folder and the session secret.

        Raises ConfigError for the first value that is wrong.
        """
        values = _merged(os.environ if environ is None else environ, env_file)
        _refuse_unknown(values)
        found: dict[str, Any] = {}
        for variable, (name, read) in _READERS.items():
            text = values.get(variable, "").strip()
            if text:
                try:
                    found[name] = read(text)
                except ValueError as exc:
                    raise ConfigError(variable, str(exc)) from exc
        found.setdefault("data_dir", paths.default_data_dir())
        prepare_folder(found["data_dir"])
        found.setdefault("database_url", f"sqlite:///{found['data_dir'] / 'gateway.db'}")
        found.setdefault("session_secret", _kept_secret(found["data_dir"]))
        return cls(**found)


def prepare_folder(folder: Path) -> None:
    """Make the data folder, for its owner only. Raises ConfigError if it is not writable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o700)
    except OSError as exc:
        raise ConfigError("DATA_DIR", f"{folder} cannot be made: {exc.strerror}") from exc
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError("DATA_DIR", f"{folder} is not writable by this user")


def _merged(environ: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    values: dict[str, str] = {}
    if env_file is not None and env_file.is_file():
        try:
            values.update(read_env_file(env_file, _READERS))
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(str(env_file), f"cannot be read: {exc}") from exc
        except ValueError as exc:
            raise ConfigError(str(env_file), str(exc)) from exc
    values.update(environ)
    return values


def _refuse_unknown(values: Mapping[str, str]) -> None:
    for name in sorted(values):
        if name.startswith(_PREFIX) and name not in _READERS:
            known = ", ".join(sorted(v for v in _READERS if v.startswith(_PREFIX)))
            raise ConfigError(name, f"is not a setting of the gateway; there are {known}")


def _integer(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,12}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, not {_shown(text)}")
        return int(text)

    return read


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"must be one of {', '.join(words)}, not {_shown(text)}")
        return text.lower()

    return read


def _web_parts(url: str) -> SplitResult | None:
    """Return the parts of an address that can be asked over HTTP, None for another text."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:
        return None
    return parts if usable and not re.search(r"\][^:]", parts.netloc) else None


def _web_address(text: str) -> str:
    if _web_parts(text) is None or re.search(r"[\x00-\x20]", text):
        raise ValueError(f"must be an address such as http://127.0.0.1:4318, not {_shown(text)}")
    return text


def _header_list(text: str) -> Secret:
    for part in text.split(","):
        name, equals, _ = part.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9-]+", name.strip()):
            raise ValueError("must be headers such as api-key=SECRET, separated by commas")
    return Secret(text)


def _yes_or_no(text: str) -> bool:
    return _one_of("yes", "no")(text) == "yes"


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_\-]{1,255}|\[[A-Za-z0-9.:_\-]{1,253}\](:\d+)?", text):
        raise ValueError(f"must be an address or host name, not {_shown(text)}")
    return text


def _hosts(text: str) -> tuple[str, ...]:
    return tuple(_host(part.strip()) for part in text.split(",") if part.strip())


def _username(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._@\-]{1,64}", text):
        raise ValueError("must be 1 to 64 letters, digits or . _ @ -")
    return text.lower()


def _session_secret(text: str) -> Secret:
    if len(text) < _MIN_SECRET:
        raise ValueError(f"must have at least {_MIN_SECRET} characters; leave it out to have one")
    return Secret(text)


def _folder(text: str) -> Path:
    if "\0" in text:
        raise ValueError("must be a folder")
    return Path(text).expanduser().resolve()


def _ollama_urls(text: str) -> tuple[str, ...]:
    if text == "none":
        return ()
    return tuple(_ollama_url(part.strip()) for part in text.split(",") if part.strip())


def _ollama_url(text: str) -> str:
    url = text if "://" in text else f"http://{text}"
    parts = _web_parts(url)
    if parts is None or re.search(r"[\x00-\x20\\]", url) or parts.query or parts.fragment:
        raise ValueError(f"must be addresses such as http://127.0.0.1:11434, not {_shown(text)}")
    if parts.username or parts.password:
        raise ValueError("must hold no user name or password: set a header at the server instead")
    return url.rstrip("/")


def _redis_url(text: str) -> str:
    if text.partition("://")[0] not in {"redis", "rediss", "unix"}:
        raise ValueError("must start with redis://, rediss:// or unix://")
    _need("redis", "redis")
    from redis import Redis  # only here: the client takes 6 MB

    try:
        Redis.from_url(text).connection_pool.make_connection()  # which opens nothing yet
    except Exception as exc:
        raise ValueError("must be an address such as redis://127.0.0.1:6379/0") from exc
    return text


def _need(module: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise ValueError(
            f"needs the extra '{extra}', which is not installed: pip install"
            f" 'ollama2openai[{extra}]'"
        )


def _database(text: str) -> str:
    scheme, found, rest = text.partition("://")
    if found and scheme in {"postgres", "postgresql", "postgresql+psycopg"}:
        _need("psycopg", "postgresql")
        return _database_address(f"postgresql+psycopg://{rest}")
    if found and scheme == "sqlite":
        if rest.strip("/") in {"", ":memory:"}:
            raise ValueError("SQLite in memory cannot be shared by workers: name a file")
        _database_address(text)
        return f"sqlite:///{Path(rest[1:]).absolute()}"
    raise ValueError("must start with postgresql:// or sqlite:///")


def _database_address(url: str) -> str:
    from sqlalchemy import make_url  # only here, as it takes long
    from sqlalchemy.exc import ArgumentError

    try:
        parts = make_url(url)
        parts.get_dialect()().create_connect_args(parts)
        (parts.host or "").encode("idna")
    except (ArgumentError, ValueError) as exc:  # their words may hold the password
        raise ValueError(
            "must be an address such as postgresql://USER:PASSWORD@HOST:5432/NAME"
        ) from exc
    return url


def _shown(text: str) -> str:
    """Quote a value for an error: short, and on one line."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _kept_secret(folder: Path) -> Secret:
    """Return the session secret kept in `folder`; the first caller makes it, however many start."""
    path = folder / _SECRET_FILE
    fresh = folder / f".{_SECRET_FILE}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        if not path.exists():
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                out.write(secrets.token_urlsafe(48))
            try:
                os.link(fresh, path)
            except FileExistsError:
                pass  # another process was first; its secret counts
            finally:
                fresh.unlink(missing_ok=True)
        text = path.read_text().strip()
    except OSError as exc:
        raise ConfigError("SESSION_SECRET", f"{path} cannot be used: {exc.strerror}") from exc
    if len(text) < _MIN_SECRET:
        raise ConfigError("SESSION_SECRET", f"{path} is damaged: delete it to have a new one")
    return Secret(text)


_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "HOST": ("host", _host),
    "PORT": ("port", _integer(1, 65535)),
    "DATA_DIR": ("data_dir", _folder),
    "DATABASE_URL": ("database_url", _database),
    "REDIS_URL": ("redis_url", _redis_url),
    "SESSION_SECRET": ("session_secret", _session_secret),
    "OLLAMA_URL": ("ollama_urls", _ollama_urls),
    "ADMIN_USERNAME": ("admin_username", _username),
    "ADMIN_PASSWORD": ("admin_password", Secret),
    "WEB_CONCURRENCY": ("web_concurrency", _integer(1, 256)),
    "WORKER_CONNECTIONS": ("worker_connections", _integer(10, 1_000_000)),
    "GRACEFUL_TIMEOUT": ("graceful_timeout", _integer(1, 3600)),
    "KEEPALIVE": ("keepalive", _integer(1, 3600)),
    "LOG_LEVEL": ("log_level", _one_of("debug", "info", "warning", "error")),
    "LOG_FORMAT": ("log_format", _one_of("text", "json")),
    "TRUSTED_PROXIES": ("trusted_proxies", _integer(0, 10)),
    "WRONG_KEYS_PER_MINUTE": ("wrong_keys_per_minute", _integer(1, 1_000_000)),
    "TRUSTED_HOSTS": ("trusted_hosts", _hosts),
    "COOKIE_SECURE": ("cookie_secure", _one_of("auto", "always", "never")),
    "METRICS_TOKEN": ("metrics_token", Secret),
    "GATEWAY_SQLITE_SYNCHRONOUS": ("sqlite_synchronous", _one_of("normal", "full")),
    "GATEWAY_DATABASE_POOL": ("database_pool", _integer(1, 200)),
    "GATEWAY_USAGE_BUFFER": ("usage_buffer", _integer(1_000, 10_000_000)),
    "GATEWAY_DEMO": ("demo", _yes_or_no),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("otlp_endpoint", _web_address),
    "OTEL_EXPORTER_OTLP_HEADERS": ("otlp_headers", _header_list),
    "OTEL_SERVICE_NAME": ("otlp_service", str),
}
"""Environment variable to the field it fills and the reader of its text."""

VARIABLES: tuple[str, ...] = tuple(_READERS)
"""Every variable the gateway reads, for the README's table and the doctor."""
