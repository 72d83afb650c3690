"""What the kernel knows: how busy the machine is with other work, and what our own servers used of it."""

from __future__ import annotations

import os
import time
from pathlib import Path

SAMPLE = 0.25
"""Seconds."""
_STAT = Path("/proc/stat")


def share_of_others() -> float:
    """The share of all processors that is in use while the bench itself does nothing; 0 where it cannot be told."""
    if not _STAT.exists():
        return 0.0
    before = _times()
    time.sleep(SAMPLE)
    busy, total = (after - earlier for after, earlier in zip(_times(), before, strict=True))
    return busy / total if total else 0.0


def _times() -> tuple[int, int]:
    """Ticks that were busy, and all ticks."""
    numbers = [int(word) for word in _STAT.read_text().split("\n", 1)[0].split()[1:9]]
    idle = numbers[3] + numbers[4]
    return sum(numbers) - idle, sum(numbers)


def used_by(session: int) -> float:
    """Processor seconds that the living processes of a session have used so far; 0 where it cannot be told."""
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = file.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(words[3]) == session:
            ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")
