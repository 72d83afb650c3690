"""Fresh databases: migrated once, then copied (SQLite) or washed (PostgreSQL) for each test.

Measured on PostgreSQL 15: TRUNCATE of the 39 tables takes 77 ms, CREATE DATABASE … TEMPLATE with its DROP 47 ms, and
deleting the few rows that a test leaves 2 to 8 ms.  So tests share one washed database; who needs one of their own
(processes, schema changes) asks `make`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql

from app import create_app
from app.settings import load
from app.wiring import schema
from app.wiring.extensions import db

SECRET_KEY = "tests-need-no-secret-but-the-same-one-in-every-process"


class Databases(Protocol):
    """Where tests get their databases from."""

    def shared(self, folder: Path) -> str:
        """The URL of a clean database for one test; PostgreSQL's is washed and used again."""
        ...

    def make(self, folder: Path, *, migrated: bool = True) -> str:
        """The URL of a database that belongs to the caller alone."""
        ...


@contextmanager
def opened(server_url: str, folder: Path) -> Iterator[Databases]:
    """The databases of one test run; with no server they are SQLite files."""
    if not server_url:
        yield SqliteFiles(folder)
        return
    server = PostgresServer(server_url, folder)
    try:
        yield server
    finally:
        server.close()


def migrate(url: str, folder: Path) -> None:
    """Bring a database up to date as the product does at its start."""
    app = create_app(load({"DATA_DIR": str(folder), "DATABASE_URL": url, "SECRET_KEY": SECRET_KEY}))
    schema.bring_up_to_date(app)
    with app.app_context():
        db.engine.dispose()


class SqliteFiles:
    """Copies of one migrated file."""

    def __init__(self, folder: Path) -> None:
        self._template = folder / "template.db"
        self._numbers = count(1)
        migrate(f"sqlite:///{self._template}", folder)

    def shared(self, folder: Path) -> str:
        """A copy: 0.4 ms."""
        return self.make(folder)

    def make(self, folder: Path, *, migrated: bool = True) -> str:
        """A copy, or the name of a file that does not exist yet."""
        path = folder / f"tocsin-{next(self._numbers)}.db"
        if migrated:
            shutil.copyfile(self._template, path)
        return f"sqlite:///{path}"


class PostgresServer:
    """A server on which this run makes databases, and drops them at its end."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url.rpartition("/")[0] if url.count("/") > 2 else url
        self._numbers = count(1)
        self._mine: list[str] = []
        self._admin = psycopg.connect(f"{self._url}/postgres", autocommit=True)
        self._drop_what_killed_runs_left()
        self._template = self._create("tpl")
        migrate(f"{self._url}/{self._template}", folder)
        self._washed = self._create("test", template=self._template)
        self._washer = psycopg.connect(f"{self._url}/{self._washed}", autocommit=True)
        self._wash = self._prepare_wash()

    def shared(self, folder: Path) -> str:
        """The one database, clean; connections that an earlier test left open are ended."""
        self._washer.execute(self._wash)
        return f"{self._url}/{self._washed}"

    def make(self, folder: Path, *, migrated: bool = True) -> str:
        """A database of the caller's own: 36 ms."""
        return f"{self._url}/{self._create('own', template=self._template if migrated else 'template0')}"

    def close(self) -> None:
        """Drop all."""
        self._washer.close()
        for name in self._mine:
            self._drop(name)
        self._admin.close()

    def _drop_what_killed_runs_left(self) -> None:
        """A run that was killed could not drop its own; its number in the name is a process of this machine that is gone."""
        if self._admin.info.host not in ("127.0.0.1", "::1", "localhost") or not Path("/proc/self").exists():
            return
        for (name,) in self._admin.execute("SELECT datname FROM pg_database WHERE datname ~ '^tocsin_(tpl|test|own)_[0-9]+_[0-9]+$'").fetchall():
            if not Path(f"/proc/{name.split('_')[2]}").exists():
                self._drop(name)

    def _drop(self, name: str) -> None:
        self._admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _create(self, kind: str, template: str = "template0") -> str:
        name = f"tocsin_{kind}_{os.getpid()}_{next(self._numbers)}"
        self._admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        self._mine.append(name)
        return name

    def _prepare_wash(self) -> sql.Composed:
        """Deletes in every table, puts back what the migrations wrote, restarts the numbers."""
        found = self._washer.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'")
        tables = [sql.Identifier(row[0]) for row in found]
        self._washer.execute("CREATE SCHEMA migrated")
        for table in tables:
            self._washer.execute(sql.SQL("CREATE TABLE migrated.{0} AS TABLE public.{0}").format(table))
        filled = [table for table in tables if self._washer.execute(sql.SQL("SELECT FROM migrated.{} LIMIT 1").format(table)).rowcount]
        steps = [
            sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"),
            sql.SQL("BEGIN"),
            sql.SQL("SET LOCAL session_replication_role = replica"),
            *(sql.SQL("DELETE FROM public.{}").format(table) for table in tables),
            *(sql.SQL("INSERT INTO public.{0} SELECT * FROM migrated.{0}").format(table) for table in filled),
            sql.SQL("SELECT setval(quote_ident(sequencename)::regclass, 1, false) FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL"),
            sql.SQL("COMMIT"),
        ]
        return sql.SQL("; ").join(steps)
