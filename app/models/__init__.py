"""Tables only: columns, relations, constraints.  No queries and no rules."""

from app.models.alerts import Alert, Receipt, ReceiptEvent, UnknownKeyRequest
from app.models.audit import AuditEntry, ManagerRun, Meta, Process, StoredSetting
from app.models.base import Base
from app.models.deliveries import Attempt, Delivery, OutgoingWebhook, WebhookResponse
from app.models.escalations import Destination, EscalationPolicy, EscalationStep, EscalationTarget, PolicySnapshot
from app.models.incidents import Assignment, Incident, TimelineEntry
from app.models.people import ContactMethod, LoginSession, NotificationRule, Team, TeamMember, Token, TokenTeam, User
from app.models.schedules import Override, Rotation, RotationMember, Schedule
from app.models.services import HeartbeatMonitor, Integration, IntegrationKey, MaintenanceWindow, Route, Service

__all__ = [
    "Alert",
    "Assignment",
    "Attempt",
    "AuditEntry",
    "Base",
    "ContactMethod",
    "Delivery",
    "Destination",
    "EscalationPolicy",
    "EscalationStep",
    "EscalationTarget",
    "HeartbeatMonitor",
    "Incident",
    "Integration",
    "IntegrationKey",
    "LoginSession",
    "MaintenanceWindow",
    "ManagerRun",
    "Meta",
    "NotificationRule",
    "OutgoingWebhook",
    "Override",
    "PolicySnapshot",
    "Process",
    "Receipt",
    "ReceiptEvent",
    "Rotation",
    "RotationMember",
    "Route",
    "Schedule",
    "Service",
    "StoredSetting",
    "Team",
    "TeamMember",
    "TimelineEntry",
    "Token",
    "TokenTeam",
    "UnknownKeyRequest",
    "User",
    "WebhookResponse",
]
