"""The shapes of a configuration file's values: how each is read, compared, told and written back."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from app.core.errors import InvalidFields
from app.core.text import clean, clean_json, format_duration, parse_duration, shorten
from app.domain.catalog.checks import suggestion, unknown

BAD: Any = object()
"""What reading gives for a value that cannot be read; the problem is noted."""
LOST: Any = object()
"""What the database holds in a secret that opens no more; it differs from everything, so that applying mends it."""

Place = tuple[str, ...]
"""Where names live: ("teams",), or ("contact_methods", "ann@example.com")."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A name in the file that something of that name must exist for."""

    path: str
    place: Place
    word: str
    name: str


@dataclass
class Reader:
    """Reads values, and collects everything that is wrong with them."""

    environ: Mapping[str, str]
    problems: list[tuple[str, str]] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)

    def refuse(self, path: str, why: str) -> Any:
        """Note a problem."""
        self.problems.append((path, why))
        return BAD

    def done(self) -> None:
        """Stop when there are problems.

        Raises:
            InvalidFields: all of them.
        """
        if self.problems:
            raise InvalidFields(self.problems)

    def mapping(self, path: str, value: Any, fields: Mapping[str, Field], trail: tuple[str, ...] = (), also: Iterable[str] = ()) -> dict[str, Any]:
        """The fields that are given, read; `also` are further names that the caller reads itself."""
        if not isinstance(value, Mapping):
            self.refuse(path, f"a mapping with {_listed(fields)} is expected, not {_what(value)}")
            return {}
        known = [*fields, *also]
        for name in value:
            if name not in known:
                self.refuse(f"{path}.{name}", f'unknown field "{name}"' + (suggestion(str(name), known) or f"; known: {', '.join(known)}"))
        read = {name: fields[name].read_any(self, f"{path}.{name}", value[name], trail) for name in fields if name in value}
        return {name: each for name, each in read.items() if each is not BAD}

    def sequence(self, path: str, value: Any) -> list[tuple[str, Any]]:
        """The elements of a list, each with its path."""
        if not isinstance(value, list):
            self.refuse(path, f"a list is expected, not {_what(value)}")
            return []
        return [(f"{path}[{n}]", each) for n, each in enumerate(value)]

    def require(self, path: str, given: Mapping[str, Any], *names: str) -> bool:
        """Whether these fields are there; notes those that are not."""
        missing = [name for name in names if name not in given]
        for name in missing:
            if not any(noted == f"{path}.{name}" or noted.startswith((f"{path}.{name}.", f"{path}.{name}[")) for noted, _ in self.problems):
                self.refuse(f"{path}.{name}", "is needed")
        return not missing


Read = Callable[[Reader, str, Any, tuple[str, ...]], Any]
"""(reader, path, value, trail of the keys above) to the value, or BAD."""


@dataclass(frozen=True)
class Field:
    """One field of a noun."""

    read: Read
    needed: bool = False
    """When the thing is new."""
    default: Any = None
    """What a new thing has without it; export leaves it out."""
    nullable: bool = False
    fixed: bool = False
    """Cannot be changed once it is there."""
    late: bool = False
    """Written after everything that it may name."""
    secret: bool = False
    variable: str = ""
    """What export calls the variable of a secret, when not by the field's name."""
    same: Callable[[Any, Any], bool] = operator.eq
    """Whether the file's value is what the database has."""
    show: Callable[[Any], Any] = lambda value: value
    """Back to the file's writing."""
    tell: Callable[[Any], str] | None = None
    """As a few words; None: only that it changes is said."""

    def read_any(self, reader: Reader, path: str, value: Any, trail: tuple[str, ...]) -> Any:
        """Read a value, or null where that means "none"."""
        if value is None:
            return None if self.nullable else reader.refuse(path, "may not be null; leave it out to keep what is there")
        return self.read(reader, path, value, trail)


def read_text(reader: Reader, path: str, value: Any, _trail: tuple[str, ...] = ()) -> Any:
    """A text, or {env: NAME}: what that variable of the environment holds."""
    if isinstance(value, Mapping) and set(value) == {"env"}:
        name = value["env"]
        if not isinstance(name, str):
            return reader.refuse(path, "write {env: NAME} with the name of a variable")
        found = clean(reader.environ.get(name, "")).rstrip("\r\n")
        return found or reader.refuse(path, f"the environment has no {name}")
    if not isinstance(value, str):
        return reader.refuse(path, f"a text is expected, not {_what(value)}" + ("; put it in quotes" if isinstance(value, bool | int | float | date) else ""))
    return clean(value)


def _read_number(reader: Reader, path: str, value: Any, _trail: tuple[str, ...]) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        return reader.refuse(path, f"a whole number is expected, not {_what(value)}")
    return value


def _read_yes_or_no(reader: Reader, path: str, value: Any, _trail: tuple[str, ...]) -> Any:
    return value if isinstance(value, bool) else reader.refuse(path, f"true or false is expected, not {_what(value)}")


def read_duration(reader: Reader, path: str, value: Any, _trail: tuple[str, ...] = ()) -> Any:
    """Seconds of 30s, 5m, 2h, 1d."""
    try:
        return parse_duration(value if isinstance(value, str) else "")
    except ValueError as error:
        return reader.refuse(path, str(error))


def _read_moment(reader: Reader, path: str, value: Any, _trail: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) == len("2027-01-31") else datetime.fromisoformat(value)
        except ValueError:
            return reader.refuse(path, "write a time with its zone, as 2027-01-31T00:00:00Z, or a day, as 2027-01-31")
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime) or value.tzinfo is None:
        return reader.refuse(path, "write a time with its zone, as 2027-01-31T00:00:00Z, or a day, as 2027-01-31")
    return value.astimezone(UTC)


def _read_object(reader: Reader, path: str, value: Any, _trail: tuple[str, ...]) -> Any:
    if not isinstance(value, Mapping):
        return reader.refuse(path, f"a mapping is expected, not {_what(value)}")
    return clean_json(dict(value))


def _read_texts(reader: Reader, path: str, value: Any, _trail: tuple[str, ...]) -> Any:
    read = [read_text(reader, at, each) for at, each in reader.sequence(path, value)]
    return BAD if BAD in read or not isinstance(value, list) else sorted(set(read))


def read_reference(reader: Reader, path: str, value: Any, place: Place, word: str) -> Any:
    """The name of a thing that the file or the database must have."""
    name = read_text(reader, path, value)
    if name is not BAD:
        name = name.strip().lower() if place == ("users",) else name.strip()
        reader.references.append(Reference(path, place, word, name))
    return name


def text(**more: Any) -> Field:
    """A text."""
    return Field(read_text, tell=_quoted, **more)


def secret(same: Callable[[Any, Any], bool] = operator.eq, **more: Any) -> Field:
    """A text that is never shown or written back."""
    return Field(read_text, secret=True, same=same, **more)


def number(**more: Any) -> Field:
    """A whole number."""
    return Field(_read_number, tell=str, **more)


def yes_or_no(**more: Any) -> Field:
    """True or false."""
    return Field(_read_yes_or_no, tell=lambda value: "true" if value else "false", **more)


def duration(**more: Any) -> Field:
    """Seconds, written 30s, 5m, 2h, 1d."""
    return Field(read_duration, show=format_duration, tell=format_duration, **more)


def moment(**more: Any) -> Field:
    """A time."""
    return Field(_read_moment, show=_iso, tell=_iso, **more)


def json_object(**more: Any) -> Field:
    """Any mapping."""
    return Field(_read_object, **more)


def texts(**more: Any) -> Field:
    """A set of texts."""
    return Field(_read_texts, tell=", ".join, **more)


def reference(section: str, word: str, **more: Any) -> Field:
    """The name of a thing of another section."""

    def read(reader: Reader, path: str, value: Any, _trail: tuple[str, ...]) -> Any:
        return read_reference(reader, path, value, (section,), word)

    return Field(read, tell=_quoted, nullable=True, **more)


def check_references(reader: Reader, known: Mapping[Place, Iterable[str]]) -> None:
    """Note every name that nothing bears."""
    for each in reader.references:
        names = set(known.get(each.place, ()))
        if each.name not in names:
            reader.refuse(each.path, unknown(each.word, each.name, names))


def _quoted(value: Any) -> str:
    return f'"{shorten(str(value), 80)}"'


def _iso(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _what(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case date():
            return "a date"
    return "this"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
