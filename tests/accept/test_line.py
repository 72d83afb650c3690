"""Triggers of one key that come at once are committed together, and answer each for itself."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from app.core.types import Reason
from app.domain.plans import Outcome, Plan
from app.models import Alert, Incident, Receipt
from app.wiring.acceptor import is_refused_data
from tests.accept.shop import START, Shop, resolve, rows, trigger

TOGETHER = 12


def _all_at_once(shop: Shop, app: Flask, plans: list[Plan]) -> list[list[Outcome] | Exception]:
    """What each got; they start at one moment, while the line of their key is held up."""
    answers: list[Any] = [None] * len(plans)
    barrier = threading.Barrier(len(plans))

    def send(n: int) -> None:
        with app.app_context():
            barrier.wait()
            try:
                answers[n] = shop.runtime.acceptor.accept(plans[n])
            except Exception as error:  # noqa: BLE001 - the test looks at it
                answers[n] = error

    threads = [threading.Thread(target=send, args=(n,)) for n in range(len(plans))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return answers


def test_all_that_come_at_once_are_counted_and_one_of_them_opens_the_incident(app: Flask) -> None:
    shop = Shop(app)
    answers = _all_at_once(shop, app, [shop.plan(trigger("disk"), now=START) for _ in range(TOGETHER)])

    reasons = sorted(str(answer[0].reason) for answer in answers if isinstance(answer, list))
    assert reasons == ["duplicate"] * (TOGETHER - 1) + ["new_incident"]
    assert [alert.count for alert in rows(Alert, Alert.service_id == shop.service_id)] == [TOGETHER]
    assert len(rows(Incident, Incident.service_id == shop.service_id)) == 1
    assert len(rows(Receipt, Receipt.integration_id == shop.integration_id)) == TOGETHER


def test_one_that_the_database_refuses_takes_no_other_with_it(app: Flask) -> None:
    if app.extensions["tocsin"].settings.is_sqlite:
        pytest.skip("SQLite takes a NUL")
    shop = Shop(app)
    plans = [shop.plan(trigger("disk"), now=START) for _ in range(TOGETHER)]
    spoilt = replace(plans[3], events=(replace(plans[3].events[0], summary="a\0b"),))
    answers = _all_at_once(shop, app, [*plans[:3], spoilt, *plans[4:]])

    refused = [n for n, answer in enumerate(answers) if isinstance(answer, Exception)]
    assert refused == [3]
    assert isinstance(answers[3], Exception)
    assert is_refused_data(answers[3])
    assert [alert.count for alert in rows(Alert, Alert.service_id == shop.service_id)] == [TOGETHER - 1]
    assert len(rows(Receipt, Receipt.integration_id == shop.integration_id)) == TOGETHER - 1


def test_a_changed_catalog_is_noticed_by_each_of_them(app: Flask) -> None:
    shop = Shop(app)
    plans = [shop.plan(trigger("disk"), now=START) for _ in range(TOGETHER)]
    old = [replace(plan, integration=replace(plan.integration, config_version=plan.integration.config_version - 1)) for plan in plans[:5]]
    answers = _all_at_once(shop, app, [*old, *plans[5:]])

    assert [type(answer).__name__ for answer in answers[:5]] == ["StaleConfig"] * 5
    assert [alert.count for alert in rows(Alert, Alert.service_id == shop.service_id)] == [TOGETHER - 5]


def test_resolves_among_them_go_their_own_way(app: Flask) -> None:
    shop = Shop(app)
    shop.fast(trigger("disk"))
    plans = [shop.plan(trigger("disk"), now=START) for _ in range(TOGETHER)] + [shop.plan(resolve("disk"), now=START) for _ in range(3)]
    answers = _all_at_once(shop, app, plans)

    found = [answer[0].reason for answer in answers if isinstance(answer, list)]
    assert len(found) == len(plans)
    assert found.count(Reason.RESOLVED) >= 1
    alerts = rows(Alert, Alert.service_id == shop.service_id)
    assert sum(alert.count for alert in alerts) == TOGETHER + 1
