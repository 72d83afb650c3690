"""Looking after an installation: `doctor`, `migrate`, `prune`, `backup`, `rotate-secret`, `settings`."""

from __future__ import annotations

import functools
import os
import sqlite3
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from app.cli import doctor, settings_page
from app.core.errors import LostKey
from app.domain import retention, sealed
from app.wiring import transactions
from app.wiring.runtime import runtime
from app.wiring.schema import bring_up_to_date
from app.wiring.vitals import Level

_MARKS = {Level.OK: "ok  ", Level.DEGRADED: "warn", Level.DOWN: "FAIL"}
_COLOURS = {Level.OK: "green", Level.DEGRADED: "yellow", Level.DOWN: "red"}


@click.command("doctor")
@with_appcontext
def examine() -> None:
    """Say what is wrong and what to do; ends with code 1 when something must be done."""
    findings = doctor.examine()
    for finding in findings:
        click.echo(f"{click.style(_MARKS[finding.level], fg=_COLOURS[finding.level])}  {finding.part:<12} {finding.summary}")
        if finding.advice:
            click.echo(f"                    {finding.advice}")
    sys.exit(1 if any(finding.level is Level.DOWN for finding in findings) else 0)


@click.command("migrate")
@with_appcontext
def migrate() -> None:
    """Bring the database's tables up to date (`flask hub` does it at its start)."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # the proxy's own way, not in its type
    bring_up_to_date(app)
    click.echo("The tables are up to date.")


@click.command("prune")
@with_appcontext
def prune() -> None:
    """Forget old receipts as RECEIPT_BODY_DAYS, RECEIPT_DAYS and RECEIPT_ROWS say (the ticker does it too)."""
    settings, now = runtime().settings, runtime().now()
    keep = retention.Keep(settings.receipt_body_days, settings.receipt_days, settings.receipt_rows)
    deleted, emptied = 0, 0
    start: int | None = 0
    while start is not None:
        done = transactions.run(functools.partial(_prune_slice, keep=keep, start=start, now=now))
        deleted, emptied, start = deleted + done.deleted, emptied + done.emptied, done.next_id
    click.echo(f"Deleted {deleted} receipts, and the bodies of {emptied} more.")


def _prune_slice(session: Session, *, keep: retention.Keep, start: int, now: datetime) -> retention.Pruned:
    return retention.prune_receipts(session, keep, start, now=now)


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@with_appcontext
def back_up(file: Path) -> None:
    """Copy the SQLite database to FILE while Tocsin runs."""
    settings = runtime().settings
    if not settings.is_sqlite:
        raise click.ClickException("The database is PostgreSQL: back it up with its own tool, as in  pg_dump --format=custom --file=tocsin.dump DATABASE")
    if file.exists():
        raise click.ClickException(f"{file} exists; a backup overwrites nothing.")
    copy_database(Path(str(make_url(settings.database_url).database)), file)
    click.echo(f"Copied to {file} ({file.stat().st_size:,} bytes).")
    if settings.keeps_secret_key:
        click.echo(f"Keep {settings.data_dir / 'secret_key'} with it, in a safe place: without it the stored secrets do not open.")


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database in use, consistently; a copy that is interrupted leaves no file under the target's name."""
    unfinished = target.with_name(target.name + ".part")
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as original, closing(sqlite3.connect(unfinished)) as copy:
        original.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without -wal beside it
    unfinished.rename(target)


@click.command("rotate-secret")
@with_appcontext
def rotate_secret() -> None:
    """Seal every stored secret anew with SECRET_KEY; needs the former key in SECRET_KEY_OLD (see docs/production.md)."""
    vault = runtime().vault
    found = transactions.run(lambda session: list(sealed.cells(session)), "read")
    try:
        pairs = [(cell, sealed.reseal(cell, vault)) for cell in found]  # before any transaction: encrypting takes its time
    except LostKey as error:
        raise click.ClickException(f"{error} Nothing was changed.") from error
    changed = transactions.run(lambda session: sum(sealed.replace(session, old, new) for old, new in pairs))
    click.echo(f"Sealed {changed} of {len(found)} secrets with the present key. SECRET_KEY_OLD can go once every process runs with the new key.")


@click.command("settings")
@click.option("--write", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write the page of documentation to this file instead.")
@with_appcontext
def show_settings(target: Path | None) -> None:
    """Show every setting with its value and where it comes from; secrets are masked."""
    if target is None:
        click.echo(settings_page.table(runtime().settings))
        return
    target.write_text(settings_page.markdown())
    click.echo(f"Wrote {target}.")


commands: tuple[click.Command, ...] = (examine, migrate, prune, back_up, rotate_secret, show_settings)
