"""/api/v1/alert_groups answers as Grafana OnCall does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.models import Integration, Service, Team, User
from tests.api.conftest import Firm
from tests.world.clock import MONDAY


def test_an_alert_group_has_oncalls_keys(firm: Firm) -> None:
    number = firm.alert("disk")
    group = firm.group(number)

    shown = firm.get(f"alert_groups/{group}/")

    last = shown.pop("last_alert")
    assert shown == {
        "id": group,
        "integration_id": firm.id_of(Integration, "tool"),
        "team_id": firm.id_of(Team, "Platform"),
        "route_id": None,
        "alerts_count": 1,
        "state": "firing",
        "created_at": "2026-01-05T09:00:00Z",
        "resolved_at": None,
        "resolved_by": None,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "labels": [],
        "title": "disk is full",
        "permalinks": {"slack": None, "slack_app": None, "telegram": None, "web": f"http://tocsin.test/incidents/{number}"},
        "silenced_at": None,
    }
    assert list(last) == ["id", "alert_group_id", "created_at", "payload"]
    assert last["alert_group_id"] == group
    assert last["payload"]["summary"] == "disk is full"
    assert last["payload"]["dedup_key"] == "disk"


def test_the_list_is_newest_first_in_oncalls_envelope(firm: Firm) -> None:
    groups = [firm.group(firm.alert(dedup)) for dedup in ("a", "b", "c")]

    page = firm.get("alert_groups")

    assert list(page) == ["count", "next", "previous", "results", "page_size", "current_page_number", "total_pages"]
    assert [each["id"] for each in page["results"]] == groups[::-1]
    assert (page["count"], page["next"], page["previous"], page["page_size"], page["current_page_number"], page["total_pages"]) == (3, None, None, 50, 1, 1)


def test_acknowledge_resolve_and_back(firm: Firm) -> None:
    number = firm.alert()
    group = firm.group(number)
    user = firm.id_of(User, "Member")

    for action, state in [("acknowledge", "acknowledged"), ("unacknowledge", "firing"), ("resolve", "resolved"), ("unresolve", "firing")]:
        response = firm.ask("POST", f"alert_groups/{group}/{action}", by="member")
        assert (response.status_code, response.get_data()) == (200, b""), response.get_data()
        assert firm.get(f"alert_groups/{group}")["state"] == state

    firm.post(f"alert_groups/{group}/acknowledge", by="member")
    firm.clock.advance(60)
    firm.post(f"alert_groups/{group}/resolve", by="member")
    shown = firm.get(f"alert_groups/{group}")
    assert (shown["acknowledged_by"], shown["resolved_by"]) == (user, user)
    assert (shown["acknowledged_at"], shown["resolved_at"]) == ("2026-01-05T09:00:00Z", "2026-01-05T09:01:00Z")


@pytest.mark.parametrize(
    ("first", "action", "why"),
    [
        ("acknowledge", "acknowledge", "Can't acknowledge an acknowledged alert group"),
        ("resolve", "acknowledge", "Can't acknowledge a resolved alert group"),
        ("", "unacknowledge", "Can't unacknowledge an unacknowledged alert group"),
        ("resolve", "unacknowledge", "Can't unacknowledge a resolved alert group"),
        ("resolve", "resolve", "Can't resolve a resolved alert group"),
        ("", "unresolve", "Can't unresolve an unresolved alert group"),
        ("acknowledge", "unresolve", "Can't unresolve an unresolved alert group"),
        ("resolve", "silence", "Can't silence a resolved alert group"),
        ("acknowledge", "silence", "Can't silence an acknowledged alert group"),
        ("", "unsilence", "Can't unsilence an unsilenced alert group"),
        ("acknowledge", "unsilence", "Can't unsilence an unsilenced alert group"),
        ("resolve", "unsilence", "Can't unsilence an unsilenced alert group"),
    ],
)
def test_what_cannot_be_done_is_a_400_in_oncalls_words(firm: Firm, first: str, action: str, why: str) -> None:
    group = firm.group(firm.alert())
    if first:
        firm.post(f"alert_groups/{group}/{first}")

    assert firm.post(f"alert_groups/{group}/{action}", {"delay": 60}, status=400) == {"detail": why}


def test_an_acknowledged_one_that_sleeps_cannot_be_unsilenced(firm: Firm) -> None:
    number = firm.alert()
    firm.act(number, "acknowledge")
    firm.act(number, "snooze", until=firm.clock.now() + timedelta(hours=1))

    assert firm.post(f"alert_groups/{firm.group(number)}/unsilence", status=400) == {"detail": "Can't unsilence an acknowledged alert group"}


def test_unresolve_is_refused_while_the_same_alert_is_open_elsewhere(firm: Firm) -> None:
    first = firm.alert("disk")
    firm.post(f"alert_groups/{firm.group(first)}/resolve")
    second = firm.alert("disk")

    assert f"incident {second}" in firm.post(f"alert_groups/{firm.group(first)}/unresolve", status=400)["detail"]


@pytest.mark.parametrize(
    ("delay", "until"), [(60, MONDAY + timedelta(seconds=60)), ("3600", MONDAY + timedelta(hours=1)), (-1, None), (0, None), (10**12, None)]
)
def test_silence_is_a_snooze_of_so_many_seconds(firm: Firm, delay: object, until: object) -> None:
    number = firm.alert()
    group = firm.group(number)

    assert firm.post(f"alert_groups/{group}/silence", {"delay": delay}) is None

    row = firm.incident(number)
    assert row.snoozed_until is not None
    assert (row.snoozed_until.year == 9999) if until is None else (row.snoozed_until == until)
    assert row.next_step_at is None
    shown = firm.get(f"alert_groups/{group}")
    assert (shown["state"], shown["silenced_at"]) == ("silenced", "2026-01-05T09:00:00Z")

    assert firm.post(f"alert_groups/{group}/unsilence") is None
    assert firm.get(f"alert_groups/{group}")["state"] == "firing"
    assert firm.incident(number).next_step_at == firm.clock.now(), "paging begins again"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "delay is required"),
        ({"delay": None}, "delay is required"),
        ({"delay": "soon"}, "invalid delay value"),
        ({"delay": -2}, "invalid delay value"),
        ({"delay": 1.5}, "invalid delay value"),
        ({"delay": "9" * 5000}, "invalid delay value"),
    ],
)
def test_a_silence_needs_a_delay(firm: Firm, body: dict[str, object], why: str) -> None:
    group = firm.group(firm.alert())

    assert firm.post(f"alert_groups/{group}/silence", body, status=400) == {"detail": why}


def test_a_silence_may_come_as_a_form(firm: Firm) -> None:
    group = firm.group(firm.alert())

    assert firm.ask("POST", f"alert_groups/{group}/silence/", data={"delay": "120"}).status_code == 200
    assert firm.ask("POST", f"alert_groups/{group}/silence/", data={"delay": "120"}, content_type="multipart/form-data").status_code == 200


def test_filters(firm: Firm) -> None:
    numbers = {name: firm.alert(name) for name in ("new", "acknowledged", "resolved", "silenced")}
    groups = {name: firm.group(number) for name, number in numbers.items()}
    firm.post(f"alert_groups/{groups['acknowledged']}/acknowledge")
    firm.post(f"alert_groups/{groups['resolved']}/resolve")
    firm.post(f"alert_groups/{groups['silenced']}/silence", {"delay": 60})

    def found(query: str) -> set[str]:
        page = firm.get(f"alert_groups?{query}")
        assert page["count"] == len(page["results"])
        return {each["id"] for each in page["results"]}

    for state, group in groups.items():
        assert found(f"state={state}") == {group}
        assert found(f"state={state.upper()}") == {group}
    assert found(f"id={groups['new']}") == {groups["new"]}
    assert found(f"integration_id={firm.id_of(Integration, 'tool')}") == set(groups.values())
    assert found("integration_id=impossible") == set()
    assert found("route_id=impossible") == set()
    assert found(f"team_id={firm.id_of(Team, 'Platform')}") == set(groups.values())
    assert found(f"team_id={firm.id_of(Team, 'Other')}") == set()
    assert found("team_id=null") == set()
    assert found("started_at=2026-01-05T08:59:59_2026-01-05T09:00:01") == set(groups.values())
    assert found("started_at=2026-01-05T09:00:01_2026-01-05T10:00:01") == set()


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("state=firing", {"state": ["Must be one of the following: new, acknowledged, resolved, silenced"]}),
        ("started_at=yesterday", {"detail": "Invalid range value"}),
        ("started_at=x_y", {"detail": "Invalid range value"}),
        ("team_id=T1", {"team_id": ["Select a valid choice. That choice is not one of the available choices."]}),
        ("label=nonsense", {"label": ["Write a label as key:value."]}),
        ("label=%22:x", {"label": ["Write a label as key:value."]}),
    ],
)
def test_a_filter_that_makes_no_sense_is_a_400(firm: Firm, query: str, answer: object) -> None:
    response = firm.ask("GET", f"alert_groups?{query}")

    assert (response.status_code, response.get_json()) == (400, answer)


def test_labels_are_the_last_alerts_and_found_by_key_and_value(firm: Firm) -> None:
    client = firm.app.test_client()
    url = "/api/v2/generic/incoming?token=0123456789abcdef0123456789abcdef"
    client.post(url, json={"summary": "x", "dedup": "x", "meta": {"env": "prod", "a:b": "c d", "it's": "ok"}})
    client.post(url, json={"summary": "y", "dedup": "y", "meta": {"env": "test"}})

    def titles(query: str) -> list[str]:
        return [each["title"] for each in firm.get(f"alert_groups?{query}")["results"]]

    assert titles("label=env:prod") == ["x"]
    assert titles("label=env:test") == ["y"]
    assert titles("label=env:prod&label=it's:ok") == ["x"]
    assert titles("label=env:prod&label=env:test") == []
    assert titles("label=absent:prod") == []
    assert {"key": {"id": "env", "name": "env"}, "value": {"id": "test", "name": "test"}} in firm.get("alert_groups")["results"][0]["labels"]


def test_a_number_and_inc_name_an_alert_group_too(firm: Firm) -> None:
    number = firm.alert()

    for ref in (str(number), firm.group(number), f"inc_{firm.group(number)}"):
        assert firm.get(f"alert_groups/{ref}")["id"] == firm.group(number)
    assert firm.ask("GET", "alert_groups/ICANNOTBE").get_json() == {"detail": "Not found."}


def test_alerts_are_listed_by_group_id_and_words(firm: Firm) -> None:
    first, second = firm.alert("disk", details="100% of /var"), firm.alert("memory")

    everything = firm.get("alerts")
    of_first = firm.get(f"alerts?alert_group_id={firm.group(first)}")

    assert [alert["alert_group_id"] for alert in everything["results"]] == [firm.group(second), firm.group(first)]
    assert [alert["payload"]["summary"] for alert in of_first["results"]] == ["disk is full"]
    assert firm.get(f"alerts?id={of_first['results'][0]['id']}")["count"] == 1
    assert firm.get("alerts?search=DISK")["count"] == 1
    assert firm.get("alerts?search=100%25")["count"] == 1
    assert firm.get("alerts?search=1_0")["count"] == 0, "signs of LIKE are only signs"


def test_a_token_that_is_limited_to_teams_sees_theirs_and_nobodys(firm: Firm) -> None:
    firm.alert("ours")
    limited = firm.token("admin", "*", teams=("Other",))

    assert firm.get("alert_groups", token=limited)["results"] == []
    assert firm.get("alerts", token=limited)["count"] == 0
    assert firm.get("incidents", token=limited)["count"] == 0
    assert firm.get("receipts", token=limited)["count"] == 0
    assert [each["name"] for each in firm.get("services", token=limited)["results"]] == ["Shop"]
    assert firm.get("integrations", token=limited)["count"] == 0
    assert firm.ask("GET", f"services/{firm.id_of(Service, 'Web')}", token=limited).status_code == 403
