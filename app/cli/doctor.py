"""`flask doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import exists, select, text
from sqlalchemy.engine import make_url

from app.core.keys import Vault
from app.domain import sealed
from app.hub import redis_server, unix
from app.models import User
from app.settings import Settings
from app.wiring import processes, transactions, vitals
from app.wiring.runtime import runtime
from app.wiring.transactions import DatabaseAway
from app.wiring.vitals import Finding, Level

NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gfs2", "ocfs2", "fuse.sshfs", "fuse.glusterfs"})
"""Where `flock` and SQLite's shared memory do not hold between machines, or not at all."""
MOST_SKEW = 2.0
"""Seconds between our clock and the database's."""


def examine() -> list[Finding]:
    """Look at everything, worst things included; never raises for what it finds."""
    settings = runtime().settings
    findings = [secret_key_file(settings), file_system(settings), find_redis(settings)]
    try:
        findings += [database(settings), migrations()]
        if findings[-1].level is Level.OK:
            findings += [vitals.ticker(), workers(), secrets(settings), people()]
    except DatabaseAway as error:
        findings.append(Finding("database", Level.DOWN, f"cannot be reached: {error}", "Is it started? Is DATABASE_URL right?"))
    return findings


def database(settings: Settings) -> Finding:
    """Which database it is, and on PostgreSQL whether its clock agrees with ours.

    Raises:
        DatabaseAway: it does not answer.
    """
    if settings.is_sqlite:
        version = transactions.run(lambda session: session.scalar(text("SELECT sqlite_version()")), "read")
        return Finding("database", Level.OK, f"SQLite {version}, {make_url(settings.database_url).database}")
    before = runtime().now()
    version, theirs = transactions.run(lambda session: session.execute(text("SELECT version(), clock_timestamp()")).one(), "read")
    skew = clock_skew(before, runtime().now(), theirs)
    summary = " ".join(str(version).split()[:2])
    if skew > MOST_SKEW:
        return Finding(
            "database",
            Level.DEGRADED,
            f"{summary}; its clock differs by {skew:.0f} s",
            "Let both machines keep time (NTP): due times and leases compare clocks.",
        )
    return Finding("database", Level.OK, summary)


def clock_skew(before: datetime, after: datetime, theirs: datetime) -> float:
    """Seconds by which their clock is certainly off, when ours read `before` and `after` around the question."""
    return max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)


def migrations() -> Finding:
    """Whether the tables are those of this version."""
    script = ScriptDirectory(str(Path(current_app.extensions["migrate"].directory)))
    wanted = script.get_current_head()
    found = transactions.run(lambda session: MigrationContext.configure(session.connection()).get_current_revision(), "read")
    if found == wanted:
        return Finding("migrations", Level.OK, f"current ({found})")
    return Finding("migrations", Level.DOWN, f"at {found or 'none'}, this version needs {wanted}", "Run `flask migrate` (`flask hub` does it at its start).")


def secret_key_file(settings: Settings) -> Finding:
    """Whether others on this machine can read the key."""
    path = settings.data_dir / "secret_key"
    if not settings.keeps_secret_key:
        return Finding("secret key", Level.OK, "from the environment")
    if path.stat().st_mode & 0o077:
        return Finding("secret key", Level.DEGRADED, f"{path} can be read by others", f"chmod 600 {path}")
    return Finding("secret key", Level.OK, f"{path}; back it up with the database")


def file_system(settings: Settings) -> Finding:
    """Whether the write lock of a SQLite database means anything on its file system."""
    if not settings.is_sqlite:
        return Finding("file system", Level.OK, "not asked (PostgreSQL)")
    path = Path(str(make_url(settings.database_url).database)).absolute()
    kind = file_system_kind(path, _mounts())
    if kind in NETWORK_FILE_SYSTEMS:
        return Finding("file system", Level.DOWN, f"{path} is on {kind}", "SQLite needs a local disk: move DATA_DIR there, or use PostgreSQL (DATABASE_URL).")
    return Finding("file system", Level.OK, kind or "unknown kind")


def file_system_kind(path: Path, mounts: str) -> str:
    """The kind of the file system that holds `path`, by a table in the format of /proc/mounts."""
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        if path.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def find_redis(settings: Settings) -> Finding:
    """Redis as configured, or the hub's embedded one, or what could be embedded."""
    if settings.redis_url:
        return vitals.redis_finding()
    if redis_server.is_up(redis_server.socket_path(settings)):
        return Finding("redis", Level.OK, "embedded, answers")
    program = next(redis_server.find_programs(), None)
    if program and not unix.is_held(settings.hub_lock):
        return Finding("redis", Level.OK, f"embedded ({program}), not running now; `flask hub` starts it")
    return vitals.redis_finding()


def workers() -> Finding:
    """Whether any worker gave a sign of life in the last seconds."""
    now = runtime().now()
    alive = transactions.run(lambda session: processes.fresh(session, "worker", now=now), "read")
    if alive:
        return Finding("worker", Level.OK, f"{alive} alive")
    return Finding("worker", Level.DEGRADED, "none alive", "The ticker sends the pages itself. Start one: `flask worker` (`flask hub` does).")


def secrets(settings: Settings) -> Finding:
    """Whether every stored secret opens."""
    vault = Vault(settings.secret_key, settings.secret_key_old)
    found = transactions.run(lambda session: list(sealed.cells(session)), "read")
    lost = sealed.lost(found, vault)
    if lost:
        names = ", ".join(cell.name for cell in lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        return Finding(
            "secrets",
            Level.DOWN,
            f"lost key: {len(lost)} of {len(found)} do not open ({names})",
            "Set SECRET_KEY_OLD to the former key, or enter these secrets anew.",
        )
    return Finding("secrets", Level.OK, f"all {len(found)} open")


def people() -> Finding:
    """Whether anybody can be paged."""
    if transactions.run(lambda session: session.scalar(select(exists().where(User.archived_at.is_(None)))), "read"):
        return Finding("people", Level.OK, "there are users")
    return Finding("people", Level.DEGRADED, "no user yet", "Make the first administrator: `flask user create you@example.com --role admin`.")


def _mounts() -> str:
    try:
        return Path("/proc/mounts").read_text()
    except OSError:
        return os.linesep
