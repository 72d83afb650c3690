"""The catalog as a configuration file, with {env: NAME} where a secret was."""

from __future__ import annotations

import re
from typing import Any

import yaml

from app.domain.configuration.noun import Entry, Noun, Trail
from app.domain.configuration.nouns import NOUNS, VERSION
from app.domain.configuration.places import show_address
from app.domain.configuration.shape import LOST
from app.domain.configuration.state import State

_NOT_A_WORD = re.compile(r"[^A-Z0-9]+")


class _Variables:
    """Names of variables for the secrets of one file, each used once."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def placeholder(self, *words: str) -> dict[str, str]:
        plain = _NOT_A_WORD.sub("_", "_".join(words).upper()).strip("_")
        name = base = plain if not plain[:1].isdigit() else f"_{plain}"
        n = 1
        while name in self.names:
            n += 1
            name = f"{base}_{n}"
        self.names.append(name)
        return {"env": name}


def export(state: State) -> str:
    """The whole catalog as YAML; applied to the same database, with the variables set, it changes nothing."""
    variables = _Variables()
    document: dict[str, Any] = {"version": VERSION}
    for noun in NOUNS:
        items = _items(noun, state.sections[noun.section], (), variables)
        if items:
            document[noun.section] = items
    body = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=150, default_flow_style=None)
    return _heading(variables.names) + body


def _items(noun: Noun, entries: Any, above: Trail, variables: _Variables) -> list[dict[str, Any]]:
    return [_item(noun, entry, (*above, key), variables) for key, entry in entries.items() if not entry.is_past]


def _item(noun: Noun, entry: Entry, trail: Trail, variables: _Variables) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, field in noun.fields.items():
        value = entry.values[name]
        if value is None or value == field.default:
            continue
        if field.secret:
            shown[name] = variables.placeholder(*trail, field.variable or name)
        elif name == "address":
            shown[name] = variables.placeholder(*trail, name) if value is LOST else show_address(entry.values, lambda part: variables.placeholder(*trail, part))
        else:
            shown[name] = field.show(value)
    for child in noun.children:
        items = _items(child, entry.children.get(child.section, {}), trail, variables)
        if items:
            shown[child.section] = items
    return shown


def _heading(names: list[str]) -> str:
    lines = ["# Tocsin's configuration, written by flask export.  Secrets are not in it."]
    if names:
        lines += ["# flask plan and flask apply read them from these variables of the environment:", *(f"#   {name}" for name in names)]
    return "\n".join(lines) + "\n"


class _Dumper(yaml.SafeDumper):
    """No anchors: equal lists are written out."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True
