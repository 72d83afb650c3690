"""`flask user …` and `flask token …`: the first admin, and whatever a shell on the server is good for."""

from __future__ import annotations

import os
import sys
from datetime import timedelta

import click
from flask.cli import with_appcontext
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cli.answers import answering, operator
from app.core import passwords
from app.core.errors import Invalid, NotFound
from app.core.text import parse_duration
from app.domain import access, people
from app.models import Token, User
from app.wiring import transactions
from app.wiring.runtime import runtime

NO_PASSWORD_MEANS = "Without one nobody can log in as this user."  # noqa: S105 - a help text


@click.group("user")
def user_group() -> None:
    """Create, list, disable users; set passwords."""


@user_group.command("create")
@click.argument("email")
@click.option("--name", help="Defaults to the part before the @.")
@click.option("--role", type=click.Choice(people.ROLES), default="responder", show_default=True)
@click.option("--timezone", default="UTC", show_default=True)
@click.option("--service-account", is_flag=True, help="For programs: holds API keys, has no password.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@click.option("--password-env", metavar="NAME", help="Take the password from this variable of the environment.")
@click.option("--no-password", is_flag=True, help=NO_PASSWORD_MEANS)
@with_appcontext
@answering
def create_user(
    *, email: str, name: str | None, role: str, timezone: str, service_account: bool, password_stdin: bool, password_env: str | None, no_password: bool
) -> None:
    """Create a user; the first one of an installation with --role admin."""
    kind = "service_account" if service_account else "person"
    fields = people.check_user({"email": email, "name": name or email.partition("@")[0], "role": role, "timezone": timezone, "kind": kind})
    password_hash = None if service_account or no_password else passwords.make_hash(_password(from_stdin=password_stdin, variable=password_env))
    actor, now = operator(), runtime().now()

    def write(session: Session) -> User:
        return people.create_user(session, **fields, password_hash=password_hash, actor=actor, now=now)

    user = transactions.run(write)
    click.echo(f"Created {user.role} {user.name} <{user.email}>.")


@user_group.command("list")
@with_appcontext
@answering
def list_users() -> None:
    """List the users: address, name, role, and what is special about them."""
    users = transactions.run(lambda session: session.scalars(select(User).where(User.archived_at.is_(None)).order_by(User.email)).all(), "read")
    for user in users:
        special = [
            word
            for word, holds in (("disabled", user.disabled_at), ("service account", user.kind != "person"), ("no password", not user.password_hash))
            if holds
        ]
        click.echo("\t".join([user.email, user.name, user.role, ", ".join(special)]).rstrip())


@user_group.command("password")
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@click.option("--password-env", metavar="NAME", help="Take the password from this variable of the environment.")
@with_appcontext
@answering
def set_password(*, email: str, password_stdin: bool, password_env: str | None) -> None:
    """Set a user's password; their browsers are logged out."""
    transactions.run(lambda session: _user(session, email), "read")  # refuse before asking
    password_hash = passwords.make_hash(_password(from_stdin=password_stdin, variable=password_env))
    actor, now = operator(), runtime().now()
    transactions.run(lambda session: people.set_password(session, _user(session, email), password_hash=password_hash, actor=actor, now=now))
    click.echo(f"Set the password of {email}.")


@user_group.command("disable")
@click.argument("email")
@with_appcontext
@answering
def disable_user(*, email: str) -> None:
    """Let a user in no more, nor their API keys; they are paged no more."""
    actor, now = operator(), runtime().now()
    changed = transactions.run(lambda session: people.disable_user(session, _user(session, email), actor=actor, now=now))
    click.echo(f"Disabled {email}." if changed else f"{email} is disabled already.")


@user_group.command("enable")
@click.argument("email")
@with_appcontext
@answering
def enable_user(*, email: str) -> None:
    """Let a disabled user in again."""
    actor, now = operator(), runtime().now()
    changed = transactions.run(lambda session: people.enable_user(session, _user(session, email), actor=actor, now=now))
    click.echo(f"Enabled {email}." if changed else f"{email} is not disabled.")


@click.group("token")
def token_group() -> None:
    """Create, list and revoke API keys."""


@token_group.command("create")
@click.argument("email")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(access.SCOPES), help="What it may do; repeat for more. Default: * – all that its owner may."
)
@click.option("--team", "teams", multiple=True, help="Limit it to a team's things; repeat for more.")
@click.option("--expires", metavar="DURATION", help="When it runs out, as 90d or 12h; without: never.")
@with_appcontext
@answering
def create_token(*, email: str, name: str, scopes: tuple[str, ...], teams: tuple[str, ...], expires: str | None) -> None:
    """Create an API key called NAME of the user EMAIL, and print it: the only time that it can be seen."""
    actor, now = operator(), runtime().now()
    expires_at = now + timedelta(seconds=_duration(expires)) if expires else None

    def write(session: Session) -> str:
        limits = [_team_id(session, team) for team in teams]
        return people.create_token(
            session, _user(session, email), name=name, scopes=scopes or ("*",), expires_at=expires_at, team_ids=limits, actor=actor, now=now
        )[1]

    plain = transactions.run(write)
    click.echo("Keep it: it is not stored and cannot be shown again.", err=True)
    click.echo(plain)


@token_group.command("list")
@click.argument("email", required=False)
@with_appcontext
@answering
def list_tokens(*, email: str | None) -> None:
    """List the API keys, of all users or of one: owner, name, first signs, scopes, end, last use."""

    def read(session: Session) -> list[str]:
        query = select(Token, User.email).join(User, Token.user_id == User.id).where(Token.revoked_at.is_(None)).order_by(User.email, Token.name)
        if email:
            query = query.where(Token.user_id == _user(session, email).id)
        return [_token_line(token, owner) for token, owner in session.execute(query)]

    for line in transactions.run(read, "read"):
        click.echo(line)


@token_group.command("revoke")
@click.argument("email")
@click.argument("name")
@with_appcontext
@answering
def revoke_token(*, email: str, name: str) -> None:
    """Make an API key useless at once."""
    actor, now = operator(), runtime().now()

    def write(session: Session) -> None:
        token = people.find_token(session, _user(session, email), name)
        if token is None:
            raise NotFound(f'{email} has no API key called "{name}".')
        people.revoke_token(session, token, actor=actor, now=now)

    transactions.run(write)
    click.echo(f'Revoked the API key "{name}" of {email}.')


def _password(*, from_stdin: bool, variable: str | None) -> str:
    """A password from where it cannot be seen by others; never from the command line."""
    if variable:
        given = os.environ.get(variable, "")
        if not given:
            raise Invalid("password", f"The environment has no {variable}.")
    elif from_stdin:
        given = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        given = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        raise Invalid("password", "There is no terminal to ask at: use --password-stdin or --password-env NAME.")
    return passwords.check(given)


def _user(session: Session, email: str) -> User:
    user = people.find_user(session, email)
    if user is None:
        raise NotFound(f"There is no user {email}.")
    return user


def _team_id(session: Session, name: str) -> int:
    team = people.find_team(session, name)
    if team is None:
        raise NotFound(f"There is no team {name}.")
    return team.id


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise Invalid("expires", f"The end of the key: {error}.") from error


def _token_line(token: Token, owner: str) -> str:
    ends = f"{token.expires_at:%Y-%m-%d %H:%M} UTC" if token.expires_at else "never ends"
    used = f"used {token.last_used_at:%Y-%m-%d %H:%M} UTC" if token.last_used_at else "never used"
    return "\t".join([owner, token.name, token.hint, " ".join(token.scopes), ends, used])


commands: tuple[click.Command, ...] = (user_group, token_group)
