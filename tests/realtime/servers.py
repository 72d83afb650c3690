"""A PostgreSQL and a Redis of our own, which tests may stop, hang and kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis

from tests.realtime.installation import free_port, until

POSTGRESQL = Path("/usr/lib/postgresql")


def postgresql_programs() -> Path | None:
    """Where initdb and pg_ctl are, or None."""
    found = [Path(path).parent for path in [shutil.which("pg_ctl")] if path] or sorted(POSTGRESQL.glob("*/bin"))
    return next((folder for folder in reversed(found) if (folder / "initdb").exists()), None)


class Cluster:
    """A PostgreSQL cluster in a temporary folder; it refuses to run as root, so it runs as `postgres` then."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._data = folder / "data"
        self._user = "postgres" if os.getuid() == 0 else None
        self.port = free_port()
        if self._user:
            shutil.chown(folder, self._user)
        self._folder = folder
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "postgres", "--no-sync")

    @property
    def url(self) -> str:
        """The server."""
        return f"postgresql://postgres@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self._folder}"
        self._run("pg_ctl", "-D", str(self._data), "-w", "-o", options, "-l", str(self._folder / "log"), "start")
        until(self._answers, what="PostgreSQL")

    def stop(self, mode: str = "immediate") -> None:
        """Stop: `immediate` is what a crash looks like to those who are connected."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", mode, "stop")

    def _answers(self) -> bool:
        try:
            psycopg.connect(f"{self.url}/postgres", connect_timeout=1).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(command, user=self._user, cwd=self._folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout


@contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    """A running cluster, gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="tocsin-postgresql-"))
    try:
        made = Cluster(programs, folder)
        made.start()
        yield made
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            made.stop()
        shutil.rmtree(folder, ignore_errors=True)


class RedisServer:
    """A Redis on a Unix socket."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no", "--dir", str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers, what="Redis")

    def stop(self) -> None:
        """Gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """It takes connections and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def flush(self) -> None:
        """It forgets everything."""
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            client.flushall()

    def _answers(self) -> bool:
        try:
            with redis.Redis(unix_socket_path=str(self.socket)) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False
