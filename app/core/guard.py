"""A connection to the outside that reaches only where it may, and ends when its time is over.

The address that was checked is the address that is connected to: a name that resolves anew to a private address in
between (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal

from app.core.clock import monotonic

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Cause = Literal["address", "request", "lookup", "connect", "tls", "timeout", "broken"]
Resolve = Callable[[str, int], Sequence[str]]
CONNECT_SECONDS = 5.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class OutboundFailed(Exception):  # noqa: N818 - reads as what happened
    """A request got no answer.  The text names the host at most: addresses, bodies and headers may hold secrets."""

    def __init__(self, cause: Cause, why: str) -> None:
        """`cause` decides whether another try makes sense."""
        super().__init__(why)
        self.cause = cause
        self.why = why


class Guard:
    """The limits of one call; used as a context manager around it."""

    def __init__(self, seconds: float, allow: Sequence[Network] | None, resolve: Resolve | None = None) -> None:
        """`seconds` is for everything together; `allow` names reachable networks besides public ones, None: any."""
        self._deadline = monotonic() + seconds
        self._allow = allow
        self._resolve = resolve or _look_up
        self._seconds = seconds
        self._handles: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self.expired = False

    def __enter__(self) -> Guard:
        """The clock runs."""
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of the connection."""
        self._timer.cancel()
        with self._lock:
            for handle in self._handles:
                handle.close()
            self._handles.clear()

    @property
    def left(self) -> float:
        """Seconds left, never quite none: sockets read 0 as "do not wait"."""
        return max(0.01, self._deadline - monotonic())

    def timed_out(self) -> OutboundFailed:
        """What to raise when `expired`."""
        return OutboundFailed("timeout", f"no complete answer within {self._seconds:g} s")

    def connect(self, host: str, port: int) -> socket.socket:
        """Connect to the first permitted address of a host.

        Raises:
            OutboundFailed: the host is unknown, may not be reached, or does not answer.
        """
        addresses = self._permitted(host, port)
        error: OSError | None = None
        for address in addresses:
            if self.expired:
                break
            try:
                connected = socket.create_connection((address, port), min(CONNECT_SECONDS, self.left))
            except OSError as failure:
                error = failure
                continue
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.settimeout(self.left)
            self._watch(connected)
            return connected
        if self.expired or isinstance(error, TimeoutError):
            raise OutboundFailed("timeout", f"{host} does not answer on port {port}") from error
        why = (error.strerror if error else None) or "no connection"
        raise OutboundFailed("connect", f"{host}, port {port}: {why}") from error

    def _permitted(self, host: str, port: int) -> list[str]:
        found = self._resolve_in_time(host, port)
        if self._allow is None:
            return found
        permitted = [address for address in found if is_reachable(address, self._allow)]
        if not permitted:
            advice = f"to let Tocsin reach it, list its network in OUTBOUND_ALLOW, as OUTBOUND_ALLOW={_network_of(found[0])}"
            raise OutboundFailed("address", f"{host} ({found[0]}) is not a public address; {advice}")
        return permitted

    def _resolve_in_time(self, host: str, port: int) -> list[str]:
        """Look a name up on a thread of its own, since the system's resolver knows no deadline."""
        literal = _literal(host)
        if literal is not None:
            return [str(literal)]
        found: list[str] = []
        failed: list[OSError | UnicodeError] = []

        def look_up() -> None:
            try:
                found.extend(self._resolve(host, port))
            except (OSError, UnicodeError) as error:
                failed.append(error)

        thread = threading.Thread(target=look_up, daemon=True)
        thread.start()
        thread.join(min(CONNECT_SECONDS, self.left))
        if found:
            return list(dict.fromkeys(found))
        if thread.is_alive():
            raise OutboundFailed("timeout", f"the name {host} could not be looked up in time")
        raise OutboundFailed("lookup", f"there is no host {host}") from (failed[0] if failed else None)

    def _watch(self, connected: socket.socket) -> None:
        """Keep a second handle on the connection: TLS takes the first one away, and shutting down either ends both."""
        with self._lock:
            handle = connected.dup()
            self._handles.append(handle)
            if self.expired:
                handle.shutdown(socket.SHUT_RDWR)

    def _expire(self) -> None:
        self.expired = True
        with self._lock:
            for handle in self._handles:
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)


def is_reachable(address: str, allow: Sequence[Network]) -> bool:
    """Whether an address is public or listed."""
    meant = _meant(ipaddress.ip_address(address))
    if meant.is_global and not meant.is_multicast:
        return True
    return any(meant.version == network.version and meant in network for network in allow)


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, when it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _look_up(host: str, port: int) -> list[str]:
    return [str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _network_of(address: str) -> str:
    """A network that holds the address, of the size that people usually mean."""
    meant = _meant(ipaddress.ip_address(address))
    if meant.is_loopback and meant.version == 4:
        return "127.0.0.0/8"
    return f"{meant}/{meant.max_prefixlen}"
