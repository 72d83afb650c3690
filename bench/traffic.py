"""What a load generator sends: one raw HTTP request with slots for keys.

Both generators (wrk with its script, and our own) fill the same template.  A key is 16 hexadecimal signs: 8 of the
round, 8 that count; so each request of a round has the same length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SLOT = re.compile(r"@(\d+)@")
KEY_LENGTH = 16


@dataclass(frozen=True)
class Traffic:
    """Requests of one shape.  `@0@`, `@1@` … in the body stand for the keys of one request."""

    body: str
    keys_per_request: int = 1
    distinct: int = 0
    """After so many requests the keys repeat; 0: never."""

    def template(self, path: str, headers: Mapping[str, str]) -> str:
        """The whole request, with its slots."""
        length = len(SLOT.sub("k" * KEY_LENGTH, self.body).encode())
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", f"Content-Length: {length}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join(lines) + "\r\n\r\n" + self.body


def key(prefix: str, n: int) -> str:
    """The n-th key of a round."""
    return f"{prefix}{n:08x}"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _alertmanager_alert(slot: str, status: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {
            "alertname": "NodeFilesystemAlmostFull",
            "cluster": "fra-1",
            "instance": f"{slot}.example.com:9100",
            "job": "node",
            "mountpoint": "/var/lib/postgresql",
            "severity": "critical",
        },
        "annotations": {
            "description": "/var/lib/postgresql has 3.1% left.",
            "runbook_url": "https://wiki.example.com/runbooks/disk",
            "summary": f"Filesystem of {slot} is almost full",
        },
        "startsAt": "2026-03-14T09:31:12.482Z",
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-03-14T10:02:42.482Z",
        "generatorURL": "http://prometheus.example.com:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
        "fingerprint": slot,
    }


def alertmanager(status: str = "firing", alerts: int = 1) -> str:
    """What Alertmanager posts for a group of so many alerts; with one, about 955 bytes."""
    return _compact(
        {
            "receiver": "hub",
            "status": status,
            "alerts": [_alertmanager_alert(f"@{n}@", status) for n in range(alerts)],
            "groupLabels": {"alertname": "NodeFilesystemAlmostFull"},
            "commonLabels": {"alertname": "NodeFilesystemAlmostFull", "cluster": "fra-1", "job": "node", "severity": "critical"},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example.com:9093",
            "version": "4",
            "groupKey": '{}:{alertname="NodeFilesystemAlmostFull"}',
            "truncatedAlerts": 0,
        }
    )


def generic() -> str:
    """What a script posts to the generic door."""
    return _compact({"summary": "Filesystem of @0@ is almost full", "details": "/var/lib/postgresql has 3.1% left.", "dedup": "@0@"})


def events_v2() -> str:
    """An event of the Events API v2."""
    payload = {"summary": "Filesystem of @0@ is almost full", "source": "@0@.example.com", "severity": "critical", "custom_details": {"left": "3.1%"}}
    return _compact({"event_action": "trigger", "dedup_key": "@0@", "payload": payload})
