"""For each numbered invariant that bytes of a file can break: a forged file that breaks only it, and `check` names it.

The page is named too where the invariant is one of a page. What is forged has whole checksums all the way up, so that
nothing but `check` can know; and what reads the file meanwhile gets rows or an error and does not crash.

No forged file can break these, because they say what processes do and not what a file holds: I2 and I6 (the order of a
commit, settled moments), I3 (that free space follows from the record; what it says of pages is I36), I4 and I10 (pins
and locks in memory). I11 and I8 are kept at opening and at committing, and tested as such below.
I37 and I38 are broken through transactions (tests/engine/upkeep/test_check.py), I39 to I41 in test_forged_tags.py, I43
and I44 in test_forged_info.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

from .forger import Forger, put
from .reader import (
    ARRAY,
    COLD_FIRST,
    INTERIOR,
    LEAF,
    MARK,
    MARK_MAGIC,
    SLOTS,
    Entry,
    Node,
    Ref,
    Tree,
    crc32c,
    u32,
    u64,
)

Forge = Callable[[Forger], "int | None"]
FORGERIES: list[tuple[str, Forge]] = []


def breaks(invariant: str) -> Callable[[Forge], Forge]:
    """Marks a function that forges: it returns the page that check must name, None where there is none."""
    def add(forge: Forge) -> Forge:
        FORGERIES.append((invariant, forge))
        return forge
    return add


# ---- finding one's way ------------------------------------------------------------------------------------------


def tree_of(f: Forger, table: str) -> Tree:
    return f.file.tree(f.file.catalog()[table].id)


def root_node(f: Forger, table: str) -> Node:
    return f.file.node(tree_of(f, table).root)


def living_leaves(f: Forger, table: str) -> list[Node]:
    """The current leaves of a table, by key."""
    def walk(ref: Ref) -> list[Node]:
        node = f.file.node(ref)
        if node.level == 0:
            return [node]
        newest = {e.key: e for e in reversed(node.entries)}
        return [leaf for key in sorted(newest) if newest[key].value.page for leaf in walk(newest[key].value)]
    return walk(tree_of(f, table).root)


def current_nodes(f: Forger, table: str) -> list[Node]:
    found, todo = [], [tree_of(f, table).root]
    while todo:
        node = f.file.node(todo.pop(0))
        found.append(node)
        if node.level:
            newest = {e.key: e for e in reversed(node.entries)}
            todo += [e.value for e in newest.values() if e.value.page]
    return found


def change_live(f: Forger, table: str, by: int) -> None:
    state = f.state(tree_of(f, table).id)
    put(state, 32, u64(state, 32) + by, 8)


def with_times(f: Forger, node: Node, entry: Entry, begun: int) -> None:
    """Gives one entry of a node another `from`."""
    f.rebuild(node.page, [replace(e, begun=begun) if e is entry else e for e in node.entries])


# ---- the pager's ------------------------------------------------------------------------------------------------


@breaks("I1")
def a_page_written_after_the_page_above_it(f: Forger) -> int:
    root = root_node(f, "plain")
    child = root.entries[0].value
    put(f.page(child.page), 16, f.file.writer(root.page) + 1, 8)
    return child.page


@breaks("I1")
def a_value_written_after_its_leaf(f: Forger) -> int:
    # The newest value: no leaf of the past shares its chain.
    leaf, newest = max(((leaf, e) for leaf in living_leaves(f, "big") for e in leaf.entries if e.overflow),
                       key=lambda found: found[1].begun)
    first = next(ref for ref, _ in f.file.overflow_pages(newest.value))
    put(f.page(first.page), 16, f.file.writer(leaf.page) + 1, 8)
    return first.page


@breaks("I16")
def a_tree_changed_later_than_its_state_says(f: Forger) -> int:
    """Validation at commit believes the state: conflicts would be missed."""
    tree = tree_of(f, "hot")
    put(f.state(tree.id), 112, tree.born, 8)
    return tree.root.page


@breaks("I5")
def a_page_freed_by_a_commit_yet_to_come(f: Forger) -> int:
    young = f.record.young
    f.record = replace(f.record, young=[replace(young[0], freed=f.record.number + 5), *young[1:]])
    return young[0].page


@breaks("I7")
def a_record_too_far_from_what_was_durable(f: Forger) -> None:
    assert f.record.number > 256
    f.record = replace(f.record, durable=0)


@breaks("I9")
def a_page_that_is_not_what_its_parent_means(f: Forger) -> int:
    """A bit of a page beside the checksums."""
    page = living_leaves(f, "plain")[2].page
    f.flips.append(page * f.size + 300)
    return page


@breaks("I9")
def a_page_with_anothers_number(f: Forger) -> int:
    page = living_leaves(f, "plain")[0].page
    put(f.page(page), 8, page + 1, 8)
    return page


@breaks("I36")
def a_free_page_that_is_in_use(f: Forger) -> int:
    page = living_leaves(f, "plain")[1].page
    f.add_free(page)
    return page


@breaks("I36")
def a_page_that_is_nothing(f: Forger) -> int:
    lost = f.record.young[-1].page
    f.record = replace(f.record, young=f.record.young[:-1])
    return lost


@breaks("I36")
def a_page_free_twice(f: Forger) -> int:
    f.add_free(f.record.young[0].page, f.record.young[0].made)
    return f.record.young[0].page


@breaks("I36")
def a_free_page_beyond_the_file(f: Forger) -> int:
    f.add_free(f.record.pages + 7, 1)
    return f.record.pages + 7


# ---- the tree's -------------------------------------------------------------------------------------------------


@breaks("I12")
def a_node_of_another_tree(f: Forger) -> int:
    page = living_leaves(f, "plain")[0].page
    put(f.page(page), 24, tree_of(f, "hot").id, 4)
    return page


@breaks("I13")
def a_header_that_misstates_the_newest_version(f: Forger) -> int:
    page = living_leaves(f, "plain")[0].page
    put(f.page(page), 32, u64(f.page(page), 32) + 1, 8)
    return page


@breaks("I13")
def versions_out_of_order(f: Forger) -> int:
    node = living_leaves(f, "plain")[0]
    one, two = node.entries[0].slot, node.entries[1].slot
    page = f.page(node.page)
    page[one : one + 8], page[two : two + 8] = bytes(page[two : two + 8]), bytes(page[one : one + 8])
    return node.page


@breaks("I13")
def a_version_that_ended_at_another_time(f: Forger) -> int:
    leaf = next(leaf for leaf in living_leaves(f, "hot") if any(not e.live for e in leaf.entries))
    slot = next(e.slot for e in leaf.entries if not e.live)
    page = f.page(leaf.page)
    put(page, slot + 8, u64(page, slot + 8) + (1 << 16), 8)
    return leaf.page


@breaks("I14")
def a_current_page_entered_as_history_too(f: Forger) -> int:
    """An ended entry whose child is a current page that comes before it; nothing leads to its own child."""
    for node in current_nodes(f, "hot"):
        if node.level != 1:
            continue
        for i, ended in enumerate(node.entries):
            before = [e for e in node.entries[:i] if e.live and e.value.page]
            if ended.live or not ended.value.page or not before:
                continue
            others = [e.value.page for e in node.entries if e is not ended]
            if ended.value.page in others:
                continue
            f.rebuild(node.page, [replace(e, value=before[0].value) if e is ended else e for e in node.entries])
            return before[0].value.page
    pytest.fail("the sample has no such node")


@breaks("I15")
def a_key_beyond_its_range(f: Forger) -> int:
    leaf = living_leaves(f, "plain")[0]
    last = leaf.entries[-1]
    f.rebuild(leaf.page, [replace(e, key=(2**63 + 100).to_bytes(8, "big")) if e is last else e for e in leaf.entries])
    return leaf.page


@breaks("I16")
def a_version_from_the_future(f: Forger) -> int:
    leaf = living_leaves(f, "plain")[1]
    with_times(f, leaf, leaf.entries[3], f.record.number + 1)
    return leaf.page


@breaks("I17")
def roots_that_do_not_ascend(f: Forger) -> int:
    tree = tree_of(f, "hot")
    roots = f.file.roots(tree)
    assert tree.recent
    put(f.state(tree.id), 28 + 20 * len(tree.recent), roots[-3][0], 8)
    return roots[-2][1].page


@breaks("I18")
def an_entry_larger_than_a_quarter_of_a_page(f: Forger) -> int:
    leaf = living_leaves(f, "plain")[1]
    kept = leaf.entries[:4]
    f.rebuild(leaf.page, [kept[0], replace(kept[1], value=bytes(150)), *kept[2:]])
    change_live(f, "plain", len(kept) - len(leaf.entries))
    return leaf.page


@breaks("I19")
def an_interior_node_that_begins_late(f: Forger) -> int:
    """The lowest separator above the leaves is raised; all keys below it are still higher."""
    node = next(node for node in current_nodes(f, "plain") if node.level == 1)
    first = node.entries[0]
    assert all(e.live for e in node.entries)
    assert not any(first.key)
    f.rebuild(node.page, [replace(first, key=bytes(7) + b"\1"), *node.entries[1:]])
    return node.page


@breaks("I20")
def a_value_longer_than_its_chain(f: Forger) -> int:
    """Of a version that has ended, so that nothing else needs to read it."""
    for leaf in living_leaves(f, "big"):
        for entry in leaf.entries:
            if entry.overflow and not entry.live:
                longer = (u64(entry.value, 0) + 1).to_bytes(8, "little") + entry.value[8:]
                f.rebuild(leaf.page, [replace(e, value=longer) if e is entry else e for e in leaf.entries])
                return leaf.page
    pytest.fail("the sample has no such version")


@breaks("I20")
def a_page_of_a_value_that_holds_nothing(f: Forger) -> int:
    for leaf in living_leaves(f, "big"):
        for entry in leaf.entries:
            if entry.overflow and not entry.live:
                last = [ref for ref, _ in f.file.overflow_pages(entry.value)][-1]
                put(f.page(last.page), 28, 0, 4)
                return last.page
    pytest.fail("the sample has no such version")


@breaks("I21")
def a_tree_that_counts_wrong(f: Forger) -> int:
    change_live(f, "plain", 1)
    return tree_of(f, "plain").root.page


# ---- cold ids ---------------------------------------------------------------------------------------------------


def history_entries(f: Forger) -> list[tuple[Node, Entry]]:
    """The entries of current nodes of a table that lead to history."""
    return [(node, e) for node in current_nodes(f, "hot") if node.level
            for e in node.entries if e.value.page >= COLD_FIRST]


def cold_element(f: Forger, id_: int) -> memoryview:
    pages = [ref.page for ref in f.file.cold_pages() if f.page(ref.page)[4] == ARRAY]
    room = f.file.room(24)
    at = 32 + 24 * ((id_ - COLD_FIRST) % room)
    return f.page(pages[(id_ - COLD_FIRST) // room])[at : at + 24]


@breaks("I47")
def history_without_a_cold_id(f: Forger) -> int:
    node, entry = history_entries(f)[0]
    place = f.file.place(entry.value)
    f.rebuild(node.page, [replace(e, value=place) if e.value == entry.value else e for e in node.entries])
    return place.page


@breaks("I47")
def a_cold_id_for_what_is_current(f: Forger) -> int:
    id_ = next(id_ for id_, cold in f.file.cold.items() if cold.tree == tree_of(f, "hot").id)
    node = next(node for node in current_nodes(f, "hot") if node.level == 1)
    current = next(e for e in node.entries if e.value.page and e.value.page < COLD_FIRST)
    f.rebuild(node.page, [replace(e, value=Ref(id_, 0)) if e is current else e for e in node.entries])
    return id_


@breaks("I47")
def a_cold_id_of_what_is_not_history(f: Forger) -> int:
    _, entry = history_entries(f)[0]
    leaf = living_leaves(f, "hot")[0].page
    put(cold_element(f, entry.value.page), 0, leaf, 5)
    return leaf


@breaks("I47")
def a_page_with_two_cold_ids(f: Forger) -> int:
    one, other = sorted({entry.value.page for _, entry in history_entries(f)})[:2]
    cold_element(f, other)[:6] = cold_element(f, one)[:6]
    return f.file.cold[one].ref.page


@breaks("I47")
def cold_ids_that_do_not_ascend(f: Forger) -> None:
    put(cold_element(f, min(f.file.cold)), 6, f.record.number, 6)


@breaks("I47")
def a_cold_id_of_an_unknown_kind(f: Forger) -> None:
    put(cold_element(f, min(f.file.cold)), 5, 7, 1)


@breaks("I47")
def a_cold_id_of_another_tree(f: Forger) -> int:
    _, entry = history_entries(f)[0]
    put(cold_element(f, entry.value.page), 16, tree_of(f, "plain").id, 4)
    return f.file.place(entry.value).page


@breaks("I48")
def history_that_was_pruned_and_is_kept(f: Forger) -> None:
    """The pages are there, and nothing is said of them."""
    f.record = replace(f.record, cold_first=f.file.room(24) - 1)        # no page of the list is to go


# ---- transactions' and the catalog's ----------------------------------------------------------------------------


@breaks("I30")
def a_tree_made_by_no_commit(f: Forger) -> int:
    put(f.state(tree_of(f, "plain").id), 24, 0, 8)
    return tree_of(f, "plain").root.page


@breaks("I30")
def a_tree_changed_by_no_commit(f: Forger) -> int:
    put(f.state(tree_of(f, "plain").id), 112, f.record.number + 1, 8)
    return tree_of(f, "plain").root.page


@breaks("I30")
def an_impossible_next_row_id(f: Forger) -> int:
    put(f.state(tree_of(f, "plain").id), 40, 2**63 + 1, 8)
    return tree_of(f, "plain").root.page


@breaks("I31")
def commit_times_that_do_not_ascend(f: Forger) -> None:
    tail = f.record.tail
    f.record = replace(f.record, tail=[*tail[:-2], tail[-3], tail[-1]])


@breaks("I31")
def old_commit_times_that_do_not_ascend(f: Forger) -> None:
    page = next(ref.page for level, ref in f.file.list_pages(f.record.stamps) if level == 0)
    assert f.page(page)[4] == ARRAY
    put(f.page(page), 32 + 8 * 5, 1, 8)


@breaks("I32")
def a_table_without_a_tree(f: Forger) -> None:
    """The id in a table's catalog entry, which stands in a chain, is changed to one that no tree has."""
    assert f.file.newest.trees.count < 99
    key = f.file.catalog()["indexed"].id + 2**63
    node = f.file.node(f.file.trees()[0].root)
    entry = next(e for e in node.entries if e.live and int.from_bytes(e.key, "big") == key)
    assert entry.overflow
    page = f.page(u64(entry.value, 8))
    assert page[50] == key - 2**63
    page[50] = 99


@breaks("I33")
def an_index_entry_of_no_row(f: Forger) -> int:
    """The key of an index entry names another row: the row it was of has none."""
    table = f.file.catalog()["indexed"]
    index = f.file.tree(table.indexes[0].tree)
    ref = index.root
    while (node := f.file.node(ref)).level:
        ref = [e for e in node.entries if e.live][-1].value
    last = [e for e in node.entries if e.live][-1]
    f.rebuild(node.page, [replace(e, key=e.key[:-1] + b"\x7f") if e is last else e for e in node.entries])
    return index.root.page


@breaks("I34")
def a_catalog_younger_than_the_schema_number(f: Forger) -> int:
    f.record = replace(f.record, schema=1)
    return f.file.trees()[0].root.page


@breaks("I35")
def a_row_whose_id_is_still_to_be_given_out(f: Forger) -> int:
    tree = tree_of(f, "plain")
    put(f.state(tree.id), 40, tree.next_id - 1, 8)
    return tree.root.page


# ---- the tests --------------------------------------------------------------------------------------------------

QUERIES = [
    "SELECT id, v FROM plain", "SELECT id, v FROM hot ORDER BY id DESC", "SELECT id, v FROM big",
    "SELECT id, a, b FROM indexed", "SELECT id FROM indexed INDEXED BY indexed_b WHERE b > 'b' ORDER BY b",
    "SELECT a.id FROM indexed a JOIN indexed b ON a.a = b.a WHERE a.id = 7", "SELECT count(*) FROM hot",
    "SELECT id FROM indexed WHERE length(b) > 1 AND a > 20 AND b > 'b'",
]
WRITES = [
    "UPDATE indexed SET b = b || 'x', a = a + 1 WHERE id % 3 = 0", "DELETE FROM indexed WHERE a > 50",
    "INSERT INTO indexed VALUES (1000, 7, 'new')", "UPDATE hot SET v = 'last'", "DELETE FROM plain WHERE id < 70",
    "INSERT OR REPLACE INTO big SELECT id, v || v FROM big", "CREATE INDEX plain_v ON plain(v)", "DROP TABLE hot",
]


def forged(sample: tuple[bytes, Any], forge: Forge) -> tuple[bytes, int | None]:
    f = Forger(sample[0])
    page = forge(f)
    return f.sealed(), page


@pytest.mark.slow
def test_a_file_that_is_only_sealed_is_unchanged_and_sound(sample: Any, ask: Any, tmp_path: Path) -> None:
    f = Forger(sample[0])
    assert f.sealed() == sample[0]
    for table in ("plain", "hot", "big", "indexed"):
        for node in current_nodes(f, table):
            before = f.file.node(Ref(node.page, u32(f.page(node.page), 0)))
            f.rebuild(node.page, node.entries)
            # All but the place of the cells, which stand in the order in which they came where a leaf was edited.
            assert bytes(f.page(node.page)[:64]) == sample[0][node.page * f.size :][:64]
            assert before.entries == node.entries
    (tmp_path / "t.edb").write_bytes(f.sealed())
    assert ask(tmp_path / "t.edb")["check"] == []


@pytest.mark.slow
@pytest.mark.parametrize(("invariant", "forge"), FORGERIES, ids=[f"{i}-{f.__name__}" for i, f in FORGERIES])
def test_check_names_the_invariant_and_the_page(
    sample: Any, ask: Any, tmp_path: Path, invariant: str, forge: Forge
) -> None:
    data, page = forged(sample, forge)
    (tmp_path / "t.edb").write_bytes(data)
    moments = sample[1]["moments"]
    answer = ask(tmp_path / "t.edb", moments=moments[:: len(moments) // 6], queries=QUERIES)
    assert answer["opened"] is None
    assert answer["check"], "nothing was found"
    # Below a page that cannot be read, or that nothing leads to, is nothing to be found.
    others = {"I9": {"I36", "I21"}, "I14": {"I47", "I36"}, "I47": {"I9", "I12", "I14", "I21", "I36"}, "I48": {"I36"}}
    met = {found for found, _, _ in answer["check"]}
    assert met - others.get(invariant, set()) == {invariant}, answer["check"]
    if page is not None:
        assert page in [at for found, at, _ in answer["check"] if found == invariant], answer["check"]
    for result in [one for at in answer["rows"] for one in at]:
        assert isinstance(result, list) or "DatabaseError" in result["error"][1]


def test_every_invariant_that_a_file_can_break_is_broken() -> None:
    assert {invariant for invariant, _ in FORGERIES} == {
        "I1", "I5", "I7", "I9", *(f"I{n}" for n in range(12, 22)), *(f"I{n}" for n in range(30, 37)),
        "I47", "I48",
    }


@pytest.mark.slow
def test_i8_a_durable_commit_that_is_not_there_is_refused_at_opening(sample: Any, ask: Any, tmp_path: Path) -> None:
    """The durable number never passes what was published."""
    number = Forger(sample[0]).record.number
    data = bytearray(sample[0])
    mark = bytearray(24)
    put(mark, 4, MARK_MAGIC, 4)
    put(mark, 8, number + 1, 8)
    put(mark, 0, crc32c(mark[4:]), 4)
    data[MARK : MARK + 24] = mark
    (tmp_path / "t.edb").write_bytes(data)
    kind, _, message = ask(tmp_path / "t.edb")["opened"]
    assert kind == "DamageError"
    assert "t.edb" in message
    assert f"commit {number + 1}" in message


def test_i11_a_last_commit_in_the_future_is_not_built_upon(sample: Any, tmp_path: Path) -> None:
    f = Forger(sample[0])
    ahead = time.time_ns() + 3600 * 10**9
    f.record = replace(f.record, time_ns=ahead, tail=[*f.record.tail[:-1], ahead])
    (tmp_path / "t.edb").write_bytes(f.sealed())
    db = driver.connect(tmp_path / "t.edb")
    try:
        assert len(db.execute("SELECT * FROM plain").fetchall()) == 120
        db.execute("DELETE FROM plain")
        with pytest.raises(driver.OperationalError, match="ahead of the clock"):
            db.commit()
        assert len(db.execute("SELECT * FROM plain").fetchall()) == 120
    finally:
        db.close()


# ---- forgeries of any kind: readers survive ----------------------------------------------------------------------


@pytest.fixture(params=["sample", "redone"])
def either(request: pytest.FixtureRequest) -> Any:
    """The file that ends in a page record, or the one with redo records behind it, which change what is forged."""
    return request.getfixturevalue(request.param)


@pytest.mark.slow
def test_no_forged_page_crashes_a_reader(either: Any, ask: Any, tmp_path: Path, rng: Any) -> None:
    """Random bytes of random pages, sealed: what a page says is believed as far as it is possible, and no further."""
    moments = either[1]["moments"]
    kinds: dict[int, int] = {}
    for round_ in range(80):
        f = Forger(either[0])
        pages = [p for p in range(f.file.first_page, f.record.pages) if f.page(p)[4] and u64(f.page(p), 8) == p]
        by_kind: dict[int, list[int]] = {}
        for page in pages:
            by_kind.setdefault(f.page(page)[4], []).append(page)
        for _ in range(rng.choice([1, 1, 2, 5])):
            kind = rng.choice(sorted(by_kind))
            page = f.page(rng.choice(by_kind[kind]))
            kinds[kind] = kinds.get(kind, 0) + 1
            # Mostly heads, directories and pointers: there the harm is.
            low, high = rng.choice([(5, 64), (28, 52), (64, 160), (5, f.size)])
            at = rng.randrange(low, high)
            size = rng.choice([1, 1, 1, 2, 4, 8])
            value = rng.choice([0, 1, 255, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), rng.randrange(2 ** (8 * size))])
            put(page[:], min(at, f.size - size), value % 2 ** (8 * size), size)
        path = tmp_path / f"{round_}.edb"
        path.write_bytes(f.sealed())
        answer = ask(path, moments=rng.sample(moments, 3), queries=QUERIES, writes=WRITES)
        if answer["opened"] is None:
            check = answer["check"]
            assert isinstance(check, list) or check["error"][0] in ("DamageError", "OperationalError")
            for result in [one for at in answer["rows"] for one in at] + answer["writes"]:
                assert isinstance(result, list) or "DatabaseError" in result["error"][1], result
        path.unlink()
    assert set(kinds) >= {LEAF, INTERIOR, ARRAY}


@pytest.mark.slow
def test_no_forged_contents_crash_a_reader_or_a_writer(either: Any, ask: Any, tmp_path: Path, rng: Any) -> None:
    """Nodes are whole, but keys and values are not what the table says: cut, lengthened, exchanged, random. In trees of
    rows, of indexes and of the catalog; read, and written to."""
    moments = either[1]["moments"]
    whole = Forger(either[0])
    leaves: list[int] = []
    for tree in whole.file.trees():
        if tree.id == whole.file.catalog()["wide"].id:
            continue
        todo = [tree.root]
        while todo:
            node = whole.file.node(todo.pop())
            if node.level:
                todo += [e.value for e in node.entries if e.live and e.value.page]
            elif node.entries:
                leaves.append(node.page)

    def spoil(data: bytes) -> bytes:
        kind = rng.randrange(5)
        if kind == 0:
            return data[: rng.randrange(len(data) + 1)]
        if kind == 1:
            return data + rng.randbytes(rng.randrange(1, 10))
        if kind == 2:
            return rng.randbytes(len(data))
        out = bytearray(data)
        for _ in range(rng.choice([1, 2, 4]) if out else 0):
            out[rng.randrange(len(out))] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        return bytes(out)

    for round_ in range(70):
        f = Forger(either[0])
        for page in rng.sample(leaves, rng.choice([1, 1, 3])):
            node = f.file.node(Ref(page, u32(f.page(page), 0)))
            entries = list(node.entries)
            for _ in range(rng.choice([1, 1, 5])):
                i = rng.randrange(len(entries))
                if rng.random() < 0.6 and not entries[i].overflow and not entries[i].tombstone:
                    entries[i] = replace(entries[i], value=spoil(entries[i].value))
                else:
                    key = spoil(entries[i].key)
                    entries[i] = replace(entries[i], key=(key + bytes(8))[:8] if node.key_size else key)
            if rng.random() < 0.7:
                entries.sort(key=lambda e: (e.key, -e.begun))
            try:
                f.rebuild(page, entries)
            except AssertionError:          # they do not fit any more
                continue
        path = tmp_path / f"{round_}.edb"
        path.write_bytes(f.sealed())
        answer = ask(path, moments=rng.sample(moments, 2), queries=QUERIES, writes=WRITES)
        assert answer["opened"] is None
        for result in [one for at in answer["rows"] for one in at] + answer["writes"]:
            assert isinstance(result, list) or "DatabaseError" in result["error"][1], result
        path.unlink()


@pytest.mark.slow
def test_no_forged_record_crashes_or_hangs_a_reader(either: Any, ask: Any, tmp_path: Path, rng: Any) -> None:
    """Every number of the newest record, small and huge, with and without the mark that vouches for it."""
    moments = either[1]["moments"]
    numbers = ("durable", "schema", "horizon", "free_head", "free_seq", "free_chain", "free_entries", "free_next",
               "free_index", "before", "time_ns", "pages", "cold_first", "cold_since")
    huge = (0, 1, 7, 255, 2**16, 2**31, 2**32 - 1, 2**40, 2**62)
    for round_ in range(60):
        f = Forger(either[0])
        rc = f.record
        for _ in range(rng.choice([1, 1, 3])):
            value, kind = rng.choice(huge), rng.randrange(6)
            if kind == 0:
                name = rng.choice(("trees", "stamps", "cold"))
                what = getattr(rc, name)
                what = rng.choice([
                    replace(what, levels=min(value, 2**32 - 1)), replace(what, root=Ref(value, what.root.tag)),
                    replace(what, count=value if name != "stamps" else what.count),
                ])
                rc = replace(rc, **{name: what})
            elif kind == 1:
                more = SLOTS * rng.choice([1, 2**30, 2**40])      # commits that never were, in the same slot
                rc = replace(rc, number=rc.number + more, stamps=replace(rc.stamps, count=rc.stamps.count + more))
            elif kind == 2 and rc.young:
                young = list(rc.young)
                entry = rng.randrange(len(young))
                part, limit = rng.choice([("page", 2**40), ("made", 2**48), ("freed", 2**48)])
                young[entry] = replace(young[entry], **{part: value % limit})
                rc = replace(rc, young=young)
            elif kind == 3:
                tail = list(rc.tail)
                tail[rng.randrange(len(tail))] = rng.choice([value, -value])
                rc = replace(rc, tail=tail)
            else:
                name = rng.choice(numbers)
                rc = replace(rc, **{name: min(value, 2**32 - 1) if name in ("free_index", "before") else value})
        f.record = rc
        data = bytearray(f.sealed())
        if rng.random() < 0.3:
            data[MARK : MARK + 24] = bytes(24)
        path = tmp_path / f"{round_}.edb"
        path.write_bytes(data)
        answer = ask(path, moments=rng.sample(moments, 2), queries=QUERIES, writes=WRITES)
        for result in [one for at in answer["rows"] for one in at] + answer["writes"]:
            assert isinstance(result, list) or "DatabaseError" in result["error"][1], result
        path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("pages", [2**15, 2**31, 2**40 - 1, 2**40, 2**63])
def test_a_record_does_not_make_the_file_as_long_as_it_says(sample: Any, ask: Any, tmp_path: Path, pages: int) -> None:
    """A commit that is not known durable may miss pages at the end of the file, but not more than commits can add."""
    f = Forger(sample[0])
    f.record = replace(f.record, pages=pages, durable=f.record.number - 1)
    data = bytearray(f.sealed())
    data[MARK : MARK + 24] = bytes(24)
    path = tmp_path / "long.edb"
    path.write_bytes(data)
    answer = ask(path, moments=[], queries=QUERIES, writes=WRITES)
    assert answer["opened"] is not None
    assert answer["opened"][0] == "DamageError"
    assert path.stat().st_size == len(data)


@pytest.mark.slow
def test_a_chain_of_impossible_length_is_damage(sample: Any, ask: Any, tmp_path: Path) -> None:
    """2^64-1 bytes: one more overflowed a buffer's size. And 1 TiB, which is not tried to be had."""
    for length in (2**64 - 1, 2**64 - 20, 2**40, 2**32, 2**31):
        f = Forger(sample[0])
        leaf = next(leaf for leaf in living_leaves(f, "big") if any(e.overflow and e.live for e in leaf.entries))
        entry = next(e for e in leaf.entries if e.overflow and e.live)
        forged_value = length.to_bytes(8, "little") + entry.value[8:]
        f.rebuild(leaf.page, [replace(e, value=forged_value) if e is entry else e for e in leaf.entries])
        (tmp_path / f"{length}.edb").write_bytes(f.sealed())
        answer = ask(tmp_path / f"{length}.edb", moments=[], queries=["SELECT * FROM big"])
        assert answer["check"]
        (kind, _, message) = answer["rows"][0][0]["error"]
        assert kind in ("DamageError", "DataError"), message


def test_a_page_of_a_commit_yet_to_come_is_not_written_over(
    sample: Any, redone: Any, ask: Any, tmp_path: Path
) -> None:
    """A commit writes again to the pages that it made itself, and to no others, whatever these say of their writer."""
    for data in (sample[0], redone[0]):
        for ahead in (1, 2, 100, 2**60):
            f = Forger(data)
            states = next(ref.page for level, ref in f.file.list_pages(f.record.trees) if level == 0)
            put(f.page(states), 16, f.file.newest.number + ahead, 8)
            path = tmp_path / f"{len(f.redo)}-{ahead}.edb"
            path.write_bytes(f.sealed())
            answer = ask(path, moments=[], queries=["SELECT id, v FROM plain"], writes=WRITES[:1])
            results = [*answer["writes"], *(answer["rows"][0] if f.redo else [])]
            for result in results:
                assert result["error"][0] == "DamageError"
                assert f"page {states} " in result["error"][2], result
            at = states * f.size
            assert path.read_bytes()[at : at + f.size] == f.page(states)


def test_a_tree_that_runs_in_circles_is_damage(sample: Any, ask: Any, tmp_path: Path) -> None:
    """A child of the same level, and a list that contains itself, end in an error and not in a loop. No tag can be
    right in a circle; a level that does not fall is seen without one."""
    f = Forger(sample[0])
    root = root_node(f, "plain")
    put(f.page(root.page), 5, 0, 1)
    (tmp_path / "t.edb").write_bytes(f.sealed())
    answer = ask(tmp_path / "t.edb", moments=[], queries=["SELECT * FROM plain"])
    assert answer["rows"][0][0]["error"][0] == "DamageError"
    assert str(root.page) in answer["rows"][0][0]["error"][2]
