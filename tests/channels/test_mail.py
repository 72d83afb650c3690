"""Mail by a real SMTP server: encryption, log-in, headers, refusals."""

from __future__ import annotations

import email
import email.policy
import ipaddress
from email.message import EmailMessage
from pathlib import Path

import pytest

from app import channels
from app.core.http import Outbound
from app.core.mail import MailServer
from app.core.types import Message, Sent
from tests.channels import certificates
from tests.channels.outside import MailHandler, RawServer, mail_listening

MESSAGE = Message(
    delivery_id="V123ABC",
    subject="[Tocsin] #42 Datenbank „db-1“ ist voll",
    text="Zeile eins\n.\nÄ" + "ö" * 1200,
    html="<p>Zeile <b>eins</b></p>",
    thread="incident-42@hub.example",
    headers={"Reply-To": "ack@hub.example"},
)


def send(server: MailServer | None, to: str = "ann@example.com", message: Message = MESSAGE) -> Sent:
    channel = channels.get("email")
    assert channel is not None
    return channel.send(message, {"email": to}, Outbound(mail_server=server, seconds=3))


def received(handler: MailHandler) -> EmailMessage:
    assert len(handler.received) == 1
    parsed = email.message_from_string(handler.received[0], policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def server(port: int, **options: str) -> MailServer:
    return MailServer("127.0.0.1", port, sender="Tocsin <tocsin@hub.example>", **options)


def test_a_mail_threads_by_the_incident_and_keeps_vacation_answers_away() -> None:
    handler = MailHandler()
    with mail_listening(handler) as port:
        sent = send(server(port))

    mail = received(handler)
    assert sent.outcome == "ok"
    assert sent.detail == "250 queued as 4711"
    assert sent.provider_id == "<V123ABC@hub.example>" == mail["Message-ID"]
    assert mail["References"] == mail["In-Reply-To"] == "<incident-42@hub.example>"
    assert mail["Subject"] == MESSAGE.subject
    assert mail["From"] == "Tocsin <tocsin@hub.example>"
    assert mail["To"] == "ann@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert mail["List-Id"] == "Tocsin incidents <incidents.hub.example>"
    assert mail["X-Tocsin-Delivery"] == "V123ABC"
    assert mail["Reply-To"] == "ack@hub.example"
    assert mail["Date"]
    assert (handler.envelopes[0].mail_from, handler.envelopes[0].rcpt_tos) == ("tocsin@hub.example", ["ann@example.com"])


def test_a_mail_has_its_text_and_its_html_whole_in_seven_bits() -> None:
    handler = MailHandler()
    with mail_listening(handler) as port:
        send(server(port))

    mail = received(handler)
    assert mail.get_content_type() == "multipart/alternative"
    plain, html = mail.iter_parts()
    assert plain.get_content().replace("\r\n", "\n").strip() == MESSAGE.text
    assert html.get_content().strip() == MESSAGE.html
    assert handler.received[0].isascii()


def test_starttls_and_a_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = certificates.make(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    handler = MailHandler()
    with mail_listening(handler, tls=certificates.server_context(file), login=("tocsin", "right")) as port:
        sent = send(server(port, tls="starttls", user="tocsin", password="right"))
        wrong = send(server(port, tls="starttls", user="tocsin", password="wr0ng-secret"))

    assert sent.outcome == "ok"
    assert handler.secured == [True]
    assert wrong.outcome == "retry", "an operator can mend a password before the page is too old"
    assert "535" in wrong.detail
    assert "wr0ng-secret" not in wrong.detail


def test_an_unknown_certificate_is_not_trusted(tmp_path: Path) -> None:
    handler = MailHandler()
    with mail_listening(handler, tls=certificates.server_context(certificates.make(tmp_path))) as port:
        sent = send(server(port, tls="starttls"))

    assert sent.outcome == "retry"
    assert "self-signed" in sent.detail
    assert not handler.received


def test_implicit_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = certificates.make(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    handler = MailHandler()
    with mail_listening(handler, tls=certificates.server_context(file), implicit=True) as port:
        sent = send(server(port, tls="implicit"))

    assert sent.outcome == "ok"
    assert len(handler.received) == 1


def test_without_starttls_nothing_goes_in_the_open_when_it_was_asked_for() -> None:
    handler = MailHandler()
    with mail_listening(handler) as port:
        sent = send(server(port, tls="starttls"))

    assert sent.outcome == "retry"
    assert "SMTP_TLS=none" in sent.detail
    assert not handler.received


def test_encryption_that_is_offered_is_used_without_asking_for_its_certificate(tmp_path: Path) -> None:
    handler = MailHandler()
    with mail_listening(handler, tls=certificates.server_context(certificates.make(tmp_path))) as port:
        sent = send(server(port, tls="auto"))

    assert sent.outcome == "ok"
    assert handler.secured == [True]


@pytest.mark.parametrize(("port", "mode"), [(25, "offered"), (465, "implicit"), (587, "starttls"), (2525, "offered")])
def test_the_port_says_how_to_encrypt(port: int, mode: str) -> None:
    assert server(port).mode == mode


@pytest.mark.parametrize(
    ("said", "outcome"), [("450 mailbox busy", "retry"), ("552 too much", "refused"), ("550 no such user", "refused"), ("421 going down", "retry")]
)
def test_the_servers_code_decides(said: str, outcome: str) -> None:
    handler = MailHandler()
    handler.refusal = said
    with mail_listening(handler) as port:
        sent = send(server(port))

    assert sent.outcome == outcome
    assert said[4:] in sent.detail
    assert sent.status == int(said[:3])


def test_without_a_server_no_mail_is_sent_and_the_setting_is_named() -> None:
    sent = send(None)

    assert sent.outcome == "refused"
    assert "SMTP_HOST" in sent.detail


def test_the_operators_server_may_be_on_a_private_address() -> None:
    handler = MailHandler()
    with mail_listening(handler) as port:
        http = Outbound(allow=(ipaddress.ip_network("192.0.2.0/24"),), mail_server=server(port), seconds=3)
        channel = channels.get("email")
        assert channel is not None

        assert channel.send(MESSAGE, {"email": "ann@example.com"}, http).outcome == "ok"


def test_a_server_that_refuses_everybody_says_so() -> None:
    raw = RawServer(lambda connection: connection.sendall(b"554 no service for you\r\n"))
    sent = send(server(raw.port))
    raw.stop()

    assert sent.outcome == "refused"
    assert "554" in sent.detail
