"""Forged strips: of every field of their pages, and of the cold ids that lead into them, one that is wrong, with whole
checksums all the way up. `check` names what is wrong; who reads, writes, packs, prunes, erases and compacts meanwhile
gets rows or an error.

What a strip says of itself is I50, what a cold id says I47. Bytes that make no sense are damage (I9).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

from . import packs
from .forger import Forger, put
from .reader import (
    COLD_CHAIN,
    COLD_FIRST,
    COLD_PACKED,
    COLD_PAGE,
    LEAF,
    OVERFLOW,
    STRIP,
    STRIPS,
    Cold,
    File,
    Ref,
    Strip,
    crc32c,
    u32,
    u64,
)
from .test_damage import QUERIES as WHOLE
from .test_damage import rows_at
from .test_forged import QUERIES, WRITES, living_leaves, tree_of
from .test_reader import every_page_once

Forge = Callable[[Forger], "int | None"]
FORGERIES: list[tuple[str, Forge]] = []
IDS, FIRST, HEAD, ENTRIES = 44, 48, 56, 64      # fields of a page of a strip
ERASE = ["DELETE FROM hot WHERE id = 7",
         "INSERT INTO entitydb_erasures(subject_table, key_hash, row_id) VALUES ('hot', '', 7)"]
UPKEEP = ("verify", "pack", "compact", "prune", "pack", "compact")


def breaks(invariant: str) -> Callable[[Forge], Forge]:
    """Marks a function that forges: it returns the page that check must name, None where there is none."""
    def add(forge: Forge) -> Forge:
        FORGERIES.append((invariant, forge))
        return forge
    return add


# ---- finding one's way ----------------------------------------------------------------------------------------------


def strips(f: Forger) -> list[Strip]:
    return list(f.file.strips.values())


def packed_ids(f: Forger, strip: Strip) -> list[int]:
    return [id_ for id_, cold in f.file.cold.items() if cold.kind == COLD_PACKED and strip.holds(id_ - COLD_FIRST)]


def say(f: Forger, strip: Strip, at: int, value: int, size: int = 8) -> None:
    """In all pages of the strip."""
    for ref in strip.pages:
        put(f.page(ref.page), at, value, size)


def leaf_ids(f: Forger, strip: Strip, table: str = "hot") -> list[int]:
    """Of packed leaves of a table."""
    tree = tree_of(f, table).id
    return [id_ for id_ in packed_ids(f, strip) if f.file.cold[id_].tree == tree and f.file.packed(id_).level == 0]


def forge_contents(
    f: Forger, strip: Strip, change: Callable[[dict[int, packs.Node | bytes]], None], most: int = 1 << 20
) -> list[int]:
    """Packs the strip's pages anew, changed. -> its pages"""
    pages: dict[int, packs.Node | bytes] = {id_: f.file.packed(id_) for id_ in packed_ids(f, strip)}
    change(pages)
    ids = sorted(pages)
    groups = [ids[i : i + 2] for i in range(0, len(ids), 2)]
    entries = sum(len(node.entries) for node in pages.values() if isinstance(node, packs.Node) and node.level == 0)
    made = [(packs.encode([pages[id_] for id_ in group], f.size), [id_ - COLD_FIRST for id_ in group])
            for group in groups]
    return f.put_strip(strip.first, strip.ids, made, entries=entries, replaced=strip, most=most)


def change_first(f: Forger, id_: int, **changes: Any) -> None:
    """The first entry of a page of the first strip."""
    node = f.file.packed(id_)
    entries = [replace(node.entries[0], **changes), *node.entries[1:]]
    forge_contents(f, strips(f)[0], lambda pages: pages.update({id_: replace(node, entries=entries)}))


# ---- pages of a strip -----------------------------------------------------------------------------------------------


@breaks("I9")
def a_page_of_a_strip_of_another_kind(f: Forger) -> int:
    page = strips(f)[0].pages[1].page
    f.page(page)[4] = OVERFLOW
    return page


@breaks("I9")
def a_page_of_a_strip_without_data(f: Forger) -> int:
    page = strips(f)[0].pages[3].page
    put(f.page(page), 28, 0, 4)
    return page


@breaks("I9")
def a_page_of_a_strip_with_more_data_than_fits(f: Forger) -> int:
    page = strips(f)[0].pages[3].page
    put(f.page(page), 28, f.size - 71, 4)
    return page


@breaks("I50")
def a_strip_that_ends_early(f: Forger) -> int:
    strip = strips(f)[0]
    last = max((page for page, _ in strip.packs), key=[ref.page for ref in strip.pages].index)
    before = next(ref.page for ref, after in pairwise(strip.pages) if after.page == last)
    put(f.page(before), 32, 0, 8)
    put(f.page(before), 40, 0, 4)
    return last


@breaks("I9")
def a_strip_that_goes_on_in_another(f: Forger) -> int:
    one, other = strips(f)[:2]
    put(f.page(one.pages[-1].page), 32, other.head, 8)
    return other.head


@breaks("I9")
def a_strip_that_goes_on_in_a_leaf(f: Forger) -> int:
    leaf = living_leaves(f, "plain")[0].page
    put(f.page(strips(f)[0].pages[-1].page), 32, leaf, 8)
    return leaf


@breaks("I9")
def a_strip_that_goes_on_behind_the_file(f: Forger) -> int:
    put(f.page(strips(f)[0].pages[-1].page), 32, 2**38, 8)
    return 2**38


@breaks("I50")
def a_strip_of_more_ids(f: Forger) -> int:
    """The first of the next one, too."""
    strip = strips(f)[0]
    say(f, strip, IDS, strip.ids + 1, 4)
    return strips(f)[1].pages[0].page


@breaks("I9")
def a_strip_of_fewer_ids(f: Forger) -> int:
    strip = strips(f)[0]
    say(f, strip, IDS, strip.ids - 1, 4)
    return f.file.cold[COLD_FIRST + strip.first + strip.ids - 1].ref.page


@breaks("I50")
def a_strip_of_ids_that_were_never_given(f: Forger) -> int:
    strip = strips(f)[-1]
    say(f, strip, IDS, f.record.cold.count - strip.first + 7, 4)
    return strip.head


@breaks("I9")
def a_strip_of_no_ids(f: Forger) -> int:
    say(f, strips(f)[0], IDS, 0, 4)
    return strips(f)[0].pages[0].page


@breaks("I9")
def a_strip_of_too_many_ids(f: Forger) -> int:
    say(f, strips(f)[0], IDS, 4097, 4)
    return strips(f)[0].pages[0].page


@breaks("I9")
def a_strip_that_begins_later(f: Forger) -> int:
    strip = strips(f)[0]
    say(f, strip, FIRST, strip.first + 1)
    return f.file.cold[COLD_FIRST + strip.first].ref.page


@breaks("I50")
def a_strip_that_begins_earlier(f: Forger) -> int:
    strip = strips(f)[1]
    say(f, strip, FIRST, strip.first - 1)
    return f.file.cold[COLD_FIRST + strip.first].ref.page


@breaks("I9")
def a_strip_of_impossible_ids(f: Forger) -> int:
    say(f, strips(f)[0], FIRST, 2**39)
    return strips(f)[0].pages[0].page


@breaks("I50")
def a_strip_whose_head_is_its_second_page(f: Forger) -> int:
    strip = strips(f)[0]
    say(f, strip, HEAD, strip.pages[1].page)
    return strip.head


@breaks("I9")
def a_strip_whose_head_is_anothers(f: Forger) -> int:
    say(f, strips(f)[0], HEAD, strips(f)[1].head)
    return strips(f)[1].head


@breaks("I9")
def a_strip_whose_head_is_a_leaf(f: Forger) -> int:
    leaf = living_leaves(f, "plain")[0].page
    say(f, strips(f)[0], HEAD, leaf)
    return leaf


@breaks("I9")
def a_strip_whose_head_is_nowhere(f: Forger) -> int:
    say(f, strips(f)[0], HEAD, 2**63)
    return 2**63


@breaks("I50")
def a_strip_that_counts_its_entries_wrong(f: Forger) -> int:
    say(f, strips(f)[0], ENTRIES, strips(f)[0].entries + 1)
    return strips(f)[0].head


def one_page_says(at: int, value: Callable[[Strip], int], size: int) -> Forge:
    def forge(f: Forger) -> int:
        strip = strips(f)[0]
        put(f.page(strip.pages[5].page), at, value(strip), size)
        return strip.pages[5].page
    return forge


for _name, _at, _value, _size in (
    ("ids", IDS, lambda strip: strip.ids + 1, 4), ("first", FIRST, lambda strip: strip.first + 1, 8),
    ("head", HEAD, lambda strip: strip.pages[5].page, 8), ("entries", ENTRIES, lambda strip: strip.entries + 1, 8),
):
    _forge = one_page_says(_at, _value, _size)
    _forge.__name__ = f"one_page_with_other_{_name}"
    FORGERIES.append(("I9", _forge))


# ---- cold ids -------------------------------------------------------------------------------------------------------


@breaks("I9")
def a_cold_id_that_leads_into_another_strip(f: Forger) -> int:
    one, other = (packed_ids(f, strip)[3] for strip in strips(f)[:2])
    f.element(one)[:] = f.element(other)[:]
    return f.file.cold[other].ref.page


@breaks("I50")
def two_cold_ids_of_one_page_of_a_pack(f: Forger) -> int:
    one, other = leaf_ids(f, strips(f)[0])[:2]
    f.element(one)[:5] = f.element(other)[:5]
    f.element(one)[20:] = f.element(other)[20:]
    return f.file.cold[other].ref.page


@breaks("I9")
def a_packed_cold_id_that_leads_to_a_leaf(f: Forger) -> int:
    leaf = living_leaves(f, "plain")[0].page
    put(f.element(packed_ids(f, strips(f)[0])[3]), 0, leaf, 5)
    return leaf


@breaks("I9")
def a_packed_cold_id_that_leads_to_no_page(f: Forger) -> None:
    put(f.element(packed_ids(f, strips(f)[0])[3]), 0, 0, 5)


@breaks("I9")
def a_packed_cold_id_that_leads_behind_the_file(f: Forger) -> int:
    put(f.element(packed_ids(f, strips(f)[0])[3]), 0, 2**38, 5)
    return 2**38


@breaks("I9")
def a_packed_cold_id_that_leads_to_a_cold_id(f: Forger) -> int:
    put(f.element(packed_ids(f, strips(f)[0])[3]), 0, COLD_FIRST + 1, 5)
    return COLD_FIRST + 1


@breaks("I9")
def a_packed_cold_id_that_says_it_is_a_page(f: Forger) -> int:
    id_ = leaf_ids(f, strips(f)[0])[3]
    f.element(id_)[5] = COLD_PAGE
    return f.file.cold[id_].ref.page


@breaks("I9")
def a_chain_that_its_cold_id_says_is_packed(f: Forger) -> int:
    id_ = next(id_ for id_, cold in f.file.cold.items() if cold.kind == COLD_CHAIN)
    f.element(id_)[5] = COLD_PACKED
    return f.file.cold[id_].ref.page


@breaks("I9")
def a_packed_cold_id_that_says_it_is_a_chain(f: Forger) -> None:
    f.element(leaf_ids(f, strips(f)[0])[3])[5] = COLD_CHAIN


@breaks("I50")
def the_last_cold_id_of_a_strip_is_none_of_it(f: Forger) -> int:
    """It has a page of its own: that of a leaf as it was unpacked."""
    strip = strips(f)[0]
    id_ = packed_ids(f, strip)[-1]
    put_out(f, id_)
    return strip.head


@breaks("I50")
def the_first_cold_id_of_a_strip_is_none_of_it(f: Forger) -> int:
    strip = strips(f)[0]
    ids = packed_ids(f, strip)
    put_out(f, ids[0])
    return f.file.cold[ids[1]].ref.page


def put_out(f: Forger, id_: int) -> None:
    """The page gets a place of its own."""
    node = f.file.node(Ref(id_, 0))
    at = f.draw()
    page = f.page(at)
    page[:] = bytes(f.size)
    for place, size, value in (
        (4, 1, LEAF if node.level == 0 else 2), (5, 1, node.level), (8, 8, at), (24, 4, node.owner),
        (16, 8, f.file.packed(id_).writer), (50, 2, node.key_size),
    ):
        put(page, place, value, size)
    f.rebuild(at, node.entries)
    element = f.element(id_)
    put(element, 0, at, 5)
    element[5] = COLD_PAGE
    put(element, 20, 0, 4)


@breaks("I47")
def a_packed_cold_id_of_another_tree(f: Forger) -> int:
    id_ = leaf_ids(f, strips(f)[0])[3]
    put(f.element(id_), 16, tree_of(f, "plain").id, 4)
    return f.file.cold[id_].ref.page


@breaks("I47")
def a_packed_cold_id_of_a_later_commit(f: Forger) -> None:
    put(f.element(leaf_ids(f, strips(f)[0])[3]), 6, f.record.number, 6)


@breaks("I47")
def a_packed_cold_id_of_an_earlier_commit(f: Forger) -> None:
    put(f.element(leaf_ids(f, strips(f)[0])[3]), 6, 1, 6)


def place(name: str, value: Callable[[Forger, Cold], int]) -> None:
    def forge(f: Forger) -> int:
        id_ = leaf_ids(f, strips(f)[0])[3]
        put(f.element(id_), 20, value(f, f.file.cold[id_]), 4)
        return f.file.cold[id_].ref.page
    forge.__name__ = f"a_pack_that_begins_{name}"
    FORGERIES.append(("I9", forge))


place("at_0", lambda f, cold: cold.place % 16)
place("in_the_header", lambda f, cold: 71 << 4)
place("one_byte_late", lambda f, cold: cold.place + 16)
place("behind_the_data", lambda f, cold: 72 + u32(f.page(cold.ref.page), 28) << 4)
place("behind_the_page", lambda f, cold: f.size << 4)
place("nowhere", lambda f, cold: 2**32 - 16)
place("where_it_does_and_has_not_so_many_pages", lambda f, cold: cold.place | 15)


# ---- contents of packs ----------------------------------------------------------------------------------------------


@breaks("I12")
def a_packed_page_of_another_tree(f: Forger) -> None:
    id_ = leaf_ids(f, strips(f)[0])[3]
    forge_contents(f, strips(f)[0], lambda pages: pages.update(
        {id_: replace(f.file.packed(id_), owner=tree_of(f, "plain").id)}))


@breaks("I12")
def a_packed_page_of_a_higher_level(f: Forger) -> None:
    """The root in the place of its child: who follows it comes back to it."""
    tree = tree_of(f, "hot").id
    ids = packed_ids(f, strips(f)[0])
    node = next(f.file.packed(id_) for id_ in ids if f.file.cold[id_].tree == tree and f.file.packed(id_).level)
    child = next(e.value.page for e in node.entries if isinstance(e.value, Ref) and e.value.page in ids)
    forge_contents(f, strips(f)[0], lambda pages: pages.update({child: node}))


@breaks("I9")
def a_packed_page_that_is_none_of_a_tree(f: Forger) -> None:
    id_ = leaf_ids(f, strips(f)[0])[3]
    raw = bytearray(f.page(strips(f)[0].pages[2].page))
    raw[:16] = bytes(4) + bytes([STRIP, 0, 0, 0]) + bytes(8)
    forge_contents(f, strips(f)[0], lambda pages: pages.update({id_: bytes(raw)}))


@breaks("I50")
def a_packed_leaf_with_a_large_value(f: Forger) -> None:
    """A chain that another leaf has, too."""
    chain = next(e for leaf in living_leaves(f, "big") for e in leaf.entries if e.overflow and e.live)
    id_ = next(id_ for id_ in leaf_ids(f, strips(f)[0]) if f.file.packed(id_).entries[0].form == packs.VALUE)
    change_first(f, id_, form=packs.OVERFLOW, value=chain.value)


@breaks("I16")
def a_packed_version_from_the_future(f: Forger) -> None:
    change_first(f, leaf_ids(f, strips(f)[0])[3], begun=f.record.number + 3)


@breaks("I18")
def a_packed_entry_larger_than_a_quarter_of_a_page(f: Forger) -> None:
    id_ = leaf_ids(f, strips(f)[0])[3]
    node = f.file.packed(id_)
    only = replace(node.entries[0], form=packs.VALUE, value=bytes(200))
    forge_contents(f, strips(f)[0], lambda pages: pages.update({id_: replace(node, entries=[only])}))


@breaks("I47")
def a_packed_page_that_refers_to_what_is_current(f: Forger) -> None:
    tree = tree_of(f, "hot")
    ids = packed_ids(f, strips(f)[0])
    id_ = next(id_ for id_ in ids if f.file.cold[id_].tree == tree.id and f.file.packed(id_).level)
    leaf = living_leaves(f, "hot")[0].page
    change_first(f, id_, value=Ref(leaf, u32(f.page(leaf), 0)))


@breaks("I50")
def two_strips_for_one_id(f: Forger) -> int:
    """Another one stands for some of the ids in the middle, which lead into it."""
    strip = strips(f)[0]
    ids = packed_ids(f, strip)[20:24]
    made = [(packs.encode([f.file.packed(id_)], f.size), [id_ - COLD_FIRST]) for id_ in ids]
    entries = sum(len(f.file.packed(id_).entries) for id_ in ids if f.file.packed(id_).level == 0)
    return f.put_strip(ids[0] - COLD_FIRST, ids[-1] - ids[0] + 1, made, entries=entries)[0]


@breaks("I50")
def two_strips_for_the_last_id(f: Forger) -> int:
    """Another one stands for the last ids, and some that the first does not have."""
    strip = strips(f)[0]
    ids = [id_ for id_ in f.file.cold if f.file.cold[id_].kind == COLD_PACKED and strip.ids - 8 <= id_ - COLD_FIRST]
    made = [(packs.encode([f.file.packed(id_)], f.size), [id_ - COLD_FIRST]) for id_ in ids]
    entries = sum(len(f.file.packed(id_).entries) for id_ in ids if f.file.packed(id_).level == 0)
    return f.put_strip(ids[0] - COLD_FIRST, ids[-1] - ids[0] + 1, made, entries=entries, replaced=strips(f)[1])[0]


# ---- the tests ------------------------------------------------------------------------------------------------------

# What else is found then: below a page that cannot be read, or beside it.
OTHERS = {"I9": {"I36", "I21", "I47", "I50"}, "I50": {"I9", "I36", "I47"}, "I12": {"I47", "I50"}, "I16": {"I13"},
          "I18": {"I50"}, "I47": {"I9", "I12", "I14", "I36", "I50", "I1"}}


@pytest.mark.slow
def test_the_packed_sample_is_right_and_written_anew_by_the_forger(packed: Any, ask: Any, tmp_path: Path) -> None:
    """Also where pages of a strip have less data than fits them, which the engine never does."""
    assert Forger(packed[0]).sealed() == packed[0]
    moments = packed[1]["moments"]
    asked = range(2, len(moments), 25)
    for most in (1 << 20, 100):
        f = Forger(packed[0])
        for strip in strips(f):
            forge_contents(f, strip, lambda pages: None, most)
        path = tmp_path / f"{most}.edb"
        path.write_bytes(f.sealed())
        every_page_once(File(path.read_bytes()))
        for upkeep in ((), ("verify", "compact"), ("pack", "verify"), ("compact", "pack", "prune")):
            answer = ask(path, moments=[moments[i] for i in asked], queries=WHOLE, upkeep=upkeep)
            assert answer["check"] == []
            assert answer["rows"][:-1] == [rows_at(packed[1], i) for i in asked]
            assert answer["upkeep"] == [None] * len(upkeep)
            every_page_once(File(path.read_bytes()))


def judge(answer: dict[str, Any]) -> None:
    """Rows or an error."""
    for result in [one for at in answer["rows"] for one in at] + answer["writes"]:
        assert isinstance(result, list) or "DatabaseError" in result["error"][1], result
    for error in answer["upkeep"]:
        assert error is None or "DatabaseError" in error[1], error


@pytest.mark.slow
@pytest.mark.parametrize(("invariant", "forge"), FORGERIES, ids=[f"{i}-{f.__name__}" for i, f in FORGERIES])
def test_check_names_what_is_wrong_with_a_strip(
    packed: Any, ask: Any, tmp_path: Path, invariant: str, forge: Forge
) -> None:
    f = Forger(packed[0])
    page = forge(f)
    data, path = f.sealed(), tmp_path / "t.edb"
    path.write_bytes(data)
    moments = packed[1]["moments"]
    answer = ask(path, moments=moments[:: len(moments) // 5], queries=QUERIES)
    assert answer["opened"] is None
    found = {one for one, _, _ in answer["check"]}
    assert invariant in found, answer["check"]
    assert found - OTHERS.get(invariant, set()) <= {invariant}, answer["check"]
    if page is not None:
        assert page in [at for one, at, _ in answer["check"] if one == invariant], answer["check"]
    judge(answer)
    for upkeep in ([one] for one in ("verify", "pack", "compact", "prune")):
        path.write_bytes(data)
        judge(ask(path, upkeep=upkeep))
    path.write_bytes(data)
    judge(ask(path, moments=[], queries=QUERIES, writes=[*ERASE, *WRITES], upkeep=UPKEEP))


def spoil(f: Forger, rng: random.Random) -> None:
    """Random bytes of strips and of the elements that lead into them."""
    for _ in range(rng.choice([1, 1, 2, 6])):
        strip = rng.choice(strips(f))
        if rng.random() < 0.5:
            what, limit = f.element(rng.choice(packed_ids(f, strip))), 24
        else:
            what, limit = f.page(rng.choice(strip.pages).page), rng.choice([72, 72, 90, f.size])
        size = rng.choice([1, 1, 2, 4, 5])
        at = rng.randrange(5 if limit > 24 else 0, limit - size)
        old, end = int.from_bytes(what[at : at + size], "little"), 2 ** (8 * size)
        value = rng.choice([0, 1, old + 1, old - 1, old + 16, old * 2, end - 1, rng.randrange(end)])
        put(what, at, value % end, size)


def judge_spoiled(answer: dict[str, Any]) -> None:
    assert answer["opened"] is None
    check = answer["check"]
    assert isinstance(check, list) or check["error"][0] in ("DamageError", "OperationalError")
    judge(answer)


@pytest.mark.slow
@pytest.mark.parametrize("more", [{"writes": ERASE}, {"upkeep": UPKEEP}], ids=["erase", "upkeep"])
def test_no_forged_strip_crashes_anything(
    packed: Any, ask: Any, tmp_path: Path, rng: random.Random, more: dict[str, Any]
) -> None:
    moments, path = packed[1]["moments"], tmp_path / "t.edb"
    for _ in range(80):
        f = Forger(packed[0])
        spoil(f, rng)
        path.write_bytes(f.sealed())
        judge_spoiled(ask(path, moments=rng.sample(moments, 3), queries=QUERIES, **more))


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory, native: Any) -> bytes:
    """Three strips of a size, and behind them as much that is not packed yet: who packs it merges all four."""
    path = tmp_path_factory.mktemp("growing") / "growing.edb"
    db = driver.connect(path, page_size=512, isolation_level=None, synchronous="normal")
    db.execute("CREATE TABLE hot(id INTEGER PRIMARY KEY, v TEXT)")
    db.executemany("INSERT INTO hot VALUES (?, ?)", [(i, f"first {i}") for i in range(60)])
    for n in range(280):
        db.execute("UPDATE hot SET v = ? || id WHERE id % 3 = ?", (f"version {n} of ", n % 3))
    told: list[float] = []

    def stop(share: float) -> None:
        told.append(share)
        if len(told) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        db.database.pack(stop)
    db.close()
    data = path.read_bytes()
    file = File(data)
    assert [strip.ids for strip in file.strips.values()] == [256] * 3
    assert file.base.cold.count >= 4 * 256
    return data


@pytest.mark.slow
def test_a_strip_that_begins_before_its_first_packed_id_is_not_merged(growing: bytes, ask: Any, tmp_path: Path) -> None:
    path = tmp_path / "t.edb"
    path.write_bytes(growing)
    assert ask(path, upkeep=["pack"])["upkeep"] == [None]
    assert next(iter(File(path.read_bytes()).strips.values())).ids == 1024
    f = Forger(growing)
    element = f.element(COLD_FIRST + strips(f)[0].first)
    element[:6] = bytes([0, 0, 0, 0, 0, COLD_CHAIN])        # what of a chain is left that was erased
    put(element, 12, 0, 4)
    put(element, 20, 0, 4)
    path.write_bytes(f.sealed())
    answer = ask(path, upkeep=["pack"])
    assert "I50" in {found for found, _, _ in answer["check"]}
    assert answer["upkeep"][0][0] == "DamageError"
    assert f"page {strips(f)[0].pages[0].page} " in answer["upkeep"][0][2]


@pytest.mark.slow
@pytest.mark.parametrize("offset", [0, 71, 511, 512, 2**28 - 1])
def test_compaction_moves_no_pack_that_begins_outside_its_page(
    growing: bytes, ask: Any, tmp_path: Path, offset: int
) -> None:
    path = tmp_path / "t.edb"
    path.write_bytes(growing)
    before = {ref.page for strip in File(growing).strips.values() for ref in strip.pages}
    assert ask(path, upkeep=["compact"])["upkeep"] == [None]
    strips_now = File(path.read_bytes()).strips.values()
    assert all(not before.issuperset(ref.page for ref in strip.pages) for strip in strips_now), "all of them moved"
    for strip in File(growing).strips.values():
        f = Forger(growing)
        id_ = packed_ids(f, strip)[5]
        page = strip.pages[-1].page
        if offset == 511:
            put(f.element(id_), 0, page, 5)                 # which is not full
        put(f.element(id_), 20, offset << 4, 4)
        path.write_bytes(f.sealed())
        (error,) = ask(path, upkeep=["compact"])["upkeep"]
        assert error[0] == "DamageError"


@pytest.mark.slow
def test_merging_forged_strips(growing: bytes, ask: Any, tmp_path: Path, rng: random.Random) -> None:
    path = tmp_path / "t.edb"
    for _ in range(80):
        f = Forger(growing)
        spoil(f, rng)
        path.write_bytes(f.sealed())
        judge_spoiled(ask(path, moments=[], queries=["SELECT * FROM hot"], upkeep=("pack", "verify", "compact")))


def test_strips_that_the_header_does_not_mention_are_read(packed: Any, ask: Any, tmp_path: Path) -> None:
    """As other features are: the bit is there to keep older versions out."""
    data = bytearray(packed[0])
    assert u64(data, 24) & STRIPS
    put(data, 24, u64(data, 24) & ~STRIPS, 8)
    put(data, 4092, crc32c(data[:4092]), 4)
    (tmp_path / "t.edb").write_bytes(data)
    answer = ask(tmp_path / "t.edb", moments=packed[1]["moments"][30:31], queries=WHOLE)
    assert answer["rows"][0] == rows_at(packed[1], 30)


def test_the_cache_does_not_keep_what_was_damaged(packed: Any, tmp_path: Path) -> None:
    """An error is found again, also by who reads the same place later in the same process."""
    f = Forger(packed[0])
    cold = f.file.cold[leaf_ids(f, strips(f)[0])[3]]
    f.page(cold.ref.page)[cold.place // 16 + 4] = 2         # the format of the pack
    path = tmp_path / "t.edb"
    path.write_bytes(f.sealed())
    db = driver.connect(path)
    cursor = db.cursor()
    times = f.file.times()
    for number in (cold.commit - 1, cold.commit - 1, f.record.number, cold.commit - 1):
        cursor.as_of = times[number]
        if number == f.record.number:
            assert len(cursor.execute("SELECT * FROM hot").fetchall()) == 40
            continue
        with pytest.raises(driver.DamageError, match=f"pack at page {cold.ref.page} "):
            cursor.execute("SELECT * FROM hot").fetchall()
    db.close()
