"""The settings table as text: with the values in force for `flask settings`, without for docs/settings.md."""

from __future__ import annotations

from typing import Any

from app.hub.report import without_password
from app.settings import SECRET_NAMES, TABLE, Settings

INTRODUCTION = """\
# Settings

Every setting is a variable of the environment. An empty one counts as not set. `flask settings` shows what is in force
and where it comes from. (This page is made from the table in `app/settings.py`: `flask settings --write docs/settings.md`.)

| Name | Default | Meaning |
| --- | --- | --- |
"""


def table(settings: Settings) -> str:
    """Name, source and value of each setting, one a line."""
    rows = [(row.name, settings.sources[row.name], _shown(row.name, getattr(settings, row.name.lower()))) for row in TABLE]
    wide = max(len(name) for name, _, _ in rows)
    return "\n".join(f"{name:<{wide}}  {source:<11}  {value}".rstrip() for name, source, value in rows)


def markdown() -> str:
    """The page of documentation."""
    return INTRODUCTION + "".join(f"| `{row.name}` | {f'`{row.default}`' if row.default else ''} | {_escaped(row.help)} |\n" for row in TABLE)


def _shown(name: str, value: Any) -> str:
    if name in ("DATABASE_URL", "REDIS_URL"):
        return without_password(value) if value else ""
    if name in SECRET_NAMES:
        return "•••" if value else ""
    if isinstance(value, tuple) and name == "SMTP_LISTEN":
        return f"{value[0]}:{value[1]}"
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return str(value)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
