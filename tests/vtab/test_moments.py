"""Reads as of a moment: through the table, through indexes made before and after it, and before the table itself."""

from __future__ import annotations

import random
from collections.abc import Callable

import apsw
import pytest

from .helpers import Database, Raw, ffi, lib
from .test_queries import COLUMNS, VALUES, Query, joined, single

Moment = tuple[int, list[tuple]]


def write_history(raw: Raw, rng: random.Random, commits: int) -> list[Moment]:
    """-> after each commit its moment and the table's rows then."""
    history = []
    for _ in range(commits):
        raw.run("BEGIN")
        for _ in range(rng.randrange(1, 30)):
            kind = rng.randrange(5)
            if kind <= 2:
                marks = ", ".join("?" * len(COLUMNS))
                raw.run(f"INSERT INTO t VALUES (NULL, {marks})", [rng.choice(VALUES) for _ in COLUMNS])
            elif kind == 3:
                column = rng.choice(list(COLUMNS))
                raw.run(f"UPDATE t SET {column} = ? WHERE id % 7 = ?", (rng.choice(VALUES), rng.randrange(7)))
            else:
                raw.run("DELETE FROM t WHERE id % 23 = ?", (rng.randrange(23),))
        raw.run("COMMIT")
        history.append((raw.commit_ns(), raw.rows("SELECT * FROM t")))
    return history


@pytest.mark.slow
def test_every_moment_answers_as_a_copy_made_then(raw: Raw, rng: random.Random) -> None:
    columns = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
    raw.create_table(f"CREATE TABLE t(id INTEGER PRIMARY KEY, {columns})", "t")
    raw.create_table(f"CREATE TABLE u(id INTEGER PRIMARY KEY, {columns})", "u")
    other = [[rng.choice(VALUES) for _ in COLUMNS] for _ in range(12)]
    for row in other:
        raw.run(f"INSERT INTO u VALUES (NULL, {', '.join('?' * len(row))})", row)
    history = write_history(raw, rng, 4)
    for number, parts in enumerate(("i, s", "s DESC", "x, n", "nc, i", "r DESC, i", "rt")):
        raw.create_index(f"CREATE INDEX ix{number} ON t({parts})", "t")
        history += write_history(raw, rng, 2)
    for moment, rows in history:
        copy = apsw.Connection(":memory:")
        for name, content in (("t", rows), ("u", [(i + 1, *row) for i, row in enumerate(other)])):
            copy.execute(f"CREATE TABLE {name}(id INTEGER PRIMARY KEY, {columns})")
            copy.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * (len(COLUMNS) + 1))})", content)
        for _ in range(80):
            query = Query(rng)
            sql, ordered = single(query) if rng.random() < 0.7 else joined(query)
            mine = raw.rows_as_of(moment, sql, query.bindings)
            theirs = list(copy.execute(sql, query.bindings))
            assert sorted(map(repr, mine)) == sorted(map(repr, theirs)), (sql, query.bindings)
            if ordered:
                assert [repr(r[:ordered]) for r in mine] == [repr(r[:ordered]) for r in theirs], (sql, query.bindings)


def test_a_late_index_keeps_order_and_bounds(raw: Raw) -> None:
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT)", "t")
    raw.run("INSERT INTO t VALUES (1, 5, 'x'), (2, 3, 'y'), (3, 5, 'a'), (4, NULL, 'n')")
    before = raw.commit_ns()
    raw.run("DELETE FROM t WHERE id = 3")
    raw.create_index("CREATE INDEX ab ON t(a, b)", "t")
    raw.run("INSERT INTO t VALUES (9, 5, 'z')")
    tree = raw.table("t").indexes[0].tree
    for sql, now, then in [
        ("SELECT id FROM t WHERE a = 5 ORDER BY b DESC", [(9,), (1,)], [(1,), (3,)]),
        ("SELECT a, b FROM t WHERE a >= 3 ORDER BY a, b",
         [(3, "y"), (5, "x"), (5, "z")], [(3, "y"), (5, "a"), (5, "x")]),
        ("SELECT b FROM t WHERE a IN (3, 5) ORDER BY a DESC, b DESC",
         [("z",), ("x",), ("y",)], [("x",), ("a",), ("y",)]),
        ("SELECT id FROM t WHERE a IS NULL ORDER BY b", [(4,)], [(4,)]),
    ]:
        assert f"INDEX {tree}:" in " ".join(row[3] for row in raw.rows(f"EXPLAIN QUERY PLAN {sql}")), sql
        assert raw.rows(sql) == now
        assert raw.rows_as_of(before, sql) == then
    # As the inner table of a join the list is made once and searched many times.
    join = "SELECT x.id, y.id FROM t x JOIN t y ON y.a = x.a WHERE x.id < 3 ORDER BY 1, 2"
    assert raw.rows_as_of(before, join) == [(1, 1), (1, 3), (2, 2)]


def test_before_the_table_is_an_error_that_names_its_first_moment(raw: Raw) -> None:
    raw.create_table("CREATE TABLE s(id INTEGER PRIMARY KEY)", "s")
    before = raw.commit_ns()
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY)", "t")
    raw.run("INSERT INTO t VALUES (1)")
    with pytest.raises(apsw.SQLError, match=r"no such table: t at .*; its first moment is "):
        raw.rows_as_of(before, "SELECT * FROM t")
    assert lib.edb_last_code() == 25
    assert raw.rows_as_of(before, "SELECT name FROM entitydb_catalog") == [("s",)]
    assert raw.rows_as_of(raw.commit_ns(), "SELECT * FROM t") == [(1,)]
    raw.run("BEGIN")
    raw.create_table("CREATE TABLE n(id INTEGER PRIMARY KEY)", "n")
    with pytest.raises(apsw.SQLError, match="created in the running transaction"):
        raw.rows_as_of(raw.commit_ns(), "SELECT * FROM n")
    raw.run("ROLLBACK")


def test_writes_as_of_a_moment_are_refused(raw: Raw) -> None:
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "t")
    raw.run("INSERT INTO t VALUES (1, 1)")
    for sql in ("INSERT INTO t VALUES (2, 2)", "UPDATE t SET a = 2", "DELETE FROM t"):
        with raw.statement(as_of=raw.commit_ns()), pytest.raises(apsw.ReadOnlyError):
            raw.run(sql)
        raw.settle()
    assert raw.rows("SELECT * FROM t") == [(1, 1)]


def test_moments_do_not_show_own_uncommitted_rows(raw: Raw) -> None:
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "t")
    raw.create_index("CREATE INDEX a ON t(a)", "t")
    raw.run("INSERT INTO t VALUES (1, 1)")
    moment = raw.commit_ns()
    raw.run("BEGIN")
    raw.run("UPDATE t SET a = 2")
    raw.create_index("CREATE INDEX late ON t(a, id)", "t")
    assert raw.rows_as_of(moment, "SELECT a FROM t WHERE a > 0 ORDER BY a, id") == [(1,)]
    assert raw.rows("SELECT a FROM t WHERE a > 0 ORDER BY a, id") == [(2,)]
    raw.run("COMMIT")


def test_half_fetched_cursors_of_several_moments_take_turns(raw: Raw) -> None:
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER)", "t")
    raw.create_index("CREATE INDEX a ON t(a)", "t")
    moments = []
    for version in range(3):
        raw.run("DELETE FROM t")
        raw.run("INSERT INTO t VALUES " + ", ".join(f"({i}, {100 * version + i % 10})" for i in range(60)))
        moments.append(raw.commit_ns())
    contexts, cursors = [], []
    for moment in [*moments, None]:
        options = ffi.new("edb_stmt_options *", {"has_moment": moment is not None, "moment_ns": moment or 0})
        out = ffi.new("edb_stmt **")
        assert lib.edb_stmt_begin(raw.session, options, out) == 0
        before = lib.edb_stmt_enter(out[0])
        contexts.append(out[0])
        cursors.append(raw.db.cursor().execute("SELECT x.a, y.id FROM t x JOIN t y ON y.a = x.a ORDER BY x.a, y.id"))
        lib.edb_stmt_restore(raw.session, before)
    seen: list[list] = [[], [], [], []]
    for _ in range(360):
        for number, (context, cursor) in enumerate(zip(contexts, cursors, strict=True)):
            before = lib.edb_stmt_enter(context)
            seen[number].append(next(cursor))
            lib.edb_stmt_restore(raw.session, before)
    for number, rows in enumerate(seen):
        base = 100 * min(number, 2)
        assert rows == [(base + a, i) for a in range(10) for i in range(a, 60, 10) for _ in range(6)]
    for cursor in cursors:
        cursor.close(True)
    for context in contexts:
        lib.edb_stmt_end(context)


def test_a_function_that_queries_at_another_moment(raw: Raw) -> None:
    """A Python function called for each row asks at a moment of its own; the outer scan goes on undisturbed."""
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER)", "t")
    raw.run("INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)")
    moment = raw.commit_ns()
    raw.run("UPDATE t SET a = a + 1")
    raw.db.create_scalar_function(
        "at_first", lambda i: raw.rows_as_of(moment, "SELECT a FROM t WHERE id = ?", (i,))[0][0])
    with raw.statement():
        assert raw.rows("SELECT id, a, at_first(id) FROM t") == [(1, 11, 10), (2, 21, 20), (3, 31, 30)]


@pytest.mark.parametrize("spill_bytes", [0, 20_000])
def test_statements_do_not_meet_their_own_writes(native, spill_bytes: int) -> None:
    """Rows moved forward in the index being scanned are met once."""
    database = Database(spill_bytes=spill_bytes)
    raw = database.connect()
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, pad TEXT)", "t")
    raw.create_index("CREATE INDEX a ON t(a)", "t")
    raw.run("BEGIN")
    for i in range(400):
        raw.run("INSERT INTO t VALUES (?, ?, ?)", (i, i, "p" * (i % 50)))
    raw.run("UPDATE t SET a = a + 100 WHERE a >= 0")
    assert raw.rows("SELECT min(a), max(a), count(*) FROM t") == [(100, 499, 400)]
    with raw.statement(writes=True):
        raw.run("INSERT INTO t SELECT id + 1000, a, pad FROM t")
    assert raw.rows("SELECT count(*) FROM t") == [(800,)]
    raw.run("UPDATE t SET id = id + 5000 WHERE a BETWEEN 200 AND 300")
    raw.run("DELETE FROM t WHERE a % 2 = 0")
    assert raw.rows("SELECT count(*), sum(id > 5000) FROM t WHERE a > 0") == [(400, 100)]
    raw.run("COMMIT")
    assert raw.rows("SELECT count(*), sum(id > 5000) FROM t") == [(400, 100)]
    assert raw.rows("SELECT count(*) FROM t x JOIN t y ON y.id = x.id AND y.a = x.a") == [(400,)]
    database.close()


def test_a_cursor_stays_at_its_statements_rows_while_others_write(raw: Raw) -> None:
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER)", "t")
    raw.create_index("CREATE INDEX a ON t(a)", "t")
    raw.run("INSERT INTO t VALUES " + ", ".join(f"({i}, {i})" for i in range(100)))
    raw.run("BEGIN")
    raw.run("UPDATE t SET a = a + 1")
    context = raw.statement()
    handle = context.__enter__()
    cursor = raw.db.cursor().execute("SELECT id, a FROM t WHERE a > 0 ORDER BY a")
    rows = [next(cursor) for _ in range(10)]
    lib.edb_stmt_restore(raw.session, ffi.NULL)
    with raw.statement(writes=True):
        raw.run("UPDATE t SET a = a + 50")
    with raw.statement(writes=True):
        raw.run("DELETE FROM t WHERE id > 50")
    lib.edb_stmt_enter(handle)
    rows += list(cursor)
    context.__exit__(None, None, None)
    assert rows == [(i, i + 1) for i in range(100)]
    raw.run("ROLLBACK")
    assert raw.rows("SELECT sum(a) FROM t") == [(4950,)]


def test_concurrent_reader_sees_whole_commits(connect: Callable[[], Raw]) -> None:
    one = connect()
    one.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "t")
    two = connect()
    one.run("BEGIN")
    one.run("INSERT INTO t VALUES (1, 1)")
    assert two.rows("SELECT * FROM t") == []
    one.run("COMMIT")
    assert two.rows("SELECT * FROM t") == [(1, 1)]
