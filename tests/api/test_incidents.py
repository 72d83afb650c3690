"""/api/v1/incidents: our own words for incidents and what can be done to them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models import Alert, Integration, Service, Team, TimelineEntry, User
from app.models.incidents import Assignment
from tests.api.conftest import Firm


def test_an_incident_shows_itself_its_alerts_and_its_history(firm: Firm) -> None:
    number = firm.alert("disk")
    firm.alert("disk", summary="disk is even fuller")

    shown = firm.get(f"incidents/{number}")

    (alert,), timeline = shown.pop("alerts"), shown.pop("timeline")
    group = firm.group(number)
    assert shown == {
        "id": group,
        "number": number,
        "title": "disk is full",
        "state": "triggered",
        "severity": "error",
        "urgency": "high",
        "kind": "alert",
        "service": {"id": firm.id_of(Service, "Web"), "name": "Web"},
        "integration": {"id": firm.id_of(Integration, "tool"), "name": "tool"},
        "team_id": firm.id_of(Team, "Platform"),
        "assignees": [],
        "alert_count": 1,
        "group_key": None,
        "opened_at": "2026-01-05T09:00:00Z",
        "acknowledged_at": None,
        "acknowledged_by": None,
        "snoozed_at": None,
        "snoozed_until": None,
        "resolved_at": None,
        "resolved_by": None,
        "escalation": {"policy": "Default", "step": 1, "repeat": 0, "next_step_at": "2026-01-05T09:00:00Z", "idle_reason": None},
        "changed_at": "2026-01-05T09:00:00Z",
        "url": f"http://tocsin.test/incidents/{number}",
    }
    assert (alert["count"], alert["summary"], alert["last_summary"], alert["dedup_key"]) == (2, "disk is full", "disk is even fuller", "disk")
    assert [(line["kind"], line["reason"], line["actor"]) for line in timeline] == [("opened", "new_incident", {"kind": "source", "name": "tool"})]


def test_it_is_found_by_number_public_id_and_inc(firm: Firm) -> None:
    number = firm.alert()

    for ref in (number, firm.group(number), f"inc_{firm.group(number)}"):
        assert firm.get(f"incidents/{ref}/")["number"] == number


def test_the_second_acknowledge_says_who_was_first(firm: Firm) -> None:
    number = firm.alert()

    first = firm.post(f"incidents/{number}/acknowledge", by="member")
    firm.clock.advance(30)
    second = firm.post(f"incidents/{number}/acknowledge", by="manager")

    member = {"kind": "token", "name": "Member", "user_id": firm.id_of(User, "Member")}
    assert (first["changed"], first["reason"], first["message"]) == (True, "acknowledged", "Acknowledged by Member.")
    assert (first["incident"]["state"], first["incident"]["acknowledged_by"]) == ("acknowledged", member)
    assert first["incident"]["assignees"] == [{"id": firm.id_of(User, "Member"), "name": "Member"}]
    assert (second["changed"], second["reason"]) == (False, "already_acknowledged")
    assert second["message"] == "Member acknowledged it first, at 2026-01-05 09:00:00 UTC."
    assert second["incident"]["acknowledged_by"] == member


def test_resolve_and_unresolve(firm: Firm) -> None:
    number = firm.alert()

    resolved = firm.post(f"incidents/{number}/resolve")
    again = firm.post(f"incidents/{number}/resolve")
    reopened = firm.post(f"incidents/{number}/unresolve")

    assert (resolved["changed"], resolved["incident"]["state"], resolved["incident"]["alerts"][0]["state"]) == (True, "resolved", "resolved")
    assert (again["changed"], again["reason"]) == (False, "already_resolved")
    assert (reopened["changed"], reopened["incident"]["state"], reopened["incident"]["alerts"][0]["state"]) == (True, "triggered", "firing")


def test_what_cannot_be_done_is_a_409_with_a_link(firm: Firm) -> None:
    first = firm.alert("disk")
    firm.post(f"incidents/{first}/resolve")

    assert "cannot be acknowledged" in firm.post(f"incidents/{first}/acknowledge", status=409)["detail"]
    assert "not snoozed" in firm.post(f"incidents/{first}/unsnooze", status=409)["detail"]
    second = firm.alert("disk")
    assert firm.post(f"incidents/{first}/unresolve", status=409)["link"] == f"/incidents/{second}"


@pytest.mark.parametrize(
    ("body", "until"),
    [
        ({"for": "2h"}, "2026-01-05T11:00:00Z"),
        ({"until": "2026-01-06T10:00:00+01:00"}, "2026-01-06T09:00:00Z"),
        ({"until": "2026-01-06T09:00:00", "for": None}, "2026-01-06T09:00:00Z"),
        ({"for": "999999999d"}, "9999-12-31T00:00:00Z"),
    ],
)
def test_snooze_takes_a_time_or_a_duration(firm: Firm, body: dict[str, object], until: str) -> None:
    number = firm.alert()

    answer = firm.post(f"incidents/{number}/snooze", body)

    assert (answer["changed"], answer["reason"], answer["incident"]["snoozed_until"]) == (True, "snoozed", until)
    assert answer["incident"]["escalation"]["idle_reason"] == "snoozed"
    woken = firm.post(f"incidents/{number}/unsnooze")
    assert (woken["incident"]["snoozed_until"], woken["incident"]["escalation"]["next_step_at"]) == (None, "2026-01-05T09:00:00Z")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "until"),
        ({"until": None}, "until"),
        ({"until": "2026-01-06T09:00:00Z", "for": "1h"}, "until"),
        ({"until": "tomorrow"}, "until"),
        ({"until": "2026-01-05T09:00:00Z"}, "until"),
        ({"until": "0001-01-01T00:00:00+14:00"}, "until"),
        ({"for": "0s"}, "until"),
        ({"for": "an hour"}, "for"),
        ({"for": ""}, "for"),
        ({"for": []}, "for"),
    ],
)
def test_a_snooze_that_makes_no_sense_names_the_field(firm: Firm, body: dict[str, object], field: str) -> None:
    assert list(firm.post(f"incidents/{firm.alert()}/snooze", body, status=400)) == [field]


def test_reassign_takes_ids_and_addresses(firm: Firm) -> None:
    number = firm.alert()
    refs = [firm.id_of(User, "Member"), f"usr_{firm.id_of(User, 'Manager')}", "OBSERVER@example.com"]

    answer = firm.post(f"incidents/{number}/reassign", {"user_ids": refs})

    assert answer["changed"]
    assert {each["name"] for each in answer["incident"]["assignees"]} == {"Member", "Manager", "Observer"}
    assert not firm.post(f"incidents/{number}/reassign", {"user_ids": refs})["changed"]
    assert [each["name"] for each in firm.post(f"incidents/{number}/reassign", {"user_ids": refs[:1]})["incident"]["assignees"]] == ["Member"]
    assert firm.read(lambda session: session.scalar(select(func.count()).select_from(Assignment))) == 3


@pytest.mark.parametrize("refs", [[], ["nobody@example.com"], ["U1"], [5], [None], ["member@example.com", "nobody"], ["member@example.com"] * 101])
def test_reassigning_to_nobody_is_refused(firm: Firm, refs: list[object]) -> None:
    assert "user_ids" in firm.post(f"incidents/{firm.alert()}/reassign", {"user_ids": refs}, status=400)


def test_a_form_names_several_people(firm: Firm) -> None:
    response = firm.ask("POST", f"incidents/{firm.alert()}/reassign", data={"user_ids": ["member@example.com", "manager@example.com"]})

    assert {each["name"] for each in response.get_json()["incident"]["assignees"]} == {"Member", "Manager"}


def test_a_note_is_in_the_timeline_without_dirty_signs(firm: Firm) -> None:
    answer = firm.post(f"incidents/{firm.alert()}/note", {"text": "look at\x00 \ud800 db-1\nsoon"}, by="member")

    line = answer["incident"]["timeline"][-1]
    assert (line["kind"], line["actor"], line["data"]) == ("note", {"kind": "token", "name": "Member"}, {"text": "look at  db-1\nsoon"})


def test_the_list_is_filtered_by_state_and_service(firm: Firm) -> None:
    numbers = {name: firm.alert(name) for name in ("triggered", "acknowledged", "resolved", "snoozed")}
    for name in ("acknowledged", "resolved"):
        firm.act(numbers[name], {"acknowledged": "acknowledge", "resolved": "resolve"}[name])
    firm.act(numbers["snoozed"], "snooze", until=firm.clock.now() + timedelta(hours=1))

    def found(query: str) -> list[int]:
        return [each["number"] for each in firm.get(f"incidents?{query}")["results"]]

    assert found("state=triggered") == [numbers["snoozed"], numbers["triggered"]]
    for state in ("acknowledged", "resolved", "snoozed"):
        assert found(f"state={state}") == [numbers[state]]
    assert len(found("state=open")) == 3
    web = firm.id_of(Service, "Web")
    assert len(found(f"service={web}")) == len(found(f"service=svc_{web}")) == 4
    assert found(f"service={firm.id_of(Service, 'Shop')}") == []
    assert "state" in firm.ask("GET", "incidents?state=new").get_json()
    assert "service" in firm.ask("GET", "incidents?service=nothing").get_json()


def test_of_a_long_history_the_newest_is_shown(firm: Firm) -> None:
    number = firm.alert()
    by = {"incident_id": number, "at": firm.clock.now(), "kind": "note", "actor_kind": "system", "actor_label": "x", "data": {}}

    def work(session: Session) -> None:
        session.add_all(TimelineEntry(**by, reason=f"r{n}") for n in range(600))

    firm.write(work)

    timeline = firm.get(f"incidents/{number}")["timeline"]
    assert (len(timeline), timeline[0]["reason"], timeline[-1]["reason"]) == (500, "r100", "r599")


def test_a_refused_action_changes_nothing(firm: Firm) -> None:
    number = firm.alert()

    assert firm.ask("POST", f"incidents/{number}/resolve", by="stranger").status_code == 403

    assert firm.incident(number).state == "triggered"
    assert firm.read(lambda session: session.scalars(select(Alert.state)).all()) == ["firing"]


def test_writes_knock_and_reads_do_not(firm: Firm) -> None:
    knock = firm.app.extensions["tocsin"].knock
    rung: list[str] = []
    number = firm.alert()
    knock.ring = lambda: rung.append("knock")

    firm.get("incidents")
    firm.ask("POST", f"incidents/{number}/acknowledge", by="observer")
    assert rung == []
    firm.post(f"incidents/{number}/acknowledge")
    firm.post(f"incidents/{number}/unacknowledge")
    assert rung == ["knock", "knock"]
