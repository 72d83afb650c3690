"""What is forgotten, and when: the bodies of requests first, then their receipts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.models import Receipt, ReceiptEvent

SLICE = 5_000
"""Rows looked at in one transaction, so that nobody waits long for the write lock (17 ms on PostgreSQL)."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long receipts are kept."""

    body_days: int
    days: int
    rows: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one slice came to."""

    deleted: int
    emptied: int
    """Receipts that lost their body alone."""
    next_id: int | None
    """Where the next slice starts; None: the rest is young."""


def prune_receipts(session: Session, keep: Keep, start_id: int = 0, *, now: datetime) -> Pruned:
    """Prune the oldest slice from `start_id` on.  Receipts are numbered in the order they came, so young ones end the walk."""
    rows = session.execute(
        select(Receipt.id, Receipt.received_at, Receipt.body.is_not(None)).where(Receipt.id >= start_id).order_by(Receipt.id).limit(SLICE)
    ).all()
    if not rows:
        return Pruned(0, 0, None)
    newest_id = session.scalars(select(func.max(Receipt.id))).one() or 0
    oldest, oldest_with_body = now - timedelta(days=keep.days), now - timedelta(days=keep.body_days)
    doomed = [row_id for row_id, received_at, _ in rows if received_at < oldest or row_id <= newest_id - keep.rows]
    last_doomed = doomed[-1] if doomed else start_id - 1
    bare = [row_id for row_id, received_at, has_body in rows if has_body and row_id > last_doomed and received_at < oldest_with_body]
    if doomed:
        session.execute(delete(ReceiptEvent).where(ReceiptEvent.receipt_id.between(start_id, last_doomed)))
        session.execute(delete(Receipt).where(Receipt.id.between(start_id, last_doomed)))
    if bare:
        session.execute(update(Receipt).where(Receipt.id.in_(bare)).values(body=None, body_packed=False))
    last_id, last_at, _ = rows[-1]
    is_last = len(rows) < SLICE or (last_at >= oldest_with_body and last_id > last_doomed)
    return Pruned(len(doomed), len(bare), None if is_last else last_id + 1)
