"""The floor: a bare Flask view that stores the body with one INSERT and COMMIT.  Knows nothing of Tocsin but its file lock.

PostgreSQL: psycopg connections kept in a queue, BEGIN, INSERT, COMMIT.  SQLite: raw sqlite3 under the write lock that
the product uses, WAL and a full sync at each commit.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue

import psycopg
from flask import Flask, request

from app.wiring.locks import WriteLock

CREATE_POSTGRESQL = "CREATE TABLE floor (id bigserial PRIMARY KEY, body bytea NOT NULL)"
CREATE_SQLITE = "CREATE TABLE floor (id INTEGER PRIMARY KEY, body BLOB NOT NULL)"
PATH = "/floor"


def make_app(url: str) -> Flask:
    """The bare application for a database made by `bench.stores`."""
    app = Flask("floor")
    store = _postgresql(url) if url.startswith("postgresql") else _sqlite(Path(url.removeprefix("sqlite:///")))

    @app.post(PATH)
    def _floor() -> tuple[dict[str, str], int]:
        store(request.get_data())
        return {"status": "success"}, 202

    return app


def _postgresql(url: str) -> Callable[[bytes], None]:
    idle: SimpleQueue[psycopg.Connection] = SimpleQueue()

    def store(body: bytes) -> None:
        try:
            connection = idle.get_nowait()
        except Empty:
            connection = psycopg.connect(url)
        connection.execute("INSERT INTO floor (body) VALUES (%s)", (body,))
        connection.commit()
        idle.put(connection)

    return store


def _sqlite(path: Path) -> Callable[[bytes], None]:
    lock = WriteLock(path)
    mine = threading.local()

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def store(body: bytes) -> None:
        if not hasattr(mine, "connection"):
            mine.connection = connect()
        with lock:
            mine.connection.execute("BEGIN IMMEDIATE")
            mine.connection.execute("INSERT INTO floor (body) VALUES (?)", (body,))
            mine.connection.execute("COMMIT")

    return store


if "BENCH_FLOOR_DATABASE" in os.environ:
    application = make_app(os.environ["BENCH_FLOOR_DATABASE"])
