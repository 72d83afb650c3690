"""Alembic's entry: runs the migrations on the app's own engine."""

from __future__ import annotations

from alembic import context
from flask import current_app

target = current_app.extensions["migrate"].db
engine = target.engine


def include(_object: object, name: str | None, kind: str, reflected: bool, _compare_to: object) -> bool:
    """Leave tables that are not ours alone."""
    return not (kind == "table" and reflected and name not in target.metadata.tables)


with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=target.metadata,
        compare_type=False,
        include_object=include,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
