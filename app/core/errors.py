"""Refusals that carry their reason.  Each edge maps them to its own codes in one place."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - reads as what happened
    """The request was understood and is refused; the text says what to do."""

    def __init__(self, why: str) -> None:
        """Keep `why`: one sentence for the person or tool that asked."""
        super().__init__(why)
        self.why = why


class NotFound(Refused):
    """There is no such thing, or the asker may not know of it."""


class Invalid(Refused):
    """A value is wrong; `field` names it in the asker's own words."""

    def __init__(self, field: str, why: str) -> None:
        """Name the field and say what it should be."""
        super().__init__(why)
        self.field = field


class InvalidFields(Invalid):
    """Several values are wrong at once; `problems` is (field, why) pairs in the order of the form."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        """Keep all problems; the first also stands as `field` and `why`."""
        super().__init__(*problems[0])
        self.problems = problems


class Conflict(Refused):
    """It cannot be done in this state."""

    def __init__(self, why: str, link: str = "") -> None:
        """`link` may name what stands in the way."""
        super().__init__(why)
        self.link = link


class Unauthenticated(Refused):
    """Nobody is known to be asking, or the credential is wrong."""


class Forbidden(Refused):
    """The asker is known and may not."""


class TooMany(Refused):
    """A limit was reached; try again after `retry_after` seconds."""

    def __init__(self, why: str, retry_after: int) -> None:
        """Keep the seconds to wait."""
        super().__init__(why)
        self.retry_after = retry_after


class NotUnderstood(Refused):
    """A source could not read what a tool sent."""


class LostKey(Refused):
    """A stored secret cannot be decrypted with the SECRET_KEY in use (or any SECRET_KEY_OLD)."""
