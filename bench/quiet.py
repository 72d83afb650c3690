"""How busy the machine is with other work: figures from a busy one are noise, and say so."""

from __future__ import annotations

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
