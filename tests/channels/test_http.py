"""The guarded way out: where it reaches, how long it waits, what it gives away."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.core.guard import OutboundFailed, is_reachable
from app.core.http import Outbound, Reply, judge, redact, secrets_of
from tests.channels import certificates
from tests.channels.outside import RawServer, dripping

LOOPBACK = (ipaddress.ip_network("127.0.0.1/32"),)


def outbound(seconds: float = 2.0, resolve: object = None) -> Outbound:
    return Outbound(allow=LOOPBACK, seconds=seconds, resolve=resolve)  # type: ignore[arg-type]


def url(server: RawServer, path: str = "/", host: str = "127.0.0.1") -> str:
    return f"http://{host}:{server.port}{path}"


def failure(http: Outbound, address: str, method: str = "GET") -> OutboundFailed:
    with pytest.raises(OutboundFailed) as caught:
        http.request(method, address)
    return caught.value


PRIVATE = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"]  # noqa: S104 - looked at, not bound


@pytest.mark.parametrize(
    "address", ["::1", "fe80::1", "fd00::1", "ff02::1", "2002:7f00:1::", *PRIVATE, *(f"::ffff:{it}" for it in PRIVATE), *(f"64:ff9b::{it}" for it in PRIVATE)]
)
def test_private_addresses_are_out_of_reach_in_every_writing(address: str) -> None:
    assert not is_reachable(address, ())


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_within_reach(address: str) -> None:
    assert is_reachable(address, ())


def test_listed_networks_are_within_reach() -> None:
    assert is_reachable("10.1.2.3", (ipaddress.ip_network("10.0.0.0/8"),))
    assert is_reachable("::ffff:10.1.2.3", (ipaddress.ip_network("10.0.0.0/8"),))
    assert is_reachable("fd00::1", (ipaddress.ip_network("fd00::/8"),))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "[::ffff:127.0.0.1]", "2130706433"])
def test_a_refusal_names_the_setting_that_allows_it(server: RawServer, host: str) -> None:
    found = failure(Outbound(resolve=_as_the_system_does), url(server, "/secret-path", host))

    assert found.cause == "address"
    assert "OUTBOUND_ALLOW=127.0.0.0/8" in found.why
    assert "secret-path" not in found.why
    assert server.connections == 0


def _as_the_system_does(host: str, _port: int) -> Sequence[str]:
    """The tests' own resolver knows names only; the system's also reads these old writings of addresses."""
    return ["127.0.0.1"] if host == "localhost" else [socket.inet_ntoa(socket.inet_aton(host))]


def test_the_checked_address_is_the_one_that_is_called(server: RawServer) -> None:
    server.answers(200)
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    asked = []

    def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    http = outbound(resolve=resolve)

    assert http.request("GET", url(server, host="hook.example.com")).status == 200
    assert asked == ["hook.example.com"], "one look-up, whose answer is both checked and called"
    assert f"Host: hook.example.com:{server.port}".encode() in server.requests[0]
    assert failure(http, url(server, host="hook.example.com")).cause == "address", "a name that now means a private address"


def test_a_name_with_a_public_and_a_private_address_never_reaches_the_private_one(server: RawServer) -> None:
    server.answers(200)
    http = outbound(resolve=lambda _host, _port: ["10.0.0.1", "127.0.0.1"])

    assert http.request("GET", url(server, host="hook.example.com")).status == 200


@pytest.mark.parametrize(
    "address", ["ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1", "127.0.0.1", "http://", "http://[::1", "", "http://a\nb/", "//x/"]
)
def test_only_http_addresses_can_be_called(address: str) -> None:
    assert failure(outbound(), address).cause in ("request", "lookup")


def test_headers_cannot_smuggle_lines(server: RawServer) -> None:
    with pytest.raises(OutboundFailed) as caught:
        outbound().request("POST", url(server), headers={"X-A": "b\r\nX-C: secret-value"}, body=b"")

    assert caught.value.cause == "request"
    assert "secret-value" not in caught.value.why


def test_nothing_of_the_environment_is_used(server: RawServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password topsecret")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.answers(200, Set_Cookie="a=b")
    http = outbound()

    for _ in range(2):
        assert http.request("GET", url(server)).status == 200

    assert not any(b"Authorization" in request or b"Cookie" in request for request in server.requests)


def test_redirects_are_followed_on_request_and_each_is_checked(server: RawServer) -> None:
    other = RawServer(lambda _connection: None)
    other.answers(200, b"there")
    server.answers(302, Location=f"http://127.0.0.1:{other.port}/x")
    http = outbound()

    assert http.request("GET", url(server), headers={"Authorization": "Bearer 1"}, follow=1).body == b"there"
    assert b"Authorization" in server.requests[0]
    assert b"Authorization" not in other.requests[0], "credentials do not follow to another host"
    assert http.request("GET", url(server)).status == 302
    assert http.request("POST", url(server), body=b"", follow=1).status == 302

    server.answers(302, Location="http://127.0.0.2/")
    with pytest.raises(OutboundFailed) as caught:
        http.request("GET", url(server), follow=1)
    assert caught.value.cause == "address"
    other.stop()


def test_a_redirect_in_a_circle_ends(server: RawServer) -> None:
    server.answers(302, Location="/again")

    assert outbound().request("GET", url(server), follow=3).status == 302
    assert len(server.requests) == 4


def test_the_total_time_holds_for_headers_that_drip(server: RawServer) -> None:
    server.behave = dripping
    began = time.monotonic()

    assert failure(outbound(0.5), url(server)).cause == "timeout"
    assert time.monotonic() - began < 1.5


def test_the_total_time_holds_for_a_body_that_drips_and_the_status_counts(server: RawServer) -> None:
    def behave(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        dripping(connection)

    server.behave = behave
    began = time.monotonic()

    reply = outbound(0.5).request("GET", url(server))

    assert (reply.status, reply.is_whole) == (200, False)
    assert set(reply.body) == {ord("2")}
    assert time.monotonic() - began < 1.5


def test_the_total_time_holds_for_a_name_that_nobody_answers() -> None:
    never = threading.Event()
    began = time.monotonic()

    def resolve(_host: str, _port: int) -> Sequence[str]:
        never.wait(5)
        return []

    found = failure(outbound(0.5, resolve=resolve), "http://hook.example.com/")
    never.set()

    assert found.cause == "timeout"
    assert time.monotonic() - began < 1.5


def test_an_unknown_name_says_so() -> None:
    found = failure(outbound(), "http://nowhere.example.com/secret")

    assert found.cause == "lookup"
    assert found.why == "there is no host nowhere.example.com"


def test_a_port_where_nobody_listens_says_so(server: RawServer) -> None:
    address = url(server, "/secret")
    server.stop()

    found = failure(outbound(), address)

    assert found.cause == "connect"
    assert "refused" in found.why
    assert "secret" not in found.why


@pytest.mark.parametrize("size", [10, 65_536, 65_537, 3_000_000])
def test_bodies_are_cut_at_the_cap(server: RawServer, size: int) -> None:
    server.answers(200, b"x" * size)

    reply = outbound().request("GET", url(server))

    assert len(reply.body) == min(size, 65_536)
    assert reply.is_whole == (size <= 65_536)


def test_chunked_bodies_are_read(server: RawServer) -> None:
    server.answers_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")

    reply = outbound().request("GET", url(server))

    assert (reply.text, reply.is_whole) == ("hello world", True)


def test_a_compressed_bomb_stays_compressed(server: RawServer) -> None:
    server.answers(200, b"\x1f\x8b" + b"x" * 100, Content_Encoding="gzip")

    assert outbound().request("GET", url(server)).body.startswith(b"\x1f\x8b")
    assert b"Accept-Encoding: identity" in server.requests[0]


@pytest.fixture
def tls_server(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    file = certificates.make(tmp_path)
    return file, certificates.server_context(file)


def https(server: RawServer, context: ssl.SSLContext) -> None:
    def behave(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    server.behave = behave


def test_tls_is_checked_for_the_name_that_was_asked(server: RawServer, tls_server: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> None:
    file, context = tls_server
    https(server, context)
    unknown = failure(outbound(), f"https://127.0.0.1:{server.port}/secret")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    http = outbound(resolve=lambda _host, _port: ["127.0.0.1"])

    assert unknown.cause == "tls"
    assert "self-signed" in unknown.why
    assert http.request("GET", f"https://localhost:{server.port}/").body == b"ok"
    wrong = failure(http, f"https://hook.example.com:{server.port}/")
    assert wrong.cause == "tls"
    assert "hook.example.com" in wrong.why


def test_a_server_that_speaks_no_tls_is_tried_again(server: RawServer) -> None:
    server.behave = lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    sent = outbound().deliver("POST", f"https://127.0.0.1:{server.port}/", headers={}, body=b"")

    assert sent.outcome == "retry"
    assert "TLS" in sent.detail


def test_the_total_time_holds_in_the_tls_handshake(server: RawServer) -> None:
    server.behave = lambda connection: threading.Event().wait(3) and None
    began = time.monotonic()

    assert failure(outbound(0.5), f"https://127.0.0.1:{server.port}/").cause == "timeout"
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("outcome", ["ok", "retry", "refused"])
def test_each_status_means_one_outcome(outcome: str) -> None:
    meant = {"ok": (200, 204), "retry": (408, 425, 429, 500, 502, 599), "refused": (301, 304, 400, 401, 404, 410)}[outcome]

    assert {judge(Reply(status, {}, b"")).outcome for status in meant} == {outcome}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "99999999999"}, 900),
        ({"retry-after": "Mon, 05 Jan 2026 09:00:30 GMT", "date": "Mon, 05 Jan 2026 09:00:00 GMT"}, 30),
        ({"retry-after": "Mon, 05 Jan 2026 08:00:00 GMT", "date": "Mon, 05 Jan 2026 09:00:00 GMT"}, 0),
        ({"retry-after": "Mon, 05 Jan 2026 09:00:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "²"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert judge(Reply(503, headers, b"")).retry_after == seconds


def test_secrets_of_an_address_are_crossed_out() -> None:
    address = "https://bot:pa55@hooks.example.com/services/T000/very-secret?token=abcdefghi"
    found = secrets_of(address, {"Authorization": "Bearer xyzxyzxyz", "X-Api-Key": "kkkkkkkkkk", "Accept": "application/json"})

    text = redact(f"no {address} with pa55, abcdefghi, /services/T000/very-secret, Bearer xyzxyzxyz, kkkkkkkkkk but application/json", found)

    assert not any(secret in text for secret in ("pa55", "abcdefghi", "very-secret", "xyz", "kkk"))
    assert "application/json" in text
