"""The API's description in OpenAPI 3.1, made from the table of endpoints, so that it cannot differ from the routes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from app.api import paging
from app.api.asking import Field, Filter
from app.api.endpoints import Endpoint, Shape
from app.core.version import VERSION
from app.wiring.runtime import runtime

_KINDS: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
    "object": {"type": "object"},
    "list": {"type": "array", "items": {}},
}
_REFUSALS = {
    "400": "A field or parameter is wrong: {field: [why]}, or {detail}.",
    "403": "No valid token, or it may not do this.",
    "404": "There is no such thing.",
    "409": "It cannot be done in this state.",
    "503": "The database is away; try again after Retry-After seconds.",
}


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The whole description."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = "/" + re.sub(r"<(\w+)>", r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tocsin", "version": VERSION, "description": "Grafana OnCall's shapes for its nouns, and Tocsin's own in the same style."},
        "servers": [{"url": f"{runtime().settings.base_url}/api/v1"}],
        "security": [{"token": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "The bare token, as OnCall has it."},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "schemas": {"Refusal": {"type": "object", "description": "{detail} or {field: [why]}", "properties": {"detail": {"type": "string"}}}},
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    filters = (*endpoint.filters, *(paging.FILTERS if endpoint.paged else ()))
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": f"Needs the scope `{endpoint.verb}`.",
        "tags": [endpoint.path.partition("/")[0]],
        "parameters": [*_path_parameters(endpoint.path), *map(_query_parameter, filters)],
        "responses": {str(endpoint.success): _success(endpoint), **{status: _refusal(text) for status, text in _REFUSALS.items()}},
    }
    if endpoint.body:
        schema = _body(endpoint.body, is_partial=endpoint.is_partial)
        media = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
        operation["requestBody"] = {"content": {kind: {"schema": schema} for kind in media}}
    return operation


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in re.findall(r"<(\w+)>", path)]


def _query_parameter(parameter: Filter) -> dict[str, Any]:
    return {"name": parameter.name, "in": "query", "description": parameter.help, "schema": {"type": "string"}}


def _success(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.shape is None:
        return {"description": "Done; the body is empty."}
    schema = _object(endpoint.shape)
    if endpoint.paged:
        envelope = _object({name: kind for name, kind in paging.ENVELOPE.items() if name != "results"})
        envelope["properties"]["results"] = {"type": "array", "items": schema}
        envelope["required"] = [name for name in paging.ENVELOPE if name not in paging.SOMETIMES]
        schema = envelope
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}}


def _refusal(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}}


def _object(shape: Shape) -> dict[str, Any]:
    return {"type": "object", "properties": {name: _kind(kind) for name, kind in shape.items()}, "required": list(shape)}


def _kind(kind: str) -> dict[str, Any]:
    plain = _KINDS[kind.removesuffix("?")]
    return {**plain, "type": [plain["type"], "null"]} if kind.endswith("?") else plain


def _body(fields: Iterable[Field], *, is_partial: bool) -> dict[str, Any]:
    properties = {field.name: {**_kind(field.kind + "?" * field.nullable), **({"description": field.help} if field.help else {})} for field in fields}
    required = [field.name for field in fields if field.required and not is_partial]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}
