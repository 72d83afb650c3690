"""Escalation policies in the configuration file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.core.text import format_duration
from app.domain import catalog
from app.domain.catalog import Step, Target
from app.domain.configuration import shape
from app.domain.configuration.noun import Hand, Noun, Trail, Values, only
from app.domain.configuration.shape import Field, Reader

_COLUMNS = ("name", "repeat", "pagerduty_id")
_KINDS = {"user": "users", "team": "teams", "destination": "destinations"}
"""Kind of target to the section that its names live in."""


def _read_steps(reader: Reader, path: str, value: Any, _trail: Trail) -> Any:
    """[{wait: seconds, targets: [{kind, name, …options}]}]."""
    steps = []
    for at, each in reader.sequence(path, value):
        given = reader.mapping(at, each, {"targets": Field(_read_targets), "wait": shape.duration()})
        if reader.require(at, given, "targets"):
            steps.append({"wait": given.get("wait", 300), "targets": given["targets"]})
    return steps


def _read_targets(reader: Reader, path: str, value: Any, _trail: Trail) -> Any:
    return [target for at, each in reader.sequence(path, value) if (target := _read_target(reader, at, each))]


def _read_target(reader: Reader, path: str, value: Any) -> dict[str, Any] | None:
    before = len(reader.problems)
    given = reader.mapping(path, value, {kind: shape.reference(section, kind) for kind, section in _KINDS.items()} | {"who": shape.text()})
    named = [kind for kind in _KINDS if given.get(kind)]
    if len(named) != 1:
        if len(reader.problems) == before:
            reader.refuse(path, f"a target is one of {', '.join(_KINDS)}, as {{user: ann@example.com}}")
        return None
    return {"kind": named[0], "name": given[named[0]], **only(given, "who")}


def _show_steps(steps: list[dict[str, Any]]) -> Any:
    return [
        {
            "targets": [{target["kind"]: target["name"], **only(target, "who")} for target in step["targets"]],
            "wait": format_duration(step["wait"]),
        }
        for step in steps
    ]


def _same_steps(wanted: list[dict[str, Any]], current: list[dict[str, Any]]) -> bool:
    return _plain(wanted) == _plain(current)


def _plain(steps: list[dict[str, Any]]) -> list[tuple[int, list[tuple[str, ...]]]]:
    """A team without `who` means all of it."""
    return [(step["wait"], [(target["kind"], target["name"], target.get("who", "all")) for target in step["targets"]]) for step in steps]


def _check(values: Values) -> Values:
    """The domain's checks want ids; any will do, as long as one name has one."""
    steps = values.get("steps", [])
    names = {(target["kind"], target["name"]) for step in steps for target in step["targets"]}
    ids = {name: n for n, name in enumerate(sorted(names))}
    as_domain = _steps(steps, lambda kind, name: ids[kind, name])
    checked = catalog.check_policy({**only(values, *_COLUMNS), "steps": as_domain})
    return {**values, **only(checked, *_COLUMNS)}


def _steps(steps: list[dict[str, Any]], id_of: Any) -> list[Step]:
    return [
        Step([Target(target["kind"], id_of(target["kind"], target["name"]), only(target, "who")) for target in step["targets"]], step["wait"]) for step in steps
    ]


def _stored(hand: Hand, values: Values) -> Values:
    stored = only(values, *_COLUMNS)
    find: dict[str, Callable[[str], Any]] = {"user": hand.user, "team": hand.team, "destination": hand.destination}
    if "steps" in values:
        stored["steps"] = _steps(values["steps"], lambda kind, name: find[kind](name).id)
    if "team" in values:
        stored["team_id"] = hand.team(values["team"]).id if values["team"] else None
    return stored


def _create(hand: Hand, _trail: Trail, values: Values) -> None:
    catalog.create_policy(hand.session, **_stored(hand, values), **hand.by)


def _change(hand: Hand, trail: Trail, values: Values) -> None:
    catalog.replace_policy(hand.session, hand.policy(*trail), **_stored(hand, values), **hand.by)


def _archive(hand: Hand, trail: Trail) -> None:
    catalog.archive_policy(hand.session, hand.policy(*trail), **hand.by)


POLICIES = Noun(
    word="escalation policy",
    section="escalation_policies",
    fields={
        "name": shape.text(needed=True),
        "team": shape.reference("teams", "team"),
        "repeat": shape.number(default=0),
        "pagerduty_id": shape.text(nullable=True),
        "steps": Field(_read_steps, needed=True, same=_same_steps, show=_show_steps),
    },
    order=80,
    check=_check,
    create=_create,
    change=_change,
    archive=_archive,
    archive_order=920,
)
