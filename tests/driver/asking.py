"""What tests ask of a connection: rows, now or as of a moment, the moment of a commit, a plan, entries visited."""

from __future__ import annotations

from typing import Any


def rows(connection: Any, sql: str, parameters: Any = (), *, as_of: int | None = None) -> list[Any]:
    """All rows of a statement; as_of: a moment in nanoseconds."""
    cursor = connection.cursor()
    if as_of is not None:  # other drivers' cursors are asked, too
        cursor.as_of = as_of
    return list(cursor.execute(sql, parameters).fetchall())


def moment(connection: Any) -> int:
    """Commits what is open. -> the moment of the last commit, in nanoseconds."""
    connection.commit()
    return int(connection.last_commit[1])


def plan(connection: Any, sql: str, parameters: Any = ()) -> str:
    """SQLite's plan of a statement, its steps in one line."""
    return "; ".join(row[3] for row in rows(connection, f"EXPLAIN QUERY PLAN {sql}", parameters))


def visited(connection: Any) -> int:
    """How many entries the connection's scans have visited."""
    return int(rows(connection, "SELECT entitydb_visited()")[0][0])


def visits(connection: Any, sql: str, parameters: Any = ()) -> int:
    """How many a statement visits, read to its end."""
    before = visited(connection)
    rows(connection, sql, parameters)
    return visited(connection) - before
