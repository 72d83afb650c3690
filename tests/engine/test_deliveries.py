"""Claim, begin, record: at most twice on the wire, never lost, whatever dies in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from app.core.types import SYSTEM, Sent
from app.domain import deliveries, escalation, incidents
from app.domain.deliveries import Claimed, Parcel
from app.domain.messages import Site
from app.models import Delivery, Incident, TimelineEntry
from app.wiring import transactions
from tests.engine import making
from tests.world.clock import MONDAY

pytestmark = pytest.mark.usefixtures("app")
SITE = Site("http://tocsin.test", "tocsin.test", b"secret")
LATER = MONDAY + timedelta(seconds=31)


@pytest.fixture
def incident() -> Incident:
    """An incident with one planned page for Ann."""
    ann = making.user("ann", "http://127.0.0.1:9/ann")
    made = making.incident(making.service(), making.snapshot([making.target(ann)]))
    transactions.run(lambda session: escalation.advance(session, [made.id], now=MONDAY))
    return made


def claim(now: datetime = MONDAY, by: str = "worker-a", **options: object) -> list[Claimed]:
    return transactions.run(lambda session: deliveries.claim(session, by=by, now=now, **options))  # type: ignore[arg-type]


def begin(claimed: Claimed, now: datetime = MONDAY) -> Parcel | None:
    return next(iter(transactions.run(lambda session: deliveries.begin(session, [claimed], process="worker:a", site=SITE, now=now))), None)


def begun(claimed: Claimed, now: datetime = MONDAY) -> Parcel:
    parcel = begin(claimed, now)
    assert parcel is not None
    return parcel


def record(parcel: Parcel, sent: Sent, now: datetime = MONDAY) -> None:
    transactions.run(lambda session: deliveries.record(session, [(parcel, sent)], now=now))


def the_delivery() -> Delivery:
    (delivery,) = making.deliveries()
    return delivery


def outcomes() -> list[str | None]:
    return [attempt.outcome for attempt in making.attempts()]


def act(incident: Incident, verb: str, **options: object) -> None:
    transactions.run(lambda session: getattr(incidents, verb)(session, incidents.find(session, incident.id), actor=SYSTEM, now=MONDAY, **options))


def lines(kind: str) -> list[TimelineEntry]:
    return [entry for entry in making.all_of(TimelineEntry) if entry.kind == kind]


def test_a_page_is_claimed_begun_and_recorded(incident: Incident) -> None:
    (claimed,) = claim()
    parcel = begun(claimed)
    assert (parcel.channel, parcel.address, parcel.event, parcel.at) == ("webhook", {"url": "http://127.0.0.1:9/ann"}, "incident.triggered", MONDAY)
    assert parcel.picture.title == "disk full"
    assert parcel.picture.assignee is not None
    assert parcel.picture.assignee.name == "Ann"
    assert outcomes() == [None], "the attempt is on record before the socket opens"

    record(parcel, Sent.ok("200: thanks", status=200, provider_id="x1"), MONDAY + timedelta(seconds=1))

    delivery, (attempt,) = the_delivery(), making.attempts()
    assert (delivery.state, delivery.reason, delivery.lease_token, delivery.finished_at) == ("sent", None, None, MONDAY + timedelta(seconds=1))
    assert (attempt.outcome, attempt.status, attempt.detail, attempt.provider_id, attempt.process) == ("ok", 200, "200: thanks", "x1", "worker:a")
    (line,) = lines("delivered")
    assert (line.data["who"], line.data["channel"], line.data["delivery"], line.data["step"]) == ("Ann", "webhook", delivery.public_id, 1)
    assert not claim(LATER)


def test_two_claimers_never_get_the_same(incident: Incident) -> None:
    assert len(claim(by="worker-a")) == 1
    assert claim(by="worker-b") == []


def test_nothing_is_claimed_before_it_is_due(incident: Incident) -> None:
    assert claim(MONDAY - timedelta(seconds=1)) == []


def test_a_claim_takes_sixteen_at_most_the_urgent_first() -> None:
    owner, policy = making.service(), making.snapshot([making.target(making.user("ann", "http://127.0.0.1:9/"))])
    for n in range(20):
        made = making.incident(owner, policy, urgency="low" if n < 10 else "high")
        transactions.run(lambda session, made=made: escalation.advance(session, [made.id], now=MONDAY))

    first, second = claim(), claim()

    assert (len(first), len(second)) == (16, 4)
    urgent = {delivery.id for delivery in making.deliveries() if delivery.priority == 3}
    assert urgent <= {claimed.id for claimed in first}


def test_full_lanes_are_left_alone(incident: Incident) -> None:
    assert the_delivery().lane == "webhook:127.0.0.1:9"
    assert claim(full_lanes=["webhook:127.0.0.1:9"]) == []
    assert len(claim(full_lanes=["webhook:127.0.0.1:10"])) == 1


def test_what_was_released_is_free_at_once(incident: Incident) -> None:
    claimed = claim()
    transactions.run(lambda session: deliveries.release(session, claimed))

    assert len(claim(by="worker-b")) == 1


# --- crash points -------------------------------------------------------------------------------------------------------


def test_killed_between_claim_and_begin_it_is_sent_once_later(incident: Incident) -> None:
    claim()
    assert claim(MONDAY + timedelta(seconds=29)) == []

    (again,) = claim(LATER, by="worker-b")
    record(begun(again, LATER), Sent.ok(), LATER)

    assert outcomes() == ["ok"]
    assert the_delivery().state == "sent"


def test_killed_between_begin_and_record_the_outcome_is_unknown_and_it_is_sent_again_with_the_same_id(incident: Incident) -> None:
    (claimed,) = claim()
    lost = begun(claimed)

    (again,) = claim(LATER, by="worker-b")
    second = begun(again, LATER)
    record(second, Sent.ok(), LATER)

    assert outcomes() == ["unknown", "ok"]
    assert "nobody knows" in making.attempts()[0].detail
    assert second.public_id == lost.public_id
    assert second.at == lost.at


def test_who_lost_the_lease_cannot_begin(incident: Incident) -> None:
    (claimed,) = claim()
    claim(LATER, by="worker-b")

    assert begin(claimed, LATER) is None
    assert outcomes() == []


def test_who_lost_the_lease_records_the_attempt_and_leaves_the_delivery_alone(incident: Incident) -> None:
    (claimed,) = claim()
    slow = begun(claimed)
    (again,) = claim(LATER, by="worker-b")
    begun(again, LATER)

    record(slow, Sent.refused("410: gone"), LATER)

    assert outcomes() == ["refused", None]
    assert the_delivery().state == "planned"
    assert the_delivery().leased_by == "worker-b"


def test_the_lease_is_renewed_when_the_attempt_begins(incident: Incident) -> None:
    (claimed,) = claim()
    begun(claimed, MONDAY + timedelta(seconds=20))

    assert claim(LATER, by="worker-b") == []


def test_leases_of_the_dead_are_freed_at_once(incident: Incident) -> None:
    (claimed,) = claim(by="worker-a")
    begun(claimed)

    freed = transactions.run(lambda session: deliveries.free_leases(session, ["worker-a"], now=MONDAY))

    assert freed == 1
    assert outcomes() == ["unknown"]
    assert len(claim(by="worker-b")) == 1


def test_recording_twice_changes_nothing(incident: Incident) -> None:
    (claimed,) = claim()
    parcel = begun(claimed)
    record(parcel, Sent.ok())
    record(parcel, Sent.ok())

    assert len(lines("delivered")) == 1


# --- no page after an answer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["acknowledge", "resolve", "snooze"])
def test_nothing_is_sent_for_what_somebody_has_or_is_over_or_sleeps(incident: Incident, verb: str) -> None:
    (claimed,) = claim()
    act(incident, verb, **({"until": LATER} if verb == "snooze" else {}))

    assert begin(claimed) is None

    delivery = the_delivery()
    assert (delivery.state, delivery.reason) == ("dropped", {"acknowledge": "acknowledged", "resolve": "resolved", "snooze": "snoozed"}[verb])
    assert delivery.finished_at == MONDAY
    assert outcomes() == []


def test_a_page_of_before_the_acknowledgement_is_not_sent_when_paging_begins_anew(incident: Incident) -> None:
    (claimed,) = claim()
    act(incident, "acknowledge")
    act(incident, "unacknowledge")

    assert begin(claimed) is None
    assert the_delivery().reason == "no_longer_triggered"


def test_a_delayed_page_of_an_earlier_repeat_is_still_sent() -> None:
    ann = making.user("ann", "http://127.0.0.1:9/", rules=[(0, 90, "high")])
    made = making.incident(making.service(), making.snapshot([making.target(ann)], wait=60, repeat=1))
    for seconds in (0, 60):
        transactions.run(lambda session, at=MONDAY + timedelta(seconds=seconds): escalation.advance(session, [made.id], now=at))

    (claimed,) = claim(MONDAY + timedelta(seconds=90))

    assert begin(claimed, MONDAY + timedelta(seconds=90)) is not None


def test_an_acknowledgement_during_the_send_does_not_hide_that_it_was_sent(incident: Incident) -> None:
    (claimed,) = claim()
    parcel = begun(claimed)
    act(incident, "acknowledge")
    record(parcel, Sent.ok())

    assert the_delivery().state == "sent"


# --- trying again ---------------------------------------------------------------------------------------------------------


def test_trouble_is_tried_again_later_and_later_and_then_given_up(incident: Incident) -> None:
    at, waits = MONDAY, []
    while the_delivery().state == "planned":
        (claimed,) = claim(at)
        record(begun(claimed, at), Sent.retry("503: busy", status=503), at)
        waits.append((the_delivery().due_at - at).total_seconds())
        at = the_delivery().due_at

    assert tuple(waits[:-1]) == deliveries.RETRY_SECONDS
    assert (the_delivery().state, the_delivery().reason) == ("failed", "gave_up")
    assert len(making.attempts()) == len(deliveries.RETRY_SECONDS) + 1
    assert [line.data["answer"] for line in lines("delivery_failed")] == ["503: busy"]
    assert sum(deliveries.RETRY_SECONDS) > 3600


@pytest.mark.parametrize(("asked", "seconds"), [(None, 5), (2.0, 5), (7.0, 7), (1e9, 900)])
def test_the_other_side_may_ask_for_longer(incident: Incident, asked: float | None, seconds: float) -> None:
    (claimed,) = claim()
    record(begun(claimed), Sent.retry("429", after=asked))

    assert the_delivery().due_at == MONDAY + timedelta(seconds=seconds)
    assert the_delivery().lease_token is None


def test_a_refusal_is_final_and_said(incident: Incident) -> None:
    (claimed,) = claim()
    record(begun(claimed), Sent.refused("404: no such hook", status=404))

    assert (the_delivery().state, the_delivery().reason) == ("failed", "refused")
    assert lines("delivery_failed")[0].data["answer"] == "404: no such hook"


def test_hostile_answers_are_cleaned_before_they_are_stored(incident: Incident) -> None:
    (claimed,) = claim()
    record(begun(claimed), Sent.refused("a\x00b\ud800\nc" + "x" * 600))

    assert making.attempts()[0].detail.startswith("ab cxxx")
    assert len(making.attempts()[0].detail) <= 500


def test_what_is_recorded_stays_with_its_own_parcel(incident: Incident) -> None:
    (claimed,) = claim()
    parcel = begun(claimed)
    record(replace(parcel, claimed=replace(claimed, token="f" * 32)), Sent.ok())

    assert the_delivery().state == "planned"


def test_the_backlog_is_what_is_due_and_unclaimed(incident: Incident) -> None:
    def backlog() -> tuple[int, float]:
        return transactions.run(lambda session: deliveries.backlog(session, now=MONDAY + timedelta(seconds=4)), "read")

    assert backlog() == (1, 4.0)
    claim()
    assert backlog() == (0, 0.0)
