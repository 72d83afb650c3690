"""The values that travel between the layers.  All are immutable and know neither database nor Flask."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from enum import StrEnum
from typing import Any, Literal, Protocol

from app.core.errors import NotUnderstood


class Action(StrEnum):
    """What an event asks for."""

    TRIGGER = "trigger"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


class Severity(StrEnum):
    """How bad it is, in the four words of the Events API v2."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Urgency(StrEnum):
    """Which of a person's notification rules apply."""

    HIGH = "high"
    LOW = "low"


class Reason(StrEnum):
    """Why something did or did not happen; kept on receipts, timeline entries and deliveries."""

    NEW_INCIDENT = "new_incident"
    JOINED = "joined"
    DUPLICATE = "duplicate"
    RESOLVED = "resolved"
    ACKNOWLEDGED = "acknowledged"
    ALREADY_ACKNOWLEDGED = "already_acknowledged"
    NOTHING_OPEN = "nothing_open"
    NOT_FOUND = "not_found"
    AWAY = "away"
    STALE = "stale"
    UNRECOGNISED = "unrecognised"
    IGNORED = "ignored"
    INVALID = "invalid"
    UNKNOWN_KEY = "unknown_key"
    NO_KEY = "no_key"
    FORBIDDEN = "forbidden"
    WRONG_SOURCE = "wrong_source"
    WRONG_SIGNATURE = "wrong_signature"
    DISABLED = "disabled"
    LIMITED = "limited"
    TOO_LARGE = "too_large"
    NO_POLICY = "no_policy"
    EMPTY_POLICY = "empty_policy"
    NO_ONE_ON_CALL = "no_one_on_call"
    NO_CONTACT_METHOD = "no_contact_method"
    POLICY_EXHAUSTED = "policy_exhausted"
    NO_LONGER_TRIGGERED = "no_longer_triggered"
    SUPPRESSED_MAINTENANCE = "suppressed_maintenance"
    DEBUG = "debug"
    THROTTLED = "throttled"
    STEP_REACHED = "step_reached"
    BY_PERSON = "by_person"
    BY_SOURCE = "by_source"
    SNOOZED = "snoozed"
    SNOOZE_ENDED = "snooze_ended"
    ALREADY_RESOLVED = "already_resolved"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    GAVE_UP = "gave_up"
    BATCH = "batch"


class ActorKind(StrEnum):
    """Who may have done something."""

    USER = "user"
    TOKEN = "token"  # noqa: S105 - the word, not a secret
    SOURCE = "source"
    CHANNEL = "channel"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, with the name as it was then, so that history survives renames."""

    kind: ActorKind
    label: str
    id: int | None = None
    user_id: int | None = None
    """The person behind it: the user, or the owner of the token."""
    via: str = ""
    """How they did it, in words, such as "the link in a message"."""


SYSTEM = Actor(ActorKind.SYSTEM, "Tocsin")


@dataclass(frozen=True, slots=True)
class Inbound:
    """One request from a tool, as it came; forms are parsed by the edge."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Lower-case names."""
    query: Mapping[str, tuple[str, ...]]
    body: bytes
    form: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    remote: str = ""

    @property
    def content_type(self) -> str:
        """The media type alone, lower-case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """Read the body as JSON whatever its Content-Type says.

        Raises:
            NotUnderstood: the body is not JSON, or holds NaN, or is nested too deeply.
        """
        try:
            return json.loads(self.body, parse_constant=_refuse_constant)
        except RecursionError as error:
            raise NotUnderstood("the JSON body is nested too deeply") from error
        except (ValueError, UnicodeDecodeError) as error:
            raise NotUnderstood(f"the body is not JSON: {error}") from error

    def json_object(self) -> dict[str, Any]:
        """Read the body as a JSON object.

        Raises:
            NotUnderstood: it is not JSON, or not an object.
        """
        value = self.json()
        if not isinstance(value, dict):
            raise NotUnderstood("the JSON body must be an object, as in {…}")
        return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


@dataclass(frozen=True, slots=True)
class Link:
    """A link shown with an alert."""

    href: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One normalised message of a source.  Texts may be dirty or long: `domain.intake` cleans and cuts them."""

    action: Action
    dedup_key: str | None
    """Names the problem.  None: made from summary and details together."""
    key_is_given: bool = False
    """True when the sender chose the key; such keys are one name space per service."""
    summary: str = ""
    details: str = ""
    severity: Severity | None = None
    """None: the source states none; the service's setting decides."""
    occurred_at: datetime | None = None
    occurred_field: str = ""
    """The source's field that `occurred_at` was read from; two times compare only when it is the same."""
    group_key: str | None = None
    """The vendor's own group, used when the integration groups by it."""
    source_link: str = ""
    links: tuple[Link, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    custom_details: Any = None
    element: Any = None
    """This event's element of the request; `alert` in templates."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that a source understood and deliberately makes no event of."""

    why: str


@dataclass(frozen=True, slots=True)
class Option:
    """A setting of a source or channel that forms, validation and the API are derived from."""

    name: str
    title: str
    required: bool = False
    secret: bool = False
    default: str = ""
    help: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A kind of sending tool: one file in `app/sources`."""

    name: str
    title: str
    parse: Callable[[Inbound, Mapping[str, Any]], list[Event | Ignored]]
    """Pure.  Raises NotUnderstood for a body that it cannot read, Invalid for a field that breaks the door's contract."""
    docs_url: str = ""
    aliases: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    test_payload: str = ""
    """A body that the page's "send a test" button posts."""
    resolves: bool = True
    """False when the tool only ever reports trouble, as mail does: its incidents end by hand."""


@dataclass(frozen=True, slots=True)
class Message:
    """One rendered message to one address."""

    delivery_id: str
    """The same for every attempt: receivers drop a second copy by it."""
    subject: str
    text: str
    html: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    """The structured body for webhook-like channels."""
    thread: str = ""
    """Constant per incident, for channels that thread."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one attempt."""

    outcome: Literal["ok", "retry", "refused"]
    detail: str = ""
    """The other side's answer, at most 500 characters, without secrets."""
    status: int | None = None
    provider_id: str = ""
    retry_after: float | None = None
    """Seconds, when the other side said so."""

    @classmethod
    def ok(cls, detail: str = "", *, status: int | None = None, provider_id: str = "") -> Sent:
        """It was taken."""
        return cls("ok", detail[:500], status, provider_id)

    @classmethod
    def retry(cls, detail: str, *, after: float | None = None, status: int | None = None) -> Sent:
        """It may work later."""
        return cls("retry", detail[:500], status, "", after)

    @classmethod
    def refused(cls, detail: str, *, status: int | None = None) -> Sent:
        """It will never work this way."""
        return cls("refused", detail[:500], status)


class Http(Protocol):
    """The one way to the outside that a channel is handed: guarded, bounded in time and size, without secrets in its answers."""

    def deliver(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, secrets: Sequence[str] = ()) -> Sent:
        """Make a request and judge the answer; never raises for what the other side does."""
        ...

    def mail(self, message: EmailMessage, to: str) -> Sent:
        """Hand a mail to the configured server."""
        ...


@dataclass(frozen=True, slots=True)
class Channel:
    """A way out: one file in `app/channels`."""

    name: str
    title: str
    fields: tuple[Option, ...]
    """The parts of an address; the first is what a plain string means."""
    send: Callable[[Message, Mapping[str, str], Http], Sent]
    """`send(message, address, http)`; never raises for what the other side does."""
    check: Callable[[Mapping[str, str]], None] | None = None
    """Raises Invalid when an address cannot be right."""
    for_person: bool = True
    for_destination: bool = True


def first(values: Mapping[str, Iterable[str]], name: str) -> str:
    """The first value of a query or form parameter, or the empty string."""
    return next(iter(values.get(name, ())), "")
