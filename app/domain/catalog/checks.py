"""What the fields of catalog nouns must be like: small checks that tables per noun are made of.  All pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import available_timezones

from app.core import templating
from app.core.errors import Invalid, InvalidFields
from app.core.text import clean_block, clean_json, clean_line

Check = Callable[[str, Any], Any]
"""(field, value) to the value as it is stored; raises Invalid."""

MOST_LISTED = 30
"""Known words that a refusal lists."""
_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+\Z")
_FOREIGN_ID = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")


def checked(fields: Mapping[str, Any], table: Mapping[str, Check]) -> dict[str, Any]:
    """The fields as they are stored.

    Raises:
        Invalid: a value is wrong; with all wrong ones as InvalidFields when there are several.
    """
    good, problems = {}, []
    for field, value in fields.items():
        try:
            good[field] = table[field](field, value)
        except InvalidFields as error:
            problems += error.problems
        except Invalid as error:
            problems.append((error.field, error.why))
    if problems:
        raise InvalidFields(problems)
    return good


def suggestion(word: str, known: Iterable[str]) -> str:
    """The words ` – did you mean …?` when one of the known words is near, else the empty string."""
    near = difflib.get_close_matches(word.lower(), {each.lower(): each for each in known}, n=1)
    return f" – did you mean {next(each for each in known if each.lower() == near[0])}?" if near else ""


def unknown(what: str, word: object, known: Iterable[str], also: Iterable[str] = ()) -> str:
    """The sentence about a word that is none of the known ones, with the nearest (`also` of these) or with all known ones."""
    words = sorted(known)
    text = clean_line(str(word), 80)
    listed = ", ".join(words[:MOST_LISTED]) + (f" and {len(words) - MOST_LISTED} more" if len(words) > MOST_LISTED else "")
    return f'Unknown {what} "{text}"' + (suggestion(text, [*words, *also]) or f"; known: {listed or 'none'}.")


def line(limit: int = 255) -> Check:
    """One line of text that is needed."""

    def check(field: str, value: Any) -> str:
        text = clean_line(_text(field, value), limit + 1)
        if not text:
            raise Invalid(field, f"The {words(field)} is needed.")
        if len(text) > limit:
            raise Invalid(field, f"The {words(field)} may have {limit} characters.")
        return text

    return check


def block(limit: int = 10_000) -> Check:
    """A text of several lines that may be empty."""

    def check(field: str, value: Any) -> str:
        text = clean_block(_text(field, value), limit + 1)
        if len(text) > limit:
            raise Invalid(field, f"The {words(field)} may have {limit} characters.")
        return text

    return check


def one_of(*known: str) -> Check:
    """One of a few words."""

    def check(field: str, value: Any) -> str:
        text = _text(field, value)
        if text not in known:
            raise Invalid(field, unknown(words(field), text, known))
        return text

    return check


def whole(low: int, high: int) -> Check:
    """A whole number."""

    def check(field: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Invalid(field, f"The {words(field)} is a whole number from {low} to {high}.")
        return value

    return check


def optional(inner: Check) -> Check:
    """The same, or nothing: None and the empty text are None."""

    def check(field: str, value: Any) -> Any:
        return None if value is None or value == "" else inner(field, value)

    return check


def yes_or_no(field: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Invalid(field, f"The field {field} is true or false.")
    return value


def row_id(field: str, value: Any) -> int | None:
    """The id of a row, or None; whether it exists is for the caller to look up."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise Invalid(field, f"The field {field} is the id of a row.")


def email(field: str, value: Any) -> str:
    """An e-mail address, lower-case."""
    text = clean_line(_text(field, value), 321).lower()
    if len(text) > 320 or not _EMAIL.match(text):
        raise Invalid(field, "Write an e-mail address, as ann@example.com.")
    return text


def timezone(field: str, value: Any) -> str:
    """The name of a time zone."""
    text = _text(field, value)
    if text not in _timezones():
        near = suggestion(text, _timezones())
        raise Invalid(field, f'Unknown time zone "{clean_line(text, 80)}"' + (near or "; write it as Europe/Berlin or UTC."))
    return text


def foreign_id(field: str, value: Any) -> str:
    """An id that another product gave."""
    text = _text(field, value).strip()
    if not _FOREIGN_ID.match(text):
        raise Invalid(field, "An id is 1 to 32 letters, digits, dashes or underscores.")
    return text


def uuid(field: str, value: Any) -> str:
    """A UUID in its usual writing."""
    try:
        return str(UUID(_text(field, value)))
    except ValueError:
        raise Invalid(field, "Write a UUID, as 00000000-0000-4000-8000-000000000000.") from None


def url(field: str, value: Any) -> str:
    """An http address, or a template that may render to one."""
    text = _text(field, value).strip()
    if "{{" in text or "{%" in text:
        return template(field, text)
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or len(text) > 4096 or text != clean_line(text, 4096):
        raise Invalid(field, "Write an address that begins with http:// or https://.")
    return text


def template(field: str, value: Any) -> str:
    """A template that can be read."""
    text: str = block(50_000)(field, value)
    problem = _template_problem(text)
    if problem:
        raise Invalid(field, problem)
    return text


def templates(field: str, value: Any) -> dict[str, Any]:
    """Templates by name, in groups or alone."""
    if not isinstance(value, Mapping):
        raise Invalid(field, f"The field {field} holds templates by their names.")
    found: dict[str, Any] = {}
    for name, inner in value.items():
        path = f"{field}.{name}"
        if inner is None:
            continue
        found[str(name)] = templates(path, inner) if isinstance(inner, Mapping) else template(path, inner)
    return found


def json_object(field: str, value: Any) -> dict[str, Any]:
    """Any JSON object."""
    if not isinstance(value, Mapping):
        raise Invalid(field, f"The field {field} holds values by their names.")
    cleaned: dict[str, Any] = clean_json(dict(value))
    return cleaned


def words(field: str) -> str:
    """A field's name as words."""
    return field.rpartition(".")[2].replace("_", " ")


@lru_cache(maxsize=1024)
def _template_problem(text: str) -> str | None:
    """Remembered, so that a check made before a writing transaction costs nothing when it is made again inside."""
    try:
        templating.check(text)
    except templating.TemplateFailed as error:
        return error.why
    return None


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid(field, f"The {words(field)} is a text.")
    return value
