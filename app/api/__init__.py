"""Edge: the JSON API under /api/v1.  `register` turns the table of endpoints into routes and into their description."""

from __future__ import annotations

from flask import Blueprint, Flask, Response

from app.api import endpoints, errors, openapi, v1


def register(app: Flask) -> None:
    """Add the routes of this edge."""
    blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
    for endpoint in v1.ENDPOINTS:
        endpoints.add(blueprint, endpoint)
    blueprint.add_url_rule("/openapi.json", "openapi", _describe, methods=["GET"])
    errors.install(app, blueprint)
    app.register_blueprint(blueprint)


def _describe() -> Response:
    return endpoints.respond(openapi.document(v1.ENDPOINTS), 200)
