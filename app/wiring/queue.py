"""The knock: tells the ticker that something is due.  Best effort; the truth is in the database."""

from __future__ import annotations

import threading

from app.settings import Settings


class Knock:
    """Set by a commit, carried to Redis by one thread per process; no request ever waits for Redis."""

    def __init__(self, settings: Settings) -> None:
        """Know where Redis is; open nothing."""
        self._settings = settings
        self.event = threading.Event()

    def ring(self) -> None:
        """Something became due."""
        self.event.set()
