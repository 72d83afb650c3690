"""Many requests at once: nothing is lost, nothing is doubled, nobody waits for ever."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from typing import Any

from tests.realtime.installation import Installation, new_key, until, usual_document
from tests.realtime.load import Reply, Sender, batch, event, in_threads, resolve_by_api, storm

OTHER = "f0" * 16


def test_500_requests_at_once_with_one_new_key_make_one_incident(web: Installation) -> None:
    replies = storm(web.port, [event("trigger", "disk")] * 500, senders=500)

    assert statuses(replies) == {202: 500}
    assert web.rows("SELECT state, alert_count FROM incidents") == [("triggered", 1)]
    assert web.rows("SELECT state, count FROM alerts") == [("firing", 500)]
    assert reasons(web) == {"new_incident": 1, "duplicate": 499}
    has_no_orphan(web)


def test_10000_events_on_one_key_make_one_incident(web: Installation) -> None:
    replies = storm(web.port, [event("trigger", "disk")] * 10_000, senders=32)

    assert statuses(replies) == {202: 10_000}
    assert web.rows("SELECT count FROM alerts") == [(10_000,)]
    assert web.scalar("SELECT count(*) FROM incidents") == 1
    assert web.scalar("SELECT count(*) FROM timeline") == 1
    bodies = web.scalar("SELECT count(*) FROM receipts WHERE body IS NOT NULL")
    assert 100 <= bodies <= 101, "bodies of repeats past the 100th are not kept"


def test_triggers_racing_with_resolves_lose_nothing(web: Installation) -> None:
    requests = [event("trigger", "disk")] * 500 + [event("resolve", "disk")] * 250
    shuffle(requests, 1)

    replies = storm(web.port, requests, senders=100)

    assert statuses(replies) == {202: 750}
    every_trigger_is_counted(web, 500)
    has_no_orphan(web)
    at_the_end_it_can_be_resolved(web)


def test_triggers_racing_with_resolves_of_tools_and_of_people_lose_nothing(web: Installation) -> None:
    requests = [event("trigger", "disk")] * 500 + [event("resolve", "disk")] * 20
    shuffle(requests, 2)
    done = threading.Event()
    by_tools: list[Reply] = []
    by_hand: list[Reply] = []

    def tools() -> None:
        try:
            by_tools.extend(storm(web.port, requests, senders=60))
        finally:
            done.set()

    def person() -> None:
        sender = Sender(web.port)
        while not done.is_set():
            for (public_id,) in web.rows("SELECT public_id FROM incidents WHERE state <> 'resolved'"):
                by_hand.append(sender.send(resolve_by_api(public_id)))
        sender.close()

    in_threads([tools, *[person] * 4])

    assert statuses(by_tools) == {202: 520}
    assert by_hand, "nobody had anything to resolve"
    failed = [reply for reply in by_hand if reply.status != 200 and b"resolved" not in reply.body]  # somebody else may have been first
    assert not failed, failed[:3]
    assert any(reply.status == 200 for reply in by_hand), by_hand[:3]
    every_trigger_is_counted(web, 500)
    has_no_orphan(web)
    at_the_end_it_can_be_resolved(web)


def test_batches_in_every_order_of_keys_do_not_deadlock(web: Installation) -> None:
    web.apply(usual_document(integrations=[{"name": "batches", "source": "prometheus", "key": OTHER, "rate_limit": 0}]))
    keys = [f"f{n}" for n in range(8)]
    requests = []
    for n in range(150):
        shuffle(keys, n)
        requests.append(batch(keys, "resolved" if n % 3 == 2 else "firing", OTHER))

    replies = storm(web.port, requests, senders=40)

    assert set(statuses(replies)) == {200}, statuses(replies)
    has_no_orphan(web)


def test_a_killed_web_process_loses_none_of_1000_alerts(web: Installation) -> None:
    keys = [new_key() for _ in range(1000)]
    before = web.web_workers()

    def murderer() -> None:
        until(lambda: web.scalar("SELECT count(*) FROM incidents") > 100, what="the storm")
        os.kill(before[0], signal.SIGKILL)
        time.sleep(0.3)
        os.kill(before[1], signal.SIGKILL)

    replies: list[Reply] = []
    in_threads([murderer, lambda: replies.extend(storm(web.port, [event("trigger", key) for key in keys], senders=32, repeat=True))])

    assert statuses(replies)[202] == 1000
    assert statuses(replies)[0] > 0, "nobody noticed the kill, so nothing was proven"
    assert web.scalar("SELECT count(*) FROM alerts") == 1000
    assert web.scalar("SELECT count(DISTINCT dedup_key) FROM alerts") == 1000
    assert web.scalar("SELECT count(*) FROM incidents") == 1000
    assert web.scalar("SELECT count(*) FROM receipts") == web.scalar("SELECT sum(count) FROM alerts")
    has_no_orphan(web)
    until(lambda: len(web.web_workers()) == 2, what="two workers again")
    assert not set(web.web_workers()) & set(before)


def test_a_web_server_that_is_asked_to_stop_answers_what_it_took(web: Installation) -> None:
    replies: list[Reply] = []

    def stopper() -> None:
        until(lambda: web.scalar("SELECT count(*) FROM incidents") > 50, what="the storm")
        assert web.web is not None
        web.web.terminate()
        web.web.wait(timeout=20)

    requests = [event("trigger", new_key()) for _ in range(2000)]
    in_threads([stopper, lambda: replies.extend(storm(web.port, requests, senders=16))])

    taken = sum(reply.status == 202 for reply in replies)
    assert 0 < taken < 2000
    assert web.scalar("SELECT count(*) FROM incidents") >= taken, "a 2xx was given for something that is not stored"
    assert web.scalar("SELECT count(*) FROM incidents") <= taken + 16, "more than what was on the wire is stored without an answer"


def test_somebody_configures_while_tools_post(web: Installation) -> None:
    """The catalog's version changes under the storm: every request is still answered by what holds."""
    replies: list[Reply] = []
    done = threading.Event()

    def tools() -> None:
        try:
            replies.extend(storm(web.port, [event("trigger", f"disk-{n % 20}") for n in range(1500)], senders=16, repeat=True))
        finally:
            done.set()

    def catalog() -> None:
        while not done.is_set():
            web.write("UPDATE meta SET config_version = config_version + 1")
            time.sleep(0.2)

    in_threads([tools, catalog])

    assert statuses(replies)[202] == 1500
    assert statuses(replies)[503] < 15, "a changing catalog turns senders away"
    assert set(statuses(replies)) <= {202, 503}
    every_trigger_is_counted(web, 1500)


# --- what must hold at any time ---------------------------------------------------------------------------------------


def shuffle(things: list[Any], seed: int) -> None:
    random.Random(seed).shuffle(things)  # noqa: S311 - the same disorder every time


def statuses(replies: list[Reply]) -> Counter[int]:
    return Counter(reply.status for reply in replies)


def reasons(web: Installation) -> dict[str, int]:
    return dict(web.rows("SELECT reason, count(*) FROM receipts GROUP BY reason"))  # type: ignore[arg-type]


def has_no_orphan(web: Installation) -> None:
    """No open incident without a firing alert, no firing alert of a resolved one, one open alert a key."""
    open_and_empty = (
        "SELECT i.id FROM incidents i WHERE i.state <> 'resolved' AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.incident_id = i.id AND a.state = 'firing')"
    )
    assert not web.rows(open_and_empty)
    assert not web.rows("SELECT a.id FROM alerts a JOIN incidents i ON i.id = a.incident_id WHERE a.state = 'firing' AND i.state = 'resolved'")
    assert not web.rows("SELECT dedup_key FROM alerts WHERE state = 'firing' GROUP BY service_id, dedup_key HAVING count(*) > 1")
    assert not web.rows("SELECT i.id FROM incidents i WHERE i.alert_count <> (SELECT count(*) FROM alerts a WHERE a.incident_id = i.id)")
    assert not web.rows("SELECT i.id FROM incidents i WHERE NOT EXISTS (SELECT 1 FROM timeline t WHERE t.incident_id = i.id AND t.kind = 'opened')")
    assert not web.rows("SELECT id FROM incidents WHERE state = 'resolved' AND next_step_at IS NOT NULL")


def every_trigger_is_counted(web: Installation, triggers: int) -> None:
    assert web.scalar("SELECT sum(count) FROM alerts") == triggers
    assert web.scalar("SELECT count(*) FROM receipts WHERE action = 'trigger'") == triggers
    new = web.scalar("SELECT count(*) FROM receipts WHERE reason = 'new_incident'")
    assert web.scalar("SELECT count(*) FROM incidents") == new


def at_the_end_it_can_be_resolved(web: Installation) -> None:
    sender = Sender(web.port)
    assert sender.send(event("resolve", "disk")).status == 202
    sender.close()
    assert web.scalar("SELECT count(*) FROM incidents WHERE state <> 'resolved'") == 0
