"""by_tags(): many tag expressions in one call."""

from __future__ import annotations

import random
import re

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
    with pytest.raises(ex.Error):
        rows.by_tags(["kind:1", 1], type="t")           # type: ignore[list-item]


def test_many_expressions_where_nothing_was_ever_tagged(rows: Database) -> None:
    assert rows.by_tags(["kind:1", "kind:1 | kind:2"], type="t") == [[], []]
