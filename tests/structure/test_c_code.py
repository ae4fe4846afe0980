"""The checks of C code find what they look for: small trees with one violation each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from . import c_code, c_fields

Plant = Callable[[dict[str, str]], Path]
Uses = Callable[[Path], dict[tuple[str, str], list[str]]]


@pytest.fixture
def uses(tmp_path_factory: pytest.TempPathFactory) -> Uses:
    return lambda root: c_code.symbol_uses(c_code.compile_all(root, tmp_path_factory.mktemp("objects")))


def test_an_include_of_a_layer_above_is_found(plant: Plant) -> None:
    root = plant({
        "engine/pager/pager.h": '#include "native/bytes.h"\n#  include "engine/tree/tree.h"\n',
        "engine/tree/tree.h": '#include "engine/pager/pager.h"\n#include <stdint.h>\n',
        "native/bytes.h": "",
    })  # fmt: skip
    assert c_code.climbing_includes(root) == ["engine/pager/pager.h includes engine/tree/tree.h"]
    assert c_code.without_layer(root) == []


def test_an_include_without_its_folder_is_found(plant: Plant) -> None:
    root = plant({"engine/tree/page.c": '#include "page.h"\n', "engine/tree/page.h": ""})
    assert c_code.climbing_includes(root) == ["engine/tree/page.c: there is no page.h"]


def test_a_folder_without_a_layer_is_found(plant: Plant) -> None:
    root = plant({"engine/attic/old.c": ""})
    assert c_code.without_layer(root) == ["engine/attic/old.c: its folder is not in C_LAYERS"]


def test_a_call_of_a_layer_above_is_found_without_an_include(plant: Plant, uses: Uses) -> None:
    root = plant({
        "engine/pager/pager.c": "int tree_size(void);\nint pager_size(void) { return tree_size(); }\n",
        "engine/tree/tree.c": "int tree_size(void) { return 1; }\n",
    })  # fmt: skip
    found = uses(root)
    assert c_code.climbing_symbols(found) == ["engine/pager/pager.c uses tree_size of engine/tree/tree.c"]
    assert c_code.object_circles(found) == []


def test_a_circle_of_objects_is_found_and_also_one_through_data(plant: Plant, uses: Uses) -> None:
    root = plant({
        "engine/txn/one.c": "int two(void);\nint one(void) { return two(); }\n",
        "engine/txn/two.c": "extern int three;\nint two(void) { return three; }\n",
        "engine/txn/three.c": "int one(void);\nint three;\nint (*const start)(void) = one;\n",
        "engine/txn/beside.c": "int one(void);\nint beside(void) { return one(); }\n",
    })  # fmt: skip
    found = uses(root)
    assert c_code.object_circles(found) == ["engine/txn/one.c <-> engine/txn/three.c <-> engine/txn/two.c"]
    assert c_code.climbing_symbols(found) == []


@pytest.mark.slow
def test_only_the_known_circle_may_be_and_may_not_grow(plant: Plant, uses: Uses) -> None:
    known = {
        "engine/tree/tree_write.c": "int interior(void);\nint tree_write(void) { return interior(); }\n",
        "engine/tree/tree_interior.c": "int tree_write(void);\nint interior(void) { return tree_write(); }\n",
    }
    assert c_code.object_circles(uses(plant(known))) == []
    grown = plant({
        **known,
        "engine/tree/tree_interior.c": "int leaf(void);\nint interior(void) { return leaf(); }\n",
        "engine/tree/tree_leaf.c": "int tree_write(void);\nint leaf(void) { return tree_write(); }\n",
    })  # fmt: skip
    names = ["engine/tree/tree_interior.c", "engine/tree/tree_leaf.c", "engine/tree/tree_write.c"]
    assert c_code.object_circles(uses(grown)) == [" <-> ".join(names)]


def test_what_does_not_compile_is_said(plant: Plant, uses: Uses) -> None:
    with pytest.raises(AssertionError, match=r"engine/txn/bad\.c"):
        uses(plant({"engine/txn/bad.c": "int bad(void) { return }\n"}))


def test_a_prefix_of_two_structs_is_found(plant: Plant) -> None:
    root = plant({
        "engine/txn/txn.c": "typedef struct {\n    int tx_kind; /* { int no; } */\n    char *tx_a, tx_b[3];\n} txn;\n",
        "engine/tree/tree.h": "struct tree_x {\n    unsigned tx_bit : 1;\n    int (*tx_call)(int, int);\n};\n",
        "engine/tree/page.h": "struct plain { int tx_kind, other; };\nstruct page { int pg_a; };\n",
    })  # fmt: skip
    assert c_fields.shared_prefixes(root) == ["tx_: tree_x in engine/tree/tree.h, txn in engine/txn/txn.c"]
