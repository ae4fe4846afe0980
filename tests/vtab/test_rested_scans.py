"""Scans that are closed and opened again while one statement of the engine goes on."""

from __future__ import annotations

from collections.abc import Callable

from .helpers import Raw


def total(code: int) -> int | None:
    return sum(10 * i for i in range(200) if i % 20 == code) if code < 20 else None


QUERIES = (
    ("SELECT v FROM t WHERE id = ?", lambda k: [(10 * k,)] if k < 200 else []),
    ("SELECT sum(v) FROM t WHERE code = ?", lambda k: [(total(k),)]),
    ("SELECT v FROM t WHERE +code = ? % 20 AND id = ?1", lambda k: [(10 * k,)] if k < 200 else []),
    ("SELECT count(*) FROM t WHERE id < ?", lambda k: [(min(k, 200),)]),
    ("SELECT id FROM t WHERE id = ? ORDER BY code DESC", lambda k: [(k,)] if k < 200 else []),
    ("SELECT max(id) FROM t WHERE code = ? AND v > 5", lambda k: [(180 + k if k < 20 else None,)]),
)


def fill(raw: Raw) -> None:
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, code INTEGER, v INTEGER)", "t")
    raw.create_index("CREATE INDEX t_code ON t(code)", "t")
    raw.run("INSERT INTO t VALUES " + ", ".join(f"({i}, {i % 20}, {10 * i})" for i in range(200)))


def test_plans_take_turns_in_one_statement(raw: Raw) -> None:
    fill(raw)
    with raw.statement():
        for key in (3, 19, 150, 200, 3, 4):
            for first, wanted_first in QUERIES:
                for then, wanted_then in QUERIES:
                    assert raw.rows(first, (key,)) == wanted_first(key)
                    assert raw.rows(then, (key + 1,)) == wanted_then(key + 1)


def test_a_statement_does_not_go_on_with_the_scan_of_another(raw: Raw, connect: Callable[[], Raw]) -> None:
    fill(raw)
    other = connect()
    for number in range(12):
        with raw.statement():
            for key in (7, 8, 7):
                assert raw.rows("SELECT v FROM t WHERE id = ?", (key,)) == [(10 * key + number,)]
        other.run("UPDATE t SET v = v + 1 WHERE id BETWEEN 5 AND 10")
        for _ in range(number % 4):  # the leaf changes its place in the file
            other.run("UPDATE t SET v = -v WHERE id = 100")
