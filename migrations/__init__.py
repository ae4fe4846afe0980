"""Support for Alembic over EntityDB databases (installed as `entitydb_migrations`).

Empty in this version: schema changes go through SQLAlchemy's `create_all` and `drop_all`, or plain CREATE and DROP.
"""

from __future__ import annotations

__all__: list[str] = []
