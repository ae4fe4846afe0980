"""Generated columns, beside plain SQLite: VIRTUAL ones computed when read, STORED ones when written."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import apsw
import pytest

from entitydb_dialect import driver

from ..asking import moment, plan, rows
from ..beside import Beside, kinds

Connect = Callable[..., driver.Connection]

SCHEMA = (
    "CREATE TABLE t(a, g AS (a + 1), h TEXT GENERATED ALWAYS AS (a * 2) STORED, b DEFAULT 7, i INT AS (g + b))",
    "CREATE TABLE s(x, y)",
)


@pytest.fixture
def both(db: driver.Connection) -> Beside:
    return Beside(db, *SCHEMA)


def run(both: Beside, *statements: str) -> None:
    """In both, where what follows from a change is counted otherwise."""
    for sql in statements:
        both.mine.execute(sql)
        both.theirs.execute(sql)
        both.compare(sql)


# ---- what a definition may say ----


@pytest.mark.parametrize("sql", [
    "CREATE TABLE u(a, g AS (b), b AS (g))",
    "CREATE TABLE u(g AS (1))",
    "CREATE TABLE u(a, g AS (random()))",
    "CREATE TABLE u(a, g AS (current_timestamp))",
    "CREATE TABLE u(a, g AS ((SELECT 1)))",
    "CREATE TABLE u(a, g AS (count(a)))",
    "CREATE TABLE u(a, g AS (nothing_known(a)))",
    "CREATE TABLE u(a, g AS (a) PRIMARY KEY)",
    "CREATE TABLE u(a, g AS (a), PRIMARY KEY (a, g))",
    "CREATE TABLE u(a, g AS (a) DEFAULT 3)",
    "CREATE TABLE u(a, g AS (rowid))",
    "CREATE TABLE u(a, g AS (u.a))",
    "CREATE TABLE u(a, g AS (c))",
    "CREATE TABLE u(a, g AS (?))",
])  # fmt: skip
def test_a_definition_is_refused_as_by_sqlite(both: Beside, sql: str) -> None:
    assert isinstance(both.run(sql), str)


def test_a_function_of_the_process_is_refused_by_name(db: driver.Connection) -> None:
    db.create_function("mine", 1, lambda x: x, deterministic=True)
    with pytest.raises(driver.NotSupportedError, match=r"mine\(\).*this process"):
        db.execute("CREATE TABLE t(a, g AS (mine(a)))")
    db.execute("CREATE TABLE t(a)")
    with pytest.raises(driver.NotSupportedError, match=r"mine\(\).*this process"):
        db.execute("ALTER TABLE t ADD COLUMN g AS (mine(a))")


def test_a_function_that_stands_in_for_one_of_sqlite_changes_no_generated_column(db: driver.Connection) -> None:
    db.create_function("upper", 1, lambda x: "mine", deterministic=True)
    db.execute("CREATE TABLE t(a, g AS (upper(a)) STORED, h AS (upper(a)) UNIQUE)")
    db.execute("INSERT INTO t VALUES ('a')")
    assert db.execute("SELECT *, upper(a) FROM t").fetchall() == [("a", "A", "A", "mine")]


@pytest.mark.parametrize("clock", [
    "date('now')", "datetime()", "time('NOW', '+1 day')", "strftime('%Y')", "julianday(a)", "unixepoch('subsec')",
    "datetime(b, 'localtime')", "date(b, 'utc')", "timediff(b, 'now')",
])  # fmt: skip
def test_the_clock_is_refused_when_a_row_is_written(both: Beside, clock: str) -> None:
    both.run(f"CREATE TABLE u(a, b, g AS ({clock}))")
    assert "non-deterministic use of" in both.run("INSERT INTO u VALUES ('now', '2024-02-29')")


def test_dates_that_ask_no_clock_are_computed(both: Beside) -> None:
    both.run(
        "CREATE TABLE u(a, d AS (date(a)), m AS (strftime('%Y-%m', a)), j AS (julianday(a, '+1 day')), s AS"
        " (unixepoch(a)) STORED, k AS (timediff(a, '2000-01-01')), x AS (datetime(a, 'start of month')))"
    )
    both.run("INSERT INTO u VALUES ('2024-02-29 12:34:56'), (NULL), (2460000.5), ('nonsense'), (x'00')")
    assert len(both.run("SELECT * FROM u")) == 5


def test_a_text_in_quotation_marks_stays_one(both: Beside) -> None:
    both.run("CREATE TABLE u(a, g AS (a || \"zork\" || 'it''s' -- or not\n))")
    both.run("INSERT INTO u VALUES ('x')")
    assert both.run("SELECT g FROM u") == [("xzorkit's",)]


# ---- writing ----


@pytest.mark.parametrize("sql", [
    "INSERT INTO t(a, g) VALUES (1, 2)",
    "INSERT INTO t(h) VALUES (1)",
    "INSERT INTO t VALUES (1, 2, 3)",
    "INSERT INTO t SELECT 1, 2, 3, 4, 5",
    "INSERT INTO t(a, nothing) VALUES (1, 2)",
    "REPLACE INTO t(I) VALUES (1)",
    "UPDATE t SET g = 1",
    "UPDATE t SET a = 1, H = 2 WHERE b = 7",
    "UPDATE t SET (a, g) = (1, 2)",
    "UPDATE t AS x SET \"g\" = 1 FROM s WHERE s.x = x.a",
])  # fmt: skip
def test_writing_to_one_is_refused_as_by_sqlite(both: Beside, sql: str) -> None:
    both.run("INSERT INTO t VALUES (1, 2)")
    assert isinstance(both.run(sql), str)


def test_do_update_of_one_is_refused(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a PRIMARY KEY, g AS (a))")
    with pytest.raises(driver.OperationalError, match='cannot UPDATE generated column "g"'):
        db.execute("INSERT INTO t(a) VALUES (1) ON CONFLICT (a) DO UPDATE SET g = 2")


def test_statements_leave_them_out_and_show_them(both: Beside) -> None:
    both.run("INSERT INTO t VALUES (1, 2), (3, 4)")
    both.run("INSERT INTO t AS x VALUES (5, 6)")
    both.run("INSERT OR REPLACE INTO main.t SELECT 7, 8")
    both.run("INSERT INTO t DEFAULT VALUES")
    both.run("WITH v(n) AS (VALUES (?)) INSERT INTO t SELECT n, ? FROM v", (9, "9"))
    both.run("REPLACE INTO t VALUES (:a, :b)", {"a": 10, "b": None})
    assert both.run("SELECT * FROM t ORDER BY rowid")[0] == (1, 2, "2", 2, 4)
    assert len(both.run("SELECT t.*, s.* FROM t LEFT JOIN s ON s.x = t.g")[0]) == 7


def test_many_rows_in_one_executemany(db: driver.Connection) -> None:
    db.execute(SCHEMA[0])
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, i) for i in range(50)])
    assert db.execute("SELECT count(*), sum(g), sum(h), sum(i) FROM t").fetchall() == [(50, 1275, 2450, 2500)]


def test_returning_has_them(both: Beside) -> None:
    assert both.run("INSERT INTO t VALUES (1, 2) RETURNING *, g + i") == [(1, 2, "2", 2, 4, 6)]
    both.run("UPDATE t SET a = 5 WHERE g = 2 RETURNING g, h, i")
    both.run("UPDATE t SET a = s.x FROM (SELECT 8 AS x) AS s RETURNING *")
    both.run("DELETE FROM t WHERE i > 3 RETURNING *")


def test_an_upsert_computes_the_row_anew_and_shows_what_was_excluded(db: driver.Connection) -> None:
    both = Beside(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b, c, g AS (b || '!') UNIQUE, h AS (b || c) STORED, n)")
    both.tables = []
    both.run("INSERT INTO t VALUES (1, 'x', 'y', 0)")
    both.run("INSERT INTO t VALUES (2, 'x', 'z', 0) ON CONFLICT (g) DO UPDATE SET c = excluded.c, n = excluded.h")
    assert both.run("SELECT * FROM t") == [(1, "x", "z", "x!", "xz", "xz")]
    both.run("INSERT INTO t VALUES (1, 'q', 'r', 0) ON CONFLICT DO UPDATE SET b = excluded.g || t.h RETURNING *")
    both.run("INSERT INTO t VALUES (5, 'q!xz', 'r', 0) ON CONFLICT (g) DO NOTHING RETURNING *")
    assert both.run("SELECT * FROM t") == [(1, "q!xz", "z", "q!xz!", "q!xzz", "xz")]


def test_affinity_is_that_of_the_declared_type(both: Beside) -> None:
    both.run(
        "CREATE TABLE u(a, b AS (a), c INT AS (a), d TEXT AS (a) STORED, e REAL AS (a), f NUMERIC AS (a) STORED, g BLOB"
        " AS (a), t TEXT, h AS (t), i TEXT COLLATE NOCASE AS (t), j AS (t COLLATE NOCASE))"
    )
    for value in ("'12'", "12", "12.0", "12.5", "'x'", "x'3132'", "NULL", "1e300", "'1e3'", "9007199254740993"):
        both.run(f"INSERT INTO u VALUES ({value}, {value})")
    names = "abcdefghij"
    both.run(f"SELECT {', '.join(f'typeof({n})' for n in names)} FROM u")
    for n in names:
        for right in ("12", "'12'", "12.0", "'X'", "x'3132'", "t", "a"):
            for op in ("=", "<", ">=", "IS", "IN"):
                both.run(f"SELECT rowid FROM u WHERE {n} {op} {f'({right})' if op == 'IN' else right} ORDER BY rowid")


def test_strict_tables_judge_the_type(both: Beside) -> None:
    both.run("CREATE TABLE u(a ANY, g INT AS (a), h TEXT AS (a || '') STORED) STRICT")
    both.run("INSERT INTO u VALUES (1)")
    assert "cannot store TEXT value in INT column u.g" in both.run("INSERT INTO u VALUES ('x')")
    assert "u.g" in both.run("UPDATE u SET a = 1.5")
    both.run("SELECT * FROM u")


def test_without_rowid(both: Beside) -> None:
    both.run("CREATE TABLE u(a PRIMARY KEY, g AS (a || 'x') UNIQUE, h AS (a || 'y') STORED) WITHOUT ROWID")
    both.run("INSERT INTO u VALUES (1), ('b')")
    both.run("UPDATE u SET a = 2 WHERE g = '1x'")
    both.run("SELECT * FROM u ORDER BY a")


def test_one_over_the_row_id_follows_it(both: Beside) -> None:
    both.run("CREATE TABLE u(id INTEGER PRIMARY KEY, g AS (id + 1) UNIQUE, h AS (id * 2) STORED)")
    both.run("INSERT INTO u DEFAULT VALUES")
    both.run("UPDATE u SET id = 5")
    assert both.run("SELECT * FROM u WHERE g = 6") == [(5, 6, 10)]


# ---- constraints and indexes ----


def test_constraints_on_them(both: Beside) -> None:
    both.run("CREATE TABLE u(a, g AS (a + 1) NOT NULL, h AS (a % 10) STORED UNIQUE, CHECK (g < 100), CHECK (h <> 3))")
    both.run("INSERT INTO u VALUES (1)")
    for sql in (
        "INSERT INTO u VALUES (NULL)", "INSERT INTO u VALUES (11)", "INSERT INTO u VALUES (99)",
        "INSERT INTO u VALUES (13)", "UPDATE u SET a = NULL", "UPDATE u SET a = 103", "INSERT INTO u VALUES (2)",
        "UPDATE u SET a = 12 WHERE a = 1", "INSERT OR IGNORE INTO u VALUES (22)",
        "INSERT OR REPLACE INTO u VALUES (32)", "INSERT OR REPLACE INTO u VALUES (NULL)",
    ):  # fmt: skip
        both.run(sql)
    both.run("SELECT * FROM u ORDER BY rowid")


def test_a_foreign_key_from_one(both: Beside) -> None:
    both.theirs.execute("COMMIT; PRAGMA foreign_keys = ON; BEGIN")
    both.run("CREATE TABLE p(x PRIMARY KEY, y AS (x || '') UNIQUE)")
    both.run("CREATE TABLE c(a, g AS (a % 10) REFERENCES p(x) ON DELETE CASCADE, f REFERENCES p(y))")
    both.run("INSERT INTO p VALUES (1), (2)")
    both.run("INSERT INTO c VALUES (11, '2'), (22, NULL)")
    assert "FOREIGN KEY" in both.run("INSERT INTO c VALUES (3, NULL)")
    assert "FOREIGN KEY" in both.run("UPDATE c SET a = 13 WHERE a = 11")
    assert "FOREIGN KEY" in both.run("DELETE FROM p WHERE x = 2")
    assert "FOREIGN KEY" in both.run("UPDATE p SET x = 5 WHERE x = 2")
    run(both, "UPDATE c SET f = NULL", "DELETE FROM p WHERE x = 1")
    assert both.run("SELECT * FROM c") == [(22, 2, None)]


def test_an_action_that_would_write_to_one_is_refused(db: driver.Connection) -> None:
    db.execute("CREATE TABLE p(x PRIMARY KEY)")
    db.execute("CREATE TABLE c(a, g AS (a) REFERENCES p(x) ON DELETE SET NULL ON UPDATE CASCADE)")
    db.execute("INSERT INTO p VALUES (1)")
    db.execute("INSERT INTO c VALUES (1)")
    for sql in ("DELETE FROM p", "UPDATE p SET x = 2"):
        with pytest.raises(driver.OperationalError, match='cannot UPDATE generated column "g"'):
            db.execute(sql)
    assert db.execute("SELECT * FROM p, c").fetchall() == [(1, 1, 1)]


def test_an_action_on_a_base_column_computes_anew(both: Beside) -> None:
    both.theirs.execute("COMMIT; PRAGMA foreign_keys = ON; BEGIN")
    both.run("CREATE TABLE p(x INTEGER PRIMARY KEY)")
    both.run(
        "CREATE TABLE c(id INTEGER PRIMARY KEY, a REFERENCES p(x) ON DELETE SET NULL ON UPDATE CASCADE,"
        " g AS (coalesce(a, 'none') || id) UNIQUE, h AS (a * 2) STORED)"
    )
    both.run("CREATE INDEX ch ON c(h)")
    both.run("INSERT INTO p VALUES (1), (2)")
    both.run("INSERT INTO c(id, a) VALUES (1, 1), (2, 2)")
    run(both, "UPDATE p SET x = 9 WHERE x = 2", "DELETE FROM p WHERE x = 1")
    assert both.run("SELECT * FROM c WHERE g = '92'") == [(2, 9, "92", 18)]
    assert both.run("SELECT * FROM c WHERE g = 'none1' AND h IS NULL") == [(1, None, "none1", None)]


def test_an_index_over_a_virtual_column_is_used_and_answers_from_its_keys(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a TEXT, g TEXT AS (upper(a)), big)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(f"v{i}", "x" * 50) for i in range(200)])
    db.execute("CREATE INDEX tg ON t(g)")
    assert "USING INDEX tg (g=?)" in plan(db, "SELECT a FROM t WHERE g = 'V7'")
    assert db.execute("SELECT a FROM t WHERE g = 'V7'").fetchall() == [("v7",)]
    assert db.execute("SELECT g FROM t WHERE g BETWEEN 'V10' AND 'V102' ORDER BY g").fetchall() == [
        ("V10",), ("V100",), ("V101",), ("V102",),
    ]  # fmt: skip
    db.execute("UPDATE t SET a = 'zz' WHERE g = 'V7'")
    db.execute("DELETE FROM t WHERE a = 'v8'")
    assert db.execute("SELECT count(*), count(DISTINCT a) FROM t WHERE g IN ('V7', 'V8', 'ZZ')").fetchall() == [(1, 1)]


def test_only_what_is_asked_for_is_computed(db: driver.Connection) -> None:
    """A column whose expression fails for a row hinders nobody who does not ask for it."""
    db.execute("CREATE TABLE t(a)")
    db.execute("INSERT INTO t VALUES ('{')")
    db.execute("ALTER TABLE t ADD COLUMN g AS (json_extract(a, '$.x'))")
    assert db.execute("SELECT a FROM t").fetchall() == [("{",)]
    with pytest.raises(driver.OperationalError, match="malformed JSON"):
        db.execute("SELECT g FROM t").fetchall()
    with pytest.raises(driver.OperationalError, match="malformed JSON"):
        db.execute("CREATE INDEX tg ON t(g)")
    db.execute("UPDATE t SET a = '{\"x\": 1}'")
    assert db.execute("SELECT g FROM t").fetchall() == [(1,)]


def test_a_chain_of_columns_is_computed_once_each(db: driver.Connection) -> None:
    columns = ", ".join(f"c{i} AS (c{i - 1} + c{i - 1})" for i in range(1, 11))
    db.execute(f"CREATE TABLE t(c0, {columns})")
    db.execute("INSERT INTO t VALUES (1)")
    assert db.execute("SELECT c10 FROM t WHERE c9 > 5").fetchall() == [(1024,)]


# ---- time, transactions, connections ----


def test_the_past_is_computed_from_the_row_of_then(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, g AS (a * 10), h AS (a * 100) STORED)")
    db.execute("INSERT INTO t(id, a) VALUES (1, 1), (2, 2)")
    db.commit()
    before = moment(db)
    db.execute("UPDATE t SET a = 5")
    db.execute("CREATE INDEX tg ON t(g)")
    db.commit()
    assert rows(db, "SELECT * FROM t ORDER BY g DESC", as_of=before) == [(2, 2, 20, 200), (1, 1, 10, 100)]
    assert rows(db, "SELECT id FROM t WHERE g = 20", as_of=before) == [(2,)]
    assert rows(db, "SELECT id FROM t WHERE g = 50", as_of=before) == []
    assert db.execute("SELECT g, h FROM t WHERE g = 50").fetchall() == [(50, 500), (50, 500)]


def test_a_column_added_later_is_computed_for_rows_written_before(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.execute("INSERT INTO t VALUES (1, 1), (2, 2)")
    db.commit()
    before = moment(db)
    db.execute("ALTER TABLE t ADD COLUMN b DEFAULT 4")
    db.execute("ALTER TABLE t ADD COLUMN g AS (a * 10 + coalesce(b, -1)) NOT NULL")
    db.execute("UPDATE t SET a = 3 WHERE id = 2")
    db.commit()
    assert db.execute("SELECT * FROM t").fetchall() == [(1, 1, 4, 14), (2, 3, 4, 34)]
    assert rows(db, "SELECT * FROM t", as_of=before) == [(1, 1, None, 9), (2, 2, None, 19)]


def test_rollback_takes_rows_and_entries_back(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a, g AS (a * 10) UNIQUE, h AS (a) STORED)")
    db.execute("INSERT INTO t VALUES (1)")
    db.commit()
    db.execute("UPDATE t SET a = 2")
    db.execute("SAVEPOINT s")
    db.execute("INSERT INTO t VALUES (1)")
    db.execute("ROLLBACK TO s")
    assert db.execute("SELECT * FROM t WHERE g = 20").fetchall() == [(2, 20, 2)]
    db.rollback()
    assert db.execute("SELECT * FROM t WHERE g = 10").fetchall() == [(1, 10, 1)]
    db.execute("CREATE TABLE u(a, g AS (a))")
    db.execute("INSERT INTO u VALUES (1)")
    db.rollback()
    assert "u" not in db.catalog()


def test_one_value_from_two_connections_is_there_once(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(a TEXT, g AS (lower(a)) UNIQUE)")
    one.commit()
    two.execute("SELECT * FROM t").fetchall()
    one.execute("INSERT INTO t VALUES ('X')")
    two.execute("INSERT INTO t VALUES ('x')")
    one.commit()
    with pytest.raises((driver.IntegrityError, driver.SerializationFailure)):
        two.commit()
    two.rollback()
    assert two.execute("SELECT * FROM t").fetchall() == [("X", "x")]


def test_a_statement_waits_for_the_schema_of_another_connection(connect: Connect) -> None:
    """INSERT without columns and the refusal to write depend on columns that this connection has not heard of yet."""
    one, two = connect(isolation_level=None), connect(isolation_level=None)
    one.execute("CREATE TABLE t(a, b)")
    two.execute("INSERT INTO t VALUES (1, 2)")
    one.execute("ALTER TABLE t DROP COLUMN b")
    one.execute("ALTER TABLE t ADD COLUMN b AS (a + 1)")
    with pytest.raises(driver.OperationalError, match="cannot UPDATE generated"):
        two.execute("UPDATE t SET b = 5")
    one.execute("ALTER TABLE t ADD COLUMN c AS (a + 2)")
    two.execute("INSERT INTO t VALUES (5)")
    one.execute("ALTER TABLE t DROP COLUMN b")
    one.execute("ALTER TABLE t ADD COLUMN b")
    two.execute("INSERT INTO t VALUES (6, 7) RETURNING a").fetchall()
    assert two.execute("SELECT a, b, c FROM t ORDER BY a").fetchall() == [(1, None, 3), (5, None, 7), (6, 7, 8)]


def test_a_long_computation_can_be_interrupted(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a, g AS (length(replace(hex(zeroblob(a)), '0', 'abcdefgh'))))")
    db.execute("INSERT INTO t VALUES (10)")
    assert db.execute("SELECT g FROM t").fetchall() == [(160,)]


# ---- ALTER TABLE ----


def test_alter_table_as_sqlite_does_it(both: Beside) -> None:
    both.tables = []
    both.run("CREATE TABLE u(a, b)")
    both.run("INSERT INTO u VALUES (1, 2)")
    for sql in (
        "ALTER TABLE u ADD COLUMN s AS (a) STORED",
        "ALTER TABLE u ADD COLUMN g AS (a + b)",
        "ALTER TABLE u ADD COLUMN h AS (g * 2)",
        "ALTER TABLE u ADD COLUMN i AS (g) UNIQUE",
        "ALTER TABLE u DROP COLUMN a",
        "ALTER TABLE u DROP COLUMN g",
        "ALTER TABLE u RENAME COLUMN a TO \"the a\"",
        "ALTER TABLE u RENAME TO w",
        "ALTER TABLE w RENAME COLUMN g TO gg",
        "ALTER TABLE w DROP COLUMN h",
        "ALTER TABLE w DROP COLUMN gg",
    ):  # fmt: skip
        both.run(sql)
        for table in ("u", "w"):
            both.run(f"SELECT * FROM {table}")
    both.run("SELECT sql FROM sqlite_master WHERE name = 'w'")
    both.run("INSERT INTO w VALUES (5, 6)")


def test_a_column_added_may_not_mean_itself(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a, g AS (a))")
    with pytest.raises(driver.OperationalError, match='generated column loop on "h"'):
        db.execute("ALTER TABLE t ADD COLUMN h AS (g + h)")


def test_a_check_of_existing_rows_when_one_is_added(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a)")
    db.execute("INSERT INTO t VALUES (NULL)")
    with pytest.raises(driver.IntegrityError, match="NOT NULL"):
        db.execute("ALTER TABLE t ADD COLUMN g AS (a + 1) NOT NULL")
    with pytest.raises(driver.IntegrityError, match="CHECK"):
        db.execute("ALTER TABLE t ADD COLUMN g AS (coalesce(a, 0)) CHECK (g > 0)")
    assert [c.name for c in db.catalog()["t"].columns] == ["a"]


def test_a_type_of_another_affinity_makes_columns_and_indexes_anew(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, g AS (a = '05'), h INT AS (a) STORED)")
    db.execute("CREATE INDEX tg ON t(g)")
    db.execute("CREATE INDEX th ON t(h)")
    db.execute("INSERT INTO t(a) VALUES ('5'), ('05'), ('x')")
    assert db.execute("SELECT a, g, h FROM t ORDER BY id").fetchall() == [("5", 0, 5), ("05", 1, 5), ("x", 0, "x")]
    db.commit()
    db.execute("ALTER TABLE t ALTER COLUMN a TYPE INTEGER")
    assert db.execute("SELECT a, g, h FROM t ORDER BY id").fetchall() == [(5, 1, 5), (5, 1, 5), ("x", 0, "x")]
    assert db.execute("SELECT id FROM t WHERE g = 1 ORDER BY id").fetchall() == [(1,), (2,)]
    db.execute("ALTER TABLE t ALTER COLUMN h TYPE TEXT")
    assert db.execute("SELECT id, h FROM t WHERE h = '5' ORDER BY id").fetchall() == [(1, "5"), (2, "5")]
    db.execute("ALTER TABLE t ALTER COLUMN g TYPE TEXT")
    assert db.execute("SELECT id, g FROM t WHERE g = '1' ORDER BY id").fetchall() == [(1, "1"), (2, "1")]
    db.execute("DELETE FROM t WHERE id = 1")
    db.commit()


# ---- asking for the schema ----


def test_pragmas_and_sqlite_master(both: Beside) -> None:
    both.run("CREATE INDEX tg ON t(g, a)")
    for sql in (
        "PRAGMA table_info(t)", "PRAGMA table_xinfo(t)", "PRAGMA index_xinfo(tg)", "PRAGMA index_info(tg)",
        "SELECT * FROM pragma_table_xinfo('t')", "SELECT sql FROM sqlite_master ORDER BY name",
        "SELECT ncol FROM pragma_table_list('t')",
    ):  # fmt: skip
        both.run(sql)


def test_a_dump_can_be_read_again(db: driver.Connection) -> None:
    db.execute(SCHEMA[0])
    db.execute("CREATE INDEX tg ON t(g)")
    db.execute("INSERT INTO t VALUES (1, 2), ('3', NULL)")
    script = "\n".join(db.iterdump())
    plain = apsw.Connection(":memory:")
    plain.execute(script)
    wanted = kinds(db.execute("SELECT * FROM t").fetchall())
    assert len(wanted) == 2
    assert kinds(plain.execute("SELECT * FROM t").fetchall()) == wanted
    again = driver.connect(":memory:")
    db.backup(again)
    assert kinds(again.execute("SELECT * FROM t WHERE g > 0").fetchall()) == wanted
    again.close()


# ---- random tables ----

_ATOMS = ("a", "b", "c", "1", "'x'", "NULL", "2.5", "''", "x'41'", "'12'")
_FORMS = (
    "{} + {}", "{} || {}", "coalesce({}, {})", "{} > {}", "lower({}) || upper({})", "length({}) - length({})",
    "CASE WHEN {} THEN {} END", "{} IS {}", "typeof({}) || {}", "CAST({} AS INTEGER) % 7 + CAST({} AS REAL)",
    "{} COLLATE NOCASE = {}", "substr({}, 2) || hex({})", "nullif({}, {})", "{} IN ({}, 5)", "abs({}) * {}",
    "printf('%s-%s', {}, {})", "quote({}) || instr({}, 'x')", "-{} | {}",
)  # fmt: skip
_TYPES = ("", "INT", "TEXT", "REAL", "NUMERIC", "BLOB", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM")
_VALUES: tuple[Any, ...] = (None, 0, 1, -3, 2.5, 12.0, "x", "X ", "12", " 7", "", b"A", b"", 1 << 60, "é", "1e2")


def _expression(rng: random.Random, atoms: tuple[str, ...]) -> str:
    return rng.choice(_FORMS).format(rng.choice(atoms), rng.choice(atoms))


def _table(rng: random.Random) -> tuple[list[str], list[str]]:
    """Statements, and the names of all columns."""
    columns = ["id INTEGER PRIMARY KEY", *(f"{n} {rng.choice(_TYPES)}" for n in "abc")]
    names = list("abc")
    for i in range(rng.randrange(1, 6)):
        name = f"g{i}"
        text = f"{name} {rng.choice(_TYPES)} AS ({_expression(rng, (*_ATOMS, 'id', *names[3:]))})"
        text += rng.choice((" STORED", " VIRTUAL", ""))
        text += rng.choice(("", "", "", " UNIQUE", " NOT NULL"))
        columns.append(text)
        names.append(name)
    extra = rng.choice(("", "", f", CHECK ({rng.choice(names)} IS NOT 12)"))
    made = [f"CREATE TABLE t({', '.join(columns)}{extra})"]
    for i in range(rng.randrange(3)):
        parts = ", ".join(f"{n} {rng.choice(('', 'DESC'))}" for n in rng.sample(names, rng.randrange(1, 3)))
        made.append(f"CREATE {rng.choice(('', '', 'UNIQUE'))} INDEX i{i} ON t({parts})")
    return made, names


def _step(rng: random.Random, names: list[str]) -> tuple[str, list[Any]]:
    some = [rng.choice(_VALUES) for _ in range(3)]
    id_ = rng.randrange(40)
    name, other = rng.choice(names), rng.choice(names)
    conflict = rng.choice(("", "", "OR IGNORE", "OR REPLACE"))
    return rng.choice((
        (f"INSERT {conflict} INTO t VALUES (?, ?, ?, ?)", [id_, *some]),
        (f"INSERT {conflict} INTO t(b, id, a) VALUES (?, ?, ?) RETURNING *", [some[0], id_, some[1]]),
        (f"INSERT {conflict} INTO t SELECT id + 40, b, a, ? FROM t WHERE {name} > ? AND id < 40", some[:2]),
        ("INSERT INTO t VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET a = excluded.b, b = t.a", [id_, *some]),
        (f"UPDATE {conflict} t SET a = ? WHERE {name} = ? AND id = ?", [*some[:2], id_]),
        (f"UPDATE {conflict} t SET id = id + 1, b = {name} WHERE id = ? RETURNING *", [id_]),
        (f"UPDATE {conflict} t SET a = c, c = ? WHERE {name} IS ? AND id < ?", [*some[:2], id_]),
        (f"DELETE FROM t WHERE {name} < ? AND id % 3 = 0", some[:1]),
        (f"SELECT * FROM t WHERE {name} >= ? ORDER BY id", some[:1]),
        # Not the value itself: of equal ones (1 and 1.0, 'a' and 'A' without case) a group shows any.
        (f"SELECT count(*), count({name}) FROM t GROUP BY {name} ORDER BY 1, 2", []),
        (f"SELECT id FROM t WHERE {name} IN (?, ?, ?) ORDER BY id", some),
        (f"SELECT x.id, y.id FROM t AS x JOIN t AS y ON x.{name} = y.{other} ORDER BY 1, 2", []),
    ))  # fmt: skip


@pytest.mark.parametrize("number", range(12))
def test_random_tables_are_as_in_sqlite(connect: Connect, rng: random.Random, number: int) -> None:
    db = connect()
    made, names = _table(rng)
    try:
        apsw.Connection(":memory:").execute(";".join(made))
    except apsw.Error:
        made = made[:1]
    both = Beside(db, *made)
    for _ in range(40):
        both.run(*_step(rng, names))
        if rng.random() < 0.1:
            db.commit()


def test_a_partial_index_looks_at_virtual_columns(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, g AS (a % 3), h TEXT AS ('h' || a))")
    db.executemany("INSERT INTO t(a) VALUES (?)", [(i,) for i in range(30)])
    db.commit()
    before = moment(db)
    db.execute("CREATE UNIQUE INDEX th ON t(h) WHERE g = 1")
    assert "USING INDEX th" in plan(db, "SELECT id FROM t WHERE h = 'h4' AND g = 1")
    assert db.execute("SELECT a FROM t WHERE h = 'h4' AND g = 1").fetchall() == [(4,)]
    with pytest.raises(driver.IntegrityError):
        db.execute("UPDATE t SET a = 4 WHERE a = 6")
    db.execute("UPDATE t SET a = 31 WHERE a = 6")
    db.execute("UPDATE t SET a = 5 WHERE a = 7")
    assert db.execute("SELECT count(*), sum(a) FROM t WHERE h > '' AND g = 1").fetchall() == [(10, 169)]
    db.commit()
    assert rows(db, "SELECT a FROM t WHERE h = 'h7' AND g = 1", as_of=before) == [(7,)]
