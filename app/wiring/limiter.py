"""How many requests a minute an integration may send.

Counted in the process.  A thread tells Redis the counts every 50 ms and learns what the other processes counted; a
request asks Redis itself only when it is the first of a minute, and near the limit, where the verdict may depend on it.  Without Redis each process keeps to
the whole limit by itself: it is better to take a little too much than to lose alerts.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from limits.storage import RedisStorage

from app.domain.facts import IntegrationFacts, Principal
from app.settings import Settings
from app.wiring import redis

WINDOW = 60
"""Seconds of the fixed window."""
PAUSE_SECONDS = 0.05
_Key = tuple[int, int | None]
"""Integration and API key."""


@dataclass(slots=True)
class _Count:
    """One minute's count of one sender."""

    own: int = 0
    told: int = 0
    """How many of our own Redis knows."""
    others: int = 0
    """What the other processes had counted when Redis was last asked."""


@functools.cache
def _storage(link: redis.Link) -> RedisStorage:
    return RedisStorage("redis://", connection_pool=link.client.connection_pool)


class Limiter:
    """Counts of the present minute; one per process."""

    def __init__(self, settings: Settings) -> None:
        """Know the installation's limit; open nothing."""
        self._settings = settings
        self._lock = threading.Lock()
        self._window = 0
        self._counts: dict[_Key, _Count] = {}
        self._pid = 0
        self._news = threading.Event()

    def seconds_to_wait(self, integration: IntegrationFacts, token: Principal | None, now: datetime) -> int | None:
        """Count a request; None when it is within the limit, else the seconds until the next minute."""
        limit = self._settings.rate_limit if integration.rate_limit is None else integration.rate_limit
        if limit == 0:
            return None
        seconds = int(now.timestamp())
        key = (integration.id, token.token_id if token else None)
        count = self._add(key, seconds // WINDOW)
        if self._is_near(count, limit):
            self._exchange([key])
        return WINDOW - seconds % WINDOW if count.own + count.others > limit else None

    def _add(self, key: _Key, window: int) -> _Count:
        with self._lock:
            if window != self._window:
                self._window = window
                self._counts = {}
            count = self._counts.setdefault(key, _Count())
            count.own += 1
        if not self._news.is_set():
            if self._pid != os.getpid():
                self._start()
            self._news.set()
        return count

    def _is_near(self, count: _Count, limit: int) -> bool:
        """Whether this process sees the minute's first request, has had its share, or all together had most of the limit."""
        return count.own == 1 or count.own * self._settings.web_concurrency >= limit or (count.own + count.others) * 5 >= limit * 4

    def _start(self) -> None:
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self._tell, name="limiter", daemon=True).start()

    def _tell(self) -> None:
        pause = threading.Event()
        while True:
            self._news.wait()
            self._news.clear()
            self._exchange(list(self._counts))
            pause.wait(PAUSE_SECONDS)

    def _exchange(self, keys: Iterable[_Key]) -> None:
        """Tell Redis what it does not know yet, and take over what others counted; without Redis nothing changes."""
        link = redis.link(self._settings)
        if link is None:
            return
        window = self._window
        storage = _storage(link)
        for key in keys:
            with self._lock:
                count = self._counts.get(key)
                if count is None or count.own == count.told:
                    continue
                news, count.told = count.own - count.told, count.own
            total = link.attempt(lambda _client, key=key, news=news: storage.incr(f"{window}:{key[0]}:{key[1] or ''}", 2 * WINDOW, news))  # type: ignore[misc]
            with self._lock:
                if total is None:
                    count.told -= news
                else:
                    count.others = max(count.others, total - count.told)
