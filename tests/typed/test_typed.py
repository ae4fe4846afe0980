"""The examples of this folder pass mypy, strict, and pyright; and neither would pass anything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
EXAMPLES = sorted(FOLDER.glob("*_examples.py"))

WRONG = """
from time_examples import Product

from entitydb_dialect import TemporalSession, temporal, versions

temporal(Product, as_of=1.5)
temporal(Product, as_of=1).nothing
versions(Product).nothing
TemporalSession().get_one(Product, 1, as_of="2024-01-01").nothing
"""
WANTED = [("wrong.py", line) for line in (6, 7, 8, 9)]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for example in EXAMPLES:
        shutil.copy(example, tmp_path)
    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    return sorted(path.name for path in tmp_path.iterdir())


def run(folder: Path, *command: str) -> str:
    root = str(FOLDER.parent.parent)
    environment = {**os.environ, "MYPYPATH": root, "PYTHONPATH": root}
    found = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return found.stdout


@pytest.mark.slow
def test_mypy(tmp_path: Path, files: list[str]) -> None:
    pytest.importorskip("mypy", reason="mypy checks it")
    output = run(tmp_path, "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *files)
    errors = [line.split(":") for line in output.splitlines() if ": error:" in line]
    assert [(file, int(line)) for file, line, *_ in errors] == WANTED, output


@pytest.mark.slow
def test_pyright(tmp_path: Path, files: list[str]) -> None:
    pytest.importorskip("pyright", reason="pyright checks it")
    config = {"extraPaths": [str(FOLDER.parent.parent)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    output = run(tmp_path, "pyright", "--outputjson", "--pythonpath", sys.executable)
    found = json.loads(output)
    assert found["summary"]["filesAnalyzed"] == len(files)
    errors = [one for one in found["generalDiagnostics"] if one["severity"] == "error"]
    lines = {(Path(one["file"]).name, one["range"]["start"]["line"] + 1) for one in errors}
    assert sorted(lines) == WANTED, output
