"""The same statements in EntityDB and in plain SQLite, to be compared."""

from __future__ import annotations

from itertools import chain
from typing import Any

import apsw

from entitydb_dialect import driver
from entitydb_dialect.driver.sql.statement import parse


class Beside:
    """Runs each statement in both; results, errors and what the tables hold must agree."""

    def __init__(self, mine: driver.Connection, *schema: str) -> None:
        self.mine, self.theirs = mine, apsw.Connection(":memory:")
        self.tables: list[str] = []
        self.rowids = True  # compare them too; ids are drawn otherwise than SQLite does it, when a row was not inserted
        for sql in schema:
            self.mine.execute(sql)
            self.theirs.execute(sql)
        self.mine.commit()
        self.tables = [name for (name,) in self.theirs.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        self.theirs.execute("BEGIN")

    def run(self, sql: str, parameters: Any = ()) -> Any:
        """-> what both answered: rows, or the sentence of the error."""
        cursor = self.mine.cursor()
        try:
            found: Any = [tuple(row) for row in cursor.execute(sql, parameters).fetchall()]
        except driver.Error as error:
            found = str(error)
        changes = self.theirs.total_changes()
        replaces = "REPLACE" in sql  # SQLite does not undo what it has deleted for it when an expression fails then
        if replaces:
            self.theirs.execute("SAVEPOINT replaces")
        try:
            wanted: Any = [tuple(row) for row in self.theirs.execute(sql, parameters).fetchall()]
        except apsw.Error as error:
            wanted = str(error)
            if replaces:
                self.theirs.execute("ROLLBACK TO replaces")
        if replaces:
            self.theirs.execute("RELEASE replaces")
        where = f"{sql!r} with {parameters!r}"
        if isinstance(wanted, list) and sql.startswith(("UPDATE", "DELETE")):
            wanted.sort(key=repr)  # in which order rows are changed depends on the plan
            found = sorted(found, key=repr) if isinstance(found, list) else found
        if isinstance(wanted, list) and isinstance(found, list):
            assert_same(found, wanted, where)
            if sql.split()[0].upper() in ("INSERT", "REPLACE", "UPDATE", "DELETE"):
                assert cursor.rowcount == self.theirs.total_changes() - changes, where
        else:
            assert found == wanted, f"{where}: {found!r}, not {wanted!r}"
        self.compare(where)
        return found

    def fill(self, table: str, rows: list[Any]) -> None:
        """Inserts rows into both."""
        sql = f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})"
        self.mine.executemany(sql, rows)
        self.theirs.executemany(sql, rows)
        self.compare(sql)

    def compare(self, where: str = "") -> None:
        for table in self.tables:
            sql = f"SELECT {'rowid, *' if self.rowids else 'a, b, c, n'} FROM {table} ORDER BY 1, 2"
            assert_same(self.mine.execute(sql).fetchall(), self.theirs.execute(sql).fetchall(), where)


def kinds(rows: Any) -> list[Any]:
    """Rows with the types of their values: 1 is not 1.0."""
    return [tuple((type(value).__name__, value) for value in row) for row in rows]


def assert_same(found: list[Any], wanted: list[Any], where: str) -> None:
    """As kinds() has it, which takes long for many rows and is good to read."""
    if found == wanted and types(found) == types(wanted):
        return
    assert kinds(found) == kinds(wanted), where
    raise AssertionError(f"{where}: {found!r}, not {wanted!r}")


def types(rows: list[Any]) -> list[type]:
    return [*map(type, chain.from_iterable(rows))]


def text_to_run(connection: driver.Connection, sql: str, parameters: Any = ()) -> str:
    """What SQLite is given for a query."""
    return connection._session.prepare(sql, parse(sql)).variant(parameters).sql
