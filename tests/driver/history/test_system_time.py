"""FOR SYSTEM_TIME and t(moment) in SQL: what they read, wherever a table can stand, and what is refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver
from entitydb_dialect._moments import from_ns


class Moments:
    """t held (1, 'one') at `first`, (1, 'two'), (2, 'new') at `second`, and holds (2, 'last') now."""

    def __init__(self, db: driver.Connection) -> None:
        self.db = db
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
        db.execute("CREATE TABLE u (id INTEGER PRIMARY KEY, b TEXT)")
        db.execute("INSERT INTO t VALUES (1, 'one')")
        db.execute("INSERT INTO u VALUES (1, 'u one'), (3, 'u three')")
        db.execute("SELECT entitydb_label('release 1')")
        self.first = self.commit()
        db.execute("UPDATE t SET a = 'two'")
        db.execute("INSERT INTO t VALUES (2, 'new')")
        db.execute("UPDATE u SET b = 'u two' WHERE id = 1")
        self.second = self.commit()
        db.execute("DELETE FROM t WHERE id = 1")
        db.execute("UPDATE t SET a = 'last'")
        self.last = self.commit()

    def commit(self) -> int:
        self.db.commit()
        return self.db.last_commit[1]

    def ask(self, sql: str, *parameters: Any) -> list[Any]:
        named = len(parameters) == 1 and isinstance(parameters[0], dict)
        return self.db.execute(sql, parameters[0] if named else parameters).fetchall()


@pytest.fixture
def at(db: driver.Connection) -> Moments:
    return Moments(db)


# ---- the clause ----


def test_as_of(at: Moments) -> None:
    assert at.ask("SELECT * FROM t FOR SYSTEM_TIME AS OF ?", at.first) == [(1, "one")]
    assert at.ask("SELECT * FROM t FOR SYSTEM_TIME AS OF ?", at.second) == [(1, "two"), (2, "new")]
    assert at.ask("SELECT * FROM t FOR SYSTEM_TIME AS OF ?", at.second - 1) == [(1, "one")]
    assert at.ask("SELECT * FROM t FOR SYSTEM_TIME AS OF ?", None) == []


def test_intervals_as_the_standard_has_them(at: Moments) -> None:
    sql = "SELECT a FROM t FOR SYSTEM_TIME {} ORDER BY valid_from, id"
    assert at.ask(sql.format("FROM ? TO ?"), at.first, at.second) == [("one",)]
    assert at.ask(sql.format("FROM ? TO ?"), at.second, at.last) == [("two",), ("new",)]
    assert at.ask(sql.format("BETWEEN ? AND ?"), at.first, at.second) == [("one",), ("two",), ("new",)]
    assert at.ask(sql.format("CONTAINED IN (?, ?)"), at.first, at.last) == [("one",), ("two",), ("new",)]
    assert at.ask(sql.format("CONTAINED IN (?, ?)"), at.second, at.last) == [("two",), ("new",)]
    assert at.ask(sql.format("ALL")) == [("one",), ("two",), ("new",), ("last",)]


def test_a_day_in_an_interval_begins_and_ends_it(at: Moments) -> None:
    today = dt.datetime.fromtimestamp(at.first / 1e9, dt.timezone.utc).date().isoformat()
    sql = "SELECT count(*) FROM t FOR SYSTEM_TIME BETWEEN ? AND ?"
    assert at.ask(sql, today, today) == [(4,)]
    assert at.ask("SELECT count(*) FROM t FOR SYSTEM_TIME FROM ? TO ?", today, today) == [(0,)]


def test_versions_can_be_named_and_do_not_stand_in_the_star(at: Moments) -> None:
    assert at.ask("SELECT * FROM t FOR SYSTEM_TIME ALL WHERE operation = 'insert'") == [(1, "one"), (2, "new")]
    found = at.ask("SELECT valid_from, valid_to, operation, transaction_id FROM t FOR SYSTEM_TIME ALL WHERE id = 1")
    assert found == [(at.first, at.second, "insert", 1), (at.second, at.last, "update", 2)]
    assert at.ask("SELECT t.valid_to FROM t FOR SYSTEM_TIME AS OF ? WHERE t.as_of > 0", at.first) == [(at.second,)]


@pytest.mark.parametrize(
    "source",
    [
        "t FOR SYSTEM_TIME AS OF {} x", "t AS x FOR SYSTEM_TIME AS OF {}", "t x for system_time as of {}",
        "main.t FOR SYSTEM_TIME AS OF {} AS x", 'main."t" x FOR SYSTEM_TIME AS OF {}',
        "[t] FOR SYSTEM_TIME AS OF ({}) x", "`T` FOR SYSTEM_TIME AS OF {} 'x'", "t({}) x", "main.t({}) AS x",
        "t /* why */ FOR SYSTEM_TIME -- so\n AS OF {} x",
    ],
)  # fmt: skip
def test_spellings(at: Moments, source: str) -> None:
    for mark in (str(at.first), "?", "?1", ":m", "@m", "$m", f"{at.first - 7} + 7", "'label:release 1'"):
        given: Any = {"m": at.first} if mark[0] in ":@$" else [at.first] if mark[0] == "?" else ()
        sql = f"SELECT x.id, x.a FROM {source.format(mark)} WHERE x.id < 5"
        for _ in range(3):
            assert at.db.execute(sql, given).fetchall() == [(1, "one")], sql


def test_parameters_keep_their_order(at: Moments) -> None:
    sql = "SELECT ?, x.a, y.a, ? FROM t x FOR SYSTEM_TIME AS OF ? JOIN t FOR SYSTEM_TIME AS OF ? y USING (id)"
    sql += " WHERE x.a = ?"
    assert at.ask(sql, "p", "q", at.first, at.second, "one") == [("p", "one", "two", "q")]
    named = {"m": at.first, "n": at.second}
    assert at.ask("SELECT x.a, y.a FROM t(:m) x JOIN t(:n) y USING (id) WHERE :m < :n", named) == [("one", "two")]


# ---- where a table can stand ----


def test_joins_of_every_kind(at: Moments) -> None:
    t, u = f"t FOR SYSTEM_TIME AS OF {at.second}", f"u FOR SYSTEM_TIME AS OF {at.first}"
    assert at.ask(f"SELECT a, b FROM {t} JOIN {u} USING (id)") == [("two", "u one")]
    assert at.ask(f"SELECT a, b FROM {t}, {u} WHERE t.id = u.id") == [("two", "u one")]
    assert at.ask(f"SELECT a, b FROM {t} LEFT JOIN {u} ON t.id = u.id") == [("two", "u one"), ("new", None)]
    assert at.ask(f"SELECT a, b FROM {t} RIGHT JOIN {u} ON t.id = u.id") == [("two", "u one"), (None, "u three")]
    full = at.ask(f"SELECT a, b FROM {t} FULL JOIN {u} ON t.id = u.id")
    assert sorted(full, key=str) == sorted([("two", "u one"), ("new", None), (None, "u three")], key=str)
    assert at.ask(f"SELECT * FROM {t} NATURAL JOIN {u}") == [(1, "two", "u one")]
    assert at.ask(f"SELECT * FROM {t} CROSS JOIN {u} LIMIT 1") == [(1, "two", 1, "u one")]
    nested = f"SELECT now.id, t.a, u.b FROM t AS now LEFT JOIN ({t} LEFT JOIN {u} ON u.id = 1) ON t.id = now.id"
    assert at.ask(nested) == [(2, "new", "u one")]


def test_in_subqueries_ctes_and_set_operations(at: Moments) -> None:
    t = f"t FOR SYSTEM_TIME AS OF {at.first}"
    assert at.ask(f"SELECT a FROM t WHERE NOT EXISTS (SELECT 1 FROM {t} o WHERE o.id = t.id)") == [("last",)]
    assert at.ask(f"SELECT (SELECT a FROM {t})") == [("one",)]
    assert at.ask(f"SELECT 1 WHERE 'one' IN (SELECT a FROM {t})") == [(1,)]
    assert at.ask(f"SELECT * FROM (SELECT a FROM {t}) x") == [("one",)]
    assert at.ask(f"WITH c AS (SELECT a FROM {t}) SELECT * FROM c UNION ALL SELECT a FROM t") == [("one",), ("last",)]
    assert at.ask(f"SELECT id FROM {t} EXCEPT SELECT id FROM t") == [(1,)]
    assert at.ask(f"SELECT count(*), max(a) FROM {t} GROUP BY id HAVING count(*) > 0") == [(1, "one")]
    assert at.ask(f"SELECT row_number() OVER (ORDER BY id) FROM {t}") == [(1,)]
    recursive = f"WITH RECURSIVE r(n) AS (SELECT id FROM {t} UNION SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r"
    assert at.ask(recursive) == [(1,), (2,), (3,)]
    at.db.execute("CREATE TABLE one (id)")
    at.db.execute("INSERT INTO one VALUES (7)")
    then = at.commit()
    at.db.execute("DELETE FROM one")
    assert at.ask("SELECT 7 IN one FOR SYSTEM_TIME AS OF ?, 7 IN one", then) == [(1, 0)]


def test_a_moment_of_each_row(at: Moments) -> None:
    at.db.execute("CREATE TABLE m (n INTEGER)")
    at.db.executemany("INSERT INTO m VALUES (?)", [(at.first,), (at.second,), (at.last,)])
    wanted = [(at.first, 1), (at.second, 2), (at.last, 1)]
    assert at.ask("SELECT n, (SELECT count(*) FROM t FOR SYSTEM_TIME AS OF m.n) FROM m") == wanted
    assert at.ask("SELECT n, count(*) FROM m JOIN t FOR SYSTEM_TIME AS OF m.n GROUP BY n") == wanted
    assert at.ask("SELECT n, count(*) FROM t(m.n), m GROUP BY n") == wanted
    with pytest.raises(driver.Error, match="needs a moment"):
        at.ask("SELECT count(*) FROM t(m.n) CROSS JOIN m")


def test_writes_read_the_past(at: Moments) -> None:
    at.ask("INSERT INTO t SELECT * FROM t FOR SYSTEM_TIME AS OF ? WHERE id = 1 RETURNING a", at.first)
    assert at.ask("SELECT * FROM t") == [(1, "one"), (2, "last")]
    at.ask("UPDATE t SET a = o.a FROM t AS o FOR SYSTEM_TIME AS OF ? WHERE o.id = t.id", at.second)
    assert at.ask("SELECT * FROM t") == [(1, "two"), (2, "new")]
    at.ask("UPDATE t SET a = (SELECT a FROM t o FOR SYSTEM_TIME AS OF ? WHERE o.id = t.id) WHERE id = 1", at.first)
    assert at.ask("SELECT * FROM t") == [(1, "one"), (2, "new")]
    at.ask("DELETE FROM t WHERE id IN (SELECT id FROM t FOR SYSTEM_TIME AS OF ?)", at.first)
    assert at.ask("SELECT * FROM t") == [(2, "new")]
    conflict = "ON CONFLICT (id) DO UPDATE SET a = excluded.a || '!'"
    at.ask(f"INSERT INTO t SELECT * FROM t(?) WHERE true {conflict}", at.second)
    assert at.ask("SELECT * FROM t") == [(1, "two"), (2, "new!")]


@pytest.mark.parametrize("create", ["CREATE TABLE c", "CREATE TEMP TABLE c", "CREATE OR REPLACE TABLE u(id, a)"])
def test_tables_made_of_the_past(at: Moments, create: str) -> None:
    name = "u" if "REPLACE" in create else "c"
    at.ask(f"{create} AS SELECT * FROM t FOR SYSTEM_TIME AS OF ? WHERE id = ?", at.second, 1)
    assert at.ask(f"SELECT * FROM {name}") == [(1, "two")]


def test_a_table_replaced_by_its_past(at: Moments) -> None:
    columns = "id INTEGER PRIMARY KEY, a TEXT"
    at.ask(f"CREATE OR REPLACE TABLE t({columns}) AS SELECT * FROM t FOR SYSTEM_TIME AS OF ?", at.second)
    assert at.ask("SELECT * FROM t ORDER BY id") == [(1, "two"), (2, "new")]


def test_attached_databases(at: Moments, other: Path) -> None:
    at.db.execute("ATTACH ? AS x", (str(other),))
    at.db.execute("CREATE TABLE x.t (id INTEGER PRIMARY KEY, z TEXT)")
    at.db.execute("INSERT INTO x.t VALUES (1, 'x one')")
    then = at.commit()
    at.db.execute("UPDATE x.t SET z = 'x two'")
    at.commit()
    assert at.ask("SELECT x.t.z FROM x.t FOR SYSTEM_TIME AS OF ?", then) == [("x one",)]
    joined = "SELECT a, z FROM main.t FOR SYSTEM_TIME AS OF ? JOIN x.t(?) y USING (id)"
    assert at.ask(joined, at.first, then) == [("one", "x one")]
    at.db.execute("CREATE VIEW x.v AS SELECT z FROM t")
    assert at.ask("SELECT * FROM x.v FOR SYSTEM_TIME AS OF ?", then) == [("x one",)]


def test_in_transactions_with_own_writes(at: Moments) -> None:
    at.db.execute("INSERT INTO t VALUES (9, 'mine')")
    at.db.execute("SAVEPOINT s")
    assert at.ask("SELECT * FROM t FOR SYSTEM_TIME AS OF ?", at.first) == [(1, "one")]
    assert at.ask("SELECT a FROM t FOR SYSTEM_TIME ALL WHERE id = 9") == []
    at.db.execute("ROLLBACK TO s")
    assert at.ask("SELECT * FROM t FOR SYSTEM_TIME AS OF ?", at.first) == [(1, "one")]


# ---- views ----


def test_views_take_the_moment_to_all_they_read(at: Moments) -> None:
    db = at.db
    db.execute("CREATE VIEW v AS SELECT id, a || '!' AS said FROM t WHERE id IN (SELECT id FROM t)")
    query = "SELECT v.said, count(*) FROM v, t2 GROUP BY 1 LIMIT 5"
    db.execute(f"CREATE VIEW w(x, y) AS WITH t2 AS (SELECT * FROM t) {query}")
    db.execute("CREATE VIEW j AS SELECT * FROM t LEFT JOIN u USING (id)")
    assert at.ask("SELECT * FROM v FOR SYSTEM_TIME AS OF ?", at.first) == [(1, "one!")]
    assert at.ask("SELECT z.x, z.y FROM w z FOR SYSTEM_TIME AS OF ?", at.second) == [("new!", 2), ("two!", 2)]
    assert at.ask("SELECT * FROM j(?) WHERE id = ?", at.first, 1) == [(1, "one", "u one")]
    then_and_now = "SELECT x.said, y.said FROM v(?) x FULL JOIN v(?) y USING (id) WHERE ? = 'p'"
    assert at.ask(then_and_now, at.second, at.last, "p") == [("two!", None), ("new!", "last!")]
    assert at.ask("SELECT 1 IN (SELECT id FROM v FOR SYSTEM_TIME AS OF ?)", at.first) == [(1,)]
    assert at.ask("SELECT v.said FROM main.v FOR SYSTEM_TIME AS OF ?", at.first) == [("one!",)]


def test_a_view_of_one_row_for_each_moment(at: Moments) -> None:
    at.db.execute("CREATE VIEW n AS SELECT count(*) AS c FROM t")
    sql = "SELECT (SELECT c FROM n FOR SYSTEM_TIME AS OF m.ns) FROM (SELECT ? AS ns UNION ALL SELECT ?) m"
    assert at.ask(sql, at.first, at.second) == [(1,), (2,)]


@pytest.mark.parametrize(
    ("clause", "shown"),
    [
        ("ALL", "ALL"),
        ("FROM 5 TO :m", "FROM a TO b"),
        ("BETWEEN 5 AND 6", "BETWEEN a AND b"),
        ("CONTAINED IN (5, 6)", r"CONTAINED IN \(a, b\)"),
    ],
)
def test_a_view_over_an_interval_says_which_tables_to_read(
    at: Moments, tmp_path: Path, clause: str, shown: str
) -> None:
    db = at.db
    db.execute("CREATE VIEW v AS SELECT t.a, u.b FROM t JOIN u USING (id) WHERE t.id IN (SELECT id FROM t)")
    db.execute("CREATE TABLE c (hidden INTEGER PRIMARY KEY)")
    db.execute("CREATE VIEW w AS WITH c AS (SELECT * FROM v) SELECT * FROM c, entitydb_tags, json_each('[]')")
    db.execute("CREATE VIEW no AS SELECT 1")
    db.execute("CREATE VIEW ring AS SELECT a FROM t")
    db.execute("CREATE VIEW back AS SELECT * FROM ring UNION SELECT * FROM ring")
    db.execute("DROP VIEW ring")
    db.execute("CREATE VIEW ring AS SELECT * FROM back UNION SELECT * FROM back UNION SELECT a FROM t")
    db.commit()
    db.execute(f"ATTACH '{tmp_path}/other.edb' AS other")
    db.execute("CREATE TABLE other.t (id INTEGER PRIMARY KEY)")
    db.execute('CREATE VIEW other.x AS SELECT "id" FROM t')
    db.commit()
    tables = {
        "v": ["t", "u"],
        "main.v AS z": ["t", "u"],
        "w": ["entitydb_tags", "t", "u"],
        "ring": ["t"],
        "other.x": ['"other".t'],
    }
    for view, read in tables.items():
        instead = ", ".join(f"{one} FOR SYSTEM_TIME {shown}" for one in read)
        name = view.removeprefix("main.").removeprefix("other.").removesuffix(" AS z")
        said = (
            f"^{name} FOR SYSTEM_TIME {shown}: .*{name} FOR SYSTEM_TIME AS OF each moment.* what it reads: {instead}$"
        )
        with pytest.raises(driver.NotSupportedError, match=said):
            db.execute(f"SELECT * FROM {view} FOR SYSTEM_TIME {clause}", {"m": 6} if ":m" in clause else ())
    with pytest.raises(driver.NotSupportedError, match=r"AS OF each moment$"):
        db.execute(f"SELECT * FROM no FOR SYSTEM_TIME {clause}", {"m": 6} if ":m" in clause else ())
    every = "SELECT valid_from FROM t FOR SYSTEM_TIME ALL"
    moments = [row[0] for row in db.execute(f"SELECT DISTINCT valid_from FROM ({every}) ORDER BY 1")]
    found = [at.ask("SELECT a, b FROM v FOR SYSTEM_TIME AS OF ? ORDER BY a", moment) for moment in moments]
    assert found[0] == [("one", "u one")], "what the message says works"


# ---- leaks that were found when the mechanisms were tried ----


def test_a_left_join_is_not_turned_into_an_inner_one(at: Moments) -> None:
    assert at.ask("SELECT u.id, t.a FROM u LEFT JOIN t(?) ON t.id = u.id", at.first) == [(1, "one"), (3, None)]


def test_the_condition_of_a_right_join_filters(at: Moments) -> None:
    found = at.ask("SELECT t.a, u.b FROM t(?) RIGHT JOIN u ON t.id = u.id AND t.a = 'no'", at.first)
    assert found == [(None, "u two"), (None, "u three")]


def test_a_moment_that_is_null_is_never_now(at: Moments) -> None:
    assert at.ask("SELECT * FROM t FOR SYSTEM_TIME AS OF NULL") == []
    assert at.ask("SELECT * FROM t FOR SYSTEM_TIME FROM NULL TO ?", at.last) == []
    assert at.ask("SELECT * FROM t(NULL)") == []


def test_an_or_over_all_versions_keeps_each(at: Moments) -> None:
    at.db.execute("CREATE INDEX i ON t (a)")
    assert len(at.ask("SELECT a FROM t FOR SYSTEM_TIME ALL WHERE id = 1 OR a = 'last' OR a = 'one'")) == 3


def test_a_join_over_all_versions_finds_each(at: Moments) -> None:
    found = at.ask("SELECT u.id, v.a FROM u LEFT JOIN t AS v FOR SYSTEM_TIME ALL ON v.id = u.id")
    assert found == [(1, "one"), (1, "two"), (3, None)]


def test_versions_are_named_from_outside_of_a_join_in_parentheses(at: Moments) -> None:
    joined = "(t v FOR SYSTEM_TIME ALL JOIN t n ON n.id = 2)"
    sql = f"SELECT u.id, v.a, v.valid_from FROM u LEFT JOIN {joined} ON v.id = u.id"
    assert at.ask(sql) == [(1, "one", at.first), (1, "two", at.second), (3, None, None)]


def test_a_column_of_another_table_may_have_a_versions_name(at: Moments) -> None:
    at.db.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, note TEXT)")
    at.db.execute("INSERT INTO log VALUES (1, 'n')")
    assert at.ask("SELECT * FROM t(?) NATURAL JOIN log", at.first) == [(1, "one", "n")]
    at.db.execute("CREATE TABLE own (id INTEGER PRIMARY KEY, operation TEXT, valid_from TEXT)")
    at.db.execute("INSERT INTO own VALUES (1, 'mine', 'x')")
    then = at.commit()
    assert at.ask("SELECT operation, entitydb_operation FROM own FOR SYSTEM_TIME AS OF ?", then) == [("mine", "insert")]


def test_a_delete_with_a_moment_does_not_reach_the_rows_of_now(at: Moments) -> None:
    for sql in ("DELETE FROM t FOR SYSTEM_TIME AS OF 5", "DELETE FROM t AS x FOR SYSTEM_TIME AS OF 5 WHERE id = 2"):
        with pytest.raises(driver.PastWriteError, match="the past does not change"):
            at.db.execute(sql)
    with pytest.raises(driver.OperationalError, match="no such column"):
        at.db.execute("DELETE FROM t WHERE as_of = 5")
    assert at.ask("SELECT id FROM t") == [(2,)]


# ---- what is refused ----


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "kind", "said"),
    [
        ("UPDATE t FOR SYSTEM_TIME AS OF 5 SET a = 1", driver.PastWriteError, "the past does not change"),
        ("UPDATE OR IGNORE t AS x FOR SYSTEM_TIME ALL SET a = 1", driver.PastWriteError, "the past does not change"),
        ("INSERT INTO t FOR SYSTEM_TIME AS OF 5 VALUES (5, 5)", driver.PastWriteError, "the past does not change"),
        ("REPLACE INTO main.t FOR SYSTEM_TIME ALL VALUES (5, 5)", driver.PastWriteError, "the past does not change"),
        ("WITH t AS (SELECT 1) SELECT * FROM t FOR SYSTEM_TIME AS OF 5", driver.NotSupportedError, "common table expr"),
        ("WITH t AS (SELECT 1) SELECT * FROM t(5)", driver.NotSupportedError, "main.t"),
        ("SELECT * FROM (SELECT * FROM t) FOR SYSTEM_TIME AS OF 5", driver.NotSupportedError, "tables in it"),
        ("SELECT * FROM (t JOIN u) x FOR SYSTEM_TIME AS OF 5", driver.NotSupportedError, "tables in it"),
        ("SELECT * FROM json_each('[]') FOR SYSTEM_TIME AS OF 5", driver.NotSupportedError, "function has no history"),
        ("SELECT * FROM t(5) FOR SYSTEM_TIME AS OF 5", driver.NotSupportedError, "function has no history"),
        ("SELECT * FROM temporary FOR SYSTEM_TIME AS OF 5", driver.NotSupportedError, "none of EntityDB"),
        ("SELECT * FROM sqlite_master FOR SYSTEM_TIME AS OF 5", driver.NotSupportedError, "none of EntityDB"),
        ("SELECT * FROM entitydb_labels FOR SYSTEM_TIME AS OF 5", driver.NotSupportedError, "none of EntityDB"),
        ("SELECT * FROM view FOR SYSTEM_TIME ALL", driver.NotSupportedError, "no versions of their own"),
        ("SELECT * FROM asks FOR SYSTEM_TIME AS OF 5", driver.NotSupportedError, "asks for the schema"),
        ("CREATE VIEW n AS SELECT * FROM t FOR SYSTEM_TIME AS OF 5", driver.NotSupportedError, "behind the view"),
        ("SELECT * FROM missing FOR SYSTEM_TIME AS OF 5", driver.OperationalError, "no such table: missing"),
        ("SELECT * FROM x.t FOR SYSTEM_TIME AS OF 5", driver.OperationalError, "no such table: x.t"),
        ("SELECT * FROM t FOR SYSTEM_TIME", driver.OperationalError, "syntax error"),
        ("SELECT * FROM t FOR SYSTEM_TIME AS 5", driver.OperationalError, "behind FOR SYSTEM_TIME stands"),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF", driver.OperationalError, "behind FOR SYSTEM_TIME stands"),
        ("SELECT * FROM t FOR SYSTEM_TIME BETWEEN 1", driver.OperationalError, "behind FOR SYSTEM_TIME stands"),
        ("SELECT * FROM t FOR SYSTEM_TIME CONTAINED IN (1)", driver.OperationalError, "behind FOR SYSTEM_TIME stands"),
        ("SELECT * FROM t FOR SYSTEM_TIME FROM 1 AND 2", driver.OperationalError, "behind FOR SYSTEM_TIME stands"),
        ("SELECT * FROM t FOR SYSTEM_TIME ALL x FOR SYSTEM_TIME ALL", driver.OperationalError, "two clauses"),
        ("SELECT 1 FOR SYSTEM_TIME AS OF 5", driver.OperationalError, "syntax error"),
        ("SELECT * FROM t()", driver.OperationalError, "one moment"),
        ("SELECT * FROM t(1, 2)", driver.OperationalError, "one moment"),
        ("SELECT * FROM t FOR SYSTEM_TIME BETWEEN 6 AND 5", driver.Error, "later than the second"),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF x'00'", driver.ProgrammingError, "not a moment"),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF 1.5", driver.ProgrammingError, "not a moment"),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF 'soon'", driver.ProgrammingError, "not a moment"),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF 1700000000", driver.ProgrammingError, "seconds of 2023-11-14"),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF 1700000000 * 1000", driver.ProgrammingError, "milliseconds of 2023"),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF 'label:no'", driver.OperationalError, "no commit is labelled 'no'"),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF 'transaction:99'", driver.OperationalError, "no transaction '99'"),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF 'alembic:ab'", driver.OperationalError, "never had the revision 'ab'"),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF '1999-01-01'", driver.HorizonError, "before the first commit"),
    ],
)  # fmt: skip
def test_what_is_refused(at: Moments, sql: str, kind: type[Exception], said: str) -> None:
    at.db.execute("CREATE VIEW view AS SELECT * FROM t")
    at.db.execute("CREATE VIEW asks AS SELECT name FROM sqlite_master")
    at.db.execute("CREATE TEMP TABLE temporary (x)")
    at.commit()
    with pytest.raises(kind, match=said):
        at.ask(sql)
    at.db.rollback()
    assert at.ask("SELECT * FROM t") == [(2, "last")]


def test_a_real_table_named_history_does_not_stand_in_the_way(at: Moments) -> None:
    at.db.execute('CREATE TABLE "t history" (x)')
    assert at.ask("SELECT * FROM t FOR SYSTEM_TIME AS OF ?", at.first) == [(1, "one")]


def test_other_statements_are_not_touched(at: Moments) -> None:
    at.db.execute("CREATE TABLE f (system_time INTEGER, \"for\" TEXT)")
    at.db.execute("INSERT INTO f(system_time, \"for\") VALUES (1, 'x')")
    assert at.ask("SELECT system_time, \"for\" FROM f") == [(1, "x")]
    assert at.ask("SELECT value FROM json_each('[1, 2]'), t WHERE t.id = 2") == [(1,), (2,)]
    assert at.ask("SELECT name FROM pragma_table_info('t')") == [("id",), ("a",)]
    assert at.ask("SELECT count(*) FROM f WHERE system_time IS NOT DISTINCT FROM abs(1)") == [(1,)]


# ---- moments ----


def test_moments_in_words(at: Moments) -> None:
    iso = from_ns(at.first)  # means the end of its microsecond
    for moment in (at.first, iso.isoformat(), iso.isoformat(" "), iso.replace(tzinfo=None).isoformat(" ")):
        assert at.ask("SELECT * FROM t FOR SYSTEM_TIME AS OF ?", moment) == [(1, "one")]
    for literal in (f"TIMESTAMP '{iso.isoformat()}'", "'label:release 1'", "'transaction:1'", "TRANSACTION 1",
                    "'LABEL:release 1'"):  # fmt: skip
        assert at.ask(f"SELECT * FROM t FOR SYSTEM_TIME AS OF {literal}") == [(1, "one")], literal
    assert at.ask("SELECT * FROM t FOR SYSTEM_TIME AS OF TRANSACTION ?", 1) == [(1, "one")]
    assert at.ask("SELECT * FROM t FOR SYSTEM_TIME AS OF datetime('now', '+1 day') || 'Z'") == [(2, "last")]
    day = 86_400_000_000_000
    assert at.ask("SELECT entitydb_moment(?), entitydb_moment(NULL)", "1970-01-02") == [(2 * day - 1, None)]
    assert at.ask("SELECT entitydb_moment('1970-01-02', 'start')") == [(day,)]


def test_the_moment_of_an_alembic_revision_is_the_last_it_had(at: Moments) -> None:
    db = at.db
    db.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
    db.execute("INSERT INTO alembic_version VALUES ('ab1')")
    at.commit()
    db.execute("INSERT INTO t VALUES (5, 'under ab1')")
    at.commit()
    db.execute("UPDATE alembic_version SET version_num = 'ab2'")
    changed = at.commit()
    db.execute("INSERT INTO t VALUES (6, 'under ab2')")
    at.commit()
    sql = "SELECT id FROM t FOR SYSTEM_TIME AS OF ? ORDER BY id"
    assert at.ask(sql, "alembic:ab1") == [(2,), (5,)]
    assert at.ask(sql, "alembic:ab2") == [(2,), (5,), (6,)]
    assert at.ask("SELECT entitydb_moment('alembic:ab1')") == [(changed - 1,)]
    db.execute("UPDATE alembic_version SET version_num = 'ab1'")
    back = at.commit()
    assert at.ask("SELECT entitydb_moment('alembic:ab2')") == [(back - 1,)]
    assert at.ask(sql, "alembic:ab1") == [(2,), (5,), (6,)]


# ---- tags and entities ----


def test_tags_and_entities_of_a_moment(at: Moments) -> None:
    db = at.db
    db.execute("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('t', 2, 'x:1'), ('t', 2, 'y')")
    tagged = at.commit()
    db.execute("DELETE FROM entitydb_tags WHERE tag = 'y'")
    db.execute("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('u', 3, 'x:1')")
    at.commit()
    sql = "SELECT type, tag FROM entitydb_tags FOR SYSTEM_TIME AS OF ? {} ORDER BY 1, 2"
    for where in ("", "WHERE type = 't' AND entity = 2", "WHERE tag >= 'a'", "WHERE namespace = 'x' OR tag = 'y'"):
        assert at.ask(sql.format(where), tagged) == [("t", "x:1"), ("t", "y")], where
    assert at.ask(sql.format(""), at.first) == []
    assert at.ask(sql.format(""), None) == []
    assert at.ask("SELECT * FROM entitydb_tags(?) WHERE tag = 'y'", tagged)[0][:3] == ("t", 2, "y")
    of_each = "SELECT (SELECT count(*) FROM entitydb_tags FOR SYSTEM_TIME AS OF n.m) FROM (SELECT ? AS m) n"
    assert at.ask(of_each, tagged) == [(2,)]
    entities = "SELECT type, id, content FROM entitydb_entities FOR SYSTEM_TIME AS OF ? {}"
    assert at.ask(entities.format("WHERE type = 't'"), at.first) == [("t", 1, '{"id":1,"a":"one"}')]
    assert at.ask(entities.format("WHERE type = 't' AND id = 2"), at.first) == []
    assert len(at.ask(entities.format(""), at.second)) == 4
    joined = "SELECT e.id, g.tag FROM entitydb_entities(?) e LEFT JOIN entitydb_tags(?) g"
    joined += " ON g.type = e.type AND g.entity = e.id"
    assert at.ask(joined + " WHERE e.type = 't' ORDER BY 2", tagged, tagged) == [(2, "x:1"), (2, "y")]


def test_tags_of_attached_databases(at: Moments, other: Path) -> None:
    at.db.execute("ATTACH ? AS x", (str(other),))
    at.db.execute("CREATE TABLE x.t (id INTEGER PRIMARY KEY)")
    at.db.execute("INSERT INTO x.t VALUES (1)")
    at.db.execute("INSERT INTO x.entitydb_tags(type, entity, tag) VALUES ('t', 1, 'theirs')")
    then = at.commit()
    at.db.execute("DELETE FROM x.entitydb_tags")
    at.commit()
    assert at.ask("SELECT tag FROM x.entitydb_tags FOR SYSTEM_TIME AS OF ?", then) == [("theirs",)]
    assert at.ask("SELECT tag FROM entitydb_tags FOR SYSTEM_TIME AS OF ?", then) == []


# ---- EXPLAIN ----


def test_explain_says_it_in_words(at: Moments) -> None:
    at.db.execute("CREATE TABLE n (id INTEGER PRIMARY KEY, a TEXT)")
    at.db.execute("CREATE INDEX i ON n (a)")
    at.commit()

    def plan(sql: str) -> str:
        return str(at.ask(f"EXPLAIN QUERY PLAN {sql}")[0][3])

    as_of = f"FOR SYSTEM_TIME AS OF {at.first}"
    assert plan(f"SELECT * FROM t {as_of} WHERE id = 1") == (
        "SEARCH t USING INTEGER PRIMARY KEY (rowid=?), AS OF A MOMENT OF ITS OWN"
    )
    assert plan(f"SELECT * FROM t {as_of}") == "SCAN t, AS OF A MOMENT OF ITS OWN"
    assert plan("SELECT * FROM n x FOR SYSTEM_TIME ALL WHERE a = 'b'") == "SEARCH x USING INDEX i (a=?), VERSIONS"
    assert plan(f"SELECT * FROM entitydb_entities {as_of} WHERE id = 1") == (
        "SEARCH entitydb_entities USING ENTITIES (id=?), AS OF A MOMENT OF ITS OWN"
    )
    assert plan(f"SELECT * FROM entitydb_tags {as_of}") == "SCAN entitydb_tags, AS OF A MOMENT OF ITS OWN"
