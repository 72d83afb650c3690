"""What was asked: query parameters and body, given their declared shape.  What the values mean is for the domain to say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from app.api.errors import WHOLE, BadRequest, UnsupportedMediaType
from app.core.errors import Invalid, InvalidFields
from app.core.text import clean, clean_json
from app.domain.facts import Principal
from app.wiring.runtime import runtime

MAX_FORM_FIELDS = 1000


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a body."""

    name: str
    kind: str = "string"
    """string, integer, boolean, list or object."""
    required: bool = False
    nullable: bool = False
    help: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """One query parameter of a list."""

    name: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of somebody who may make it."""

    principal: Principal
    now: datetime
    query: Mapping[str, tuple[str, ...]]
    body: Mapping[str, Any]
    """Declared fields that were sent, each of its kind."""

    def one(self, name: str) -> str:
        """The last value of a query parameter, or the empty string."""
        return (self.query.get(name) or ("",))[-1].strip()


def read(principal: Principal, fields: tuple[Field, ...], *, partial: bool = False) -> Ask:
    """The current request; `partial` lets required fields be absent, as updates do.

    Raises:
        InvalidFields, BadRequest, UnsupportedMediaType: the body has another shape than `fields`.
        RequestEntityTooLarge: it is longer than MAX_BODY_BYTES.
    """
    query = {clean(name): tuple(clean(value) for value in values) for name, values in request.args.lists()}
    _refuse_too_large()
    body = shaped(_parsed(_raw_body(), fields), fields, partial=partial) if fields else {}
    return Ask(principal, runtime().now(), query, body)


def shaped(body: Any, fields: tuple[Field, ...], *, partial: bool = False) -> dict[str, Any]:
    """The declared fields of a body; what else it holds is ignored, as OnCall does, so that an answer can be sent back.

    Raises:
        InvalidFields: fields are missing, null, blank or of another kind; all of them are named.
    """
    if not isinstance(body, dict):
        raise Invalid(WHOLE, f"Invalid data. Expected a dictionary, but got {type(body).__name__}.")
    found: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for field in fields:
        if field.name not in body:
            if field.required and not partial:
                problems.append((field.name, "This field is required."))
            continue
        try:
            found[field.name] = _value(field, body[field.name])
        except ValueError as error:
            problems.append((field.name, str(error)))
    if problems:
        raise InvalidFields(problems)
    return found


def _value(field: Field, value: Any) -> Any:
    if value is None:
        if not field.nullable:
            raise ValueError("This field may not be null.")
        return None
    value = _READERS[field.kind](value)
    if field.required and value == "":
        raise ValueError("This field may not be blank.")
    return value


def _string(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("Not a valid string.")
    return str(value)


def _integer(value: Any) -> int:
    text = str(value).strip()
    digits = text.removeprefix("-")
    if isinstance(value, bool) or not isinstance(value, str | int) or not (digits.isascii() and digits.isdigit()):
        raise ValueError("A valid integer is required.")
    if len(digits) > 18:
        raise ValueError("This number is too large.")
    return int(text)


def _boolean(value: Any) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    found = known.get(str(value).lower()) if isinstance(value, str | bool | int) else None
    if found is None:
        raise ValueError("Must be a valid boolean.")
    return found


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f'Expected a list of items but got type "{type(value).__name__}".')
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f'Expected a dictionary of items but got type "{type(value).__name__}".')
    return value


_READERS: Mapping[str, Callable[[Any], Any]] = {"string": _string, "integer": _integer, "boolean": _boolean, "list": _list, "object": _object}


def moment(field: str, text: str) -> datetime:
    """A time as ISO 8601 writes it; without a zone it is UTC.

    Raises:
        Invalid: it is written otherwise.
    """
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid(field, "Write a time as 2026-01-31T09:00:00Z.") from error


def _refuse_too_large() -> None:
    if (request.content_length or 0) > runtime().settings.max_body_bytes:
        raise RequestEntityTooLarge


def _raw_body() -> bytes:
    """The body.  One that comes in chunks declares no length and would be cut at the limit: so one byte more is let in."""
    limit = runtime().settings.max_body_bytes
    request.max_content_length = request.max_form_memory_size = limit + 1
    request.max_form_parts = MAX_FORM_FIELDS
    raw = request.get_data(cache=True, parse_form_data=False)
    if len(raw) > limit:
        raise RequestEntityTooLarge
    if len(raw) < (request.content_length or 0):
        raise BadRequest("The body ended before its declared length.")
    return raw


def _parsed(raw: bytes, fields: tuple[Field, ...]) -> Any:
    """The body as JSON or as a form, with clean texts; the empty one is an empty object whatever it is said to be."""
    if request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return _form({field.name for field in fields if field.kind == "list"})
    if not raw:
        return {}
    if request.mimetype != "application/json":
        raise UnsupportedMediaType(f'Unsupported media type "{clean(request.content_type or "")[:100]}" in request.')
    try:
        return clean_json(json.loads(raw, parse_constant=_refuse_constant))
    except RecursionError as error:
        raise BadRequest("JSON parse error - it is nested too deeply") from error
    except ValueError as error:
        raise BadRequest(f"JSON parse error - {clean(str(error))[:200]}") from error


def _form(lists: set[str]) -> dict[str, Any]:
    """A form's fields; of several with one name the last counts, unless a list is meant."""
    fields = {clean(name): [clean(value) for value in values] for name, values in request.form.lists()}
    return {name: values if name in lists else values[-1] for name, values in fields.items()}


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
