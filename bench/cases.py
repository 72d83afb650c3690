"""The cases: what is sent to which door, and what must then be stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import traffic
from bench.load import Measured
from bench.traffic import Traffic

STORM = 10_000
"""Requests of a storm on one key."""


@dataclass(frozen=True)
class Case:
    """One kind of request."""

    name: str
    title: str
    door: str
    """Which integration of the installation takes it."""
    traffic: Traffic
    alerts: Callable[[int], int]
    """How many alerts so many requests open."""
    triggers: int = 1
    """Triggers in one request."""
    resolves: bool = False
    """The keys are opened before the timing, and each request resolves one."""


CASES = (
    Case("new", "new alert (Alertmanager)", "alertmanager", Traffic(traffic.alertmanager()), lambda n: n),
    Case("hot", "duplicate, one hot key", "alertmanager", Traffic(traffic.alertmanager(), distinct=1), lambda n: min(n, 1)),
    Case("spread", "duplicate, 500 keys", "alertmanager", Traffic(traffic.alertmanager(), distinct=500), lambda n: min(n, 500)),
    Case("resolve", "resolve", "alertmanager", Traffic(traffic.alertmanager("resolved")), lambda _: 0, triggers=0, resolves=True),
    Case("batch", "batch of 10 new alerts", "alertmanager", Traffic(traffic.alertmanager(alerts=10), 10), lambda n: 10 * n, triggers=10),
    Case("routed", "new alert through a route with a condition", "routed", Traffic(traffic.alertmanager()), lambda n: n),
    Case("generic", "new alert (generic door)", "generic", Traffic(traffic.generic()), lambda n: n),
    Case("events", "new alert (Events API)", "events", Traffic(traffic.events_v2()), lambda n: n),
)


@dataclass(frozen=True)
class Stored:
    """What a burst left in the database."""

    receipts: int
    bad_receipts: int
    """Receipts of requests that were not answered 2xx."""
    alerts: int
    triggers: int
    """The sum of the alerts' counters."""
    incidents: int
    timeline: int
    batch_events: int
    resolved: int
    """How many of the alerts that were opened for the burst are resolved."""


def problems(case: Case, measured: Measured, stored: Stored) -> list[str]:
    """What does not add up, as sentences; an answered 2xx must be stored, and nothing else."""
    found = []
    if measured.refused or measured.broken:
        found.append(f"{measured.refused} requests were refused and {measured.broken} broke")
    good = measured.answers - measured.refused
    if not good <= stored.receipts <= good + measured.unread:
        found.append(f"{good} requests were answered 2xx (and up to {measured.unread} more were under way), but {stored.receipts} receipts were stored")
    if stored.bad_receipts:
        found.append(f"{stored.bad_receipts} receipts speak of a refusal")
    n = stored.receipts
    wanted = {
        "alerts": case.alerts(n),
        "triggers": n * case.triggers,
        "incidents": case.alerts(n),
        "batch_events": n * case.traffic.keys_per_request if case.traffic.keys_per_request > 1 else 0,
        "resolved": n if case.resolves else 0,
    }
    for what, number in wanted.items():
        if getattr(stored, what) != number:
            found.append(f"{n} receipts, so there should be {number} {what.replace('_', ' ')}, not {getattr(stored, what)}")
    if stored.timeline < max(stored.incidents, stored.resolved):
        found.append(f"{stored.timeline} timeline entries are too few for {stored.incidents} new and {stored.resolved} resolved incidents")
    return found
