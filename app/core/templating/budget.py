"""What one rendering may use: steps, text, memory and time.

Whatever can cost more than its own text in the template asks here first: loops, filters, calls, arithmetic, comparisons.
Between two questions only cheap things happen, so the time is kept to within one of them.
"""

from __future__ import annotations

from typing import Any, Final

from jinja2.runtime import Context

from app.core import clock

BUDGET: Final = " budget"
"""Where a rendering's budget lies in its context; no template can write a name with a space."""
MAX_STEPS: Final = 100_000
"""Turns of loops, filters, calls and operators."""
MAX_TEXT: Final = 10_000_000
"""Characters made on the way, all together."""
MAX_WEIGHT: Final = 4_000_000
"""Characters and members of one list or mapping with all that hangs on it."""
MAX_SECONDS: Final = 0.5


class TooMuchError(Exception):
    """The template asks for more than a rendering may use; the text says of what."""


class Budget:
    """What is left of one rendering's allowance."""

    __slots__ = ("_deadline", "_steps", "_text", "_weights")

    def __init__(self) -> None:
        """Start the time."""
        self._steps = MAX_STEPS
        self._text = MAX_TEXT
        self._deadline = clock.monotonic() + MAX_SECONDS
        self._weights: dict[int, tuple[Any, int]] = {}

    def spend(self, steps: int = 1, text: int = 0) -> None:
        """Count what is about to be done.

        Raises:
            TooMuchError: nothing is left.
        """
        self._steps -= steps
        self._text -= text
        if self._steps < 0:
            raise TooMuchError(f"it takes more than {MAX_STEPS} steps")
        if self._text < 0:
            raise TooMuchError(f"it makes more than {MAX_TEXT} characters of text")
        if clock.monotonic() > self._deadline:
            raise TooMuchError(f"it takes longer than {MAX_SECONDS} seconds")

    def take(self, value: Any) -> Any:
        """Count a value that was made, and hand it on.

        Lists that hold the same list twice, and so on, weigh more than they take; showing or comparing them would not end.

        Raises:
            TooMuchError: it is too big.
        """
        kind = type(value)
        if kind is str:
            self.spend(0, len(value))
        elif kind in _CONTAINERS:
            self.spend(0, len(value))
            self.weigh(value)
        return value

    def weigh(self, value: Any) -> int:
        """Characters and members of a value with all that hangs on it; each container is walked once a rendering.

        Raises:
            TooMuchError: it is too heavy.
        """
        kind = type(value)
        if kind is str:
            return len(value)
        if kind not in _CONTAINERS:
            return 8
        known = self._weights.get(id(value))
        if known:
            return known[1]
        members = [*value.keys(), *value.values()] if kind is dict else value
        weight = len(members) + sum([self.weigh(member) for member in members])
        if weight > MAX_WEIGHT:
            raise TooMuchError("it makes a list or mapping that is too big")
        self._weights[id(value)] = (value, weight)  # kept, so that no other takes its id
        return weight


_CONTAINERS: Final = frozenset({dict, list, tuple})


def budget_of(context: Context) -> Budget:
    """The budget of the rendering that a context belongs to."""
    budget: Budget = context.parent[BUDGET]
    return budget
