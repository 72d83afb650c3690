"""Escalation policies: their steps, and the immutable snapshots that incidents keep."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import Invalid, InvalidFields
from app.core.keys import new_public_id
from app.core.types import Actor
from app.domain.catalog import checks, records
from app.domain.catalog.checks import Check
from app.models import Destination, EscalationPolicy, EscalationStep, EscalationTarget, Integration, PolicySnapshot, Route, Service, Team, User

MAX_STEPS = 50
MAX_TARGETS = 50
LONGEST_WAIT = 30 * 86400
TARGET_KINDS: Mapping[str, type[Any]] = {"user": User, "team": Team, "destination": Destination}
"""What a step can page.  A new kind is one row here and one rule in `domain.oncall`."""
_WHO = ("all", "lead")


@dataclass(frozen=True, slots=True)
class Target:
    """What a step pages, by the kind and the id of its row."""

    kind: str
    id: int
    options: Mapping[str, Any] = field(default_factory=dict)
    """For a team: {"who": "all" | "lead"}."""


@dataclass(frozen=True, slots=True)
class Step:
    """Page the targets, then wait so many seconds for an answer."""

    targets: Sequence[Target]
    wait: int = 300


class PolicyOptions(TypedDict, total=False):
    """What a policy may have besides its name and steps."""

    team_id: int | None
    repeat: int
    """How often the steps run again after the first round: 0 to 9."""
    pagerduty_id: str | None


class PolicyFields(PolicyOptions, total=False):
    """All that can be changed of a policy."""

    name: str
    steps: Sequence[Step]


def _steps(path: str, value: Any) -> list[Step]:
    if len(value) > MAX_STEPS:
        raise Invalid(path, f"A policy may have {MAX_STEPS} steps.")
    problems: list[tuple[str, str]] = []
    for n, step in enumerate(value):
        problems += _step_problems(f"{path}[{n}]", step)
    if problems:
        raise InvalidFields(problems)
    return list(value)


def _step_problems(path: str, step: Step) -> list[tuple[str, str]]:
    problems = []
    if not isinstance(step.wait, int) or not 0 <= step.wait <= LONGEST_WAIT:
        problems.append((f"{path}.wait", "A step waits 0 s to 30 days."))
    if not 1 <= len(step.targets) <= MAX_TARGETS:
        problems.append((f"{path}.targets", f"A step has 1 to {MAX_TARGETS} targets; name whom to page."))
    for n, target in enumerate(step.targets):
        if target.kind not in TARGET_KINDS:
            problems.append((f"{path}.targets[{n}]", checks.unknown("kind of target", target.kind, TARGET_KINDS)))
        elif target.options and (target.kind != "team" or dict(target.options).keys() - {"who"} or target.options.get("who") not in _WHO):
            problems.append((f"{path}.targets[{n}]", "Only a team takes an option: who, which is all or lead."))
    if len({(target.kind, target.id) for target in step.targets}) < len(step.targets):
        problems.append((f"{path}.targets", "A step names each target once."))
    return problems


_TABLE: Mapping[str, Check] = {
    "name": checks.line(),
    "team_id": checks.row_id,
    "repeat": checks.whole(0, 9),
    "pagerduty_id": checks.optional(checks.foreign_id),
    "steps": _steps,
}


def check_policy(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are stored, steps still as `Step`; pure.

    Raises:
        Invalid: a value is wrong.
    """
    return checks.checked(fields, _TABLE)


def create_policy(session: Session, *, name: str, steps: Sequence[Step], actor: Actor, now: datetime, **fields: Unpack[PolicyOptions]) -> EscalationPolicy:
    """A new policy, with its first snapshot.

    Raises:
        Invalid: a value is wrong or taken.
    """
    values = check_policy({"name": name, "steps": steps, **fields})
    wanted: list[Step] = values.pop("steps")
    _check_against_others(session, values, wanted, None)
    policy = EscalationPolicy(public_id=new_public_id("P"), created_at=now, **values)
    records.create(session, policy, actor=actor, now=now)
    if wanted:
        records.note(session, "steps changed", policy, None, {"steps": [_step_content(step) for step in wanted]}, actor=actor, now=now)
        _write_steps(session, policy, wanted)
    _take_snapshot(session, policy, now)
    return policy


def replace_policy(session: Session, policy: EscalationPolicy, *, actor: Actor, now: datetime, **fields: Unpack[PolicyFields]) -> bool:
    """Change a policy; incidents that escalate already keep their snapshot.  False when there is nothing to change.

    Raises:
        Invalid: a value is wrong or taken.
    """
    values = check_policy(fields)
    wanted: list[Step] | None = values.pop("steps", None)
    _check_against_others(session, values, wanted or [], policy)
    changed = records.change(session, policy, values, actor=actor, now=now)
    if wanted is not None:
        before, after = content(policy)["steps"], [_step_content(step) for step in wanted]
        if before != after:
            records.note(session, "steps changed", policy, {"steps": before}, {"steps": after}, actor=actor, now=now)
            _write_steps(session, policy, wanted)
            changed = True
    if changed:
        _take_snapshot(session, policy, now)
    return changed


def archive_policy(session: Session, policy: EscalationPolicy, *, actor: Actor, now: datetime) -> bool:
    """Put a policy away.

    Raises:
        Conflict: a service or a route uses it.
    """
    records.hold(session)
    services = session.scalars(select(Service.name).where(Service.policy_id == policy.id, Service.archived_at.is_(None)).order_by(Service.name))
    routed = session.scalars(
        select(Integration.name)
        .join(Route, Route.integration_id == Integration.id)
        .where(Route.policy_id == policy.id, Integration.archived_at.is_(None))
        .distinct()
        .order_by(Integration.name)
    )
    using = [f"the service {name}" for name in services] + [f"a route of the integration {name}" for name in routed]
    records.refuse_used(policy, using, "Give them another policy first.")
    return records.archive(session, policy, actor=actor, now=now, pagerduty_id=None)


def policies_paging(session: Session, kind: str, ref_id: int) -> list[EscalationPolicy]:
    """The living policies of which a step pages this target."""
    query = (
        select(EscalationPolicy)
        .join(EscalationStep, EscalationStep.policy_id == EscalationPolicy.id)
        .join(EscalationTarget, EscalationTarget.step_id == EscalationStep.id)
        .where(EscalationTarget.kind == kind, EscalationTarget.ref_id == ref_id, EscalationPolicy.archived_at.is_(None))
    )
    return list(session.scalars(query.distinct().order_by(EscalationPolicy.id)))


def content(policy: EscalationPolicy) -> dict[str, Any]:
    """What a snapshot holds; waits in seconds."""
    steps = [Step([Target(target.kind, target.ref_id, target.options) for target in step.targets], step.wait_seconds) for step in policy.steps]
    return {"policy_id": policy.id, "name": policy.name, "repeat": policy.repeat, "steps": [_step_content(step) for step in steps]}


def content_hash(snapshot: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON: keys sorted, no spaces, UTF-8."""
    return hashlib.sha256(json.dumps(snapshot, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def _step_content(step: Step) -> dict[str, Any]:
    return {"wait": step.wait, "targets": [{"kind": target.kind, "id": target.id, **target.options} for target in step.targets]}


def _write_steps(session: Session, policy: EscalationPolicy, wanted: Sequence[Step]) -> None:
    """Rows are kept by position, so that a step's public id outlives a change of what it does."""
    del policy.steps[len(wanted) :]
    for position, step in enumerate(wanted):
        if position == len(policy.steps):
            policy.steps.append(EscalationStep(public_id=new_public_id("E"), position=position))
        row = policy.steps[position]
        row.wait_seconds = step.wait
        row.targets = [EscalationTarget(position=n, kind=target.kind, ref_id=target.id, options=dict(target.options)) for n, target in enumerate(step.targets)]
    session.flush()


def _take_snapshot(session: Session, policy: EscalationPolicy, now: datetime) -> None:
    """Point at the snapshot of the present content; equal contents share one row."""
    snapshot = content(policy)
    digest = content_hash(snapshot)
    found = session.scalars(select(PolicySnapshot).where(PolicySnapshot.content_hash == digest)).one_or_none()
    if found is None:
        found = PolicySnapshot(policy_id=policy.id, content_hash=digest, content=snapshot, created_at=now)
        session.add(found)
        session.flush()
    policy.snapshot_id = found.id
    session.flush()


def _check_against_others(session: Session, values: Mapping[str, Any], steps: Sequence[Step], policy: EscalationPolicy | None) -> None:
    if "name" in values:
        records.refuse_taken(session, EscalationPolicy, "name", values["name"], but=policy)
    if values.get("pagerduty_id"):
        records.refuse_taken(session, EscalationPolicy, "pagerduty_id", values["pagerduty_id"], but=policy)
    records.require_living(session, Team, "team_id", values.get("team_id"))
    for n, step in enumerate(steps):
        for m, target in enumerate(step.targets):
            records.require_living(session, TARGET_KINDS[target.kind], f"steps[{n}].targets[{m}]", target.id)
