"""Regular expressions of templates: bounded in time by the `regex` library, in memory by what patterns may say.

Python's own `re` cannot be stopped, and one pattern such as `(a+)+$` holds a whole process for ever.
"""

from __future__ import annotations

import re
from typing import Any

import regex
from jinja2.runtime import Context
from jinja2.utils import pass_context

from app.core.templating.budget import budget_of

MAX_PATTERN = 1_000
MAX_REPEATS = 10_000
MAX_SEARCHED = 100_000
"""Characters of the text that are looked at."""
MAX_SECONDS = 0.1
_COUNTED_REPEAT = re.compile(r"\{\s*(\d*)\s*,?\s*(\d*)\s*\}")
_RECURSION = re.compile(r"\(\?(?:R|&|P>|[+-]?\d)")


def regex_search(value: Any, pattern: Any) -> bool | None:
    """Whether a pattern occurs in a text; None when it is no pattern or takes too long."""
    return _is_found("search", value, pattern)


def regex_match(value: Any, pattern: Any) -> bool | None:
    """Whether a text begins with a pattern; None when it is no pattern or takes too long."""
    return _is_found("match", value, pattern)


@pass_context
def regex_replace(context: Context, value: Any, pattern: Any, new: Any) -> str | None:
    r"""The text with every occurrence replaced; `\1` stands for a group.  None when it is no pattern or takes too long."""
    compiled, text, replacement = _compiled(pattern), str(value)[:MAX_SEARCHED], str(new)
    if compiled is None:
        return None
    try:
        lengths = [match.end() - match.start() for match in compiled.finditer(text, timeout=MAX_SECONDS)]
        longest = max(lengths, default=0)
        budget_of(context).spend(text=len(text) + len(lengths) * (len(replacement) + longest * replacement.count("\\")))
        return compiled.sub(replacement, text, timeout=MAX_SECONDS)
    except (TimeoutError, regex.error, IndexError):
        return None


def _is_found(method: str, value: Any, pattern: Any) -> bool | None:
    compiled = _compiled(pattern)
    try:
        return None if compiled is None else getattr(compiled, method)(str(value)[:MAX_SEARCHED], timeout=MAX_SECONDS) is not None
    except TimeoutError:
        return None


def _compiled(text: Any) -> regex.Pattern[str] | None:
    """A compiled pattern, unless it is too long, repeats too often or calls itself: those cost memory, which no clock limits."""
    pattern = str(text)
    if len(pattern) > MAX_PATTERN or _repeats(pattern) > MAX_REPEATS or _RECURSION.search(pattern):
        return None
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError):
        return None


def _repeats(pattern: str) -> int:
    """At most how often something is repeated by counts such as `{1,30}`, as if they were nested."""
    repeats = 1
    for low, high in _COUNTED_REPEAT.findall(pattern):
        repeats *= max(int(low or 1), int(high or 1), 1)
        if repeats > MAX_REPEATS:
            break
    return repeats
