"""One supervised process: started, started again when it dies, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.core.clock import monotonic
from app.hub.unix import die_with_parent

FIRST_DELAY = 0.2
LONGEST_DELAY = 3.0
"""Seconds before a dead child is started again; short, because nobody is paged meanwhile."""
STEADY = 30.0
"""Seconds after which a child counts as healthy, so that its next death is its first."""


@dataclass
class Child:
    """A process that should always be there."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    folder: str
    is_quiet: bool = False
    """Its standard output is thrown away (errors are not)."""
    may_start: Callable[[], str] = lambda: ""
    """Why it cannot start just now; empty when it can."""
    process: subprocess.Popen[bytes] | None = None
    _deaths: int = field(default=0, repr=False)
    _started: float = field(default=0.0, repr=False)
    _not_before: float = field(default=0.0, repr=False)
    _told: str = field(default="", repr=False)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it in a process group of its own, so that Ctrl-C reaches the hub alone and a whole group can be killed."""
        parent = os.getpid()
        self._started = monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - the commands are ours
            self.command,
            env=dict(self.environ),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if self.is_quiet else None,
            process_group=0,
            preexec_fn=lambda: die_with_parent(parent),
        )

    def keep_alive(self, tell: Callable[[str], None]) -> None:
        """Start it when it is dead and the pause after its last death is over."""
        if self.is_alive:
            return
        now = monotonic()
        if self.process is not None:
            self._mourn(now, tell)
        if now < self._not_before:
            return
        obstacle = self.may_start()
        if obstacle:
            if obstacle != self._told:
                tell(f"{self.name} waits: {obstacle}")
            self._told, self._not_before = obstacle, now + LONGEST_DELAY
            return
        self._told = ""
        self.start()

    def _mourn(self, now: float, tell: Callable[[str], None]) -> None:
        """Take the dead process away with what is left of its group, and decide when to try again."""
        process, self.process = self.process, None
        if process is None:
            return
        _kill_group(process.pid, signal.SIGKILL)
        self._deaths = 1 if now - self._started > STEADY else self._deaths + 1
        pause = min(FIRST_DELAY * 2 ** (self._deaths - 1), LONGEST_DELAY)
        self._not_before = now + pause
        tell(f"{self.name} {how_it_ended(process.returncode)}; starting it again in {pause:.1f} s")

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and its group, and take it away."""
        if self.process is not None:
            _kill_group(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def how_it_ended(returncode: int) -> str:
    """An exit code in words."""
    if returncode >= 0:
        return f"ended with code {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"


def _kill_group(group: int, sign: signal.Signals) -> None:
    try:
        os.killpg(group, sign)
    except ProcessLookupError:
        return
