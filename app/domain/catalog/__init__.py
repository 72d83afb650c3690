"""What pages, API, commands and the configuration file change: one room behind four doors.

Every function that writes takes `actor` and `now`, leaves an audit entry and raises config_version.  Hashing, sealing
and the first check of templates cost time: do them (`seal`, `seal_key`, `prepare_address`, `check_…`) before a writing
transaction begins.
"""

from app.domain.catalog.addresses import Address, masked
from app.domain.catalog.addresses import check as check_address
from app.domain.catalog.addresses import opened as open_address
from app.domain.catalog.addresses import prepare as prepare_address
from app.domain.catalog.checks import unknown
from app.domain.catalog.destinations import archive_destination, check_destination, create_destination, update_destination
from app.domain.catalog.heartbeats import archive_heartbeat, check_heartbeat, create_heartbeat, rekey_heartbeat, update_heartbeat
from app.domain.catalog.integrations import (
    archive_integration,
    builtin_integration,
    check_integration,
    create_integration,
    living_keys,
    rotate_key,
    update_integration,
)
from app.domain.catalog.policies import TARGET_KINDS, Step, Target, archive_policy, check_policy, create_policy, policies_paging, replace_policy
from app.domain.catalog.records import bump, hold
from app.domain.catalog.routes import RouteSpec, check_routes, set_routes
from app.domain.catalog.secrets import Sealed, SealedKey, seal, seal_key
from app.domain.catalog.services import archive_service, check_service, create_service, default_service, living_integrations, update_service
from app.domain.catalog.webhooks import HTTP_METHODS, TRIGGER_TYPES, archive_webhook, check_webhook, create_webhook, update_webhook

__all__ = [
    "HTTP_METHODS",
    "TARGET_KINDS",
    "TRIGGER_TYPES",
    "Address",
    "RouteSpec",
    "Sealed",
    "SealedKey",
    "Step",
    "Target",
    "archive_destination",
    "archive_heartbeat",
    "archive_integration",
    "archive_policy",
    "archive_service",
    "archive_webhook",
    "builtin_integration",
    "bump",
    "check_address",
    "check_destination",
    "check_heartbeat",
    "check_integration",
    "check_policy",
    "check_routes",
    "check_service",
    "check_webhook",
    "create_destination",
    "create_heartbeat",
    "create_integration",
    "create_policy",
    "create_service",
    "create_webhook",
    "default_service",
    "hold",
    "living_integrations",
    "living_keys",
    "masked",
    "open_address",
    "policies_paging",
    "prepare_address",
    "rekey_heartbeat",
    "replace_policy",
    "rotate_key",
    "seal",
    "seal_key",
    "set_routes",
    "unknown",
    "update_destination",
    "update_heartbeat",
    "update_integration",
    "update_service",
    "update_webhook",
]
