"""`/a/<token>`: the link in a message.

Looking changes nothing, so that mail scanners may look; the button acknowledges, without log-in and without JavaScript.
"""

from __future__ import annotations

from flask import Blueprint, render_template

from app.core.errors import NotFound
from app.domain import answers
from app.wiring import transactions
from app.wiring.runtime import runtime

blueprint = Blueprint("answers", __name__)


@blueprint.get("/a/<token>")
def show(token: str) -> tuple[str, int]:
    """The incident, and the button."""
    now = runtime().now()
    try:
        seen = transactions.run(lambda session: answers.look(session, token, now=now), "read")
    except NotFound as gone:
        return render_template("answers/gone.html", why=gone.why), 404
    return render_template("answers/show.html", seen=seen, said=""), 200


@blueprint.post("/a/<token>")
def acknowledge(token: str) -> tuple[str, int]:
    """Acknowledge, or say who was first."""
    now = runtime().now()
    try:
        seen, change = transactions.run(lambda session: answers.acknowledge(session, token, now=now))
    except NotFound as gone:
        return render_template("answers/gone.html", why=gone.why), 404
    said = "You have it. Nobody else is paged." if change.changed else change.sentence
    return render_template("answers/show.html", seen=seen, said=said), 200
