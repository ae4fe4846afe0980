"""The past under the schema of then: tables and views have the names and columns that they had at the moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver


class Changed:
    """t(id, a, b) with its view v became u(id, c, d) in steps; `moments` are behind each."""

    STEPS = (
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER)", "CREATE VIEW v AS SELECT id, a FROM t",
         "CREATE TABLE k (id INTEGER PRIMARY KEY)", "INSERT INTO k VALUES (1)",
         "INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20)"),
        ("ALTER TABLE t RENAME COLUMN a TO c",),
        ("ALTER TABLE t DROP COLUMN b",),
        ("ALTER TABLE t ADD COLUMN d INTEGER DEFAULT 9", "INSERT INTO t (id, c) VALUES (3, '3')"),
        ("DROP VIEW v", "CREATE VIEW v(only) AS SELECT d FROM t"),
        ("ALTER TABLE t RENAME TO u",),
        ("CREATE INDEX u_c ON u(c)", "DELETE FROM u WHERE id = 1"),
        ("ALTER TABLE u ALTER COLUMN c TYPE INTEGER USING length(c)",),
        ("CREATE TABLE t (z)", "DROP VIEW v"),
    )  # fmt: skip

    def __init__(self, db: driver.Connection) -> None:
        self.db = db
        self.moments: list[int] = []
        for step in self.STEPS:
            for sql in step:
                db.execute(sql)
            self.moments.append(self.commit())

    def commit(self) -> int:
        self.db.commit()
        return self.db.last_commit[1]

    def ask(self, sql: str, step: int, *parameters: Any) -> tuple[list[str], list[Any]]:
        return ask(self.db, sql, self.moments[step], *parameters)


def ask(db: driver.Connection, sql: str, as_of: int | None, *parameters: Any) -> tuple[list[str], list[Any]]:
    cursor = db.cursor()
    cursor.as_of, cursor.schema_then = as_of, True
    rows = cursor.execute(sql, parameters).fetchall()
    return [column[0] for column in cursor.description or ()], rows


@pytest.fixture
def changed(db: driver.Connection) -> Changed:
    return Changed(db)


TABLES: list[tuple[str, list[str], list[Any]]] = [
    ("t", ["id", "a", "b"], [(1, "one", 10), (2, "two", 20)]),
    ("t", ["id", "c", "b"], [(1, "one", 10), (2, "two", 20)]),
    ("t", ["id", "c"], [(1, "one"), (2, "two")]),
    ("t", ["id", "c", "d"], [(1, "one", 9), (2, "two", 9), (3, "3", 9)]),
    ("t", ["id", "c", "d"], [(1, "one", 9), (2, "two", 9), (3, "3", 9)]),
    ("u", ["id", "c", "d"], [(1, "one", 9), (2, "two", 9), (3, "3", 9)]),
    ("u", ["id", "c", "d"], [(2, "two", 9), (3, "3", 9)]),
    ("u", ["id", "c", "d"], [(2, 3, 9), (3, 1, 9)]),
    ("u", ["id", "c", "d"], [(2, 3, 9), (3, 1, 9)]),
]


def test_star_and_names_are_those_of_then(changed: Changed) -> None:
    for _ in range(3):
        for step, (name, columns, rows) in enumerate(TABLES):
            assert changed.ask(f"SELECT * FROM {name} ORDER BY id", step) == (columns, rows)
            assert changed.ask(f"SELECT x.* FROM main.{name} x ORDER BY id", step) == (columns, rows)
            second = [(row[1],) for row in rows if row[0] == 2]
            assert changed.ask(f"SELECT {name}.{columns[1]} FROM {name} WHERE id = ?", step, 2)[1] == second
            joined = f"SELECT * FROM k LEFT JOIN {name} USING (id) WHERE k.id IN (SELECT id FROM k)"
            assert changed.ask(joined, step)[0] == columns
            common = f"WITH x AS (SELECT * FROM {name}) SELECT count(*), max(id) FROM x"
            assert changed.ask(common, step)[1] == [(len(rows), max(row[0] for row in rows))]
            assert changed.ask(f"SELECT count(*) FROM {name}", step)[1] == [(len(rows),)]
            assert changed.ask(f"SELECT id FROM k WHERE id IN (SELECT id FROM main.{name}) OR 1", step)[1] == [(1,)]


def test_columns_of_other_days_are_not_there(changed: Changed) -> None:
    for sql, step in (("SELECT c FROM t", 0), ("SELECT a FROM t", 1), ("SELECT b FROM t", 2), ("SELECT d FROM t", 2)):
        with pytest.raises(driver.OperationalError, match="no such column"):
            changed.ask(sql, step)


def test_tables_of_other_days_are_not_there(changed: Changed) -> None:
    with pytest.raises(driver.OperationalError, match=r"no such table: u at .*; it was made at"):
        changed.ask("SELECT * FROM u", 4)
    with pytest.raises(driver.OperationalError, match=r"no such table: t at .*; it was renamed to u at"):
        changed.ask("SELECT * FROM t", 5)
    with pytest.raises(driver.OperationalError, match="no such table: never"):
        changed.ask("SELECT * FROM never", 5)
    assert changed.ask("SELECT * FROM t", 8) == (["z"], [])


def test_views_are_those_of_then(changed: Changed) -> None:
    for _ in range(2):
        assert changed.ask("SELECT * FROM v", 0) == (["id", "a"], [(1, "one"), (2, "two")])
        assert changed.ask("SELECT v.c FROM main.v WHERE main.v.id = 2", 2) == (["c"], [("two",)])
        assert changed.ask("SELECT * FROM v", 5) == (["only"], [(9,), (9,), (9,)])
        assert changed.ask("SELECT * FROM v AS x JOIN k ON x.only > k.id", 6) == (["only", "id"], [(9, 1), (9, 1)])
        with pytest.raises(driver.OperationalError, match="no such table: v"):
            changed.ask("SELECT * FROM v", 8)


def test_views_of_views(db: driver.Connection) -> None:
    for sql in ("CREATE TABLE t (id INTEGER PRIMARY KEY, a)", "CREATE VIEW v AS SELECT a AS b FROM t",
                "CREATE VIEW w(c) AS WITH t AS (SELECT b FROM v) SELECT x.b FROM t AS x, main.t WHERE main.t.id = 1",
                "INSERT INTO t VALUES (1, 'then')"):  # fmt: skip
        db.execute(sql)
    db.commit()
    then = db.last_commit[1]
    for sql in ("UPDATE t SET a = 'now'", "DROP VIEW w", "DROP VIEW v", "ALTER TABLE t RENAME TO s"):
        db.execute(sql)
    db.commit()
    assert ask(db, "SELECT * FROM w", then) == (["c"], [("then",)])
    assert ask(db, "SELECT c FROM w FOR SYSTEM_TIME AS OF ?", None, then) == (["c"], [("then",)])


def test_a_moment_of_a_reference_has_its_schema(changed: Changed) -> None:
    moments = changed.moments
    sql = "SELECT * FROM t FOR SYSTEM_TIME AS OF ? AS x JOIN u USING (id)"
    assert changed.ask(sql, 7, moments[0])[0] == ["id", "a", "b", "c", "d"]
    assert ask(changed.db, "SELECT * FROM t(?)", None, moments[0])[0] == ["id", "a", "b"]
    assert ask(changed.db, "SELECT * FROM t(?)", None, moments[2])[0] == ["id", "c"]
    assert ask(changed.db, "SELECT * FROM v FOR SYSTEM_TIME AS OF ?", None, moments[0])[0] == ["id", "a"]
    assert ask(changed.db, "SELECT * FROM u FOR SYSTEM_TIME ALL", None)[0] == ["id", "c", "d"]
    assert ask(changed.db, "SELECT value FROM json_each(?)", moments[0], '["x"]')[1] == [("x",)]


def test_todays_columns_are_read_where_not(changed: Changed) -> None:
    cursor = changed.db.cursor()
    changed.db.execute("ALTER TABLE u ADD COLUMN e")
    changed.commit()
    cursor.as_of = changed.moments[6]
    for _ in range(3):
        cursor.schema_then = False
        assert cursor.execute("SELECT * FROM u").fetchall() == [(2, "two", 9, None), (3, "3", 9, None)]
        cursor.schema_then = True
        assert cursor.execute("SELECT * FROM u").fetchall() == [(2, "two", 9), (3, "3", 9)]


def test_writes_are_refused(changed: Changed) -> None:
    for sql in ("DELETE FROM u", "INSERT INTO k SELECT id FROM u", "UPDATE k SET id = 5", "CREATE TABLE y (a)"):
        with pytest.raises(driver.PastWriteError):
            changed.ask(sql, 5)


def test_own_changes_of_the_schema_are_not_of_then(changed: Changed) -> None:
    changed.db.execute("ALTER TABLE u RENAME COLUMN d TO e")
    changed.db.execute("DROP TABLE k")
    assert changed.ask("SELECT * FROM u", 8)[0] == ["id", "c", "d"]
    assert changed.ask("SELECT * FROM k", 8)[1] == [(1,)]
    changed.db.rollback()
    assert changed.ask("SELECT * FROM u", 8)[0] == ["id", "c", "d"]


def test_what_another_connection_does_to_the_schema(connect: Callable[..., driver.Connection]) -> None:
    db, watching = connect(), connect()
    changed = Changed(db)
    assert ask(watching, "SELECT * FROM u", changed.moments[5])[1] == TABLES[5][2]
    watching.rollback()
    db.execute("ALTER TABLE u DROP COLUMN d")
    last = changed.commit()
    assert ask(watching, "SELECT * FROM u", changed.moments[8])[0] == ["id", "c", "d"]
    assert ask(watching, "SELECT * FROM u", last)[0] == ["id", "c"]
    watching.rollback()
    db.execute("ALTER TABLE u RENAME TO w")
    changed.commit()
    db.execute("ALTER TABLE w RENAME TO u")
    changed.commit()
    assert ask(watching, "SELECT * FROM u", last)[0] == ["id", "c"]


def test_attached_databases(two: driver.Connection) -> None:
    two.execute("ALTER TABLE x.t ADD COLUMN more DEFAULT 5")
    two.commit()
    two.execute("INSERT INTO x.t(id) VALUES (77)")
    two.commit()
    then, columns = two.last_commit[1], ask(two, "SELECT * FROM x.t", None)[0]
    two.execute("ALTER TABLE x.t RENAME COLUMN more TO less")
    two.commit()
    assert ask(two, "SELECT * FROM x.t", then)[0] == columns
    assert ask(two, "SELECT x.t.more FROM x.t WHERE id = 77", then)[1] == [(5,)]


def test_what_is_readable(changed: Changed) -> None:
    db, moments = changed.db, changed.moments
    for step, (name, columns, _) in enumerate(TABLES):
        then = db.readable(moments[step], then=True)
        assert set(then.tables) == {"k", name} | ({"t"} if step == 8 else set())
        assert [column.name for column in then.tables[name].columns] == columns
        today = db.readable(moments[step])
        assert (set(today.tables), set(today.aliases)) == ({"k", "u"} | ({"t"} if step == 8 else set()),
                                                           {"t"} if step < 5 else set())  # fmt: skip
        assert [column.name for column in today.tables["u"].columns] == ["id", "c", "d"]
    assert db.readable(moments[0], "nowhere").tables == {}


def test_a_file_that_is_opened_again(path: Path, connect: Callable[..., driver.Connection]) -> None:
    db = connect()
    changed = Changed(db)
    db.close()
    again = connect()
    for step, (name, columns, rows) in enumerate(TABLES):
        assert ask(again, f"SELECT * FROM {name} ORDER BY id", changed.moments[step]) == (columns, rows)


def test_a_table_that_had_another_name_in_between_has_todays_columns(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t (a)")
    db.execute("INSERT INTO t VALUES (1)")
    db.commit()
    then = db.last_commit[1]
    for sql in ("ALTER TABLE t RENAME TO u", "ALTER TABLE u RENAME TO t", "ALTER TABLE t RENAME COLUMN a TO b"):
        db.execute(sql)
        db.commit()
    cursor = db.cursor()
    cursor.as_of = then
    assert cursor.execute("SELECT b FROM t").fetchall() == [(1,)]
    assert db.execute("SELECT b FROM t FOR SYSTEM_TIME AS OF ?", (then,)).fetchall() == [(1,)]
    assert ask(db, "SELECT * FROM t", then) == (["a"], [(1,)])
