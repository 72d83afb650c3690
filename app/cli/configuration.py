"""`flask plan`, `flask apply`, `flask export`: the configuration file.  docs/configuration.md is its reference."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from typing import TextIO

import click
from flask.cli import with_appcontext

from app.cli.answers import THERE_ARE_CHANGES, answering, operator
from app.domain import configuration
from app.domain.configuration import Change, Document, Outdated, Plan
from app.wiring import transactions
from app.wiring.runtime import runtime

TRIES = 5
"""Times that a plan is made anew because somebody changed the catalog meanwhile."""
_SIGNS = {"create": ("+", "green"), "change": ("~", "yellow"), "archive": ("-", "red")}


@click.command("plan")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--prune", is_flag=True, help="Also archive what the file does not name, in the sections that it has.")
@click.option("--exit-code", is_flag=True, help=f"End with code {THERE_ARE_CHANGES} when there are changes, for scripts that watch for drift.")
@with_appcontext
@answering
def plan(file: TextIO, *, prune: bool, exit_code: bool) -> None:
    """Show what `flask apply FILE` would change; "-" reads standard input."""
    changes = plan_text(file.read(), os.environ, prune=prune).changes
    _show(changes, "to make with flask apply")
    if changes and exit_code:
        sys.exit(THERE_ARE_CHANGES)


@click.command("apply")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--prune", is_flag=True, help="Also archive what the file does not name, in the sections that it has.")
@with_appcontext
@answering
def apply(file: TextIO, *, prune: bool) -> None:
    """Make users, teams, policies, services … as FILE says, in one transaction; "-" reads standard input."""
    changes = apply_text(file.read(), os.environ, prune=prune)
    _show(changes, "made")


@click.command("export")
@click.argument("file", default="-", type=click.File("w", encoding="utf-8", lazy=True))
@with_appcontext
@answering
def export(file: TextIO) -> None:
    """Write the configuration as a file that `flask apply` takes; secrets stand in it as {env: NAME}."""
    rt = runtime()
    state = transactions.run(lambda session: configuration.load(session, rt.vault, now=rt.now()), "read")
    file.write(configuration.export(state))


def plan_text(text: str, environ: Mapping[str, str], *, prune: bool = False) -> Plan:
    """What the text of a file would change.

    Raises:
        InvalidFields: everything that is wrong with it.
    """
    return _plan(configuration.read(text, environ), prune)


def apply_text(text: str, environ: Mapping[str, str], *, prune: bool = False) -> tuple[Change, ...]:
    """Make it as the text of a file says; gives what was changed.

    Raises:
        InvalidFields: everything that is wrong with it.
        Conflict: something in use would be archived, or others change the catalog without end.
    """
    rt, actor = runtime(), operator()
    for attempt in range(TRIES):
        plan = _plan(configuration.read(text, environ), prune)
        if not plan.changes:
            break
        ready = configuration.prepare(plan, rt.vault)
        try:
            transactions.run(functools.partial(configuration.write, prepared=ready, vault=rt.vault, actor=actor, now=rt.now()))
        except Outdated:
            if attempt + 1 == TRIES:
                raise
        else:
            break
    return plan.changes


def _plan(document: Document, prune: bool) -> Plan:
    rt = runtime()
    state = transactions.run(lambda session: configuration.load(session, rt.vault, now=rt.now()), "read")
    return configuration.make_plan(document, state, prune=prune)


def _show(changes: tuple[Change, ...], done: str) -> None:
    for change in changes:
        sign, colour = _SIGNS[change.verb]
        click.echo(f"{click.style(sign, fg=colour)} {change}")
    click.echo(f"{len(changes)} change{'s' if len(changes) > 1 else ''} {done}." if changes else "Nothing to change.")


commands: tuple[click.Command, ...] = (plan, apply, export)
