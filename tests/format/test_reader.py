"""docs/format.md is true: a reader made from it reads what the engine wrote, at every commit, as the engine does."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.bare_tree import BareTree
from engine.tree_model import Model, history
from entitydb_dialect import driver

from .reader import (
    COLD_CHAIN,
    COLD_FIRST,
    COLD_PACKED,
    COLD_PAGE,
    OVERFLOW,
    Cold,
    Entry,
    File,
    Ref,
    Strip,
    Tree,
    crc32c,
    decode_key,
    decode_node,
    decode_row,
    u32,
    u64,
)


def every_page_once(file: File) -> None:
    """Free, in a list, in a tree: each page of the file is one of these, and one only; and none is younger than the
    newest page record."""
    uses: dict[int, str] = {}

    def use(page: int, what: str) -> None:
        assert page not in uses, f"page {page} is {uses[page]} and {what}"
        uses[page] = what

    free, chain, reserved = file.free_pages()
    for page in free:
        use(page, "free")
    for page in chain:
        use(page, "the free queue")
    use(reserved, "reserved")
    for what in (file.base.trees, file.base.stamps, file.base.links):
        for _, ref in file.list_pages(what):
            use(ref.page, "a list")
    for ref in file.cold_pages():
        use(ref.page, "the list of cold ids")
    met: set[int] = set()
    for tree in file.trees():
        for _, ref in file.list_pages(tree.older):
            use(ref.page, "a list of roots")
        for page in tree_pages(file, tree, met):
            use(page, f"tree {tree.id}")
    history_is_cold(file, met, use)
    assert sorted(uses) == list(range(file.first_page, file.base.pages))
    assert max(file.writer(page) for page, what in uses.items() if what not in ("free", "reserved")) <= file.base.number


def tree_pages(file: File, tree: Tree, met: set[int]) -> set[int]:
    """Those that answer for moments that are kept. met: gets the cold ids that lead to them."""
    seen: set[int] = set()
    todo = [(root, i > 0) for i, (_, root) in enumerate(reversed(file.roots(tree)))]
    while todo:
        ref, history = todo.pop()
        assert history == (ref.page >= COLD_FIRST), "history, and nothing else, is referred to by cold ids"
        if history:
            if (id_ := ref.page) not in file.cold or file.cold[id_].commit <= file.base.horizon:
                continue
            assert file.cold[id_].tree == tree.id
            if file.is_packed(ref) and id_ in met:
                continue
            met.add(id_)
        if file.is_packed(ref):
            node, writer = file.node(ref), file.packed(ref.page).writer
        else:
            ref = file.place(ref)
            if ref.page in seen:
                continue
            seen.add(ref.page)
            node, writer = file.node(ref), file.writer(ref.page)
        assert node.newest <= writer, "a page is stored by the commit that changed it last, or later"
        assert node.owner == tree.id
        after: Entry | None = None
        for entry in node.entries:
            newest = after is None or after.key != entry.key
            if entry.overflow:
                if newest or after.begun > file.base.horizon:
                    seen.update(r.page for r, _ in file.overflow_pages(entry.value))
            elif not isinstance(entry.value, bytes) and entry.value.page:
                todo.append((entry.value, history or not newest))
            after = entry
    return seen


def history_is_cold(file: File, met: set[int], use: Callable[[int, str], None]) -> None:
    """Each cold id has its page or its chain, and leads to where nothing else does."""
    kept = {id_: cold for id_, cold in file.cold.items() if cold.commit > file.base.horizon}
    assert met == {id_ for id_, cold in kept.items() if cold.kind in (COLD_PAGE, COLD_PACKED)}
    assert all(cold.kind in (COLD_PAGE, COLD_CHAIN, COLD_PACKED) for cold in file.cold.values())
    places = [(cold.ref.page, cold.place) for cold in file.cold.values() if not is_erased(cold)]
    assert len(places) == len(set(places))
    for strip in file.strips.values():
        for ref in strip.pages:
            use(ref.page, f"the strip from {strip.first} on")
        strip_is_whole(file, strip)
    for id_ in file.cold.keys() - kept.keys():
        for page in listed_pages(file, file.cold[id_]):
            use(page, "waiting to be freed")


def is_erased(cold: Cold) -> bool:
    """A chain of which nothing is left."""
    return cold.kind == COLD_CHAIN and cold.ref == Ref(0, 0)


def strip_is_whole(file: File, strip: Strip) -> None:
    """Cold ids lead to each page in its packs, so none holds more than is kept; and it counts right."""
    ids = [id_ for id_, cold in file.cold.items() if cold.kind == COLD_PACKED and strip.holds(id_ - COLD_FIRST)]
    led = {(file.cold[id_].ref.page, file.cold[id_].place) for id_ in ids}
    assert led == {(page, offset * 16 + i) for (page, offset), pack in strip.packs.items() for i in range(pack[1])}
    nodes = [file.packed(id_) for id_ in ids]
    assert strip.entries == sum(len(node.entries) for node in nodes if node.level == 0)
    assert [node.owner for node in nodes] == [file.cold[id_].tree for id_ in ids]


def listed_pages(file: File, cold: Cold) -> Iterator[int]:
    """Those that the element alone accounts for; strips do of theirs."""
    ref = cold.ref
    if cold.kind == COLD_PACKED or is_erased(cold):
        return
    yield ref.page
    page = file.page(ref)
    while cold.kind == COLD_CHAIN and (ref := Ref(u64(page, 32), u32(page, 40))).page:
        page = file.page(ref, OVERFLOW)
        yield ref.page


@pytest.mark.slow
@pytest.mark.parametrize("key_size", [0, 8])
@pytest.mark.parametrize("page_size", [512, 2048])
def test_bare_trees_read_the_same_at_every_commit(
    tmp_path: Path, seed: int, native, key_size: int, page_size: int
) -> None:
    path = tmp_path / "t.edb"
    model = Model()
    tree = BareTree(path, page_size, key_size)
    for batch in history(seed ^ page_size, key_size, 70, largest=2000):
        model.apply(tree.apply(batch), batch)
    live = tree.live()
    tree.close()
    file = File(path.read_bytes())
    assert file.newest.number == max(model.at)
    (state,) = file.trees()
    assert (state.key_size, state.live, state.born) == (key_size, live, 1)
    assert max(file.writer(page) for page in tree_pages(file, state, set())) <= state.changed <= file.newest.number
    for number, rows in model.at.items():
        expected = [(key, begun, value) for key, (value, begun) in sorted(rows.items())]
        assert list(file.scan(state, number)) == expected, f"at {number}"
    every_page_once(file)


def random_value(rng: random.Random, page_size: int) -> object:
    """For a column that is indexed (page_size 0: short ones only), or for any."""
    short: list[object] = [
        None, 0, 1, -1, rng.randrange(-200, 200), rng.randrange(-(2**63), 2**63), 2**53 + 1, rng.random() * 1e6, -0.5,
        1e300, "", "a", "Ä\0b", "B\0a", "x" * rng.randrange(20), b"", b"\0\xff", rng.randbytes(10),
    ]
    long = ["long " * rng.randrange(page_size), rng.randbytes(2 * page_size)] if page_size else []
    return rng.choice([*short, *long])


@pytest.mark.slow
@pytest.mark.parametrize("page_size", [512, 4096])
def test_databases_made_through_sql_read_the_same_at_every_commit(
    tmp_path: Path, rng: random.Random, native, page_size: int
) -> None:
    """Tables, columns of all affinities, indexes of several parts and collations, DDL on the way, reopening."""
    path = tmp_path / "t.edb"
    queries = {
        "alpha": "SELECT rowid, id, a, b, c, d FROM alpha ORDER BY rowid",
        "beta": "SELECT rowid, x, y FROM beta ORDER BY rowid",
    }
    states: dict[int, tuple[int, dict[str, list[tuple[object, ...]]]]] = {}
    labels: dict[int, dict[str, int]] = {}
    said: dict[int, tuple[object, ...]] = {}

    def connect() -> driver.Connection:
        return driver.connect(path, page_size=page_size, synchronous="normal")

    def say(db: driver.Connection, step: int) -> None:
        info = {"actor": rng.choice(["ann", "böb"]), "reason": rng.choice([None, "r" * rng.randrange(1, page_size)])}
        info |= {"step": step} if rng.random() < 0.5 else {}
        db.execute("SELECT entitydb_transaction_info(?)", [json.dumps(info)])

    def remember(db: driver.Connection) -> None:
        number, ns = db.last_commit
        tables = db.catalog()
        states[number] = ns, {name: db.execute(queries[name]).fetchall() for name in tables}
        (said[number],) = db.execute(
            "SELECT actor, reason, metadata FROM entitydb_transactions WHERE id = ?", [number]
        ).fetchall()
        labels[number] = dict(db.execute("SELECT label, number FROM entitydb_labels").fetchall())
        db.rollback()

    def change(db: driver.Connection, names: list[str]) -> None:
        name = rng.choice(names)
        ids = rng.randrange(1, 60)
        kind = rng.random()
        if name == "alpha":
            row = [random_value(rng, room) for room in (0, 0, page_size, 0)]
            if kind < 0.5:
                db.execute("INSERT OR REPLACE INTO alpha VALUES (?, ?, ?, ?, ?)", [ids, *row])
            elif kind < 0.8:
                column = rng.randrange(4)
                db.execute(f"UPDATE alpha SET {'abcd'[column]} = ? WHERE id BETWEEN ? AND ?",
                           [row[column], ids, ids + 5])
            else:
                db.execute("DELETE FROM alpha WHERE id BETWEEN ? AND ?", [ids, ids + rng.randrange(10)])
        elif kind < 0.6:
            db.executemany("INSERT INTO beta(x) VALUES (?)", [(rng.randrange(5),) for _ in range(rng.randrange(1, 20))])
        else:
            db.execute("DELETE FROM beta WHERE x = ?", [rng.randrange(5)])

    db = connect()
    db.execute("CREATE TABLE alpha(id INTEGER PRIMARY KEY, a INTEGER, b TEXT COLLATE NOCASE DEFAULT 'none', c, d REAL)")
    db.execute("CREATE INDEX alpha_ab ON alpha(a DESC, b)")
    db.commit()
    remember(db)
    names = ["alpha"]
    for step in range(60):
        if step == 10:
            db.execute("CREATE TABLE beta(x INTEGER NOT NULL, y TEXT DEFAULT 'why')")
            names.append("beta")
        if step == 25:
            db.execute("CREATE INDEX alpha_d ON alpha(d, a)")
            db.execute("CREATE INDEX beta_x ON beta(x)")
            db.execute("CREATE INDEX alpha_part ON alpha(b, a) WHERE c IS NOT NULL AND a > 20")
        if step == 30:
            db.execute("ALTER TABLE beta DROP COLUMN y")
            db.execute("ALTER TABLE beta ADD COLUMN z TEXT NOT NULL DEFAULT 'added'")
            db.execute("CREATE VIEW gamma AS SELECT x FROM beta")
            db.execute("PRAGMA user_version = 7")
            queries["beta"] = "SELECT rowid, x, z FROM beta ORDER BY rowid"
        if step == 40:
            db.execute("ALTER TABLE beta ALTER COLUMN z SET DEFAULT 'later'")
            db.execute("ALTER TABLE beta DROP COLUMN z")
            db.execute("ALTER TABLE beta ADD COLUMN z REAL DEFAULT 2.5")
        if step == 50:
            db.execute("DROP VIEW gamma")
            db.execute("DROP TABLE beta")
            names.remove("beta")
        before = db.last_commit[0]
        for _ in range(rng.randrange(1, 4)):
            change(db, names)
        if step > 20 and rng.random() < 0.3:
            db.execute("SELECT entitydb_label(?)", [rng.choice(["one", "two", "äh"])])
        if step > 15 and rng.random() < 0.6:
            say(db, step)
        db.commit()
        if db.last_commit[0] != before:
            remember(db)
        if step % 20 == 19:
            db.close()
            db = connect()
            db.execute("INSERT OR REPLACE INTO alpha(id, a) VALUES (1, ?)", [step])
            db.commit()
            remember(db)
    db.close()

    file = File(path.read_bytes())
    assert file.durable_mark == (file.newest.number, 0), "a clean close leaves the mark"
    times = file.times()
    assert times[0] == 0
    assert times == sorted(set(times))
    assert set(states) == set(range(1, len(times)))
    for number, (ns, tables) in states.items():
        assert times[number] == ns
        assert file.number_at(ns) == number
        assert file.number_at(ns - 1) == number - 1
        assert file.labels(number) == labels[number]
        assert tuple(file.info(number) or (None, None, None)) == said[number]
        assert file.actor_at(number) == ([] if said[number][0] is None else [said[number][0]])
        catalog = file.catalog(number)
        assert sorted(catalog) == sorted(tables)
        for name, rows in tables.items():
            assert [(id_, *values) for id_, values in file.rows(catalog[name], number)] == rows, f"{name} at {number}"
    indexes_agree(file, range(1, len(times)))
    every_page_once(file)


def test_statistics_are_read_as_they_were_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.edb"
    with closing(driver.connect(path)) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT)")
        db.execute("CREATE INDEX t_ab ON t(a, b)")
        db.executemany("INSERT INTO t(a, b) VALUES (?, ?)", [(i % 10, None if i % 4 else "x") for i in range(1000)])
        db.commit()
        before = db.last_commit[0]
        table = db.catalog()["t"]
        db.execute("ANALYZE")
        db.commit()
    file = File(path.read_bytes())
    assert file.statistics(before) == {}
    kept = file.statistics()
    columns = file.catalog()["t"].columns
    assert set(kept) == {(table.indexes[0].tree, 2**32 - 1), *((table.id, column.id) for column in columns)}
    assert {count for count, _ in kept.values()} == {1000}
    _, (mean, met, mean_of_two, _) = kept[table.indexes[0].tree, 2**32 - 1]
    assert mean == pytest.approx(met) == pytest.approx(100)
    assert mean_of_two == pytest.approx(50)     # of those that are not NULL: five values of a have them
    nulls, _, same = kept[table.id, columns[2].id][1]
    assert 0.6 < nulls < 0.9
    assert 0.1 < same < 0.4
    every_page_once(file)


def fold(value: object, collation: int) -> object:
    if collation == 1 and isinstance(value, str):
        head, _, _ = value.partition("\0")
        folded = "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in head)
        return folded + "\0" * (len(value.encode()) - len(head.encode())) if len(value) > len(head) else folded
    return value


def above_20(value: object) -> bool:
    return isinstance(value, (str, bytes)) or (isinstance(value, (int, float)) and value > 20)


# What the WHERE of a partial index means.
COVERS = {"c IS NOT NULL AND a > 20": lambda values: values[3] is not None and above_20(values[1])}


def indexes_agree(file: File, numbers: range) -> None:
    """At every commit since an index is complete, its keys give back the rows' values."""
    for number in numbers:
        for table in file.catalog(number).values():
            rows = dict(file.rows(table, number))
            for index in table.indexes:
                tree = file.tree(index.tree)
                if number < tree.born:
                    continue
                found = {}
                for key, _, _ in file.scan(tree, number):
                    values, rest = decode_key(key, [down for _, _, down in index.parts])
                    found[int.from_bytes(rest, "big") - 2**63] = values
                assert found == {
                    id_: [fold(values[column], collation) for column, collation, _ in index.parts]
                    for id_, values in rows.items()
                    if index.where is None or COVERS[index.where](values)
                }, f"{index.name} at {number}"


def test_the_reader_knows_the_examples_of_the_description() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    for value, hexes in {
        None: "10", 1: "20 BFF0000000000000", -1: "20 400FFFFFFFFFFFFF", 2**53 + 1: "20 C340000000000000 8001",
        2**63 - 1: "20 C3E0000000000000 7FFF", "a\0b": "30 61 00FF 62 0000",
    }.items():
        assert decode_key(bytes.fromhex(hexes), [False]) == ([value], b"")
    row = bytes([4 << 2 | 0, 3, 5, 0, 4, 2, 4, 4, 12]) + b"\x01\x02hi" + struct.pack("<d", 1.5)
    assert decode_row(row) == [513, "hi", None, 1.5]


@pytest.mark.slow
def test_unsynced_commits_count_when_their_pages_are_there(tmp_path: Path, rng: random.Random, native) -> None:
    """A copy of an open file, as a killed process leaves it: the reader chooses the commit that the engine does."""
    path, copy = tmp_path / "t.edb", tmp_path / "copy.edb"
    db = driver.connect(path, page_size=512, synchronous="normal")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n)")
    db.executemany("INSERT INTO t VALUES (?, 0)", [(i,) for i in range(30)])
    db.commit()
    chosen = set()
    for n in range(60):
        db.execute("UPDATE t SET n = ? WHERE id = ?", (n, rng.randrange(30)))
        if rng.random() < 0.7:          # more than a redo record holds: pages
            db.execute("UPDATE t SET n = ? WHERE id = 7", (rng.randbytes(4100),))
        db.commit()
        image = bytearray(path.read_bytes())
        file = File(bytes(image))
        assert file.newest.number == db.last_commit[0]
        # A page that the newest lists was never written.
        lost = rng.choice([ref for ref in file.newest.listed if ref.tag] or [None])
        if lost is None:
            continue
        image[lost.page * 512 : (lost.page + 1) * 512] = bytes(512)
        try:
            number = File(bytes(image)).newest.number
        except Exception:
            number = None
        copy.write_bytes(image)
        with_engine = driver.Database(copy)
        assert with_engine.stats()["published"] == number
        with_engine.close()
        copy.unlink()
        chosen.add(db.last_commit[0] - number)
    db.close()
    assert chosen - {0}


def test_nodes_are_read_strictly(tmp_path: Path, native) -> None:
    """The reader is a judge too: what it lets pass is what the description says."""
    path = tmp_path / "t.edb"
    tree = BareTree(path, 512, 8)
    for n in range(8):
        tree.apply({(i + (1 << 63)).to_bytes(8, "big"): b"%d" % n for i in range(3)})
    tree.close()
    file = File(path.read_bytes())
    root = file.trees()[0].root
    page = bytearray(file.page(root))
    decode_node(bytes(page), root.page)
    wrong = 0
    for at in range(28, 64 + 8 * 3):
        forged = bytearray(page)
        forged[at] ^= 4
        try:
            decode_node(bytes(forged), root.page)
        except Exception:
            wrong += 1
    assert wrong > 50
