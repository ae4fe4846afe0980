"""The name of a history table in a statement: it is there wherever and whenever it is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

_T = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)"


@pytest.fixture
def moment(db: driver.Connection) -> int:
    """As of it the row of t is (1, 'old'); now it is (1, 'new')."""
    db.execute(_T)
    db.execute("INSERT INTO t VALUES (1, 'old')")
    db.commit()
    then = db.last_commit[1]
    db.execute("UPDATE t SET a = 'new'")
    db.commit()
    return then


def ask(db: driver.Connection, sql: str, *parameters: Any) -> list[Any]:
    return db.execute(sql, parameters).fetchall()


def test_a_rollback_leaves_it(db: driver.Connection, moment: int) -> None:
    sql = 'SELECT id, a FROM "t history"(?)'
    for _ in range(3):
        for _ in range(3):  # the third time the text is known
            assert ask(db, sql, moment) == [(1, "old")]
        db.rollback()


def test_in_a_transaction_begun_earlier_and_in_savepoints(db: driver.Connection, moment: int) -> None:
    db.execute("INSERT INTO t VALUES (2, 'mine')")
    db.execute("SAVEPOINT s")
    assert ask(db, 'SELECT a FROM "t history"(?)', moment) == [("old",)]
    db.execute("ROLLBACK TO s")
    assert ask(db, 'SELECT a FROM "t history"(?) ', moment) == [("old",)]
    db.execute("RELEASE s")
    db.commit()
    assert ask(db, 'SELECT a FROM "t history"(?)', moment) == [("old",)]


def test_half_fetched_rows_go_on_when_it_is_first_named_and_rolled_back(db: driver.Connection, moment: int) -> None:
    db.executemany("INSERT INTO t VALUES (?, 'more')", [(k,) for k in range(2, 200)])
    db.commit()
    reading = db.execute("SELECT id FROM t")
    first = reading.fetchone()
    assert ask(db, 'SELECT a FROM "t history"(?)', moment) == [("old",)]
    db.rollback()
    assert [first, *reading.fetchall()] == [(k,) for k in range(1, 200)]


def test_the_schema_does_not_show_it(db: driver.Connection, moment: int) -> None:
    ask(db, 'SELECT a FROM "t history"(?)', moment)
    assert ask(db, "SELECT name FROM sqlite_master") == [("t",)]
    assert "t history" not in str(ask(db, "PRAGMA table_list"))


def test_it_follows_the_table(db: driver.Connection, moment: int) -> None:
    sql = 'SELECT * FROM "t history"(?)'
    before = db.execute(sql, (moment,))
    assert [column[0] for column in before.description][:3] == ["id", "a", "as_of"]
    before.close()
    db.execute("ALTER TABLE t ADD COLUMN b DEFAULT 5")
    after = db.execute(sql, (moment,))
    assert [column[0] for column in after.description][:4] == ["id", "a", "b", "as_of"]
    after.close()
    db.rollback()
    assert [column[0] for column in db.execute(sql, (moment,)).description][:3] == ["id", "a", "as_of"]
    db.rollback()
    db.execute("DROP TABLE t")
    with pytest.raises(driver.OperationalError, match="no such table: t history"):
        db.execute(sql, (moment,))
    db.rollback()
    assert ask(db, 'SELECT a FROM "t history"(?)', moment) == [("old",)]


def test_it_follows_what_another_connection_does(tmp_path: Path) -> None:
    db, other = driver.connect(tmp_path / "x.edb"), driver.connect(tmp_path / "x.edb")
    db.execute(_T)
    db.execute("INSERT INTO t VALUES (1, 'old')")
    db.commit()
    sql, moment = 'SELECT * FROM "t history"(?)', db.last_commit[1]
    for _ in range(3):
        assert len(ask(other, sql, moment)[0]) == 8
    other.rollback()
    db.execute("ALTER TABLE t ADD COLUMN b DEFAULT 5")
    db.commit()
    assert len(ask(other, sql, moment)[0]) == 9
    other.close()
    db.close()


def test_a_real_table_of_that_name_wins(db: driver.Connection, moment: int) -> None:
    assert ask(db, 'SELECT a FROM "t history"(?)', moment) == [("old",)]
    db.execute('CREATE TABLE "t history" (x)')
    db.execute('INSERT INTO "t history" VALUES (7)')
    assert ask(db, 'SELECT * FROM "t history"') == [(7,)]
    db.execute('DROP TABLE "t history"')
    assert ask(db, 'SELECT a FROM "t history"(?)', moment) == [("old",)]
    db.execute('CREATE TEMP TABLE "t history" (y)')
    assert ask(db, 'SELECT * FROM "t history"') == []


def test_a_cte_does_not_capture_it(db: driver.Connection, moment: int) -> None:
    sql = 'WITH t AS (SELECT 9 AS a), h AS (SELECT a FROM "t history"(?)) SELECT * FROM t, h'
    assert ask(db, sql, moment) == [(9, "old")]


def test_a_cte_of_its_name_is_meant_where_it_has_no_arguments(db: driver.Connection, moment: int) -> None:
    for sql, wanted in (
        ('WITH "t history" AS (SELECT 5 AS a) SELECT a FROM "T History"', [(5,)]),
        ('WITH "t history" AS (SELECT 5 AS a) SELECT h.a, k.a FROM "t history" h, main."t history"(?) k', [(5, "old")]),
        ('WITH "t history"(a) AS (SELECT 5) SELECT x.a, y.a FROM "t history" x, t FOR SYSTEM_TIME AS OF ? y',
         [(5, "old")]),
        ('WITH h AS (SELECT a FROM "t history"(?)), "t history" AS (SELECT 7 AS a) SELECT * FROM h, "t history"',
         [("old", 7)]),
        ('WITH "t history" AS (SELECT a FROM main."t history"(?)) SELECT * FROM "t history"', [("old",)]),
    ):  # fmt: skip
        assert ask(db, sql, *[moment] * sql.count("?")) == wanted, sql


@pytest.mark.parametrize("name", ['"t history"', "[t history]", "`T HISTORY`", 'main."t history"', 'MAIN."t history"'])
def test_spellings_of_the_name(db: driver.Connection, moment: int, name: str) -> None:
    for sql in (
        f"SELECT a FROM {name}(?)",
        f"SELECT a FROM {name} WHERE as_of = ?",
        f"SELECT {name}.a FROM {name} WHERE {name}.as_of = ?",
        f"SELECT h.a FROM {name} AS h WHERE h.as_of = ?",
        f"SELECT h.a FROM {name}(?) h",
        f"SELECT a FROM (SELECT * FROM {name}(?))",
        f"SELECT a FROM t JOIN {name}(?) AS h USING (id, a) UNION SELECT 'old'",
        f"SELECT h.a FROM t LEFT JOIN (t AS u JOIN {name}(?) AS h USING (id)) ON t.id = u.id WHERE h.valid_from > 0",
    ):
        assert ask(db, sql, moment) == [("old",)]


def test_own_zeros_for_hidden_columns_are_not_needed(db: driver.Connection, moment: int) -> None:
    db.execute("CREATE INDEX i ON t (upper(a), lower(a))")
    assert ask(db, 'SELECT a FROM "t history"(?)', moment) == [("old",)]
    assert ask(db, "SELECT a FROM \"t history\"(0, 0, 'all')") == [("old",), ("new",)]
    assert ask(db, 'SELECT a FROM "t history" WHERE as_of = ?', moment) == [("old",)]


@pytest.mark.parametrize(
    "sql",
    [
        'INSERT INTO "t history" (id) VALUES (5)', 'REPLACE INTO "t history" (id) VALUES (5)',
        "UPDATE \"t history\" SET a = 'x'", "UPDATE OR IGNORE \"t history\" SET a = 'x'",
        'DELETE FROM "t history" WHERE as_of = 5', 'DELETE FROM main."t history"',
    ],
)  # fmt: skip
def test_it_takes_no_writes(db: driver.Connection, moment: int, sql: str) -> None:
    with pytest.raises(driver.PastWriteError, match="the past does not change"):
        db.execute(sql)
    assert ask(db, "SELECT id, a FROM t") == [(1, "new")]


def test_of_attached_databases(tmp_path: Path, db: driver.Connection, moment: int) -> None:
    db.execute(f"ATTACH '{tmp_path / 'y.edb'}' AS y")
    db.execute("CREATE TABLE y.t (id INTEGER PRIMARY KEY, a TEXT)")
    db.execute("CREATE TABLE y.only (id INTEGER PRIMARY KEY, b TEXT)")
    db.execute("INSERT INTO y.t VALUES (1, 'theirs')")
    db.execute("INSERT INTO y.only VALUES (1, 'only')")
    db.commit()
    assert ask(db, 'SELECT a FROM "t history"(?)', moment) == [("old",)]
    assert ask(db, "SELECT y.\"t history\".a FROM y.\"t history\"(0, 0, 'all')") == [("theirs",)]
    assert ask(db, "SELECT b FROM \"only history\"(0, 0, 'all')") == [("only",)]
    both = "SELECT h.a, k.a FROM main.\"t history\"(0, 0, 'all') h JOIN y.\"t history\"(0, 0, 'all') k USING (id)"
    assert ask(db, both) == [("old", "theirs"), ("new", "theirs")]
    db.execute("ALTER TABLE y.t ADD COLUMN z")
    assert len(ask(db, "SELECT * FROM y.\"t history\"(0, 0, 'all')")[0]) == 9
    db.commit()
    db.execute("DETACH y")
    with pytest.raises(driver.OperationalError, match="no such table"):
        db.execute("SELECT a FROM y.\"t history\"(0, 0, 'all')")
    assert ask(db, 'SELECT a FROM "t history"(?)', moment) == [("old",)]


def test_writes_may_read_it(db: driver.Connection, moment: int) -> None:
    db.execute('UPDATE t SET a = h.a FROM "t history"(?) AS h WHERE h.id = t.id', (moment,))
    assert ask(db, "SELECT a FROM t") == [("old",)]
    db.rollback()
    db.execute('INSERT INTO t SELECT id + 5, a FROM "t history"(?)', (moment,))
    assert ask(db, "SELECT id, a FROM t") == [(1, "new"), (6, "old")]
    db.execute('DELETE FROM t WHERE a IN (SELECT a FROM "t history"(?)) RETURNING id', (moment,))
    assert ask(db, "SELECT id FROM t") == [(1,)]
