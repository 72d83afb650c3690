"""Edge: where tools post.  `register` is the table of its URLs."""

from __future__ import annotations

from flask import Blueprint, Flask

from app.intake import events, native
from app.intake.compat import goalert, oncall, pagerduty


def register(app: Flask) -> None:
    """Add the routes of this edge."""
    tools = Blueprint("intake", __name__)
    add = tools.add_url_rule

    # our own (seed 001)
    add("/api/integrations/<source>", "native", native.receive, methods=["POST"])
    add("/api/events", "events", events.receive, methods=["POST"])

    # PagerDuty
    add("/v2/enqueue", "pagerduty_events", pagerduty.enqueue, methods=["POST"])

    # GoAlert (seed 000)
    add("/api/v2/generic/incoming", "goalert_generic", goalert.generic, methods=["POST"])
    add("/v1/api/alerts", "goalert_generic_v1", goalert.generic, methods=["POST"])
    add("/api/v2/prometheusalertmanager/incoming", "goalert_alertmanager", goalert.alertmanager, methods=["POST"])
    for path in ("/api/v2/generic/incoming", "/v1/api/alerts", "/api/v2/prometheusalertmanager/incoming"):
        add(path, "goalert_not_found", goalert.not_found, methods=["GET"])

    # Grafana OnCall (seed 002)
    add("/integrations/v1/<slug>/<key>/", "oncall", oncall.receive, methods=["POST"])
    add("/integrations/v1/<slug>/<key>/", "oncall_help", oncall.explain, methods=["GET"])

    app.register_blueprint(tools)
