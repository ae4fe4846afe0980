"""Forged files whose trees of tags break I39, I40 or I41 in each of their clauses, and `check` names it.

As in test_forged.py, what is forged has whole checksums all the way up, and what reads and writes the file meanwhile
gets rows or an error and does not crash.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

from .forger import Forger, put
from .reader import OVERFLOW, Entry, Node, tag_hash, u64

Forge = Callable[[Forger], None]
FORGERIES: list[tuple[str, str, Forge]] = []
DICTIONARY, NAMES, POSTINGS, REVERSE = "tags", "tag names", "postings", "entities' tags"
INSERT = "INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)"


def breaks(invariant: str, said: str) -> Callable[[Forge], Forge]:
    """Marks a function that forges, with what check says of it."""
    def add(forge: Forge) -> Forge:
        FORGERIES.append((invariant, said, forge))
        return forge
    return add


def make(path: Path) -> None:
    """gone    a dropped table, whose rows are still in its tree
    t       rows 1 to 9; 1 to 6 have values in the tag column, 7 to 9 none; hand-given tags on some
    u       an untagged table behind it
    """
    db = driver.connect(path, page_size=1024, synchronous="normal")
    db.execute("CREATE TABLE gone(id INTEGER PRIMARY KEY, v TEXT)")
    db.execute("INSERT INTO gone VALUES (1, 'old')")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, s TEXT TAG 'status', v TEXT)")
    db.execute("CREATE TABLE u(id INTEGER PRIMARY KEY, v TEXT)")
    values = [(i, ("live", "dead")[i % 2] if i < 7 else None) for i in range(1, 10)]
    db.executemany("INSERT INTO t VALUES (?, ?, 'v')", values)
    db.execute("INSERT INTO u VALUES (1, 'v')")
    db.executemany(INSERT, [("t", i, "a") for i in (1, 2, 7)])
    db.executemany(INSERT, [("t", 7, "b:1"), ("t", 8, "b:1"), ("t", 9, "c"), ("t", 1, "z" * 72)])
    db.commit()
    db.execute("DELETE FROM entitydb_tags WHERE tag = 'a' AND entity = 2")
    db.execute("DROP TABLE gone")
    db.commit()
    db.close()


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory, native: Any) -> bytes:
    path = tmp_path_factory.mktemp("tagged") / "tagged.edb"
    make(path)
    return path.read_bytes()


# ---- finding one's way ---------------------------------------------------------------------------------------------


def leaf_with(f: Forger, tree: int, key: bytes) -> Node:
    """The current leaf that has the key, or would have it."""
    node = f.file.node(f.file.tree(tree).root)
    while node.level:
        newest = {e.key: e for e in reversed(node.entries)}
        below = max(k for k, e in newest.items() if k <= key and e.value.page)
        node = f.file.node(newest[below].value)
    return node


def change(f: Forger, tree: int, key: bytes, value: bytes | None, *, new_key: bytes | None = None) -> None:
    """The living entry of a key gets another value (None: it goes) or another key."""
    node = leaf_with(f, tree, key)
    (at,) = [i for i, e in enumerate(node.entries) if e.live and e.key == key]
    entries = list(node.entries)
    if value is None:
        entries = [e for e in entries if e.key != key]
        count(f, tree, -1)
    else:
        entries[at] = replace(entries[at], key=key if new_key is None else new_key, value=value)
        entries.sort(key=lambda e: (e.key, -e.begun))
    f.rebuild(node.page, entries)


def add(f: Forger, tree: int, key: bytes, value: bytes = b"") -> None:
    node = leaf_with(f, tree, key)
    begun = next(e.begun for e in node.entries if e.live)
    entries = sorted([*node.entries, Entry(key, begun, value, True)], key=lambda e: (e.key, -e.begun))
    f.rebuild(node.page, entries)
    count(f, tree, 1)


def chain(f: Forger, tree: int, begun: int, data: bytes) -> bytes:
    """Puts a value into overflow pages, which were free. -> the pointer to it."""
    room = f.size - 48
    pieces = [data[i : i + room] for i in range(0, len(data), room)]
    young = f.record.young
    assert len(young) >= len(pieces), "the sample has too few free pages"
    numbers = [entry.page for entry in young[-len(pieces) :]]
    f.record = replace(f.record, young=young[: -len(pieces)])
    for number, piece, behind in zip(numbers, pieces, [*numbers[1:], 0], strict=True):
        page = f.page(number)
        page[:] = bytes(f.size)
        page[4] = OVERFLOW
        put(page, 8, number, 8)
        put(page, 16, begun, 8)
        put(page, 24, tree, 4)
        put(page, 28, len(piece), 4)
        put(page, 32, behind, 8)
        page[48 : 48 + len(piece)] = piece
    return len(data).to_bytes(8, "little") + numbers[0].to_bytes(8, "little") + bytes(4)


def put_in_chain(f: Forger, tree: int, key: bytes, data: bytes) -> None:
    node = leaf_with(f, tree, key)
    entry = next(e for e in node.entries if e.live and e.key == key)
    pointer = chain(f, tree, entry.begun, data)
    f.rebuild(node.page, [replace(e, value=pointer, overflow=True) if e is entry else e for e in node.entries])


def count(f: Forger, tree: int, by: int) -> None:
    state = f.state(tree)
    put(state, 32, u64(state, 32) + by, 8)


def tree_id(f: Forger, name: str) -> int:
    return f.file.tag_trees()[name].id


def table(f: Forger, name: str = "t") -> int:
    return f.file.catalog()[name].id


def be32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def row(number: int) -> bytes:
    return (number + 2**63).to_bytes(8, "big")


def entity_bytes(entity: int) -> bytes:
    """Of an entity that is not negative."""
    size = (entity.bit_length() + 7) // 8
    return bytes([0x80 + size]) + entity.to_bytes(size, "big")


def posting(tag: str, type_: int, entity: int) -> bytes:
    return be32(tag_hash(tag.encode())) + be32(type_) + entity_bytes(entity)


def reverse(tag: str, type_: int, entity: int) -> bytes:
    return be32(type_) + entity_bytes(entity) + be32(tag_hash(tag.encode()))


def row_bytes(*values: str | bytes | None) -> bytes:
    """A row of texts, blobs and NULLs."""
    pieces = [b"" if v is None else v.encode() if isinstance(v, str) else v for v in values]
    ends = [sum(len(p) for p in pieces[: i + 1]) for i in range(len(pieces))]
    kinds = [0 if v is None else 5 if isinstance(v, str) else 6 for v in values]
    return bytes([len(values) << 2, *kinds, *ends]) + b"".join(pieces)


# ---- I39: the four trees, texts and ids ----------------------------------------------------------------------------


@breaks("I39", "control character")
def a_text_of_the_dictionary_that_is_no_tag(f: Forger) -> None:
    change(f, tree_id(f, DICTIONARY), b"b:1", tag_hash(b"b:1").to_bytes(4, "little"), new_key=b"b\x011")


@breaks("I39", "begins with a colon")
def a_text_without_a_namespace_before_its_colon(f: Forger) -> None:
    change(f, tree_id(f, DICTIONARY), b"b:1", tag_hash(b"b:1").to_bytes(4, "little"), new_key=b":1")


@breaks("I39", "does not lead to it")
def an_id_that_leads_to_another_text(f: Forger) -> None:
    change(f, tree_id(f, NAMES), row(tag_hash(b"b:1")), b"b:2")


@breaks("I39", "does not lead to it")
def a_text_that_leads_to_the_id_of_another(f: Forger) -> None:
    change(f, tree_id(f, DICTIONARY), b"b:1", tag_hash(b"a").to_bytes(4, "little"))


@breaks("I39", "does not lead to it")
def a_text_that_leads_to_an_id_that_nobody_has(f: Forger) -> None:
    change(f, tree_id(f, DICTIONARY), b"b:1", (tag_hash(b"b:1") + 1).to_bytes(4, "little"))


@breaks("I39", "in the place of an id")
def a_text_whose_id_is_cut_short(f: Forger) -> None:
    change(f, tree_id(f, DICTIONARY), b"b:1", tag_hash(b"b:1").to_bytes(4, "little")[:3])


@breaks("I39", "6 tags and 7 numbers")
def an_id_without_a_text(f: Forger) -> None:
    add(f, tree_id(f, NAMES), row(1), b"nobody")


@breaks("I39", "does not lead to it")
def a_name_in_a_chain_that_is_another(f: Forger) -> None:
    put_in_chain(f, tree_id(f, NAMES), row(tag_hash(b"b:1")), b"b:2")


@breaks("I39", "does not lead to it")
def a_name_in_a_chain_that_is_longer_than_any_tag(f: Forger) -> None:
    put_in_chain(f, tree_id(f, NAMES), row(tag_hash(b"b:1")), b"b:1" * 400)


@breaks("I39", "does not lead to it")
def a_name_that_is_not_utf8(f: Forger) -> None:
    change(f, tree_id(f, NAMES), row(tag_hash(b"b:1")), b"b:\xff")


@breaks("I39", "not UTF-8")
def a_text_that_is_not_utf8(f: Forger) -> None:
    id_ = tag_hash(b"b:1")
    change(f, tree_id(f, DICTIONARY), b"b:1", id_.to_bytes(4, "little"), new_key=b"b:\xff")


def without_tree(name: str) -> Forge:
    def forge(f: Forger) -> None:
        change(f, 0, row(tree_id(f, name)), None)
    forge.__name__ = f"no_tree_{name}".replace(" ", "_").replace("'", "")
    return forge


for missing in (DICTIONARY, NAMES, POSTINGS, REVERSE):
    breaks("I39", f'the tree "{missing}" of tags is not there')(without_tree(missing))


# ---- I40: taggings -------------------------------------------------------------------------------------------------


@breaks("I40", "entities have 11 tags, and tags have 12")
def a_posting_that_is_not_in_reverse(f: Forger) -> None:
    change(f, tree_id(f, REVERSE), reverse("a", table(f), 7), None)


@breaks("I40", "is not in the tag's postings")
def a_tag_of_an_entity_that_is_not_in_postings(f: Forger) -> None:
    change(f, tree_id(f, POSTINGS), posting("a", table(f), 7), None)


@breaks("I40", "is not in the tag's postings")
def another_posting_than_in_reverse(f: Forger) -> None:
    change(f, tree_id(f, POSTINGS), posting("c", table(f), 9), b"", new_key=posting("c", table(f), 8))


@breaks("I40", "does not exist")
def a_tag_of_a_row_that_is_gone(f: Forger) -> None:
    change(f, table(f), row(9), None)


@breaks("I40", "does not exist")
def a_tag_of_a_row_of_a_table_that_is_gone(f: Forger) -> None:
    """Its rows are still in its tree."""
    gone = table(f) - 1
    assert {rowid: values for rowid, _, values in f.file.scan(f.file.tree(gone))}.keys() == {row(1)}
    for tree, key in ((POSTINGS, posting), (REVERSE, reverse)):
        add(f, tree_id(f, tree), key("c", gone, 1))


@breaks("I40", "does not exist")
def a_tag_of_what_is_no_row(f: Forger) -> None:
    """But an id of a tag in its tree, whose keys look like row ids."""
    names, id_ = tree_id(f, NAMES), tag_hash(b"c")
    for tree, key in ((POSTINGS, posting), (REVERSE, reverse)):
        add(f, tree_id(f, tree), key("c", names, id_))


@breaks("I40", "does not exist")
def a_tag_of_a_type_that_never_was(f: Forger) -> None:
    for tree, key in ((POSTINGS, posting), (REVERSE, reverse)):
        add(f, tree_id(f, tree), key("c", 2**32 - 1, 2**63 - 1))


@breaks("I40", "not in the dictionary")
def a_tag_that_is_not_in_the_dictionary(f: Forger) -> None:
    change(f, tree_id(f, DICTIONARY), b"c", None)
    change(f, tree_id(f, NAMES), row(tag_hash(b"c")), None)


@breaks("I40", "a key of 9 bytes that is none")
def a_tag_of_an_entity_whose_key_is_too_short(f: Forger) -> None:
    key = reverse("c", table(f), 9)
    change(f, tree_id(f, REVERSE), key, b"", new_key=key[:-1])


@breaks("I40", "a key of 11 bytes that is none")
def a_tag_of_an_entity_with_a_byte_too_many(f: Forger) -> None:
    """Its number has a leading zero."""
    key = reverse("c", table(f), 9)
    change(f, tree_id(f, REVERSE), key, b"", new_key=key[:4] + b"\x82\x00" + key[5:])


@breaks("I40", "a key of 10 bytes that is none")
def a_tag_of_an_entity_that_is_none(f: Forger) -> None:
    """It says that it has 127 bytes."""
    key = reverse("c", table(f), 9)
    change(f, tree_id(f, REVERSE), key, b"", new_key=key[:4] + b"\xff" + key[5:])


@breaks("I40", "entities have 12 tags, and tags have 13")
def a_posting_whose_key_is_too_long(f: Forger) -> None:
    add(f, tree_id(f, POSTINGS), posting("c", table(f), 9) + b"\0")


# ---- I41: tag columns ----------------------------------------------------------------------------------------------


@breaks("I41", "lacks the tag of its column s")
def a_value_whose_tag_is_another(f: Forger) -> None:
    change(f, table(f), row(1), row_bytes(None, "live", "v"))


@breaks("I41", "lacks the tag of its column s")
def a_value_that_no_tag_says(f: Forger) -> None:
    change(f, table(f), row(8), row_bytes(None, "live", "v"))


@breaks("I41", "lacks the tag of its column s")
def a_value_that_is_not_in_the_dictionary(f: Forger) -> None:
    change(f, table(f), row(1), row_bytes(None, "liver", "v"))


@breaks("I41", "lacks the tag of its column s")
def a_value_whose_tag_is_gone(f: Forger) -> None:
    change(f, tree_id(f, POSTINGS), posting("status:dead", table(f), 1), None)
    change(f, tree_id(f, REVERSE), reverse("status:dead", table(f), 1), None)


@breaks("I41", "6 tags of its tag columns for 5 values")
def a_tag_of_the_namespace_without_a_value(f: Forger) -> None:
    change(f, table(f), row(1), row_bytes(None, None, "v"))


@breaks("I41", "a blob is no tag")
def a_value_that_can_be_no_tag(f: Forger) -> None:
    change(f, table(f), row(8), row_bytes(None, b"live", "v"))


@breaks("I41", "1024 fit")
def a_value_that_is_too_long_for_a_tag(f: Forger) -> None:
    text = b"x" * 1100
    ends = b"".join(end.to_bytes(2, "little") for end in (0, 1100, 1101))
    put_in_chain(f, table(f), row(8), bytes([3 << 2 | 1, 0, 5, 5]) + ends + text + b"v")


# ---- the tests -----------------------------------------------------------------------------------------------------

QUERIES = [
    "SELECT type, entity, tag, namespace, value, since, key FROM entitydb_tags",
    "SELECT count(*) FROM entitydb_tags",
    "SELECT entity, tag FROM entitydb_tags WHERE type = 't'",
    "SELECT tag FROM entitydb_tags WHERE type = 't' AND entity = 7",
    "SELECT type, entity FROM entitydb_tags WHERE tag = 'a'",
    "SELECT entity, tag FROM entitydb_tags WHERE namespace = 'b'",
    "SELECT entity, value FROM entitydb_tags WHERE namespace = 'status' AND value = 'live'",
    "SELECT entity, tag FROM entitydb_tags WHERE tag >= 'b' AND tag < 'd'",
    "SELECT tag FROM entitydb_tags WHERE tag GLOB 'z*'",
    "SELECT entity FROM entitydb_tagged('t', 'a')",
    "SELECT entity FROM entitydb_tagged('t', 'a & b:1')",
    "SELECT entity FROM entitydb_tagged('t', 'status:* & !a')",
    "SELECT entity FROM entitydb_tagged('t', '!c')",
    "SELECT entity FROM entitydb_tagged('t', '*')",
    "SELECT entity FROM entitydb_tagged('t', 'a|b:1|c') WHERE entity = 9",
    "SELECT id, s FROM t WHERE id IN (SELECT entity FROM entitydb_tagged('t', 'status:live'))",
]
WRITES = [
    "INSERT INTO entitydb_tags(type, entity, tag) SELECT 't', id, 'new' FROM t",
    "INSERT INTO entitydb_tags(type, entity, tag) VALUES ('t', 7, 'b:1')",
    "DELETE FROM entitydb_tags WHERE tag = 'a'",
    "DELETE FROM entitydb_tags WHERE namespace <> 'status'",
    "UPDATE t SET s = 'other' WHERE id > 6",
    "UPDATE t SET id = id + 100 WHERE id IN (7, 9)",
    "UPDATE t SET s = NULL",
    "DELETE FROM t WHERE id < 3",
    "DELETE FROM t",
    "ALTER TABLE t ALTER COLUMN v SET TAG 'b'",
    "ALTER TABLE t ALTER COLUMN s DROP TAG",
    "DROP TABLE t",
]


def survived(answer: dict[str, Any]) -> None:
    assert answer["opened"] is None
    for result in [one for at in answer["rows"] for one in at] + answer["writes"]:
        assert isinstance(result, list) or "DatabaseError" in result["error"][1], result


def test_the_file_is_sound_before_it_is_forged(tagged: bytes, ask: Any, tmp_path: Path) -> None:
    (tmp_path / "t.edb").write_bytes(Forger(tagged).sealed())
    answer = ask(tmp_path / "t.edb", moments=[], queries=QUERIES, writes=WRITES)
    assert answer["check"] == []
    for result in [*answer["rows"][0], *answer["writes"]]:
        assert isinstance(result, list) or "mine" in str(result) or "take them away" in str(result), result


@pytest.mark.slow
@pytest.mark.parametrize(("invariant", "said", "forge"), FORGERIES, ids=[f"{i}-{f.__name__}" for i, _, f in FORGERIES])
def test_check_names_the_invariant(
    tagged: bytes, ask: Any, tmp_path: Path, invariant: str, said: str, forge: Forge
) -> None:
    f = Forger(tagged)
    forge(f)
    (tmp_path / "t.edb").write_bytes(f.sealed())
    answer = ask(tmp_path / "t.edb", moments=[], queries=QUERIES, writes=WRITES)
    # Without one of the trees no value has its tag.
    others = {"I41"} if "is not there" in said else set()
    assert {found for found, _, _ in answer["check"]} - others == {invariant}, answer["check"]
    assert any(said in sentence for found, _, sentence in answer["check"] if found == invariant), answer["check"]
    survived(answer)


def test_a_name_that_stands_in_a_chain_is_read_from_there(tagged: bytes, ask: Any, tmp_path: Path) -> None:
    """The engine never makes one: a tag is no longer than a key, and what fits as a key fits as a value."""
    f = Forger(tagged)
    put_in_chain(f, tree_id(f, NAMES), row(tag_hash(b"b:1")), b"b:1")
    (tmp_path / "plain.edb").write_bytes(tagged)
    (tmp_path / "chain.edb").write_bytes(f.sealed())
    answers = [ask(tmp_path / name, moments=[], queries=QUERIES, writes=WRITES) for name in ("plain.edb", "chain.edb")]
    assert answers[0]["rows"] == answers[1]["rows"]
    assert answers[0]["writes"] == answers[1]["writes"]
    assert answers[1]["check"] == []


@pytest.mark.parametrize("forge", [
    a_tag_of_a_row_of_a_table_that_is_gone, a_tag_of_what_is_no_row, a_tag_of_a_type_that_never_was,
])  # fmt: skip
def test_a_tag_of_no_table_is_damage_to_who_asks_for_its_type(
    tagged: bytes, ask: Any, tmp_path: Path, forge: Forge
) -> None:
    f = Forger(tagged)
    forge(f)
    (tmp_path / "t.edb").write_bytes(f.sealed())
    answer = ask(tmp_path / "t.edb", moments=[], queries=["SELECT type FROM entitydb_tags"])
    assert answer["rows"][0][0]["error"][0] == "DamageError"


EXTREMES = [b"", b"\0", b"\xff", bytes(7), bytes(15), b"\xff" * 16, b"\xff" * 17, bytes(16), bytes(100), b"\xff" * 88]


@pytest.mark.slow
@pytest.mark.parametrize("tree", [DICTIONARY, POSTINGS, REVERSE])
def test_keys_of_any_size_are_rows_or_damage(tagged: bytes, ask: Any, tmp_path: Path, tree: str) -> None:
    """One key more, in front of all, behind all, or beside one that it begins like."""
    for key in EXTREMES if tree == DICTIONARY else [*EXTREMES, *(posting("a", 2, 7)[:n] for n in (1, 4, 8, 9))]:
        f = Forger(tagged)
        add(f, tree_id(f, tree), key, b"" if tree != DICTIONARY else bytes(4))
        (tmp_path / "t.edb").write_bytes(f.sealed())
        answer = ask(tmp_path / "t.edb", moments=[], queries=QUERIES, writes=WRITES)
        assert answer["check"], key
        assert {found for found, _, _ in answer["check"]} <= {"I39", "I40"}, (key, answer["check"])
        survived(answer)


@pytest.mark.slow
def test_no_forged_contents_of_the_trees_of_tags_crash_a_reader_or_a_writer(
    tagged: bytes, ask: Any, tmp_path: Path, rng: random.Random
) -> None:
    """Nodes are whole, but keys and values are cut, lengthened, exchanged, random; ids point nowhere."""
    def spoil(data: bytes) -> bytes:
        kind = rng.randrange(4)
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

    forged = 0
    for round_ in range(150):
        f = Forger(tagged)
        for name in rng.sample([DICTIONARY, NAMES, POSTINGS, REVERSE], rng.choice([1, 1, 2])):
            node = f.file.node(f.file.tree(tree_id(f, name)).root)
            while node.level:
                node = f.file.node(rng.choice([e.value for e in node.entries if e.live and e.value.page]))
            entries = list(node.entries)
            for _ in range(rng.choice([1, 1, 5])):
                i = rng.randrange(len(entries))
                if name in (DICTIONARY, NAMES) and rng.random() < 0.6 and not entries[i].tombstone:
                    entries[i] = replace(entries[i], value=spoil(entries[i].value))
                else:
                    key = spoil(entries[i].key)
                    entries[i] = replace(entries[i], key=(key + bytes(8))[:8] if node.key_size else key)
            if rng.random() < 0.7:
                entries.sort(key=lambda e: (e.key, -e.begun))
            try:
                f.rebuild(node.page, entries)
            except AssertionError:          # they do not fit any more
                continue
            forged += 1
        path = tmp_path / f"{round_}.edb"
        path.write_bytes(f.sealed())
        survived(ask(path, moments=[], queries=QUERIES, writes=WRITES))
        path.unlink()
    assert forged > 100
