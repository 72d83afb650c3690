"""Sends due deliveries on a pool of threads: claim, begin, send, record.

A claim takes only what there are free threads for, so leases do not run out in a queue.  No lane (channel and host) gets
the whole pool, and a slow one gets a third of it: a receiver that hangs holds up no other.  What was sent is recorded by one thread, as many
as are waiting in one transaction; until then it keeps its place in the pool.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import NamedTuple

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app import channels
from app.core.clock import monotonic
from app.core.errors import LostKey
from app.core.http import SEND_SECONDS, Outbound
from app.core.text import clean_line
from app.core.types import Http, Sent
from app.core.version import VERSION
from app.domain import deliveries, links, messages
from app.domain.catalog import addresses
from app.domain.deliveries import CLAIM_AT_MOST, Claimed, Parcel
from app.wiring import processes, transactions
from app.wiring.runtime import Runtime
from app.wiring.transactions import DatabaseAway

SLOTS = 24
"""Sends at once in a process: so many copies at most may arrive twice when it is killed."""
LANE_SLOTS = 16
SLOW_LANE_SLOTS = 8
SLOW_SECONDS = 1.0
"""A lane is slow from the first send that takes longer, until one that does not."""
RECORD_TRIES = 5
log = logging.getLogger(__name__)


class Pumped(NamedTuple):
    """What one claim came to."""

    started: int
    held_back: bool
    """Whether something due may have found no place."""


class Sender:
    """The send pool of a process."""

    def __init__(self, app: Flask, http: Http | None = None) -> None:
        """`http` is the way out; by default the real one."""
        self._app = app
        self._runtime: Runtime = app.extensions["tocsin"]
        settings = self._runtime.settings
        self._http = http or Outbound.of(settings, f"Tocsin/{VERSION}")
        self._site = messages.Site(settings.base_url, settings.email_domain, links.answer_key(settings.secret_key))
        self._pool = ThreadPoolExecutor(SLOTS, thread_name_prefix="send")
        self._lanes: Counter[str] = Counter()
        self._slow: set[str] = set()
        self._under_way: dict[int, tuple[str, float]] = {}
        self._changed = threading.Condition()
        self._sent: SimpleQueue[tuple[Parcel, Sent] | None] = SimpleQueue()
        self._recorder: threading.Thread | None = None

    @property
    def busy(self) -> int:
        """How many sends are under way."""
        return self._lanes.total()

    def pump(self) -> Pumped:
        """Claim what is due, as far as there is room, and start sending it."""
        room = SLOTS - self.busy
        if room <= 0:
            return Pumped(0, True)
        full = self._full_lanes()
        now = self._runtime.now()
        claimed = transactions.run(lambda session: deliveries.claim(session, by=self._runtime.boot_id, now=now, limit=room, full_lanes=full))
        placed, left = self._place(claimed)
        if left:
            transactions.run(lambda session: deliveries.release(session, left))
        if placed:
            self._begin(placed)
        return Pumped(len(placed), bool(full or left))

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
        if self._recorder is not None:
            self._sent.put(None)
            self._recorder.join()
            self._recorder = None

    # --- places -------------------------------------------------------------------------------------------------------------

    def _full_lanes(self) -> list[str]:
        with self._changed:
            latest = monotonic() - SLOW_SECONDS
            self._slow.update(lane for lane, since in self._under_way.values() if since < latest)
            return [lane for lane, count in self._lanes.items() if count >= self._places(lane)]

    def _places(self, lane: str) -> int:
        return SLOW_LANE_SLOTS if lane in self._slow else LANE_SLOTS

    def _place(self, claimed: list[Claimed]) -> tuple[list[Claimed], list[Claimed]]:
        """Those that their lanes have room for, and the others."""
        placed, left = [], []
        with self._changed:
            for each in claimed:
                if self._lanes[each.lane] < self._places(each.lane):
                    self._lanes[each.lane] += 1
                    placed.append(each)
                else:
                    left.append(each)
        return placed, left

    def _free(self, done: Sequence[Claimed]) -> None:
        with self._changed:
            self._lanes.subtract(each.lane for each in done)
            self._lanes = +self._lanes  # without the empty ones
            self._changed.notify_all()

    @contextmanager
    def _timed(self, claimed: Claimed) -> Iterator[None]:
        """Notice how quick its lane is."""
        began = monotonic()
        with self._changed:
            self._under_way[claimed.id] = (claimed.lane, began)
        yield
        with self._changed:
            del self._under_way[claimed.id]
            if monotonic() - began < SLOW_SECONDS:
                self._slow.discard(claimed.lane)
            else:
                self._slow.add(claimed.lane)

    # --- begin --------------------------------------------------------------------------------------------------------------

    def _begin(self, placed: list[Claimed]) -> None:
        """Record the attempts, then send.  What cannot begin gives its place back; its lease ends by itself."""
        parcels: list[Parcel] = []
        try:
            parcels = self._begun(placed)
        finally:
            going = {parcel.claimed.id for parcel in parcels}
            self._free([each for each in placed if each.id not in going])
        if parcels and self._recorder is None:
            self._recorder = threading.Thread(target=self._record, name="record", daemon=True)
            self._recorder.start()
        for parcel in parcels:
            self._pool.submit(self._send, parcel)

    def _begun(self, placed: list[Claimed]) -> list[Parcel]:
        """All at once, else one by one: a broken one stops no other."""
        try:
            return self._begin_all(placed)
        except DatabaseAway:
            raise
        except Exception:  # the channel's boundary
            log.exception("Some delivery could not begin; each is tried by itself")
        return [parcel for each in placed for parcel in self._begin_one(each)]

    def _begin_one(self, claimed: Claimed) -> list[Parcel]:
        try:
            return self._begin_all([claimed])
        except DatabaseAway:
            raise
        except Exception as error:  # the channel's boundary
            log.exception("Delivery %s could not begin", claimed.id)
            why = clean_line(f"Tocsin itself failed: {type(error).__name__}: {error}", 500)
            now, name = self._runtime.now(), processes.name_of(self._app)
            transactions.run(lambda session: deliveries.spoil(session, claimed, why, process=name, now=now))
            return []

    def _begin_all(self, claimed: list[Claimed]) -> list[Parcel]:
        now, name = self._runtime.now(), processes.name_of(self._app)
        return transactions.run(lambda session: deliveries.begin(session, claimed, process=name, site=self._site, now=now))

    # --- send and record ----------------------------------------------------------------------------------------------------

    def _send(self, parcel: Parcel) -> None:
        with self._timed(parcel.claimed):
            sent = self._hand_over(parcel)
        log.info("Delivery %s by %s: %s %s", parcel.public_id, parcel.channel, sent.outcome, sent.detail)
        self._sent.put((parcel, sent))

    def _hand_over(self, parcel: Parcel) -> Sent:
        """The channel's boundary: whatever it does becomes an outcome that people can see."""
        try:
            channel = channels.get(parcel.channel)
            if channel is None:
                return Sent.refused(f"There is no channel {parcel.channel}.")
            message = messages.render(parcel.picture, parcel.event, parcel.at, delivery_id=parcel.public_id, answer_url=parcel.answer_url, site=self._site)
            return channel.send(message, addresses.opened(self._runtime.vault, parcel.channel, parcel.address), self._http)
        except LostKey as error:
            return Sent.refused(error.why)
        except Exception as error:  # the channel's boundary
            log.exception("Delivery %s failed inside Tocsin", parcel.public_id)
            return Sent.retry(f"Tocsin itself failed: {type(error).__name__}")

    def _record(self) -> None:
        """The recorder's thread: what waits is written together."""
        while (first := self._sent.get()) is not None:
            self._record_batch([first, *self._waiting(CLAIM_AT_MOST - 1)])

    def _waiting(self, at_most: int) -> Iterator[tuple[Parcel, Sent]]:
        for _ in range(at_most):
            try:
                more = self._sent.get_nowait()
            except Empty:
                return
            if more is None:  # the end; it is for the outer loop
                self._sent.put(None)
                return
            yield more

    def _record_batch(self, batch: list[tuple[Parcel, Sent]]) -> None:
        try:
            with self._app.app_context():
                self._patiently(batch)
        except (DatabaseAway, SQLAlchemyError) as error:
            log.warning("What became of %s deliveries could not be written down; they will be sent again: %s", len(batch), error)
        finally:
            self._free([parcel.claimed for parcel, _ in batch])

    def _patiently(self, batch: list[tuple[Parcel, Sent]]) -> None:
        """What was sent shall be written down even when the database is away for a moment: else it is sent again."""
        pause = threading.Event()
        for left in reversed(range(RECORD_TRIES)):
            try:
                return transactions.run(lambda session: deliveries.record(session, batch, now=self._runtime.now()))
            except DatabaseAway:
                if not left:
                    raise
                pause.wait(1.0)
        return None


def sender_of(app: Flask) -> Sender:
    """The one sender of this process."""
    with _lock:
        found: Sender | None = app.extensions.get("tocsin_sender")
        if found is None:
            found = app.extensions["tocsin_sender"] = Sender(app)
    return found


_lock = threading.Lock()
