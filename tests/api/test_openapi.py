"""The description of the API is public, and its answers are what they are said to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.api import v1
from app.api.endpoints import Endpoint, Shape
from tests.api.conftest import Firm
from tests.api.test_permissions import ROWS, body_of, made_delivery

KINDS: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "boolean": (bool,), "datetime": (str,), "object": (dict,), "list": (list,)}


def fits(shown: dict[str, Any], shape: Shape) -> None:
    assert list(shown) == list(shape)
    for name, kind in shape.items():
        value = shown[name]
        if value is None:
            assert kind.endswith("?"), name
        else:
            assert isinstance(value, KINDS[kind.removesuffix("?")]), f"{name} is {value!r}"
            assert not (kind.startswith("integer") and isinstance(value, bool)), name


@pytest.mark.parametrize("endpoint", v1.ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_answers_have_the_shape_that_is_described(firm: Firm, endpoint: Endpoint) -> None:
    row = ROWS[f"{endpoint.method} {endpoint.path}"]
    if endpoint.path in ("alert_groups", "alerts", "incidents", "receipts", "deliveries"):
        made_delivery(firm)
    if endpoint.path == "unknown_key_requests":
        firm.app.test_client().post("/api/v2/generic/incoming?token=wrong", json={"summary": "x"})

    response = firm.ask(endpoint.method, row.path(firm), json=body_of(row, firm))

    assert response.status_code == endpoint.success
    if endpoint.shape is None:
        assert response.get_data() == b""
        assert "Content-Type" not in response.headers
    elif endpoint.paged:
        assert response.get_json()["results"]
        for each in response.get_json()["results"]:
            fits(each, endpoint.shape)
    else:
        fits(response.get_json(), endpoint.shape)


def test_the_document_describes_every_endpoint_to_anybody(firm: Firm) -> None:
    response = firm.app.test_client().get("/api/v1/openapi.json")

    document = response.get_json()
    assert (response.status_code, response.mimetype, document["openapi"]) == (200, "application/json", "3.1.0")
    described = {f"{method.upper()} {path[1:]}" for path, item in document["paths"].items() for method in item}
    assert described == {f"{endpoint.method} {endpoint.path}".replace("<", "{").replace(">", "}") for endpoint in v1.ENDPOINTS}
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for operation in operations:
        assert operation["summary"]
        assert {"400", "403", "404", "503"} < set(operation["responses"])
    create = document["paths"]["/integrations"]["post"]
    assert create["requestBody"]["content"]["application/json"]["schema"]["required"] == ["type"]
    assert "required" not in document["paths"]["/integrations/{ref}"]["put"]["requestBody"]["content"]["application/json"]["schema"]
    listed = document["paths"]["/alert_groups"]["get"]
    assert {"state", "label", "page", "perpage"} <= {parameter["name"] for parameter in listed["parameters"]}
    item = listed["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["results"]["items"]
    assert item["properties"]["resolved_at"] == {"type": ["string", "null"], "format": "date-time"}


def test_the_documentation_names_every_route_with_its_scope() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "api.md").read_text().splitlines()

    documented = {tuple(cell.strip(" `") for cell in line.split("|")[1:3]) for line in lines if line.startswith(("| `GET", "| `P", "| `DELETE"))}

    assert documented == {(f"{endpoint.method} {endpoint.path}", endpoint.verb) for endpoint in v1.ENDPOINTS}
