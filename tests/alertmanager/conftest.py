"""Debian's real Alertmanager beside a real hub.  Opt in with TOCSIN_ALERTMANAGER=1."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.realtime.installation import Installation, free_port, until, usual_document
from tests.world.databases import Databases
from tests.world.receivers import HttpReceiver, MailServer

HERE = Path(__file__).parent
KEYS = {name: f"{n:x}" * 32 for n, name in enumerate(("native", "goalert", "oncall", "pagerduty"), 10)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason="starts Debian's prometheus-alertmanager: set TOCSIN_ALERTMANAGER=1")
    for item in items:
        if item.path.is_relative_to(HERE) and item.path.name != "test_document.py":
            item.add_marker(pytest.mark.alertmanager)
            if os.environ.get("TOCSIN_ALERTMANAGER") != "1":
                item.add_marker(skip)


class Alertmanager:
    """The program, its configuration and its command line."""

    def __init__(self, folder: Path, hub: Installation) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        base = f"http://127.0.0.1:{hub.port}"
        intake_id = hub.scalar("SELECT intake_id FROM integrations WHERE name = 'native'")
        template = (HERE / "alertmanager.yml").read_text()
        words = {"BASE": base, "INTAKE_ID": intake_id, **{f"{name.upper()}_KEY": key for name, key in KEYS.items()}}
        for word, value in words.items():
            template = template.replace(f"${{{word}}}", value)
        configuration = folder / "alertmanager.yml"
        configuration.write_text(template)
        self._process = hub.start(
            [
                "prometheus-alertmanager",
                f"--config.file={configuration}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                "--cluster.listen-address=",
            ]
        )
        until(self._is_ready, what=f"Alertmanager; {hub.log()}")

    def fire(self, name: str, summary: str, **labels: str) -> None:
        """An alert fires."""
        self._amtool("alert", "add", name, *[f"{key}={value}" for key, value in labels.items()], f"--annotation=summary={summary}")

    def resolve(self, name: str, summary: str, **labels: str) -> None:
        """It is over, from now."""
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        self._amtool("alert", "add", name, *[f"{key}={value}" for key, value in labels.items()], f"--annotation=summary={summary}", f"--end={now}")

    def _amtool(self, *arguments: str) -> None:
        done = subprocess.run(["amtool", *arguments, f"--alertmanager.url={self.url}"], capture_output=True, text=True, check=False, timeout=20)
        assert done.returncode == 0, done.stdout + done.stderr

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer:  # noqa: S310 - our own
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture(scope="module")
def receiver() -> Iterator[HttpReceiver]:
    made = HttpReceiver()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    made = MailServer()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def hub(databases: Databases, receiver: HttpReceiver, mail: MailServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """`flask hub` with everything that it starts."""
    if not shutil.which("prometheus-alertmanager") or not shutil.which("amtool"):
        pytest.skip("apt install prometheus-alertmanager")
    folder = tmp_path_factory.mktemp("hub")
    made = Installation(folder, databases.make(folder), SMTP_HOST="127.0.0.1", SMTP_PORT=str(mail.port), SMTP_TLS="none", SMTP_FROM="tocsin@example.com")
    try:
        document = usual_document(hook_url=receiver.url("ann"))
        ann = document["users"][0]
        ann["contact_methods"].append({"name": "mail", "channel": "email", "address": "ann@example.com"})
        for steps in ann["notification_rules"].values():
            steps.append({"contact_method": "mail", "after": "0s"})
        sources = {"native": "prometheus", "goalert": "prometheus", "oncall": "prometheus", "pagerduty": "events-v2"}
        document["services"][0]["integrations"] = [{"name": name, "source": source, "key": KEYS[name]} for name, source in sources.items()]
        made.apply(document)
        made.flask("hub")
        until(made.listens, seconds=30, what=f"the hub; {made.log()}")
        until(lambda: answers(f"http://127.0.0.1:{made.port}/readyz"), seconds=30, what=f"/readyz; {made.log()}")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def alertmanager(hub: Installation, tmp_path_factory: pytest.TempPathFactory) -> Alertmanager:
    return Alertmanager(tmp_path_factory.mktemp("alertmanager"), hub)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
