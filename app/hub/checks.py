"""What the hub makes sure of before it starts anything: one clear line now beats five restarting processes later."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable

from sqlalchemy import text

from app.core.clock import monotonic
from app.hub.unix import is_taken
from app.settings import BadSettingError, Settings
from app.wiring import transactions
from app.wiring.transactions import DatabaseAway

PATIENCE = 60.0
"""Seconds to wait for a database that starts at the same time as we do."""


def refuse_what_cannot_work(settings: Settings) -> None:
    """Check what can only be known on this machine.

    Raises:
        BadSettingError: naming the setting and what to do.
    """
    _check_tls(settings)
    for name, (host, port) in {"HOST": (settings.host, settings.port), "SMTP_LISTEN": settings.smtp_listen}.items():
        try:
            taken = is_taken(host, port)
        except OSError as error:
            raise BadSettingError(f"{name}: cannot listen on {host}:{port}: {error.strerror or error}") from error
        if taken and name == "HOST":
            raise BadSettingError(
                f"PORT: {host}:{port} is already in use. Stop the program that listens there, or choose another port: PORT={port + 1} make run"
            )


def wait_for_database(tell: Callable[[str], None]) -> None:
    """Return when the database answers.

    Raises:
        DatabaseAway: it did not for a minute.
    """
    deadline, told = monotonic() + PATIENCE, False
    while True:
        try:
            transactions.run(lambda session: session.execute(text("SELECT 1")), "read")
        except DatabaseAway as error:
            if monotonic() > deadline:
                raise
            if not told:
                tell(f"the database cannot be reached yet; trying for {PATIENCE:.0f} s: {first_line(error)}")
                told = True
            time.sleep(1)
        else:
            return


def first_line(error: Exception) -> str:
    """The beginning of what a driver says."""
    return str(error).strip().partition("\n")[0]


def _check_tls(settings: Settings) -> None:
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise BadSettingError("TLS_CERT and TLS_KEY go together: set both, or none")
    if not settings.tls_cert:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as error:  # ssl.SSLError is one
        raise BadSettingError(f"TLS_CERT, TLS_KEY: this pair of files cannot be used: {error}") from error
    with open(settings.tls_key) as file:
        if "BEGIN PRIVATE KEY" not in file.read():
            raise BadSettingError("TLS_KEY must be PKCS#8 (BEGIN PRIVATE KEY): openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW")
