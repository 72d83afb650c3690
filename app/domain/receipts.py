"""Receipts: what came in and what became of it, rejects too."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import quote_plus

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from app.core.text import clean, clean_block, clean_line
from app.core.types import Inbound, Reason
from app.domain import rows
from app.domain.plans import Outcome, Plan, ReceiptFacts
from app.models import Receipt, ReceiptEvent, UnknownKeyRequest

PACK_OVER = 2048
"""Bodies longer than this many bytes are packed where the database does not do it itself."""
REJECTS_KEPT = 20
"""Rejected requests of one integration that get a row of their own within a minute; more are counted on one row."""
UNKNOWN_KEPT = 200
MASK = "********"
_SECRET_HEADERS = frozenset(
    {"authorization", "cookie", "proxy-authorization", "x-integration-key", "x-api-key", "x-routing-key", "x-gitlab-token", "x-honeycomb-webhook-token"}
)
_SECRET_PARAMETERS = frozenset({"token", "integrationkey", "integration_key", "key", "routing_key", "api_key", "apikey", "integrationid", "secret", "password"})


def facts(inbound: Inbound, door: str, status: int, *, path: str, pack: bool, token_id: int | None = None) -> ReceiptFacts:
    """The request as it is kept: `path` is without its secrets, a long body packed (PostgreSQL packs by itself)."""
    packed = pack and len(inbound.body) > PACK_OVER
    return ReceiptFacts(
        door=door,
        method=inbound.method[:8],
        path=clean_line(path + masked_query(inbound.query), 2000),
        headers=masked_headers(inbound.headers),
        remote=inbound.remote[:64],
        body=zlib.compress(inbound.body, 1) if packed else inbound.body,
        body_size=len(inbound.body),
        body_packed=packed,
        status=status,
        token_id=token_id,
    )


def masked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers without their secrets."""
    return {clean(name): MASK if name in _SECRET_HEADERS else clean(value)[:1000] for name, value in headers.items()}


def masked_query(query: Mapping[str, Sequence[str]]) -> str:
    """The query with its `?`, without its secrets; empty when there is none."""
    if not query:
        return ""
    pairs = ((name, MASK if name.lower() in _SECRET_PARAMETERS else value) for name, values in query.items() for value in values)
    return "?" + "&".join(f"{quote_plus(name, errors='replace')}={quote_plus(value, safe='*', errors='replace')}" for name, value in pairs)


def body_of(receipt: Receipt) -> bytes | None:
    """The body as it came, or None when it is no longer kept."""
    if receipt.body is None:
        return None
    return zlib.decompress(receipt.body) if receipt.body_packed else receipt.body


def add(session: Session, plan: Plan, outcomes: Sequence[Outcome]) -> int:
    """Store the receipt of an accepted request, and what became of each event of a batch."""
    receipt_id: int = session.execute(insert(Receipt).values(rows.receipt(plan, outcomes)).returning(Receipt.id)).scalar_one()
    if len(outcomes) > 1:
        session.execute(insert(ReceiptEvent), [{**rows.receipt_event(n, outcome), "receipt_id": receipt_id} for n, outcome in enumerate(outcomes)])
    return receipt_id


def add_rejected(session: Session, integration_id: int, kept: ReceiptFacts, reason: Reason, why: str, *, now: datetime) -> None:
    """Store that a known integration's request was refused: a row for the first 20 a minute, then one row that counts."""
    latest = (
        select(Receipt.id, Receipt.received_at)
        .where(Receipt.integration_id == integration_id, Receipt.verdict == "rejected")
        .order_by(Receipt.id.desc())
        .limit(REJECTS_KEPT)
    )
    found = session.execute(latest).all()
    if len(found) == REJECTS_KEPT and found[-1].received_at > now - timedelta(minutes=1):
        session.execute(update(Receipt).where(Receipt.id == found[0].id).values(repeats=Receipt.repeats + 1))
        return
    session.execute(
        insert(Receipt).values(
            received_at=now,
            integration_id=integration_id,
            token_id=kept.token_id,
            door=kept.door,
            method=kept.method,
            path=kept.path,
            headers=kept.headers,
            remote=kept.remote,
            body=kept.body,
            body_size=kept.body_size,
            body_packed=kept.body_packed,
            status=kept.status,
            verdict="rejected",
            reason=str(reason),
            error=clean_block(why, 2000),
        )
    )


def add_unknown(session: Session, kept: ReceiptFacts, reason: Reason, key: str, *, now: datetime) -> None:
    """Count a request whose key nobody knows, and keep the last 200 without their bodies."""
    new_id = session.execute(
        insert(UnknownKeyRequest)
        .values(
            received_at=now,
            door=kept.door,
            method=kept.method,
            path=kept.path,
            remote=kept.remote,
            key_hint=clean_line(key, 5),
            reason=str(reason),
            body_size=kept.body_size,
        )
        .returning(UnknownKeyRequest.id)
    ).scalar_one()
    session.execute(delete(UnknownKeyRequest).where(UnknownKeyRequest.id <= new_id - UNKNOWN_KEPT))


def unknown_count(session: Session) -> int:
    """How many requests ever came with a key that nobody knows."""
    return session.scalars(select(func.max(UnknownKeyRequest.id))).one() or 0
