"""Lists in OnCall's envelope: page numbers outside, keys inside.

`page` and `perpage` choose the page: a bad or negative page is the first, one past the end the last, never a 404.
The `next` link carries the last id of its page as `cursor`, so that whoever follows it reads along an index and sees
no row twice, however deep.  A page that is asked by its number alone is found by skipping ids.

Counts are exact up to `count_up_to`; past it the envelope says `count_is_capped`, and `next` leads on all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from flask import request
from sqlalchemy import Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.base import ExecutableOption

from app.api.asking import Ask, Filter
from app.api.endpoints import Shape
from app.models import Base
from app.wiring.runtime import runtime

T = TypeVar("T", bound=Base)
MAX_SIZE = 100
COUNT_UP_TO = 100_000
"""How far OnCall's nouns are counted: its clients expect exact counts."""
COUNT_OWN_UP_TO = 1_000
"""How far our own nouns are counted: nobody reads the second thousand."""
_LAST_PAGE = 10_000_000
_LAST_ID = 2**63 - 1

FILTERS = (Filter("page", "The page, from 1."), Filter("perpage", f"Things on a page, at most {MAX_SIZE}."), Filter("cursor", "Part of `next` links."))
ENVELOPE: Shape = {
    "count": "integer",
    "next": "string?",
    "previous": "string?",
    "results": "list",
    "page_size": "integer",
    "current_page_number": "integer",
    "total_pages": "integer",
    "count_is_capped": "boolean",
}
SOMETIMES = ("count_is_capped",)
"""Keys that are there only when they say something."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of rows, and where it stands."""

    rows: Sequence[T]
    number: int
    size: int
    count: int
    is_capped: bool
    cursor: int | None
    """The last row's id, when another page follows."""

    def envelope(self, results: list[Any], **more: Any) -> dict[str, Any]:
        """The answer with these results."""
        return {
            "count": self.count,
            "next": _link(self.number + 1, self.cursor) if self.cursor is not None else None,
            "previous": _link(self.number - 1) if self.number > 1 else None,
            "results": results,
            "page_size": self.size,
            "current_page_number": self.number,
            "total_pages": max(1, -(-self.count // self.size)),
            **({"count_is_capped": True} if self.is_capped else {}),
            **more,
        }


def read(
    session: Session,
    ask: Ask,
    model: type[T],
    wanted: Select[int],
    *,
    load: Sequence[ExecutableOption] = (),
    size: int = 50,
    newest_first: bool = True,
    count_up_to: int = COUNT_UP_TO,
) -> Page[T]:
    """The page that is asked for.  `wanted` selects the ids; the rows of the page are loaded apart, with `load`.

    So only ids are skipped and sorted, and no join of `wanted` multiplies rows.
    """
    key: InstrumentedAttribute[int] = model.id  # type: ignore[attr-defined]  # each table that is listed has one
    size = _positive(ask.one("perpage"), MAX_SIZE) or size
    count = _count(session, wanted, count_up_to + 1)
    capped = count > count_up_to
    number = _positive(ask.one("page"), _LAST_PAGE) or 1
    if not capped:
        number = min(number, max(1, -(-count // size)))
    ordered = wanted.order_by(key.desc() if newest_first else key)
    ids = _ids(session, ordered, key, _positive(ask.one("cursor"), _LAST_ID) if number > 1 else None, number, size, newest_first)
    if not ids and number > 1:
        number = max(1, -(-_count(session, wanted) // size))
        ids = _ids(session, ordered, key, None, number, size, newest_first)
    rows = _rows(session, model, key, ids[:size], load)
    return Page(rows, number, size, min(count, count_up_to), capped, ids[size - 1] if len(ids) > size else None)


def _ids(session: Session, ordered: Select[int], key: Any, cursor: int | None, number: int, size: int, newest_first: bool) -> list[int]:
    """The ids of a page, and one more when another page follows."""
    if cursor is None:
        return list(session.scalars(ordered.offset((number - 1) * size).limit(size + 1)))
    return list(session.scalars(ordered.where(key < cursor if newest_first else key > cursor).limit(size + 1)))


def _rows(session: Session, model: type[T], key: Any, ids: list[int], load: Sequence[ExecutableOption]) -> list[T]:
    if not ids:
        return []
    found = {row.id: row for row in session.scalars(select(model).where(key.in_(ids)).options(*load))}  # type: ignore[attr-defined]
    return [found[row_id] for row_id in ids if row_id in found]


def _count(session: Session, wanted: Select[int], up_to: int | None = None) -> int:
    limited = wanted.order_by(None)
    if up_to is not None:
        limited = limited.limit(up_to)
    return session.scalars(select(func.count()).select_from(limited.subquery())).one()


def _positive(text: str, bound: int) -> int | None:
    """A whole number from 1 to a bound, or None when there is none."""
    if not (text.isascii() and text.isdigit()):
        return None
    return min(int(text[:20]), bound) or None


def _link(number: int, cursor: int | None = None) -> str:
    """The address of another page: its parameters sorted, and no number for the first, as OnCall has it."""
    parameters = {name: values for name, values in request.args.lists() if name not in ("page", "cursor")}
    if number > 1:
        parameters["page"] = [str(number)]
    if cursor is not None:
        parameters["cursor"] = [str(cursor)]
    query = urlencode(sorted(parameters.items()), doseq=True)
    return f"{runtime().settings.base_url}{request.path}{'?' + query if query else ''}"
