"""Starts granian with the settings of `make run`, waits until it answers, and ends it: only what was started here."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from app.hub.supervisor import web_command
from app.settings import load

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 2
THREADS = 8
READY_WITHIN = 60.0
"""Seconds."""
STOPS_WITHIN = 15.0


class DidNotStart(Exception):  # noqa: N818 - reads as what happened
    """A server did not answer in time; the text is the end of its log."""


class Server(NamedTuple):
    """A program that serves on a port; its processes share one session."""

    port: int
    session: int


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def serving(target: str, environment: Mapping[str, str], log: Path) -> Iterator[Server]:
    """Serve a WSGI application on a free loopback port while the block runs, exactly as the hub serves the product."""
    port = free_port()
    environment = {**environment, "HOST": "127.0.0.1", "PORT": str(port), "WEB_CONCURRENCY": str(WORKERS), "WEB_THREADS": str(THREADS)}
    command = [target if word == "wsgi:application" else word for word in web_command(load(environment))]
    with running(command, environment, log) as process:
        wait_until_it_answers(port, process, log)
        yield Server(port, process.pid)


@contextlib.contextmanager
def running(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a process group of its own while the block runs; then end it and what it started."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment, "PYTHONPATH": str(ROOT)}, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its own group: start_new_session
            process.wait(STOPS_WITHIN)


def wait_until_it_answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Ask until there is any HTTP answer.

    Raises:
        DidNotStart: the program ended, or was silent for too long.
    """
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as asked:
            asked.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            if asked.recv(16).startswith(b"HTTP/1.1"):
                return
        time.sleep(0.1)
    raise DidNotStart(f"port {port}:\n" + log.read_text(errors="replace")[-4000:])
