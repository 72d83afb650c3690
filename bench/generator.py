"""Our own load generator, for machines without wrk: `python -m bench.generator`, one process, raw sockets.

It stops sending after so many seconds or requests, waits for every answer, and prints one line of JSON; so the number
of answers is exact, which wrk's is not (it leaves its last requests unread).
"""

from __future__ import annotations

import argparse
import json
import re
import selectors
import socket
import time
from collections.abc import Callable
from pathlib import Path

from bench.traffic import SLOT, key

ANSWER_WITHIN = 15.0
"""Seconds that the last answers may take."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class BrokenAnswer(Exception):  # noqa: N818 - reads as what happened
    """The server closed the connection or sent what is not HTTP/1.1."""


def requests_of(template: str, prefix: str, distinct: int, per: int) -> Callable[[int], bytes]:
    """A function from the number of a request to its bytes."""
    parts = SLOT.split(template)
    texts, slots = parts[0::2], [int(slot) for slot in parts[1::2]]

    def request(n: int) -> bytes:
        turn = (n % distinct if distinct else n) * per
        made = [texts[0]]
        for slot, text in zip(slots, texts[1:], strict=True):
            made += (key(prefix, turn + slot), text)
        return "".join(made).encode()

    return request


def status_when_whole(answer: bytes) -> int | None:
    """The status of an answer, or None while parts of it are missing."""
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return None
    if not head.startswith(b"HTTP/1.1 "):
        raise BrokenAnswer
    status = int(head[9:12])
    length = _LENGTH.search(head)
    if length is not None:
        return status if len(body) >= int(length.group(1)) else None
    if b"chunked" in head.lower():
        return status if body.endswith(b"0\r\n\r\n") else None
    return status


class Generator:
    """Keeps so many connections busy; each sends its next request when the last one is answered."""

    def __init__(self, port: int, request: Callable[[int], bytes]) -> None:
        self._port = port
        self._request = request
        self._selector = selectors.DefaultSelector()
        self._sent = 0
        self._answers: dict[socket.socket, bytes] = {}
        self._sent_at: dict[socket.socket, float] = {}
        self.latencies: list[float] = []
        self.refused = 0
        self.broken = 0

    def run(self, connections: int, *, seconds: float, count: int) -> float:
        """Send for so many seconds, or so many requests when `count` is not 0; return the seconds until the last answer."""
        for _ in range(min(connections, count) if count else connections):
            opened = socket.create_connection(("127.0.0.1", self._port), timeout=5)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(opened, selectors.EVENT_READ)
            self._answers[opened] = b""
        started = time.perf_counter()
        stop_at = started + (3600 if count else seconds)
        for opened in self._answers:
            self._send(opened)
        while self._sent_at and time.perf_counter() < stop_at + ANSWER_WITHIN:
            for ready, _ in self._selector.select(timeout=0.2):
                self._receive(ready.fileobj, stop_at, count)  # type: ignore[arg-type]  # only sockets are registered
        self.broken += len(self._sent_at)
        ended = time.perf_counter()
        for opened in self._answers:
            opened.close()
        return ended - started

    def _send(self, opened: socket.socket) -> None:
        self._sent_at[opened] = time.perf_counter()
        opened.sendall(self._request(self._sent))
        self._sent += 1

    def _receive(self, opened: socket.socket, stop_at: float, count: int) -> None:
        try:
            got = opened.recv(65536)
            self._answers[opened] += got
            status = status_when_whole(self._answers[opened])
            if not got:
                raise BrokenAnswer
        except (OSError, BrokenAnswer):
            self._selector.unregister(opened)
            del self._sent_at[opened]
            self.broken += 1
            return
        if status is None:
            return
        now = time.perf_counter()
        self.latencies.append(now - self._sent_at.pop(opened))
        self.refused += not 200 <= status < 300
        self._answers[opened] = b""
        if now < stop_at and (not count or self._sent < count):
            self._send(opened)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--template", type=Path, required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--distinct", type=int, default=0)
    parser.add_argument("--per", type=int, default=1)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--count", type=int, default=0)
    flags = parser.parse_args()
    with flags.template.open(newline="") as file:
        template = file.read()
    generator = Generator(flags.port, requests_of(template, flags.prefix, flags.distinct, flags.per))
    seconds = generator.run(flags.connections, seconds=flags.seconds, count=flags.count)
    print("RESULT " + json.dumps(summary(generator, seconds)))


def summary(generator: Generator, seconds: float) -> dict[str, float]:
    """The figures that wrk's script prints too; times in milliseconds."""
    times = sorted(generator.latencies) or [0.0]
    return {
        "answers": len(generator.latencies),
        "refused": generator.refused,
        "broken": generator.broken,
        "seconds": seconds,
        "p50": times[len(times) // 2] * 1000,
        "p99": times[min(len(times) - 1, len(times) * 99 // 100)] * 1000,
        "slowest": times[-1] * 1000,
    }


if __name__ == "__main__":
    main()
