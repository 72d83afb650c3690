"""The rules of services, integrations, keys, routes, policies and destinations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.core.errors import Conflict, Invalid, InvalidFields
from app.core.keys import hash_key
from app.domain import access, catalog
from app.domain.catalog import RouteSpec, Step, Target
from app.models import EscalationStep, HeartbeatMonitor, Incident, IntegrationKey, PolicySnapshot, Route
from tests.catalog.conftest import Company


def why(error: pytest.ExceptionInfo[Any]) -> str:
    return str(error.value)


# Names


def test_a_name_is_unique_among_the_living_and_free_again_afterwards(company: Company) -> None:
    with pytest.raises(Invalid, match='already a service with the name "Web"') as refused:
        catalog.create_service(company.session, name="  Web ", **company.by)
    assert refused.value.field == "name"

    catalog.archive_service(company.session, company.service, **company.by)
    again = catalog.create_service(company.session, name="Web", **company.by)

    assert again.id != company.service.id
    assert catalog.archive_service(company.session, company.service, **company.by) is False


def test_integrations_of_two_services_may_have_one_name(company: Company) -> None:
    other = catalog.create_service(company.session, name="Data", **company.by)
    catalog.create_integration(company.session, company.vault, other, name="alertmanager", source="generic", **company.by)

    with pytest.raises(Invalid, match="already an integration"):
        catalog.create_integration(company.session, company.vault, other, name="alertmanager", source="generic", **company.by)


@pytest.mark.parametrize("name", ["", "   ", "\x00\x01", "x" * 256])
def test_a_name_is_one_line_that_says_something(company: Company, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        catalog.create_service(company.session, name=name, **company.by)
    assert refused.value.field == "name"


def test_all_wrong_fields_are_told_at_once(company: Company) -> None:
    with pytest.raises(InvalidFields) as refused:
        catalog.create_service(company.session, name="", default_severity="bad", severity_urgency={"warning": "hihg"}, **company.by)

    assert {field for field, _ in refused.value.problems} == {"name", "default_severity", "severity_urgency.warning"}


# What is in use


def test_a_policy_in_use_is_not_archived_and_its_users_are_named(company: Company) -> None:
    other = catalog.create_policy(company.session, name="Night", steps=[Step([Target("user", company.ann.id)])], **company.by)
    catalog.set_routes(company.session, company.integration, [RouteSpec("{{ 1 }}", policy_id=other.id)], **company.by)

    with pytest.raises(Conflict) as refused:
        catalog.archive_policy(company.session, company.policy, **company.by)
    with pytest.raises(Conflict) as routed:
        catalog.archive_policy(company.session, other, **company.by)

    assert why(refused) == "The escalation policy Default is in use by the service Web. Give them another policy first."
    assert "a route of the integration alertmanager" in why(routed)


def test_a_destination_that_is_paged_is_not_archived(company: Company) -> None:
    with pytest.raises(Conflict, match="in use by the escalation policy Default"):
        catalog.archive_destination(company.session, company.room, **company.by)


def test_a_service_with_an_open_incident_or_a_foreign_route_is_not_archived(company: Company) -> None:
    other = catalog.create_service(company.session, name="Data", **company.by)
    catalog.set_routes(company.session, company.integration, [RouteSpec(service_id=other.id)], **company.by)
    open_incident(company)

    with pytest.raises(Conflict, match=r"in use by a route of the integration alertmanager"):
        catalog.archive_service(company.session, other, **company.by)
    with pytest.raises(Conflict, match=r"in use by the open incident \d+\. Resolve what is open first\."):
        catalog.archive_service(company.session, company.service, **company.by)


def open_incident(company: Company) -> None:
    company.session.add(
        Incident(
            public_id="I1", service_id=company.service.id, state="triggered", title="x", severity="error", urgency="high",
            opened_at=company.now, changed_at=company.now,
        )
    )  # fmt: skip
    company.session.flush()


def test_an_integration_that_a_webhook_is_limited_to_is_not_archived(company: Company) -> None:
    webhook = catalog.create_webhook(
        company.session, name="ticket", url="http://127.0.0.1:9/t", http_method="POST", trigger_type="resolve",
        integration_filter=[company.integration.public_id], **company.by,
    )  # fmt: skip

    with pytest.raises(Conflict, match="in use by the outgoing webhook ticket"):
        catalog.archive_integration(company.session, company.integration, **company.by)

    catalog.update_webhook(company.session, webhook, integration_filter=[], **company.by)
    assert catalog.archive_integration(company.session, company.integration, **company.by)


# Integrations and keys


def test_an_alias_of_a_source_is_stored_as_its_name(company: Company) -> None:
    row, _ = catalog.create_integration(company.session, company.vault, company.service, name="b", source="AlertManager", **company.by)

    assert row.source == "prometheus"


def test_an_unknown_source_is_refused_with_the_nearest_one(company: Company) -> None:
    with pytest.raises(Invalid) as refused:
        catalog.create_integration(company.session, company.vault, company.service, name="b", source="promtheus", **company.by)

    assert (refused.value.field, refused.value.why) == ("source", 'Unknown source "promtheus" – did you mean prometheus?')


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("rate_limit", {"rate_limit": -1}),
        ("rate_limit", {"rate_limit": True}),
        ("group_by", {"group_by": "service"}),
        ("group_template", {"group_by": "template"}),
        ("group_template", {"group_template": "{{ payload."}),
        ("templates.web.title", {"templates": {"web": {"title": "{% for %}"}}}),
        ("options.nothing", {"options": {"nothing": 1}}),
        ("signature_secret", {"signature_secret": "plain"}),
    ],
)
def test_what_an_integration_cannot_be_is_refused_at_its_field(company: Company, field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        catalog.create_integration(company.session, company.vault, company.service, name="b", source="generic", **fields, **company.by)
    with pytest.raises(Invalid) as also:
        catalog.update_integration(company.session, company.integration, **fields, **company.by)

    assert (refused.value.field, also.value.field) == (field, field)


def test_a_foreign_key_is_carried_over_and_found_in_any_writing(company: Company) -> None:
    key = "5CBA1A05-0C60-4A3B-8F3A-111122223333"

    row, shown = catalog.create_integration(company.session, company.vault, company.service, name="b", source="generic", key=key, **company.by)

    assert shown == "5cba1a050c604a3b8f3a111122223333"
    found = access.integration_by_key(company.session, company.vault, hash_key(key.lower()))
    assert found is not None
    assert found.id == row.id


@pytest.mark.parametrize("key", ["short", "has space in the middle", "x" * 65, "ключ-ключ-ключ-ключ"])
def test_a_key_of_another_form_is_refused(company: Company, key: str) -> None:
    with pytest.raises(Invalid) as refused:
        catalog.create_integration(company.session, company.vault, company.service, name="b", source="generic", key=key, **company.by)
    assert refused.value.field == "key"


def test_a_key_belongs_to_one_integration_and_is_free_when_that_is_archived(company: Company) -> None:
    with pytest.raises(Invalid, match="another integration"):
        catalog.create_integration(company.session, company.vault, company.service, name="b", source="generic", key=company.key, **company.by)

    catalog.archive_integration(company.session, company.integration, **company.by)

    assert access.integration_by_key(company.session, company.vault, hash_key(company.key)) is None
    row, shown = catalog.create_integration(company.session, company.vault, company.service, name="b", source="generic", key=company.key, **company.by)
    assert (shown, row.source) == (company.key, "generic")


def test_while_a_key_is_rotated_both_work_until_the_old_one_runs_out(company: Company) -> None:
    later = company.now + timedelta(hours=1)

    new = catalog.rotate_key(company.session, company.vault, company.integration, old_valid_until=later, **company.by)

    facts = access.integration_by_id(company.session, company.vault, company.integration.id)
    assert facts is not None
    assert {(key.key_hash, key.expires_at) for key in facts.keys} == {(hash_key(company.key), later), (hash_key(new), None)}
    living = [key.key_hash for key in catalog.living_keys(company.session, company.integration, later)]
    assert living == [hash_key(new)]


def test_a_key_rotated_without_overlap_is_unknown_at_once(company: Company) -> None:
    new = catalog.rotate_key(company.session, company.vault, company.integration, old_valid_until=company.now, **company.by)

    hashes = company.session.scalars(select(IntegrationKey.key_hash)).all()
    assert hashes == [hash_key(new)]


def test_rotating_to_a_key_that_still_works_makes_it_the_lasting_one(company: Company) -> None:
    later = company.now + timedelta(hours=1)
    catalog.rotate_key(company.session, company.vault, company.integration, old_valid_until=later, **company.by)

    catalog.rotate_key(company.session, company.vault, company.integration, old_valid_until=company.now, key=company.key, **company.by)

    rows = company.session.scalars(select(IntegrationKey)).all()
    assert [(row.key_hash, row.expires_at) for row in rows] == [(hash_key(company.key), None)]


def test_a_key_that_has_run_out_may_be_taken_by_another_integration(company: Company) -> None:
    catalog.rotate_key(company.session, company.vault, company.integration, old_valid_until=company.now + timedelta(minutes=1), **company.by)
    company.now += timedelta(minutes=2)

    row, _ = catalog.create_integration(company.session, company.vault, company.service, name="b", source="generic", key=company.key, **company.by)

    found = access.integration_by_key(company.session, company.vault, hash_key(company.key))
    assert found is not None
    assert found.id == row.id


def test_the_integration_for_api_keys_is_made_once_and_makes_way_for_one_of_its_name(company: Company) -> None:
    taken, _ = catalog.create_integration(company.session, company.vault, company.service, name="API", source="generic", **company.by)

    made = catalog.builtin_integration(company.session, company.vault, company.service, now=company.now)
    again = catalog.builtin_integration(company.session, company.vault, company.service, now=company.now)

    assert made.id == again.id != taken.id
    assert (made.name, made.is_builtin) == ("API 2", True)
    facts = access.builtin_integration_of(company.session, company.vault, company.service.public_id)
    assert facts is not None
    assert facts.id == made.id


def test_an_archived_service_takes_no_integration(company: Company) -> None:
    catalog.archive_service(company.session, company.service, **company.by)

    with pytest.raises(Conflict, match="archived"):
        catalog.create_integration(company.session, company.vault, company.service, name="b", source="generic", **company.by)


def test_archiving_a_service_takes_its_integrations_and_heartbeats_along(company: Company) -> None:
    monitor, _ = catalog.create_heartbeat(company.session, company.vault, company.integration, name="beat", interval_seconds=60, **company.by)

    catalog.archive_service(company.session, company.service, **company.by)

    assert company.integration.archived_at == company.now
    assert company.session.get_one(HeartbeatMonitor, monitor.id).key_hash.startswith("archived:")


def test_the_default_service_is_made_once(company: Company) -> None:
    first = catalog.default_service(company.session, now=company.now)
    assert first.id == catalog.default_service(company.session, now=company.now).id
    assert first.name == "Default"


# Routes


def test_routes_keep_their_ids_by_position_and_the_rest_goes(company: Company) -> None:
    catalog.set_routes(company.session, company.integration, [RouteSpec("{{ 1 }}"), RouteSpec("{{ 2 }}"), RouteSpec("{{ 3 }}")], **company.by)
    before = [route.public_id for route in company.integration.routes]

    catalog.set_routes(company.session, company.integration, [RouteSpec("{{ 2 }}", severity="info")], **company.by)

    assert [(route.public_id, route.condition, route.position) for route in company.integration.routes] == [(before[0], "{{ 2 }}", 0)]


def test_a_route_that_is_named_is_moved_and_not_made_anew(company: Company) -> None:
    catalog.set_routes(company.session, company.integration, [RouteSpec("{{ 1 }}"), RouteSpec("{{ 2 }}")], **company.by)
    one, two = (route.public_id for route in company.integration.routes)

    catalog.set_routes(company.session, company.integration, [RouteSpec("{{ 2 }}", public_id=two), RouteSpec("{{ 1 }}", public_id=one)], **company.by)

    assert [route.public_id for route in company.integration.routes] == [two, one]
    assert company.session.scalars(select(Route.id)).all().__len__() == 2


@pytest.mark.parametrize(
    ("field", "route"),
    [
        ("routes[1].condition", RouteSpec("{{ ")),
        ("routes[1].severity", RouteSpec(severity="bad")),
        ("routes[1].service_id", RouteSpec(service_id=9999)),
        ("routes[1].policy_id", RouteSpec(policy_id=9999)),
    ],
)
def test_a_wrong_route_is_named_by_its_place(company: Company, field: str, route: RouteSpec) -> None:
    with pytest.raises(Invalid) as refused:
        catalog.set_routes(company.session, company.integration, [RouteSpec(), route], **company.by)
    assert refused.value.field == field


# Policies and snapshots


def test_a_snapshot_holds_the_policy_with_ids_and_seconds(company: Company) -> None:
    snapshot = company.session.get_one(PolicySnapshot, company.policy.snapshot_id)

    assert snapshot.content == {
        "policy_id": company.policy.id,
        "name": "Default",
        "repeat": 0,
        "steps": [
            {"wait": 300, "targets": [{"kind": "user", "id": company.ann.id}]},
            {"wait": 600, "targets": [{"kind": "destination", "id": company.room.id}]},
        ],
    }


def test_snapshots_are_immutable_and_equal_contents_share_one(company: Company) -> None:
    first = company.policy.snapshot_id
    before = dict(company.session.get_one(PolicySnapshot, first).content)

    catalog.replace_policy(company.session, company.policy, repeat=2, **company.by)
    second = company.policy.snapshot_id
    catalog.replace_policy(company.session, company.policy, repeat=0, **company.by)

    assert first != second
    assert company.policy.snapshot_id == first
    assert company.session.get_one(PolicySnapshot, first).content == before
    assert len(company.session.scalars(select(PolicySnapshot)).all()) == 2


def test_options_of_a_target_stand_beside_its_id(company: Company) -> None:
    steps = [Step([Target("team", company.team.id, {"who": "lead"})], 60)]

    catalog.replace_policy(company.session, company.policy, steps=steps, **company.by)

    content = company.session.get_one(PolicySnapshot, company.policy.snapshot_id).content
    assert content["steps"] == [{"wait": 60, "targets": [{"kind": "team", "id": company.team.id, "who": "lead"}]}]


def test_a_step_that_stays_keeps_its_id(company: Company) -> None:
    before = [step.public_id for step in company.policy.steps]

    catalog.replace_policy(company.session, company.policy, steps=[Step([Target("user", company.bob.id)], 60)], **company.by)

    company.session.expire_all()
    assert [step.public_id for step in company.policy.steps] == before[:1]
    assert len(company.session.scalars(select(EscalationStep)).all()) == 1


@pytest.mark.parametrize(
    ("field", "steps"),
    [
        ("steps[0].targets", lambda c: [Step([])]),
        ("steps[0].wait", lambda c: [Step([Target("user", c.ann.id)], -1)]),
        ("steps[0].targets[1]", lambda c: [Step([Target("user", c.ann.id), Target("usr", c.ann.id)])]),
        ("steps[0].targets[0]", lambda c: [Step([Target("user", 9999)])]),
        ("steps[0].targets[0]", lambda c: [Step([Target("user", c.ann.id, {"who": "lead"})])]),
        ("steps[0].targets[0]", lambda c: [Step([Target("team", c.team.id, {"who": "some"})])]),
        ("steps[0].targets", lambda c: [Step([Target("user", c.ann.id), Target("user", c.ann.id)])]),
    ],
)
def test_a_wrong_step_is_named_by_its_place(company: Company, field: str, steps: Callable[[Company], list[Step]]) -> None:
    with pytest.raises(Invalid) as refused:
        catalog.create_policy(company.session, name="other", steps=steps(company), **company.by)
    assert refused.value.field == field


@pytest.mark.parametrize("repeat", [-1, 10, True])
def test_a_policy_repeats_at_most_nine_times(company: Company, repeat: int) -> None:
    with pytest.raises(Invalid) as refused:
        catalog.create_policy(company.session, name="other", steps=[], repeat=repeat, **company.by)
    assert refused.value.field == "repeat"


def test_a_policy_has_at_most_fifty_steps_and_an_integration_two_hundred_routes(company: Company) -> None:
    with pytest.raises(Invalid, match="50 steps"):
        catalog.replace_policy(company.session, company.policy, steps=[Step([Target("user", company.ann.id)])] * 51, **company.by)
    with pytest.raises(Invalid, match="200 routes"):
        catalog.set_routes(company.session, company.integration, [RouteSpec()] * 201, **company.by)


def test_an_archived_integration_has_no_key_to_rotate(company: Company) -> None:
    catalog.archive_integration(company.session, company.integration, **company.by)

    assert catalog.archive_integration(company.session, company.integration, **company.by) is False
    with pytest.raises(Conflict, match="archived"):
        catalog.rotate_key(company.session, company.vault, company.integration, old_valid_until=company.now, **company.by)


def test_a_pagerduty_id_is_unique_among_the_living(company: Company) -> None:
    catalog.update_service(company.session, company.service, pagerduty_id="PWEB", **company.by)

    with pytest.raises(Invalid, match='already a service with the PagerDuty id "PWEB"'):
        catalog.create_service(company.session, name="other", pagerduty_id="PWEB", **company.by)
    with pytest.raises(Invalid, match="letters, digits"):
        catalog.create_service(company.session, name="other", pagerduty_id="P WEB", **company.by)
    catalog.archive_service(company.session, company.service, **company.by)
    catalog.create_service(company.session, name="other", pagerduty_id="PWEB", **company.by)


def test_an_archived_policy_cannot_be_given_to_a_service(company: Company) -> None:
    other = catalog.create_policy(company.session, name="other", steps=[], **company.by)
    catalog.archive_policy(company.session, other, **company.by)

    with pytest.raises(Invalid, match="no such escalation policy") as refused:
        catalog.update_service(company.session, company.service, policy_id=other.id, **company.by)
    assert refused.value.field == "policy_id"


# Addresses


def test_secret_fields_of_an_address_are_sealed_and_opened_again(company: Company) -> None:
    address = catalog.prepare_address(company.vault, "webhook", {"url": "http://127.0.0.1:9/a", "secret": "hush"}, shared=True)

    assert address.stored["url"] == "http://127.0.0.1:9/a"
    assert "hush" not in address.stored["secret"]
    assert catalog.open_address(company.vault, "webhook", address.stored) == {"url": "http://127.0.0.1:9/a", "secret": "hush"}
    assert catalog.masked("webhook", address.stored) == {"url": "http://127.0.0.1:9/a", "secret": "****************"}
    assert catalog.masked("gone", address.stored) == {"url": "****************", "secret": "****************"}


@pytest.mark.parametrize(
    ("channel", "address", "field", "words"),
    [
        ("webhok", "x", "channel", "did you mean webhook?"),
        ("webhook", "ftp://x", "address.url", "whole address"),
        ("webhook", {}, "address.url", "needs the field url"),
        ("webhook", {"url": "http://x", "sekret": "y"}, "address.sekret", "did you mean secret?"),
        ("webhook", {"url": 3}, "address.url", "text"),
        ("email", "nobody", "address.email", "ann@example.com"),
    ],
)
def test_an_address_is_checked_by_its_channel(channel: str, address: Any, field: str, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        catalog.check_address(channel, address)
    assert refused.value.field == field
    assert words in refused.value.why


def test_a_new_address_is_tried_again_after_the_old_one_was_given_up(company: Company) -> None:
    company.room.disabled_at, company.room.disabled_reason = company.now, "410 Gone"

    catalog.update_destination(
        company.session, company.room, address=catalog.prepare_address(company.vault, "webhook", "http://127.0.0.1:9/n", shared=True), **company.by
    )

    assert (company.room.disabled_at, company.room.disabled_reason) == (None, None)


# Heartbeats


def test_a_heartbeats_name_and_key_are_its_own(company: Company) -> None:
    def make(**fields: Any) -> HeartbeatMonitor:
        made = {"name": "beat", "interval_seconds": 60, **fields}
        return catalog.create_heartbeat(company.session, company.vault, company.integration, **made, **company.by)[0]

    make(key="a" * 32)
    with pytest.raises(Invalid, match="already a heartbeat"):
        make()
    with pytest.raises(Invalid, match="another heartbeat"):
        make(name="other", key="a" * 32)
    other = make(name="other", key="b" * 32)
    with pytest.raises(Invalid, match="already a heartbeat"):
        catalog.update_heartbeat(company.session, other, name="beat", **company.by)
    with pytest.raises(Invalid, match="whole number from 10"):
        catalog.update_heartbeat(company.session, other, interval_seconds=1, **company.by)
    with pytest.raises(Invalid, match="another heartbeat"):
        catalog.rekey_heartbeat(company.session, other, catalog.seal_key(company.vault, "a" * 32), **company.by)
    version = company.version()
    catalog.rekey_heartbeat(company.session, other, catalog.seal_key(company.vault, "b" * 32), **company.by)
    assert company.version() == version


# Outgoing webhooks


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("trigger_type", {"trigger_type": "aknowledge"}),
        ("http_method", {"http_method": "post"}),
        ("url", {"url": "ftp://x"}),
        ("url", {"url": "{{ x"}),
        ("data", {"data": "{% if %}"}),
        ("integration_filter", {"integration_filter": ["C0"]}),
        ("integration_filter", {"integration_filter": "C0"}),
        ("password", {"password": "plain"}),
    ],
)
def test_what_an_outgoing_webhook_cannot_be_is_refused_at_its_field(company: Company, field: str, values: dict[str, Any]) -> None:
    right = {"name": "ticket", "url": "http://127.0.0.1:9/t", "http_method": "POST", "trigger_type": "resolve"}
    with pytest.raises(Invalid) as refused:
        catalog.create_webhook(company.session, **{**right, **values}, **company.by)
    assert refused.value.field == field


def test_the_audit_names_only_the_host_of_an_address(company: Company) -> None:
    catalog.create_webhook(
        company.session, name="t", url="https://u:p@hooks.example.com/T0/secret?x=1", http_method="POST", trigger_type="resolve", **company.by
    )

    assert company.last_audit().after["url"] == "https://hooks.example.com/…"
