"""Redis, which may be away, hung or flushed at any moment: short timeouts, no retries, and a pause after each failure.

The library's own defaults wait 4 s for a server that is stopped and 53 s for one that hangs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.core.clock import monotonic
from app.settings import Settings

CONNECT_SECONDS = 0.2
READ_SECONDS = 0.3
PAUSE_SECONDS = 2.0
"""After a failure nobody asks again for so long."""
T = TypeVar("T")


class Link:
    """One process's way to one Redis, shared by its threads."""

    def __init__(self, url: str, *, read_seconds: float = READ_SECONDS) -> None:
        """Open nothing yet."""
        self._paused_until = 0.0
        self.client = connect(url, read_seconds=read_seconds)

    def attempt(self, work: Callable[[redis.Redis], T]) -> T | None:
        """`work(client)`, or None when Redis is away, or was a moment ago."""
        if monotonic() < self._paused_until:
            return None
        try:
            return work(self.client)
        except (redis.RedisError, OSError):
            self._paused_until = monotonic() + PAUSE_SECONDS
            return None

    def is_up(self) -> bool:
        """Whether it answers."""
        return self.attempt(lambda client: bool(client.ping())) or False


def connect(url: str, *, read_seconds: float = READ_SECONDS) -> redis.Redis:
    """A client without retries; `read_seconds` is longer for calls that block on purpose."""
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=CONNECT_SECONDS, socket_timeout=read_seconds)


def url_of(settings: Settings) -> str:
    """REDIS_URL, else the embedded Redis's socket when there is one, else the empty text."""
    if settings.redis_url:
        return settings.redis_url
    return f"unix://{settings.redis_socket}" if settings.redis_socket.exists() else ""


def link(settings: Settings) -> Link | None:
    """The link of this process, or None when there is no Redis to be had."""
    url = url_of(settings)
    if not url:
        return None
    with _lock:
        found = _links.get(url)
        if found is None:
            found = _links[url] = Link(url)
    return found


def client(settings: Settings) -> redis.Redis | None:
    """The shared client (its calls may raise `redis.RedisError`; `link(settings).attempt` does not), or None."""
    found = link(settings)
    return found.client if found else None


def is_up(settings: Settings) -> bool:
    """Whether there is a Redis and it answers."""
    found = link(settings)
    return found is not None and found.is_up()


_links: dict[str, Link] = {}
_lock = threading.Lock()
