"""Seed 000: GoAlert's generic API, to the byte, and the smoke tests of its makers that apply."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from app.models import Alert, Service
from tests.world import IntegrationInTest, World
from tests.world.senders import Answer

URL = "/api/v2/generic/incoming"
JSON = {"Accept": "application/json"}


@pytest.fixture
def tool(world: World) -> IntegrationInTest:
    return world.integration(source="generic")


def service_id(world: World, name: str = "Web") -> str:
    return world.read(lambda session: session.scalars(select(Service.uuid).where(Service.name == name)).one())


def exactly(world: World, answer: Answer, *, number: int, is_new: bool, service: str = "Web") -> None:
    """The bytes that GoAlert's own Go program writes."""
    expected = f'{{"AlertID":{number},"ServiceID":"{service_id(world, service)}","IsNew":{str(is_new).lower()}}}'
    assert answer.is_(200).text.strip() == expected
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    assert list(answer.json) == ["AlertID", "ServiceID", "IsNew"]


def test_line_1_without_accept_is_204_and_empty(world: World, tool: IntegrationInTest) -> None:
    answer = world.post(f"{URL}?token={tool.key}&summary=test&details=test").is_(204)

    assert answer.body == b""
    world.incident("test").is_triggered()


def test_line_1_with_accept_tells_the_alert_first_new_then_not(world: World, tool: IntegrationInTest) -> None:
    line_1 = f"{URL}?token={tool.key}&summary=test&details=test"

    exactly(world, world.post(line_1, headers=JSON), number=1, is_new=True)
    exactly(world, world.post(line_1, headers=JSON), number=1, is_new=False)

    world.incident("test").counts(triggers=2)


@pytest.mark.parametrize("headers", [{}, JSON], ids=["without Accept", "with Accept"])
def test_line_2_opens_its_own_alert_by_its_dedup(world: World, tool: IntegrationInTest, headers: dict[str, str]) -> None:
    world.post(f"{URL}?token={tool.key}&summary=test&details=test").is_(204)

    answer = world.post(f"{URL}?token={tool.key}&summary=test&dedup=disk-check", headers=headers)

    if headers:
        exactly(world, answer, number=2, is_new=True)
    else:
        assert (answer.status, answer.body) == (204, b"")
    assert len(world.incidents("test")) == 2


@pytest.mark.parametrize("headers", [{}, JSON], ids=["without Accept", "with Accept"])
def test_line_3_after_line_1_closes_nothing_as_its_dedup_is_another(world: World, tool: IntegrationInTest, headers: dict[str, str]) -> None:
    world.post(f"{URL}?token={tool.key}&summary=test&details=test").is_(204)

    answer = world.post(f"{URL}?token={tool.key}&summary=test&action=close", headers=headers)

    if headers:
        assert answer.is_(200).text.strip() == '{"AlertID":0,"ServiceID":"","IsNew":false}'
    else:
        assert (answer.status, answer.body) == (204, b"")
    world.incident("test").is_triggered()
    assert tool.last_request().reason == "nothing_open"


def test_closing_with_the_same_summary_and_details_closes(world: World, tool: IntegrationInTest) -> None:
    world.post(f"{URL}?token={tool.key}&summary=test&details=test").is_(204)

    exactly(world, world.post(f"{URL}?token={tool.key}&summary=test&details=test&action=close", headers=JSON), number=1, is_new=False)

    world.incident("test").is_resolved(by="tool")


def test_closing_with_the_same_dedup_closes_whatever_the_summary(world: World, tool: IntegrationInTest) -> None:
    tool.goalert(summary="test", dedup="disk-check").is_(200)

    exactly(world, tool.goalert(summary="another", dedup="disk-check", action="close"), number=1, is_new=False)

    world.incident("test").is_resolved()


def test_line_3_closes_a_summary_that_came_without_details(world: World, tool: IntegrationInTest) -> None:
    tool.goalert(summary="test").is_(200)

    tool.goalert(summary="test", action="close").is_(200)

    world.incident("test").is_resolved()


def test_a_trigger_after_a_close_is_a_new_alert_with_a_new_number(world: World, tool: IntegrationInTest) -> None:
    tool.goalert(summary="test")
    tool.goalert(summary="test", action="close")

    exactly(world, tool.goalert(summary="test"), number=2, is_new=True)


@pytest.mark.parametrize("action", ["CLOSE", "ack", "", "trigger"])
def test_only_the_word_close_closes(world: World, tool: IntegrationInTest, action: str) -> None:
    tool.goalert(summary="test")

    exactly(world, tool.goalert(summary="test", action=action), number=1, is_new=False)

    world.incident("test").is_triggered()


SHAPES: dict[str, Any] = {
    "form": lambda values: {"data": values},
    "multipart": lambda values: {"data": values, "content_type": "multipart/form-data"},
    "JSON": lambda values: {"json": values},
    "JSON with a charset": lambda values: {"data": json.dumps(values), "content_type": "application/json; charset=utf-8"},
}


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Any:
    return SHAPES[request.param]


def post_both(world: World, query: dict[str, str], body: dict[str, Any]) -> Answer:
    return world.post(URL, query_string=query, headers=JSON, **body)


def test_all_parameters_may_come_in_the_body(world: World, tool: IntegrationInTest, shape: Any) -> None:
    values = {"token": tool.key, "summary": "from body", "details": "d", "dedup": "k"}

    exactly(world, world.post(URL, headers=JSON, **shape(values)), number=1, is_new=True)
    exactly(world, world.post(URL, headers=JSON, **shape({**values, "action": "close"})), number=1, is_new=False)

    world.incident("from body").is_resolved()


def test_the_token_of_the_body_beats_the_querys(world: World, tool: IntegrationInTest, shape: Any) -> None:
    other = world.integration("other", service="Mail")

    answer = post_both(world, {"token": other.key, "summary": "test"}, shape({"token": tool.key}))

    exactly(world, answer, number=1, is_new=True, service="Web")


def test_the_summary_of_the_body_beats_the_querys(world: World, tool: IntegrationInTest, shape: Any) -> None:
    post_both(world, {"token": tool.key, "summary": "from query"}, shape({"summary": "from body"})).is_(200)

    world.incident("from body")


def test_the_details_of_the_body_beat_the_querys(world: World, tool: IntegrationInTest, shape: Any) -> None:
    post_both(world, {"token": tool.key, "summary": "test", "details": "from query"}, shape({"details": "from body"})).is_(200)

    assert world.read(lambda session: session.scalars(select(Alert.details)).all()) == ["from body"]


def test_the_action_of_the_body_beats_the_querys(world: World, tool: IntegrationInTest, shape: Any) -> None:
    tool.goalert(summary="test", dedup="k")

    post_both(world, {"token": tool.key, "summary": "test", "dedup": "k", "action": "trigger"}, shape({"action": "close"})).is_(200)

    world.incident("test").is_resolved()


def test_the_dedup_of_the_body_beats_the_querys(world: World, tool: IntegrationInTest, shape: Any) -> None:
    tool.goalert(summary="test", dedup="body-key")

    answer = post_both(world, {"token": tool.key, "summary": "test", "dedup": "query-key"}, shape({"dedup": "body-key"}))

    exactly(world, answer, number=1, is_new=False)


def test_what_the_body_does_not_name_is_taken_from_the_query(world: World, tool: IntegrationInTest, shape: Any) -> None:
    tool.goalert(summary="test", details="d")

    post_both(world, {"token": tool.key, "action": "close"}, shape({"summary": "test", "details": "d"})).is_(200)

    world.incident("test").is_resolved()


@pytest.mark.parametrize("summary", ["", "   ", "\n"])
def test_an_empty_summary_is_refused_by_name(world: World, tool: IntegrationInTest, summary: str) -> None:
    tool.goalert(summary=summary).is_(400).says("summary")

    world.has_no_incident()
    assert tool.last_request().reason == "invalid"


@pytest.mark.parametrize("headers", [{"Accept": "*/*"}, {"Accept": "application/json, */*"}, {"Accept": "text/html"}])
def test_only_the_plain_accept_header_asks_for_json(world: World, tool: IntegrationInTest, headers: dict[str, str]) -> None:
    assert world.post(URL, query_string={"token": tool.key, "summary": "test"}, headers=headers).is_(204).body == b""


def test_a_key_may_come_as_bearer(world: World, tool: IntegrationInTest) -> None:
    world.post(f"{URL}?summary=test", headers={"Authorization": f"Bearer {tool.key}"}).is_(204)


@pytest.mark.parametrize("name", ["token", "integrationKey", "integration_key", "key"])
def test_the_key_has_four_names(world: World, tool: IntegrationInTest, name: str) -> None:
    world.post(URL, query_string={name: tool.key, "summary": "test"}).is_(204)


def test_the_legacy_url_works(world: World, tool: IntegrationInTest) -> None:
    world.post("/v1/api/alerts", query_string={"token": tool.key, "summary": "test"}).is_(204)

    world.incident("test")


def test_a_get_is_no_page(world: World, tool: IntegrationInTest) -> None:
    world.ask("GET", URL, query_string={"token": tool.key, "summary": "test"}).is_(404)

    world.has_no_incident()


def test_errors_are_plain_text(world: World, tool: IntegrationInTest) -> None:
    for answer in (world.post(f"{URL}?summary=test"), world.post(f"{URL}?token={'0' * 32}&summary=test"), tool.goalert(summary="")):
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.text.endswith("\n")


# --- GoAlert's smoke tests --------------------------------------------------------------------------------------------


def test_smoke_generic_api_pages(world: World) -> None:
    tool = world.paging("ann")

    tool.goalert(accept_json=False, summary="hello").is_(204)

    world.hook("ann").expects("hello")


def test_smoke_generic_api_close_stops_the_paging_and_opens_nothing_when_unknown(world: World) -> None:
    tool = world.paging("ann", "bob")
    tool.goalert(summary="unknown", action="close").is_(200)
    world.has_no_incident()

    tool.goalert(summary="hello", dedup="abc")
    world.hook("ann").expects("hello")
    tool.goalert(summary="bye", dedup="abc", action="close")

    world.clock.advance(hours=1)
    world.hook("bob").expects_nothing()


def test_smoke_generic_api_dedup_holds_over_a_changed_summary(world: World) -> None:
    tool = world.paging("ann")

    tool.goalert(summary="first", dedup="abc")
    world.hook("ann").expects("first")
    tool.goalert(summary="second", dedup="abc")

    world.quiet()
    world.incident("first").counts(triggers=2)


def test_smoke_services_are_isolated(world: World) -> None:
    web, mail = world.integration(), world.integration("other", service="Mail")

    exactly(world, web.goalert(summary="test", dedup="abc"), number=1, is_new=True)
    exactly(world, mail.goalert(summary="test", dedup="abc"), number=2, is_new=True, service="Mail")
    mail.goalert(summary="test", dedup="abc", action="close")

    world.incidents("test")[0].is_triggered()
    world.incidents("test")[1].is_resolved()


def test_smoke_two_keys_of_one_service_share_what_senders_name(world: World) -> None:
    first, second = world.integration("first"), world.integration("second")

    exactly(world, first.goalert(summary="test", dedup="abc"), number=1, is_new=True)
    exactly(world, second.goalert(summary="test", dedup="abc"), number=1, is_new=False)


def test_smoke_max_body_response(world: World, tool: IntegrationInTest) -> None:
    answer = world.post(URL, query_string={"token": tool.key}, json={"summary": "x" * 2_000_000})

    answer.is_(413).says("Request Entity Too Large")
    assert answer.headers["content-type"].startswith("text/plain")
    world.has_no_incident()
    assert tool.last_request().reason == "too_large"


META = [
    pytest.param({"query_string": {"meta": ["region=eu", "host=db-1"], "summary": "test"}}, id="query"),
    pytest.param({"data": {"meta": ["region=eu", "host=db-1"], "summary": "test"}}, id="form"),
    pytest.param({"json": {"meta": {"region": "eu", "host": "db-1"}, "summary": "test"}}, id="JSON"),
]


@pytest.mark.parametrize("request_", META)
def test_smoke_alert_metadata(world: World, tool: IntegrationInTest, request_: dict[str, Any]) -> None:
    world.post(URL, headers={"Authorization": f"Bearer {tool.key}"}, **request_).is_(204)

    [labels] = world.read(lambda session: session.scalars(select(Alert.labels)).all())
    assert labels == {"region": "eu", "host": "db-1"}


def test_smoke_alertmanager_answers_200_and_pages(world: World) -> None:
    tool = world.paging("ann", source="prometheus")
    body = {"status": "firing", "alerts": [{"status": "firing", "labels": {"alertname": "DiskFull", "instance": "db-1"}, "fingerprint": "f1"}]}

    answer = world.post("/api/v2/prometheusalertmanager/incoming", query_string={"token": tool.key}, json=body).is_(200)

    assert answer.body == b""
    world.hook("ann").expects("DiskFull")
