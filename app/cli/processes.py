"""`flask hub`, and the processes that it runs: `worker`, `ticker`, `smtp`; `tick` is one pass of the ticker by hand."""

from __future__ import annotations

import sys

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from app.hub import supervisor, unix
from app.settings import BadSettingError
from app.wiring import log
from app.wiring.runtime import runtime
from app.wiring.transactions import DatabaseAway

WRONG_USE = 2


@click.command("hub")
@click.option("--stop-with-parent", is_flag=True, help="Stop when the program that started this one ends (as `make run` wants).")
@with_appcontext
def run_hub(*, stop_with_parent: bool) -> None:
    """Run all of Tocsin: migrate, then web, worker, ticker, mail listener and an embedded Redis, supervised."""
    if stop_with_parent:
        unix.stop_with_parent()
    try:
        sys.exit(supervisor.run(_app()))
    except (BadSettingError, unix.AlreadyRunningError) as error:
        _give_up(str(error), WRONG_USE)
    except DatabaseAway as error:
        _give_up(f"the database cannot be reached: {error}", 1)


@click.command("worker")
@with_appcontext
def run_worker() -> None:
    """Send what is due: escalations and outgoing messages, fed through Redis."""
    from app.engine import worker

    log.start("worker", runtime().settings.log_level)
    worker.serve(_app())


@click.command("ticker")
@with_appcontext
def run_ticker() -> None:
    """Watch what becomes due, and hand it to the workers; without Redis, send it."""
    from app.engine import ticker

    log.start("ticker", runtime().settings.log_level)
    ticker.serve(_app())


@click.command("smtp")
@with_appcontext
def run_smtp() -> None:
    """Take alerts by mail."""
    from app.intake import smtp

    log.start("smtp", runtime().settings.log_level)
    smtp.serve(_app())


@click.command("tick")
@with_appcontext
def tick_once() -> None:
    """Do one pass of everything that is due now, and end."""
    from app.engine import tick

    log.start("tick", runtime().settings.log_level)
    tick.run(_app(), runtime().now())


def _app() -> Flask:
    """The app itself, for code that outlives this context."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # the proxy's own way, not in its type
    return app


def _give_up(why: str, code: int) -> None:
    click.echo(f"tocsin: {' '.join(why.split())}", err=True)
    sys.exit(code)


commands: tuple[click.Command, ...] = (run_hub, run_worker, run_ticker, run_smtp, tick_once)
