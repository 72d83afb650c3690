"""What the hub asks of the operating system: no child outlives its parent, one hub per folder, is a port free."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import socket
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class AlreadyRunningError(Exception):
    """Another hub holds the lock; the text says which."""


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends, however it ends (Linux; elsewhere this does nothing).

    A parent that ended before the request was made is noticed too.  Runs between fork and exec, so it allocates little.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def stop_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent ends."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def hold_folder(path: Path) -> int:
    """Lock the file for the life of this process; the handle must stay open.  The kernel frees it at kill -9.

    Raises:
        AlreadyRunningError: another process holds it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise AlreadyRunningError(
            f"Another hub (process {other}) already runs on {path.parent}. Stop that one first, or give this one a folder and ports of its own: "
            "DATA_DIR=… PORT=… SMTP_LISTEN=… flask hub"
        ) from None
    os.ftruncate(handle, 0)
    os.write(handle, str(os.getpid()).encode())
    return handle


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock of `hold_folder`."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def is_taken(host: str, port: int) -> bool:
    """Whether another program listens there.

    Granian shares ports (SO_REUSEPORT): without this question a second installation would silently take half of the requests.

    Raises:
        OSError: the address is not one of this machine, or may not be used.
    """
    family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return True
    return False
