"""Packed history is as docs/format.md says: the reader finds in strips what the engine shows at every moment."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.upkeep.histories import PAGE_SIZES, History, connect, contents
from entitydb_dialect import driver

from .reader import COLD_PACKED, STRIPS, File, seal
from .test_reader import every_page_once, indexes_agree
from .test_verify import write_something

ERASE = "INSERT INTO entitydb_erasures(subject_table, key_hash, row_id) VALUES ('t', '', ?)"


def rows(file: File, number: int) -> list[list[tuple[Any, ...]]]:
    """As contents() has them, without those by index."""
    catalog = file.catalog(number)
    return [[tuple(values) for _, values in file.rows(catalog[name], number)] for name in ("t", "big")]


def agree(history: History, numbers: int) -> File:
    """The file as the reader finds it, which shows what the engine does at so many of the moments that are kept."""
    file = File(history.path.read_bytes())
    times = file.times()
    kept = range(max(3, file.base.horizon), file.newest.number + 1)
    assert file.newest.number == history.db.database.stats()["published"]
    for number in sorted({kept[-1], kept[0], *history.rng.sample(kept, min(numbers, len(kept)))}):
        t, _, big = contents(history.db, times[number])
        assert rows(file, number) == [t, big], number
        indexes_agree(file, range(number, number + 1))
    every_page_once(file)
    assert history.db.database.check()[0] == []
    return file


def erase(history: History, row: int) -> bool:
    """-> whether there was such a row."""
    history.db.execute("DELETE FROM t WHERE id = ?", (row,))
    try:
        history.db.execute(ERASE, (row,))
    except driver.OperationalError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_packed_pruned_erased_and_compacted_files_read_the_same_at_every_moment(
    tmp_path: Path, rng: random.Random, native: Any, page_size: int
) -> None:
    history = History(tmp_path / "a.edb", rng, page_size)
    met: Counter[str] = Counter()
    for _ in range(8):
        history.grow(rng.randrange(10, 50))
        for what in rng.sample(("pack", "pack", "erase", "prune", "compact"), rng.randrange(1, 4)):
            met[what] += 1
            if what == "prune":
                history.prune()
            elif what == "erase":
                erase(history, rng.randrange(200))
            else:
                getattr(history.db.database, what)()
        file = agree(history, 6)
        met["strips"] += len(file.strips)
    history.db.database.pack()
    file = agree(history, 60)
    assert file.strips or page_size > 1024
    assert met["strips"] or page_size > 1024
    history.db.close()


@pytest.mark.parametrize("page_size", [512, 2048])
def test_strips_of_small_and_merged_windows(tmp_path: Path, rng: random.Random, native: Any, page_size: int) -> None:
    """Packs that go on in the next page, several strips, and what is not packed between the ids of one."""
    path = tmp_path / "a.edb"
    history = History(path, rng, page_size)
    history.db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, f"a{i}", b"b" * 30) for i in range(60)])
    for n in range(150):
        history.db.execute("UPDATE t SET a = a || ?, b = ? WHERE id % 3 = ?", (n % 10, rng.randbytes(20), n % 3))
        if n % 20 == 10:
            history.db.execute("INSERT OR REPLACE INTO t VALUES (7, 'large', ?)", (rng.randbytes(3 * page_size),))
        if n % 75 == 74:
            history.db.database.pack()
    file = agree(history, 12)
    strips = list(file.strips.values())
    assert len(strips) > 1
    assert any(len(strip.pages) > 2 for strip in strips)
    assert file.required & STRIPS
    if page_size == 512:
        assert any(strip.ids > 256 for strip in strips), "some were merged"
    kinds = {cold.kind for id_, cold in file.cold.items() for strip in strips if strip.holds(id_ - min(file.cold))}
    assert len(kinds) > 1, "not all between the first and the last are packed"
    assert any(cold.kind != COLD_PACKED for cold in file.cold.values())
    history.db.close()


@pytest.mark.parametrize("page_size", [512, 8192])
def test_packed_history_is_proved_by_the_engine_and_by_the_reader(
    tmp_path: Path, rng: random.Random, native: Any, page_size: int
) -> None:
    path = tmp_path / "a.edb"
    with closing(connect(path, page_size=page_size)) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, n INTEGER)")
        db.executemany("INSERT INTO t(v, n) VALUES (?, ?)", [(f"row {n}", n) for n in range(30)])
        for step in range(60):
            db.execute("BEGIN")
            write_something(rng, db, step)
            db.execute("COMMIT")
            if step % 15 == 14:
                db.database.pack()
        proof = db.database.verify()
    file = File(path.read_bytes())
    assert (proof.first, proof.last, proof.breaks) == (1, file.newest.number, ())
    assert (1, proof.seal) == (file.links()[0], seal(file.links()[1]))
    assert file.broken() == []
    assert file.strips or page_size > 512
