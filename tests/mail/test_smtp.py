"""Mail in, by a real SMTP conversation with the listener."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import sqlite3
import ssl
import threading
import time
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import select

from app.core.types import Reason
from app.intake import smtp
from app.intake.smtp import Listener
from app.models import UnknownKeyRequest
from tests.channels import certificates
from tests.world.senders import IntegrationInTest
from tests.world.world import World

DOMAIN = "alerts.example.com"
UNKNOWN = "f" * 32


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def environment() -> dict[str, str]:
    return {"EMAIL_DOMAIN": DOMAIN, "SMTP_LISTEN": f"127.0.0.1:{free_port()}"}


@pytest.fixture
def listener(world: World) -> Iterator[Listener]:
    """The listener on a port of its own."""
    listening = Listener(world.app)
    listening.start()
    yield listening
    listening.stop()


@pytest.fixture
def client(listener: Listener) -> Iterator[smtplib.SMTP]:
    """A sender's connection."""
    with smtplib.SMTP("127.0.0.1", listener.port, local_hostname="files-01.example.com", timeout=20) as connection:
        yield connection


def written(subject: str | None = "Disk 91% on web-01", text: str = "/var is nearly full") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "cron@files-01.example.com"
    if subject is not None:
        message["Subject"] = subject
    message.set_content(text)
    return message


def send(client: smtplib.SMTP, *addresses: str, message: EmailMessage | bytes | None = None) -> tuple[int, str]:
    """The answer to the mail, or to the first recipient that was refused."""
    body = message if isinstance(message, bytes) else (message or written()).as_bytes(policy=policy.SMTP)
    client.ehlo_or_helo_if_needed()
    assert client.mail("cron@files-01.example.com")[0] == 250
    for address in addresses:
        code, words = client.rcpt(address)
        if code != 250:
            client.rset()
            return code, words.decode()
    code, words = client.data(body)
    return code, words.decode()


def address_of(integration: IntegrationInTest, dedup: str = "") -> str:
    return f"{integration.key}{'+' + dedup if dedup else ''}@{DOMAIN}"


@contextlib.contextmanager
def database_away(world: World) -> Iterator[None]:
    """SQLite without its first table: nothing can be looked up or stored."""
    world.app.extensions["tocsin"].cache.drop()
    _rename_table(world, "meta", "meta_away")
    try:
        yield
    finally:
        _rename_table(world, "meta_away", "meta")


def _rename_table(world: World, old: str, new: str) -> None:
    path = world.app.extensions["tocsin"].settings.database_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
        connection.execute(f"ALTER TABLE {old} RENAME TO {new}")


def test_a_mail_opens_an_incident_and_pages(world: World, client: smtplib.SMTP) -> None:
    integration = world.paging("ann", source="email")
    world.ready()

    code, words = send(client, address_of(integration))

    assert code == 250
    incident = world.incident("Disk 91% on web-01").is_triggered()
    assert f"incident {incident.number}" in words
    world.hook("ann").expects("Disk 91% on web-01")
    assert integration.last_request().verdict == "accepted"


def test_the_same_mail_again_joins_and_another_text_does_not(world: World, client: smtplib.SMTP) -> None:
    integration = world.integration(source="email")
    world.ready()

    for text in ("/var is full", "/var is full", "/srv is full"):
        assert send(client, address_of(integration), message=written(text=text))[0] == 250

    assert [incident.number for incident in world.incidents("Disk")] == [1, 2]
    world.incidents("Disk")[0].counts(2)


def test_a_word_after_the_plus_names_the_problem(world: World, client: smtplib.SMTP) -> None:
    integration = world.integration(source="email")
    world.ready()

    send(client, address_of(integration, "Backup_Files"), message=written("Backup failed", "exit status 3"))
    send(client, address_of(integration, "Backup_Files"), message=written("Backup failed again", "exit status 4"))
    send(client, address_of(integration, "backup_files"), message=written("Other case", "x"))

    world.incident("Backup failed").counts(2)
    world.incident("Other case").counts(1)


def test_a_dedup_by_mail_and_by_the_api_is_one_problem(world: World, client: smtplib.SMTP) -> None:
    mail, api = world.integration("mail", source="email"), world.integration("api", source="generic")
    world.ready()

    send(client, address_of(mail, "backup"), message=written("Backup failed"))
    api.goalert(summary="done", dedup="backup", action="close").is_(200)

    world.incident("Backup failed").is_resolved()


def test_a_mail_without_a_subject_says_so(world: World, client: smtplib.SMTP) -> None:
    integration = world.integration(source="email")
    world.ready()

    assert send(client, address_of(integration), message=written(subject=None))[0] == 250

    world.incident("(no subject)")


def test_keys_are_taken_in_any_case_and_with_dashes(world: World, client: smtplib.SMTP) -> None:
    world.integration(source="email", key="0123456789abcdef0123456789abcdef")
    world.ready()

    for key in ("0123456789ABCDEF0123456789ABCDEF", "01234567-89ab-cdef-0123-456789abcdef"):
        assert send(client, f"{key}@{DOMAIN.upper()}")[0] == 250

    world.incident().counts(2)


def test_any_integrations_key_takes_mail(world: World, client: smtplib.SMTP) -> None:
    integration = world.integration(source="prometheus")
    world.ready()

    assert send(client, address_of(integration))[0] == 250

    world.incident("Disk 91%")


@pytest.mark.parametrize(
    ("address", "code", "says"),
    [
        (f"{UNKNOWN}@{DOMAIN}", 550, "nobody knows"),
        (f"{UNKNOWN}@elsewhere.example.com", 550, DOMAIN),
        (f"{UNKNOWN}@sub.{DOMAIN}", 550, DOMAIN),
        (f"postmaster@{DOMAIN}", 501, "integration key"),
        (f"short-key@{DOMAIN}", 501, "integration key"),
        (f"{'x' * 65}@{DOMAIN}", 501, "integration key"),
        (f"+dedup@{DOMAIN}", 501, "integration key"),
        ("nobody", 550, DOMAIN),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_at_once(world: World, client: smtplib.SMTP, address: str, code: int, says: str) -> None:
    world.ready()

    answer = send(client, address)

    assert answer[0] == code
    assert says in answer[1]
    world.has_no_incident()


def test_an_unknown_key_is_noted(world: World, client: smtplib.SMTP) -> None:
    world.ready()

    assert send(client, f"{UNKNOWN}@{DOMAIN}")[0] == 550

    rows = world.read(lambda session: [(row.door, row.reason) for row in session.scalars(select(UnknownKeyRequest))])
    assert rows == [("email", Reason.UNKNOWN_KEY)]


def test_a_bounce_is_refused(client: smtplib.SMTP) -> None:
    client.ehlo()

    assert client.docmd("MAIL FROM:<>")[0] == 501


def test_a_disabled_integration_refuses_for_good_and_leaves_a_receipt(world: World, client: smtplib.SMTP) -> None:
    integration = world.integration(source="email", enabled=False)
    world.ready()

    code, words = send(client, address_of(integration))

    assert code == 550
    assert "disabled" in words
    assert integration.last_request().reason == Reason.DISABLED
    world.has_no_incident()


def test_what_is_over_the_limit_comes_again_later(world: World, client: smtplib.SMTP) -> None:
    integration = world.integration(source="email", rate_limit=1)
    world.ready()

    assert [send(client, address_of(integration, f"n{n}"))[0] for n in range(2)] == [250, 451]


def test_a_database_that_is_away_makes_the_sender_come_again(world: World, client: smtplib.SMTP) -> None:
    integration = world.integration(source="email")
    world.ready()
    if not world.app.extensions["tocsin"].settings.is_sqlite:
        pytest.skip("SQLite's file is taken away here; PostgreSQL is stopped in the crash tests")
    send(client, address_of(integration))

    with database_away(world):
        assert send(client, address_of(integration))[0] == 451

    assert send(client, address_of(integration))[0] == 250
    world.incident().counts(2)


def test_a_mail_that_is_too_large_is_refused_with_a_receipt(world: World, client: smtplib.SMTP) -> None:
    integration = world.integration(source="email")
    world.ready()

    code, words = send(client, address_of(integration), message=b"Subject: big\r\n\r\n" + b"x" * 70 + (b"\r\n" + b"y" * 998) * 10_600)

    assert code == 552
    assert "10 MiB" in words
    assert integration.last_request().reason == Reason.TOO_LARGE
    world.has_no_incident()


def test_a_mail_with_a_large_attachment_is_read_and_kept_in_part(world: World, client: smtplib.SMTP) -> None:
    integration = world.integration(source="email")
    world.ready()
    message = written("Report of the night", "See the attachment.")
    message.add_attachment(b"z" * 3_000_000, maintype="application", subtype="octet-stream", filename="log.bin")

    assert send(client, address_of(integration), message=message)[0] == 250

    world.incident("Report of the night")
    assert len(integration.last_request().body or b"") == 1024 * 1024


def test_long_lines_are_taken(world: World, client: smtplib.SMTP) -> None:
    integration = world.integration(source="email")
    world.ready()

    assert send(client, address_of(integration), message=b"Subject: One long line\r\n\r\n" + b"x" * 200_000 + b"\r\n")[0] == 250

    world.incident("One long line")


def test_several_recipients_each_get_theirs(world: World, client: smtplib.SMTP) -> None:
    web, shop = world.integration("web", service="Web", source="email"), world.integration("shop", service="Shop", source="email")
    world.ready()

    assert send(client, address_of(web), address_of(shop, "d"))[0] == 250

    assert len(world.incidents("Disk")) == 2


def test_with_several_recipients_a_passing_failure_is_told_first(world: World, client: smtplib.SMTP) -> None:
    fine, over = world.integration("fine", source="email"), world.integration("over", service="Shop", source="email", rate_limit=1)
    world.ready()
    send(client, address_of(over))

    assert send(client, address_of(fine), address_of(over))[0] == 451


def test_an_automatic_reply_is_taken_and_ignored(world: World, client: smtplib.SMTP) -> None:
    integration = world.integration(source="email")
    world.ready()
    message = written("Out of office")
    message["Auto-Submitted"] = "auto-replied"

    assert send(client, address_of(integration), message=message)[0] == 250

    world.has_no_incident()
    assert integration.last_request().reason == Reason.IGNORED


def test_a_mail_nested_beyond_reading_is_kept_and_told(world: World, client: smtplib.SMTP) -> None:
    integration = world.integration(source="email")
    world.ready()

    assert send(client, address_of(integration), message=b"Content-Type: message/rfc822\r\n\r\n" * 2_000)[0] == 554

    world.incident("Unrecognised payload")


def test_mail_in_utf_8_and_hostile_bytes_is_taken(world: World, client: smtplib.SMTP) -> None:
    integration = world.integration(source="email")
    world.ready()

    assert send(client, address_of(integration), message="Subject: Kühlung\r\n\r\nStörung\0\x07 \ud800".encode("utf-8", "surrogatepass"))[0] == 250

    world.incident("Kühlung")


def test_nothing_of_the_key_is_kept_or_logged(world: World, client: smtplib.SMTP, caplog: pytest.LogCaptureFixture) -> None:
    integration = world.integration(source="email")
    world.ready()
    with caplog.at_level("DEBUG"):
        send(client, address_of(integration, "x"))

    assert integration.key not in integration.last_request().path
    assert not [record for record in caplog.records if integration.key in record.getMessage() and not record.name.startswith(("mail.", "sqlalchemy"))]


def test_many_senders_at_once_are_all_taken(world: World, listener: Listener) -> None:
    integration = world.integration(source="email")
    world.ready()
    codes: list[int] = []

    def one(n: int) -> None:
        with smtplib.SMTP("127.0.0.1", listener.port, local_hostname="x", timeout=30) as connection:
            codes.extend([send(connection, address_of(integration, f"{n}-{m}"))[0] for m in range(5)])

    threads = [threading.Thread(target=one, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert codes == [250] * 100
    assert len(world.incidents("Disk")) == 100


def test_too_many_connections_are_sent_away_for_now(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "MAX_CONNECTIONS", 1)
    with smtplib.SMTP("127.0.0.1", listener.port, local_hostname="x", timeout=20), pytest.raises(smtplib.SMTPConnectError) as refused:
        smtplib.SMTP("127.0.0.1", listener.port, local_hostname="x", timeout=20)

    assert refused.value.smtp_code == 421


def test_a_sender_that_is_connected_is_told_when_the_listener_stops(world: World) -> None:
    listening = Listener(world.app)
    listening.start()
    connection = smtplib.SMTP("127.0.0.1", listening.port, local_hostname="x", timeout=20)
    connection.ehlo()

    started = time.monotonic()
    listening.stop()

    assert time.monotonic() - started < 5
    assert connection.sock is not None
    assert connection.sock.recv(100).startswith(b"421 ")
    connection.close()


class TestWithACertificate:
    """STARTTLS is offered with the web server's certificate."""

    @pytest.fixture
    def environment(self, tmp_path: Path) -> dict[str, str]:
        file = str(certificates.make(tmp_path))
        return {"EMAIL_DOMAIN": DOMAIN, "SMTP_LISTEN": f"127.0.0.1:{free_port()}", "TLS_CERT": file, "TLS_KEY": file}

    def test_a_mail_comes_by_starttls(self, world: World, client: smtplib.SMTP, tmp_path: Path) -> None:
        integration = world.integration(source="email")
        world.ready()

        client.starttls(context=ssl.create_default_context(cafile=str(tmp_path / "certificate.pem")))

        assert send(client, address_of(integration))[0] == 250
        world.incident("Disk 91%")


def test_serving_ends_when_it_is_told(world: World, environment: dict[str, str]) -> None:
    world.ready()
    stop = threading.Event()
    serving = threading.Thread(target=smtp.serve, args=(world.app, stop))
    serving.start()
    port = int(environment["SMTP_LISTEN"].rpartition(":")[2])
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    stop.set()
    serving.join(10)

    assert not serving.is_alive()


def test_a_port_that_is_taken_is_an_error_at_the_start(world: World, listener: Listener) -> None:
    with pytest.raises(OSError, match="in use"):
        Listener(world.app).start()
