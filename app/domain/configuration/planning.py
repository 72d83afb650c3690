"""What has to change so that the database says what the file says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.core.errors import Conflict, Invalid, InvalidFields
from app.core.keys import Vault
from app.core.types import Actor
from app.domain import access, catalog
from app.domain.configuration.document import Document, Wanted
from app.domain.configuration.noun import Entry, Hand, Noun, Trail, Values
from app.domain.configuration.nouns import NOUNS
from app.domain.configuration.shape import Place, Reader, check_references
from app.domain.configuration.state import State

Write = Callable[[Hand], None]


class Outdated(Conflict):
    """The catalog changed between plan and write; plan again."""


@dataclass(frozen=True)
class Change:
    """One change, in words and ready to be prepared."""

    verb: str
    """create, change or archive."""
    noun: str
    name: str
    """As "Web / alertmanager"."""
    details: tuple[str, ...] = ()
    path: str = ""
    """Where in the file it comes from."""
    steps: tuple[tuple[int, Callable[[Vault], Write]], ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        """The sentence."""
        return f"{self.verb} {self.noun} {self.name}" + (f": {', '.join(self.details)}" if self.details else "")


@dataclass(frozen=True)
class Plan:
    """Changes that fit one version of the catalog."""

    version: int
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Prepared:
    """A plan with every password hashed and every secret sealed: what is left is rows."""

    version: int
    writes: tuple[tuple[str, Write], ...]
    """(path in the file, write), in the order of writing."""


def make(document: Document, state: State, *, prune: bool = False) -> Plan:
    """Compare.  What the file does not name is left alone; `prune` archives it where the file has its section.

    Raises:
        InvalidFields: everything that is wrong with the file, each with its path such as services[0].integrations[1].source.
    """
    reader = document.reader
    changes: list[Change] = []
    for noun in NOUNS:
        if noun.section in document.sections:
            changes += _compare(reader, noun, document.sections[noun.section], state.sections[noun.section], (), prune)
    check_references(reader, _known(document, state, prune))
    reader.done()
    return Plan(state.version, tuple(changes))


def prepare(plan: Plan, vault: Vault) -> Prepared:
    """Hash and seal; takes its time, so do it before the transaction begins."""
    steps = [(order, change.path, step) for change in plan.changes for order, step in change.steps]
    return Prepared(plan.version, tuple((path, step(vault)) for _, path, step in sorted(steps, key=lambda each: each[0])))


def write(session: Session, prepared: Prepared, vault: Vault, *, actor: Actor, now: datetime) -> None:
    """Make it so, in the transaction of the session.

    Raises:
        Outdated: the catalog is not the one that was planned for.
        InvalidFields: a value is taken.
        Conflict: something that is in use would be archived.
    """
    catalog.hold(session)
    if access.config_version(session) != prepared.version:
        raise Outdated("The catalog was changed by somebody else at the same moment; plan again.")
    hand = Hand(session, vault, actor, now)
    for path, step in prepared.writes:
        try:
            step(hand)
        except Invalid as error:
            problems = error.problems if isinstance(error, InvalidFields) else [(error.field, error.why)]
            raise InvalidFields([(f"{path}.{at}" if path else at, why) for at, why in problems]) from error


def _compare(reader: Reader, noun: Noun, wanted: Iterable[Wanted], entries: Mapping[str, Entry], above: Trail, prune: bool) -> Iterator[Change]:
    named = set()
    for each in wanted:
        named.add(each.key)
        trail = (*above, each.key)
        entry = entries.get(each.key)
        yield from _create(reader, noun, each, trail) if entry is None else _change(reader, noun, each, entry, trail)
        for child in noun.children:
            if child.section in each.children:
                present = entry.children.get(child.section, {}) if entry else {}
                yield from _compare(reader, child, each.children[child.section], present, trail, prune)
    if prune:
        for key, entry in entries.items():
            if key not in named:
                yield Change("archive", noun.word, _label((*above, key)), steps=tuple(_archive(noun, entry, (*above, key))))


def _create(reader: Reader, noun: Noun, wanted: Wanted, trail: Trail) -> Iterator[Change]:
    reader.require(wanted.path, wanted.values, *(name for name, each in noun.fields.items() if each.needed))
    details = tuple(f"{name} {each.tell(value)}" for name, value, each in _given(noun, wanted) if each.tell and name not in (noun.key, "name"))
    yield Change("create", noun.word, _label(trail), details, wanted.path, tuple(_steps(noun, noun.create, wanted, wanted.values, trail)))


def _change(reader: Reader, noun: Noun, wanted: Wanted, entry: Entry, trail: Trail) -> Iterator[Change]:
    different: Values = {}
    details = []
    for name, value, each in _given(noun, wanted):
        current = entry.values.get(name)
        if value is None and current is None:
            continue
        if value is not None and current is not None and each.same(value, current):
            continue
        if each.fixed:
            reader.refuse(f"{wanted.path}.{name}", f"cannot be changed; it is {current} – make a new {noun.word} instead")
        different[name] = value
        details.append(_told(name, each, current, value))
    if different:
        yield Change("change", noun.word, _label(trail), tuple(details), wanted.path, tuple(_steps(noun, noun.change, wanted, different, trail)))


def _steps(
    noun: Noun, main: Callable[[Hand, Trail, Values], None], wanted: Wanted, values: Values, trail: Trail
) -> Iterator[tuple[int, Callable[[Vault], Write]]]:
    """The main write and, after all that they may name, the late fields'."""
    early = {name: value for name, value in values.items() if not noun.fields[name].late}
    late = {name: value for name, value in values.items() if noun.fields[name].late}
    if early:

        def prepare_main(vault: Vault) -> Write:
            ready = noun.prepare(vault, early, wanted.values)
            return lambda hand: main(hand, trail, ready)

        yield noun.order, prepare_main
    if late and noun.late is not None:
        write_late = noun.late
        yield noun.late_order, lambda _vault: lambda hand: write_late(hand, trail, late)


def _archive(noun: Noun, entry: Entry, trail: Trail) -> Iterator[tuple[int, Callable[[Vault], Write]]]:
    """What hangs on it and goes before anything is written goes too: its keys may be wanted under another name."""
    yield noun.archive_order, lambda _vault: lambda hand: noun.archive(hand, trail)
    for child in noun.children:
        if child.archive_order < child.order:
            for key, inner in entry.children.get(child.section, {}).items():
                yield from _archive(child, inner, (*trail, key))


def _known(document: Document, state: State, prune: bool) -> dict[Place, set[str]]:
    """The names that will be there: the file's, and what stays in the database."""
    known: dict[Place, set[str]] = {}

    def add(noun: Noun, wanted: Iterable[Wanted] | None, entries: Mapping[str, Entry], above: Trail) -> None:
        items = {each.key: each for each in wanted or ()}
        staying = {} if prune and wanted is not None else entries
        known[(noun.section, *above)] = set(items) | set(staying)
        for child in noun.children:
            for key in known[(noun.section, *above)]:
                inner = entries[key].children.get(child.section, {}) if key in entries else {}
                add(child, items[key].children.get(child.section) if key in items else None, inner, (*above, key))

    for noun in NOUNS:
        add(noun, document.sections.get(noun.section), state.sections[noun.section], ())
    return known


def _given(noun: Noun, wanted: Wanted) -> Iterator[tuple[str, Any, Any]]:
    return ((name, wanted.values[name], each) for name, each in noun.fields.items() if name in wanted.values)


def _told(name: str, each: Any, current: Any, value: Any) -> str:
    if each.secret or each.tell is None:
        return name
    before, after = ("none" if part is None else each.tell(part) for part in (current, value))
    return f"{name} {before} → {after}"


def _label(trail: Trail) -> str:
    return " / ".join(trail)
