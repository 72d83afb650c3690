"""What only a real connection shows: chunks, odd bytes in the head, senders that hang up."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator

from tests.realtime.installation import KEY, Installation
from tests.realtime.load import Request, Sender, event, storm

GOOD = event("trigger", "disk")
PATH = f"/api/v2/generic/incoming?token={KEY}"


def raw(web: Installation, data: bytes, *, seconds: float = 10) -> bytes:
    """Send bytes and read what comes until the other side hangs up or falls silent."""
    with socket.create_connection(("127.0.0.1", web.port), timeout=seconds) as connection:
        connection.sendall(data)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
                if b"\r\n\r\n" in answer and b"onnection: close" not in data:
                    break
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1."), answer[:200]
    return int(answer.split()[1])


def still_takes(web: Installation) -> None:
    sender = Sender(web.port)
    assert sender.send(event("trigger", "afterwards")).status == 202
    sender.close()


def pieces(body: bytes, size: int = 1000) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def test_a_body_in_chunks_is_taken(web: Installation) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
    connection.request("POST", GOOD.path, pieces(GOOD.body, 7), GOOD.headers, encode_chunked=True)

    assert connection.getresponse().status == 202
    connection.close()
    assert web.scalar("SELECT title FROM incidents") == "Problem disk"


def test_a_chunked_body_of_two_mebibytes_is_refused(web: Installation) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
    body = json.dumps({"summary": "x" * 2 * 1024 * 1024}).encode()
    try:
        connection.request("POST", PATH, pieces(body, 65536), {"Content-Type": "application/json"}, encode_chunked=True)
        assert connection.getresponse().status == 413
    except OSError:
        pass  # the server has answered and hung up before all was sent; the receipt tells
    finally:
        connection.close()

    assert web.scalar("SELECT count(*) FROM incidents") == 0
    assert web.rows("SELECT status, reason FROM receipts") == [(413, "too_large")]
    still_takes(web)


def test_two_mebibytes_with_a_length_are_refused(web: Installation) -> None:
    sender = Sender(web.port)
    body = json.dumps({"summary": "x" * 2 * 1024 * 1024}).encode()
    reply = sender.send(Request(PATH, body, {"Content-Type": "application/json"}))
    sender.close()

    assert reply.status == 413
    assert b"1048576" in reply.body
    still_takes(web)


def test_odd_bytes_in_the_head_are_answered_and_harm_nobody(web: Installation) -> None:
    body = b'{"summary": "x"}'
    end = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    heads = {
        "a key in UTF-8": b"POST /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Token token=\xd0\xba\xd0\xbb\r\n",
        "a key in Latin-1": b"POST /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xfc\xff\r\n",
        "no scheme": b"POST /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: \r\n",
        "basic": b"POST /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Basic !!!\r\n",
        "an odd path": b"POST /integrations/v1/generic/%FF%00%ED%A0%80/ HTTP/1.1\r\nHost: x\r\n",
        "an odd source": b"POST /api/integrations/%FF%00?key=%FF HTTP/1.1\r\nHost: x\r\n",
        "an odd query": b"POST /api/v2/generic/incoming?token=%FF%00&summary=%ED%A0%80 HTTP/1.1\r\nHost: x\r\n",
        "no host": b"POST /api/events HTTP/1.0\r\n",
    }
    for name, head in heads.items():
        status = status_of(raw(web, head + end))
        assert 400 <= status < 500, f"{name}: {status}"

    assert web.scalar("SELECT count(*) FROM incidents") == 0
    assert web.scalar("SELECT count(*) FROM unknown_key_requests") > 0
    still_takes(web)


def test_a_url_that_is_too_long_is_refused_without_harm(web: Installation) -> None:
    answer = raw(web, b"POST /api/v2/generic/incoming?token=%s&summary=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % (KEY.encode(), b"x" * 1_000_000))

    assert not answer or 400 <= status_of(answer) < 500
    still_takes(web)


def test_a_sender_that_hangs_up_in_the_middle_of_a_body_stores_nothing(web: Installation) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n" % PATH.encode()
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", web.port), timeout=5) as connection:
            connection.sendall(head + b'{"summary": "half of')

    still_takes(web)
    assert web.rows("SELECT title FROM incidents") == [("Problem afterwards",)]


def test_slow_senders_that_go_away_leave_everybody_else_served(web: Installation) -> None:
    """More of them than there are threads: each has sent its head and a piece of its body, then hangs up."""
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{" % PATH.encode()
    slow = [socket.create_connection(("127.0.0.1", web.port), timeout=5) for _ in range(64)]
    for connection in slow:
        connection.sendall(head)
    time.sleep(0.5)
    for connection in slow:
        connection.close()

    replies = storm(web.port, [event("trigger", f"disk-{n}") for n in range(50)], senders=5)

    assert {reply.status for reply in replies} == {202}
    assert web.scalar("SELECT count(*) FROM incidents") == 50
