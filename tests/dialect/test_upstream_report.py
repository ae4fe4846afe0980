"""What tests/upstream makes of JUnit files: counts, groups by reason, and its own section of a page."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "upstream"


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("report")


def junit(path: Path, **outcomes: str) -> Path:
    """A file of tests of one class; an outcome is passed, skipped or failed with a message."""
    cases = []
    for name, outcome in outcomes.items():
        kind, _, message = outcome.partition(": ")
        child = {"passed": "", "skipped": f'<skipped message="{message}"/>'}.get(kind)
        child = f'<failure message="{message}">E   {message}</failure>' if child is None else child
        cases.append(f'<testcase classname="test.X_sqlite+entitydb_3_54_1" name="{name}">{child}</testcase>')
    path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    path.with_suffix(".json").write_text(json.dumps({"wall": 2.0, "cpu": 3.0}))
    return path


def test_differences_are_grouped_by_reason_and_the_rest_is_counted(report: Any, tmp_path: Path) -> None:
    trigger = "failed: CREATE TRIGGER t: no"
    locked = "failed: database is locked"
    theirs = junit(tmp_path / "theirs.xml", a="passed", b="passed", c="passed", d=locked, e="passed")
    ours = junit(tmp_path / "ours.xml", a="passed", b=trigger, c="failed: odd", d="passed")
    as_is = junit(tmp_path / "as_is.xml", a="failed: new", b=trigger, c="passed", d="passed", e="passed", f="passed")
    runs = [report.Run.read({"test/x": path}) for path in (theirs, ours, as_is)]
    text, unexplained = report.section(["test/x"], 2, pysqlite=runs[0], as_sqlite=runs[1], as_is=runs[2])
    assert unexplained == 3  # c and e (absent) as SQLite, a as it is
    lines = text.splitlines()
    assert "| pysqlite | 4 | 1 | 0 | 2 s | 3 s |" in lines
    assert "| EntityDB, as SQLite | 2 | 2 | 0 | 2 s | 3 s |" in lines
    assert any(line.startswith("| 1 | triggers are left out") and line.endswith("| `test.X::b` |") for line in lines)
    assert sum("not explained: test.X: failed: odd" in line for line in lines) == 1
    assert any(line.startswith("As it is, 2 tests pass that do not pass over pysqlite") for line in lines)
    assert any("a second connection finds the file locked" in line for line in lines)


def test_a_section_replaces_itself_and_nothing_else(report: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    report.replace_section(page, "## A\n\nfirst\n")
    report.replace_section(page, "## B\n\nsecond\n")
    report.replace_section(page, "## C\n\nthird\n")
    report.replace_section(page, "## B\n\nsecond again: \\1 \\g<0>\n")
    assert page.read_text() == "# Compatibility\n\n## A\n\nfirst\n\n## B\n\nsecond again: \\1 \\g<0>\n\n## C\n\nthird\n"
