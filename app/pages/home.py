"""`/`: that Tocsin runs, how it is, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, render_template
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.core.version import VERSION
from app.models import Integration, Receipt, User
from app.wiring import transactions, vitals
from app.wiring.runtime import runtime
from app.wiring.vitals import Level

blueprint = Blueprint("home", __name__)
HEADLINES = {
    Level.OK: "Tocsin is on watch.",
    Level.DEGRADED: "Tocsin is on watch, and has something to say.",
    Level.DOWN: "Tocsin needs your help.",
}


@dataclass(frozen=True, slots=True)
class Steps:
    """Which of the first steps are behind us."""

    has_user: bool = False
    has_integration: bool = False
    has_receipt: bool = False


@blueprint.get("/")
def index() -> tuple[str, int]:
    """The status page; it names no secret, no person and no incident, so that it needs no log-in."""
    findings = vitals.look()
    level = vitals.worst(findings)
    is_away = any(finding.part == "database" and finding.level is Level.DOWN for finding in findings)
    page = render_template(
        "home/index.html",
        headline=HEADLINES[level],
        level=level,
        findings=findings,
        steps=Steps() if is_away else transactions.run(_steps, "read"),
        is_away=is_away,
        base_url=runtime().settings.base_url,
        version=VERSION,
    )
    return page, 503 if is_away else 200


def _steps(session: Session) -> Steps:
    return Steps(
        has_user=bool(session.scalar(select(exists().where(User.archived_at.is_(None))))),
        has_integration=bool(session.scalar(select(exists().where(Integration.archived_at.is_(None))))),
        has_receipt=bool(session.scalar(select(exists().where(Receipt.id.is_not(None))))),
    )
