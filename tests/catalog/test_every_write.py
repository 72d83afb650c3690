"""Every function that changes the catalog raises config_version, writes an audit entry, and keeps secrets out of it.

A function that takes `now` changes something; a new one that has no line in CHANGES fails the first test.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import select

from app.core import passwords
from app.domain import catalog, people
from app.models import AuditEntry
from tests.catalog.conftest import Company

HASH = passwords.make_hash("correct horse")
SECRETS = ("correct horse", "s3cr3t-of-a-hook", "whole-token-0123456789", HASH, "gAAAAA")


def _webhook(c: Company) -> Any:
    return catalog.create_webhook(c.session, name="ticket", url="http://127.0.0.1:9/t", http_method="POST", trigger_type="resolve", **c.by)


def _method(c: Company, name: str = "hook") -> Any:
    address = catalog.prepare_address(c.vault, "webhook", {"url": "http://127.0.0.1:9/ann", "secret": "s3cr3t-of-a-hook"})
    return people.add_contact_method(c.session, c.ann, name=name, address=address, **c.by)


def _token(c: Company) -> Any:
    return people.create_token(c.session, c.ann, name="api", scopes=["*"], value="whole-token-0123456789", **c.by)[0]


def _heartbeat(c: Company) -> Any:
    return catalog.create_heartbeat(c.session, c.vault, c.integration, name="beat", interval_seconds=60, **c.by)[0]


def _address(c: Company) -> catalog.Address:
    return catalog.prepare_address(c.vault, "webhook", {"url": "http://127.0.0.1:9/new", "secret": "s3cr3t-of-a-hook"})


def _disabled(c: Company) -> Any:
    people.disable_user(c.session, c.bob, **c.by)
    return c.bob


Prepare = Callable[[Company], Any]
Act = Callable[[Company, Any], Any]
NOTHING: Prepare = lambda c: None  # noqa: E731 - one line of the table
CHANGES: dict[str, tuple[Prepare, Act]] = {
    "archive_contact_method": (_method, lambda c, row: people.archive_contact_method(c.session, row, **c.by)),
    "archive_destination": (
        lambda c: catalog.create_destination(c.session, name="other", address=_address(c), **c.by),
        lambda c, row: catalog.archive_destination(c.session, row, **c.by),
    ),
    "archive_heartbeat": (_heartbeat, lambda c, row: catalog.archive_heartbeat(c.session, row, **c.by)),
    "archive_integration": (NOTHING, lambda c, _: catalog.archive_integration(c.session, c.integration, **c.by)),
    "archive_policy": (
        lambda c: catalog.update_service(c.session, c.service, policy_id=None, **c.by),
        lambda c, _: catalog.archive_policy(c.session, c.policy, **c.by),
    ),
    "archive_service": (NOTHING, lambda c, _: catalog.archive_service(c.session, c.service, **c.by)),
    "archive_team": (NOTHING, lambda c, _: people.archive_team(c.session, c.team, **c.by)),
    "archive_user": (NOTHING, lambda c, _: people.archive_user(c.session, c.bob, **c.by)),
    "archive_webhook": (_webhook, lambda c, row: catalog.archive_webhook(c.session, row, **c.by)),
    "add_contact_method": (NOTHING, lambda c, _: _method(c)),
    "builtin_integration": (NOTHING, lambda c, _: catalog.builtin_integration(c.session, c.vault, c.service, now=c.now)),
    "create_destination": (NOTHING, lambda c, _: catalog.create_destination(c.session, name="other", address=_address(c), **c.by)),
    "create_heartbeat": (NOTHING, lambda c, _: _heartbeat(c)),
    "create_integration": (
        NOTHING,
        lambda c, _: catalog.create_integration(
            c.session, c.vault, c.service, name="b", source="generic", signature_secret=catalog.seal(c.vault, "correct horse"), **c.by
        ),
    ),
    "create_policy": (NOTHING, lambda c, _: catalog.create_policy(c.session, name="other", steps=[], **c.by)),
    "create_service": (NOTHING, lambda c, _: catalog.create_service(c.session, name="other", **c.by)),
    "create_team": (NOTHING, lambda c, _: people.create_team(c.session, name="other", **c.by)),
    "create_token": (NOTHING, lambda c, _: _token(c)),
    "create_user": (NOTHING, lambda c, _: people.create_user(c.session, email="cy@example.com", name="Cy", password_hash=HASH, **c.by)),
    "create_webhook": (
        NOTHING,
        lambda c, _: catalog.create_webhook(
            c.session,
            name="ticket",
            url="http://127.0.0.1:9/t?token=s3cr3t-of-a-hook",
            http_method="POST",
            trigger_type="resolve",
            headers='{"X": "s3cr3t-of-a-hook"}',
            password=catalog.seal(c.vault, "correct horse"),
            **c.by,
        ),
    ),
    "default_service": (NOTHING, lambda c, _: catalog.default_service(c.session, now=c.now)),
    "disable_user": (NOTHING, lambda c, _: people.disable_user(c.session, c.bob, **c.by)),
    "enable_user": (_disabled, lambda c, row: people.enable_user(c.session, row, **c.by)),
    "rekey_heartbeat": (_heartbeat, lambda c, row: catalog.rekey_heartbeat(c.session, row, catalog.seal_key(c.vault), **c.by)),
    "replace_policy": (NOTHING, lambda c, _: catalog.replace_policy(c.session, c.policy, repeat=3, **c.by)),
    "revoke_token": (_token, lambda c, row: people.revoke_token(c.session, row, **c.by)),
    "rotate_key": (NOTHING, lambda c, _: catalog.rotate_key(c.session, c.vault, c.integration, old_valid_until=c.now + timedelta(hours=1), **c.by)),
    "set_members": (NOTHING, lambda c, _: people.set_members(c.session, c.team, {c.ann.id: "lead"}, **c.by)),
    "set_notification_rules": (_method, lambda c, row: people.set_notification_rules(c.session, c.ann, urgency="high", rules=[(row.id, 0)], **c.by)),
    "set_password": (NOTHING, lambda c, _: people.set_password(c.session, c.bob, password_hash=HASH, **c.by)),
    "set_routes": (NOTHING, lambda c, _: catalog.set_routes(c.session, c.integration, [catalog.RouteSpec("{{ 1 }}")], **c.by)),
    "update_contact_method": (_method, lambda c, row: people.update_contact_method(c.session, row, address=_address(c), **c.by)),
    "update_destination": (NOTHING, lambda c, _: catalog.update_destination(c.session, c.room, address=_address(c), **c.by)),
    "update_heartbeat": (_heartbeat, lambda c, row: catalog.update_heartbeat(c.session, row, interval_seconds=120, **c.by)),
    "update_integration": (NOTHING, lambda c, _: catalog.update_integration(c.session, c.integration, enabled=False, **c.by)),
    "update_service": (NOTHING, lambda c, _: catalog.update_service(c.session, c.service, description="The shop.", **c.by)),
    "update_team": (NOTHING, lambda c, _: people.update_team(c.session, c.team, name="Infra", **c.by)),
    "update_token": (_token, lambda c, row: people.update_token(c.session, row, team_ids=[c.team.id], **c.by)),
    "update_user": (NOTHING, lambda c, _: people.update_user(c.session, c.bob, timezone="Europe/Berlin", **c.by)),
    "update_webhook": (_webhook, lambda c, row: catalog.update_webhook(c.session, row, enabled=False, **c.by)),
}


def writers(module: ModuleType) -> set[str]:
    functions = {name: value for name, value in vars(module).items() if name in module.__all__ and inspect.isfunction(value)}
    reading_only = {"living_keys"}
    return {name for name, function in functions.items() if "now" in inspect.signature(function).parameters} - reading_only


def test_each_function_that_changes_something_has_a_line_here() -> None:
    assert writers(catalog) | writers(people) == set(CHANGES)


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_change_raises_the_version_and_is_written_down_without_secrets(company: Company, name: str) -> None:
    prepare, act = CHANGES[name]
    prepared = prepare(company)
    company.session.flush()
    version, entry = company.version(), company.last_audit()

    act(company, prepared)
    company.session.flush()

    assert company.version() > version
    written = company.session.scalars(select(AuditEntry).where(AuditEntry.id > entry.id)).all()
    assert written
    assert all(each.at == company.now and each.actor_label in ("Ann", "Tocsin") and each.noun and each.verb for each in written)
    told = json.dumps([[each.before, each.after] for each in company.session.scalars(select(AuditEntry))])
    assert not [secret for secret in (*SECRETS, company.key) if secret in told]


@pytest.mark.parametrize(
    "act",
    [
        lambda c: catalog.update_service(c.session, c.service, name="Web", policy_id=c.policy.id, **c.by),
        lambda c: catalog.update_integration(c.session, c.integration, enabled=True, group_by="alert", **c.by),
        lambda c: catalog.set_routes(c.session, c.integration, [], **c.by),
        lambda c: catalog.replace_policy(
            c.session,
            c.policy,
            steps=[catalog.Step([catalog.Target("user", c.ann.id)], 300), catalog.Step([catalog.Target("destination", c.room.id)], 600)],
            **c.by,
        ),
        lambda c: people.set_members(c.session, c.team, {}, **c.by),
        lambda c: people.update_user(c.session, c.ann, role="admin", **c.by),
        lambda c: people.enable_user(c.session, c.ann, **c.by),
    ],
)
def test_what_is_so_already_is_no_change(company: Company, act: Callable[[Company], bool]) -> None:
    version, entry = company.version(), company.last_audit().id

    assert act(company) is False
    assert (company.version(), company.last_audit().id) == (version, entry)
