"""The benchmarks run, and judge by their targets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import EXAMPLES

ROOT = EXAMPLES.parent


@pytest.mark.slow
def test_a_benchmark_prints_ratios_and_writes_json(tmp_path: Path) -> None:
    import entitydb_dialect

    figures = tmp_path / "figures.json"
    package = str(Path(entitydb_dialect.__file__).resolve().parent.parent)
    result = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks"), "--quick", "--only", "driver", "--folder", str(tmp_path),
         "--json", str(figures)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": package}, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    written = json.loads(figures.read_text(encoding="utf-8"))
    assert {"processor", "kernel", "sqlite", "build"} <= written["machine"].keys()
    assert [row["name"] for row in written["rows"]] == ["key lookups", "fetchall", "iteration"]
    for row in written["rows"]:
        assert row["ratio"] > 0
        assert f"{row['ratio']:.2f}" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures.json"], "databases were left behind"


def test_rows_are_judged_by_their_targets() -> None:
    sys.path.append(str(ROOT))
    try:
        from benchmarks.measure import Row
    finally:
        sys.path.remove(str(ROOT))

    def verdict(ours: float, **bounds: float) -> str:
        return Row("group", "name", ours, 10, "s", "other", **bounds).verdict

    assert verdict(12, at_most=1.25) == "reached"
    assert verdict(13, at_most=1.25) == "falls short"
    assert verdict(7, at_least=0.7) == "reached"
    assert verdict(6, at_least=0.7) == "falls short"
    assert verdict(99) == "report"
