"""The one way to the outside: http(s) requests and mail, bounded in reach, time and size, silent about secrets.

Requests use no proxy and no .netrc of the environment, keep no cookies and open a connection each: what one receiver
does reaches no other.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from app.core import mail
from app.core.guard import Guard, Network, OutboundFailed, Resolve
from app.core.text import clean_line
from app.core.types import Sent
from app.settings import Settings

SEND_SECONDS = 12.0
"""For one delivery, all together: under the lease by which it was claimed."""
BODY_CAP = 65_536
LOGGED_BODY = 2_048
MAX_RETRY_AFTER = 900.0
_RETRY_STATUSES = frozenset({408, 425, 429})
_HOPELESS_CAUSES = frozenset({"address", "request"})
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes
    is_whole: bool = True
    """False when the body was longer than the cap, or broke off."""

    @property
    def text(self) -> str:
        """The body as text, whatever it is."""
        return self.body.decode("utf-8", "replace")


class Outbound:
    """Makes requests and hands over mail; shared by the threads of a process."""

    def __init__(
        self,
        *,
        allow: Sequence[Network] = (),
        mail_server: mail.MailServer | None = None,
        agent: str = "Tocsin",
        seconds: float = SEND_SECONDS,
        resolve: Resolve | None = None,
    ) -> None:
        """`allow` is OUTBOUND_ALLOW; `seconds` is for one delivery, all together; `resolve` looks names up (tests bring their own)."""
        self._seconds = seconds
        self._allow = tuple(allow)
        self._mail_server = mail_server
        self._agent = agent
        self._resolve = resolve

    @classmethod
    def of(cls, settings: Settings, agent: str = "Tocsin") -> Outbound:
        """The outside as the settings permit it."""
        return cls(allow=settings.outbound_allow, mail_server=mail.MailServer.of(settings), agent=agent)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        seconds: float | None = None,
        cap: int = BODY_CAP,
        follow: int = 0,
    ) -> Reply:
        """Make a request; `follow` redirects at most, each checked like the first address, for GET and HEAD only.

        Raises:
            OutboundFailed: no answer came, or the address may not be reached.
        """
        sent = {name: value for name, value in (headers or {}).items() if name.lower() not in _OWN_HEADERS}
        sent = {"User-Agent": self._agent, "Accept-Encoding": "identity", **sent, "Connection": "close"}
        with Guard(seconds or self._seconds, self._allow, self._resolve) as guard:
            while True:
                reply = self._once(guard, method, url, sent, body, cap)
                target = reply.headers.get("location", "")
                if not follow or not target or reply.status not in (301, 302, 303, 307, 308) or method not in ("GET", "HEAD"):
                    return reply
                follow -= 1
                former, url = url, urljoin(url, target)
                if urlsplit(former).netloc != urlsplit(url).netloc:
                    sent = {name: value for name, value in sent.items() if name.lower() not in ("authorization", "cookie")}

    def deliver(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, secrets: Sequence[str] = ()) -> Sent:
        """Make a request and judge the answer; never raises for what the other side does."""
        try:
            reply = self.request(method, url, headers=headers, body=body, cap=LOGGED_BODY)
        except OutboundFailed as failure:
            return Sent.refused(failure.why) if failure.cause in _HOPELESS_CAUSES else Sent.retry(failure.why)
        return judge(reply, [*secrets, *secrets_of(url, headers)])

    def mail(self, message: EmailMessage, to: str) -> Sent:
        """Hand a mail to SMTP_HOST, which the operator chose: OUTBOUND_ALLOW does not bind it."""
        if self._mail_server is None:
            return Sent.refused("No mail can be sent: set SMTP_HOST.")
        return mail.hand_over(self._mail_server, message, to, tls=lambda: self._tls, seconds=self._seconds)

    def _once(self, guard: Guard, method: str, url: str, headers: Mapping[str, str], body: bytes | None, cap: int) -> Reply:
        try:
            prepared = requests.Request(method, url, headers=dict(headers), data=body).prepare()
            if urlsplit(prepared.url or "").scheme not in ("http", "https"):
                raise OutboundFailed("request", "only http:// and https:// addresses can be called")
            answer = _Adapter(guard, self._tls).send(prepared, stream=True, timeout=guard.left)
        except requests.exceptions.SSLError as error:
            raise (guard.timed_out() if guard.expired else OutboundFailed("tls", _tls_trouble(error))) from error
        except requests.exceptions.Timeout as error:
            raise guard.timed_out() from error
        except requests.exceptions.ConnectionError as error:
            raise (guard.timed_out() if guard.expired else OutboundFailed("broken", "the connection broke before an answer came")) from error
        except (requests.exceptions.RequestException, HTTPError, ValueError) as error:
            raise OutboundFailed("request", f"the request cannot be made: {type(error).__name__}") from error
        return _read(guard, answer, cap)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """The system's certificates (SSL_CERT_FILE is honoured) and those that come with requests."""
        context = ssl.create_default_context()
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
        return context


class _Connection(HTTPConnection):
    """Connects by its guard."""

    def __init__(self, *args: Any, guard: Guard, **options: Any) -> None:
        super().__init__(*args, **options)
        self._guard = guard

    def _new_conn(self) -> Any:
        return self._guard.connect(self.host, self.port or self.default_port)


class _TlsConnection(_Connection, HTTPSConnection):
    """The same, with TLS for the name that was asked for."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    """Sends one request by a connection of its own."""

    def __init__(self, guard: Guard, tls: ssl.SSLContext) -> None:
        super().__init__(max_retries=0)
        self._guard = guard
        self._tls = tls

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> HTTPConnectionPool:
        """A pool of one, bound to the guard."""
        parts = urlsplit(request.url)
        host = cast(str, parts.hostname)
        if parts.scheme == "https":
            return _TlsPool(host, parts.port, ssl_context=self._tls, guard=self._guard)
        return _Pool(host, parts.port, guard=self._guard)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The TLS context has its certificates already; requests would load them anew for each connection."""


def _read(guard: Guard, answer: requests.Response, cap: int) -> Reply:
    """The body up to the cap.  The status is known by now, so a body that breaks off is no failure."""
    body, is_whole = b"", True
    try:
        while len(body) <= cap:
            piece = answer.raw.read1(cap + 1 - len(body))
            if not piece:
                break
            body += piece
    except (HTTPError, OSError):
        is_whole = False
    finally:
        answer.raw.close()
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Reply(answer.status_code, headers, body[:cap], is_whole and len(body) <= cap and not guard.expired)


def judge(reply: Reply, secrets: Sequence[str] = ()) -> Sent:
    """What the usual HTTP answers mean for a delivery: taken, later, or never this way."""
    said = clean_line(redact(reply.text[:LOGGED_BODY], secrets), 300)
    detail = f"{reply.status}: {said}" if said else str(reply.status)
    if 200 <= reply.status < 300:
        return Sent.ok(detail, status=reply.status)
    if reply.status in _RETRY_STATUSES or reply.status >= 500:
        return Sent.retry(detail, after=_retry_after(reply), status=reply.status)
    if 300 <= reply.status < 400:
        return Sent.refused(f"{reply.status}: redirects are not followed; give the final address", status=reply.status)
    return Sent.refused(detail, status=reply.status)


def redact(text: str, secrets: Sequence[str]) -> str:
    """Cross out secrets, the longest first."""
    for secret in sorted({secret for secret in secrets if len(secret) >= 4}, key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def secrets_of(url: str, headers: Mapping[str, str]) -> list[str]:
    """What in an address and in headers may be a secret: password, path, query values, credentials."""
    parts = urlsplit(url)
    found = [url, parts.path, unquote(parts.path), parts.query, unquote(parts.password or ""), parts.password or ""]
    found += [value for _, value in parse_qsl(parts.query)]
    found += [value for name, value in headers.items() if name.lower() in ("authorization", "cookie") or "key" in name.lower() or "token" in name.lower()]
    return [secret for secret in found if len(secret) > 8 or (secret and secret == unquote(parts.password or ""))]


def _retry_after(reply: Reply) -> float | None:
    """Seconds, or a date seen from the server's own Date, so that a wrong clock on either side does no harm."""
    text = reply.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER)
    try:
        wait = (parsedate_to_datetime(text) - parsedate_to_datetime(reply.headers["date"])).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None
    return min(max(wait, 0.0), MAX_RETRY_AFTER)


def _tls_trouble(error: BaseException) -> str:
    """The certificate's fault in OpenSSL's words, which hold no secret."""
    found: BaseException | None = error
    for _ in range(8):
        if isinstance(found, ssl.SSLCertVerificationError):
            return f"the certificate was not accepted: {found.verify_message}"
        inner = getattr(found, "reason", None)
        found = inner if isinstance(inner, BaseException) else next((arg for arg in getattr(found, "args", ()) if isinstance(arg, BaseException)), None)
        if found is None:
            break
    return "the TLS handshake failed"
