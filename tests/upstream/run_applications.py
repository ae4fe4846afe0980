"""Runs the tests of programs that were written for SQLite over it and over EntityDB, and compares them by test.

    python tests/upstream/run_applications.py --folder build/applications --write docs/compatibility.md [optuna ...]

optuna's tests are in its source distribution, which is taken from the package index. Those of sqladmin and fastcrud are
in their repositories alone: the archive of the version that is installed is taken from there, or --source sqladmin=DIR
gives an unpacked one. Their engines are made for EntityDB by redirected.py. Each run leaves a JUnit file in the folder;
one that is there is not run again. The exit status tells whether a difference has no reason here.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import sqlalchemy
from report import Groups, Run, replace_section
from run import measured, source

HERE = Path(__file__).resolve().parent
WAYS = {"sqlite": "", "sqlite+entitydb": "sqlite+entitydb", "entitydb": "entitydb"}


@dataclass(frozen=True)
class Application:
    name: str
    archive: str  # of a version, where the tests are not in the source distribution
    tests: tuple[str, ...]
    options: tuple[str, ...] = ()


APPLICATIONS = [
    Application(
        "optuna", "",
        ("tests/storages_tests/rdb_tests", "tests/storages_tests/test_storages.py",
         "tests/storages_tests/test_cached_storage.py", "tests/storages_tests/test_heartbeat.py",
         "tests/storages_tests/test_callbacks.py", "tests/study_tests/test_study_summary.py",
         "tests/study_tests/test_study.py"),
        ("-k", "not redis and not grpc and not journal and not inmemory and not cached_sqlite", "-n", "2"),
    ),
    Application("sqladmin", "https://github.com/aminalaee/sqladmin/archive/refs/tags/{version}.tar.gz", ("tests",)),
    Application("fastcrud", "https://github.com/igorbenav/fastcrud/archive/refs/tags/v{version}.tar.gz", ("tests",),
                ("-n", "2")),
]  # fmt: skip

# What may differ, and why: (pattern of the test's id, pattern of its message, reason). The first that fits counts.
REASONS: list[tuple[str, str, str]] = [
    (r"", r"FOREIGN KEY constraint failed",
     "foreign keys are on by our name, and its rows refer to rows that are not there"),
    (r"", r"Sqlite only|not implemented for entitydb", "it knows SQLite by the name of SQLAlchemy's dialect"),
    (r"test_upgrade_", r"", "it brings a file of SQLite's, which a connection of ours does not open"),
    (r"test_optimize_parallel", r"assert 2 == 1",
     "two transactions number their rows by counting those before them, which a row lock or SQLite's one writer keeps "
     "apart; here neither sees the other's, but at SERIALIZABLE the later one is refused"),
]  # fmt: skip


def run(application: Application, tree: Path, folder: Path, way: str) -> Path:
    """-> the JUnit file; the times stand beside it."""
    report = folder / f"{application.name}-{way}.xml"
    if report.exists():
        return report
    for left in tree.glob("test.db*"):
        left.unlink()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:warnings", "--tb", "short"]
    command += ["--continue-on-collection-errors", f"--junitxml={report}", *application.options]
    environment = {**os.environ, "PYTHONNOUSERSITE": "1"}
    if WAYS[way]:
        command += ["-p", "redirected"]
        path = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment |= {"PYTHONPATH": os.pathsep.join(path), "REDIRECT_SQLITE_TO": WAYS[way]}
    with open(report.with_suffix(".log"), "w") as log:
        times = measured([*command, *application.tests], cwd=tree, env=environment, stdout=log, stderr=log)
    report.with_suffix(".json").write_text(json.dumps(times))
    return report


def section(found: dict[str, dict[str, Run]]) -> tuple[str, int]:
    """-> the section, and how many differences nobody has explained."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in found)
    lines = [
        "## Programs written for SQLite", "",
        f"The tests of {versions}, with SQLAlchemy {sqlalchemy.__version__}, over SQLite and over EntityDB, which "
        "`tests/upstream/redirected.py` gives them where they ask for SQLite: `tox -e applications`.", "",
        "| | | passed | failed | skipped | wall | CPU |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    unexplained = 0
    differences: list[str] = []
    for name, runs in found.items():
        lines += [f"| {name} {runs[way].row(f'`{way}`', ['tests'])}" for way in WAYS]
        theirs = runs["sqlite"]
        for way in list(WAYS)[1:]:
            lost = [test for test in theirs.outcomes if theirs.passes(test) and not runs[way].passes(test)]
            groups = Groups(lost, runs[way], REASONS)
            unexplained += groups.unexplained
            if lost:
                differences += [f"What passes over SQLite and not over `{way}`, of {name}:", "", *groups.table(), ""]
    return "\n".join([*lines, "", *(differences or ["What passes over SQLite passes over both.", ""])]), unexplained


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[application.name for application in APPLICATIONS])
    parser.add_argument("--folder", default="build/applications", help="sources and results")
    parser.add_argument("--source", action="append", default=[], help="NAME=DIR: unpacked sources")
    parser.add_argument("--write", help="the page to write")
    options = parser.parse_args()
    given = dict(text.split("=", 1) for text in options.source)
    folder = Path(options.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, Run]] = {}
    for application in APPLICATIONS:
        if application.name in options.names:
            name = application.name
            tree = source(name, metadata.version(name), folder, given.get(name), application.archive)
            reports = {way: run(application, tree, folder, way) for way in WAYS}
            found[application.name] = {way: Run.read({"tests": report}) for way, report in reports.items()}
    text, unexplained = section(found)
    if options.write:
        replace_section(Path(options.write), text)
    print(text)
    return int(unexplained > 0)


if __name__ == "__main__":
    sys.exit(main())
