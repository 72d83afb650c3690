"""The payloads on disk: `<source>/<case>.json|txt|eml`, what came along in `<case>.request.json`, what it means in `<case>.expected.json`.

A body is taken byte for byte.  The optional request file may hold method, headers, query, form, options and parse (the name
of another parser in the source's file).  A form is parsed from a body that says it is one, as the edge does.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from app.core.errors import Invalid, InvalidFields, NotUnderstood
from app.core.types import Event, Ignored, Inbound, Link, Source

FOLDER = Path(__file__).parent
FORM = "application/x-www-form-urlencoded"
_CONTENT_TYPES = {".json": "application/json", ".txt": "", ".eml": "message/rfc822"}
_ASIDE = (".request.json", ".expected.json")

Parsed = Sequence[Event | Ignored]
Parse = Callable[[Inbound, Mapping[str, Any]], Parsed]


@dataclass(frozen=True)
class Case:
    """One payload of one source."""

    source: Source
    path: Path
    parse: Parse
    inbound: Inbound
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`<source>/<case>`."""
        return f"{self.source.name}/{self.path.stem}"

    @property
    def expected_path(self) -> Path:
        """Where its meaning is kept."""
        return self.path.with_name(self.path.stem + ".expected.json")

    def with_body(self, body: bytes) -> Case:
        """The same request with another body."""
        return Case(self.source, self.path, self.parse, inbound_of(body, self.inbound.headers, self.inbound.query, self.inbound.method), self.options)

    def read(self) -> Parsed:
        """What the source makes of it."""
        return self.parse(self.inbound, self.options)

    def meaning(self) -> dict[str, Any]:
        """What the source makes of it, refusals too, as JSON."""
        try:
            return {"events": [_shown(event) for event in self.read()]}
        except InvalidFields as error:
            return {"invalid": dict(error.problems)}
        except Invalid as error:
            return {"invalid": {error.field: error.why}}
        except NotUnderstood as error:
            return {"not understood": error.why}


def cases_of(source: Source, folder: Path = FOLDER, package: str = "app.sources") -> list[Case]:
    """Every case in the source's folder."""
    bodies = sorted(path for path in (folder / source.name).glob("*") if path.suffix in _CONTENT_TYPES and not path.name.endswith(_ASIDE))
    return [_read(source, path, package) for path in bodies]


def all_cases(sources: Iterable[Source]) -> list[Case]:
    """Every case of every source."""
    return [case for source in sources for case in cases_of(source)]


def inbound_of(body: bytes, headers: Mapping[str, str], query: Mapping[str, tuple[str, ...]], method: str = "POST") -> Inbound:
    """A request as the edge hands it on."""
    is_form = headers.get("content-type", "").startswith(FORM)
    form = {name: tuple(values) for name, values in parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True).items()} if is_form else {}
    return Inbound(method, "/", headers, query, body, form)


def _read(source: Source, path: Path, package: str) -> Case:
    aside = path.with_name(path.stem + ".request.json")
    request = json.loads(aside.read_text()) if aside.exists() else {}
    headers = {"content-type": _CONTENT_TYPES[path.suffix]} | {name.lower(): value for name, value in request.get("headers", {}).items()}
    query = {name: (value,) if isinstance(value, str) else tuple(value) for name, value in request.get("query", {}).items()}
    module = importlib.import_module(f"{package}.{source.name.replace('-', '_')}") if "parse" in request else None
    parse = getattr(module, request["parse"]) if module else source.parse
    return Case(source, path, parse, inbound_of(path.read_bytes(), headers, query, request.get("method", "POST")), request.get("options", {}))


def _shown(event: Event | Ignored) -> dict[str, Any]:
    """The parts of an event that say something; its element is a part of the input."""
    if isinstance(event, Ignored):
        return {"ignored": event.why}
    blank = Event(event.action, None, occurred_field="" if event.occurred_at else event.occurred_field)
    names = [each.name for each in fields(event) if each.name != "element"]
    return {name: _plain(getattr(event, name)) for name in names if name == "action" or getattr(event, name) != getattr(blank, name)}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(member) for member in value]
    if isinstance(value, Link):
        return {"href": value.href, "text": value.text}
    return dict(value) if isinstance(value, Mapping) else value
