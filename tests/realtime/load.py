"""Many senders at once, over real connections."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.realtime.installation import KEY, TOKEN


@dataclass(frozen=True)
class Request:
    """What is sent."""

    path: str
    body: bytes
    headers: dict[str, str]
    what: str = ""


@dataclass(frozen=True)
class Reply:
    """What came back; status 0: the connection broke, and `body` says how."""

    request: Request
    status: int
    body: bytes
    headers: dict[str, str]
    seconds: float


def event(action: str, dedup_key: str, key: str = KEY) -> Request:
    """An Events API event."""
    body: dict[str, Any] = {"event_action": action, "dedup_key": dedup_key}
    if action == "trigger":
        body["payload"] = {"summary": f"Problem {dedup_key}", "source": "storm", "severity": "critical"}
    headers = {"Authorization": f"Token token={key}", "Content-Type": "application/json"}
    return Request("/api/events", json.dumps(body).encode(), headers, action)


def batch(dedup_keys: Iterable[str], status: str, key: str = KEY) -> Request:
    """An Alertmanager's group of alerts."""
    alerts = [{"status": status, "labels": {"alertname": name}, "fingerprint": name} for name in dedup_keys]
    body = json.dumps({"status": status, "alerts": alerts}).encode()
    return Request(f"/integrations/v1/alertmanager/{key}/", body, {"Content-Type": "application/json"}, status)


def resolve_by_api(public_id: str) -> Request:
    """A person's resolve of an incident, through the API."""
    return Request(f"/api/v1/alert_groups/{public_id}/resolve/", b"{}", {"Authorization": TOKEN, "Content-Type": "application/json"}, "by hand")


class Sender:
    """One keep-alive connection."""

    def __init__(self, port: int, timeout: float = 30) -> None:
        self._port = port
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None

    def send(self, request: Request) -> Reply:
        """Post once."""
        started = time.monotonic()
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout)
            self._connection.request("POST", request.path, request.body, request.headers)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Reply(request, 0, repr(error).encode(), {}, time.monotonic() - started)
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(request, response.status, body, headers, time.monotonic() - started)

    def send_until_taken(self, request: Request, patience: float = 60) -> list[Reply]:
        """Repeat what is not answered 2xx, as a well-behaved sender does."""
        replies = [self.send(request)]
        deadline = time.monotonic() + patience
        while not 200 <= replies[-1].status < 300 and time.monotonic() < deadline:
            time.sleep(0.05)
            replies.append(self.send(request))
        return replies

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def storm(port: int, requests: Iterable[Request], *, senders: int, repeat: bool = False) -> list[Reply]:
    """Send all, from so many connections that begin at the same moment; all replies, in no order."""
    waiting = iter(list(requests))
    lock = threading.Lock()
    start = threading.Barrier(senders)
    replies: list[Reply] = []

    def following() -> Iterator[Request]:
        while True:
            with lock:
                request = next(waiting, None)
            if request is None:
                return
            yield request

    def work() -> None:
        sender = Sender(port)
        mine: list[Reply] = []
        start.wait()
        for request in following():
            mine += sender.send_until_taken(request) if repeat else [sender.send(request)]
        sender.close()
        with lock:
            replies.extend(mine)

    in_threads([work] * senders)
    return replies


def in_threads(works: Iterable[Callable[[], None]]) -> None:
    """Run all at once and wait for all; the first failure is raised."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
