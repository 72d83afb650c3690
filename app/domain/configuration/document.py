"""A configuration file, read and checked as far as it can be without the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.core.errors import Invalid, InvalidFields
from app.domain.catalog.checks import unknown
from app.domain.configuration import reading
from app.domain.configuration.noun import Noun, Trail, Values
from app.domain.configuration.nouns import NOUNS, VERSION
from app.domain.configuration.shape import BAD, Reader, read_text


@dataclass(frozen=True)
class Wanted:
    """A thing as the file wants it; what the file leaves out is not in it."""

    path: str
    key: str
    values: Values
    children: Mapping[str, tuple[Wanted, ...]] = field(default_factory=dict)
    """Only sections that stand in the file."""


@dataclass(frozen=True)
class Document:
    """The whole file; planning refuses it when its reader has noted problems, so that all are told at once."""

    sections: Mapping[str, tuple[Wanted, ...]]
    reader: Reader
    """With the problems, and the names that the file refers to."""


def read(text: str, environ: Mapping[str, str]) -> Document:
    """Read a file; secrets written {env: NAME} come from `environ`.

    Raises:
        InvalidFields: it cannot be read at all.  Everything else that is wrong is noted in the document's reader.
    """
    try:
        top = reading.parse(text)
    except Invalid as error:
        raise InvalidFields([(error.field, error.why)]) from error
    reader = Reader(environ)
    known = ["version", *(noun.section for noun in NOUNS)]
    for name in top:
        if name not in known:
            reader.refuse(str(name), unknown("section", name, known))
    if "version" not in top:
        reader.refuse("version", f"is needed: write version: {VERSION}")
    elif top["version"] != VERSION or isinstance(top["version"], bool):
        reader.refuse("version", f"this Tocsin reads version {VERSION}")
    sections = {noun.section: _section(reader, noun, noun.section, top[noun.section], ()) for noun in NOUNS if top.get(noun.section) is not None}
    return Document(sections, reader)


def _section(reader: Reader, noun: Noun, path: str, value: Any, above: Trail) -> tuple[Wanted, ...]:
    found: dict[str, Wanted] = {}
    for at, each in reader.sequence(path, value):
        wanted = _item(reader, noun, at, each, above)
        if wanted is None:
            continue
        if wanted.key in found:
            reader.refuse(at, f'the {noun.word} "{wanted.key}" stands there twice; first at {found[wanted.key].path}')
        found[wanted.key] = wanted
    return tuple(found.values())


def _item(reader: Reader, noun: Noun, path: str, value: Any, above: Trail) -> Wanted | None:
    key = _key(reader, noun, value)
    values = reader.mapping(path, value, noun.fields, (*above, key), also=[child.section for child in noun.children])
    if isinstance(value, Mapping):
        reader.require(path, values, noun.key)
    values = _checked(reader, noun, path, values)
    children = {}
    for child in noun.children:
        if isinstance(value, Mapping) and value.get(child.section) is not None:
            children[child.section] = _section(reader, child, f"{path}.{child.section}", value[child.section], (*above, key))
    return Wanted(path, key, values, children) if key else None


def _key(reader: Reader, noun: Noun, value: Any) -> str:
    """The name that a thing goes by, in the form that it is stored in; problems with it are noted when it is read as a field."""
    if not isinstance(value, Mapping) or noun.key not in value:
        return ""
    text = read_text(Reader(reader.environ), "", value[noun.key])
    if text is BAD:
        return ""
    try:
        return str(noun.check({noun.key: text})[noun.key])
    except Invalid:
        return str(text)


def _checked(reader: Reader, noun: Noun, path: str, values: Values) -> Values:
    try:
        return noun.check(values)
    except Invalid as error:
        problems = error.problems if isinstance(error, InvalidFields) else [(error.field, error.why)]
    told = [noted for noted, _ in reader.problems]
    for at, why in problems:
        if not any(noted.startswith(f"{path}.{at}") for noted in told):  # what could not be read is no second problem
            reader.refuse(f"{path}.{at}", why)
    return values
