"""Edge: pages for people, and what machines ask about Tocsin's own health."""

from __future__ import annotations

from flask import Blueprint, Flask, Response

from app.pages import answers, health, home

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
BLUEPRINTS: tuple[Blueprint, ...] = (home.blueprint, health.blueprint, answers.blueprint)


def register(app: Flask) -> None:
    """Add the routes of this edge."""
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)


def add_security_headers(response: Response) -> Response:
    """Tell the browser to run and frame nothing that is not ours."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


for _blueprint in BLUEPRINTS:
    _blueprint.after_request(add_security_headers)
