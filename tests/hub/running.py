"""A hub that really runs, and what the kernel says about its processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.hub import redis_server
from app.settings import load

ROOT = Path(__file__).resolve().parent.parent.parent
KINDS = ("redis", "web", "web worker", "worker", "ticker", "smtp")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(what: Callable[[], Any], seconds: float, saying: str) -> Any:
    """The first true answer, or a failure that says what did not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = what()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {saying}")


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent's attention does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def clean_environment(data_dir: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "DATA_DIR": str(data_dir), "WEB_CONCURRENCY": "2", "WEB_THREADS": "2", **more}


def flask(*arguments: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


@dataclass
class RunningHub:
    data_dir: Path
    environ: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    smtp_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.environ = {**clean_environment(self.data_dir, PORT=str(self.port), SMTP_LISTEN=f"127.0.0.1:{self.smtp_port}"), **self.environ}
        self.log = self.data_dir.parent / f"{self.data_dir.name}.log"

    def start(self) -> RunningHub:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "flask", "--app", "wsgi", "hub"], cwd=ROOT, env=self.environ, stdout=log, stderr=log)
        until(lambda: "is ready" in self.said() or not is_alive(self.pid), 90, "the hub is ready")
        assert is_alive(self.pid), self.said()
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def send(self, sign: signal.Signals, *, wait: float = 30) -> int:
        assert self.process is not None
        self.process.send_signal(sign)
        return self.process.wait(wait)

    def everyone(self) -> dict[int, str]:
        """Every living process that this hub caused, wherever it stands in the tree by now, with its kind."""
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and is_alive(int(folder.name)) and self._caused(folder):
                found[int(folder.name)] = _kind(folder)
        return found

    def _caused(self, folder: Path) -> bool:
        try:
            marks = (folder / "environ").read_bytes().split(b"\0")
            title = (folder / "cmdline").read_bytes()
        except OSError:
            return False
        # Redis writes its title over its environment, and names its socket there.
        return f"TOCSIN_HUB={self.pid}".encode() in marks or f"unixsocket:{self.redis_socket}".encode() in title

    @property
    def redis_socket(self) -> Path:
        return redis_server.socket_path(load({"DATA_DIR": str(self.data_dir)}))

    def of_kind(self, kind: str) -> set[int]:
        return {pid for pid, its_kind in self.everyone().items() if its_kind == kind}

    def ask(self, path: str) -> tuple[int, Any]:
        """The status and JSON body of an answer; status 0 when there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        except OSError:
            return 0, None

    def clean_up(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self.everyone() if self.process is not None else ():
            os.kill(pid, signal.SIGKILL)


def _kind(folder: Path) -> str:
    try:
        words = (folder / "cmdline").read_bytes().decode().split("\0")
        parent = (folder / "stat").read_text().rpartition(") ")[2].split()[1]
        parent_words = (Path("/proc") / parent / "cmdline").read_bytes().decode().split("\0")
    except OSError:
        return "gone"
    if "wsgi:application" in words:
        return "web worker" if "wsgi:application" in parent_words else "web"
    if "redis" in words[0]:
        return "redis"
    return words[-2]
