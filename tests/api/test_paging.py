"""Pages: OnCall's envelope and rules outside, keys inside; and no query per row."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import insert, select

from app.api import paging
from app.core.keys import new_public_id
from app.models import Alert, Incident, Integration, Receipt, Service
from tests.api.conftest import Firm, counted
from tests.api.test_permissions import made_delivery


def filled(firm: Firm, count: int) -> None:
    """So many incidents with an alert and a receipt each, the first of them number 1."""
    now = firm.clock.now()

    def work(session: Any) -> None:
        service = session.scalars(select(Service.id).where(Service.name == "Web")).one()
        tool = session.scalars(select(Integration.id)).one()
        who = {"kind": "token", "label": "x", "id": 1, "user_id": 2}
        base = {"service_id": service, "severity": "error", "opened_at": now}
        steps = {"escalation_round": 1, "escalation_step": 0, "escalation_repeat": 0}
        common = {**base, **steps, "integration_id": tool, "urgency": "high", "kind": "alert", "alert_count": 1, "changed_at": now, "acknowledged_by": who}
        ids = [{"public_id": new_public_id("I"), "state": "resolved", "title": f"t{n}"} for n in range(1, count + 1)]
        session.execute(insert(Incident), [{**common, **row} for row in ids])
        texts = {"summary": "s", "details": "", "source_link": "", "links": [], "labels": {}}
        counts = {"count": 1, "last_seen_at": now, "window_started_at": now, "window_count": 1}
        alert = {**base, **texts, **counts, "integration_id": tool, "state": "resolved"}
        session.execute(insert(Alert), [{**alert, "public_id": new_public_id("A"), "incident_id": n, "dedup_key": f"k{n}"} for n in range(1, count + 1)])
        receipt = {"received_at": now, "integration_id": tool, "door": "events", "method": "POST", "path": "/", "headers": {}, "remote": "", "body_size": 0,
                   "body_packed": False, "status": 202, "verdict": "accepted", "reason": "joined", "event_count": 1, "repeats": 0}  # fmt: skip
        session.execute(insert(Receipt), [{**receipt, "incident_id": n, "alert_id": n} for n in range(1, count + 1)])

    firm.write(work)


def numbers(page: dict[str, Any]) -> list[int]:
    return [int(each["title"][1:]) for each in page["results"]]


def follow(firm: Firm, link: str) -> dict[str, Any]:
    found: dict[str, Any] = firm.get(link.removeprefix("http://tocsin.test/api/v1/"))
    return found


def test_page_numbers(firm: Firm) -> None:
    filled(firm, 120)

    first = firm.get("alert_groups")
    second = firm.get("alert_groups?page=2")
    last = firm.get("alert_groups?page=3")

    assert (numbers(first), numbers(second), numbers(last)) == (list(range(120, 70, -1)), list(range(70, 20, -1)), list(range(20, 0, -1)))
    assert [(page["count"], page["current_page_number"], page["total_pages"], page["page_size"]) for page in (first, second, last)] == [
        (120, 1, 3, 50), (120, 2, 3, 50), (120, 3, 3, 50),
    ]  # fmt: skip
    assert (first["previous"], last["next"]) == (None, None)
    assert second["previous"] == "http://tocsin.test/api/v1/alert_groups"
    assert last["previous"] == "http://tocsin.test/api/v1/alert_groups?page=2"
    assert first["next"].startswith("http://tocsin.test/api/v1/alert_groups?")
    assert parse_qs(urlsplit(first["next"]).query)["page"] == ["2"]
    assert first["next"].endswith("page=2")


@pytest.mark.parametrize(
    ("query", "number", "size", "rows"),
    [
        ("page=0", 1, 50, 50),
        ("page=-3", 1, 50, 50),
        ("page=x", 1, 50, 50),
        ("page=99", 2, 50, 10),
        ("page=99999999999999999999999", 2, 50, 10),
        ("page=2&page=1", 1, 50, 50),
        ("perpage=25&page=3", 3, 25, 10),
        ("perpage=0", 1, 50, 50),
        ("perpage=-1", 1, 50, 50),
        ("perpage=all", 1, 50, 50),
        ("perpage=500", 1, 100, 60),
        ("perpage=7", 1, 7, 7),
    ],
)
def test_a_bad_page_is_the_first_and_one_past_the_end_the_last(firm: Firm, query: str, number: int, size: int, rows: int) -> None:
    filled(firm, 60)

    page = firm.get(f"alert_groups?{query}")

    assert (page["current_page_number"], page["page_size"], len(page["results"]), page["count"]) == (number, size, rows, 60)


def test_an_empty_list_has_one_page(firm: Firm) -> None:
    page = firm.get("alert_groups?page=5")

    assert (page["count"], page["total_pages"], page["current_page_number"], page["results"], page["next"]) == (0, 1, 1, [], None)


def test_following_next_shows_each_row_once_while_new_ones_come(firm: Firm) -> None:
    filled(firm, 30)
    seen: list[int] = []
    page = firm.get("incidents?perpage=7&state=resolved")
    while True:
        seen += numbers(page)
        if page["next"] is None:
            break
        assert "state=resolved" in page["next"]
        firm.alert(f"new{len(seen)}")
        firm.act(30 + len(seen) // 7, "resolve")
        page = follow(firm, page["next"])

    assert seen == list(range(30, 0, -1))


def test_following_next_of_a_list_with_the_oldest_first(firm: Firm) -> None:
    page = firm.get("users?perpage=2")
    names = [each["username"] for each in page["results"]]
    while page["next"]:
        page = follow(firm, page["next"])
        names += [each["username"] for each in page["results"]]

    assert names == ["Admin", "Manager", "Member", "Observer", "Stranger"]


def test_our_own_nouns_are_counted_to_a_thousand_and_paged_to_the_end(firm: Firm) -> None:
    filled(firm, 1_050)

    first = firm.get("incidents?perpage=100")
    beyond = firm.get("incidents?perpage=100&page=11")
    past = firm.get("incidents?perpage=100&page=40")

    assert (first["count"], first["count_is_capped"], first["total_pages"]) == (1_000, True, 10)
    assert (len(beyond["results"]), beyond["current_page_number"], beyond["next"]) == (50, 11, None)
    assert (len(past["results"]), past["current_page_number"], past["next"]) == (50, 11, None), "past the end is the last page, though nobody counted"
    assert firm.get("alert_groups?perpage=100")["count"] == 1_050
    assert "count_is_capped" not in firm.get("alert_groups")
    page, rows = first, 100
    while page["next"]:
        page = follow(firm, page["next"])
        rows += len(page["results"])
    assert rows == 1_050


def test_a_next_link_reads_along_an_index_instead_of_skipping(firm: Firm) -> None:
    filled(firm, 20)
    first = firm.get("alerts?perpage=5")

    with counted() as statements:
        follow(firm, first["next"])

    (ids,) = [statement for statement in statements if statement.startswith("SELECT alerts.id \nFROM alerts")]
    assert "alerts.id <" in ids


@pytest.mark.parametrize(
    "path", ["alert_groups", "alerts", "incidents", "receipts", "deliveries", "integrations", "services", "users", "teams", "unknown_key_requests"]
)
def test_a_longer_page_takes_no_more_queries(firm: Firm, path: str) -> None:
    filled(firm, 3)
    made_delivery(firm)
    shown = firm.get(path)["results"]
    for n in range(3):
        firm.post("integrations", {"type": "alertmanager", "service_id": firm.post("services", {"name": f"s{n}"}, status=201)["id"]}, status=201)
        firm.alert(f"more{n}", summary="more")
    firm.post("incidents/1/unresolve")
    firm.post("incidents/1/acknowledge", by="member")
    firm.get(path)

    with counted() as short:
        assert len(firm.get(f"{path}?perpage=1")["results"]) <= 1
    with counted() as long:
        assert len(firm.get(path)["results"]) >= len(shown)

    assert len(long) <= len(short) + 1, "\n".join(long)
    assert len(long) <= 12, "\n".join(long)


def test_the_limits_are_those_of_the_documentation() -> None:
    assert (paging.MAX_SIZE, paging.COUNT_UP_TO, paging.COUNT_OWN_UP_TO) == (100, 100_000, 1_000)
