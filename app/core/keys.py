"""Random ids and keys, their hashes, and encryption of stored secrets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.core.errors import Invalid, LostKey

_ID_SIGNS = b"ABCDEFGHJKLMNPQRSTUVWXYZ12345678" * 8
"""What each byte becomes: OnCall's letters and digits without O and 0, and without I and 9, so that 32 signs divide 256."""
_FOREIGN_KEY = re.compile(r"[A-Za-z0-9-]{16,64}\Z")
_HEX_32 = re.compile(r"[0-9a-f]{32}\Z")


def new_public_id(prefix: str) -> str:
    """A random id such as `IQ7RM2…`: a prefix letter and 13 signs of 32 (65 bits)."""
    return prefix + secrets.token_bytes(13).translate(_ID_SIGNS).decode("ascii")


def new_integration_key() -> str:
    """32 hexadecimal digits: 128 random bits."""
    return secrets.token_hex(16)


def new_api_token() -> str:
    """An API key as `sk_live_…` with 256 random bits."""
    return "sk_live_" + secrets.token_urlsafe(32)


def canonical_key(text: str) -> str:
    """Bring an integration key to the form that is hashed: 32 hex match with or without dashes, in any case."""
    plain = text.strip().replace("-", "").lower()
    return plain if _HEX_32.match(plain) else text.strip()


def check_integration_key(text: str) -> str:
    """Accept a generated key, or a foreign one that is carried over.

    Raises:
        Invalid: it is not 16 to 64 letters, digits or dashes.
    """
    if not _FOREIGN_KEY.match(text):
        raise Invalid("key", "A key is 16 to 64 letters, digits or dashes; leave it out to have one generated.")
    return text


def hash_key(text: str) -> str:
    """The SHA-256 that an integration key is looked up by."""
    return hashlib.sha256(canonical_key(text).encode("utf-8", "replace")).hexdigest()


def hash_token(text: str) -> str:
    """The SHA-256 that an API token or a link token is looked up by (they are random, so no salt is needed)."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def hmac_sha256(secret: str, body: bytes) -> str:
    """Hexadecimal HMAC-SHA256 of a body."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def same(a: str, b: str) -> bool:
    """Compare two texts in constant time."""
    return hmac.compare_digest(a.encode("utf-8", "replace"), b.encode("utf-8", "replace"))


def derive(secret_key: str, purpose: str) -> bytes:
    """32 bytes for one purpose from SECRET_KEY (HKDF-SHA256), so that no two uses share a key."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"tocsin:" + purpose.encode()).derive(secret_key.encode())


class Vault:
    """Encrypts secrets that must be shown or sent again; SECRET_KEY first, then each SECRET_KEY_OLD for reading."""

    def __init__(self, secret_key: str, old_keys: tuple[str, ...] = ()) -> None:
        """Derive one Fernet key from each secret."""
        keys = [Fernet(base64.urlsafe_b64encode(derive(key, "vault"))) for key in (secret_key, *old_keys)]
        self._fernet = MultiFernet(keys)

    def seal(self, text: str) -> str:
        """Encrypt a text."""
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """Decrypt what `seal` made.

        Raises:
            LostKey: neither SECRET_KEY nor a SECRET_KEY_OLD fits.
        """
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise LostKey("A stored secret does not open with SECRET_KEY; set SECRET_KEY_OLD to the former one.") from error

    def reseal(self, sealed: str) -> str:
        """Encrypt anew with the first key."""
        try:
            return self._fernet.rotate(sealed.encode()).decode()
        except InvalidToken as error:
            raise LostKey("A stored secret does not open with SECRET_KEY; set SECRET_KEY_OLD to the former one.") from error
