"""Runs a load generator, wrk or our own, in a process of its own, and reads what it measured."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.servers import ROOT
from bench.traffic import Traffic

WRK_SCRIPT = Path(__file__).with_name("wrk.lua")


class LoadFailed(Exception):  # noqa: N818 - reads as what happened
    """The generator did not run; the text is its own."""


@dataclass(frozen=True)
class Job:
    """One burst of requests to one server."""

    port: int
    path: str
    headers: tuple[tuple[str, str], ...]
    traffic: Traffic
    prefix: str
    """8 hexadecimal signs that make the keys of this burst its own."""
    connections: int
    seconds: float
    count: int = 0
    """Send exactly so many instead; only our own generator can."""


@dataclass(frozen=True)
class Measured:
    """What a generator saw; times in milliseconds."""

    answers: int
    refused: int
    """Answers that are not 2xx."""
    broken: int
    """Connections that failed, and answers that did not come."""
    seconds: float
    p50: float
    p99: float
    slowest: float
    unread: int
    """Requests that may have been stored although their answers were not read: wrk stops in the middle."""
    cpu: float = 0.0
    """Processor microseconds that the web processes used for each answer (the database server's are not in it)."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds if self.seconds else 0.0


def has_wrk() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def send(job: Job, folder: Path, *, use_wrk: bool) -> Measured:
    """Run one burst.

    Raises:
        LoadFailed: the generator ended without a result.
    """
    template = folder / "request.http"
    with template.open("w", newline="") as file:
        file.write(job.traffic.template(job.path, dict(job.headers)))
    by_wrk = use_wrk and not job.count
    command = _wrk(job, template) if by_wrk else _own(job, template)
    limit = 120 + job.seconds + job.count / 20
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False)
    lines = [line for line in ran.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise LoadFailed(f"{command[0]} ended with code {ran.returncode} and no result: {ran.stderr[-2000:]}{ran.stdout[-2000:]}")
    return Measured(**json.loads(lines[-1].removeprefix("RESULT ")), unread=job.connections if by_wrk else 0)


def _wrk(job: Job, template: Path) -> list[str]:
    numbers = [job.prefix, str(job.traffic.distinct), str(job.traffic.keys_per_request)]
    duration = f"{max(1, round(job.seconds))}s"
    options = ["-t1", f"-c{job.connections}", f"-d{duration}", "--timeout", "15s", "-s", str(WRK_SCRIPT)]
    return ["wrk", *options, f"http://127.0.0.1:{job.port}/", "--", str(template), *numbers]


def _own(job: Job, template: Path) -> list[str]:
    return [
        sys.executable, "-m", "bench.generator", "--port", str(job.port), "--template", str(template), "--prefix", job.prefix,
        "--distinct", str(job.traffic.distinct), "--per", str(job.traffic.keys_per_request), "--connections", str(job.connections),
        "--seconds", str(job.seconds), "--count", str(job.count),
    ]  # fmt: skip
