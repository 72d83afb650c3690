"""Tocsin watching itself: processes that died, and open incidents that nothing would ever page for."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.types import SYSTEM, Reason
from app.domain import deliveries, escalation, timeline
from app.models import Incident
from app.settings import Settings
from app.wiring import processes, transactions

UNWATCHED = timedelta(seconds=6)
"""A gap between two looks after which silence proves nothing: the database or we ourselves may have been away."""
MENDED_AT_ONCE = 100
log = logging.getLogger(__name__)


class Watchdog:
    """Finds dead processes and frees what they had claimed."""

    def __init__(self, settings: Settings, boot_id: str) -> None:
        """`boot_id` is our own: we are alive."""
        self._data_dir = settings.data_dir
        self._boot_id = boot_id
        self._watching_since: datetime | None = None
        self._last_look: datetime | None = None

    def look(self, now: datetime) -> int:
        """Free the leases of the dead; how many that were."""
        trusts_silence = self._has_watched_long_enough(now)
        known = transactions.run(processes.known, "read")
        died = [boot_id for boot_id in known if boot_id != self._boot_id and processes.has_died(self._data_dir, boot_id)]
        silent = [boot_id for boot_id, at in known.items() if boot_id != self._boot_id and trusts_silence and at <= now - processes.SILENT]
        gone = sorted({*died, *silent})
        if not gone:
            return 0

        def work(session: Session) -> int:
            freed = deliveries.free_leases(session, gone, now=now)
            processes.bury(session, self._data_dir, died, now=now)
            return freed

        freed = transactions.run(work)
        if died or freed:
            log.warning("Processes that are gone: %s; deliveries freed: %s", ", ".join(gone), freed)
        return freed

    def _has_watched_long_enough(self, now: datetime) -> bool:
        """Whether heartbeats would have been seen for as long as silence must last."""
        if self._last_look is None or self._watching_since is None or now - self._last_look > UNWATCHED:
            self._watching_since = now
        self._last_look = now
        return now - self._watching_since >= processes.SILENT


def audit(now: datetime) -> tuple[int, str | None]:
    """Prove that each open incident has a next step or a reason; mend one that has neither, and say so."""
    forgotten = transactions.run(_forgotten, "read")
    for incident_id in forgotten:
        transactions.run(partial(_mend, incident_id=incident_id, now=now))
    if not forgotten:
        return 0, None
    numbers = ", ".join(str(number) for number in forgotten[:10])
    return len(forgotten), f"Open incidents had neither a next step nor a reason; their paging began again: {numbers}"


def _forgotten(session: Session) -> list[int]:
    query = select(Incident.id).where(Incident.state != "resolved", Incident.next_step_at.is_(None), Incident.idle_reason.is_(None))
    return list(session.scalars(query.order_by(Incident.id).limit(MENDED_AT_ONCE)))


def _mend(session: Session, *, incident_id: int, now: datetime) -> None:
    incident = session.scalars(select(Incident).where(Incident.id == incident_id).with_for_update()).one()
    if incident.next_step_at is not None or incident.idle_reason is not None or incident.state == "resolved":
        return
    if incident.snoozed_until is not None:
        escalation.stop(incident, Reason.SNOOZED)
    elif incident.state == "acknowledged":
        escalation.stop(incident, Reason.ACKNOWLEDGED)
    else:
        escalation.restart(session, incident, now=now)
    timeline.add(session, incident.id, "mended", actor=SYSTEM, now=now)
