"""What a machine lacks ends the build with one line that names the package to install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A compiler that cannot find one header, and otherwise does nothing.
WITHOUT = """#!/bin/sh
if grep -q '<{header}>'; then exit 1; fi
exit 0
"""


def build(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "native" / "build_native.py")],
        env={**os.environ, "ENTITYDB_BUILD": "test", **environment},
        text=True, capture_output=True, check=False, timeout=60,
    )  # fmt: skip


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("header", "package"),
    [("sqlite3ext.h", "libsqlite3-dev"), ("Python.h", "python3-dev"), ("stdio.h", "libc6-dev")],
)
def test_missing_header_names_its_package(tmp_path, header, package) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(WITHOUT.format(header=header))
    compiler.chmod(0o755)
    line = one_line(build({"CC": str(compiler)}))
    assert header in line
    assert f"apt-get install {package}" in line


def test_missing_compiler_names_its_package(tmp_path) -> None:
    line = one_line(build({"PATH": str(tmp_path), "CC": ""}))
    assert "apt-get install gcc" in line


def test_unknown_kind_of_build_is_refused() -> None:
    assert "'tset'" in one_line(build({"ENTITYDB_BUILD": "tset"}))


def test_only_the_entry_points_are_exported(native) -> None:
    """The engine's names must not meet those of another library in the process."""
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", native.__file__], text=True, capture_output=True, check=True
    ).stdout
    names = {line.split()[-1] for line in listed.splitlines()}
    assert {name for name in names if not name.startswith(("_init", "_fini"))} == {
        "PyInit__native", "PyInit__short", "sqlite3_entitydb_init",
    }  # fmt: skip
