"""Secrets ready to be stored: encrypted and hashed before a writing transaction begins."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.core.errors import Invalid
from app.core.keys import Vault, canonical_key, check_integration_key, hash_key, new_integration_key


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted text."""

    text: str


@dataclass(frozen=True, slots=True)
class SealedKey:
    """An integration key: its hash for looking up, its encryption for showing, and itself for showing once."""

    hash: str
    sealed: str
    text: str = field(repr=False)


def seal(vault: Vault, text: str | None) -> Sealed | None:
    """Encrypt a secret; nothing stays nothing."""
    return Sealed(vault.seal(text)) if text else None


def seal_key(vault: Vault, text: str | None = None) -> SealedKey:
    """A key that is carried over, or a new one.

    Raises:
        Invalid: it has not the form of a key.
    """
    plain = canonical_key(check_integration_key(text)) if text else new_integration_key()
    return SealedKey(hash_key(plain), vault.seal(plain), plain)


def as_key(vault: Vault, key: str | SealedKey | None) -> SealedKey:
    """The same for callers that may have done it already."""
    return key if isinstance(key, SealedKey) else seal_key(vault, key)


def text_of(sealed: Sealed | None) -> str | None:
    """What the column stores.

    Raises:
        Invalid: it is a plain text, which must never be stored.
    """
    if sealed is None:
        return None
    if not isinstance(sealed, Sealed):
        raise Invalid("secret", "A secret is sealed before it is stored.")
    return sealed.text
