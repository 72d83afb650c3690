"""The main job on real input: Alertmanager fires, people are paged, Alertmanager resolves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.alertmanager.conftest import Alertmanager
from tests.realtime.installation import Installation, until
from tests.world.receivers import HttpReceiver, MailServer, Page

SECONDS_TO_PAGE = 15


def got(pages: list[Page], words: str) -> Page | None:
    return next((page for page in pages if words in page.text), None)


def state(hub: Installation, title: str) -> list[tuple[Any, ...]]:
    return hub.rows("SELECT state FROM incidents WHERE title LIKE :title ORDER BY id", title=f"%{title}%")


@pytest.mark.parametrize("door", ["native", "goalert", "oncall", "pagerduty"])
def test_an_alert_pages_and_its_end_closes_the_incident(
    hub: Installation, alertmanager: Alertmanager, receiver: HttpReceiver, mail: MailServer, door: str
) -> None:
    name, summary = f"DiskFull{door.capitalize()}", f"Disk full on db-{door}"
    labels = {"instance": f"db-{door}", "severity": "critical", "door": door}

    alertmanager.fire(name, summary, **labels)

    until(lambda: state(hub, name) == [("triggered",)], what=f"one incident; {state(hub, name)} {hub.log()}")
    page = until(lambda: got(receiver.pages["ann"], name), SECONDS_TO_PAGE, f"a page by webhook; {hub.log()}")
    assert page.headers["x-tocsin-delivery"]
    letter = until(lambda: got(mail.pages["ann@example.com"], name), SECONDS_TO_PAGE, f"a page by mail; {hub.log()}")
    assert name in letter.subject

    alertmanager.resolve(name, summary, **labels)

    until(lambda: state(hub, name) == [("resolved",)], what=f"a resolved incident; {state(hub, name)}")
    assert hub.scalar("SELECT count(*) FROM receipts WHERE verdict NOT IN ('accepted', 'ignored')") == 0


def test_a_group_of_alerts_becomes_one_incident_each_and_each_is_resolved_alone(hub: Installation, alertmanager: Alertmanager) -> None:
    for n in (1, 2):
        alertmanager.fire("HighLoad", f"High load on web-{n}", instance=f"web-{n}")
    until(lambda: state(hub, "HighLoad") == [("triggered",), ("triggered",)], what="two incidents")

    alertmanager.resolve("HighLoad", "High load on web-1", instance="web-1")

    until(lambda: state(hub, "HighLoad") == [("resolved",), ("triggered",)], what="one of them resolved")
    alertmanager.resolve("HighLoad", "High load on web-2", instance="web-2")
    until(lambda: state(hub, "HighLoad") == [("resolved",), ("resolved",)], what="both resolved")


def test_an_alert_that_fires_again_opens_a_new_incident(hub: Installation, alertmanager: Alertmanager) -> None:
    alertmanager.fire("Flapping", "It flaps")
    until(lambda: state(hub, "Flapping") == [("triggered",)])
    alertmanager.resolve("Flapping", "It flaps")
    until(lambda: state(hub, "Flapping") == [("resolved",)])

    alertmanager.fire("Flapping", "It flaps")

    until(lambda: state(hub, "Flapping") == [("resolved",), ("triggered",)], what="a second incident")
    alertmanager.resolve("Flapping", "It flaps")
    until(lambda: state(hub, "Flapping") == [("resolved",), ("resolved",)])
