"""How long things are; printed at the end of a run, as a guide line and not as a gate."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "app"
MODULE_LINES = 300
FUNCTION_LINES = 40


def modules(*folders: str) -> list[Path]:
    """The modules of some folders of app/, or of all."""
    return sorted(path for folder in folders or ("",) for path in (APP / folder).rglob("*.py"))


def lines_of(path: Path) -> int:
    """How many lines a module has."""
    return len(path.read_text().splitlines())


def long_things() -> Iterator[str]:
    """Modules and functions past the guide lines."""
    for path in modules():
        name = path.relative_to(ROOT).as_posix()
        if lines_of(path) > MODULE_LINES:
            yield f"{name}: {lines_of(path)} lines"
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES:
                yield f"{name}:{node.lineno} {node.name}: {length} lines"
