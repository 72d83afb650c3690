"""What no test may do: reach beyond this machine, or hang."""

from __future__ import annotations

import ipaddress
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

violations: list[str] = []
"""Connections that were refused since the last test; a test that leaves one fails, even when the product swallowed the error."""


class LoopbackSocket(socket.socket):
    """A socket that reaches this machine only."""

    def connect(self, address: Any) -> None:
        """Connect, or refuse as a machine without a network does."""
        _require_loopback(self, address)
        super().connect(address)

    def connect_ex(self, address: Any) -> int:
        """The same with an error number."""
        _require_loopback(self, address)
        return super().connect_ex(address)

    def sendto(self, data: Any, *rest: Any) -> int:
        """Datagrams too."""
        _require_loopback(self, rest[-1])
        return super().sendto(data, *rest)


def _require_loopback(sock: socket.socket, address: Any) -> None:
    if sock.family == socket.AF_UNIX:
        return
    host = str(address[0])
    if not _is_here(host):
        violations.append(host)
        raise OSError(101, f"tests reach loopback addresses only, not {host}")


def _is_here(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


_real_getaddrinfo = socket.getaddrinfo


def _getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
    """Numbers and localhost resolve; every other name is unknown, without asking anybody."""
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    try:
        ipaddress.ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        if name not in ("", "localhost", socket.gethostname()):
            raise socket.gaierror(socket.EAI_NONAME, f"tests resolve no names ({name})") from None
    return _real_getaddrinfo(host, *args, **kwargs)


def install() -> None:
    """Put the guards in place for the whole run."""
    socket.socket = LoopbackSocket  # type: ignore[misc]
    socket.getaddrinfo = _getaddrinfo


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """A test that hangs fails after so long, with the stack of where it hung."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"the test took longer than {seconds} s")

    former = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)
