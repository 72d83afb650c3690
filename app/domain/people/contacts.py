"""Contact methods, and the notification rules that say when each is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import Invalid
from app.core.keys import new_public_id
from app.core.text import format_duration
from app.core.types import Actor, Urgency
from app.domain.catalog import checks, records
from app.domain.catalog.addresses import Address
from app.models import ContactMethod, NotificationRule, User

MAX_RULES = 20
LONGEST_DELAY = 7 * 86400
"""Seconds after which a rule may come at most."""


class ContactMethodFields(TypedDict, total=False):
    """All that can be changed of a contact method."""

    name: str
    address: Address
    """Made by `catalog.prepare_address`."""
    verified: bool
    """Whether somebody has made sure that the address is the user's."""


def check_contact_method(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are stored; pure.

    Raises:
        Invalid: a value is wrong.
    """
    return checks.checked(fields, {"name": checks.line()})


def add_contact_method(session: Session, user: User, *, name: str, address: Address, actor: Actor, now: datetime, verified: bool = False) -> ContactMethod:
    """A new address of a user.

    Raises:
        Invalid: the name is wrong or taken.
    """
    values = check_contact_method({"name": name})
    records.refuse_taken(session, ContactMethod, "name", values["name"], ContactMethod.user_id == user.id)
    row = ContactMethod(
        public_id=new_public_id("M"),
        user_id=user.id,
        channel=address.channel,
        address=address.stored,
        verified_at=now if verified else None,
        created_at=now,
        **values,
    )
    records.create(session, row, actor=actor, now=now)
    session.expire(user, ["contact_methods"])
    return row


def update_contact_method(session: Session, method: ContactMethod, *, actor: Actor, now: datetime, **fields: Unpack[ContactMethodFields]) -> bool:
    """Change a contact method; a new address is tried again when the former one was given up, and has to be verified anew.

    Raises:
        Invalid: the name is wrong or taken.
    """
    address, verified = fields.pop("address", None), fields.pop("verified", None)
    values = check_contact_method(fields)
    if "name" in values:
        records.refuse_taken(session, ContactMethod, "name", values["name"], ContactMethod.user_id == method.user_id, but=method)
    if address is not None:
        values |= {"channel": address.channel, "address": address.stored, "disabled_at": None, "disabled_reason": None, "verified_at": None}
    if verified:
        values["verified_at"] = now
    return records.change(session, method, values, actor=actor, now=now)


def archive_contact_method(session: Session, method: ContactMethod, *, actor: Actor, now: datetime) -> bool:
    """Put a contact method away.

    Raises:
        Conflict: a notification rule uses it.
    """
    records.hold(session)
    rules = session.scalars(select(NotificationRule).where(NotificationRule.contact_method_id == method.id).order_by(NotificationRule.id))
    using = [f"the notification rule {rule.urgency} after {format_duration(rule.after_seconds)}" for rule in rules]
    records.refuse_used(method, using, "Change the rules first.")
    return records.archive(session, method, actor=actor, now=now)


def check_rules(rules: Sequence[tuple[Any, int]]) -> None:
    """Look at rules as (contact method, seconds); pure.

    Raises:
        Invalid: there are too many, one stands twice, or comes too late.
    """
    if len(rules) > MAX_RULES:
        raise Invalid("rules", f"There may be {MAX_RULES} rules for one urgency.")
    if len(set(rules)) < len(rules):
        raise Invalid("rules", "A rule stands there twice.")
    if any(not 0 <= after <= LONGEST_DELAY for _, after in rules):
        raise Invalid("rules", "A rule comes after 0 s to 7 days.")


def set_notification_rules(session: Session, user: User, *, urgency: str, rules: Sequence[tuple[int, int]], actor: Actor, now: datetime) -> bool:
    """Make these the rules for one urgency, as (id of a contact method, seconds after the page); False when they are already.

    Raises:
        Invalid: the urgency or a contact method is unknown, or see `check_rules`.
    """
    if urgency not in list(Urgency):
        raise Invalid("urgency", checks.unknown("urgency", urgency, Urgency))
    check_rules(rules)
    own = set(session.scalars(select(ContactMethod.id).where(ContactMethod.user_id == user.id, ContactMethod.archived_at.is_(None))))
    if any(method_id not in own for method_id, _ in rules):
        raise Invalid("contact_method", f"{user.name} has no such contact method.")
    present = {
        (rule.contact_method_id, rule.after_seconds): rule
        for rule in session.scalars(select(NotificationRule).where(NotificationRule.user_id == user.id, NotificationRule.urgency == urgency))
    }
    if set(present) == set(rules):
        return False
    shown = [{urgency: [[method_id, after] for method_id, after in sorted(of, key=lambda rule: rule[1])]} for of in (present, rules)]
    records.note(session, "rules changed", user, shown[0], shown[1], actor=actor, now=now)
    for key, rule in present.items():
        if key not in rules:
            session.delete(rule)
    for method_id, after in rules:
        if (method_id, after) not in present:
            session.add(NotificationRule(user_id=user.id, contact_method_id=method_id, urgency=urgency, after_seconds=after))
    session.flush()
    session.expire(user, ["notification_rules"])
    return True
