"""executemany() reads several sets of parameters before it executes them: what is begun, what is left, what stays."""

from __future__ import annotations

from typing import Any

import pytest

from entitydb_dialect import driver

COUNTS = (1, 2, 31, 32, 33, 63, 64, 65, 300)


@pytest.fixture
def filled(db: driver.Connection) -> driver.Connection:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v, w TEXT UNIQUE)")
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, 0, f"w{i}") for i in range(400)])
    db.commit()
    return db


def changed(db: driver.Connection) -> list[tuple[Any, ...]]:
    return list(db.execute("SELECT id, v FROM t WHERE v IS NOT 0 ORDER BY id").fetchall())


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_every_set_is_executed_once(filled: driver.Connection, count: int, kind: Any) -> None:
    values = [None, 7, -(2**63), 1.5, "text", "é" * 9, b"", b"\x00\x01", ""]
    sets = [(values[i % len(values)], i) for i in range(count)]
    filled.executemany("UPDATE t SET v = coalesce(v || ?, 'null') WHERE id = ?", kind(sets))
    wanted = [(f"0{v.decode() if isinstance(v, bytes) else v}" if v is not None else "null") for v, _ in sets]
    assert [v for _, v in changed(filled)] == wanted


@pytest.mark.parametrize("at", [0, 1, 31, 32, 33, 70])
def test_what_a_set_breaks_leaves_the_sets_before_it(filled: driver.Connection, at: int) -> None:
    sets: list[tuple[Any, ...]] = [(1, f"new{i}", i) for i in range(100)]
    sets[at] = (1, "w399", at)
    with pytest.raises(driver.IntegrityError):
        filled.executemany("UPDATE t SET v = ?, w = ? WHERE id = ?", sets)
    assert changed(filled) == [(i, 1) for i in range(at)]


@pytest.mark.parametrize("at", [0, 1, 31, 32, 33, 70])
@pytest.mark.parametrize("wrong", [(1,), (object(), 5), (2**70, 5), ("\ud800", 5), 5])
def test_a_set_that_cannot_be_bound_leaves_those_before_it(filled: driver.Connection, at: int, wrong: Any) -> None:
    sets: list[Any] = [(1, i) for i in range(100)]
    sets[at] = wrong
    with pytest.raises((driver.Error, TypeError, ValueError, OverflowError)):
        filled.executemany("UPDATE t SET v = ? WHERE id = ?", sets)
    assert changed(filled) == [(i, 1) for i in range(at)]


@pytest.mark.parametrize("at", [0, 31, 32, 33, 70])
def test_a_set_that_only_the_long_way_takes_keeps_its_place(filled: driver.Connection, at: int) -> None:
    sets: list[Any] = [(i + 1, 3) for i in range(100)]
    sets[at] = (bytearray(b"x"), 4)
    filled.executemany("UPDATE t SET v = v || ? WHERE id = ?", sets)
    text = "".join(str(i + 1) for i in range(100) if i != at)
    assert changed(filled) == [(3, f"0{text}"), (4, "0x")]


@pytest.mark.parametrize("at", [0, 5, 31, 32, 40])
def test_a_function_fails_in_the_midst(filled: driver.Connection, at: int) -> None:
    def check(number: int) -> int:
        if number == at:
            raise ValueError("no more")
        return number + 1

    filled.create_function("check_it", 1, check)
    with pytest.raises(Exception, match="no more"):
        filled.executemany("UPDATE t SET v = check_it(?) WHERE id = ?", [(i, i) for i in range(100)])
    assert changed(filled) == [(i, i + 1) for i in range(at)]


def test_a_function_shortens_the_list_that_is_read(filled: driver.Connection) -> None:
    sets = [(i, i) for i in range(100)]

    def shorten(number: int) -> int:
        del sets[60:]
        return number + 1

    filled.create_function("shorten", 1, shorten)
    filled.executemany("UPDATE t SET v = shorten(?) WHERE id = ?", sets)
    assert changed(filled) == [(i, i + 1) for i in range(60)]


def test_many_parameters_a_set(db: driver.Connection) -> None:
    names = [f"c{i}" for i in range(300)]
    db.execute(f"CREATE TABLE wide({', '.join(names)})")
    sets = [tuple(range(i, i + 300)) for i in range(70)]
    db.executemany(f"INSERT INTO wide VALUES ({', '.join('?' * 300)})", sets)
    assert db.execute("SELECT * FROM wide ORDER BY rowid").fetchall() == sets
    db.executemany("INSERT INTO wide(c0) VALUES (5)", [()] * 40)
    assert db.execute("SELECT count(*) FROM wide WHERE c0 = 5 AND c1 IS NULL").fetchone() == (40,)
