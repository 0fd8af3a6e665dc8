"""Where and how much: the settings that come from the environment, read once at the start.

Names are in `_READERS` with what each may hold. A `.env` file in the working folder is read as
well; real variables win over it. A wrong value, or an unknown name that begins with GATEWAY_,
raises ConfigError: one line that names the variable and says what would be right.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway import env_values, paths
from gateway.env_file import read_env_file
from gateway.env_values import MIN_SECRET, Secret

_PREFIX = "GATEWAY_"
_SECRET_FILE = "session_secret"
_OWN_HOSTS = ("localhost", "127.0.0.1")


class ConfigError(Exception):
    """Something that stops the start; its text is one line and names the variable or the file."""

    def __init__(self, subject: str, problem: str = "") -> None:
        super().__init__(f"{subject}: {problem}" if problem else subject)


_NO_SECRET = Secret()


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment as typed values. `redis_url` and `database_url` may hold passwords, so they
    do not show.

    `trusted_proxies` is how many reverse proxies stand in front (0: forwarded headers are
    ignored). `admin_password` and `ollama_urls` seed an empty database and are not looked at
    afterwards; `ollama_urls` is None when not set: then the start looks for a server itself.
    `wrong_keys_per_minute` is how many wrong API keys one address may try. `oidc_issuer` is "" when
    nobody signs in through a provider; `oidc_owners`, `oidc_admins` and `oidc_viewers` are values
    of the claim `oidc_role_claim`, `oidc_name` what the sign-in page calls the provider.
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
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: Secret = _NO_SECRET
    oidc_scopes: str = "openid profile email"
    oidc_role_claim: str = "groups"
    oidc_owners: tuple[str, ...] = ()
    oidc_admins: tuple[str, ...] = ()
    oidc_viewers: tuple[str, ...] = ()
    oidc_name: str = "OpenID Connect"

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
        _check_provider(found)
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


def _check_provider(found: Mapping[str, Any]) -> None:
    """Raise ConfigError if sign-in through a provider is set in part only."""
    variables = [name for name in _READERS if name.startswith("OIDC_")]
    given = [name for name in variables if _READERS[name][0] in found]
    if not given:
        return
    for variable in ("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"):
        if variable not in given:
            raise ConfigError(variable, f"is missing, and {given[0]} is set")
    if not {"OIDC_OWNERS", "OIDC_ADMINS", "OIDC_VIEWERS"} & set(given):
        problem = "is missing, and so are OIDC_ADMINS and OIDC_VIEWERS: nobody could sign in"
        raise ConfigError("OIDC_OWNERS", problem)


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
    if len(text) < MIN_SECRET:
        raise ConfigError("SESSION_SECRET", f"{path} is damaged: delete it to have a new one")
    return Secret(text)


_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "HOST": ("host", env_values.host),
    "PORT": ("port", env_values.integer(1, 65535)),
    "DATA_DIR": ("data_dir", env_values.folder),
    "DATABASE_URL": ("database_url", env_values.database),
    "REDIS_URL": ("redis_url", env_values.redis_url),
    "SESSION_SECRET": ("session_secret", env_values.session_secret),
    "OLLAMA_URL": ("ollama_urls", env_values.ollama_urls),
    "ADMIN_USERNAME": ("admin_username", env_values.username),
    "ADMIN_PASSWORD": ("admin_password", Secret),
    "WEB_CONCURRENCY": ("web_concurrency", env_values.integer(1, 256)),
    "WORKER_CONNECTIONS": ("worker_connections", env_values.integer(10, 1_000_000)),
    "GRACEFUL_TIMEOUT": ("graceful_timeout", env_values.integer(1, 3600)),
    "KEEPALIVE": ("keepalive", env_values.integer(1, 3600)),
    "LOG_LEVEL": ("log_level", env_values.one_of("debug", "info", "warning", "error")),
    "LOG_FORMAT": ("log_format", env_values.one_of("text", "json")),
    "TRUSTED_PROXIES": ("trusted_proxies", env_values.integer(0, 10)),
    "WRONG_KEYS_PER_MINUTE": ("wrong_keys_per_minute", env_values.integer(1, 1_000_000)),
    "TRUSTED_HOSTS": ("trusted_hosts", env_values.hosts),
    "COOKIE_SECURE": ("cookie_secure", env_values.one_of("auto", "always", "never")),
    "METRICS_TOKEN": ("metrics_token", Secret),
    "GATEWAY_SQLITE_SYNCHRONOUS": ("sqlite_synchronous", env_values.one_of("normal", "full")),
    "GATEWAY_DATABASE_POOL": ("database_pool", env_values.integer(1, 200)),
    "GATEWAY_USAGE_BUFFER": ("usage_buffer", env_values.integer(1_000, 10_000_000)),
    "GATEWAY_DEMO": ("demo", env_values.yes_or_no),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("otlp_endpoint", env_values.web_address),
    "OTEL_EXPORTER_OTLP_HEADERS": ("otlp_headers", env_values.header_list),
    "OTEL_SERVICE_NAME": ("otlp_service", str),
    "OIDC_ISSUER": ("oidc_issuer", env_values.issuer),
    "OIDC_CLIENT_ID": ("oidc_client_id", str),
    "OIDC_CLIENT_SECRET": ("oidc_client_secret", Secret),
    "OIDC_SCOPES": ("oidc_scopes", env_values.scopes),
    "OIDC_ROLE_CLAIM": ("oidc_role_claim", str),
    "OIDC_OWNERS": ("oidc_owners", env_values.words),
    "OIDC_ADMINS": ("oidc_admins", env_values.words),
    "OIDC_VIEWERS": ("oidc_viewers", env_values.words),
    "OIDC_NAME": ("oidc_name", env_values.line),
}
"""Environment variable to the field it fills and the reader of its text."""

VARIABLES: tuple[str, ...] = tuple(_READERS)
"""Every variable the gateway reads, for the README's table and the doctor."""
