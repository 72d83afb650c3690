"""Random payloads in a source's own words.  Made by hand: hypothesis would take seconds for each source, and there will be forty."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from app.core.types import Inbound, Source
from tests.sources.corpus import FORM, cases_of, inbound_of

_SCALARS: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**60, 10**30, 1e308, "", " ", "0", "x", "firing", "resolved", "ok", "critical", "\x00", "\ud800", "é\n", "[", "{}", "null",
    "http://x/", "javascript:x", "2026-03-14T09:31:12Z", "1773480672", "9" * 400, "a" * 5_000, "%s{0}{{x}}",
)  # fmt: skip
_CONTENT_TYPES = ("application/json", "application/json", "", "text/plain", FORM, "application/vnd.x+json; charset=utf-8", "multipart/form-data; boundary=b")


class Junk:
    """Requests that look like a source's, from a seed."""

    def __init__(self, source: Source) -> None:
        cases = cases_of(source)
        self._payloads = [payload for payload in (_json_or_none(case.inbound.body) for case in cases) if isinstance(payload, dict | list)]
        self._bodies = [case.inbound.body for case in cases]
        self._words = [*sorted({word for payload in self._payloads for word in _names(payload)}), "", "x"]

    def request(self, seed: int) -> Inbound:
        """The request of a seed."""
        random = Random(seed)  # noqa: S311 - tests
        query = {random.choice(self._words): (self._text(random),) for _ in range(random.randrange(3))}
        return inbound_of(self._body(random), {"content-type": random.choice(_CONTENT_TYPES)}, query)

    def _body(self, random: Random) -> bytes:
        kind = random.randrange(10)
        if kind < 5 and self._payloads:
            return json.dumps(self._spoilt(random, random.choice(self._payloads))).encode()
        if kind < 8:
            return json.dumps(self._value(random, 5)).encode()
        if kind < 9 or not self._bodies:
            return random.randbytes(random.randrange(200))
        body = bytearray(random.choice(self._bodies) or b"x")
        for _ in range(random.randrange(1, 6)):
            body[random.randrange(len(body))] = random.randrange(256)
        return bytes(body[: random.randrange(1, len(body) + 1)] if random.random() < 0.3 else body)

    def _spoilt(self, random: Random, value: Any) -> Any:
        """A real payload with about a tenth of its members replaced."""
        if random.random() < 0.1:
            return self._value(random, 3)
        if isinstance(value, dict):
            return {name: self._spoilt(random, member) for name, member in value.items() if random.random() > 0.05}
        return [self._spoilt(random, member) for member in value] if isinstance(value, list) else value

    def _value(self, random: Random, depth: int) -> Any:
        kind = random.randrange(8) if depth else 7
        if kind < 4:
            return {random.choice(self._words): self._value(random, depth - 1) for _ in range(random.randrange(8))}
        if kind < 6:
            return [self._value(random, depth - 1) for _ in range(random.randrange(4))]
        return random.choice(_SCALARS)

    def _text(self, random: Random) -> str:
        return str(random.choice(_SCALARS))


def _json_or_none(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _names(value: Any) -> set[str]:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (set(value) if isinstance(value, dict) else set()).union(*(_names(member) for member in members))
