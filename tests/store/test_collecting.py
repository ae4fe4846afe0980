"""Python's collector does not look at rows while they are made."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from entitydb_dialect import Database
from entitydb_dialect._short import uncollected


@pytest.fixture
def collections() -> Iterator[list[int]]:
    """The generations that were collected, with a threshold that a hundred new objects reach."""
    seen: list[int] = []

    def note(phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            seen.append(about["generation"])

    before = gc.get_threshold()
    gc.callbacks.append(note)
    gc.set_threshold(100, 10, 10)
    yield seen
    gc.set_threshold(*before)
    gc.callbacks.remove(note)


@pytest.mark.parametrize(
    "ask",
    [lambda db: db.get_many("t", range(1, 3001)), lambda db: db.get_many("t", range(1, 3001), tuples=True),
     lambda db: db.by_tags(["absent"] * 3000, type="t")],
    ids=["dictionaries", "tuples", "lists of ids"],
)  # fmt: skip
def test_making_rows_does_not_set_off_collections(
    db: Database, collections: list[int], ask: Callable[[Database], Any]
) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    db.put_many("t", [(i, f"row {i}") for i in range(1, 3001)], columns=["id", "a"], tags=["there"])
    ask(db)
    collections.clear()
    answer = ask(db)
    assert len(collections) <= 3  # each hundred of the 3,000 would set off one
    assert len(answer) == 3000


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was_afterwards(enabled: bool) -> None:
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        assert uncollected(lambda argument: (gc.isenabled(), argument), 7) == (False, 7)
        assert gc.isenabled() is enabled
        with pytest.raises(ZeroDivisionError):
            uncollected(lambda argument: argument / 0, 7)
        assert gc.isenabled() is enabled
        for arguments in ((), (len,), (len, "a", "b")):
            with pytest.raises(TypeError):
                uncollected(*arguments)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
