"""Who may post, and what becomes of those who may not."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.models import UnknownKeyRequest
from tests.world import World


def test_the_url_of_the_page_works_as_copied(world: World) -> None:
    tool = world.integration(source="generic")

    tool.post({"summary": "Disk full"}).is_(202)

    world.incident("Disk full").is_triggered()


def test_a_disabled_integration_takes_nothing_and_says_so(world: World) -> None:
    tool = world.integration(enabled=False)

    tool.event("trigger", "disk").is_(403).says("disabled")
    tool.goalert(summary="Disk full").is_(403).says("disabled")
    tool.post({"summary": "Disk full"}).is_(403).says("disabled")

    world.has_no_incident()
    assert [seen.reason for seen in tool.requests()] == ["disabled"] * 3


def test_disabling_works_from_the_next_request_on(world: World) -> None:
    tool = world.integration()
    tool.event("trigger", "disk").is_(202)

    world.integration(key=tool.key, enabled=False)

    tool.event("trigger", "cpu").is_(403)
    world.integration(key=tool.key, enabled=True)
    tool.event("trigger", "cpu").is_(202)


def test_an_unknown_key_is_refused_counted_and_remembered(world: World) -> None:
    tool = world.integration()
    tool.key = "0123456789abcdef0123456789abcdef"

    tool.event("trigger", "disk").is_(401).says("key")

    world.has_no_incident()
    [request] = world.read(lambda session: session.scalars(select(UnknownKeyRequest)).all())
    assert request.path == "/api/events"
    assert tool.key not in f"{request.key_hint} {request.path}"


def test_a_key_works_from_the_moment_it_exists_even_if_it_was_tried_before(world: World) -> None:
    key = "0123456789abcdef0123456789abcdef"
    tool = world.integration()
    world.post("/api/v2/generic/incoming", query_string={"token": key, "summary": "early"}).is_(401)

    tool = world.integration(key=key)

    tool.goalert(summary="Disk full").is_(200)


def test_only_the_last_200_requests_with_unknown_keys_are_kept(world: World) -> None:
    for n in range(205):
        world.post("/api/v2/generic/incoming", query_string={"token": f"{n:032x}", "summary": "x"}).is_(401)

    assert len(world.read(lambda session: session.scalars(select(UnknownKeyRequest.id)).all())) == 200


@pytest.mark.parametrize("written", [str.upper, lambda key: f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}"], ids=["upper case", "dashes"])
def test_a_key_matches_however_it_is_written(world: World, written: object) -> None:
    tool = world.integration()
    tool.key = written(tool.key)  # type: ignore[operator]

    tool.goalert(summary="Disk full").is_(200)


def test_a_foreign_key_can_be_carried_over(world: World) -> None:
    tool = world.integration(key="R0ABC-foreign-Key-123")

    tool.event("trigger", "disk").is_(202)


def test_a_key_of_another_kind_is_refused_with_a_receipt_for_its_owner(world: World) -> None:
    tool = world.integration(source="prometheus")

    tool.goalert(summary="Disk full").is_(401)

    world.has_no_incident()
    assert tool.last_request().reason == "wrong_source"


def test_secrets_are_not_kept_in_receipts(world: World) -> None:
    tool = world.integration()
    tool.goalert(summary="Disk full").is_(200)
    tool.event("trigger", "disk").is_(202)
    tool.post({"summary": "x"}).is_(202)

    for seen in tool.requests():
        assert tool.key not in seen.path
        assert tool.intake_id not in seen.path
        assert tool.key not in str(seen.headers)


def test_the_limit_holds_and_says_when_to_come_back(world: World) -> None:
    tool = world.integration(rate_limit=3)
    for n in range(3):
        tool.event("trigger", f"disk-{n}").is_(202)

    refused = tool.event("trigger", "disk-3").is_(429)

    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert len(world.incidents()) == 3
    assert tool.last_request().reason == "limited"
    world.clock.advance(minutes=1)
    tool.event("trigger", "disk-3").is_(202)


def test_the_default_limit_is_120_a_minute(world: World) -> None:
    tool = world.integration(rate_limit=None)
    for _ in range(120):
        tool.event("trigger", "disk").is_(202)

    tool.event("trigger", "disk").is_(429)


def test_a_flood_of_rejected_requests_leaves_few_rows_that_count(world: World) -> None:
    tool = world.integration(enabled=False)

    for _ in range(50):
        tool.event("trigger", "disk").is_(403)

    seen = tool.requests()
    assert len(seen) <= 21
    assert len(seen) + sum(request.repeats for request in seen) == 50


def test_a_signed_integration_refuses_what_is_not_signed(world: World) -> None:
    tool = world.integration(signature_secret="s3cret")

    tool.post({"summary": "Disk full"}).is_(401).says("signature")
    tool.post({"summary": "Disk full"}, headers={"X-Signature": "sha256=" + "0" * 64}).is_(401).says("signature")

    world.has_no_incident()
    assert tool.last_request().reason == "wrong_signature"
