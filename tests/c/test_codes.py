"""The one table of result codes, read through the binding and compared with the header."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HEADER = Path(__file__).resolve().parents[2] / "engine" / "codes.h"
ROW = re.compile(r'^\s+X\(\s*(\d+),\s*(\w+),\s*(\d+),\s*"(\w*)",\s*"([^"]+)"\)', re.MULTILINE)


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, ...]]:
    return ROW.findall(HEADER.read_text(encoding="utf-8"))


def text(native, pointer) -> str | None:
    return native.ffi.string(pointer).decode() if pointer else None


def test_every_code_of_the_header_is_in_the_binding(native, rows) -> None:
    lib = native.lib
    assert [int(row[0]) for row in rows] == list(range(lib.edb_code_count()))
    for number, name, _, python, meaning in rows:
        code = int(number)
        assert text(native, lib.edb_code_name(code)) == name
        assert text(native, lib.edb_code_python(code)) == python
        assert text(native, lib.edb_code_meaning(code)) == meaning


def test_codes_that_are_not_in_the_table_have_no_name(native) -> None:
    for code in (-1, native.lib.edb_code_count(), 2**31 - 1, -(2**31)):
        assert not native.lib.edb_code_name(code)
        assert not native.lib.edb_code_python(code)
        assert not native.lib.edb_code_meaning(code)
