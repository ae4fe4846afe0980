"""Of lists that queries make the planner knows about how long they are, and no answer depends on it."""

from __future__ import annotations

import random

import pytest

from entitydb_dialect import driver

from ..asking import moment, plan, rows, visits
from ..beside import Beside, text_to_run

SCHEMA = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, kind INTEGER, n INTEGER, s TEXT COLLATE NOCASE)",
    "CREATE INDEX t_kind ON t(kind)",
    "CREATE TABLE k(id INTEGER PRIMARY KEY, live INTEGER, size INTEGER, s TEXT)",
    "CREATE VIEW w AS SELECT id FROM k",
)


@pytest.fixture
def both(db: driver.Connection, rng: random.Random) -> Beside:
    found = Beside(db, *SCHEMA)
    found.fill("t", [(i, rng.choice((None, *range(30))), rng.choice((None, 1, 2, 3)), "a") for i in range(1, 41)])
    found.fill("k", [(i, rng.choice((None, 0, 1)), rng.choice((None, *range(8))), "b") for i in range(1, 21)])
    found.tables = []
    return found


def told(both: Beside, sql: str) -> list[str]:
    """What the terms say that are added to a text."""
    text = text_to_run(both.mine, sql)
    return [part.split("'")[1] for part in text.split('."entitydb returned" IS NOT ')[1:]]


@pytest.mark.parametrize(("condition", "expected"), [
    ("kind IN (SELECT id FROM k)", ["1 K 0"]),
    ("t.id IN (SELECT DISTINCT k.size AS x FROM k WHERE 1)", ["0 K 2"]),
    ("n = 1 AND (kind IN (SELECT size FROM k WHERE live = ? AND id > 3 AND size BETWEEN 1 AND 2))", ["1 K 2 =1 <0 <2"]),
    ("kind IN (SELECT id FROM k WHERE live IS NULL AND k.size IS NOT NULL AND live IN (1, 2))", ["1 K 0 n1 N2 i1"]),
    ("kind IN (SELECT id FROM k WHERE live = 1 OR live = 0)", ["1 K 0 i1"]),
    ("kind IN (SELECT id FROM k WHERE live = 1 OR size < 0)", ["1 K 0 ?"]),
    ("kind IN (SELECT id FROM k WHERE size + 1 = 3 AND k.live = t.n)", ["1 K 0 ? =1"]),
    ("kind IN (SELECT k.id FROM k JOIN t u ON u.n = k.live WHERE u.n = 1)", ["1 K 0 ? ?"]),
    ("kind IN (SELECT id FROM k WHERE s LIKE 'b%' AND k.s GLOB ? AND s NOT LIKE 'c')", ["1 K 0 p3 p3 ?"]),
    ("kind IN (SELECT id FROM k WHERE s LIKE 'b!%' ESCAPE '!' AND s || 'x' LIKE 'b%')", ["1 K 0 p3 ?"]),
    ("kind IN (SELECT id FROM k WHERE size IN (SELECT n FROM t))", ["1 K 0 i2", "2 T 2"]),
    ("kind IN (SELECT id FROM k) AND kind IN (SELECT size FROM k)", ["1 K 0", "1 K 2"]),
])  # fmt: skip
def test_the_list_and_its_conditions_are_told(both: Beside, condition: str, expected: list[str]) -> None:
    sql = f"SELECT t.id FROM t WHERE {condition} ORDER BY 1"
    ids = {name.upper(): both.mine._session.main.declared[name].table.id for name in "kt"}
    wanted = [" ".join(str(ids.get(word, word)) for word in one.split()) for one in expected]
    assert sorted(told(both, sql)) == sorted(wanted)
    both.run(sql, (1,) * sql.count("?"))


@pytest.mark.parametrize("sql", [
    "SELECT id FROM t WHERE kind NOT IN (SELECT id FROM k)",
    "SELECT id FROM t WHERE kind IN (1, 2)",
    "SELECT id FROM t WHERE kind + 1 IN (SELECT id FROM k)",
    "SELECT id FROM t WHERE (kind, n) IN (SELECT id, live FROM k)",
    "SELECT id FROM t WHERE kind IN (SELECT id FROM k) OR n = 1",
    "SELECT id FROM t WHERE kind IN (SELECT id FROM k) = 1",
    "SELECT id FROM t WHERE kind IN (SELECT id + 1 FROM k)",
    "SELECT id FROM t WHERE kind IN (SELECT id FROM k UNION SELECT size FROM k)",
    "SELECT id FROM t WHERE kind IN (SELECT id FROM k ORDER BY id LIMIT 2)",
    "SELECT id FROM t WHERE kind IN (SELECT max(id) FROM k GROUP BY live)",
    "SELECT id FROM t WHERE kind IN (SELECT t.n FROM k)",
    "SELECT id FROM t WHERE kind IN (SELECT id FROM w)",
    "SELECT id FROM w WHERE id IN (SELECT id FROM k)",
    "WITH k AS (SELECT 3 AS id) SELECT id FROM t WHERE kind IN (SELECT id FROM k)",
    "SELECT t.id FROM t LEFT JOIN k ON t.kind IN (SELECT n FROM t)",
    "SELECT t.id FROM t LEFT JOIN k ON k.id = t.kind WHERE k.id IN (SELECT n FROM t)",
])
def test_nothing_is_told_of_other_lists(both: Beside, sql: str) -> None:
    assert told(both, sql) == []
    both.run(f"{sql} ORDER BY 1")


def test_of_a_left_join_its_own_condition_tells(both: Beside) -> None:
    sql = "SELECT t.id, k.id FROM t LEFT JOIN k ON k.live = t.n AND k.id IN (SELECT n FROM t) ORDER BY 1, 2"
    assert len(told(both, sql)) == 1
    both.run(sql)


def test_changes_have_the_answers_of_sqlite(both: Beside) -> None:
    both.tables = ["t", "k"]
    both.run("UPDATE t SET n = 9 WHERE kind IN (SELECT id FROM k WHERE live = 1)")
    both.run("DELETE FROM t WHERE id IN (SELECT size FROM k) AND n = 9")
    both.run("INSERT INTO k(live, size) SELECT n, id FROM t WHERE id IN (SELECT kind FROM t)")


@pytest.fixture
def big(db: driver.Connection) -> driver.Connection:
    for sql in SCHEMA:
        db.execute(sql)
    db.executemany("INSERT INTO k(id, live, size) VALUES (?, ?, ?)", [(i, i % 50, i % 100) for i in range(1000)])
    db.executemany("INSERT INTO t(id, kind, n) VALUES (?, ?, ?)", [(i, i % 1000, i % 500) for i in range(3000)])
    db.commit()
    return db


JOIN = "SELECT count(*) FROM t a, t b WHERE a.n = b.n AND b.kind = 77 AND a.id IN ({})"


def test_a_long_list_does_not_drive_a_join(big: driver.Connection) -> None:
    """3 rows of b, and one lookup for each in an index of a; not 3,000 rows of a."""
    big.execute("CREATE INDEX t_n ON t(n)")
    sql = JOIN.format("SELECT id FROM t")
    assert "SEARCH b USING INDEX t_kind (kind=?); SEARCH a USING INDEX t_n" in plan(big, sql)
    assert visits(big, sql) <= 3000 + 100


def test_a_short_list_drives_a_join(big: driver.Connection) -> None:
    """The ids of k that have one size are 10."""
    sql = "SELECT count(*) FROM t a, t b WHERE a.n = b.n AND b.kind < 900 AND a.id IN (SELECT id FROM k WHERE size = 5)"
    big.execute("CREATE INDEX t_n ON t(n)")
    assert "SEARCH a USING INTEGER PRIMARY KEY (rowid=?)" in plan(big, sql)
    assert visits(big, sql) <= 1000 + 150


def test_a_list_of_what_matches_a_pattern_is_searched_for(big: driver.Connection) -> None:
    """Of the kinds that k has one name in ten has the letter: 100 of 1,000, three rows each."""
    big.execute("UPDATE k SET s = CASE id % 10 WHEN 0 THEN 'green ' ELSE 'red ' END || id")
    big.commit()
    for condition in ("s LIKE 'green%'", "s GLOB '*green*'"):
        sql = f"SELECT count(*), sum(n) FROM t WHERE kind IN (SELECT id FROM k WHERE {condition})"
        assert "SEARCH t USING INDEX t_kind (kind=?)" in plan(big, sql)
        assert rows(big, sql)[0][0] == 300
        assert visits(big, sql) <= 1000 + 2 * 300 + 100 + 10


def test_row_ids_in_a_list_are_not_one_row(big: driver.Connection) -> None:
    """That a has few rows beside its list is so only where b has been met."""
    sql = JOIN.format("SELECT id FROM t WHERE id < 1500")
    assert plan(big, sql).startswith("SEARCH b USING INDEX t_kind (kind=?); SEARCH a USING INTEGER PRIMARY KEY")
    assert visits(big, sql) <= 1500 + 3 * 1500 + 100


def test_lists_of_constants_and_of_queries_may_stand_beside_each_other(big: driver.Connection) -> None:
    sql = "SELECT count(*) FROM t a WHERE a.id IN (1, 2, 3) AND a.id IN (SELECT id FROM t)"
    assert rows(big, sql) == [(3,)]
    assert visits(big, sql) <= 3000 + 10


def test_a_list_of_all_rows_is_not_searched_for(big: driver.Connection) -> None:
    """Of each row of b the rows of a by its n, and not each of the list."""
    sql = "SELECT count(*) FROM t b CROSS JOIN t a WHERE a.n = b.n AND b.kind < 20 AND a.id IN (SELECT id FROM t)"
    assert "SEARCH a USING AUTOMATIC INDEX (n=?)" in plan(big, sql)
    assert visits(big, sql) <= 3 * 3000 + 60 * 10


def test_duplicates_are_skipped_beside_a_list(big: driver.Connection) -> None:
    """The term that tells is about a column, too, which is NULL in all rows."""
    sql = "SELECT DISTINCT kind FROM t WHERE kind IN (SELECT live FROM k) ORDER BY kind"
    big.executemany("INSERT INTO t(kind) VALUES (?)", [(i % 50,) for i in range(5000)])
    big.commit()
    assert "SKIPPING DUPLICATES" in plan(big, sql)
    assert visits(big, sql) <= 1000 + 110


def test_it_is_told_of_the_past_and_of_tables_that_were_not_there(big: driver.Connection) -> None:
    before = moment(big)
    big.execute("CREATE TABLE later(id INTEGER PRIMARY KEY)")
    big.execute("INSERT INTO later VALUES (5)")
    assert rows(big, "SELECT n FROM t WHERE id IN (SELECT id FROM later)") == [(5,)]
    assert rows(big, JOIN.format("SELECT id FROM k"), as_of=before) == rows(big, JOIN.format("SELECT id FROM k"))
    with pytest.raises(driver.OperationalError, match="no such table: later"):
        rows(big, "SELECT n FROM t WHERE id IN (SELECT id FROM later)", as_of=before)


def test_texts_that_differ_in_literals_go_the_short_way(big: driver.Connection) -> None:
    for size in (5, 6, 7):
        sql = f"SELECT n FROM t WHERE id IN (SELECT id FROM k WHERE size = {size})"
        assert len(rows(big, sql)) == 10
    assert big._session.known[sql].prepared is None
    assert "entitydb returned" in big._session.known[sql].sql
