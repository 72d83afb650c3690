"""Nonsense at every route: JSON with a reason, never HTML, never a 500."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.api import v1
from app.api.endpoints import Endpoint
from tests.api.conftest import Firm
from tests.api.test_permissions import ROWS, body_of

BY_NAME = {f"{endpoint.method} {endpoint.path}": endpoint for endpoint in v1.ENDPOINTS}
WITH_BODY = [name for name, endpoint in BY_NAME.items() if endpoint.body]
NASTY: tuple[Any, ...] = (
    *(None, True, 5, -1, 10**30, 1.5, 1e308, [], [[]], [None], {}, {"a": {"b": "c"}}),
    *("", " ", "x" * 70_000, "\x00", "a\x00b", "\ud800", "\u202e", "'; DROP TABLE users; --", "{{ 7 * 7 }}", "{% for %}"),
)
NO_JSON = (b"{", b"[1, 2", b"not json", b"\xff\xfe\x00", b'{"a": NaN}', b'{"a": Infinity}', b"\x00", b"<xml/>", b"[" * 200_000, b'{"a":' * 100_000, b"9" * 5000)
FORMS = (
    b"",
    b"%ff=%00&a",
    b"--x\r\n",
    b"\xff\x00",
    b"&" * 5000,
    b"a=b&" * 5000,
    b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n\x00\r\n--x--\r\n',
)
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data")
NO_IDS = ("0", "-1", "9" * 18, "9" * 40, "%00", "I%00", "%ff", "%ed%a0%80", "a" * 3000, "inc_", "%27%20OR%201=1", "..", "current%00", "٣")
NO_VALUES = (
    "",
    "%00",
    "x%00y",
    "%ff",
    "%ed%a0%80",
    "-1",
    "0",
    "1e9",
    "9" * 30,
    "null",
    "'",
    "%22",
    "a:b",
    "%25",
    "a" * 3000,
    "_",
    "0001-01-01_9999-12-31",
    "٣",
)


def is_refused(response: TestResponse, *statuses: int) -> None:
    assert response.status_code in statuses, f"{response.status_code}: {response.get_data(as_text=True)[:500]}"
    assert response.mimetype == "application/json"
    assert isinstance(response.get_json(), dict)


def is_no_fault(response: TestResponse) -> None:
    assert response.status_code < 500, f"{response.status_code}: {response.get_data(as_text=True)[:500]}"
    assert not response.get_data() or response.mimetype == "application/json"


@pytest.fixture(params=WITH_BODY)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def endpoint(name: str) -> Endpoint:
    return BY_NAME[name]


def ask(firm: Firm, name: str, **request: Any) -> TestResponse:
    return firm.ask(name.partition(" ")[0], ROWS[name].path(firm), **request)


def test_a_body_that_is_no_json(firm: Firm, name: str, endpoint: Endpoint) -> None:
    path = ROWS[name].path(firm)
    for body in NO_JSON:
        response = firm.ask(endpoint.method, path, data=body, content_type="application/json")
        is_refused(response, 400)
        assert response.get_json()["detail"].startswith("JSON parse error - ")


def test_a_body_that_is_no_object(firm: Firm, name: str, endpoint: Endpoint) -> None:
    path = ROWS[name].path(firm)
    for body in (b"[]", b'"text"', b"5", b"null", b"true", b"[{}]"):
        response = firm.ask(endpoint.method, path, data=body, content_type="application/json")
        is_refused(response, 400)
        assert "Expected a dictionary" in response.get_json()["non_field_errors"][0]


def test_each_field_with_each_wrong_value(firm: Firm, name: str, endpoint: Endpoint) -> None:
    path, good = ROWS[name].path(firm), body_of(ROWS[name], firm)
    for field in endpoint.body:
        for value in NASTY:
            response = firm.ask(endpoint.method, path, data=json.dumps({**good, field.name: value}), content_type="application/json")
            is_no_fault(response)
            if response.status_code == 400 and "detail" not in response.get_json():
                assert all(isinstance(why, list) for why in response.get_json().values())


def test_deep_objects_in_each_field(firm: Firm, name: str, endpoint: Endpoint) -> None:
    path = ROWS[name].path(firm)
    for field in endpoint.body:
        deep = '{"a":' * 500 + "1" + "}" * 500
        is_no_fault(firm.ask(endpoint.method, path, data=f'{{"{field.name}": {deep}}}', content_type="application/json"))


@pytest.mark.parametrize("route", [route for route, each in BY_NAME.items() if any(field.required for field in each.body) and not each.is_partial])
def test_what_is_missing_is_named_all_at_once(firm: Firm, route: str) -> None:
    required = [field.name for field in BY_NAME[route].body if field.required]

    response = ask(firm, route, json={})

    assert (response.status_code, response.get_json()) == (400, {field: ["This field is required."] for field in required})


def test_a_body_of_another_kind_is_a_415(firm: Firm, name: str, endpoint: Endpoint) -> None:
    path = ROWS[name].path(firm)
    for content_type in ("text/plain", "application/xml", "application/octet-stream", "x", "\u00fc/\u00fc", ""):
        response = firm.ask(endpoint.method, path, data=b"{}", content_type=content_type)
        is_refused(response, 415)
        assert "Unsupported media type" in response.get_json()["detail"]


def test_broken_forms(firm: Firm, name: str, endpoint: Endpoint) -> None:
    path = ROWS[name].path(firm)
    for content_type in FORM_TYPES:
        for body in FORMS:
            is_no_fault(firm.ask(endpoint.method, path, data=body, content_type=content_type))


def test_a_form_is_as_good_as_json(firm: Firm) -> None:
    shown = firm.ask("POST", "services", data={"name": "Form", "description": "made by a form"})

    assert (shown.status_code, shown.get_json()["description"]) == (201, "made by a form")


@pytest.mark.parametrize("route", ROWS)
def test_a_body_over_the_limit_is_a_413(firm: Firm, route: str) -> None:
    method = route.partition(" ")[0]
    path = ROWS[route].path(firm)

    for content_type in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        is_refused(firm.ask(method, path, data=b'{"name": "' + b"x" * 1_048_577 + b'"}', content_type=content_type), 413)


def test_a_body_in_chunks_is_limited_too(firm: Firm, name: str, endpoint: Endpoint) -> None:
    path = ROWS[name].path(firm)
    for content_type, body in [("application/json", b'{"name": "%s"}'), ("application/x-www-form-urlencoded", b"name=%s")]:
        chunks: dict[str, Any] = {"input_stream": BytesIO(body % (b"x" * 1_048_576)), "environ_overrides": {"wsgi.input_terminated": True}}
        is_refused(firm.ask(endpoint.method, path, content_type=content_type, **chunks), 413)


def test_a_body_that_ends_early_changes_nothing(firm: Firm) -> None:
    for content_type, body in [("application/json", b'{"name": "half"}'), ("application/x-www-form-urlencoded", b"name=half")]:
        is_refused(firm.ask("POST", "services", data=body, content_type=content_type, environ_overrides={"CONTENT_LENGTH": "1000"}), 400)
    assert firm.get("services?name=half")["count"] == 0


@pytest.mark.parametrize("route", [route for route in ROWS if "<ref>" in route])
def test_ids_that_name_nothing_are_a_404(firm: Firm, route: str) -> None:
    endpoint, body = BY_NAME[route], body_of(ROWS[route], firm)
    for ref in NO_IDS:
        response = firm.ask(endpoint.method, endpoint.path.replace("<ref>", ref), json=body)
        is_refused(response, 404)
        assert response.get_json() == {"detail": "Not found."}


@pytest.mark.parametrize("route", [route for route in ROWS if route.startswith("GET")])
def test_each_parameter_with_each_wrong_value(firm: Firm, route: str) -> None:
    path = ROWS[route].path(firm)
    for parameter in [each.name for each in BY_NAME[route].filters] + ["page", "perpage", "cursor"]:
        for value in NO_VALUES:
            is_no_fault(firm.ask("GET", f"{path}?{parameter}={value}&{parameter}={value}"))


def test_unknown_addresses_and_methods_are_json_too(firm: Firm) -> None:
    for path in ("nothing", "alert_groups/x/nothing", "/users", "users/current/x", "openapi.json/"):
        is_refused(firm.ask("GET", path), 404)
    is_refused(firm.app.test_client().get("/api/v1"), 404)
    refused = firm.ask("DELETE", "users")
    is_refused(refused, 405)
    assert refused.get_json() == {"detail": 'Method "DELETE" not allowed.'}
    assert "GET" in refused.headers["Allow"]
    is_refused(firm.ask("GET", "alert_groups/1/acknowledge"), 405)
    is_refused(firm.ask("BREW", "users"), 405)
    is_refused(firm.ask("OPTIONS", "users"), 405)


def test_a_slash_at_the_end_is_a_matter_of_taste(firm: Firm, app: Flask) -> None:
    number = firm.alert()

    for path in ("alert_groups", f"alert_groups/{number}", "users/current", "incidents", "unknown_key_requests"):
        assert firm.ask("GET", path).status_code == firm.ask("GET", f"{path}/").status_code == 200
    assert firm.ask("POST", f"alert_groups/{number}/acknowledge").status_code == 200
    assert firm.ask("POST", f"alert_groups/{number}/resolve/").status_code == 200
