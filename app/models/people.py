"""Users, teams, contact methods, notification rules, API tokens, sessions."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base, Json, UTCDateTime


class User(Base):
    """A person, or a service account that only holds tokens."""

    __tablename__ = "users"
    __table_args__ = (
        Index("uq_users_email_living", "email", unique=True, sqlite_where=text("archived_at IS NULL"), postgresql_where=text("archived_at IS NULL")),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    email: Mapped[str] = mapped_column(String(320))
    """Lower-case."""
    name: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16))
    """admin, manager, responder or observer."""
    kind: Mapped[str] = mapped_column(String(16), default="person")
    """person or service_account."""
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    password_hash: Mapped[str | None] = mapped_column(String(255))
    pagerduty_id: Mapped[str | None] = mapped_column(String(32), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    archived_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    contact_methods: Mapped[list[ContactMethod]] = relationship(back_populates="user", order_by="ContactMethod.id")
    notification_rules: Mapped[list[NotificationRule]] = relationship(back_populates="user", order_by="NotificationRule.after_seconds, NotificationRule.id")
    tokens: Mapped[list[Token]] = relationship(back_populates="user", order_by="Token.id")
    memberships: Mapped[list[TeamMember]] = relationship(back_populates="user")


class Team(Base):
    """A group of users that owns services and policies."""

    __tablename__ = "teams"
    __table_args__ = (
        Index("uq_teams_name_living", "name", unique=True, sqlite_where=text("archived_at IS NULL"), postgresql_where=text("archived_at IS NULL")),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    archived_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    members: Mapped[list[TeamMember]] = relationship(back_populates="team", order_by="TeamMember.id")


class TeamMember(Base):
    """A user's place in a team."""

    __tablename__ = "team_members"
    __table_args__ = (UniqueConstraint("team_id", "user_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="RESTRICT"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"), index=True)
    role: Mapped[str] = mapped_column(String(16), default="member")
    """lead or member."""
    team: Mapped[Team] = relationship(back_populates="members")
    user: Mapped[User] = relationship(back_populates="memberships")


class ContactMethod(Base):
    """A user's address on a channel."""

    __tablename__ = "contact_methods"
    __table_args__ = (
        Index(
            "uq_contact_methods_user_name_living", "user_id", "name", unique=True,
            sqlite_where=text("archived_at IS NULL"), postgresql_where=text("archived_at IS NULL"),
        ),
    )  # fmt: skip
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"))
    name: Mapped[str] = mapped_column(String(255))
    channel: Mapped[str] = mapped_column(String(64))
    address: Mapped[dict[str, str]] = mapped_column(Json)
    """The channel's fields; secret ones are sealed."""
    verified_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    verification_hash: Mapped[str | None] = mapped_column(String(64))
    verification_sent_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    disabled_reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    archived_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    user: Mapped[User] = relationship(back_populates="contact_methods")


class NotificationRule(Base):
    """A user's "after so long use this contact method", for one urgency."""

    __tablename__ = "notification_rules"
    __table_args__ = (UniqueConstraint("user_id", "urgency", "contact_method_id", "after_seconds"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"))
    contact_method_id: Mapped[int] = mapped_column(ForeignKey("contact_methods.id", ondelete="RESTRICT"))
    urgency: Mapped[str] = mapped_column(String(8))
    after_seconds: Mapped[int]
    user: Mapped[User] = relationship(back_populates="notification_rules")
    contact_method: Mapped[ContactMethod] = relationship()


class Token(Base):
    """An API key: hashed, scoped, expiring, shown once."""

    __tablename__ = "tokens"
    __table_args__ = (
        Index(
            "uq_tokens_user_name_living", "user_id", "name", unique=True,
            sqlite_where=text("revoked_at IS NULL"), postgresql_where=text("revoked_at IS NULL"),
        ),
    )  # fmt: skip
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"))
    name: Mapped[str] = mapped_column(String(255))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(16))
    """The first signs, so that people can tell their keys apart."""
    scopes: Mapped[list[str]] = mapped_column(Json)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    user: Mapped[User] = relationship(back_populates="tokens")
    team_limits: Mapped[list[TokenTeam]] = relationship(back_populates="token")


class TokenTeam(Base):
    """A team that a token is limited to; none at all means no such limit."""

    __tablename__ = "token_teams"
    token_id: Mapped[int] = mapped_column(ForeignKey("tokens.id", ondelete="RESTRICT"), primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="RESTRICT"), primary_key=True)
    token: Mapped[Token] = relationship(back_populates="team_limits")


class LoginSession(Base):
    """A browser's log-in, which can be revoked."""

    __tablename__ = "login_sessions"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    user_agent: Mapped[str] = mapped_column(String(255), default="")
    remote: Mapped[str] = mapped_column(String(64), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
