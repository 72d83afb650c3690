"""Passwords: what they must be like, their scrypt hashes, and the check of one against a hash.

A hash costs about 0.2 s on purpose: never make or check one while a database transaction that writes is open.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import unicodedata

from app.core.errors import Invalid

SHORTEST = 8
LONGEST = 256
_LOG_N, _R, _P = 15, 8, 3
"""OWASP's scrypt parameters of 32 MiB memory: N = 2^15, r = 8, p = 3."""
_SALT_BYTES = 16
_HASH_BYTES = 32
_FORM = re.compile(r"scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)\Z")


def check(password: str) -> str:
    """Accept a password that may be set; returned as it is.

    Raises:
        Invalid: it is too short or too long.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid("password", f"A password has {SHORTEST} to {LONGEST} characters.")
    return password


def make_hash(password: str) -> str:
    """A new hash as `scrypt$ln=15,r=8,p=3$<salt>$<hash>`: the parameters stand in it, so that they can be raised later."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"scrypt$ln={_LOG_N},r={_R},p={_P}${_text(salt)}${_text(_scrypt(password, salt, _LOG_N, _R, _P))}"


def verify(password: str, stored: str | None) -> bool:
    """Whether the password fits the hash.

    Takes as long when there is no hash, so that nobody learns by the clock which accounts exist.
    """
    match = _FORM.match(stored or "")
    if match is None:
        _scrypt(password, bytes(_SALT_BYTES), _LOG_N, _R, _P)
        return False
    log_n, r, p = (int(part) for part in match.group(1, 2, 3))
    expected = base64.b64decode(match[5])
    return hmac.compare_digest(_scrypt(password, base64.b64decode(match[4]), log_n, r, p), expected)


def is_outdated(stored: str) -> bool:
    """Whether the hash was made with other parameters than today's; make a new one at the next log-in."""
    return not stored.startswith(f"scrypt$ln={_LOG_N},r={_R},p={_P}$")


def _scrypt(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "replace")
    memory = 128 * r * (2**log_n + p + 2)
    return hashlib.scrypt(text, salt=salt, n=2**log_n, r=r, p=p, maxmem=memory + 2**20, dklen=_HASH_BYTES)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
