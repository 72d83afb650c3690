"""From the text of a configuration file to plain lists and mappings: YAML or JSON, nothing twice, nothing hidden."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

import yaml

from app.core.errors import Invalid

LARGEST = 4 * 2**20
"""Characters of a file."""
MOST_VALUES = 200_000
"""Values of a file, aliases unfolded: a small file must not unfold to a huge one."""


def parse(text: str) -> dict[str, Any]:
    """The file's top mapping.

    Raises:
        Invalid: it is no YAML or JSON, or not a mapping, or a key stands twice in a mapping.
    """
    if len(text) > LARGEST:
        raise Invalid("file", f"the file is larger than {LARGEST // 2**20} MiB")
    document = _json(text) if text.lstrip().startswith("{") else _yaml(text)
    if not isinstance(document, dict):
        raise Invalid("file", "the file holds one mapping, which begins with version: 1")
    _count(document)
    return document


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError as error:
        raise Invalid("file", "the file is nested too deeply") from error
    except ValueError:
        return _yaml(text)  # YAML's own {…} needs no quotes


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Invalid(name, "stands twice in one mapping")
        found[name] = value
    return found


class _Loader(yaml.SafeLoader):
    """Safe, and a key that stands twice is an error instead of a silent loss."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Look for keys that stand twice; what `<<` brings in may be overridden."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                raise Invalid("file", f"line {key_node.start_mark.line + 1}: a name is expected before the colon")
            if key in seen:
                raise Invalid(key, f"stands twice in one mapping (line {key_node.start_mark.line + 1})")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _yaml(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except RecursionError as error:
        raise Invalid("file", "the file is nested too deeply") from error
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise Invalid("file", f"the file is no YAML: {where}{error.problem}") from error
    except yaml.YAMLError as error:
        raise Invalid("file", f"the file is no YAML: {error}") from error
    except ValueError as error:
        raise Invalid("file", f"the file holds an impossible value: {error}") from error


def _count(value: Any, so_far: int = 0, depth: int = 0) -> int:
    if depth > 64:
        raise Invalid("file", "the file is nested too deeply")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    so_far += 1
    if so_far > MOST_VALUES:
        raise Invalid("file", f"the file holds more than {MOST_VALUES} values")
    for each in inner:
        so_far = _count(each, so_far, depth + 1)
    return so_far
