"""ANALYZE: statistics from fuller samples, kept in the file (engine/stats)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._session import Session
    from ..schemas.schema import Schema
    from ..sql.statement import Ddl


def _named(schema: Schema, name: str) -> list[str]:
    """The table that a name means, or that has the index of this name; [] if the schema has none."""
    if name in schema.declared:
        return [name]
    return [table for table, found in schema.declared.items() if name in (i.name.lower() for i in found.table.indexes)]


def meant(session: Session, ddl: Ddl) -> Iterator[tuple[Schema, list[str]]]:
    """The schemas with tables that an ANALYZE is about, and their names in lower case. As SQLite reads it, a bare name
    is a schema before it is a table or an index."""
    name = ddl.name.lower()
    schemas = session.schemas()
    if ddl.schema is None and name and any(schema.name.lower() == name for schema in schemas):
        schemas, name = [schema for schema in schemas if schema.name.lower() == name], ""
    elif ddl.schema is not None:
        schemas = [schema for schema in schemas if schema.name.lower() == ddl.schema.lower()]
    for schema in schemas:
        tables = _named(schema, name) if name else list(schema.declared)
        if tables:
            yield schema, tables
        if tables and name:
            return


def analyze(schema: Schema, tables: list[str]) -> None:
    """Takes the statistics of tables and writes them; inside a transaction."""
    for name in tables:
        tell = f"INSERT INTO entitydb_ddl{schema.module_suffix}(op, name) VALUES ('analyze', ?)"
        schema.run(tell, (schema.declared[name].name,), writes=True)


__all__ = ["analyze", "meant"]
