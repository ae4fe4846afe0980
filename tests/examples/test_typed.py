"""The web applications of examples/ pass mypy, strict."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import EXAMPLES, environment

APPLICATIONS = sorted(path.parent for path in EXAMPLES.glob("*/app.py"))


@pytest.mark.slow
@pytest.mark.parametrize("folder", APPLICATIONS, ids=lambda folder: folder.name)
def test_mypy(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy checks it")
    files = [str(path) for path in sorted(folder.glob("*.py"))]
    variables = environment()
    # The package may be installed in a way that mypy does not follow.
    variables["MYPYPATH"] = str(EXAMPLES.parent)
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *files],
        cwd=tmp_path, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == f"Success: no issues found in {len(files)} source file{'s' * (len(files) > 1)}\n"


def test_both_applications_are_there() -> None:
    assert [folder.name for folder in APPLICATIONS] == ["fastapi_app", "flask_app"]
