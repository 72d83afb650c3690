"""A clock that stands still until a test moves it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

MONDAY = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""Where every test begins: a Monday, nine in the morning."""


class FakeClock:
    """Tells the time that the test set.  `advance` may be watched: the world runs what falls due on the way."""

    def __init__(self, start: datetime = MONDAY) -> None:
        self._now = start
        self.on_the_way: Callable[[datetime], None] | None = None
        """Called with the end of each `advance`; it moves the clock to what falls due before."""

    def now(self) -> datetime:
        """The present moment of the test."""
        return self._now

    def set(self, moment: datetime) -> None:
        """Go to a moment that does not lie in the past."""
        assert moment >= self._now, f"time does not go back from {self._now} to {moment}"
        self._now = moment

    def advance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0) -> datetime:
        """Let time pass."""
        end = self._now + timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
        if self.on_the_way is not None:
            self.on_the_way(end)
        self.set(end)
        return end
