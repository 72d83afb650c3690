"""Sends due deliveries on a pool of threads: claim, begin, send, record.

A claim takes only what there are free threads for, so leases do not run out in a queue.  No lane (channel and host) gets
more than a third of the pool: a receiver that hangs holds up no other.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app import channels
from app.core.clock import monotonic
from app.core.errors import LostKey
from app.core.http import SEND_SECONDS, Outbound
from app.core.types import Http, Sent
from app.core.version import VERSION
from app.domain import deliveries, messages
from app.domain.catalog import addresses
from app.domain.deliveries import Claimed, Parcel
from app.wiring import processes, transactions
from app.wiring.runtime import Runtime
from app.wiring.transactions import DatabaseAway

SLOTS = 24
"""Sends at once in a process: so many copies at most may arrive twice when it is killed."""
LANE_SLOTS = 8
RECORD_TRIES = 5
log = logging.getLogger(__name__)


class Sender:
    """The send pool of a process."""

    def __init__(self, app: Flask, http: Http | None = None) -> None:
        """`http` is the way out; by default the real one."""
        self._app = app
        self._runtime: Runtime = app.extensions["tocsin"]
        settings = self._runtime.settings
        self._http = http or Outbound.of(settings, f"Tocsin/{VERSION}")
        self._site = messages.Site(settings.base_url, settings.email_domain)
        self._pool = ThreadPoolExecutor(SLOTS, thread_name_prefix="send")
        self._lanes: Counter[str] = Counter()
        self._changed = threading.Condition()

    @property
    def busy(self) -> int:
        """How many sends are under way."""
        return self._lanes.total()

    @property
    def is_crowded(self) -> bool:
        """Whether something due may have found no place."""
        return self.busy >= SLOTS or bool(self._full_lanes())

    def pump(self) -> int:
        """Claim what is due, as far as there is room, and start sending it; how many that were."""
        room = SLOTS - self.busy
        if room <= 0:
            return 0
        full = self._full_lanes()
        now = self._runtime.now()
        claimed = transactions.run(lambda session: deliveries.claim(session, by=self._runtime.boot_id, now=now, limit=room, full_lanes=full))
        placed, left = self._place(claimed)
        if left:
            transactions.run(lambda session: deliveries.release(session, left))
        for each in placed:
            self._pool.submit(self._run, each)
        return len(placed)

    def wait_for_room(self, seconds: float) -> None:
        """Until a send ends."""
        with self._changed:
            self._changed.wait(seconds)

    def drain(self, seconds: float = SEND_SECONDS + 3) -> bool:
        """Wait until nothing is under way; whether that came about."""
        until = monotonic() + seconds
        with self._changed:
            while self.busy and (left := until - monotonic()) > 0:
                self._changed.wait(left)
            return not self.busy

    def close(self) -> None:
        """Let go of the threads, after what is under way."""
        self._pool.shutdown()

    def _full_lanes(self) -> list[str]:
        with self._changed:
            return [lane for lane, count in self._lanes.items() if count >= LANE_SLOTS]

    def _place(self, claimed: list[Claimed]) -> tuple[list[Claimed], list[Claimed]]:
        """Those that their lanes have room for, and the others."""
        placed, left = [], []
        with self._changed:
            for each in claimed:
                if self._lanes[each.lane] < LANE_SLOTS:
                    self._lanes[each.lane] += 1
                    placed.append(each)
                else:
                    left.append(each)
        return placed, left

    def _run(self, claimed: Claimed) -> None:
        try:
            with self._app.app_context():
                self._carry(claimed)
        except (DatabaseAway, SQLAlchemyError) as error:
            log.warning("Delivery %s waits for its lease to end: %s", claimed.id, error)
        finally:
            with self._changed:
                self._lanes[claimed.lane] -= 1
                if not self._lanes[claimed.lane]:
                    del self._lanes[claimed.lane]
                self._changed.notify_all()

    def _carry(self, claimed: Claimed) -> None:
        now = self._runtime.now()
        parcel = transactions.run(lambda session: deliveries.begin(session, claimed, process=processes.name_of(self._app), site=self._site, now=now))
        if parcel is None:
            return
        sent = self._hand_over(parcel)
        log.info("Delivery %s by %s: %s %s", parcel.public_id, parcel.channel, sent.outcome, sent.detail)
        self._patiently(lambda: transactions.run(lambda session: deliveries.record(session, parcel, sent, now=self._runtime.now())))

    def _hand_over(self, parcel: Parcel) -> Sent:
        """The channel's boundary: whatever it does becomes an outcome that people can see."""
        try:
            channel = channels.get(parcel.channel)
            if channel is None:
                return Sent.refused(f"There is no channel {parcel.channel}.")
            message = messages.render(parcel.picture, parcel.event, parcel.at, delivery_id=parcel.public_id, site=self._site)
            return channel.send(message, addresses.opened(self._runtime.vault, parcel.channel, parcel.address), self._http)
        except LostKey as error:
            return Sent.refused(error.why)
        except Exception as error:  # the channel's boundary
            log.exception("Delivery %s failed inside Tocsin", parcel.public_id)
            return Sent.retry(f"Tocsin itself failed: {type(error).__name__}")

    def _patiently(self, work: Callable[[], None]) -> None:
        """What was sent shall be written down even when the database is away for a moment: else it is sent again."""
        pause = threading.Event()
        for left in reversed(range(RECORD_TRIES)):
            try:
                work()
            except DatabaseAway:
                if not left:
                    raise
                pause.wait(1.0)
            else:
                return


def sender_of(app: Flask) -> Sender:
    """The one sender of this process."""
    with _lock:
        found: Sender | None = app.extensions.get("tocsin_sender")
        if found is None:
            found = app.extensions["tocsin_sender"] = Sender(app)
    return found


_lock = threading.Lock()
