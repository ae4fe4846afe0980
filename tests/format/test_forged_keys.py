"""Keys of a size that no index and no table has: damage, wherever they are met."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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
