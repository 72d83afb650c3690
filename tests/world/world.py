"""The world around the real app: set it up in the words of the configuration file, post, let time pass, ask who was paged."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from flask import Flask
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.models import Delivery, Incident
from app.wiring import transactions
from tests.world.clock import FakeClock
from tests.world.configuring import configure
from tests.world.engine import Engine, next_due
from tests.world.incident import IncidentInTest
from tests.world.people import Hook, Mailbox
from tests.world.receivers import HttpReceiver, MailServer
from tests.world.senders import Answer, IntegrationInTest

T = TypeVar("T")
MAX_MOMENTS = 10_000
"""Due moments on one `advance`; more means that something is due for ever."""


class World:
    """One test's world.  Whoever leaves it with a message that no test asked for, or a delivery under way, fails."""

    def __init__(self, app: Flask, clock: FakeClock, receiver: HttpReceiver, mail: MailServer) -> None:
        self.app = app
        self.clock = clock
        self.receiver = receiver
        self.mail = mail
        self.document: dict[str, Any] = {"version": 1}
        """The configuration file of this installation; the builders write it."""
        self._is_applied = True
        self._engine = Engine(app)
        clock.on_the_way = self._live_until

    # --- setting up -------------------------------------------------------------------------------------------------

    def user(self, name: str, *, hook: bool = False, mail: bool = False, rules: dict[str, str] | None = None, **fields: Any) -> None:
        """A person with a webhook and a mail address; `rules` says after how long each is used (default: both at once)."""
        methods = []
        if hook:
            methods.append({"name": "hook", "channel": "webhook", "address": self.receiver.url(name)})
        if mail:
            methods.append({"name": "mail", "channel": "email", "address": self.email(name)})
        use = rules if rules is not None else {method["name"]: "0s" for method in methods}
        steps = [{"contact_method": method, "after": after} for method, after in use.items()]
        entry = {"email": self.email(name), "name": name.capitalize(), "role": "responder", "contact_methods": methods}
        self._put("users", "email", {**entry, "notification_rules": {"high": steps, "low": steps}, **fields})

    def team(self, name: str, *members: str) -> None:
        """A team and its people."""
        self._put("teams", "name", {"name": name, "members": [{"user": self.email(member)} for member in members]})

    def destination(self, name: str) -> None:
        """A shared webhook, such as a room."""
        self._put("destinations", "name", {"name": name, "channel": "webhook", "address": self.receiver.url(name.replace(" ", "-"))})

    def policy(self, name: str, *steps: str | list[str], wait: str = "5m", repeat: int = 0) -> None:
        """An escalation policy; each step is one target or a list of them: a person's, team's or destination's name."""
        written = [{"targets": [self._target(target) for target in ([step] if isinstance(step, str) else step)], "wait": wait} for step in steps]
        self._put("escalation_policies", "name", {"name": name, "repeat": repeat, "steps": written})

    def service(self, name: str, *, policy: str | None = None, **fields: Any) -> None:
        """A service; its integrations come with `integration`."""
        entry = {"name": name, **({"escalation_policy": policy} if policy else {}), **fields}
        former = next((service for service in self.document.get("services", []) if service["name"] == name), {})
        self._put("services", "name", {**former, **entry})

    def integration(self, name: str = "tool", *, service: str = "Web", source: str = "generic", key: str | None = None, **fields: Any) -> IntegrationInTest:
        """A connection of a source to a service, without a limit unless one is asked for."""
        if all(known["name"] != service for known in self.document.get("services", [])):
            self.service(service)
        key = key or secrets.token_hex(16)
        owner = next(known for known in self.document["services"] if known["name"] == service)
        listed = [known for known in owner.get("integrations", []) if known["name"] != name]
        self.service(service, integrations=[*listed, {"name": name, "source": source, "key": key, "rate_limit": 0, **fields}])
        return IntegrationInTest(self, service, name, source, key)

    def paging(self, *people: str, source: str = "generic", hook: bool = True, mail: bool = False) -> IntegrationInTest:
        """The usual beginning: an integration whose service pages these people, one step each, five minutes apart."""
        for person in people:
            self.user(person, hook=hook, mail=mail)
        self.policy("Default", *people)
        self.service("Web", policy="Default")
        return self.integration(source=source)

    def email(self, name: str) -> str:
        """A person's address."""
        return f"{name}@example.com"

    def ready(self) -> None:
        """Make the configuration so, as `flask apply` does."""
        if not self._is_applied:
            self._is_applied = True
            configure(self.app, self.document)

    # --- what happens -----------------------------------------------------------------------------------------------

    def post(self, url: str, **request: Any) -> Answer:
        """Post as a tool does."""
        return self.ask("POST", url, **request)

    def ask(self, method: str, url: str, **request: Any) -> Answer:
        """Send any request."""
        self.ready()
        if request.get("json", ...) is None:
            del request["json"]
        response = self.app.test_client().open(url, method=method, **request)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, response.get_data(), response.get_json(silent=True))

    def settle(self) -> None:
        """Do what is due now, as the ticker and a worker do within a second."""
        self.ready()
        self._engine.run_what_is_due(self.clock.now())

    def read(self, work: Callable[[Session], T]) -> T:
        """Look at the database."""
        self.ready()
        return transactions.run(work, "read")

    def write(self, work: Callable[[Session], T]) -> T:
        """Do something in a transaction."""
        self.ready()
        return transactions.run(work)

    # --- what became of it ------------------------------------------------------------------------------------------

    def hook(self, name: str) -> Hook:
        """A person's or destination's webhook."""
        name = name.replace(" ", "-")
        return Hook(self, name, self.receiver.pages[name])

    def inbox(self, name: str) -> Mailbox:
        """A person's mail."""
        return Mailbox(self, name, self.mail.pages[self.email(name)])

    def quiet(self) -> None:
        """Nobody was told anything that the test did not ask for."""
        self.settle()
        left = [str(page) for pages in (*self.receiver.pages.values(), *self.mail.pages.values()) for page in pages]
        assert not left, "unexpected messages:\n" + "\n".join(left)

    def incidents(self, words: str = "") -> list[IncidentInTest]:
        """The incidents whose title holds these words, oldest first."""
        query = select(Incident.id).where(Incident.title.icontains(words)).order_by(Incident.id)
        return [IncidentInTest(self, number) for number in self.read(lambda session: list(session.scalars(query)))]

    def incident(self, words: str = "") -> IncidentInTest:
        """The one incident whose title holds these words."""
        found = self.incidents(words)
        assert len(found) == 1, f"{len(found)} incidents have {words!r}; {self.explain()}"
        return found[0]

    def has_no_incident(self) -> None:
        """Nothing was opened."""
        assert not self.incidents(), self.explain()

    def explain(self) -> str:
        """All that a failing test should show."""

        def work(session: Session) -> str:
            lines = ["the world is:"]
            for incident in session.scalars(select(Incident).order_by(Incident.id)):
                lines.append(f"  incident {incident.id} {incident.title!r} {incident.state} idle={incident.idle_reason} next={incident.next_step_at}")
                lines += [f"    {line.at:%H:%M:%S} {line.kind} {line.reason} {line.actor_label} {line.data}" for line in incident.timeline]
            for delivery in session.scalars(select(Delivery).order_by(Delivery.id)):
                tries = [f"{attempt.outcome} {attempt.status} {attempt.detail}" for attempt in delivery.attempts]
                lines.append(f"  delivery {delivery.id} {delivery.channel} {delivery.state} {delivery.reason} due={delivery.due_at} {tries}")
            pages = [*self.receiver.pages.values(), *self.mail.pages.values()]
            return "\n".join([*lines, *(f"  unread {page}" for each in pages for page in each)])

        return self.read(work)

    def leave(self) -> None:
        """Nothing unexpected is left, nothing is under way."""
        self.quiet()
        now = self.clock.now()
        due = select(func.count()).select_from(Delivery).where(Delivery.state == "planned", or_(Delivery.due_at <= now, Delivery.lease_token.is_not(None)))
        assert self.read(lambda session: session.scalars(due).one()) == 0, f"a delivery is not final; {self.explain()}"

    def stop(self) -> None:
        """Let go of everything."""
        self._engine.stop()

    def _live_until(self, end: datetime) -> None:
        """What is due on the way happens at its own moment."""
        self.settle()
        for _ in range(MAX_MOMENTS):
            moment = self.read(lambda session: next_due(session, self.clock.now()))
            if moment is None or moment > end:
                break
            self.clock.set(moment)
            self.settle()
        else:
            raise AssertionError(f"something is due for ever; {self.explain()}")

    def _target(self, name: str) -> dict[str, str]:
        if any(team["name"] == name for team in self.document.get("teams", [])):
            return {"team": name}
        if any(destination["name"] == name for destination in self.document.get("destinations", [])):
            return {"destination": name}
        return {"user": self.email(name)}

    def _put(self, section: str, key: str, entry: dict[str, Any]) -> None:
        entries = self.document.setdefault(section, [])
        entries[:] = [entry if known[key] == entry[key] else known for known in entries]
        if all(known[key] != entry[key] for known in entries):
            entries.append(entry)
        self._is_applied = False
