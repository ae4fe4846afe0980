"""Runs SQLAlchemy's own tests over EntityDB and over pysqlite, and compares them by test.

    python tests/upstream/run.py --folder build/upstream --write docs/compatibility.md [test/sql ...]

SQLAlchemy's source distribution of the installed version is taken from the package index (or is given by --source) and
run as `sqlite+entitydb`, so that tests marked for SQLite run too, on a file. Results stay in the folder as JUnit XML: a
part that is there is not run again. The exit status tells whether a difference has no reason in REASONS.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as xml
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import sqlalchemy

HERE = Path(__file__).resolve().parent
PARTS = ["test/engine", "test/ext", "test/sql", "test/orm"]
URLS = {"pysqlite": "sqlite:///upstream.db", "entitydb": "sqlite+entitydb:///upstream.edb"}

IDS = (
    "not mended yet: where over 4,096 transactions in a row made a table and were rolled back, the ids of a table made "
    "later do not begin at 1"
)

# What may differ, and why: (pattern of the test's id, pattern of its message, reason). The first that fits counts.
REASONS: list[tuple[str, str, str]] = [
    (r"", r": not .*sqlite\+pysqlite|Unexpected success for .*sqlite\+pysqlite",
     "the test names the driver pysqlite, and so does not run or is expected to fail here"),
    (r"", r"^$", "the test names the driver pysqlite, and so does not run or is expected to fail here"),
    (r"test_derived_dml_bulk", r"0 were matched", IDS),
    (r"", r"ON CONFLICT is not there yet", "INSERT ... ON CONFLICT was not there yet at this run"),
    (r"", r"generated column .* does not compute", "generated columns are not there yet"),
    (r"", r"partial indexes yet", "partial indexes are not there yet"),
    (r"IMVSentinelTest", r"AssertionError: .* != [\[{]\('?1'?,", IDS),
    (r"", r"SELECT \.\.\. FOR UPDATE", "FOR UPDATE is refused, not ignored, until there are row locks"),
]

Results = dict[str, tuple[str, str]]  # test -> (outcome, message)


def source(folder: Path, given: str | None) -> Path:
    """The unpacked source distribution."""
    name = f"sqlalchemy-{sqlalchemy.__version__}"
    if given is not None:
        return Path(given).resolve()
    if not (folder / name).exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "sqlalchemy"]
        subprocess.run([*command, "--dest", folder, f"sqlalchemy=={sqlalchemy.__version__}"], check=True)
        with tarfile.open(next(folder.glob(f"{name}.tar.gz"))) as archive:
            archive.extractall(folder, filter="data")
    return folder / name


def run(tree: Path, folder: Path, backend: str, part: str, workers: int) -> Path:
    """Runs one folder of tests. -> the JUnit file."""
    report = folder / f"{backend}-{part.replace('/', '-')}.xml"
    if report.exists():
        return report
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(workers), "-p", "no:cacheprovider", "-p", "no:warnings"]
    command += ["--maxfail", "100000", "--tb", "short", f"--junitxml={report}", "--dburi", URLS[backend]]
    if backend == "entitydb":
        command += ["--requirements", "upstream_requirements:Requirements", "-p", "entitydb_dialect"]
    # Without the user's site the tests use the installed SQLAlchemy, compiled parts included, not the tree's.
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONNOUSERSITE": "1", "PYTHONPATH": path}
    with open(folder / f"{report.stem}.log", "w") as log:
        subprocess.run([*command, part], cwd=tree, env=environment, stdout=log, stderr=log, check=False)
    return report


def read(reports: Iterable[Path]) -> Results:
    found: Results = {}
    for report in reports:
        for case in xml.parse(report).getroot().iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            name = re.sub(r"_sqlite\+\w+?_\d+_\d+(_\d+)*", "", name)
            outcome, message = "passed", ""
            for child in case:
                if child.tag in ("failure", "error", "skipped"):
                    outcome = "skipped" if child.tag == "skipped" else "failed"
                    message = f"{child.get('message')}\n{child.text}"
            if found.get(name, ("", ""))[0] != "failed":  # an error at the end of a test comes as a second case
                found[name] = (outcome, message)
    return found


def reason(test: str, message: str) -> str | None:
    for name, text, why in REASONS:
        if re.search(name, test) and re.search(text, message):
            return why
    return None


def last_error(message: str) -> str:
    lines = [line[2:].strip() for line in message.splitlines() if line.startswith("E ")]
    return (lines or message.splitlines() or [""])[0][:160]


def document(parts: list[str], ours: Results, theirs: Results) -> tuple[str, int]:
    """-> the page, and how many differences nobody has explained."""
    counts = {name: Counter(outcome for outcome, _ in found.values()) for name, found in
              (("pysqlite", theirs), ("EntityDB", ours))}
    groups: dict[str, list[str]] = defaultdict(list)
    firsts: dict[str, str] = {}  # of each class of tests, the first error that nobody has explained
    for test, (outcome, _) in sorted(theirs.items()):
        mine, message = ours.get(test, ("absent", ""))
        if outcome == "passed" and mine != "passed":
            why = reason(test, message)
            if why is None:
                whose = test.rsplit("::", 1)[0]
                firsts.setdefault(whose, f"not explained: {whose}: {mine}: {last_error(message)}")
                why = firsts[whose]
            groups[why].append(test)
    gained = sum(1 for test, (outcome, _) in ours.items()
                 if outcome == "passed" and theirs.get(test, ("absent",))[0] != "passed")
    lines = [
        "# Compatibility", "",
        f"SQLAlchemy {sqlalchemy.__version__}'s own tests ({', '.join(f'`{part}`' for part in parts)}) on a file, as "
        "`sqlite+entitydb`, beside the same run over pysqlite. Written by `tox -e upstream`.", "",
        "| | passed | failed | skipped |", "|---|---|---|---|",
    ]
    lines += [f"| {name} | {c['passed']:,} | {c['failed']:,} | {c['skipped']:,} |" for name, c in counts.items()]
    lines += ["", f"{gained:,} tests pass here that do not pass over pysqlite. What passes there and not here:", "",
              "| tests | reason | for example |", "|---|---|---|"]
    for why, tests in sorted(groups.items(), key=lambda item: -len(item[1])):
        lines.append(f"| {len(tests)} | {why.replace('|', '/')} | `{tests[0].replace('|', '/')}` |")
    return "\n".join(lines) + "\n", sum(len(t) for why, t in groups.items() if why.startswith("not explained"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=PARTS)
    parser.add_argument("--folder", default="build/upstream", help="sources and results")
    parser.add_argument("--source", help="an unpacked source distribution")
    parser.add_argument("--write", help="the page to write")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    folder = Path(options.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    tree = source(folder, options.source)
    reports: dict[str, list[Path]] = {backend: [] for backend in URLS}
    for part in options.parts:
        for backend in URLS:
            reports[backend].append(run(tree, folder, backend, part, options.workers))
    results = {backend: read(done) for backend, done in reports.items()}
    page, unexplained = document(options.parts, results["entitydb"], results["pysqlite"])
    if options.write:
        Path(options.write).write_text(page)
    print(page)
    return int(unexplained > 0)


if __name__ == "__main__":
    sys.exit(main())
