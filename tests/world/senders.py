"""Those who post: an integration as its tool sees it, and what Tocsin answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sqlalchemy import func, select

from app.domain import receipts
from app.models import Integration, Receipt

if TYPE_CHECKING:
    from tests.world.world import World


@dataclass(frozen=True)
class Answer:
    """What a sender got back."""

    status: int
    headers: dict[str, str]
    """Lower-case names."""
    body: bytes
    json: Any

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def is_(self, status: int) -> Answer:
        """Demand a code; the body is shown when it is another."""
        assert self.status == status, f"answered {self.status}, not {status}: {self.text[:1000]}"
        return self

    def says(self, *words: str) -> Answer:
        """Demand words in the body, in any case."""
        missing = [word for word in words if word.lower() not in self.text.lower()]
        assert not missing, f"{missing} not in: {self.text[:1000]}"
        return self


@dataclass(frozen=True)
class RequestSeen:
    """A receipt, as the page "Requests" shows it."""

    status: int
    verdict: str
    reason: str
    error: str
    body: bytes | None
    headers: dict[str, str]
    path: str
    repeats: int

    def says(self, *words: str) -> RequestSeen:
        """Demand words in what was wrong."""
        missing = [word for word in words if word.lower() not in self.error.lower()]
        assert not missing, f"{missing} not in: {self.error}"
        return self


class IntegrationInTest:
    """One integration: post to it, look at its requests."""

    def __init__(self, world: World, service: str, name: str, source: str, key: str) -> None:
        self._world = world
        self.service = service
        self.name = name
        self.source = source
        self.key = key

    @property
    def intake_id(self) -> str:
        """The `integrationId` of its URL."""
        return self._world.read(lambda session: self._row(session).intake_id)

    @property
    def url(self) -> str:
        """The URL that the integration's page shows: it works as copied."""
        return f"/api/integrations/{self.source}?" + urlencode({"integrationId": self.intake_id, "key": self.key})

    def post(self, json: Any = None, *, url: str = "", **request: Any) -> Answer:
        """Post as its tool does."""
        return self._world.post(url or self.url, json=json, **request)

    def goalert(self, *, accept_json: bool = True, **parameters: str) -> Answer:
        """Post to GoAlert's generic URL, everything in the query."""
        query = urlencode({"token": self.key, **parameters})
        headers = {"Accept": "application/json"} if accept_json else {}
        return self._world.post(f"/api/v2/generic/incoming?{query}", headers=headers)

    def event(self, action: str, dedup_key: str, **payload: Any) -> Answer:
        """Post an Events API v2 event to /api/events."""
        body: dict[str, Any] = {"event_action": action, "dedup_key": dedup_key}
        if action == "trigger":
            body["payload"] = {"summary": dedup_key, "source": "tests", "severity": "critical", **payload}
        return self._world.post("/api/events", json=body, headers={"Authorization": f"Token token={self.key}"})

    def requests(self) -> list[RequestSeen]:
        """Its receipts, oldest first."""

        def work(session: Any) -> list[RequestSeen]:
            rows = session.scalars(select(Receipt).where(Receipt.integration_id == self._row(session).id).order_by(Receipt.id))
            return [
                RequestSeen(row.status, row.verdict, row.reason, row.error or "", receipts.body_of(row), row.headers, row.path, row.repeats) for row in rows
            ]

        return self._world.read(work)

    def count_requests(self) -> int:
        """How many receipts it has."""
        query = select(func.count()).select_from(Receipt)
        return self._world.read(lambda session: session.scalars(query.where(Receipt.integration_id == self._row(session).id)).one())

    def last_request(self) -> RequestSeen:
        """The newest receipt."""
        seen = self.requests()
        assert seen, f"{self.name} has no receipt"
        return seen[-1]

    def _row(self, session: Any) -> Integration:
        found: Integration = session.scalars(
            select(Integration).where(Integration.name == self.name, Integration.service.has(name=self.service), Integration.archived_at.is_(None))
        ).one()
        return found
