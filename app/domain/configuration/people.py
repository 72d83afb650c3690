"""Users with their contact methods, rules and API keys, and teams, in the configuration file."""

from __future__ import annotations

from typing import Any

from app.core import passwords
from app.core.errors import Invalid, InvalidFields
from app.core.keys import Vault, hash_token
from app.core.text import format_duration
from app.core.types import Urgency
from app.domain import catalog, people
from app.domain.configuration import shape
from app.domain.configuration.noun import Hand, Noun, Trail, Values, only
from app.domain.configuration.places import address_fields, check_address
from app.domain.configuration.shape import BAD, LOST, Field, Reader

_USER_COLUMNS = ("email", "name", "role", "kind", "timezone", "pagerduty_id")


# Users


def _check_user(values: Values) -> Values:
    checked = people.check_user(only(values, *_USER_COLUMNS))
    if "password" in values:
        passwords.check(values["password"])
    problems = []
    for urgency, rules in values.get("notification_rules", {}).items():
        try:
            people.check_rules(rules)
        except Invalid as error:
            problems.append((f"notification_rules.{urgency}", error.why))
    if problems:
        raise InvalidFields(problems)
    return {**values, **checked}


def _prepare_user(_vault: Vault, changed: Values, _given: Values) -> Values:
    if "password" not in changed:
        return changed
    return {**changed, "password": passwords.make_hash(changed["password"])}


def _create_user(hand: Hand, _trail: Trail, values: Values) -> None:
    user = people.create_user(hand.session, **only(values, *_USER_COLUMNS, password="password_hash"), **hand.by)  # noqa: S106 - a name
    if values.get("disabled"):
        people.disable_user(hand.session, user, **hand.by)


def _change_user(hand: Hand, trail: Trail, values: Values) -> None:
    user = hand.user(*trail)
    people.update_user(hand.session, user, **only(values, *_USER_COLUMNS), **hand.by)
    if "password" in values:
        people.set_password(hand.session, user, password_hash=values["password"], **hand.by)
    if "disabled" in values:
        (people.disable_user if values["disabled"] else people.enable_user)(hand.session, user, **hand.by)


def _write_rules(hand: Hand, trail: Trail, values: Values) -> None:
    user = hand.user(*trail)
    for urgency, rules in values["notification_rules"].items():
        written = [(hand.contact_method(user.email, name).id, after) for name, after in rules]
        people.set_notification_rules(hand.session, user, urgency=urgency, rules=written, **hand.by)


def _read_rules(reader: Reader, path: str, value: Any, trail: Trail) -> Any:
    by_urgency = {str(urgency): Field(_read_rule_list) for urgency in Urgency}
    return reader.mapping(path, value, by_urgency, trail)


def _read_rule_list(reader: Reader, path: str, value: Any, trail: Trail) -> Any:
    found = []
    for at, each in reader.sequence(path, value):
        given = reader.mapping(at, each, {"contact_method": Field(_read_own_method), "after": shape.duration()}, trail)
        if reader.require(at, given, "contact_method", "after"):
            found.append((given["contact_method"], given["after"]))
    return sorted(found, key=lambda rule: (rule[1], rule[0]))


def _read_own_method(reader: Reader, path: str, value: Any, trail: Trail) -> Any:
    return shape.read_reference(reader, path, value, ("contact_methods", *trail), "contact method")


def _same_rules(wanted: dict[str, Any], current: dict[str, Any]) -> bool:
    return all(rules == current.get(urgency, []) for urgency, rules in wanted.items())


def _show_rules(value: dict[str, Any]) -> Any:
    return {urgency: [{"contact_method": name, "after": format_duration(after)} for name, after in rules] for urgency, rules in value.items() if rules}


# Contact methods


def _check_contact_method(values: Values) -> Values:
    return {**values, **people.check_contact_method(only(values, "name")), **check_address(values)}


def _prepare_contact_method(vault: Vault, changed: Values, given: Values) -> Values:
    rest = only(changed, "name")
    return {**rest, "address": catalog.prepare_address(vault, given["channel"], given["address"])} if {"channel", "address"} & set(changed) else rest


def _create_contact_method(hand: Hand, trail: Trail, values: Values) -> None:
    people.add_contact_method(hand.session, hand.user(trail[0]), verified=True, **values, **hand.by)


def _change_contact_method(hand: Hand, trail: Trail, values: Values) -> None:
    people.update_contact_method(hand.session, hand.contact_method(*trail), verified=True, **values, **hand.by)


def _archive_contact_method(hand: Hand, trail: Trail) -> None:
    people.archive_contact_method(hand.session, hand.contact_method(*trail), **hand.by)


# API keys


def _check_token(values: Values) -> Values:
    return {**values, **people.check_token(only(values, "name", "scopes", "expires_at", "value"))}


def _create_token(hand: Hand, trail: Trail, values: Values) -> None:
    people.create_token(hand.session, hand.user(trail[0]), **_token_values(hand, values), **hand.by)


def _change_token(hand: Hand, trail: Trail, values: Values) -> None:
    token = hand.token(*trail)
    if "value" not in values:
        people.update_token(hand.session, token, **_token_values(hand, values), **hand.by)
        return
    kept = {
        "name": token.name,
        "scopes": token.scopes,
        "expires_at": token.expires_at if token.expires_at is None or token.expires_at > hand.now else None,
        "team_ids": [limit.team_id for limit in token.team_limits],
    }
    people.revoke_token(hand.session, token, **hand.by)
    people.create_token(hand.session, hand.user(trail[0]), **{**kept, **_token_values(hand, values)}, **hand.by)


def _archive_token(hand: Hand, trail: Trail) -> None:
    people.revoke_token(hand.session, hand.token(*trail), **hand.by)


def _token_values(hand: Hand, values: Values) -> Values:
    written = only(values, "name", "scopes", "expires_at", "value")
    if "teams" in values:
        written["team_ids"] = [hand.team(name).id for name in values["teams"]]
    return written


def _read_teams(reader: Reader, path: str, value: Any, _trail: Trail) -> Any:
    read = [shape.read_reference(reader, at, each, ("teams",), "team") for at, each in reader.sequence(path, value)]
    return sorted({each for each in read if each is not BAD})


# Teams


def _check_team(values: Values) -> Values:
    return {**values, **people.check_team(only(values, "name"))}


def _write_members(hand: Hand, trail: Trail, values: Values) -> None:
    members = {hand.user(email).id: role for email, role in values["members"].items()}
    people.set_members(hand.session, hand.team(*trail), members, **hand.by)


def _read_members(reader: Reader, path: str, value: Any, _trail: Trail) -> Any:
    members: dict[str, str] = {}
    for at, each in reader.sequence(path, value):
        given = reader.mapping(at, each, {"user": shape.reference("users", "user"), "role": Field(_read_member_role)})
        if not reader.require(at, given, "user"):
            continue
        if given["user"] in members:
            reader.refuse(at, f"{given['user']} stands there twice")
        members[given["user"]] = given.get("role", "member")
    return members


def _read_member_role(reader: Reader, path: str, value: Any, _trail: Trail) -> Any:
    return value if value in people.TEAM_ROLES else reader.refuse(path, catalog.unknown("role in a team", value, people.TEAM_ROLES))


def _show_members(value: dict[str, str]) -> Any:
    return [{"user": email, "role": role} for email, role in value.items()]


CONTACT_METHODS = Noun(
    word="contact method",
    section="contact_methods",
    fields={"name": shape.text(needed=True), **address_fields()},
    order=20,
    check=_check_contact_method,
    prepare=_prepare_contact_method,
    create=_create_contact_method,
    change=_change_contact_method,
    archive=_archive_contact_method,
    archive_order=980,
)
TOKENS = Noun(
    word="API key",
    section="tokens",
    fields={
        "name": shape.text(needed=True),
        "value": shape.secret(lambda wanted, current: hash_token(wanted) == current, needed=True, variable="token"),
        "scopes": shape.texts(needed=True),
        "expires_at": shape.moment(nullable=True),
        "teams": Field(_read_teams, default=[]),
    },
    order=60,
    check=_check_token,
    create=_create_token,
    change=_change_token,
    archive=_archive_token,
    archive_order=1,
)
USERS = Noun(
    word="user",
    section="users",
    key="email",
    fields={
        "email": shape.text(needed=True),
        "name": shape.text(needed=True),
        "role": shape.text(default="responder"),
        "kind": shape.text(default="person"),
        "timezone": shape.text(default="UTC"),
        "password": shape.secret(lambda wanted, current: current is not LOST and current is not None and passwords.verify(wanted, current)),
        "disabled": shape.yes_or_no(default=False),
        "pagerduty_id": shape.text(nullable=True),
        "notification_rules": Field(_read_rules, default={}, late=True, same=_same_rules, show=_show_rules),
    },
    order=10,
    check=_check_user,
    prepare=_prepare_user,
    create=_create_user,
    change=_change_user,
    archive=lambda hand, trail: _done(people.archive_user(hand.session, hand.user(*trail), **hand.by)),
    late=_write_rules,
    late_order=30,
    archive_order=990,
    children=(CONTACT_METHODS, TOKENS),
)
TEAMS = Noun(
    word="team",
    section="teams",
    fields={"name": shape.text(needed=True), "members": Field(_read_members, default={}, late=True, show=_show_members)},
    order=40,
    check=_check_team,
    create=lambda hand, _trail, values: _done(people.create_team(hand.session, name=values["name"], **hand.by)),
    change=lambda _hand, _trail, _values: None,
    archive=lambda hand, trail: _done(people.archive_team(hand.session, hand.team(*trail), **hand.by)),
    late=_write_members,
    late_order=50,
    archive_order=960,
)


def _done(_result: object) -> None:
    """A writer gives nothing back."""
