"""Tables that were dropped, made again or renamed are read as of when they were there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

_T = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)"


class Gone:
    """t held (1, 'kept') as of `then`, and (1, 'kept'), (2, 'more') as of `later`; what `after` does came next."""

    def __init__(self, db: driver.Connection, *after: str) -> None:
        self.db = db
        db.execute(_T)
        db.execute("CREATE TABLE u (id INTEGER PRIMARY KEY, b TEXT)")
        db.execute("INSERT INTO t VALUES (1, 'kept')")
        db.execute("INSERT INTO u VALUES (1, 'u then')")
        self.then = self.commit()
        db.execute("INSERT INTO t VALUES (2, 'more')")
        db.execute("UPDATE u SET b = 'u later'")
        self.later = self.commit()
        self.ends: list[int] = []
        for sql in after:
            db.execute(sql)
            self.ends.append(self.commit())

    def commit(self) -> int:
        self.db.commit()
        return self.db.last_commit[1]

    def ask(self, sql: str, *parameters: Any, as_of: int | None = None) -> list[Any]:
        cursor = self.db.cursor()
        cursor.as_of = as_of
        return cursor.execute(sql, parameters).fetchall()


AFTER = {
    "dropped": ("DROP TABLE t",),
    "made again": ("DROP TABLE t", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, z TEXT)"),
    "renamed": ("ALTER TABLE t RENAME TO v",),
    "replaced by another": ("ALTER TABLE t RENAME TO v", "ALTER TABLE u RENAME TO t"),
    "renamed and dropped": ("ALTER TABLE t RENAME TO v", "DROP TABLE v"),
    "there and back": ("ALTER TABLE t RENAME TO v", "ALTER TABLE v RENAME TO t"),
}


@pytest.fixture(params=AFTER)
def gone(request: pytest.FixtureRequest, db: driver.Connection) -> Gone:
    return Gone(db, *AFTER[request.param])


def test_the_moment_of_the_statement(gone: Gone) -> None:
    for _ in range(3):
        assert gone.ask("SELECT * FROM t", as_of=gone.then) == [(1, "kept")]
        assert gone.ask("SELECT t.a FROM main.t WHERE main.t.id = ?", 2, as_of=gone.later) == [("more",)]
        assert gone.ask("SELECT x.a, b FROM t x LEFT JOIN u USING (id)", as_of=gone.then) == [("kept", "u then")]
        counted = "SELECT count(*) FROM t WHERE id IN (SELECT id FROM t AS y WHERE y.a LIKE '%e%')"
        assert gone.ask(counted, as_of=gone.later) == [(2,)]
        assert gone.ask("SELECT 1 FROM (SELECT min(id) FROM t) m", as_of=gone.then) == [(1,)]


def test_a_moment_of_each_reference(gone: Gone) -> None:
    for _ in range(3):
        assert gone.ask("SELECT * FROM t FOR SYSTEM_TIME AS OF ?", gone.then) == [(1, "kept")]
        assert gone.ask(f"SELECT a FROM t FOR SYSTEM_TIME AS OF {gone.later} WHERE id = ?", 2) == [("more",)]
        assert gone.ask("SELECT ?, a FROM t(? + 0) x WHERE x.id = ?", "p", gone.then, 1) == [("p", "kept")]
        both = "SELECT x.id, y.id FROM t(?) x FULL JOIN main.t y FOR SYSTEM_TIME AS OF ? USING (id)"
        assert gone.ask(both, gone.then, gone.later) == [(1, 1), (None, 2)]
        assert gone.ask("SELECT * FROM t FOR SYSTEM_TIME AS OF NULL") == []


def test_named_parameters(gone: Gone) -> None:
    sql = "SELECT a FROM t FOR SYSTEM_TIME AS OF :m WHERE id = :id"
    assert gone.db.execute(sql, {"id": 2, "m": gone.later}).fetchall() == [("more",)]


def test_writes_read_them(gone: Gone) -> None:
    gone.db.execute("CREATE TABLE saved (id, a)")
    gone.ask("INSERT INTO saved SELECT id, a FROM t FOR SYSTEM_TIME AS OF ?", gone.later)
    assert gone.ask("SELECT * FROM saved") == [(1, "kept"), (2, "more")]
    gone.ask("CREATE TABLE again AS SELECT * FROM t FOR SYSTEM_TIME AS OF ?", gone.then)
    assert gone.ask("SELECT * FROM again") == [(1, "kept")]


@pytest.mark.parametrize("named", [False, True])
def test_sets_of_parameters_read_them_each_at_its_moment(gone: Gone, named: bool) -> None:
    db = gone.db
    db.execute("CREATE TABLE copy (turn INTEGER, id INTEGER, a TEXT)")
    sql = "INSERT INTO copy SELECT ?, id, a FROM t FOR SYSTEM_TIME AS OF ?"
    sets: list[Any] = [(1, gone.then), (2, gone.later), (3, gone.then)]
    if named:
        sql = sql.replace("?", ":turn", 1).replace("?", ":m")
        sets = [{"turn": turn, "m": moment} for turn, moment in sets]
    for _ in range(2):
        assert db.executemany(sql, iter(sets)).rowcount == 4
        assert gone.ask("SELECT turn, a FROM copy ORDER BY turn, id") == [
            (1, "kept"), (2, "kept"), (2, "more"), (3, "kept")
        ]  # fmt: skip
        db.execute("DELETE FROM copy")
    sql = "UPDATE copy SET a = (SELECT a FROM t FOR SYSTEM_TIME AS OF ? WHERE id = 1) WHERE turn = ?"
    db.execute("INSERT INTO copy VALUES (1, 1, NULL)")
    db.executemany(sql, [(gone.later, 1), (gone.later, 2)])
    assert gone.ask("SELECT a FROM copy") == [("kept",)]
    db.executemany("INSERT INTO copy VALUES (?, ?, ?)", [(7, 7, "x")] * 3)
    assert gone.ask("SELECT count(*) FROM copy WHERE turn = 7") == [(3,)]


def test_another_connection_sees_what_was_done(connect: Callable[..., driver.Connection]) -> None:
    db, watching = connect(), connect()
    gone = Gone(db)
    assert watching.execute("SELECT a FROM t WHERE id = 1").fetchall() == [("kept",)]
    watching.rollback()
    db.execute("DROP TABLE t")
    gone.commit()
    cursor = watching.cursor()
    cursor.as_of = gone.then
    assert cursor.execute("SELECT * FROM t").fetchall() == [(1, "kept")]
    watching.rollback()
    assert watching.execute("SELECT * FROM t FOR SYSTEM_TIME AS OF ?", (gone.then,)).fetchall() == [(1, "kept")]


def test_a_table_made_again_is_read_by_the_moment(db: driver.Connection) -> None:
    again = "CREATE TABLE t (id INTEGER PRIMARY KEY, z TEXT)"
    gone = Gone(db, "DROP TABLE t", again, "INSERT INTO t VALUES (7, 'new')")
    assert gone.ask("SELECT * FROM t", as_of=gone.later) == [(1, "kept"), (2, "more")]
    assert gone.ask("SELECT * FROM t", as_of=gone.ends[2]) == [(7, "new")]
    assert gone.ask("SELECT * FROM t", as_of=gone.ends[1]) == []
    sql = "SELECT * FROM t FOR SYSTEM_TIME AS OF ?"
    for _ in range(3):
        assert gone.ask(sql, gone.ends[2]) == [(7, "new")]
        assert gone.ask(sql, gone.then) == [(1, "kept")]
    for moment in (gone.ends[0], gone.ends[1] - 1):
        with pytest.raises(driver.OperationalError, match=r"no such table: t at .*; it was dropped at"):
            gone.ask("SELECT * FROM t", as_of=moment)
        with pytest.raises(driver.OperationalError, match=r"no such table: t at .*; it was dropped at"):
            gone.ask(sql, moment)


def test_what_is_said_of_a_table_that_is_no_more(db: driver.Connection) -> None:
    gone = Gone(db, "ALTER TABLE t RENAME TO v", "DROP TABLE v")
    dated = "SELECT * FROM {} FOR SYSTEM_TIME AS OF ?"
    with pytest.raises(driver.OperationalError, match=r"no such table: t at .*; it was renamed to v at"):
        gone.ask(dated.format("t"), gone.ends[0])
    with pytest.raises(driver.OperationalError, match=r"no such table: v at .*; it was dropped at"):
        gone.ask(dated.format("v"), gone.ends[1])
    # As of a table that is there, its name of today reads what was there under another one.
    assert gone.ask(dated.format("v"), gone.then) == [(1, "kept")]
    assert gone.ask(dated.format("v"), gone.ends[0]) == [(1, "kept"), (2, "more")]
    with pytest.raises(driver.OperationalError, match=r"no such table: t$"):
        gone.ask("SELECT * FROM t")


def test_a_moment_of_each_row_beyond_the_last_one_fails(db: driver.Connection) -> None:
    gone = Gone(db, "DROP TABLE t")
    sql = "SELECT (SELECT count(*) FROM t FOR SYSTEM_TIME AS OF m.n) FROM (SELECT ? AS n UNION ALL SELECT ?) m"
    assert gone.ask(sql, gone.then, gone.later) == [(1,), (2,)]
    with pytest.raises(driver.OperationalError, match=r"no such table: t at .*; its last moment is"):
        gone.ask(sql, gone.then, gone.ends[0])


def test_versions_of_a_dropped_table_end_with_it(db: driver.Connection) -> None:
    gone = Gone(db, "UPDATE t SET a = 'changed' WHERE id = 1", "DROP TABLE t")
    changed, dropped = gone.ends
    sql = "SELECT id, a, valid_from, valid_to FROM t FOR SYSTEM_TIME {} ORDER BY id, valid_from"
    versions = [(1, "kept", gone.then, changed), (1, "changed", changed, dropped), (2, "more", gone.later, dropped)]
    assert gone.ask(sql.format("ALL")) == versions
    assert gone.ask(sql.format("FROM ? TO ?"), dropped, dropped + 10) == []
    assert gone.ask(sql.format("CONTAINED IN (?, ?)"), gone.then, dropped) == versions
    assert gone.ask(sql.format("AS OF ?"), changed) == versions[1:]


def test_columns_are_those_the_table_had_last(db: driver.Connection) -> None:
    gone = Gone(db, "ALTER TABLE t ADD COLUMN z TEXT DEFAULT 'd'", "DROP TABLE t")
    assert gone.ask("SELECT * FROM t", as_of=gone.ends[0]) == [(1, "kept", "d"), (2, "more", "d")]
    assert gone.ask("SELECT * FROM t", as_of=gone.then) == [(1, "kept", None)]


def test_a_drop_that_is_not_committed_is_followed_back(db: driver.Connection) -> None:
    gone = Gone(db)
    sql = "SELECT * FROM t FOR SYSTEM_TIME AS OF ?"
    db.execute("DROP TABLE t")
    with pytest.raises(driver.OperationalError, match="no such table: t"):
        gone.ask(sql, gone.then)
    db.rollback()
    assert gone.ask(sql, gone.then) == [(1, "kept")]


def test_names_of_ctes_and_views_stay_theirs(db: driver.Connection) -> None:
    gone = Gone(db, "DROP TABLE t", "CREATE VIEW t AS SELECT 5 AS id")
    assert gone.ask("WITH t AS (SELECT 9) SELECT * FROM t", as_of=gone.then) == [(9,)]
    assert gone.ask("SELECT * FROM t", as_of=gone.then) == [(5,)]


def test_attached_databases(db: driver.Connection, other: Path) -> None:
    gone = Gone(db)
    db.execute("ATTACH ? AS x", (str(other),))
    db.execute("CREATE TABLE x.w (id INTEGER PRIMARY KEY, c TEXT)")
    db.execute("INSERT INTO x.w VALUES (1, 'theirs')")
    then = gone.commit()
    db.execute("DROP TABLE x.w")
    gone.commit()
    assert gone.ask("SELECT c FROM x.w", as_of=then) == [("theirs",)]
    assert gone.ask("SELECT x.w.c, a FROM x.w FOR SYSTEM_TIME AS OF ? JOIN t USING (id)", then) == [("theirs", "kept")]


@pytest.mark.slow
def test_many_dropped_tables(db: driver.Connection) -> None:
    gone = Gone(db)
    moments = []
    for number in range(130):
        db.execute(f"CREATE TABLE d{number} (n)")
        db.execute(f"INSERT INTO d{number} VALUES ({number})")
        moments.append(gone.commit())
        db.execute(f"DROP TABLE d{number}")
        gone.commit()
    for number, moment in [*enumerate(moments), *enumerate(moments[:5])]:
        assert gone.ask(f"SELECT n FROM d{number} FOR SYSTEM_TIME AS OF ?", moment) == [(number,)]
