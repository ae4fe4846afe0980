"""The benchmarks run, and judge by their targets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
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


@pytest.fixture
def benchmarks_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])


@pytest.mark.slow
@pytest.mark.parametrize(("side", "transaction"), [("ours", False), ("ours", True), ("SQLite", True)])
@pytest.mark.usefixtures("benchmarks_found")
def test_writers_make_and_count_each_of_their_commits(tmp_path: Path, side: str, transaction: bool) -> None:
    from benchmarks.items import made
    from benchmarks.measure import Setting, open_ours
    from benchmarks.writer_group import in_window, ordered, writers_started
    from benchmarks.writer_process import Task

    path = made(Setting(tmp_path, True, 1), "items", 20, 3)[side]
    with writers_started(2) as writers:
        tasks = [Task(side, str(path), "full", 1 + 10 * i, 10, i + 1, transaction) for i in range(2)]
        assert ordered(writers, [{"open": asdict(task)} for task in tasks]) == [{}, {}]
        done = in_window(writers, side, 1e6, most=7)
        assert ordered(writers, [{"close": side}] * 2) == [{}, {}]
    assert [one.in_window for one in done] == [7, 7]
    assert [len(one.seconds) for one in done] == [7, 7]
    assert all(one.written_bytes > 7 * 200 and min(one.seconds) > 0 for one in done)
    if side == "ours":
        ours = open_ours(path)
        made_by = ours.execute("SELECT count(*) FROM entitydb_transactions").fetchall()[0][0]
        ours.close()
        # CREATE TABLE, three of CREATE INDEX, the rows; of each writer the first commit, before the window.
        assert made_by == 5 + 2 * 8


@pytest.mark.usefixtures("benchmarks_found")
def test_a_refused_commit_is_an_error_and_made_again() -> None:
    from benchmarks.writer_process import Side, Window, commit_in

    class Refused(Exception):
        pass

    undone: list[int] = []
    committed: list[int] = []

    def commit(change: tuple[int, int, int, int]) -> None:
        if len(undone) < 2 * change[0]:
            raise Refused
        committed.append(change[0])

    side = Side(commit, Refused, lambda: undone.append(1), lambda: None, iter([(n, 0, 0, 0) for n in range(4)]))
    done = commit_in(Window(0, float("inf"), most=4), side)
    assert (committed, done.errors, done.in_window) == ([0, 1, 2, 3], 6, 4)


@pytest.mark.usefixtures("benchmarks_found")
def test_a_commit_that_is_refused_until_the_window_has_closed_is_not_counted() -> None:
    from benchmarks.writer_process import Side, Window, commit_in, now

    def commit(_: object) -> None:
        raise BlockingIOError

    closes = now() + 0.001
    done = commit_in(Window(0, closes), Side(commit, BlockingIOError, lambda: None, lambda: None,
                                             iter([(0, 0, 0, 0)] * 2)))
    assert done.in_window == 0


@pytest.mark.usefixtures("benchmarks_found")
def test_writers_together_are_summed_up() -> None:
    from benchmarks.writer_group import Together
    from benchmarks.writer_process import Done

    together = Together()
    together.add(0.5, [Done(2, 1, 100, [0.1, 0.4]), Done(1, 0, 50, [0.2])])
    together.add(0.5, [Done(1, 3, 10, [0.3])])
    assert (together.rate, together.errors, together.bytes_a_commit) == (6, 4, 40)
    assert [together.quantile(share) for share in (0.0, 0.5, 0.999, 1)] == [0.1, 0.3, 0.4, 0.4]


@pytest.mark.usefixtures("benchmarks_found")
def test_rows_are_judged_by_their_targets() -> None:
    from benchmarks.measure import Row

    def verdict(ours: float, **bounds: float) -> str:
        return Row("group", "name", ours, 10, "s", "other", **bounds).verdict

    assert verdict(12, at_most=1.25) == "reached"
    assert verdict(13, at_most=1.25) == "falls short"
    assert verdict(7, at_least=0.7) == "reached"
    assert verdict(6, at_least=0.7) == "falls short"
    assert verdict(99) == "report"
