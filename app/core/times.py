"""Read the times that tools write."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

_EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
"""Before this a time means "none": Go writes year 1, others 1970."""
_UNIX_TEXT = re.compile(r"([0-9]{9,10}|[0-9]{13}|[0-9]{16}|[0-9]{19})(\.[0-9]+)?")


def time_of(value: Any) -> datetime | None:
    """A time in UTC; None for what is none, and for a vendor's "never" (year 1, 1970).

    Understood are ISO 8601 (`Z`, `+0000`, `+01:00`, no zone meaning UTC, a space for the T, nanoseconds) and seconds,
    milliseconds, microseconds or nanoseconds since 1970, as number or text.
    """
    try:
        found = _unix_time(value) if _is_number(value) else datetime.fromisoformat(_iso(value))
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return found if found >= _EARLIEST else None


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_UNIX_TEXT.fullmatch(value.strip()))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unix_time(value: Any) -> datetime:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("no time")
    while abs(number) > 1e11:
        number /= 1000
    return datetime.fromtimestamp(number, UTC)


def _iso(value: Any) -> str:
    return value.strip().upper().replace(" UTC", "Z") if isinstance(value, str) else ""
