"""Whatever a file says: applied it holds, exported it says the same, and two who apply at once do not mix."""

from __future__ import annotations

import contextlib
import copy
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import yaml
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from app.core.errors import Conflict, Invalid
from app.core.keys import hash_key
from app.core.types import SYSTEM
from app.domain import catalog
from app.models import EscalationPolicy, IntegrationKey, Meta, Service
from app.wiring import transactions
from app.wiring.runtime import runtime
from tests.catalog.conftest import Office

NAMES = st.sampled_from(["Web", "Data", "on call", "Größe: 5", "- no", "#1", "yes", "1.10", "ann@example.com", "'", "a/b"])
SECRETS = st.sampled_from(["hush-hush", "with space", "ключ", "{env: NO}", "a: b"])
DURATIONS = st.sampled_from(["0s", "30s", "5m", "2h", "1d", "90s"])
URLS = st.sampled_from(["http://127.0.0.1:9/a", "https://example.com/x?y=1#z"])


def things(fields: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]], **more: Any) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries(fields, optional=optional), unique_by=lambda thing: thing.get("email") or thing["name"], max_size=3, **more)


ADDRESS = {"channel": st.just("webhook"), "address": URLS | st.fixed_dictionaries({"url": URLS, "secret": SECRETS})}


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """A file that is right: it refers to nothing that it does not hold."""
    teams = draw(things({"name": NAMES}, {}))
    team = st.sampled_from([None, *(each["name"] for each in teams)])
    users = draw(things({"email": st.sampled_from(["ann@b.c", "bob@b.c", "Cy@b.c"]), "name": NAMES}, {"role": st.sampled_from(["manager", "observer"])}))
    for user in users:
        user["contact_methods"] = draw(things({"name": NAMES, **ADDRESS}, {}))
        methods = [method["name"] for method in user["contact_methods"]]
        user["notification_rules"] = {"high": [], "low": []}  # given, so that no rule keeps a contact method that goes
        if methods:
            rule = st.fixed_dictionaries({"contact_method": st.sampled_from(methods), "after": DURATIONS})
            rules = st.lists(rule, unique_by=lambda each: (each["contact_method"], each["after"]), max_size=3)
            user["notification_rules"] = {"high": draw(rules), "low": draw(rules)}
    for each in teams:
        members = draw(st.lists(st.sampled_from(users), unique_by=lambda user: user["email"])) if users else []
        each["members"] = [{"user": user["email"], "role": draw(st.sampled_from(["lead", "member"]))} for user in members]
    destinations = draw(things({"name": NAMES, **ADDRESS, "team": team}, {}))
    targets = [{"user": user["email"]} for user in users] + [{"team": each["name"], "who": "lead"} for each in teams]
    targets += [{"destination": each["name"]} for each in destinations]
    step = st.fixed_dictionaries({"targets": st.lists(st.sampled_from(targets), min_size=1, max_size=3, unique_by=str)}, optional={"wait": DURATIONS})
    steps = st.lists(step, max_size=3) if targets else st.just([])
    policies = draw(things({"name": NAMES, "steps": steps, "team": team}, {"repeat": st.integers(0, 9)}))
    policy = st.sampled_from([None, *(each["name"] for each in policies)])
    integrations = things(
        {"name": NAMES, "source": st.sampled_from(["generic", "prometheus"])},
        {"enabled": st.booleans(), "rate_limit": st.sampled_from([None, 0, 5]), "signature_secret": SECRETS, "templates": st.just({"a": "{{ 1 }}"})},
    )
    services = draw(things({"name": NAMES, "team": team, "escalation_policy": policy, "integrations": integrations}, {"description": NAMES}))
    return {
        "version": 1,
        "users": [{"email": "zoe@b.c", "name": "Zoe", "role": "admin"}, *users],
        "teams": teams,
        "destinations": destinations,
        "escalation_policies": policies,
        "services": services,
    }


@given(first=files(), second=files())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])
def test_what_is_applied_holds_and_is_exported(office: Office, first: dict[str, Any], second: dict[str, Any]) -> None:
    for document in (first, second):
        text = yaml.safe_dump(copy.deepcopy(document), allow_unicode=True, sort_keys=False)
        office.apply(text, prune=True)
        assert office.plan(text, prune=True) == []

        exported = office.export()
        keyless = re.sub(r",? ?(\n +)?\bkey: \{env: [A-Z0-9_]+\}", "", exported)
        assert secrets_of(office, yaml.safe_load(exported), document)
        assert office.plan(keyless, prune=True) == []


def secrets_of(office: Office, exported: dict[str, Any], document: dict[str, Any]) -> bool:
    """Set the variables of an exported file by walking it beside the file that was applied."""

    def walk(shown: Any, original: Any) -> None:
        if isinstance(shown, dict) and set(shown) == {"env"}:
            office.environ[shown["env"]] = original
        elif isinstance(shown, dict):
            for name, value in shown.items():
                if name != "key" and isinstance(original, dict) and name in original:
                    walk(value, original[name])
        elif isinstance(shown, list) and isinstance(original, list):
            by_name = {key_of(each): each for each in original if isinstance(each, dict)}
            for each in shown:
                if isinstance(each, dict) and key_of(each) in by_name:
                    walk(each, by_name[key_of(each)])

    walk(exported, document)
    return True


def key_of(thing: dict[str, Any]) -> str:
    return str(thing.get("email") or thing.get("name")).lower()


def test_of_two_who_apply_at_once_each_is_applied_whole(app: Flask, office: Office) -> None:
    texts = [
        yaml.safe_dump(
            {
                "version": 1,
                "services": [{"name": f"S{n}", "integrations": [{"name": "i", "source": "generic", "key": f"{n:032x}"}]} for n in range(10 * k, 10 * k + 10)],
            }
        )
        for k in range(4)
    ]

    at_once(app, [lambda text=text: office.apply(text) for text in texts])

    hashes = set(office.look(lambda session: session.scalars(select(IntegrationKey.key_hash)).all()))
    assert hashes == {hash_key(f"{n:032x}") for n in range(40)}
    assert all(office.plan(text) == [] for text in texts)


def test_a_large_file_holds_the_write_lock_for_a_moment_only(app: Flask, office: Office) -> None:
    """Alerts wait while a file is written: 300 services must be a matter of a second or two."""
    services = [{"name": f"S{n}", "integrations": [{"name": "i", "source": "generic"}, {"name": "j", "source": "prometheus"}]} for n in range(300)]
    queries = 0

    def count(*_args: Any) -> None:
        nonlocal queries
        queries += 1

    event.listen(runtime().engine, "before_cursor_execute", count)
    office.apply(yaml.safe_dump({"version": 1, "services": services}))
    event.remove(runtime().engine, "before_cursor_execute", count)

    assert transactions.run(lambda session: session.scalars(select(Meta.config_version)).one(), "read") > 900
    assert queries < 900 * 12


def test_nothing_comes_to_use_what_is_archived_at_the_same_moment(app: Flask, office: Office) -> None:
    office.apply("{version: 1, services: [{name: Web}]}")
    for n in range(12):
        office.apply(f"{{version: 1, escalation_policies: [{{name: P{n}, steps: []}}]}}")
        at_once(app, [lambda n=n: archive(n), lambda n=n: use(n)])

        def is_right(session: Session) -> bool:
            service = session.scalars(select(Service)).one()
            return service.policy is None or service.policy.archived_at is None

        assert office.look(is_right)


def archive(n: int) -> None:
    with contextlib.suppress(Conflict):
        transactions.run(lambda session: catalog.archive_policy(session, policy(session, n), actor=SYSTEM, now=runtime().now()))


def use(n: int) -> None:
    def work(session: Session) -> None:
        wanted = policy(session, n)
        catalog.update_service(session, session.scalars(select(Service)).one(), policy_id=wanted.id, actor=SYSTEM, now=runtime().now())

    with contextlib.suppress(Invalid):
        transactions.run(work)


def policy(session: Session, n: int) -> EscalationPolicy:
    return session.scalars(select(EscalationPolicy).where(EscalationPolicy.name == f"P{n}")).one()


def at_once(app: Flask, works: list[Callable[[], Any]]) -> None:
    """Begin them at the same moment, each in a thread of its own; raises what one of them raises."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> None:
        with app.app_context():
            barrier.wait()
            work()

    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(run, work) for work in works]:
            done.result()
