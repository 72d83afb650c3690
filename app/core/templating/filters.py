"""The filters of templates: Grafana OnCall's, and Jinja's own where those could run away.

As in OnCall, a filter that cannot read its value gives None.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.utils import pass_context

from app.core.templating.budget import Budget, TooMuchError, budget_of
from app.core.templating.patterns import regex_match, regex_replace, regex_search
from app.core.times import time_of

MAX_WIDTH = 1_000
MAX_FORMAT = 10_000
MAX_FORMATTED = 2_000_000

_SAFE_OF_JINJA = """
    abs attr batch capitalize count d default dictsort filesizeformat first float groupby int items last length list lower
    map max min reject rejectattr reverse round select selectattr slice sort string title trim truncate unique upper
    urlencode wordcount
""".split()  # noqa: SIM905 - a table reads better
WALKING_FILTERS = frozenset(
    "batch dictsort groupby join list map max min reject rejectattr select selectattr slice sort sum unique".split()  # noqa: SIM905 - a table
)
"""Those that do something for every member of their value."""
_TIME_FORMAT = "%H:%M / %d-%m-%Y"
_PERCENT_WIDTH = re.compile(r"%(?:\([^()%]*\))?[-+ #0]*(?:\*|\d{4}|\d*\.(?:\*|\d{4}))")
_DELTA = re.compile(r"(\d{1,9})\s*([smhdw])")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def narrow(width: Any) -> None:
    """Refuse a width or count that only serves to make something huge."""
    if isinstance(width, int) and abs(width) > MAX_WIDTH:
        raise TooMuchError(f"a width or count may be {MAX_WIDTH} at most")


def percent(budget: Budget, template: str, values: Any) -> str:
    """`template % values`, when the result has an end."""
    weight = budget.weigh(values if isinstance(values, dict | list | tuple | str) else "")
    if len(template) > MAX_FORMAT or _PERCENT_WIDTH.search(template) or template.count("%") * weight > MAX_FORMATTED:
        raise TooMuchError("it formats too long a text")
    return str(template % values)


def replaced(budget: Budget, text: str, old: str, new: str, count: int = -1) -> str:
    """`text.replace(…)`, when the result has an end."""
    times = text.count(old) if count < 0 else min(text.count(old), count)
    budget.spend(text=len(text) + times * len(new))
    return text.replace(old, new, count)


def joined(budget: Budget, separator: str, texts: Iterable[Any]) -> str:
    """`separator.join(…)` of anything, when the result has an end."""
    parts: list[str] = []
    for value in texts:
        part = str(value)
        budget.spend(text=len(part) + len(separator))
        parts.append(part)
    return separator.join(parts)


# Jinja's own, with an end


@pass_context
def _replace(context: Context, value: Any, old: Any, new: Any, count: int | None = None) -> str:
    return replaced(budget_of(context), str(value), str(old), str(new), -1 if count is None else count)


@pass_context
def _join(context: Context, values: Iterable[Any], separator: Any = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        values = [context.environment.getitem(value, attribute) for value in values]
    return joined(budget_of(context), str(separator), values)


@pass_context
def _format(context: Context, template: Any, *values: Any, **named: Any) -> str:
    return percent(budget_of(context), str(template), named or values)


@pass_context
def _sum(context: Context, values: Iterable[Any], attribute: str | int | None = None, start: float = 0) -> Any:
    if not isinstance(start, int | float):
        raise TypeError("sum adds numbers only")
    return sum((context.environment.getitem(value, attribute) for value in values) if attribute is not None else values, start)


@pass_context
def _indent(context: Context, value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    narrow(len(width) if isinstance(width, str) else width)
    text = str(value)
    budget_of(context).spend(text=(text.count("\n") + 1) * MAX_WIDTH // 10)
    return str(FILTERS["indent"](text, width, first, blank))


def _center(value: Any, width: int = 80) -> str:
    narrow(width)
    return str(value).center(width)


def _wordwrap(value: Any, width: int = 79) -> str:
    text = str(value)
    if len(text) > MAX_FORMAT:
        raise TooMuchError(f"wordwrap takes {MAX_FORMAT} characters at most")
    return "\n".join(piece for line in text.splitlines() for piece in (_wrap(line, max(1, width)) or [""]))


def _wrap(line: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(line, width)


def _striptags(value: Any) -> str:
    """One pass from left to right: what a tag or a comment leaves open stays."""
    text, kept, at = str(value), [], 0
    while (start := text.find("<", at)) >= 0:
        end_sign = "-->" if text.startswith("<!--", start) else ">"
        end = text.find(end_sign, start)
        if end < 0:
            break
        kept.append(text[at:start])
        at = end + len(end_sign)
    return " ".join("".join([*kept, text[at:]]).split())


def _escape(value: Any) -> str:
    return html.escape(str(value))


def _tojson(value: Any, indent: int | None = None) -> str:
    narrow((indent or 0) * 100)
    return json.dumps(value, sort_keys=True, indent=indent)


# OnCall's


def _tojson_pretty(value: Any) -> str:
    return json.dumps(value, sort_keys=True, indent=4, ensure_ascii=False)


def _json_dumps(value: Any) -> str:
    return json.dumps(value)


def _parse_json(value: Any) -> Any:
    try:
        return json.loads(value)
    except (ValueError, TypeError, RecursionError):
        return None


def _b64decode(value: Any) -> str | None:
    try:
        return base64.b64decode(value).decode("utf-8", "replace")
    except (binascii.Error, ValueError, TypeError):
        return None


def _datetimeformat(value: Any, form: str = _TIME_FORMAT) -> str | None:
    when = value if isinstance(value, datetime) else time_of(value)
    return when.strftime(form) if when else None


def _datetimeformat_as_timezone(value: Any, form: str = _TIME_FORMAT, tz: str = "UTC") -> str | None:
    when = value if isinstance(value, datetime) else time_of(value)
    zone = _zone(tz)
    return when.astimezone(zone).strftime(form) if when and zone else None


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError):
        return None


def _datetimeparse(value: Any, form: str = _TIME_FORMAT) -> datetime | None:
    try:
        found = datetime.strptime(value, form)  # noqa: DTZ007 - what states no zone is UTC
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _iso8601_to_time(value: Any) -> datetime | None:
    return time_of(value) if isinstance(value, str) else None


def _timestamp_to_datetime(value: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(value), UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _timedeltaparse(value: Any) -> timedelta | None:
    """`90s`, `5m`, `1h30m`, `2d`, `1w`."""
    text = str(value).strip().lower()
    parts = _DELTA.findall(text)
    if not parts or _DELTA.sub("", text).strip():
        return None
    try:
        return timedelta(seconds=sum(int(number) * _UNIT_SECONDS[unit] for number, unit in parts))
    except OverflowError:
        return None


def _refuse_big(name: str) -> Callable[..., Any]:
    """One of Jinja's filters whose numbers are counts."""
    original = FILTERS[name]

    def limited(*args: Any, **kwargs: Any) -> Any:
        for value in (*args[1:], *kwargs.values()):
            narrow(value)
        return original(*args, **kwargs)

    return limited


FILTERS_OF_TEMPLATES: Mapping[str, Callable[..., Any]] = {
    **{name: FILTERS[name] for name in _SAFE_OF_JINJA},
    **{name: _refuse_big(name) for name in ("batch", "slice", "round")},
    "center": _center,
    "e": _escape,
    "escape": _escape,
    "forceescape": _escape,
    "format": _format,
    "indent": _indent,
    "join": _join,
    "replace": _replace,
    "safe": str,
    "striptags": _striptags,
    "sum": _sum,
    "tojson": _tojson,
    "wordwrap": _wordwrap,
    "b64decode": _b64decode,
    "datetimeformat": _datetimeformat,
    "datetimeformat_as_timezone": _datetimeformat_as_timezone,
    "datetimeparse": _datetimeparse,
    "iso8601_to_time": _iso8601_to_time,
    "json_dumps": _json_dumps,
    "parse_json": _parse_json,
    "regex_match": regex_match,
    "regex_replace": regex_replace,
    "regex_search": regex_search,
    "timedeltaparse": _timedeltaparse,
    "timestamp_to_datetime": _timestamp_to_datetime,
    "tojson_pretty": _tojson_pretty,
}
