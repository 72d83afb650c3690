"""A door is a URL shape with its own words: the codes and bodies that its senders expect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, jsonify

from app.core.types import Inbound, Reason
from app.domain.plans import Outcome

_USUAL_STATUS: Mapping[Reason, int] = {
    Reason.NO_KEY: 401,
    Reason.UNKNOWN_KEY: 401,
    Reason.FORBIDDEN: 403,
    Reason.WRONG_SOURCE: 400,
    Reason.WRONG_SIGNATURE: 401,
    Reason.DISABLED: 403,
    Reason.LIMITED: 429,
    Reason.TOO_LARGE: 413,
    Reason.INVALID: 400,
    Reason.UNRECOGNISED: 400,
    Reason.NOT_FOUND: 404,
    Reason.AWAY: 503,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused, in words for its sender."""

    reason: Reason
    why: str
    problems: tuple[tuple[str, str], ...] = ()
    """(field, what is wrong) pairs, when fields are wrong."""
    retry_after: int | None = None
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Door:
    """How one URL shape answers."""

    name: str
    success: int
    """The code of success, as receipts note it."""
    answer: Callable[[Inbound, Sequence[Outcome]], Response]
    body: Callable[[int, Refusal], Response]
    """The answer to a refusal, but for Retry-After."""
    statuses: Mapping[Reason, int]
    """Where its codes differ from the usual ones."""

    def status_of(self, reason: Reason) -> int:
        """The code for a refusal."""
        return self.statuses.get(reason) or _USUAL_STATUS.get(reason, 400)

    def refuse(self, refusal: Refusal) -> Response:
        """The whole answer to a refusal."""
        response = self.body(self.status_of(refusal.reason), refusal)
        if refusal.retry_after is not None:
            response.headers["Retry-After"] = str(refusal.retry_after)
        return response


_ACTION_WORDS = {
    Reason.NEW_INCIDENT: "triggered",
    Reason.JOINED: "triggered",
    Reason.DUPLICATE: "deduplicated",
    Reason.ACKNOWLEDGED: "acknowledged",
    Reason.ALREADY_ACKNOWLEDGED: "acknowledged",
    Reason.RESOLVED: "resolved",
}


def own_answer(_inbound: Inbound, outcomes: Sequence[Outcome]) -> Response:
    """Seed 001: 202 and `result`, or `results` for a batch."""
    results = [_result(outcome) for outcome in outcomes]
    key, value = ("result", results[0]) if len(results) == 1 else ("results", results)
    response = jsonify({"status": "success", key: value})
    response.status_code = 202
    return response


def _result(outcome: Outcome) -> dict[str, Any]:
    number = outcome.incident_id
    return {
        "action": _ACTION_WORDS.get(outcome.reason, "ignored"),
        "reason": str(outcome.reason),
        "dedup_key": outcome.dedup_key,
        "incident": {"number": number, "url": f"/incidents/{number}"} if number else None,
        **({"message": outcome.why} if outcome.why else {}),
    }


def own_refusal(status: int, refusal: Refusal) -> Response:
    """Ours: a stable `code`, a sentence, and the fields that are wrong."""
    error: dict[str, Any] = {"code": str(refusal.reason), "message": refusal.why}
    if refusal.problems:
        error["fields"] = dict(refusal.problems)
    response = jsonify({"status": "error", "error": error})
    response.status_code = status
    return response


def text_refusal(status: int, refusal: Refusal) -> Response:
    """GoAlert and OnCall: plain text."""
    return Response(refusal.why + "\n", status, mimetype="text/plain")


OWN = Door("native", 202, own_answer, own_refusal, {})
EVENTS = Door("events", 202, own_answer, own_refusal, {})
