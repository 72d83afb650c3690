"""One incident, in the words of its users."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from app.core.types import Actor, ActorKind
from app.domain import incidents
from app.models import Alert, Incident, User

if TYPE_CHECKING:
    from tests.world.world import World


class IncidentInTest:
    """Looks at the database anew for each question."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self.number = number

    def is_triggered(self) -> IncidentInTest:
        """Open, and nobody has it."""
        return self._is("triggered")

    def is_acknowledged(self, by: str | None = None) -> IncidentInTest:
        """Somebody has it."""
        self._is("acknowledged")
        return self._was("acknowledged_by", by)

    def is_resolved(self, by: str | None = None) -> IncidentInTest:
        """It is over."""
        self._is("resolved")
        return self._was("resolved_by", by)

    def has(self, **facts: Any) -> IncidentInTest:
        """Demand columns, such as `severity="critical"`."""
        found = self._row(lambda row: {name: getattr(row, name) for name in facts})
        assert found == facts, found
        return self

    def counts(self, triggers: int) -> IncidentInTest:
        """How many triggers its alerts stand for."""
        found = self._world.read(lambda session: sum(session.scalars(select(Alert.count).where(Alert.incident_id == self.number))))
        assert found == triggers, f"counts {found}"
        return self

    def timeline_says(self, *words: str) -> IncidentInTest:
        """Lines of the timeline hold these words, in this order."""
        lines = self.timeline()
        left = iter(lines)
        for word in words:
            assert any(word.lower() in line.lower() for line in left), f"{word!r} does not follow in {lines}"
        return self

    def timeline(self) -> list[str]:
        """What happened, who did it and why."""
        return self._row(lambda row: [f"{line.kind} by {line.actor_label}: {line.reason or ''} {line.data}" for line in row.timeline])

    def acknowledge(self, by: str) -> incidents.Change:
        """A person takes it."""
        return self._act(incidents.acknowledge, by)

    def unacknowledge(self, by: str) -> incidents.Change:
        """A person gives it back."""
        return self._act(incidents.unacknowledge, by)

    def resolve(self, by: str) -> incidents.Change:
        """A person ends it."""
        return self._act(incidents.resolve, by)

    def unresolve(self, by: str) -> incidents.Change:
        """A person reopens it."""
        return self._act(incidents.unresolve, by)

    def snooze(self, by: str, until: datetime) -> incidents.Change:
        """A person lets it sleep."""
        return self._act(incidents.snooze, by, until=until)

    def _act(self, action: Any, by: str, **arguments: Any) -> incidents.Change:
        def work(session: Any) -> incidents.Change:
            person = session.scalars(select(User).where(User.email == self._world.email(by))).one()
            actor = Actor(ActorKind.USER, person.name, person.id, person.id)
            change: incidents.Change = action(session, incidents.find(session, self.number), **arguments, actor=actor, now=self._world.clock.now())
            return change

        return self._world.write(work)

    def _is(self, state: str) -> IncidentInTest:
        found = self._row(lambda row: row.state)
        assert found == state, f"incident {self.number} is {found}; {self._world.explain()}"
        return self

    def _was(self, column: str, by: str | None) -> IncidentInTest:
        if by is not None:
            found = self._row(lambda row: (getattr(row, column) or {}).get("label", ""))
            assert found.lower() == by.lower(), f"{column} {found}"
        return self

    def _row(self, look: Any) -> Any:
        return self._world.read(lambda session: look(session.get_one(Incident, self.number)))
