"""Render the templates that users write: Jinja2 in a closed box, as Grafana OnCall offers it.

A template sees only what it is handed, changes nothing, loads nothing, and has an end: its length, its output, its steps
and its time are limited.  The payload that it renders is hostile too: no filter costs more than its input is long.  A
missing member is empty at any depth (`{{ payload.a.b.c }}` prints nothing), so that no alert is lost to a key left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError

from app.core.errors import Refused
from app.core.templating.budget import BUDGET, Budget, TooMuchError
from app.core.templating.sandbox import make_sandbox
from app.core.text import shorten

MAX_TEMPLATE = 50_000
"""Characters of a template."""
_TRUE = frozenset({"1", "true", "ok"})
_RAN_ASTRAY = (TemplateError, TooMuchError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, MemoryError, AssertionError)
"""What a template's own mistakes raise.  Everything else is a fault of ours."""
_WARNINGS = (UndefinedError, TypeError, LookupError, ValueError)
_MISUSED = (TemplateError, ValueError, RecursionError, MemoryError, OverflowError, SyntaxError)
"""What compiling a bad template raises; Python's own compiler has its say about depth."""
_SANDBOX = make_sandbox()


class TemplateFailed(Refused):
    """A template cannot be compiled or rendered; `why` begins with "Template Error:" or "Template Warning:", as in OnCall."""


def render(template: str, context: Mapping[str, Any], *, limit: int) -> str:
    """The text of a template, of at most `limit` characters; a longer one is cut and ends with an ellipsis.

    `context` holds JSON values and times, and functions that templates may call.

    Raises:
        TemplateFailed: it is no template, fails on this context, or asks for too much.
    """
    compiled = _compiled(template)
    try:
        return shorten("".join(_pieces(compiled, context, limit)), limit)
    except _RAN_ASTRAY as error:
        raise TemplateFailed(_why(error)) from error


def render_condition(template: str, context: Mapping[str, Any]) -> bool:
    """Whether a template renders to 1, true or ok, in any case.

    Raises:
        TemplateFailed: as `render`.
    """
    return render(template, context, limit=64).strip().lower() in _TRUE


def check(template: str) -> None:
    """Look at a template when it is saved.

    Raises:
        TemplateFailed: it has an error of writing, is too long, or uses what is not offered.
    """
    _compiled(template)


def _pieces(compiled: Template, context: Mapping[str, Any], limit: int) -> Iterator[str]:
    """The output as it comes, to just beyond the limit."""
    size = 0
    for piece in compiled.root_render_func(compiled.new_context({**context, BUDGET: Budget()})):
        yield piece
        size += len(piece)
        if size > limit:
            return


def _why(error: BaseException) -> str:
    kind = "Warning" if isinstance(error, _WARNINGS) and not isinstance(error, SecurityError) else "Error"
    if isinstance(error, RecursionError):
        return "Template Error: it calls itself too deeply"
    return f"Template {kind}: {str(error)[:300] or type(error).__name__}"


def _compiled(template: str) -> Template:
    """Compiled code takes about a hundred bytes a character: many short templates are kept, and few long ones."""
    return _short(template) if len(template) <= 1_000 else _long(template)


def _compile(template: str) -> Template:
    if len(template) > MAX_TEMPLATE:
        raise TemplateFailed(f"Template Error: Template exceeds length limit ({len(template)} > {MAX_TEMPLATE})")
    try:
        return _SANDBOX.from_string(template)
    except TemplateSyntaxError as error:
        raise TemplateFailed(f"Template Error: line {error.lineno}: {error.message}") from error
    except _MISUSED as error:
        raise TemplateFailed(f"Template Error: it is nested too deeply or holds a number too long ({type(error).__name__})") from error


_short = lru_cache(maxsize=4_096)(_compile)
_long = lru_cache(maxsize=64)(_compile)
