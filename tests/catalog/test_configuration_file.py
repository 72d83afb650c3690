"""The configuration file: planned, applied, exported, refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app import sources
from app.core.errors import Conflict, InvalidFields
from app.core.keys import Vault, hash_key, hash_token
from app.core.types import SYSTEM
from app.domain import access, catalog, configuration
from app.domain.configuration import Outdated
from app.models import AuditEntry, HeartbeatMonitor, Integration, IntegrationKey, Meta, OutgoingWebhook, PolicySnapshot, Service, User
from app.wiring.runtime import runtime
from tests.catalog.conftest import ENVIRON, Office

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = (ROOT / "docs" / "example.yaml").read_text()

DESIGN_EXAMPLE = """\
version: 1
users:
- {email: ann@example.com, name: Ann, role: admin, password: {env: ANN_PASSWORD}, timezone: Europe/Berlin,
   contact_methods: [{name: mail, channel: email, address: ann@example.com}, {name: hook, channel: webhook, address: "http://127.0.0.1:9100/ann"}],
   notification_rules: {high: [{contact_method: hook, after: 0s}, {contact_method: mail, after: 5m}], low: [{contact_method: mail, after: 0s}]},
   tokens: [{name: api, value: {env: ANN_TOKEN}, scopes: ["*"]}]}
teams: [{name: Platform, members: [{user: ann@example.com, role: lead}]}]
destinations: [{name: ops room, channel: webhook, address: "http://127.0.0.1:9100/room"}]
escalation_policies:
- {name: Default, team: Platform, repeat: 2, steps: [{targets: [{user: ann@example.com}], wait: 5m}, {targets: [{destination: ops room}], wait: 10m}]}
services:
- name: Web
  team: Platform
  escalation_policy: Default
  integrations:
  - {name: alertmanager, source: prometheus, key: {env: AM_KEY}}     # a key is 32 hex characters; left out: generated
outgoing_webhooks: [{name: ticket, trigger_type: alert group created, url: "http://127.0.0.1:9100/ticket", http_method: POST}]
"""
"""The file as the design prints it."""


def problems(office: Office, text: str, **options: Any) -> dict[str, str]:
    """What is wrong, by path."""
    with pytest.raises(InvalidFields) as refused:
        office.plan(text, **options)
    return dict(refused.value.problems)


def service(**fields: Any) -> str:
    return yaml.safe_dump({"version": 1, "services": [{"name": "Web", **fields}]})


def integration(**fields: Any) -> str:
    return service(integrations=[{"name": "am", "source": "prometheus", **fields}])


# Plan and apply


@pytest.mark.parametrize("text", [DESIGN_EXAMPLE, EXAMPLE], ids=["design", "docs"])
def test_a_file_is_applied_whole_and_then_says_what_is_there(office: Office, text: str) -> None:
    planned = office.plan(text)
    assert office.look(lambda session: session.scalars(select(func.count(User.id))).one()) == 0

    assert office.apply(text) == planned
    assert any(line.startswith("create service Web") for line in planned)
    assert office.plan(text) == []
    assert office.apply(text) == []


def test_the_applied_file_can_be_used(office: Office, app: Flask) -> None:
    office.apply(DESIGN_EXAMPLE)

    facts = runtime().cache.by_key(hash_key(ENVIRON["AM_KEY"]))
    assert facts is not None
    assert (facts.name, facts.service.name) == ("alertmanager", "Web")
    principal = runtime().cache.principal(hash_token(ENVIRON["ANN_TOKEN"]))
    assert principal is not None
    assert (principal.role, len(principal.team_ids)) == ("admin", 1)
    assert facts.service.policy is not None
    snapshot = office.look(lambda session: session.get(PolicySnapshot, facts.service.policy.snapshot_id))
    assert [step["wait"] for step in snapshot.content["steps"]] == [300, 600]


def test_a_second_apply_writes_nothing_at_all(office: Office) -> None:
    office.apply(EXAMPLE)
    before = office.look(lambda session: (access.config_version(session), session.scalars(select(func.count(AuditEntry.id))).one()))

    office.apply(EXAMPLE)

    assert office.look(lambda session: (access.config_version(session), session.scalars(select(func.count(AuditEntry.id))).one())) == before


def test_a_change_is_told_with_what_was_and_what_comes(office: Office) -> None:
    office.apply(EXAMPLE)
    text = (
        EXAMPLE.replace("repeat: 2", "repeat: 3")
        .replace("wait: 5m", "wait: 6m")
        .replace("rate_limit: 30", "rate_limit: 0")
        .replace("role: lead", "role: member")
    )

    assert sorted(office.apply(text)) == [
        "change escalation policy Default: repeat 2 → 3, steps",
        "change integration Web / scripts: rate_limit 30 → 0",
        "change team Platform: members",
    ]
    assert office.plan(text) == []


def test_what_the_file_leaves_out_is_left_alone(office: Office) -> None:
    office.apply(EXAMPLE)

    assert office.apply("{version: 1, services: [{name: Web, description: The shop.}], teams: []}") == ['change service Web: description "" → "The shop."']
    row = office.look(lambda session: session.scalars(select(Service).where(Service.name == "Web")).one())
    assert row.policy_id is not None
    assert office.plan(EXAMPLE) == []


def test_null_takes_away_what_may_be_absent(office: Office) -> None:
    office.apply(EXAMPLE)

    assert office.apply(service(escalation_policy=None)) == ['change service Web: escalation_policy "Default" → none']
    assert problems(office, service(description=None)) == {"services[0].description": "may not be null; leave it out to keep what is there"}


def test_nothing_is_written_when_one_thing_fails(office: Office) -> None:
    office.apply(integration(key=ENVIRON["AM_KEY"]))
    version = office.look(access.config_version)
    text = yaml.safe_dump(
        {
            "version": 1,
            "teams": [{"name": "New"}],
            "services": [{"name": "Data", "integrations": [{"name": "x", "source": "generic", "key": ENVIRON["AM_KEY"]}]}],
        }
    )

    with pytest.raises(InvalidFields) as refused:
        office.apply(text)

    assert refused.value.problems == [("services[0].integrations[0].key", "This key belongs to another integration already.")]
    assert office.look(access.config_version) == version
    assert office.plan(text) != []


def test_json_is_read_too(office: Office) -> None:
    assert office.apply('{"version": 1,\n\t"teams": [{"name": "Platform"}]}') == ["create team Platform"]


def test_a_catalog_that_changed_meanwhile_is_planned_anew(office: Office, app: Flask) -> None:
    rt = runtime()
    document = configuration.read(service(), {})
    ready = configuration.prepare(configuration.make_plan(document, office.look(lambda s: configuration.load(s, rt.vault, now=rt.now()))), rt.vault)
    office.change(lambda session: session.execute(update(Meta).values(config_version=Meta.config_version + 1)))

    with pytest.raises(Outdated):
        office.change(lambda session: configuration.write(session, ready, rt.vault, actor=SYSTEM, now=rt.now()))


def test_every_kind_of_thing_can_be_changed(office: Office) -> None:
    office.apply(WITH_EVERYTHING)
    changes = {
        "role: admin\n": "role: manager\n",
        "after: 1h": "after: 2h",
        '["events:write", "incidents:read"]': '["events:write"]',
        "teams: [Platform]": "teams: []",
        "disabled: true": "disabled: false",
        "Empty}]": "Empty, members: [{user: ann@example.com}]}]",
        "127.0.0.1:9/room": "127.0.0.1:9/hall",
        "who: lead": "who: all",
        "default_severity: warning": "default_severity: info",
        "enabled: false\n    sign": "enabled: true\n    sign",
        "severity: critical, group": "severity: info, group",
        "http_method: PUT": "http_method: PATCH",
        "Bearer hush": "Bearer hushed",
    }
    text = "version: 1\nusers:\n- {email: zoe@example.com, name: Zoe, role: admin}\n" + WITH_EVERYTHING.split("users:\n")[1]
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)

    assert office.apply(text) == [
        'create user zoe@example.com: role "admin"',
        'change user ann@example.com: role "admin" → "manager", notification_rules',
        "change API key ann@example.com / api: scopes events:write, incidents:read → events:write, teams",
        "change user robot@example.com: disabled true → false",
        "change team Empty: members",
        "change destination ops room: address",
        "change escalation policy Default: steps",
        'change service Web: default_severity "warning" → "info"',
        "change integration Web / alertmanager: enabled false → true, routes",
        'change outgoing webhook ticket: http_method "PUT" → "PATCH", authorization_header',
    ]
    assert office.plan(text) == []


def test_a_heartbeat_is_made_changed_and_given_another_key(office: Office) -> None:
    def text(**fields: Any) -> str:
        return integration(heartbeats=[{"name": "beat", "interval": "5m", **fields}])

    assert office.apply(text(key="a" * 32))[-1] == "create heartbeat Web / am / beat: interval 5m"
    assert office.apply(text(key="b" * 32, interval="10m")) == ["change heartbeat Web / am / beat: interval 5m → 10m, key"]
    assert office.plan(text(key="b" * 32)) == ["change heartbeat Web / am / beat: interval 10m → 5m"]
    assert office.apply(integration(heartbeats=[]), prune=True) == ["archive heartbeat Web / am / beat"]
    assert office.apply(text(key="b" * 32)) == ["create heartbeat Web / am / beat: interval 5m"]


def test_a_contact_method_and_an_api_key_that_go_are_archived_and_revoked(office: Office) -> None:
    office.apply(DESIGN_EXAMPLE)
    text = "{version: 1, users: [{email: ann@example.com, contact_methods: [], tokens: [], notification_rules: {high: [], low: []}}]}"

    assert office.apply(text, prune=True) == [
        "change user ann@example.com: notification_rules",
        "archive contact method ann@example.com / mail",
        "archive contact method ann@example.com / hook",
        "archive API key ann@example.com / api",
    ]
    assert runtime().cache.principal(hash_token(ENVIRON["ANN_TOKEN"])) is None


# Secrets


def test_a_changed_secret_is_applied_and_never_told(office: Office) -> None:
    text = DESIGN_EXAMPLE.replace("key: {env: AM_KEY}", "key: {env: AM_KEY}, signature_secret: {env: SIGN}")
    office.environ["SIGN"] = "first-signature"
    office.apply(text)
    office.environ |= {"SIGN": "second-signature", "ANN_PASSWORD": "another horse", "ANN_TOKEN": "another-token-0123456789", "AM_KEY": "f" * 32}

    told = office.apply(text)

    assert told == [
        "change user ann@example.com: password",
        "change API key ann@example.com / api: value",
        "change integration Web / alertmanager: key, signature_secret",
    ]
    assert office.plan(text) == []
    facts = runtime().cache.by_key(hash_key("f" * 32))
    assert facts is not None
    assert facts.signature_secret == "second-signature"
    assert runtime().cache.by_key(hash_key(ENVIRON["AM_KEY"])) is None
    assert runtime().cache.principal(hash_token(ENVIRON["ANN_TOKEN"])) is None
    assert runtime().cache.principal(hash_token("another-token-0123456789")) is not None


def test_a_missing_variable_is_named(office: Office) -> None:
    del office.environ["ANN_PASSWORD"]
    office.environ["AM_KEY"] = ""

    assert problems(office, DESIGN_EXAMPLE) == {
        "users[0].password": "the environment has no ANN_PASSWORD",
        "services[0].integrations[0].key": "the environment has no AM_KEY",
    }


def test_a_key_left_out_is_generated_once(office: Office) -> None:
    office.apply(integration())
    first = office.look(lambda session: session.scalars(select(Integration)).one().keys[0].key_hash)

    assert office.apply(integration()) == []
    assert office.look(lambda session: session.scalars(select(Integration)).one().keys[0].key_hash) == first


def test_a_key_in_rotation_is_left_alone_when_the_file_names_either(office: Office) -> None:
    office.apply(integration(key="a" * 32))
    rt = runtime()

    def rotate(session: Session) -> str:
        row = session.scalars(select(Integration)).one()
        return catalog.rotate_key(session, rt.vault, row, old_valid_until=rt.now().replace(year=2027), actor=SYSTEM, now=rt.now())

    new = office.change(rotate)

    assert office.plan(integration(key="a" * 32)) == []
    assert office.plan(integration(key=new)) == []


def test_a_secret_that_opens_no_more_is_mended_by_applying(office: Office) -> None:
    text = integration(signature_secret="hush")
    office.apply(text)
    foreign = Vault("another secret key").seal("hush")
    office.change(lambda session: session.execute(update(Integration).values(signature_secret=foreign)))

    assert "signature_secret: {env: WEB_AM_SIGNATURE_SECRET}" in office.export()
    assert office.apply(text) == ["change integration Web / am: signature_secret"]
    assert office.apply(text) == []


def test_nothing_is_sealed_while_a_writing_transaction_is_open(office: Office) -> None:
    """SQLite has one writer: what takes its time is done before."""

    class Shut(Vault):
        def seal(self, text: str) -> str:
            raise AssertionError("sealed inside the transaction")

        def open(self, sealed: str) -> str:
            raise AssertionError("opened inside the transaction")

    rt = runtime()
    state = office.look(lambda session: configuration.load(session, rt.vault, now=rt.now()))
    ready = configuration.prepare(configuration.make_plan(configuration.read(WITH_EVERYTHING, office.environ), state), rt.vault)

    office.change(lambda session: configuration.write(session, ready, Shut("none"), actor=SYSTEM, now=rt.now()))

    assert office.plan(WITH_EVERYTHING) == []


def test_no_source_has_secret_options_which_the_file_would_write_out() -> None:
    """When one comes, seal them as an address's secret fields are, and export {env: NAME} for them."""
    assert [option.name for source in sources.all() for option in source.options if option.secret] == []


# Export


def with_secrets_set(office: Office, exported: str) -> None:
    """Set what the exported file asks for: the secrets by the ends of their names, generated keys from the database."""
    vault = runtime().vault
    beat = office.look(lambda session: session.scalars(select(HeartbeatMonitor.key_sealed)).first())
    generated = office.look(lambda session: session.scalars(select(IntegrationKey.key_sealed).order_by(IntegrationKey.id.desc())).first())
    ends = {**ENDS, "_WATCHDOG_KEY": vault.open(beat) if beat else "", "_KEY": vault.open(generated)}
    for name in re.findall(r"\{env: (\w+)\}", exported):
        office.environ[name] = next(value for end, value in ends.items() if name.endswith(end))


ENDS = {
    "_PASSWORD": "correct horse",
    "_API_TOKEN": ENVIRON["ANN_TOKEN"],
    "_ALERTMANAGER_KEY": ENVIRON["AM_KEY"],
    "_SECRET": "hush",
    "_AUTHORIZATION_HEADER": "Bearer hush",
}
WITH_EVERYTHING = """\
version: 1
users:
- email: ann@example.com
  name: Ann
  role: admin
  pagerduty_id: PANN
  password: {env: ANN_PASSWORD}
  contact_methods: [{name: hook, channel: webhook, address: {url: "http://127.0.0.1:9/ann", secret: hush}}]
  notification_rules: {low: [{contact_method: hook, after: 1h}]}
  tokens: [{name: api, value: {env: ANN_TOKEN}, scopes: ["events:write", "incidents:read"], expires_at: 2027-01-31, teams: [Platform]}]
- {email: robot@example.com, name: Robot, kind: service_account, disabled: true, timezone: Asia/Tokyo}
teams: [{name: Platform, members: [{user: Ann@example.com}, {user: robot@example.com, role: lead}]}, {name: Empty}]
destinations: [{name: ops room, channel: webhook, address: {url: "http://127.0.0.1:9/room", secret: hush}, team: Platform}]
escalation_policies:
- name: Default
  pagerduty_id: PDEF
  repeat: 9
  steps: [{targets: [{team: Platform, who: lead}, {team: Empty}, {destination: ops room}, {user: ANN@example.com}], wait: 1d}, {targets: [{team: Platform}]}]
services:
- name: Web
  description: "The shop.\\nAnd: more"
  team: Platform
  escalation_policy: Default
  default_severity: warning
  severity_urgency: {warning: high, critical: low}
  pagerduty_id: PWEB
  uuid: 5CBA1A050C604A3B8F3A111122223333
  integrations:
  - name: alertmanager
    source: alertmanager
    key: {env: AM_KEY}
    enabled: false
    signature_secret: hush
    require_key: true
    rate_limit: 0
    group_by: template
    group_template: "{{ labels.job }}"
    templates: {web: {title: "{{ payload.x }}"}, grouping_key: "{{ 1 }}"}
    routes:
    - {condition: '{{ labels.a == "yes" }}', service: Data, severity: critical, group_template: "{{ labels.a }}"}
    - {escalation_policy: Default}
- {name: Data}
outgoing_webhooks:
- name: ticket
  trigger_type: status change
  url: "https://example.com/{{ alert_group_id }}"
  http_method: PUT
  enabled: false
  team: Platform
  data: '{"a": {{ 1 }}}'
  headers: '{"X-A": "b"}'
  trigger_template: "{{ 1 }}"
  username: ann
  password: {env: ANN_PASSWORD}
  authorization_header: Bearer hush
  forward_all: false
  also_in_debug: true
  integration_filter: [{service: Web, integration: alertmanager}]
"""


NOBODY_BUT_ZOE = """
version: 1
users: [{email: zoe@example.com, name: Zoe, role: admin}]
teams: []
services: []
outgoing_webhooks: []
escalation_policies: []
destinations: []
"""


@pytest.mark.parametrize("text", [DESIGN_EXAMPLE, EXAMPLE, WITH_EVERYTHING], ids=["design", "docs", "everything"])
def test_an_export_changes_nothing_here_and_everything_elsewhere(office: Office, text: str) -> None:
    office.apply(text)
    exported = office.export()
    with_secrets_set(office, exported)

    assert office.plan(exported) == []
    assert office.plan(exported, prune=True) == []

    office.apply(NOBODY_BUT_ZOE, prune=True)
    office.environ |= {name: "a-token-of-ann-elsewhere" for name in office.environ if name.endswith("_TOKEN")}  # a revoked one is spent
    assert len(office.apply(exported)) > 5
    assert office.export().count("{env:") == exported.count("{env:")


def test_an_export_holds_no_secret(office: Office) -> None:
    office.apply(WITH_EVERYTHING)

    exported = office.export()

    for secret in ("hush", *ENVIRON.values()):
        assert secret not in exported
    stored = office.look(lambda session: session.scalars(select(User.password_hash).where(User.password_hash.is_not(None))).one())
    assert stored not in exported
    assert "gAAAAA" not in exported
    assert exported == office.export()


def test_an_export_lists_the_variables_that_it_needs(office: Office) -> None:
    office.apply(WITH_EVERYTHING)
    exported = office.export()

    listed = re.findall(r"^#   (\w+)$", exported, re.MULTILINE)
    assert listed == re.findall(r"\{env: (\w+)\}", exported)
    assert len(set(listed)) == len(listed)
    assert "WEB_ALERTMANAGER_KEY" in listed


def test_an_export_of_nothing_is_a_file_too(office: Office) -> None:
    assert office.plan(office.export()) == []


def test_built_in_integrations_stay_out_of_the_file(office: Office) -> None:
    office.apply(service())
    office.change(lambda session: catalog.builtin_integration(session, runtime().vault, session.scalars(select(Service)).one(), now=runtime().now()))

    assert "API" not in office.export()
    assert office.plan(service(integrations=[]), prune=True) == []


# Prune


def test_prune_archives_what_is_not_named_only_in_the_sections_of_the_file(office: Office) -> None:
    office.apply(EXAMPLE)

    assert office.plan("{version: 1, outgoing_webhooks: []}") == []
    assert office.apply("{version: 1, outgoing_webhooks: []}", prune=True) == ["archive outgoing webhook ticket"]
    assert office.look(lambda session: session.scalars(select(OutgoingWebhook.archived_at)).one()) is not None
    assert office.apply("{version: 1, services: [{name: Web}, {name: Data}]}", prune=True) == []
    assert office.apply("{version: 1, services: [{name: Web, integrations: [{name: alertmanager, routes: []}]}, {name: Data}]}", prune=True) == [
        "change integration Web / alertmanager: routes",
        "archive integration Web / scripts",
    ]


def test_prune_refuses_what_is_in_use_and_leaves_everything_as_it_was(office: Office) -> None:
    office.apply(EXAMPLE)

    with pytest.raises(Conflict, match="The destination ops room is in use by the escalation policy"):
        office.apply("{version: 1, teams: [{name: New}], destinations: []}", prune=True)

    assert office.plan(EXAMPLE) == []
    assert "create team New" in office.plan("{version: 1, teams: [{name: New}]}")


def test_what_is_pruned_cannot_be_referred_to(office: Office) -> None:
    office.apply(EXAMPLE)

    text = "{version: 1, teams: [{name: Other}], services: [{name: Web, team: Platform}]}"
    assert office.plan(text) == ["create team Other"]
    assert "services[0].team" in problems(office, text, prune=True)


def test_a_thing_renamed_with_its_key_is_moved_in_one_go(office: Office) -> None:
    office.apply(integration(key="a" * 32))

    text = yaml.safe_dump({"version": 1, "services": [{"name": "Shop", "integrations": [{"name": "am2", "source": "prometheus", "key": "a" * 32}]}]})
    office.apply(text, prune=True)

    facts = runtime().cache.by_key(hash_key("a" * 32))
    assert facts is not None
    assert (facts.name, facts.service.name) == ("am2", "Shop")


# What is refused, and where


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("", "file", "version: 1"),
        ("- 1", "file", "one mapping"),
        ("a: [", "file", "line 1"),
        ("a: \x01", "file", "no YAML"),
        ("a: !!python/object/apply:os.system [true]", "file", "line 1"),
        ("a: " + "[" * 200 + "]" * 200, "file", "deeply"),
        ("services: []", "version", "version: 1"),
        ("{version: 2}", "version", "version 1"),
        ("{version: true}", "version", "version 1"),
        ("{version: 1, service: []}", "service", "did you mean services?"),
        ("{version: 1, services: {}}", "services", "a list is expected, not a mapping"),
        ("{version: 1, services: [1]}", "services[0]", "not a number"),
        ("version: 1\nteams:\n- name: a\n  name: b", "name", "stands twice in one mapping (line 4)"),
        ('{"version": 1, "version": 1}', "version", "stands twice"),
        ("{version: 1, teams: [{name: A}, {name: ' A '}]}", "teams[1]", 'the team "A" stands there twice; first at teams[0]'),
        ("{version: 1, teams: [{}]}", "teams[0].name", "is needed"),
        ("{version: 1, teams: [{name: yes}]}", "teams[0].name", "put it in quotes"),
        ("{version: 1, teams: [{name: 1.10}]}", "teams[0].name", "put it in quotes"),
        ("{version: 1, teams: [{name: A, members: [{user: x@y}]}]}", "teams[0].members[0].user", 'Unknown user "x@y"'),
        ("{version: 1, teams: [{name: A, members: [{user: x@y, role: boss}]}]}", "teams[0].members[0].role", "Unknown role in a team"),
        ("{version: 1, users: [{email: ann}]}", "users[0].email", "e-mail address"),
        ("{version: 1, users: [{email: a@b, name: A, password: short}]}", "users[0].password", "8 to 256"),
        ("{version: 1, users: [{email: a@b, name: A, password: {env: [x]}}]}", "users[0].password", "{env: NAME}"),
        ("{version: 1, users: [{email: a@b, name: A, tokens: [{name: t, scopes: ['*']}]}]}", "users[0].tokens[0].value", "is needed"),
        ("{version: 1, users: [{email: a@b, name: A, tokens: [{name: t, value: x, scopes: 3}]}]}", "users[0].tokens[0].scopes", "a list"),
        ("{version: 1, users: [{email: a@b, name: A, tokens: [{name: t, expires_at: soon}]}]}", "users[0].tokens[0].expires_at", "with its zone"),
        ("{version: 1, users: [{email: a@b, name: A, notification_rules: {high: [{contact_method: m, after: 0s}]}}]}",
         "users[0].notification_rules.high[0].contact_method", 'Unknown contact method "m"'),
        ("{version: 1, users: [{email: a@b, name: A, notification_rules: {high: [{contact_method: m, after: 5}]}}]}",
         "users[0].notification_rules.high[0].after", "30s, 5m, 2h or 1d"),
        ("{version: 1, users: [{email: a@b, name: A, contact_methods: [{name: m, channel: email, address: a@b.c}],"
         " notification_rules: {high: [{contact_method: m, after: 8d}]}}]}", "users[0].notification_rules.high", "0 s to 7 days"),
        ("{version: 1, teams: [{name: A, members: [{user: a@b}, {user: A@B}]}]}", "teams[0].members[1]", "a@b stands there twice"),
        ("{version: 1, teams: [{name: null}]}", "teams[0].name", "may not be null"),
        ("{version: 1, teams: [{name: 2026-01-01}]}", "teams[0].name", "not a date; put it in quotes"),
        ("{version: 1, teams: [{name: [x]}]}", "teams[0].name", "not a list"),
        ("? [a]\n: 1", "file", "a name is expected"),
        ("a: 2026-99-99", "file", "impossible value"),
        ("x" * 5_000_000, "file", "larger than 4 MiB"),
        (service(severity_urgency=[]), "services[0].severity_urgency", "a mapping is expected"),
        (integration(templates={"web": 3}), "services[0].integrations[0].templates.web", "is a text"),
        ("{version: 1, destinations: [{name: d, channel: webhok, address: x}]}", "destinations[0].channel", "did you mean webhook?"),
        ("{version: 1, destinations: [{name: d, channel: webhook}]}", "destinations[0].address", "is needed"),
        ("{version: 1, destinations: [{name: d, channel: webhook, address: {url: 'http://x', sekret: y}}]}", "destinations[0].address.sekret", "secret?"),
        ("{version: 1, escalation_policies: [{name: P}]}", "escalation_policies[0].steps", "is needed"),
        ("{version: 1, escalation_policies: [{name: P, steps: [{targets: []}]}]}", "escalation_policies[0].steps[0].targets", "1 to 50 targets"),
        ("{version: 1, escalation_policies: [{name: P, steps: [{targets: [{user: a@b, team: T}]}]}]}",
         "escalation_policies[0].steps[0].targets[0]", "a target is one of"),
        ("{version: 1, escalation_policies: [{name: P, steps: [{targets: [{usr: a@b}]}]}]}",
         "escalation_policies[0].steps[0].targets[0].usr", "did you mean user?"),
        ("{version: 1, escalation_policies: [{name: P, repeat: 40, steps: []}]}", "escalation_policies[0].repeat", "0 to 9"),
        (service(team="Platfrom"), "services[0].team", 'Unknown team "Platfrom"'),
        (service(severity_urgency={"bad": "high"}), "services[0].severity_urgency", 'Unknown severity "bad"'),
        (service(uuid="x"), "services[0].uuid", "UUID"),
        (integration(source="promtheus"), "services[0].integrations[0].source", 'Unknown source "promtheus" – did you mean prometheus?'),
        (integration(key="short"), "services[0].integrations[0].key", "16 to 64"),
        (integration(mapping={"summaryField": "x"}), "services[0].integrations[0].mapping.summaryField", "Unknown option of the source prometheus"),
        (integration(rate_limit="many"), "services[0].integrations[0].rate_limit", "a whole number is expected"),
        (integration(group_by="servce"), "services[0].integrations[0].group_by", "Unknown group by"),
        (integration(templates={"web": {"title": "{{"}}), "services[0].integrations[0].templates.web.title", "Template Error"),
        (integration(routes=[{"condition": "{{"}]), "services[0].integrations[0].routes[0].condition", "Template Error"),
        (integration(routes=[{"service": "Nowhere"}]), "services[0].integrations[0].routes[0].service", 'Unknown service "Nowhere"'),
        (integration(heartbeats=[{"name": "b", "interval": "1s"}]), "services[0].integrations[0].heartbeats[0].interval", "10 to"),
        (integration(enabled="yes"), "services[0].integrations[0].enabled", "true or false"),
        ("{version: 1, outgoing_webhooks: [{name: w, url: 'http://x', http_method: POST, trigger_type: resolved}]}",
         "outgoing_webhooks[0].trigger_type", "did you mean resolve?"),
        ("{version: 1, outgoing_webhooks: [{name: w}]}", "outgoing_webhooks[0].url", "is needed"),
        ("{version: 1, outgoing_webhooks: [{name: w, integration_filter: [{service: S, integration: i}]}]}",
         "outgoing_webhooks[0].integration_filter[0].integration", 'Unknown integration "i"'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_path(office: Office, text: str, path: str, words: str) -> None:
    found = problems(office, text)
    assert words in found.get(path, ""), found


def test_everything_that_is_wrong_is_told_at_once(office: Office) -> None:
    text = DESIGN_EXAMPLE.replace("role: admin", "rolle: admin").replace("prometheus", "promtheus").replace("team: Platform,", "team: Platfrom,")

    assert list(problems(office, text)) == ["users[0].rolle", "services[0].integrations[0].source", "escalation_policies[0].team"]


def test_what_cannot_be_changed_is_refused(office: Office) -> None:
    office.apply(integration())

    found = problems(office, integration(source="generic"))
    assert found == {"services[0].integrations[0].source": "cannot be changed; it is prometheus – make a new integration instead"}


def test_a_small_file_does_not_unfold_to_a_huge_one(office: Office) -> None:
    levels = [f"l{n}: &l{n} [{', '.join(['*l' + str(n - 1)] * 10)}]" for n in range(1, 9)]

    assert "values" in problems(office, "\n".join(["version: 1", "l0: &l0 [1]", *levels]))["file"]


def test_anchors_and_merges_may_be_used(office: Office) -> None:
    text = """
version: 1
services:
- &usual {name: Web, default_severity: critical}
- {<<: *usual, name: Data}
"""
    assert office.apply(text) == ['create service Web: default_severity "critical"', 'create service Data: default_severity "critical"']


def test_each_field_of_the_file_stands_in_its_reference() -> None:
    reference = (ROOT / "docs" / "configuration.md").read_text()

    def missing(nouns: Any) -> list[str]:
        return [f"{noun.section}.{name}" for noun in nouns for name in [noun.section, *noun.fields] if f"`{name}`" not in reference] + [
            each for noun in nouns for each in missing(noun.children)
        ]

    assert missing(configuration.NOUNS) == []


def test_times_of_a_token_are_read_in_any_zone(office: Office) -> None:
    def text(moment: str) -> str:
        token = {"name": "t", "value": "0123456789abcdef", "scopes": ["*"], "expires_at": moment}
        return json.dumps({"version": 1, "users": [{"email": "a@b", "name": "A", "tokens": [token]}]})

    office.apply(text("2027-01-31T01:00:00+01:00"))

    assert office.plan(text("2027-01-31T00:00:00Z")) == []
    assert office.plan(text("2027-01-31")) == []
    assert office.plan(text("2027-02-01")) == ["change API key a@b / t: expires_at 2027-01-31T00:00:00Z → 2027-02-01T00:00:00Z"]
