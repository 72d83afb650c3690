"""Bad input at every intake endpoint: the documented code, a message that says what to do, a receipt, never a 500."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask

from tests.world import IntegrationInTest, World
from tests.world.senders import Answer

JSON = {"Content-Type": "application/json"}
OTHER_KEY = "0" * 32


@dataclass(frozen=True)
class Endpoint:
    """One URL that tools post to, and what it promises."""

    source: str
    """Of the integration that posts here."""
    request: Callable[[IntegrationInTest, str], dict[str, Any]]
    """URL, headers and query that carry a key; the body is the test's."""
    good: dict[str, Any]
    """A body that is taken."""
    success: int
    no_key: int = 401
    unknown_key: int = 401
    key_in_body: bool = False
    """The key is read from the body alone, so an unreadable body is nobody's."""
    takes_forms: bool = False
    reads_query: bool = False
    """Parameters may come in the query, so a body that is not read is no error."""
    error_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def in_query(url: str) -> Callable[[IntegrationInTest, str], dict[str, Any]]:
    return lambda _tool, key: {"url": url, "query_string": {"token": key} if key else {}}


def in_path(url: str) -> Callable[[IntegrationInTest, str], dict[str, Any]]:
    return lambda _tool, key: {"url": url.format(key=key or "-")}


def in_header(url: str) -> Callable[[IntegrationInTest, str], dict[str, Any]]:
    return lambda _tool, key: {"url": url, "headers": {"Authorization": f"Token token={key}"} if key else {}}


def native(_tool: IntegrationInTest, key: str) -> dict[str, Any]:
    return {"url": "/api/integrations/prometheus", "query_string": {"key": key} if key else {}}


EVENT = {"event_action": "trigger", "dedup_key": "k", "payload": {"summary": "disk full", "source": "db-1", "severity": "critical"}}
ALERTMANAGER = {"status": "firing", "alerts": [{"status": "firing", "labels": {"alertname": "DiskFull"}, "fingerprint": "f1"}]}
GENERIC = {"summary": "disk full", "details": "db-1", "dedup": "k"}
TEXT = "text/plain"

ENDPOINTS = {
    "intake.native": Endpoint("prometheus", native, ALERTMANAGER, 202),
    "intake.events": Endpoint("generic", in_header("/api/events"), EVENT, 202),
    "intake.pagerduty_events": Endpoint("events-v2", in_header("/v2/enqueue"), EVENT, 202, no_key=400, unknown_key=400),
    "intake.goalert_generic": Endpoint("generic", in_query("/api/v2/generic/incoming"), GENERIC, 204, takes_forms=True, reads_query=True, error_type=TEXT),
    "intake.goalert_generic_v1": Endpoint("generic", in_query("/v1/api/alerts"), GENERIC, 204, takes_forms=True, reads_query=True, error_type=TEXT),
    "intake.goalert_alertmanager": Endpoint("prometheus", in_query("/api/v2/prometheusalertmanager/incoming"), ALERTMANAGER, 200, error_type=TEXT),
    "intake.oncall": Endpoint("prometheus", in_path("/integrations/v1/alertmanager/{key}/"), ALERTMANAGER, 200, no_key=403, unknown_key=403, error_type=TEXT),
}
"""Every POST route of the intake edge by its endpoint; a route without a row fails the first test."""


@pytest.fixture(params=ENDPOINTS)
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    return ENDPOINTS[request.param]


@pytest.fixture
def tool(world: World, endpoint: Endpoint) -> IntegrationInTest:
    return world.integration(source=endpoint.source)


def post(world: World, endpoint: Endpoint, tool: IntegrationInTest, body: Any = b"", *, key: str | None = None, **request: Any) -> Answer:
    """Post a body (bytes, or a value that becomes JSON) with the integration's key or another."""
    sent = endpoint.request(tool, tool.key if key is None else key)
    headers = {**JSON, **sent.pop("headers", {}), **request.pop("headers", {})}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return world.post(sent.pop("url"), data=data, headers=headers, **sent, **request)


def is_refused(answer: Answer, endpoint: Endpoint, *statuses: int) -> None:
    """One of these codes, and a message in the door's own form."""
    assert answer.status in statuses, f"answered {answer.status}, not one of {statuses}: {answer.text[:500]}"
    assert answer.headers["content-type"].startswith(endpoint.error_type), answer.headers
    assert len(answer.text.strip()) > 10
    assert "Traceback" not in answer.text


def test_every_route_that_tools_post_to_has_a_row(app: Flask) -> None:
    routes = {rule.endpoint for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ()) and rule.endpoint.startswith("intake.")}

    assert routes == set(ENDPOINTS)


def test_good_input_is_taken(world: World, endpoint: Endpoint, tool: IntegrationInTest) -> None:
    post(world, endpoint, tool, endpoint.good).is_(endpoint.success)

    world.incident().is_triggered()


def test_no_key(world: World, endpoint: Endpoint, tool: IntegrationInTest) -> None:
    is_refused(post(world, endpoint, tool, endpoint.good, key=""), endpoint, endpoint.no_key)

    world.has_no_incident()


WRONG_KEYS = (OTHER_KEY, "x", "'; DROP TABLE alerts; --", "a" * 5000, "00000000-0000-0000-0000-000000000000")


def test_a_wrong_key(world: World, endpoint: Endpoint, tool: IntegrationInTest) -> None:
    for key in WRONG_KEYS:
        is_refused(post(world, endpoint, tool, endpoint.good, key=key), endpoint, endpoint.unknown_key)

    world.has_no_incident()


def test_a_disabled_integration(world: World, endpoint: Endpoint) -> None:
    tool = world.integration(source=endpoint.source, enabled=False)

    is_refused(post(world, endpoint, tool, endpoint.good), endpoint, 403)

    world.has_no_incident()
    assert tool.last_request().says("disabled", "enable").status == 403


BAD_JSON = (b"{", b"[1, 2", b"not json", b"\xff\xfe\x00", b'{"a": NaN}', b"\x00", b"{'a': 1}", b"<xml/>")


def test_bad_json(world: World, endpoint: Endpoint, tool: IntegrationInTest) -> None:
    for body in BAD_JSON:
        is_refused(post(world, endpoint, tool, body), endpoint, 400)
        seen = tool.last_request()
        assert (seen.status, seen.body) == (400, body)
        assert seen.error
        assert seen.verdict == "unrecognised" or endpoint.reads_query

    if not endpoint.reads_query:
        world.incident("Unrecognised payload").counts(triggers=len(BAD_JSON))


def test_no_body_at_all(world: World, endpoint: Endpoint, tool: IntegrationInTest) -> None:
    is_refused(post(world, endpoint, tool, b""), endpoint, 400)

    assert tool.last_request().status == 400


WRONG = [[], {}, None, 1, True, "text", [None], {"alerts": {}}, {"alerts": [1, None, []]}, [[[]]], {"": ""}]


def test_wrong_types_at_the_top(world: World, endpoint: Endpoint, tool: IntegrationInTest) -> None:
    for n, body in enumerate(WRONG, 1):
        is_refused(post(world, endpoint, tool, body), endpoint, 400)
        assert tool.last_request().status == 400
        assert tool.count_requests() == n


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of every value inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, each in inner for found in [(*path, key), *leaves(each, (*path, key))]]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a path."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


ODD = [None, 1, -1.5, True, [], {}, "", "x" * 100_000, ["a", None], {"a": {"b": [1]}}, 10**400]


@pytest.mark.parametrize("name", ENDPOINTS)
def test_any_field_may_hold_anything_without_a_500(world: World, name: str) -> None:
    endpoint = ENDPOINTS[name]
    tool = world.integration(source=endpoint.source)
    sent = 0
    for path in leaves(endpoint.good):
        for odd in ODD:
            world.clock.advance(minutes=1)  # more than 20 rejects a minute would share a row
            answer = post(world, endpoint, tool, replaced(endpoint.good, path, odd))
            assert answer.status in (endpoint.success, 400), f"{path} = {str(odd)[:50]!r}: {answer.status} {answer.text[:300]}"
            sent += 1
            assert tool.count_requests() == sent, f"{path} = {str(odd)[:50]!r} left no receipt"
            if answer.status == 400:
                is_refused(answer, endpoint, 400)


def test_a_body_of_two_mebibytes(world: World, endpoint: Endpoint, tool: IntegrationInTest) -> None:
    answer = post(world, endpoint, tool, {**endpoint.good, "padding": "x" * 2 * 1024 * 1024})

    is_refused(answer, endpoint, 413)
    answer.says("1048576")
    assert tool.last_request().reason == "too_large"
    world.has_no_incident()


@pytest.mark.parametrize("dirt", ["\x00", "\ud800", "a\x00b\udfff", "\x1b[31m", "\x7f", "\u202e", "😀" * 500])
def test_dirty_texts_are_taken_clean(world: World, endpoint: Endpoint, tool: IntegrationInTest, dirt: str) -> None:
    texts = [
        path
        for path in leaves(endpoint.good)
        if isinstance(value_at(endpoint.good, path), str) and path[-1] in ("summary", "details", "alertname", "fingerprint")
    ]
    body = endpoint.good
    for path in [*texts, *([("dedup_key",)] if "dedup_key" in endpoint.good else [])]:
        body = replaced(body, path, value_at(body, path) + dirt)

    post(world, endpoint, tool, body).is_(endpoint.success)

    incident = world.incident()
    incident.is_triggered()
    assert tool.last_request().verdict == "accepted"


def value_at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


@pytest.mark.parametrize("depth", [100, 5_000, 200_000])
@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
def test_deep_nesting(world: World, endpoint: Endpoint, tool: IntegrationInTest, depth: int, brackets: tuple[str, str]) -> None:
    opening, closing = brackets
    deep = opening * depth + "1" + closing * depth
    whole = json.dumps(endpoint.good)[:-1] + f', "custom_details": {deep}}}'

    answer = post(world, endpoint, tool, whole.encode())

    assert answer.status in (endpoint.success, 400, 413), answer.text[:300]
    assert tool.last_request().status == answer.status


CONTENT_TYPES = ("text/plain", "application/xml", "application/octet-stream", "", "nonsense", "application/json; charset=latin-1")


def test_a_wrong_content_type_is_no_reason_to_lose_an_alert(world: World, endpoint: Endpoint, tool: IntegrationInTest) -> None:
    for content_type in CONTENT_TYPES:
        answer = post(world, endpoint, tool, endpoint.good, headers={"Content-Type": content_type})
        seen = tool.last_request()
        assert seen.status == answer.status
        assert answer.status == endpoint.success or endpoint.reads_query, f"{content_type!r}: {answer.status} {answer.text[:300]}"
        assert answer.status in (endpoint.success, 400), f"{content_type!r}: {answer.status} {answer.text[:300]}"


def test_a_form_instead_of_json(world: World, endpoint: Endpoint, tool: IntegrationInTest) -> None:
    answer = post(world, endpoint, tool, b"summary=disk+full&details=x", headers={"Content-Type": "application/x-www-form-urlencoded"})

    if endpoint.takes_forms:
        answer.is_(endpoint.success)
    else:
        is_refused(answer, endpoint, 400)
        world.incident("Unrecognised payload")
    assert tool.last_request().status == answer.status


BROKEN_PARTS = (b"--x\r\nbroken", b"--x--", b"", b'--x\r\nContent-Disposition: form-data; name="summary"\r\n\r\ndisk')


def test_a_broken_multipart_body(world: World, endpoint: Endpoint, tool: IntegrationInTest) -> None:
    for n, body in enumerate(BROKEN_PARTS, 1):
        for content_type in ("multipart/form-data; boundary=x", "multipart/form-data"):
            answer = post(world, endpoint, tool, body, headers={"Content-Type": content_type})
            assert answer.status in (endpoint.success, 400), f"{body!r}: {answer.status} {answer.text[:300]}"
            assert tool.last_request().status == answer.status
        assert tool.count_requests() == 2 * n


QUERIES = ("%00", "%ff%fe", "a=%ED%A0%80", "&&&=&", "%", "a" * 8000, "&".join(f"p{n}=1" for n in range(3000)))


def test_a_strange_query(world: World, endpoint: Endpoint, tool: IntegrationInTest) -> None:
    sent = endpoint.request(tool, tool.key)
    own = "&".join(f"{name}={value}" for name, value in sent.pop("query_string", {}).items())
    for query in QUERIES:
        answer = world.post(sent["url"], data=json.dumps(endpoint.good), headers={**JSON, **sent.get("headers", {})}, query_string=f"{own}&{query}")
        assert answer.status == endpoint.success, f"{query[:50]}: {answer.status} {answer.text[:300]}"
        assert tool.last_request().status == answer.status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused(world: World, endpoint: Endpoint, tool: IntegrationInTest, method: str) -> None:
    sent = endpoint.request(tool, tool.key)

    answer = world.ask(method, sent.pop("url"), data=json.dumps(endpoint.good), headers={**JSON, **sent.pop("headers", {})}, **sent)

    assert answer.status in (404, 405)
    world.has_no_incident()


def test_a_get_stores_nothing(world: World, endpoint: Endpoint, tool: IntegrationInTest) -> None:
    sent = endpoint.request(tool, tool.key)

    answer = world.ask("GET", sent.pop("url"), **sent)

    assert answer.status in (200, 404, 405)
    assert not tool.requests()
    world.has_no_incident()


def test_an_unknown_source_is_not_found(world: World) -> None:
    tool = world.integration()

    world.post(f"/api/integrations/no-such-tool?key={tool.key}", json={}).is_(404).says("no-such-tool")
    world.post(f"/integrations/v1/no-such-tool/{tool.key}/", json={}).is_(404)


def test_the_process_goes_on_after_all_of_that(world: World) -> None:
    """A request that breaks the writer of a process would leave all later ones without an answer."""
    tool = world.integration(source="prometheus")
    odd_times = [
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-12:00",
        "2026-01-05T09:00:00",
        "2026-13-45T99:99:99Z",
        "-1",
        "",
        "null",
        "2026-01-05T09:00:00.123456789123Z",
    ]
    for n, starts_at in enumerate(odd_times):
        body = {
            "status": "firing",
            "alerts": [{"status": "firing", "labels": {"alertname": "A"}, "fingerprint": f"f{n}", "startsAt": starts_at, "endsAt": starts_at}],
        }
        tool.post(body).is_(202)
        tool.post({**body, "alerts": [{**body["alerts"][0], "status": "resolved"}]}).is_(202)  # type: ignore[dict-item]
        tool.post(body).is_(202)
