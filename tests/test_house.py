"""The rules of the house, read from the code: layers, names, words, clock, tables."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from sqlalchemy import Engine, create_engine, text

from app import channels, sources
from app.models import Base
from app.settings import load
from tests.house import APP, ROOT, lines_of, modules
from tests.world import databases as database_kinds
from tests.world.databases import Databases

MAX_LINES = 400
"""300 is the guide line, and a report at the end of a run names what is past it; past this a module has two jobs."""
BANNED_WORDS = ("alert_group", "chain", "blackout", "closed", "routing_key")
PEERS_WORDS_WELCOME = ("intake/compat/", "api/", "sources/")
"""Where the names of peers and vendors are read and written."""
MASKED_NAMES = ("domain/receipts.py", "routing_key")
"""Receipts mask what peers call a key, by the peers' name."""
COMMON_WORDS = frozenset({"email", "webhook", "generic", "mail", "slack", "push", "sms"})
"""Names of sources and channels that are also words for something else: only deciding by them is wrong."""


def shown(path: Path) -> str:
    return path.relative_to(APP).as_posix()


def docstrings(tree: ast.AST) -> set[int]:
    """The ids of the nodes that are only documentation."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}


def names_and_texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name that a module makes and every text that it holds, without documentation."""
    documentation = docstrings(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(value)) if id(node) not in documentation:
                yield node.lineno, value
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name) | ast.alias(asname=str(name)):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield node.lineno, name


def test_nothing_imports_upwards_or_sideways() -> None:
    done = subprocess.run([Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_engine_decide_by_no_source_or_channel() -> None:
    kinds = [*sources.all(), *channels.all()]
    names = {name for kind in kinds for name in (kind.name, *getattr(kind, "aliases", ()))}
    assert {"generic", "webhook"} <= names
    found = []
    for path in modules("domain", "models", "engine"):
        tree = ast.parse(path.read_text())
        telling = {name for name in names if name.lower() not in COMMON_WORDS}
        said = [(line, word) for line, word in names_and_texts(tree) if word in telling]
        decided = [(line, word) for line, word in decisions(tree) if word in names]
        found += [f"{shown(path)}:{line} names {word}" for line, word in said + decided]

    assert not found, "\n".join(found)


def decisions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Texts that something is compared with or looked up by in a registry."""
    for node in ast.walk(tree):
        inner: list[ast.expr] = []
        match node:
            case ast.Compare(left=left, comparators=comparators):
                inner = [left, *comparators]
            case ast.MatchValue(value=value):
                inner = [value]
            case ast.Call(func=ast.Attribute(value=ast.Name(id="sources" | "channels")), args=args):
                inner = list(args)
            case ast.keyword(arg="channel" | "source", value=value):
                inner = [value]
        for part in inner:
            for leaf in ast.walk(part):
                if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str):
                    yield leaf.lineno, leaf.value


def test_the_readers_of_code_see_what_they_look_for() -> None:
    deciding = ast.parse('if kind == "email": pass\nchannels.get("webhook")\nsend(channel="slack")\ntitle = "email"')
    naming = ast.parse('"""alert_group"""\nalert_group = 1\ndef chain(blackout): return {"closed": use(routing_key=1)}')

    assert {word for _, word in decisions(deciding)} == {"email", "webhook", "slack"}
    assert {word for _, word in names_and_texts(naming)} == {"alert_group", "chain", "blackout", "closed", "routing_key"}


def test_one_word_for_each_thing() -> None:
    pattern = re.compile(rf"(?<![a-z])({'|'.join(BANNED_WORDS)})s?(?![a-z])", re.IGNORECASE)
    found = []
    for path in modules():
        if not shown(path).startswith(PEERS_WORDS_WELCOME):
            said = [(line, word) for line, word in names_and_texts(ast.parse(path.read_text())) if pattern.search(word)]
            found += [f"app/{shown(path)}:{line}: {word[:80]}" for line, word in said if (shown(path), word) != MASKED_NAMES]
    for path in (ROOT / "templates").rglob("*.html"):
        found += [f"{path.relative_to(ROOT)}:{n}: {line.strip()[:80]}" for n, line in enumerate(path.read_text().splitlines(), 1) if pattern.search(line)]

    assert not found, "\n".join(found)


def test_one_module_reads_the_clock() -> None:
    forbidden = re.compile(
        r"datetime\.(now|utcnow|today)\(|date\.today\(|time\.time(_ns)?\(|func\.(now|current_timestamp)|server_default|CURRENT_TIMESTAMP|\bnow\(\)\s*(-|\+)\s*interval"
    )
    found = [
        f"app/{shown(path)}:{n}: {line.strip()}"
        for path in modules()
        if shown(path) != "core/clock.py"
        for n, line in enumerate(path.read_text().splitlines(), 1)
        if forbidden.search(line)
    ]

    assert not found, "\n".join(found)


def test_modules_stay_short() -> None:
    assert not [f"app/{shown(path)}: {lines_of(path)}" for path in modules() if lines_of(path) > MAX_LINES]


def test_every_template_compiles(app: Flask) -> None:
    names = [name for name in app.jinja_env.list_templates() if name.endswith((".html", ".txt", ".xml"))]

    assert names
    for name in names:
        app.jinja_env.get_template(name)


def test_every_direct_dependency_has_its_line_in_the_decisions() -> None:
    told = "\n".join(path.read_text() for path in (ROOT / "docs" / "decisions").glob("*.md")).lower()
    wanted = [re.split(r"[\[<>=; ]", line)[0].lower() for line in (ROOT / "requirements.in").read_text().splitlines() if line.strip()]

    assert not [name for name in wanted if name not in told]


@pytest.fixture
def fresh(databases: Databases, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    return databases.make(tmp_path, migrated=False)


def engine_of(url: str) -> Engine:
    return create_engine(load({"DATABASE_URL": url, "DATA_DIR": "/tmp", "SECRET_KEY": "x"}).database_url)


def test_migrations_bring_an_empty_database_up_to_date_and_leave_a_current_one_alone(fresh: str, tmp_path: Path) -> None:
    database_kinds.migrate(fresh, tmp_path)
    engine = engine_of(fresh)
    with engine.begin() as connection:
        connection.execute(text("UPDATE meta SET config_version = 41"))

    database_kinds.migrate(fresh, tmp_path)

    with engine.connect() as connection:
        assert connection.execute(text("SELECT config_version FROM meta")).scalars().all() == [41]
    engine.dispose()


def test_the_migrations_lack_nothing_of_the_tables(databases: Databases, tmp_path: Path) -> None:
    engine = engine_of(databases.make(tmp_path))
    with engine.connect() as connection:
        difference = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata)
    engine.dispose()

    assert not difference


def test_migrated_and_described_tables_are_the_same_to_the_last_index(databases: Databases, fresh: str, tmp_path: Path) -> None:
    described, migrated = engine_of(fresh), engine_of(databases.make(tmp_path))
    Base.metadata.create_all(described)

    expected, found = description(described), description(migrated)
    described.dispose()
    migrated.dispose()

    assert found == expected


def description(engine: Engine) -> set[tuple[object, ...]]:
    """Columns, indexes with their conditions, and constraints, as the database itself writes them."""
    if engine.dialect.name == "sqlite":
        queries = (
            "SELECT m.name, c.name, lower(c.type), c.\"notnull\", c.pk FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'",
            "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
            'SELECT m.name, f."from", f."table", f."to", f.on_delete FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = \'table\'',
        )
    else:
        queries = (
            "SELECT table_name, column_name, data_type, is_nullable, character_maximum_length FROM information_schema.columns WHERE table_schema = 'public'",
            "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
        )
    with engine.connect() as connection:
        rows = {tuple(re.sub(r"\s+", " ", str(part)) for part in row) for query in queries for row in connection.execute(text(query))}
    return {row for row in rows if "alembic_version" not in row[0]}
