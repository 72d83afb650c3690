"""Who does what is due: the workers, through Redis, or this process when they cannot be counted on."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import datetime

from flask import Flask

from app.domain.deliveries import CLAIM_AT_MOST
from app.wiring import processes, transactions
from app.wiring.queue import job_queue
from app.wiring.runtime import Runtime

LATE_SECONDS = 3.0
"""What has been due for longer is done here too, whatever the workers do: claims keep both from doing it twice."""
log = logging.getLogger(__name__)


class HandOut:
    """Gives jobs to the workers of the moment, or does them here."""

    def __init__(self, app: Flask, do_here: Callable[[str], None]) -> None:
        """`do_here` runs a job in this process."""
        self._app = app
        self._runtime: Runtime = app.extensions["tocsin"]
        self._do_here = do_here
        self._workers: int | None = None
        self._now: datetime = self._runtime.now()

    def begin(self, now: datetime) -> None:
        """A new pass: look anew who is there."""
        self._now = now
        self._workers = None

    def give(self, job: str, due: int, lag: float) -> None:
        """Have `due` rows done, of which the oldest has been due for `lag` seconds."""
        if due and (not self._queued(job, due) or lag > LATE_SECONDS):
            self._do_here(job)

    def _queued(self, job: str, due: int) -> bool:
        """Whether workers will hear of it: as many jobs as there are batches, at most one for each worker."""
        queue = job_queue(self._app, self._runtime.settings)
        workers = self._fresh_workers()
        if queue is None or not workers:
            return False
        wanted = min(math.ceil(due / CLAIM_AT_MOST), workers) - queue.waiting()
        return wanted <= 0 or queue.put(job, wanted)

    def _fresh_workers(self) -> int:
        if self._workers is None:
            self._workers = transactions.run(lambda session: processes.fresh(session, "worker", now=self._now), "read")
        return self._workers
