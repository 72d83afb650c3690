"""Databases that belong to one run: made at its start, asked with plain SQL, dropped at its end."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg import sql

from bench import floor

USUAL_SERVER = "postgresql://postgres@127.0.0.1:5432"


class NoServer(Exception):  # noqa: N818 - reads as what happened
    """There is no PostgreSQL at the URL, or it lets nobody in."""


class Store(Protocol):
    """A kind of database."""

    name: str
    version: str

    def make(self, name: str) -> str:
        """A new, empty database; its URL."""
        ...

    def connect(self, url: str) -> Any:
        """A DBAPI connection in which each statement commits itself."""
        ...

    def settle(self, url: str) -> None:
        """Bring what was written in bulk to rest, so that the cost does not fall into a measurement."""
        ...


def make_floor_table(store: Store, url: str) -> None:
    """The one table of the floor."""
    with contextlib.closing(store.connect(url)) as connection:
        connection.execute(floor.CREATE_SQLITE if url.startswith("sqlite") else floor.CREATE_POSTGRESQL)


class SqliteStore:
    """Files in a folder, which must be on the disk that is to be measured."""

    name = "sqlite"
    version = f"SQLite {sqlite3.sqlite_version}"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, name: str) -> str:
        """The URL of a file in a folder of its own."""
        folder = self._folder / name
        folder.mkdir()
        return f"sqlite:///{folder / 'tocsin.db'}"

    def connect(self, url: str) -> sqlite3.Connection:
        """As the product sees it, but with a busy timeout: the write lock is not taken."""
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        return connection

    def settle(self, url: str) -> None:
        """Empty the write-ahead log."""
        with contextlib.closing(self.connect(url)) as connection:
            connection.execute("ANALYZE")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class PostgresStore:
    """Databases on a server."""

    name = "postgresql"

    def __init__(self, server: str) -> None:
        self._server = server.rstrip("/")
        self._run = f"tocsin_bench_{os.getpid()}_{secrets.token_hex(2)}"
        self._made: list[str] = []
        try:
            self._admin = psycopg.connect(f"{self._server}/postgres", autocommit=True, connect_timeout=3)
        except psycopg.OperationalError as error:
            raise NoServer(str(error).strip()) from error
        self.version = "PostgreSQL " + self._admin.info.parameter_status("server_version")  # type: ignore[operator]  # a server says it

    def make(self, name: str) -> str:
        """A database named after this run."""
        name = f"{self._run}_{name}"
        self._admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        self._made.append(name)
        return f"{self._server}/{name}"

    def connect(self, url: str) -> psycopg.Connection:
        """Autocommit."""
        return psycopg.connect(url, autocommit=True)

    def settle(self, url: str) -> None:
        """Vacuum, analyse, checkpoint."""
        with self.connect(url) as connection:
            connection.execute("VACUUM ANALYZE")
            with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
                connection.execute("CHECKPOINT")

    def close(self) -> None:
        """Drop what was made."""
        for name in self._made:
            self._admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self._admin.close()


@contextlib.contextmanager
def sqlite_store(folder: Path) -> Iterator[Store]:
    """SQLite files that are deleted at the end."""
    work = folder / f"run-{os.getpid()}-{secrets.token_hex(2)}"
    work.mkdir(parents=True)
    try:
        yield SqliteStore(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def postgresql_store(server: str) -> Iterator[Store]:
    """Databases on a server, dropped at the end."""
    store = PostgresStore(server)
    try:
        yield store
    finally:
        store.close()
