"""What happens by itself: a fixed list of managers, run in this order.  The failure of one stops no other.

Running a pass twice does what running it once does: all that is due stands in the database.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.clock import monotonic
from app.core.text import clean_line
from app.core.types import SYSTEM
from app.domain import deliveries, escalation, incidents, retention
from app.engine import jobs, watchdog
from app.engine.handout import HandOut
from app.engine.sender import sender_of
from app.models import Incident, ManagerRun
from app.wiring import transactions
from app.wiring.runtime import Runtime
from app.wiring.transactions import DatabaseAway

ALWAYS = timedelta(0)
WAKE_AT_ONCE = 200
WRITE_EVERY = timedelta(seconds=2)
"""How often the managers' rows are written when nothing has failed."""
PRUNE_EVERY = timedelta(hours=1)
log = logging.getLogger(__name__)


class Done(NamedTuple):
    """What a run came to."""

    things: int = 0
    lag: float = 0.0
    """Seconds that the oldest work had been due."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Manager:
    """One job of the ticker."""

    name: str
    every: timedelta
    run: Callable[[datetime], Done]


@dataclass
class Ran:
    """The last run of a manager, as its row will say."""

    at: datetime
    seconds: float
    done: Done
    failed_at: datetime | None = None


class Tick:
    """The managers of one process, with what they remember between passes."""

    def __init__(self, app: Flask, hand_out: HandOut) -> None:
        """`hand_out` gives what is due to the workers, or has it done here."""
        self._runtime: Runtime = app.extensions["tocsin"]
        self._hand_out = hand_out
        self._watchdog = watchdog.Watchdog(self._runtime.settings, self._runtime.boot_id)
        self._prune_from: int | None = None
        self._pruned_at: datetime | None = None
        self._ran: dict[str, Ran] = {}
        self._written_at: datetime | None = None
        self.managers: tuple[Manager, ...] = (
            Manager("snoozes", ALWAYS, self._end_snoozes),
            Manager("escalation", ALWAYS, self._escalate),
            Manager("deliveries", ALWAYS, self._deliver),
            Manager("watchdog", timedelta(seconds=1), self._watch),
            Manager("auditor", timedelta(minutes=1), self._audit),
            Manager("prune", ALWAYS, self._prune),
        )

    def run(self, now: datetime) -> None:
        """One pass.

        Raises:
            DatabaseAway: none of them can do anything.
        """
        self._hand_out.begin(now)
        for manager in self.managers:
            last = self._ran.get(manager.name)
            if last is None or now - last.at >= manager.every:
                self._run_one(manager, now)
        self._write(now)

    def _run_one(self, manager: Manager, now: datetime) -> None:
        """The tick's boundary: a failure is kept on the manager's row."""
        began = monotonic()
        failed_at = self._ran[manager.name].failed_at if manager.name in self._ran else None
        try:
            done = manager.run(now)
        except DatabaseAway:
            raise
        except Exception as error:  # the tick's boundary
            log.exception("The manager %s failed", manager.name)
            done = Done(error=clean_line(f"{type(error).__name__}: {error}", 500))
        if done.error:
            failed_at = now
            self._written_at = None
        self._ran[manager.name] = Ran(now, monotonic() - began, done, failed_at)

    def _write(self, now: datetime) -> None:
        if self._written_at is not None and now - self._written_at < WRITE_EVERY:
            return
        transactions.run(self._write_rows)
        self._written_at = now

    def _write_rows(self, session: Session) -> None:
        for name, ran in self._ran.items():
            row = ManagerRun(
                name=name,
                ran_at=ran.at,
                duration_ms=round(ran.seconds * 1000),
                done=ran.done.things,
                lag_seconds=round(ran.done.lag),
                error=ran.done.error,
            )
            if ran.failed_at is not None:
                row.failed_at = ran.failed_at
            session.merge(row)

    def _end_snoozes(self, now: datetime) -> Done:
        query = select(Incident.id).where(Incident.snoozed_until <= now).order_by(Incident.snoozed_until).limit(WAKE_AT_ONCE)
        sleeping = transactions.run(lambda session: list(session.scalars(query)), "read")
        return Done(sum(transactions.run(partial(_wake, incident_id=number, now=now)) for number in sleeping))

    def _escalate(self, now: datetime) -> Done:
        count, lag = transactions.run(lambda session: escalation.backlog(session, now=now), "read")
        self._hand_out.give(jobs.ESCALATE, count, lag)
        return Done(count, lag)

    def _deliver(self, now: datetime) -> Done:
        count, lag = transactions.run(lambda session: deliveries.backlog(session, now=now), "read")
        self._hand_out.give(jobs.DELIVER, count, lag)
        return Done(count, lag)

    def _watch(self, now: datetime) -> Done:
        return Done(self._watchdog.look(now))

    def _audit(self, now: datetime) -> Done:
        count, error = watchdog.audit(now)
        return Done(count, error=error)

    def _prune(self, now: datetime) -> Done:
        """A slice a pass, until the walk through the receipts is over; the next walk begins an hour later."""
        if self._prune_from is None:
            if self._pruned_at is not None and now - self._pruned_at < PRUNE_EVERY:
                return Done()
            self._prune_from, self._pruned_at = 0, now
        settings = self._runtime.settings
        keep = retention.Keep(settings.receipt_body_days, settings.receipt_days, settings.receipt_rows)
        pruned = transactions.run(partial(_prune_slice, keep=keep, start=self._prune_from, now=now))
        self._prune_from = pruned.next_id
        return Done(pruned.deleted + pruned.emptied)


def run(app: Flask, now: datetime | None = None) -> None:
    """One pass of everything that is due, with all that it sends: done when this returns."""
    with app.app_context():
        runtime: Runtime = app.extensions["tocsin"]
        Tick(app, HandOut(app, _at_once)).run(now or runtime.now())
        sender_of(app).drain()


def _at_once(job: str) -> None:
    jobs.work(escalate=job == jobs.ESCALATE, seconds=60)


def _wake(session: Session, *, incident_id: int, now: datetime) -> bool:
    query = select(Incident).where(Incident.id == incident_id, Incident.snoozed_until <= now, Incident.state != "resolved").with_for_update(skip_locked=True)
    incident = session.scalars(query).one_or_none()
    if incident is None:
        return False
    return incidents.unsnooze(session, incident, actor=SYSTEM, now=now).changed


def _prune_slice(session: Session, *, keep: retention.Keep, start: int, now: datetime) -> retention.Pruned:
    return retention.prune_receipts(session, keep, start, now=now)
