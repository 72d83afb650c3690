"""The list of managers: what each does, and that none stops another."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import insert, text

from app.core.types import SYSTEM
from app.domain import deliveries, escalation, incidents
from app.engine import jobs, tick
from app.engine.handout import HandOut
from app.engine.tick import Done, Manager, Tick
from app.engine.watchdog import Watchdog
from app.models import Incident, ManagerRun, Process, Receipt, TimelineEntry
from app.settings import Settings
from app.wiring import processes, transactions
from app.wiring.processes import Heartbeat
from app.wiring.queue import ListQueue
from app.wiring.transactions import DatabaseAway
from tests.engine import making
from tests.world.clock import MONDAY, FakeClock
from tests.world.receivers import HttpReceiver


@pytest.fixture
def queue(app: Flask) -> ListQueue:
    """An in-process queue in place of RQ's."""
    made = ListQueue()
    app.extensions["tocsin_jobs"] = made
    return made


@pytest.fixture
def here() -> list[str]:
    """The jobs that the ticker's own process was asked to do."""
    return []


@pytest.fixture
def ticking(app: Flask, here: list[str]) -> Tick:
    return Tick(app, HandOut(app, here.append))


def process(boot_id: str, kind: str = "worker", at: datetime = MONDAY) -> None:
    making.save(Process(boot_id=boot_id, kind=kind, pid=1, host="box", version="0", started_at=at, heartbeat_at=at))


def runs() -> dict[str, ManagerRun]:
    return {row.name: row for row in making.all_of(ManagerRun)}


def due_incident(url: str = "http://127.0.0.1:9/", **fields: object) -> Incident:
    number = len(making.all_of(Incident))
    return making.incident(making.service(f"s{number}"), making.snapshot([making.target(making.user(f"ann{number}", url))]), **fields)


# --- a pass ---------------------------------------------------------------------------------------------------------------


def test_one_pass_by_hand_pages_whoever_is_due(app: Flask, receiver: HttpReceiver) -> None:
    due_incident(receiver.url("ann"))

    tick.run(app, MONDAY)

    assert len(receiver.pages["ann"]) == 1
    assert [delivery.state for delivery in making.deliveries()] == ["sent"]


def test_running_it_twice_does_what_running_it_once_does(app: Flask, receiver: HttpReceiver) -> None:
    due_incident(receiver.url("ann"))

    for _ in range(3):
        tick.run(app, MONDAY)

    assert len(receiver.pages["ann"]) == 1


def test_each_manager_leaves_its_last_run(ticking: Tick) -> None:
    ticking.run(MONDAY)

    assert set(runs()) == {"snoozes", "escalation", "deliveries", "watchdog", "auditor", "prune"}
    assert all(row.error is None and row.ran_at == MONDAY for row in runs().values())


def test_the_failure_of_one_stops_no_other_and_is_kept_until_it_works_again(ticking: Tick, here: list[str]) -> None:
    due_incident()

    def fails(_now: datetime) -> Done:
        raise ValueError("a broken manager")

    whole = ticking.managers
    ticking.managers = (Manager("broken", timedelta(0), fails), *whole)
    ticking.run(MONDAY)

    assert runs()["broken"].error == "ValueError: a broken manager"
    assert runs()["broken"].failed_at == MONDAY
    assert jobs.ESCALATE in here

    later = MONDAY + timedelta(minutes=1)
    ticking.managers = (Manager("broken", timedelta(0), lambda _now: Done(3)), *whole)
    ticking.run(later)

    assert (runs()["broken"].error, runs()["broken"].failed_at, runs()["broken"].done) == (None, MONDAY, 3)


def test_a_database_that_is_away_ends_the_pass(ticking: Tick) -> None:
    def away(_now: datetime) -> Done:
        raise DatabaseAway("gone")

    ticking.managers = (Manager("first", timedelta(0), away),)

    with pytest.raises(DatabaseAway):
        ticking.run(MONDAY)


def test_rows_are_not_written_at_every_pass(ticking: Tick) -> None:
    for seconds in (0.0, 0.5, 1.5, 2.0):
        ticking.run(MONDAY + timedelta(seconds=seconds))

    assert runs()["escalation"].ran_at == MONDAY + timedelta(seconds=2)
    ticking.run(MONDAY + timedelta(seconds=3))
    assert runs()["escalation"].ran_at == MONDAY + timedelta(seconds=2)


def test_the_lag_of_what_is_due_is_kept(ticking: Tick) -> None:
    due_incident()
    ticking.run(MONDAY + timedelta(seconds=40))

    assert (runs()["escalation"].lag_seconds, runs()["escalation"].done) == (40, 1)


# --- who does it ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", [{"REDIS_URL": ""}])
def test_without_redis_it_is_done_here(ticking: Tick, here: list[str]) -> None:
    due_incident()
    process("worker-a")
    ticking.run(MONDAY)

    assert here == [jobs.ESCALATE]


def test_a_fresh_worker_is_given_it(ticking: Tick, here: list[str], queue: ListQueue) -> None:
    due_incident()
    process("worker-a")
    ticking.run(MONDAY)

    assert (list(queue.jobs), here) == ([jobs.ESCALATE], [])


def test_without_a_fresh_worker_it_is_done_here(ticking: Tick, here: list[str], queue: ListQueue) -> None:
    due_incident()
    process("worker-a", at=MONDAY - timedelta(seconds=11))
    process("web-a", kind="web")
    ticking.run(MONDAY)

    assert (list(queue.jobs), here) == ([], [jobs.ESCALATE])


def test_what_is_late_is_done_here_too(ticking: Tick, here: list[str], queue: ListQueue) -> None:
    due_incident(at=MONDAY - timedelta(seconds=4))
    process("worker-a")
    ticking.run(MONDAY)

    assert (list(queue.jobs), here) == ([jobs.ESCALATE], [jobs.ESCALATE])


@pytest.mark.parametrize(("due", "workers", "waiting", "jobs_put"), [(1, 3, 0, 1), (17, 3, 0, 2), (500, 3, 0, 3), (500, 3, 2, 1), (500, 3, 5, 0)])
def test_as_many_jobs_as_batches_and_at_most_one_for_each_worker(
    app: Flask, queue: ListQueue, here: list[str], due: int, workers: int, waiting: int, jobs_put: int
) -> None:
    for n in range(workers):
        process(f"worker-{n}")
    queue.put("waiting", waiting)
    hand_out = HandOut(app, here.append)
    hand_out.begin(MONDAY)

    hand_out.give(jobs.DELIVER, due, 0.0)

    assert list(queue.jobs).count(jobs.DELIVER) == jobs_put
    assert not here


def test_a_queue_that_does_not_take_it_leaves_it_here(app: Flask, queue: ListQueue, here: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    process("worker-a")
    monkeypatch.setattr(queue, "put", lambda _job, _times: False)
    hand_out = HandOut(app, here.append)
    hand_out.begin(MONDAY)

    hand_out.give(jobs.DELIVER, 1, 0.0)

    assert here == [jobs.DELIVER]


def test_a_job_of_the_queue_takes_the_step_and_sends_the_page(app: Flask, queue: ListQueue, ticking: Tick, receiver: HttpReceiver) -> None:
    from app.engine.sender import sender_of

    due_incident(receiver.url("ann"))
    process("worker-a")
    ticking.run(MONDAY)

    assert queue.run() == 1
    sender_of(app).drain()

    assert len(receiver.pages["ann"]) == 1


def test_a_poisoned_step_stops_no_other(app: Flask, receiver: HttpReceiver) -> None:
    broken = due_incident()
    transactions.run(lambda session: session.execute(text("UPDATE policy_snapshots SET content = :bad"), {"bad": '{"steps": [{"targets": 3}]}'}))
    fine = due_incident(receiver.url("ann"), title="fine")

    tick.run(app, MONDAY)

    rows = {row.id: row for row in making.all_of(Incident)}
    assert rows[broken.id].next_step_at == MONDAY + escalation.POSTPONED
    assert rows[fine.id].escalation_step == 1
    assert len(receiver.pages["ann"]) == 1
    assert "step_failed" in {line.kind for line in making.all_of(TimelineEntry) if line.incident_id == broken.id}


# --- snoozes --------------------------------------------------------------------------------------------------------------


def test_the_end_of_a_snooze_pages_again_from_step_one(app: Flask, clock: FakeClock) -> None:
    incident = due_incident()
    act = Act(incident.id)
    transactions.run(act.acknowledge)
    transactions.run(act.snooze)
    tick.run(app, MONDAY + timedelta(minutes=59))
    assert not making.deliveries()

    tick.run(app, MONDAY + timedelta(hours=1))

    row = next(row for row in making.all_of(Incident) if row.id == incident.id)
    assert (row.state, row.snoozed_until, row.escalation_round) == ("triggered", None, 2)
    assert [line.reason for line in making.all_of(TimelineEntry) if line.kind == "unsnoozed"] == ["snooze_ended"]


@dataclass(frozen=True)
class Act:
    incident_id: int

    def acknowledge(self, session: object) -> None:
        incidents.acknowledge(session, incidents.find(session, self.incident_id), actor=SYSTEM, now=MONDAY)  # type: ignore[arg-type]

    def snooze(self, session: object) -> None:
        incidents.snooze(session, incidents.find(session, self.incident_id), until=MONDAY + timedelta(hours=1), actor=SYSTEM, now=MONDAY)  # type: ignore[arg-type]


# --- watching itself ------------------------------------------------------------------------------------------------------


def leased(by: str) -> None:
    incident = due_incident()
    transactions.run(lambda session: escalation.advance(session, [incident.id], now=MONDAY))
    transactions.run(lambda session: deliveries.claim(session, by=by, now=MONDAY))


def watch(watchdog: Watchdog, seconds: list[float]) -> list[int]:
    return [watchdog.look(MONDAY + timedelta(seconds=at)) for at in seconds]


def test_leases_of_a_process_that_is_silent_for_ten_seconds_are_freed(app: Flask, settings: Settings) -> None:
    leased("worker-a")
    process("worker-a")

    assert watch(Watchdog(settings, "me"), [0, 2, 4, 6, 8, 9, 10]) == [0, 0, 0, 0, 0, 0, 1]
    assert making.deliveries()[0].lease_token is None


def test_silence_proves_nothing_while_nobody_watched(app: Flask, settings: Settings) -> None:
    leased("worker-a")
    process("worker-a")

    assert watch(Watchdog(settings, "me"), [0, 20, 22]) == [0, 0, 0], "the database may have been away for all"


def test_our_own_silence_is_not_our_death(app: Flask, settings: Settings) -> None:
    leased("me")
    process("me", kind="ticker")

    assert watch(Watchdog(settings, "me"), [0, 3, 6, 9, 12]) == [0, 0, 0, 0, 0]


def test_a_process_that_was_killed_here_is_known_at_once(app: Flask, settings: Settings) -> None:
    leased("worker-a")
    process("worker-a")
    folder = settings.data_dir / "processes"
    folder.mkdir(exist_ok=True)
    living = os.open(folder / "worker-a", os.O_RDWR | os.O_CREAT)
    fcntl.flock(living, fcntl.LOCK_EX)
    watchdog = Watchdog(settings, "me")

    assert watchdog.look(MONDAY) == 0
    os.close(living)
    assert watchdog.look(MONDAY + timedelta(seconds=1)) == 1
    assert not making.all_of(Process)
    assert not (folder / "worker-a").exists()


def test_a_heartbeat_has_a_row_and_a_lock_until_it_ends(app: Flask, settings: Settings, clock: FakeClock) -> None:
    boot_id = app.extensions["tocsin"].boot_id
    with Heartbeat(app, "worker") as beating:
        beating.beat()
        clock.advance(3)
        beating.beat()
        (row,) = making.all_of(Process)
        assert (row.kind, row.boot_id, row.heartbeat_at, row.started_at) == ("worker", boot_id, MONDAY + timedelta(seconds=3), MONDAY)
        assert not processes.has_died(settings.data_dir, boot_id)
        assert processes.name_of(app) == f"worker:{boot_id}"

    assert not making.all_of(Process)
    assert not Path(settings.data_dir / "processes" / boot_id).exists()


@pytest.mark.parametrize("state", ["triggered", "acknowledged"])
def test_an_open_incident_that_nothing_would_page_for_is_mended_and_said(ticking: Tick, state: str) -> None:
    forgotten = due_incident(state=state, next_step_at=None)
    ticking.run(MONDAY)

    row = next(row for row in making.all_of(Incident) if row.id == forgotten.id)
    assert row.next_step_at is not None or row.idle_reason is not None
    assert f"began again: {forgotten.id}" in (runs()["auditor"].error or "")
    ticking.run(MONDAY + timedelta(minutes=1))
    assert runs()["auditor"].error is None


def test_old_receipts_are_pruned_slice_by_slice(ticking: Tick) -> None:
    old = {
        "received_at": MONDAY - timedelta(days=20),
        "door": "native",
        "method": "POST",
        "path": "/",
        "status": 202,
        "verdict": "accepted",
        "reason": "joined",
    }
    values = [{**old, "headers": {}, "remote": "", "body_size": 0, "body_packed": False, "event_count": 1, "repeats": 0} for _ in range(5_001)]
    transactions.run(lambda session: session.execute(insert(Receipt), values))

    ticking.run(MONDAY)
    left = len(making.all_of(Receipt))
    ticking.run(MONDAY + timedelta(seconds=1))

    assert (left, len(making.all_of(Receipt))) == (1, 0)


def test_every_open_incident_has_a_next_step_or_a_reason_after_a_pass(app: Flask) -> None:
    making.incident(making.service("idle"), None)
    due_incident()
    tick.run(app, MONDAY)

    assert all(row.next_step_at is not None or row.idle_reason is not None for row in making.all_of(Incident))
