"""by_tags(): many tag expressions in one call."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from entitydb_dialect import Database
from entitydb_dialect import _exceptions as ex

ROWS = 2000


@pytest.fixture
def rows(db: Database) -> Database:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    db.put_many("t", [(2 * i, f"v{i}") for i in range(ROWS)])
    return db


def test_many_expressions_are_as_one_after_the_other(rows: Database, rng: random.Random) -> None:
    names = [f"kind:{i}" for i in range(40)]
    for name in names[:30]:
        rows.add_tags("t", rng.sample(range(0, 2 * ROWS, 2), rng.randrange(1, 20)), [name])
    rows.add_tags("t", [0, 2], ["kind:été"])
    expressions = [*names, "kind:été", "kind:été2", '"kind:1"', '"kind:99"', "kind:1*", "kind:99*", " kind:1 ",
                   "!kind:1", *(f"{a} & !{b} | {c}" for a, b, c in (rng.sample(names, 3) for _ in range(50)))]
    before = rows.connection.last_commit[1]
    rows.remove_tags("t", range(0, ROWS, 2), names[:5])
    assert rows.by_tags(expressions, type="t") == [rows.by_tag(one, type="t") for one in expressions]
    then = [rows.by_tag(one, type="t", as_of=before) for one in expressions]
    assert rows.by_tags(expressions, type="t", as_of=before) == then
    assert then != rows.by_tags(expressions, type="t")
    assert rows.by_tags([], type="t") == []
    for wrong in (":x", "a b", "", "kind:1 &", "x" * 1025, "a\x7f"):
        with pytest.raises(ex.Error) as one:
            rows.by_tag(wrong, type="t")
        with pytest.raises(type(one.value), match=re.escape(str(one.value))):
            rows.by_tags(["kind:1", wrong], type="t")
    for no_text in (1, None, b"kind:1", ["kind:1"], object()):
        with pytest.raises(ex.ProgrammingError, match="a tag expression is no text"):
            rows.by_tags(["kind:1", no_text], type="t")     # type: ignore[list-item]
    for ask in (lambda text: rows.by_tag(text, type="t"), lambda text: rows.by_tags(["kind:1", text], type="t")):
        with pytest.raises(ex.DataError, match="not UTF-8"):
            ask("kind:\udc80")


def test_expressions_come_from_anything_that_can_be_iterated(rows: Database) -> None:
    """Also from what asks the database meanwhile. The lists that come are the caller's own."""
    rows.add_tags("t", [2, 4], ["kind:1"])
    found = rows.by_tags((f"kind:{len(rows.by_tag('kind:1', type='t')) - i}" for i in range(3)), type="t")
    assert found == [[], [2, 4], []]
    found[0].append(7)
    assert found == [[7], [2, 4], []]
    assert rows.by_tags({"kind:1": 1}, type="t") == [[2, 4]]
    with pytest.raises(TypeError):
        rows.by_tags(5, type="t")                           # type: ignore[arg-type]


def test_row_ids_of_every_size_come_as_they_are(db: Database) -> None:
    ids = [-(2**63), -(2**31) - 1, -1, 0, 1, 2**31, 2**62, 2**63 - 1]
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    db.put_many("t", [(i,) for i in ids], columns=["id"], tags=["there"])
    assert db.by_tags(["no", "there", "no", "there & !no"], type="t") == [[], ids, [], ids]


def test_every_character_at_every_place_means_what_it_means_alone(rows: Database) -> None:
    """Eight bytes of a text are judged at once."""
    base = "abcdefghijklmnopqrs"
    sets_of(rows, {part: [2 * len(part)] for i in range(1, len(base)) for part in (base[:i], base[i:])})

    def outcome(ask: Callable[[], list[int]]) -> list[int] | str:
        try:
            return ask()
        except ex.Error as error:
            return f"{type(error).__name__}: {error}"

    for char in [*map(chr, range(1, 129)), "é", "\U0001f600"]:
        for at in range(len(base) + 1):
            text = base[:at] + char + base[at:]
            alone = outcome(lambda text=text: rows.by_tag(text, type="t"))
            assert outcome(lambda text=text: rows.by_tags([text], type="t")[0]) == alone, text


def test_many_expressions_where_nothing_was_ever_tagged(rows: Database) -> None:
    assert rows.by_tags(["kind:1", "kind:1 | kind:2"], type="t") == [[], []]


@pytest.mark.parametrize("filters", ["on", "off"])
@pytest.mark.parametrize("n", [1, 63, 64, 65, 200])
def test_tags_of_which_most_are_absent_are_found_among_them(rows: Database, filters: str, n: int) -> None:
    """Which are absent is asked of many at once; own writes are in no filter."""
    rows.execute("SELECT entitydb_bloom(?)", (filters,))
    rows.add_tags("t", [2, 4], ["there:committed"])
    expressions = [f"absent:{i}" for i in range(n)]
    assert rows.by_tags(expressions, type="t") == [[]] * n
    before = rows.connection.last_commit[1]
    with rows.transaction():
        rows.add_tags("t", [6], ["there:own"])
        for place in range(n):
            asked = [*expressions]
            asked[place] = ("there:own", "there:committed", '"there:own"')[place % 3]
            found = rows.by_tags(asked, type="t")
            assert found.pop(place) == [[6], [2, 4], [6]][place % 3]
            assert found == [[]] * (n - 1)
    assert rows.by_tags(["there:own", *expressions], type="t", as_of=before) == [[]] * (n + 1)
    assert rows.by_tags([*expressions, "there:own"], type="t") == [[]] * n + [[6]]


def sets_of(rows: Database, tags: dict[str, list[int]]) -> None:
    for name, ids in tags.items():
        rows.add_tags("t", ids, [name])


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("shares", ["few in many", "many in many", "alternating runs", "one behind the other"])
def test_intersections_are_those_of_the_ids_whatever_the_shares(
    tmp_path: Path, rng: random.Random, shares: str, isolation: str
) -> None:
    """The ids of the smallest tag are looked for in the others some at a time, own writes included, at every moment."""
    ids = list(range(-1000, 3000))
    of = {
        "few in many": lambda: (rng.sample(ids, 70), rng.sample(ids, 2500), rng.sample(ids, 900)),
        "many in many": lambda: (rng.sample(ids, 1500), rng.sample(ids, 1600), rng.sample(ids, 1700)),
        "alternating runs": lambda: ([i for i in ids if i // 100 % 2],
                                     [i for i in ids if not i // 100 % 2 or i % 9 == 0], [i for i in ids if i % 3]),
        "one behind the other": lambda: (ids[:1000], ids[999:], ids[::2]),
    }[shares]()
    with Database(tmp_path / "t.edb") as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
        db.put_many("t", [(i,) for i in ids], columns=["id"])
        sets = dict(zip("abc", map(set, of), strict=True))
        sets_of(db, {name: sorted(has) for name, has in sets.items()})
        then, was = db.connection.last_commit[1], {name: set(has) for name, has in sets.items()}

        def judge(sets: dict[str, set[int]], **how: int) -> None:
            a, b, c = sets.values()
            for expression, wanted in {
                "a & b": a & b, "b & a & c": a & b & c, "a & !b": a - b, "a & !b & !c": a - b - c, "a & c*": a & c,
                "b & (a | c)": b & (a | c), "!(a & b) & c": c - (a & b), "a & none": set(), "a & !none": a,
            }.items():
                assert db.by_tag(expression, type="t", **how) == sorted(wanted), expression

        judge(sets)
        with db.transaction(isolation):
            judge(sets)
            taken, given = rng.sample(sorted(sets["b"]), 300), rng.sample(sorted(set(ids) - sets["b"]), 300)
            db.remove_tags("t", taken, ["b"])
            db.add_tags("t", given, ["b"])
            sets["b"] = sets["b"] - set(taken) | set(given)
            judge(sets)
        judge(sets)
        judge(was, as_of=then)


def test_the_first_and_the_last_row_id_are_in_intersections(db: Database) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    ends = [-(2**63), 0, 2**63 - 1]
    db.put_many("t", [(i,) for i in ends], columns=["id"])
    sets_of(db, {"a": ends, "b": ends, "c": [0]})
    assert db.by_tag("a & b", type="t") == ends
    assert db.by_tag("a & !c", type="t") == [ends[0], ends[2]]
    assert db.by_tag("(a & b) | c", type="t") == ends
