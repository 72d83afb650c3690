"""Clean, cut and name texts that come from outside."""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

_DIRTY = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_SPACES = re.compile(r"\s+")
MAX_DEPTH = 64


def clean(text: str) -> str:
    """Drop NUL, C0 controls (tab and newlines stay) and lone surrogates: PostgreSQL refuses them."""
    if text.isascii() and text.isprintable():
        return text
    return _DIRTY.sub("", text)


def clean_line(text: str, limit: int) -> str:
    """One clean line of at most `limit` characters; longer texts end with an ellipsis."""
    if text.isascii() and text.isprintable() and len(text) <= limit and "  " not in text:
        return text.strip()
    return shorten(_SPACES.sub(" ", clean(text)).strip(), limit)


def clean_block(text: str, limit: int) -> str:
    """A clean text of several lines of at most `limit` characters."""
    return shorten(clean(text).replace("\r\n", "\n").replace("\r", "\n").strip(), limit)


def shorten(text: str, limit: int) -> str:
    """Cut to `limit` characters, the last an ellipsis when something is missing."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def clean_json(value: Any, depth: int = 0) -> Any:
    """The same JSON value with clean texts and keys; what is nested deeper than 64 becomes a word that says so, 1e999 a text."""
    if depth > MAX_DEPTH:
        return "… nested too deeply"
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(k)): clean_json(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean_json(v, depth + 1) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return clean(str(value))


def bounded_key(text: str, limit: int = 255) -> str:
    """A key that fits an index; a longer one keeps its beginning and gets a hash of the whole."""
    if len(text) <= limit and len(text.encode("utf-8", "replace")) <= 2 * limit:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return text[: (limit - 65) // 2] + "~" + digest


def parse_duration(text: str) -> int:
    """Seconds of a duration written 30s, 5m, 2h, 1d.

    Raises:
        ValueError: it is written otherwise.
    """
    match = re.fullmatch(r"(\d{1,9})\s*([smhd])", str(text).strip())
    if not match:
        raise ValueError("write a duration as 30s, 5m, 2h or 1d")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def format_duration(seconds: int) -> str:
    """The shortest exact writing of a duration: 300 is 5m."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
