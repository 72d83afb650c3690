"""Receipts of refused requests are rows first and a count then; secrets never get into them."""

from __future__ import annotations

from flask import Flask

from app.core.types import Inbound, Reason
from app.domain import receipts
from app.models import Receipt, UnknownKeyRequest
from app.wiring import transactions
from tests.accept.shop import START, Shop, minutes, rows, trigger

ASKED = Inbound(
    "POST",
    "/api/v2/generic/incoming",
    {"authorization": "Bearer very-secret", "user-agent": "curl", "x-api-key": "very-secret"},
    {"token": ("very-secret",), "summary": ("disk full",), "integrationKey": ("very-secret",)},
    b"body " * 1000,
)
KEPT = receipts.facts(ASKED, "goalert", 403, path=ASKED.path, pack=True)


def test_secrets_are_masked_and_long_bodies_come_back_whole(app: Flask) -> None:
    assert "very-secret" not in KEPT.path + str(dict(KEPT.headers))
    assert "summary=disk+full" in KEPT.path
    assert KEPT.headers["user-agent"] == "curl"
    assert KEPT.body_packed
    receipt = Receipt(body=KEPT.body, body_packed=KEPT.body_packed)
    assert receipts.body_of(receipt) == ASKED.body


def test_the_first_twenty_rejects_of_a_minute_are_rows_and_the_others_a_count(app: Flask) -> None:
    shop = Shop(app)
    shop.fast(trigger())
    for _ in range(25):
        transactions.run(lambda session: receipts.add_rejected(session, shop.integration_id, KEPT, Reason.DISABLED, "disabled", now=START))
    rejected = rows(Receipt, Receipt.verdict == "rejected")
    assert len(rejected) == 20
    assert [receipt.repeats for receipt in rejected] == [0] * 19 + [5]

    transactions.run(lambda session: receipts.add_rejected(session, shop.integration_id, KEPT, Reason.DISABLED, "disabled", now=minutes(2)))
    assert rows(Receipt, Receipt.verdict == "rejected")[-1].repeats == 0


def test_the_last_200_requests_with_an_unknown_key_are_kept_and_all_are_counted(app: Flask) -> None:
    def ask_often(session: object) -> None:
        for n in range(205):
            receipts.add_unknown(session, KEPT, Reason.UNKNOWN_KEY, f"key-{n:03}-secret", now=START)  # type: ignore[arg-type]

    before = transactions.run(receipts.unknown_count, "read")
    transactions.run(ask_often)
    kept = rows(UnknownKeyRequest)
    assert len(kept) == 200
    assert transactions.run(receipts.unknown_count, "read") - before == 205
    assert all("secret" not in request.key_hint for request in kept)
