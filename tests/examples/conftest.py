"""The programs in examples/ run as users run them: as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


def environment() -> dict[str, str]:
    """The environment of a process that uses the package that the tests use."""
    import entitydb_dialect

    package = str(Path(entitydb_dialect.__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "100"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a program of examples/ in an empty folder, with the package that the tests use."""
    folder = tmp_path / "run"
    folder.mkdir()

    def started(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, str(EXAMPLES / name), *map(str, arguments)], cwd=folder, capture_output=True, check=False,
            env=environment())

    return started
