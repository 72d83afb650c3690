"""/api/v1/integrations in OnCall's shape, on top of our services; what it makes takes alerts at once."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from app.models import AuditEntry, EscalationPolicy, Integration, Meta, Service, Team
from tests.api.conftest import KEY, Firm

ALERTMANAGER = {
    "status": "firing", "groupKey": "{}:{alertname=\"Down\"}",
    "alerts": [{"status": "firing", "labels": {"alertname": "Down", "instance": n}, "fingerprint": n} for n in ("a", "b")],
}  # fmt: skip


def made(firm: Firm, **fields: Any) -> Any:
    return firm.post("integrations", {"type": "alertmanager", **fields}, status=201)


def post_to(firm: Firm, link: str, body: Any) -> tuple[int, Any]:
    response = firm.app.test_client().post(urlsplit(link).path, json=body)
    return response.status_code, response.get_json(silent=True)


def test_a_created_integration_has_oncalls_keys_and_takes_alerts_at_its_link(firm: Firm) -> None:
    shown = made(firm)

    link = shown.pop("link")
    assert shown == {
        "maintenance_mode": None,
        "maintenance_started_at": None,
        "maintenance_end_at": None,
        "id": firm.id_of(Integration, "Prometheus Alertmanager"),
        "name": "Prometheus Alertmanager",
        "description_short": None,
        "team_id": None,
        "inbound_email": None,
        "type": "alertmanager",
        "default_route": {"id": None, "escalation_chain_id": None, "slack": {"channel_id": None, "enabled": False}, "telegram": {"id": None, "enabled": False}},
        "templates": {
            "grouping_key": None, "resolve_signal": None, "acknowledge_signal": None, "source_link": None,
            "slack": {"title": None, "message": None, "image_url": None}, "web": {"title": None, "message": None, "image_url": None},
            "sms": {"title": None}, "phone_call": {"title": None}, "telegram": {"title": None, "message": None, "image_url": None},
            "email": {"title": None, "message": None}, "msteams": {"title": None, "message": None, "image_url": None},
        },
        "heartbeat": None,
        "service_id": firm.id_of(Service, "Default"),
        "enabled": True,
        "rate_limit": None,
    }  # fmt: skip
    assert link.startswith("http://tocsin.test/integrations/v1/alertmanager/")
    assert post_to(firm, link, ALERTMANAGER) == (200, "Ok.")
    groups = firm.get(f"alert_groups?integration_id={shown['id']}")["results"]
    assert [group["alerts_count"] for group in groups] == [2], "grouped by the vendor's group, as OnCall does"


def test_an_integration_of_a_service_of_ours(firm: Firm) -> None:
    web = firm.id_of(Service, "Web")
    policy = firm.id_of(EscalationPolicy, "Default")

    for ref in (web, f"svc_{web}", firm.get(f"services/{web}")["uuid"]):
        shown = made(firm, service_id=ref, team_id=firm.id_of(Team, "Platform"), default_route={"escalation_chain_id": policy})
        assert (shown["service_id"], shown["team_id"], shown["default_route"]["escalation_chain_id"]) == (web, firm.id_of(Team, "Platform"), policy)


def test_a_name_is_made_when_none_is_given(firm: Firm) -> None:
    assert [made(firm)["name"] for _ in range(3)] == ["Prometheus Alertmanager", "Prometheus Alertmanager 2", "Prometheus Alertmanager 3"]


@pytest.mark.parametrize("word", ["alertmanager", "prometheus", "prometheusAlertmanager", "ALERTMANAGER"])
def test_every_alias_is_taken_and_oncalls_word_is_answered(firm: Firm, word: str) -> None:
    assert made(firm, type=word)["type"] == "alertmanager"


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({}, {"type": ["This field is required."]}),
        ({"type": "nonsense"}, {"detail": "Invalid integration type"}),
        ({"type": "legacy_alertmanager"}, {"detail": "This integration type is deprecated"}),
        ({"type": "direct_paging"}, {"detail": "Direct paging integrations can't be created"}),
        ({"type": "alertmanager", "service_id": "S1"}, {"service_id": ["There is no service S1."]}),
        ({"type": "alertmanager", "templates": "x"}, {"templates": ['Expected a dictionary of items but got type "str".']}),
        ({"type": "alertmanager", "templates": {"grouping_key": {}}}, {"detail": "Invalid grouping_key template data"}),
        ({"type": "alertmanager", "templates": {"slack": {"title": "x"}}}, {"detail": "The template slack cannot be set here; leave it null."}),
        ({"type": "alertmanager", "enabled": "maybe"}, {"enabled": ["Must be a valid boolean."]}),
        ({"type": "alertmanager", "rate_limit": "many"}, {"rate_limit": ["A valid integer is required."]}),
    ],
)
def test_what_cannot_be_created(firm: Firm, body: dict[str, Any], answer: dict[str, Any]) -> None:
    assert firm.post("integrations", body, status=400) == answer
    assert firm.get("integrations")["count"] == 1


def test_a_template_that_cannot_be_read_is_refused(firm: Firm) -> None:
    assert "group_template" in firm.post("integrations", {"type": "alertmanager", "templates": {"grouping_key": "{% x"}}, status=400)


def test_a_taken_name_is_refused(firm: Firm) -> None:
    assert "name" in firm.post("integrations", {"type": "generic", "name": "tool", "service_id": firm.id_of(Service, "Web")}, status=400)


def test_team_and_policy_are_the_services(firm: Firm) -> None:
    team = firm.post("integrations", {"type": "alertmanager", "team_id": firm.id_of(Team, "Other")}, status=400)
    route = firm.post("integrations", {"type": "alertmanager", "default_route": {"escalation_chain_id": firm.id_of(EscalationPolicy, "Default")}}, status=400)

    assert (list(team), list(route)) == (["team_id"], ["default_route"])


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_update_changes_what_is_given(firm: Firm, method: str) -> None:
    shown = made(firm)
    url = f"integrations/{shown['id']}"

    changed = firm.ask(method, url, json={"name": "AM", "enabled": False, "rate_limit": 7, "templates": {"grouping_key": "{{ payload.x }}"}}).get_json()

    assert (changed["name"], changed["enabled"], changed["rate_limit"], changed["templates"]["grouping_key"]) == ("AM", False, 7, "{{ payload.x }}")
    assert changed["link"] == shown["link"]
    assert post_to(firm, shown["link"], ALERTMANAGER)[0] == 403, "disabled"
    reset = firm.ask(method, url, json={"enabled": True, "templates": {"grouping_key": None, "resolve_signal": None, "slack": None}}).get_json()
    assert (reset["name"], reset["templates"]["grouping_key"]) == ("AM", None)
    assert post_to(firm, shown["link"], ALERTMANAGER) == (200, "Ok.")


def test_putting_back_what_was_got_changes_nothing(firm: Firm) -> None:
    shown = firm.get(f"integrations/{firm.id_of(Integration, 'tool')}")

    def version() -> int:
        return firm.read(lambda session: session.scalars(select(Meta.config_version)).one())

    before = version()
    response = firm.ask("PUT", f"integrations/{shown['id']}", json=shown)

    assert (response.status_code, response.get_json(), version()) == (200, shown, before)


def test_type_and_service_cannot_be_changed(firm: Firm) -> None:
    url = f"integrations/{made(firm)['id']}"

    assert "type" in firm.ask("PUT", url, json={"type": "generic"}).get_json()
    assert "service_id" in firm.ask("PUT", url, json={"service_id": firm.id_of(Service, "Web")}).get_json()
    assert firm.ask("PUT", url, json={"type": "prometheus"}).status_code == 200


def test_a_deleted_integration_is_gone_and_its_key_with_it(firm: Firm) -> None:
    shown = made(firm)
    post_to(firm, shown["link"], ALERTMANAGER)

    deleted = firm.ask("DELETE", f"integrations/{shown['id']}/")

    assert (deleted.status_code, deleted.get_data()) == (204, b"")
    assert firm.ask("GET", f"integrations/{shown['id']}").get_json() == {"detail": "Not found."}
    assert firm.ask("DELETE", f"integrations/{shown['id']}").status_code == 404
    assert post_to(firm, shown["link"], ALERTMANAGER)[0] == 403
    assert firm.get("alert_groups")["results"][0]["integration_id"] == shown["id"], "history goes on naming it"


def test_the_list_and_its_filters(firm: Firm) -> None:
    shown = made(firm, name="AM")

    def names(query: str) -> list[str]:
        return [each["name"] for each in firm.get(f"integrations?{query}")["results"]]

    assert names("") == ["tool", "AM"]
    assert names("name=AM") == ["AM"]
    assert names(f"team_id={firm.id_of(Team, 'Platform')}") == ["tool"]
    assert names("team_id=null") == ["AM"]
    assert names(f"service_id={shown['service_id']}") == ["AM"]
    assert "team_id" in firm.ask("GET", "integrations?team_id=T1").get_json()


def test_the_link_of_an_existing_key(firm: Firm) -> None:
    (tool,) = firm.get("integrations")["results"]

    assert tool["link"].endswith(f"/{KEY}/")
    assert post_to(firm, tool["link"], {"summary": "x"}) == (200, "Ok.")


def test_the_built_in_integration_is_shown_with_its_own_door(firm: Firm) -> None:
    body = {"event_action": "trigger", "dedup_key": "k", "service_id": firm.id_of(Service, "Web"), "payload": {"summary": "s", "source": "x"}}
    client = firm.app.test_client()
    assert client.post("/api/events", json=body, headers={"Authorization": f"Bearer {firm.tokens['member']}"}).status_code == 202

    shown = firm.get("integrations?name=API")["results"][0]

    assert (shown["type"], shown["link"]) == ("api", "http://tocsin.test/api/events")
    assert firm.ask("PATCH", f"integrations/{shown['id']}", json={"enabled": False}).status_code == 200
    assert client.post("/api/events", json=body, headers={"Authorization": f"Bearer {firm.tokens['member']}"}).status_code == 403


def test_history_names_who_made_it(firm: Firm) -> None:
    made(firm)

    entry = firm.read(lambda session: session.scalars(select(AuditEntry).where(AuditEntry.noun == "integration").order_by(AuditEntry.id.desc())).first())

    assert entry is not None
    assert (entry.verb, entry.actor_kind, entry.actor_label) == ("created", "token", "Admin")


def test_it_comes_as_a_form_too(firm: Firm) -> None:
    response = firm.ask("POST", "integrations/", data={"type": "alertmanager", "name": "by form"})

    assert (response.status_code, response.get_json()["name"]) == (201, "by form")
