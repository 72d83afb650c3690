"""The ticker and a worker without waiting: an in-process list stands for RQ's queue."""

from __future__ import annotations

from datetime import datetime

from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.utils import import_string

from app.engine.handout import HandOut
from app.engine.sender import sender_of
from app.engine.tick import Tick
from app.models import Delivery, Incident

MAX_PASSES = 100


class Engine:
    """Does what is due at a moment, to the end."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._queue: list[str] = []
        self._tick = Tick(app, HandOut(app, self._queue.append))

    def run_what_is_due(self, now: datetime) -> None:
        """Pass after pass until no manager has a job to give."""
        for _ in range(MAX_PASSES):
            self._tick.run(now)
            if not self._queue:
                return
            while self._queue:
                import_string(self._queue.pop(0))()
            assert sender_of(self._app).drain(), "a send takes longer than its deadline"
        raise AssertionError(f"after {MAX_PASSES} passes there is still something due at {now}")

    def stop(self) -> None:
        """Let go of the send pool's threads."""
        sender_of(self._app)._pool.shutdown()


def next_due(session: Session, after: datetime) -> datetime | None:
    """The next moment at which something happens by itself."""
    due = (
        select(func.min(Incident.next_step_at)).where(Incident.next_step_at > after),
        select(func.min(Incident.snoozed_until)).where(Incident.snoozed_until > after, Incident.state != "resolved"),
        select(func.min(Delivery.due_at)).where(Delivery.due_at > after, Delivery.state == "planned"),
        select(func.min(Delivery.lease_until)).where(Delivery.lease_until > after, Delivery.state == "planned"),
    )
    moments = [moment for query in due if (moment := session.scalars(query).one()) is not None]
    return min(moments, default=None)
