"""Every setting: its name in the environment, default, check and meaning, in one table."""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class BadSettingError(ValueError):
    """A setting has a value that cannot work; the text names it and says what to write."""


class Setting(NamedTuple):
    """One row of the table."""

    name: str
    default: str
    check: Callable[[str], Any]
    help: str


def _text(value: str) -> str:
    return value


def _port(value: str) -> int:
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise ValueError("a port is a number from 1 to 65535")
    return int(value)


def _count(value: str) -> int:
    if not value.isdigit():
        raise ValueError("write a whole number, 0 or more")
    return int(value)


def _at_least_one(value: str) -> int:
    count = _count(value)
    if count < 1:
        raise ValueError("write a whole number, 1 or more")
    return count


def _networks(value: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())


def _list(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _address(value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    return (host or "127.0.0.1").strip("[]"), _port(port)


def _url(value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("an address starts with http:// or https://")
    return value.rstrip("/")


def _database(value: str) -> str:
    if value and not value.startswith(("sqlite:///", "postgresql://", "postgres://", "postgresql+psycopg://")):
        raise ValueError("write sqlite:///… or postgresql://user:password@host/database")
    if value in ("sqlite:///", "sqlite:///:memory:"):
        raise ValueError("a database in memory cannot be shared by processes; write sqlite:///folder/file.db")
    return value


def _redis(value: str) -> str:
    if value and not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("write redis://…, rediss://… or unix://…")
    return value


def _log_level(value: str) -> str:
    if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError("write DEBUG, INFO, WARNING or ERROR")
    return value.upper()


def _tls_mode(value: str) -> str:
    if value not in ("auto", "none", "starttls", "implicit"):
        raise ValueError("write auto, none, starttls or implicit")
    return value


TABLE: tuple[Setting, ...] = (
    Setting("DATA_DIR", "./var", lambda v: Path(v).absolute(), "Folder for the SQLite database, the secret key and sockets."),
    Setting("DATABASE_URL", "", _database, "sqlite:///… or postgresql://…; empty: SQLite in DATA_DIR."),
    Setting("REDIS_URL", "", _redis, "redis://… or unix://…; empty: the embedded Redis, or none when there is none to be had."),
    Setting("SECRET_KEY", "", _text, "Signs sessions and encrypts stored secrets; empty: made once in DATA_DIR/secret_key (0600)."),
    Setting("SECRET_KEY_OLD", "", _list, "Former secret keys, comma separated, still good for reading."),
    Setting("HOST", "127.0.0.1", _text, "Address that the web server listens on."),
    Setting("PORT", "8000", _port, "Port that the web server listens on."),
    Setting("BASE_URL", "", _url, "Where people and tools reach Tocsin; empty: made from HOST and PORT."),
    Setting("TLS_CERT", "", _text, "Certificate file; with TLS_KEY the web server speaks https."),
    Setting("TLS_KEY", "", _text, "Key file of TLS_CERT."),
    Setting("WEB_CONCURRENCY", "2", _at_least_one, "Web processes."),
    Setting("WEB_THREADS", "8", _at_least_one, "Threads of each web process."),
    Setting("WORKERS", "1", _count, "Worker processes that the hub starts."),
    Setting("SMTP_LISTEN", "127.0.0.1:2525", _address, "Where the mail listener takes alerts."),
    Setting("EMAIL_DOMAIN", "localhost", _text, "Domain of the addresses that take alerts by mail."),
    Setting("OUTBOUND_ALLOW", "", _networks, "Networks that outgoing requests may reach besides public ones, as 10.0.0.0/8,127.0.0.0/8."),
    Setting("RATE_LIMIT", "120", _count, "Requests a minute of one integration when it sets none itself; 0: no limit."),
    Setting("MAX_BODY_BYTES", "1048576", _at_least_one, "Largest request body; a larger one is answered 413."),
    Setting("SMTP_HOST", "", _text, "Server that outgoing mail is handed to; empty: no mail can be sent."),
    Setting("SMTP_PORT", "587", _port, "Its port."),
    Setting("SMTP_USER", "", _text, "Its user; empty: no log-in."),
    Setting("SMTP_PASSWORD", "", _text, "Its password."),
    Setting("SMTP_FROM", "tocsin@localhost", _text, "Sender of outgoing mail."),
    Setting("SMTP_TLS", "auto", _tls_mode, "auto (implicit on 465, STARTTLS on 587, else when offered), none, starttls or implicit."),
    Setting("RECEIPT_BODY_DAYS", "7", _count, "Days that the bodies of requests are kept."),
    Setting("RECEIPT_DAYS", "14", _count, "Days that receipts are kept."),
    Setting("RECEIPT_ROWS", "200000", _count, "Receipts kept at most."),
    Setting("LOG_LEVEL", "INFO", _log_level, "DEBUG, INFO, WARNING or ERROR."),
)

SECRET_NAMES = frozenset({"SECRET_KEY", "SECRET_KEY_OLD", "SMTP_PASSWORD", "DATABASE_URL", "REDIS_URL"})


@dataclass(frozen=True)
class Settings:
    """The settings in force; attribute names are the table's in lower case."""

    data_dir: Path
    database_url: str
    redis_url: str
    secret_key: str
    secret_key_old: tuple[str, ...]
    host: str
    port: int
    base_url: str
    tls_cert: str
    tls_key: str
    web_concurrency: int
    web_threads: int
    workers: int
    smtp_listen: tuple[str, int]
    email_domain: str
    outbound_allow: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    rate_limit: int
    max_body_bytes: int
    smtp_host: str
    smtp_port: int
    smtp_user: str
    smtp_password: str
    smtp_from: str
    smtp_tls: str
    receipt_body_days: int
    receipt_days: int
    receipt_rows: int
    log_level: str
    sources: Mapping[str, str]
    """Name in the table to "environment" or "default"."""

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self.database_url.startswith("sqlite")

    @property
    def keeps_secret_key(self) -> bool:
        """Whether the secret key is the file in DATA_DIR, and not the environment's."""
        return self.sources["SECRET_KEY"] == "default"  # noqa: S105 - a name, not a secret

    @property
    def hub_lock(self) -> Path:
        """The file that the hub of this DATA_DIR locks while it lives."""
        return self.data_dir / "hub.lock"

    @property
    def redis_socket(self) -> Path:
        """The embedded Redis's socket (a short relative path would not outlive a change of folder)."""
        return self.data_dir / "redis.sock"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; make DATA_DIR and the secret key when they are missing.

    Raises:
        BadSettingError: a value cannot work.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    sources = {}
    for row in TABLE:
        raw = environ.get(row.name) or row.default
        sources[row.name] = "environment" if environ.get(row.name) else "default"
        try:
            values[row.name.lower()] = row.check(raw)
        except ValueError as error:
            shown = "its value" if row.name in SECRET_NAMES else repr(raw)
            raise BadSettingError(f"{row.name}: {shown} cannot be used: {error}") from error
    try:
        values["data_dir"].mkdir(mode=0o700, parents=True, exist_ok=True)
        values["secret_key"] = values["secret_key"] or _kept_secret(values["data_dir"] / "secret_key")
    except OSError as error:
        raise BadSettingError(f"DATA_DIR: {values['data_dir']} cannot be used: {error.strerror}") from error
    values["database_url"] = _database_url(values["database_url"], values["data_dir"])
    scheme = "https" if values["tls_cert"] else "http"
    shown_host = "localhost" if values["host"] in ("0.0.0.0", "::", "127.0.0.1") else values["host"]  # noqa: S104 - compared, not bound
    values["base_url"] = values["base_url"] or f"{scheme}://{shown_host}:{values['port']}"
    return Settings(**values, sources=sources)


def _database_url(url: str, data_dir: Path) -> str:
    """The SQLAlchemy address: a file's path is relative to the present folder, and platforms still hand out `postgres://`."""
    if not url:
        return f"sqlite:///{data_dir / 'tocsin.db'}"
    if url.startswith("sqlite:///"):
        return f"sqlite:///{Path(url.removeprefix('sqlite:///')).absolute()}"
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def _kept_secret(path: Path) -> str:
    """The secret of this installation; two processes that start at once agree on one."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip() or _refuse_empty(path)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(48))
    return path.read_text().strip()


def _refuse_empty(path: Path) -> str:
    raise BadSettingError(f"{path} is empty: delete it to have a new key made, or set SECRET_KEY")
