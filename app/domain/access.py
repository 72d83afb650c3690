"""Who is asking, and what they may: key and token look-up, and one table of permissions."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from app.core.errors import Forbidden, NotFound
from app.core.keys import Vault
from app.core.types import Severity
from app.domain.facts import IntegrationFacts, KeyFacts, PolicyFacts, Principal, RouteFacts, ServiceFacts
from app.models import EscalationPolicy, Integration, IntegrationKey, Meta, OutgoingWebhook, Route, Service, TeamMember, Token

SCOPES = (
    "*",
    "events:write",
    "incidents:read",
    "incidents:write",
    "services:read",
    "services:write",
    "integrations:read",
    "integrations:write",
    "people:read",
    "people:write",
    "receipts:read",
    "deliveries:read",
    "deliveries:write",
)
"""What an API key can be limited to; `*` is everything that its owner may."""

_RANK = {"observer": 0, "responder": 1, "manager": 2, "admin": 3}
_LEAST_ROLE = {
    "events:write": "responder",
    "incidents:read": "observer",
    "incidents:write": "responder",
    "services:read": "observer",
    "services:write": "manager",
    "integrations:read": "responder",
    "integrations:write": "manager",
    "people:read": "observer",
    "people:write": "admin",
    "receipts:read": "responder",
    "deliveries:read": "observer",
    "deliveries:write": "responder",
}
"""The least role that each verb needs."""


def may(principal: Principal, verb: str, team_id: int | None = None) -> bool:
    """Whether this asker may do `verb` to a thing of a team (None: a thing that no team owns).

    Reading is not bound to teams unless the token is.  Writing a team's things takes a member of it or an admin.
    """
    if "*" not in principal.scopes and verb not in principal.scopes:
        return False
    if _RANK.get(principal.role, -1) < _RANK[_LEAST_ROLE[verb]]:
        return False
    if principal.token_team_ids and team_id is not None and team_id not in principal.token_team_ids:
        return False
    if principal.token_team_ids and team_id is None and verb.endswith(":write"):
        return False
    if verb.endswith(":read") or principal.role == "admin" or team_id is None:
        return True
    return team_id in principal.team_ids


def require(principal: Principal, verb: str, team_id: int | None = None) -> None:
    """Refuse what `may` does not allow.

    Raises:
        Forbidden: it says whether the scope or the role is missing.
    """
    if may(principal, verb, team_id):
        return
    if "*" not in principal.scopes and verb not in principal.scopes:
        raise Forbidden(f"This API key lacks the scope {verb}.")
    raise Forbidden("You do not have permission to perform this action.")


def config_version(session: Session) -> int:
    """The number of the present catalog."""
    return session.scalars(select(Meta.config_version).where(Meta.id == 1)).one()


def integration_by_key(session: Session, vault: Vault, key_hash: str) -> IntegrationFacts | None:
    """The living integration that a key names; its expiry is for the caller to check."""
    owner = select(IntegrationKey.integration_id).where(IntegrationKey.key_hash == key_hash).scalar_subquery()
    return _integration(session, vault, Integration.id == owner)


def integration_by_intake_id(session: Session, vault: Vault, intake_id: str) -> IntegrationFacts | None:
    """The living integration of an `integrationId`."""
    return _integration(session, vault, Integration.intake_id == intake_id)


def integration_by_id(session: Session, vault: Vault, integration_id: int) -> IntegrationFacts | None:
    """The living integration with this row id."""
    return _integration(session, vault, Integration.id == integration_id)


def find_service(session: Session, ref: str) -> Service:
    """The living service of a PagerDuty id, public id, `svc_` and public id, or UUID.

    Raises:
        NotFound: there is none.
    """
    service = session.scalars(select(Service).where(_names_service(ref)).order_by(Service.pagerduty_id.is_(None)).limit(1)).one_or_none()
    if service is None:
        raise NotFound(f"There is no service {ref}.")
    return service


def builtin_integration_of(session: Session, vault: Vault, service_ref: str) -> IntegrationFacts | None:
    """The "API" integration of a service, when it has been made."""
    found = select(Integration.id).join(Service).where(_names_service(service_ref), Integration.is_builtin, Integration.archived_at.is_(None)).limit(1)
    return _integration(session, vault, Integration.id == found.scalar_subquery())


def _names_service(ref: str) -> ColumnElement[bool]:
    plain = ref.removeprefix("svc_")
    return and_(Service.archived_at.is_(None), or_(Service.pagerduty_id == ref, Service.public_id == plain, Service.uuid == plain.lower()))


def principal_by_token(session: Session, token_hash: str) -> Principal | None:
    """The owner of a living token; its expiry is for the caller to check."""
    token = session.scalars(
        select(Token).where(Token.token_hash == token_hash, Token.revoked_at.is_(None)).options(joinedload(Token.user), selectinload(Token.team_limits))
    ).one_or_none()
    if token is None or token.user.archived_at is not None or token.user.disabled_at is not None:
        return None
    teams = session.scalars(select(TeamMember.team_id).where(TeamMember.user_id == token.user_id))
    return Principal(
        user_id=token.user_id,
        public_id=token.user.public_id,
        name=token.user.name,
        email=token.user.email,
        role=token.user.role,
        team_ids=frozenset(teams),
        token_id=token.id,
        token_name=token.name,
        scopes=frozenset(token.scopes),
        token_team_ids=frozenset(limit.team_id for limit in token.team_limits),
        expires_at=token.expires_at,
        config_version=config_version(session),
    )


def is_expired(expires_at: datetime | None, now: datetime) -> bool:
    """Whether a time that may be absent has come."""
    return expires_at is not None and expires_at <= now


def _integration(session: Session, vault: Vault, condition: object) -> IntegrationFacts | None:
    version = config_version(session)  # read first: a later change then only means one needless second look
    row = session.scalars(
        select(Integration)
        .where(condition, Integration.archived_at.is_(None))  # type: ignore[arg-type]  # any SQL condition
        .options(
            joinedload(Integration.service).joinedload(Service.policy).selectinload(EscalationPolicy.steps),
            selectinload(Integration.keys),
            selectinload(Integration.routes).joinedload(Route.service).joinedload(Service.policy).selectinload(EscalationPolicy.steps),
            selectinload(Integration.routes).joinedload(Route.policy).selectinload(EscalationPolicy.steps),
        )
    ).one_or_none()
    if row is None or row.service.archived_at is not None:
        return None
    webhooks = session.scalars(select(OutgoingWebhook.id).where(OutgoingWebhook.enabled, OutgoingWebhook.archived_at.is_(None)).limit(1)).first()
    return IntegrationFacts(
        id=row.id,
        public_id=row.public_id,
        name=row.name,
        source=row.source,
        enabled=row.enabled,
        is_builtin=row.is_builtin,
        options=row.options,
        templates=row.templates,
        signature_secret=vault.open(row.signature_secret) if row.signature_secret else None,
        signature_scheme=row.signature_scheme,
        require_key=row.require_key,
        rate_limit=row.rate_limit,
        group_by=row.group_by,
        group_template=row.group_template,
        service=service_facts(row.service),
        routes=tuple(_route(route) for route in row.routes),
        keys=tuple(KeyFacts(key.key_hash, key.expires_at) for key in row.keys),
        has_webhooks=webhooks is not None,
        config_version=version,
    )


def service_facts(service: Service) -> ServiceFacts:
    """The picture of a service."""
    return ServiceFacts(
        id=service.id,
        public_id=service.public_id,
        uuid=service.uuid,
        name=service.name,
        team_id=service.team_id,
        severity_urgency=service.severity_urgency,
        default_severity=Severity(service.default_severity),
        policy=policy_facts(service.policy),
    )


def policy_facts(policy: EscalationPolicy | None) -> PolicyFacts | None:
    """The picture of a policy."""
    return PolicyFacts(policy.id, policy.snapshot_id, bool(policy.steps)) if policy else None


def _route(route: Route) -> RouteFacts:
    return RouteFacts(
        id=route.id,
        condition=route.condition,
        service=service_facts(route.service) if route.service and route.service.archived_at is None else None,
        policy=policy_facts(route.policy),
        severity=Severity(route.severity) if route.severity else None,
        group_template=route.group_template,
    )
