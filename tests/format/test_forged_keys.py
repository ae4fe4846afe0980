"""Keys of a size that no index and no table has: damage, wherever they are met."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

from .forger import Forger
from .reader import Ref

# A text compared with a number is not looked up: the entries are put in order in memory.
SORTED = "SELECT id FROM indexed WHERE b = (SELECT max(id) FROM plain) ORDER BY id"


def leaves(f: Forger, ref: Ref) -> list[Any]:
    node = f.file.node(ref)
    if node.level:
        return [leaf for e in node.entries if e.live and e.value.page for leaf in leaves(f, e.value)]
    return [node]


def trees(f: Forger) -> tuple[int, int]:
    """Of the table `indexed` and of its index over b."""
    table = f.file.catalog()["indexed"]
    return table.id, next(index.tree for index in table.indexes if index.name == "indexed_b")


def damaged(result: Any) -> bool:
    return isinstance(result, dict) and result["error"][0] == "DamageError"


@pytest.mark.parametrize("key", [b"", b"\x30", b"\x20\x80\x00", b"\x30a\x00\x00\x80\x00\x00"])
def test_an_index_key_without_room_for_a_row_id(sample: Any, ask: Any, tmp_path: Path, key: bytes) -> None:
    f = Forger(sample[0])
    node = next(leaf for leaf in leaves(f, f.file.tree(trees(f)[1]).root) if any(e.live for e in leaf.entries))
    at = next(i for i, e in enumerate(node.entries) if e.live)
    f.rebuild(node.page, [replace(e, key=key) if i == at else e for i, e in enumerate(node.entries)])
    path = tmp_path / "short.edb"
    path.write_bytes(f.sealed())
    answer = ask(path, moments=[], queries=[SORTED], writes=[])
    assert damaged(answer["rows"][0][0]), answer["rows"]


def test_an_index_tree_whose_keys_are_said_to_be_row_ids(sample: Any, ask: Any, tmp_path: Path) -> None:
    """State and pages agree on it, and only who writes learns that the keys are an index's."""
    f = Forger(sample[0])
    table, index = trees(f)
    f.state(index)[:] = f.state(table)[:]
    path = tmp_path / "fixed.edb"
    path.write_bytes(f.sealed())
    answer = ask(path, moments=[], queries=[SORTED],
                 writes=["INSERT INTO indexed(a, b) VALUES (123456, 'new')", "DELETE FROM indexed"])
    for result in [*answer["rows"][0], *answer["writes"]]:
        assert damaged(result), result


def forge_table(path: Path, key: bytes) -> None:
    """The tree of `child` becomes one whose keys vary: that of its index, in which one key is `key`."""
    f = Forger(path.read_bytes())
    child = f.file.catalog()["child"]
    tree = child.indexes[0].tree
    node = next(leaf for leaf in leaves(f, f.file.tree(tree).root))
    f.rebuild(node.page, [replace(e, key=key) if i == 0 else e for i, e in enumerate(node.entries)])
    f.state(child.id)[:] = f.state(tree)[:]
    path.write_bytes(f.sealed())


@pytest.mark.parametrize("key", [b"", b"\x20", b"\x20\x20\x20\x20"])
def test_a_row_whose_key_is_too_short_for_a_row_id(ask: Any, tmp_path: Path, key: bytes) -> None:
    """Met by whoever goes through all rows: a query, a new index, a parent that looks for its children."""
    path = tmp_path / "table.edb"
    db = driver.connect(path, page_size=512)
    db.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
    db.execute("CREATE TABLE child(id INTEGER PRIMARY KEY, p REFERENCES parent(id) ON DELETE CASCADE, v UNIQUE)")
    db.execute("INSERT INTO parent VALUES (1)")
    db.executemany("INSERT INTO child VALUES (?, 1, ?)", [(n, f"v{n}") for n in range(3)])
    db.commit()
    db.close()
    forge_table(path, key)
    answer = ask(path, moments=[],
                 queries=["SELECT * FROM child", "SELECT id FROM child", "SELECT rowid, p FROM child"],
                 writes=["CREATE INDEX child_p ON child(p)", "DELETE FROM parent", "UPDATE parent SET id = 2",
                         "DELETE FROM child", "UPDATE child SET v = 'w' || id"])
    for result in [*answer["rows"][0], *answer["writes"]]:
        assert damaged(result), result


def test_a_catalog_whose_keys_are_not_table_ids(sample: Any, ask: Any, tmp_path: Path) -> None:
    f = Forger(sample[0])
    index = trees(f)[1]
    node = next(leaf for leaf in leaves(f, f.file.tree(index).root))
    f.rebuild(node.page, [replace(e, key=b"\x20") if i == 0 else e for i, e in enumerate(node.entries)])
    f.state(0)[:] = f.state(index)[:]
    path = tmp_path / "catalog.edb"
    path.write_bytes(f.sealed())
    answer = ask(path, moments=[], queries=[SORTED, "SELECT * FROM entitydb_catalog"], writes=["CREATE TABLE t(a)"])
    for result in [*answer["rows"][0], *answer["writes"]]:
        assert damaged(result), result
