"""What counts as the name of a file in a text, and that one which is not there is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .cited_files import comments, dead_citations, names

Plant = Callable[[dict[str, str]], Path]


@pytest.mark.parametrize(("text", "expected"), [
    ("see engine/tree/page.h, page.c and `_rows.py`.", ["engine/tree/page.h", "page.c", "_rows.py"]),
    ("[the format](docs/format.md#pages); (tox.ini)", ["docs/format.md", "tox.ini"]),
    ("tests/format/ and engine/vtab", ["tests/format", "engine/vtab"]),
    ("all test_*.py, engine/*/*.c", ["test_*.py", "engine/*/*.c"]),
    ("https://sqlite.org/c3ref/intro.c and t.c.id, table.c(1), the edb.handle", []),
])  # fmt: skip
def test_names_of_files(text: str, expected: list[str]) -> None:
    assert list(dict.fromkeys(name for _, name in names(text))) == expected


def test_only_texts_for_readers_are_read(plant: Plant) -> None:
    root = plant({
        "a.c": 'int a; /* one\n two */ char *s = "/* no */"; // three\n#include "no.h"\n',
        "a.py": '"""Module."""\nx = "no"  # comment\ndef f():\n    """Function."""\n    return "no"\n',
        "a.ini": "no = 1\n# yes\n",
    })  # fmt: skip
    assert list(comments(root / "a.c")) == [(1, "/* one\n two */"), (2, "// three")]
    assert sorted(comments(root / "a.py")) == [(1, "Module."), (2, "# comment"), (4, "Function.")]
    assert list(comments(root / "a.ini")) == [(2, " yes")]


def test_a_file_that_is_not_there_is_found(plant: Plant) -> None:
    root = plant({
        "README.md": "First `docs/format.md`,\nthen `docs/gone.md`.\n",
        "docs/format.md": "Read engine/tree/page.h, tree/page.h or page.h; not pager/page.h. All of tests/gone/.\n",
        "engine/tree/page.h": "/* See page.c,\n   and old_*.c. */\n",
        "entitydb_dialect/x.py": '"""What page.h has; `_gone.py` has more."""\nname = "nothing.py"\n',
    })  # fmt: skip
    assert dead_citations(root) == [
        "README.md:2: docs/gone.md",
        "docs/format.md:1: pager/page.h",
        "docs/format.md:1: tests/gone",
        "engine/tree/page.h:1: page.c",
        "engine/tree/page.h:2: old_*.c",
        "entitydb_dialect/x.py:1: _gone.py",
    ]
