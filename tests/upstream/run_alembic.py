"""Runs Alembic's own tests over EntityDB and over pysqlite, and compares them by test.

    python tests/upstream/run_alembic.py --folder build/upstream --write docs/compatibility.md

The source distribution of the installed Alembic is taken from the package index (or is given by --source). Each run
leaves a JUnit file in the folder; one that is there is not run again. --write replaces Alembic's section of the page
and leaves the others. The exit status tells whether a difference has no reason here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from importlib import metadata
from pathlib import Path

import alembic
import sqlalchemy
from report import Groups, Run, replace_section
from run import measured, source

WAYS = {"pysqlite": "sqlite:///upstream.db", "entitydb": "sqlite+entitydb:///upstream.edb"}

# What may differ, and why: (pattern of the test's id, pattern of its message, reason). The first that fits counts.
REASONS: list[tuple[str, str, str]] = [
    (r"AutogenInspectorCacheTest", r"",
     "it counts the PRAGMAs that reflection says; here reflection asks the catalog, and says none"),
    (r"sqlite_refinteg", r"did not raise",
     "it wants making a table anew to fail while foreign keys are enforced; here it succeeds, and they are checked"),
    (r"test_expression_indexes_remove", r"remove_index",
     "it wants no difference, since reflection leaves indexes on expressions out; here the removed one is found"),
    (r"AutogenerateExpressionIndexTest|functional_ix", r"Warnings were not seen",
     "it wants a warning that indexes on expressions cannot be reflected; here they are, and are compared"),
]  # fmt: skip
PYSQLITE = [(r"test_post_write", r"", "it runs `black`, which was not installed for either run")]


def run(tree: Path, folder: Path, way: str, workers: int) -> Path:
    """-> the JUnit file; the times stand beside it."""
    report = folder / f"alembic-{alembic.__version__}-{way}.xml"
    if report.exists():
        return report
    for left in tree.glob("upstream.*"):
        left.unlink()
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(workers), "-p", "no:cacheprovider", "--tb", "short"]
    command += ["--maxfail", "100000", f"--junitxml={report}", "--dburi", WAYS[way]]
    command += ["-p", "entitydb_dialect"] if way == "entitydb" else []
    environment = {**os.environ, "PYTHONNOUSERSITE": "1"}
    with open(report.with_suffix(".log"), "w") as log:
        times = measured([*command, "tests"], cwd=tree, env=environment, stdout=log, stderr=log)
    report.with_suffix(".json").write_text(json.dumps(times))
    return report


def section(workers: int, theirs: Run, ours: Run) -> tuple[str, int]:
    """-> the section, and how many differences nobody has explained."""
    lost = [test for test in theirs.outcomes if theirs.passes(test) and not ours.passes(test)]
    groups = Groups(lost, ours, REASONS)
    failing = Groups((t for t, (o, _) in theirs.outcomes.items() if o == "failed"), theirs, PYSQLITE)
    lines = [
        "## Alembic's own tests", "",
        f"Alembic {alembic.__version__}'s `tests`, from its source distribution, with SQLAlchemy "
        f"{sqlalchemy.__version__}, on a file, {workers} workers, as `sqlite+entitydb` so that tests marked for SQLite "
        "run too: `tox -e alembic`, or "
        "`python tests/upstream/run_alembic.py --folder build/upstream --write docs/compatibility.md`. "
        "Alembic's suite for dialects is part of `tox -e py` (`python tests/migrations/suite`).", "",
        "| | passed | failed | skipped | wall | CPU |", "|---|---|---|---|---|---|",
        theirs.row("pysqlite", ["tests"]), ours.row("EntityDB", ["tests"]), "",
        "What passes over pysqlite and not here:", "", *groups.table(), "",
        "What fails over pysqlite:", "", *failing.table(), "",
    ]  # fmt: skip
    return "\n".join(lines), groups.unexplained


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="build/upstream", help="sources and results")
    parser.add_argument("--source", help="an unpacked source distribution")
    parser.add_argument("--write", help="the page to write")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    plugins = [p.name for p in metadata.entry_points(group="alembic.plugins")]
    assert any(re.fullmatch(r"alembic\.autogenerate\.entitydb", name) for name in plugins), "EntityDB is not installed"
    folder = Path(options.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    tree = source("alembic", alembic.__version__, folder, options.source)
    theirs, ours = (Run.read({"tests": run(tree, folder, way, options.workers)}) for way in WAYS)
    text, unexplained = section(options.workers, theirs, ours)
    if options.write:
        replace_section(Path(options.write), text)
    print(text)
    return int(unexplained > 0)


if __name__ == "__main__":
    sys.exit(main())
