"""How many requests a minute an integration may send.

Counted in the process.  Redis is asked only once this process alone has seen its share of the limit; below that no
verdict but "allowed" is possible.  Without Redis each process keeps to the whole limit by itself: it is better to take
a little too much than to lose alerts.
"""

from __future__ import annotations

import threading
from datetime import datetime

from app.domain.facts import IntegrationFacts, Principal
from app.settings import Settings

WINDOW = 60
"""Seconds of the fixed window."""
_Key = tuple[int, int | None]


class Limiter:
    """Counts of the present minute, by integration (and API key)."""

    def __init__(self, settings: Settings) -> None:
        """Know the installation's limit."""
        self._default = settings.rate_limit
        self._lock = threading.Lock()
        self._window = 0
        self._counts: dict[_Key, int] = {}

    def seconds_to_wait(self, integration: IntegrationFacts, token: Principal | None, now: datetime) -> int | None:
        """Count a request; None when it is within the limit, else the seconds until the next minute."""
        limit = self._default if integration.rate_limit is None else integration.rate_limit
        if limit == 0:
            return None
        seconds = int(now.timestamp())
        count = self._count((integration.id, token.token_id if token else None), seconds // WINDOW)
        return WINDOW - seconds % WINDOW if count > limit else None

    def _count(self, key: _Key, window: int) -> int:
        with self._lock:
            if window != self._window:
                self._window = window
                self._counts.clear()
            count = self._counts[key] = self._counts.get(key, 0) + 1
        return count
