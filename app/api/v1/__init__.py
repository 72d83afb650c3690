"""Version 1: one module per noun; `ENDPOINTS` is the whole public surface."""

from __future__ import annotations

from app.api.endpoints import Endpoint
from app.api.v1 import alert_groups, alerts, deliveries, incidents, integrations, receipts, services, teams, users

NOUNS = (alert_groups, alerts, integrations, users, teams, incidents, services, receipts, deliveries)
ENDPOINTS: tuple[Endpoint, ...] = tuple(endpoint for noun in NOUNS for endpoint in noun.ENDPOINTS)
