"""What a worker does when it is knocked for.  Jobs carry no ids: they look for what is due, and end after 3 s.

The ticker runs the same functions on a thread of its own when no worker can be reached.
"""

from __future__ import annotations

import logging
from datetime import datetime

from flask import Flask, current_app

from app.core.clock import monotonic
from app.core.text import clean_line
from app.domain import escalation
from app.engine.sender import Sender, sender_of
from app.wiring import transactions
from app.wiring.runtime import runtime
from app.wiring.transactions import DatabaseAway

JOB_SECONDS = 3.0
STEPS_AT_ONCE = 8
"""Steps of one transaction: the first page does not wait for the last step, and no writer waits for long."""
ESCALATE = "app.engine.jobs.escalate_due"
DELIVER = "app.engine.jobs.deliver_due"
log = logging.getLogger(__name__)


def escalate_due() -> None:
    """Take the steps that are due, and send what they planned."""
    work(escalate=True)


def deliver_due() -> None:
    """Send the deliveries that are due."""
    work(escalate=False)


def work(*, escalate: bool, seconds: float = JOB_SECONDS) -> None:
    """Do what is due; when time is over before all is done, knock again, so that a stop never waits for long."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # the proxy's own way, not in its type
    sender = sender_of(app)
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0:
        if not _work_once(sender, left, escalate=escalate):
            return
    runtime().knock.ring()


def _work_once(sender: Sender, left: float, *, escalate: bool) -> bool:
    """Whether there may be more to do."""
    moved = take_steps(runtime().now()) if escalate else 0
    pumped = sender.pump()
    if moved or pumped.started:
        return True
    if pumped.held_back:
        sender.wait_for_room(min(left, 0.2))
    return pumped.held_back


def take_steps(now: datetime) -> int:
    """Take some of the steps that are due; how many there were."""
    due = transactions.run(lambda session: escalation.due(session, now=now, limit=STEPS_AT_ONCE), "read")
    if not due:
        return 0
    try:
        return transactions.run(lambda session: escalation.advance(session, due, now=now))
    except DatabaseAway:
        raise
    except Exception:  # the job's boundary: one of them is broken, and shall stop no other
        log.exception("Some step failed; each is tried by itself")
        return sum(_take_step(incident_id, now) for incident_id in due)


def _take_step(incident_id: int, now: datetime) -> int:
    """The job's boundary: a step that cannot be taken is put off, where people see it."""
    try:
        return transactions.run(lambda session: escalation.advance(session, [incident_id], now=now))
    except DatabaseAway:
        raise
    except Exception as error:  # the job's boundary
        log.exception("The step of incident %s failed", incident_id)
        why = clean_line(f"{type(error).__name__}: {error}", 500)
        transactions.run(lambda session: escalation.postpone(session, incident_id, why, now=now))
        return 1
