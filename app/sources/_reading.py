"""Tools that every source reads payloads with.  All take whatever came and never raise.

Vendors leave keys out, send null, write numbers as texts and texts as numbers: a source asks for what it needs in these
words and gets a text, a mapping, a list or nothing.  Times are read by `core.times.time_of`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from app.core.text import clean_json
from app.core.types import Link, Severity

_WORDS: Mapping[Severity, str] = {
    Severity.CRITICAL: "critical crit fatal emergency emerg disaster page high p0 p1 sev0 sev1",
    Severity.ERROR: "error err major p2 sev2",
    Severity.WARNING: "warning warn minor medium moderate degraded p3 sev3",
    Severity.INFO: "info informational information notice normal ok low none debug p4 p5 sev4 sev5",
}
USUAL_SEVERITIES: Mapping[str, Severity] = {word: severity for severity, words in _WORDS.items() for word in words.split()}
"""The words that most tools share.  A source whose words mean something else says so in a table of its own."""


def text_of(value: Any) -> str:
    """A value as text: null is empty, true is "true", lists and objects are JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, dict | list | bool):
        return json.dumps(clean_json(value), ensure_ascii=False)
    return str(value)


def mapping_of(value: Any) -> Mapping[str, Any]:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """The value when it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def dig(value: Any, path: str) -> Any:
    """What lies under a dotted path such as `data.essentials.alertId`; None when any part is missing."""
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def text_at(value: Any, *paths: str) -> str:
    """The first text under any of the dotted paths that is not blank, without the space around it."""
    for path in paths:
        text = text_of(dig(value, path)).strip()
        if text:
            return text
    return ""


def labels_of(value: Any) -> dict[str, str]:
    """The members of an object as texts, without the empty ones."""
    return {name: text for name, text in ((str(name), text_of(member)) for name, member in mapping_of(value).items()) if text}


def severity_of(value: Any, words: Mapping[str, Severity] = USUAL_SEVERITIES) -> Severity | None:
    """The severity that a whole word names, in any case; None for one nobody knows, so that the service's own setting decides."""
    return words.get(text_of(value).strip().lower())


def links_of(*pairs: tuple[Any, str]) -> tuple[Link, ...]:
    """Links from (address, text) pairs: only http and https, each address once, the texts as given."""
    found: dict[str, Link] = {}
    for address, text in pairs:
        href = web_address(address)
        if href:
            found.setdefault(href, Link(href, text))
    return tuple(found.values())


def web_address(value: Any) -> str:
    """The value when it is an http or https address, else nothing: what is shown as a link must not run anything."""
    text = value.strip() if isinstance(value, str) else ""
    return text if text.lower().startswith(("http://", "https://")) else ""


def hash_of(value: Any) -> str:
    """A short name for a JSON value, the same for the same members in any order."""
    return hashlib.sha256(json.dumps(clean_json(value), sort_keys=True).encode("utf-8", "replace")).hexdigest()[:32]


def lines(*parts: str) -> str:
    """Paragraphs of Markdown, without the empty ones."""
    return "\n\n".join(part for part in parts if part)


def bullets(members: Mapping[str, str]) -> str:
    """A Markdown list of names and texts."""
    return "\n".join(_bullet_lines(members))


def _bullet_lines(members: Mapping[str, str]) -> Iterator[str]:
    for name, text in members.items():
        yield f"- **{name}**: {text}"
