"""The database of now as SQL, for iterdump() and backup()."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ._catalog import Table, View
from ._sql import quote

if TYPE_CHECKING:
    from ._connection import Connection


def _matches(connection: Connection, name: str, pattern: str | None) -> bool:
    return pattern is None or bool(connection._raw.execute("SELECT ? LIKE ?", (name, pattern)).fetchall()[0][0])


def _stored(connection: Connection, table: Table) -> list[str]:
    """Names of the columns that are written to."""
    info = connection.execute(f"PRAGMA table_xinfo({quote(table.name)})").fetchall()
    return [row[1] for row in info if row[6] == 0]


def iterdump(connection: Connection, pattern: str | None = None) -> Iterator[str]:
    connection.execute("SELECT 1").fetchall()  # in a transaction, everything is of one moment
    tables, views = connection.schema()
    yield "BEGIN TRANSACTION;"
    chosen = [t for t in sorted(tables.values(), key=lambda t: t.id) if _matches(connection, t.name, pattern)]
    for table in chosen:
        yield table.sql + ";"
        columns = [quote(name) for name in _stored(connection, table)]
        literals = " || ',' || ".join(f"quote({name})" for name in columns)
        named = "" if len(columns) == len(table.visible) else "(" + ",".join(columns) + ")"
        order = "" if table.without_rowid else " ORDER BY rowid"
        for (values,) in connection.execute(f"SELECT {literals} FROM main.{quote(table.name)}{order}"):
            yield f"INSERT INTO {quote(table.name)}{named} VALUES({values});"
    for table in chosen:
        for index in table.indexes:
            if not index.automatic:
                yield index.sql + ";"
    found: list[View] = sorted(views.values(), key=lambda v: v.id)
    for view in found:
        if _matches(connection, view.name, pattern):
            yield view.sql + ";"
    yield "COMMIT;"


def backup(connection: Connection, target: Any) -> None:
    target.executescript("PRAGMA foreign_keys = OFF;\n" + "\n".join(iterdump(connection)))
