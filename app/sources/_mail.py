"""Read a mail's subject, sender and text, however badly it is written."""

from __future__ import annotations

import binascii
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.policy import Compat32
from typing import Any

from app.core.errors import NotUnderstood
from app.core.plain import text_of_html

_LONGEST_HEADER = 4_000


class _ShortHeaders(Compat32):
    """The library's time grows with the square of a header's length: what is longer is cut before it is looked at."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:_LONGEST_HEADER]


_POLICY = _ShortHeaders()


class Mail:
    """A mail; every part of it is text."""

    def __init__(self, raw: bytes) -> None:
        """Take it apart.

        Raises:
            NotUnderstood: it is nested too deeply, or malformed beyond reading.
        """
        try:
            self._message = message_from_bytes(raw, policy=_POLICY)
            self.kind = self._message.get_content_type()
            self.text = _text(self._message)
        except (RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise NotUnderstood(f"the mail is malformed: {type(error).__name__}") from error

    def header(self, name: str) -> str:
        """The first header of a name: unfolded, decoded, whatever its bytes; empty when there is none."""
        raw = next((str(value) for key, value in self._message.raw_items() if key.lower() == name.lower()), "")
        text = raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        try:
            pieces = decode_header(text)
        except (HeaderParseError, binascii.Error, ValueError):
            pieces = [(text, None)]
        return " ".join("".join(_decoded(piece, charset) for piece, charset in pieces).split())


def _text(message: Message) -> str:
    """The first plain text that is no attachment, else the first HTML as text, else what claims to have parts and has none."""
    parts = [part for part in message.walk() if not part.is_multipart() and "attachment" not in str(part.get("Content-Disposition", "")).lower()]
    for kind in ("text/plain", "text/html", "multipart/"):
        part = next((part for part in parts if part.get_content_type().startswith(kind)), None)
        if part is not None:
            text = _decoded(part.get_payload(decode=True), part.get_content_charset()).strip()
            return text_of_html(text) if kind == "text/html" else text
    return ""


def _decoded(piece: Any, charset: str | None) -> str:
    if isinstance(piece, str):
        return piece
    octets = piece if isinstance(piece, bytes) else b""
    try:
        return octets.decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):
        return octets.decode("utf-8", "replace")
