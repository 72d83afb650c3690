"""The fast path, and all else that depends on the SQL dialect.

Plain triggers and resolves, which is nearly all that comes in, go past the ORM: on PostgreSQL one statement each, on
SQLite a few within one writer's transaction.  No result means that nothing was stored: a lost race, a changed catalog,
or something that is not plain after all; the general path then looks closer.  Both leave equal rows.
"""

from app.domain.accept_sql.inserts import insert_open_alert, insert_open_incident

__all__ = ["insert_open_alert", "insert_open_incident"]
