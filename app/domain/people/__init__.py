"""Users, teams, contact methods, notification rules and API keys; the same rules as in `domain.catalog`.

A password is hashed by `core.passwords` and an address prepared by `catalog.prepare_address` before a writing
transaction begins.
"""

from app.domain.people.contacts import (
    add_contact_method,
    archive_contact_method,
    check_contact_method,
    check_rules,
    set_notification_rules,
    update_contact_method,
)
from app.domain.people.teams import ROLES as TEAM_ROLES
from app.domain.people.teams import archive_team, check_team, create_team, find_team, set_members, update_team
from app.domain.people.tokens import check_token, create_token, find_token, revoke_token, update_token
from app.domain.people.users import (
    KINDS,
    ROLES,
    archive_user,
    check_user,
    create_user,
    disable_user,
    enable_user,
    find_user,
    set_password,
    update_user,
)

__all__ = [
    "KINDS",
    "ROLES",
    "TEAM_ROLES",
    "add_contact_method",
    "archive_contact_method",
    "archive_team",
    "archive_user",
    "check_contact_method",
    "check_rules",
    "check_team",
    "check_token",
    "check_user",
    "create_team",
    "create_token",
    "create_user",
    "disable_user",
    "enable_user",
    "find_team",
    "find_token",
    "find_user",
    "revoke_token",
    "set_members",
    "set_notification_rules",
    "set_password",
    "update_contact_method",
    "update_team",
    "update_token",
    "update_user",
]
