"""From JUnit files to a section of docs/compatibility.md: counts, times, and what differs, grouped by its reason."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as xml
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from reasons import PYSQLITE, REASONS

LINE = ".".join(sqlalchemy.__version__.split(".")[:2])
HEADING = f"## SQLAlchemy {LINE}'s own tests"

Outcome = tuple[str, str]  # passed, failed, skipped or absent; and the message
ABSENT: Outcome = ("absent", "")


@dataclass(frozen=True)
class Run:
    """All tests in one way."""

    outcomes: dict[str, Outcome]
    times: dict[str, dict[str, float]]  # part: wall and cpu, seconds; of parts that left them

    @classmethod
    def read(cls, reports: dict[str, Path]) -> Run:
        """Of the JUnit file of each part."""
        times = {part: report.with_suffix(".json") for part, report in reports.items()}
        return cls(
            _outcomes(reports.values()),
            {part: json.loads(each.read_text()) for part, each in times.items() if each.exists()},
        )

    def __getitem__(self, test: str) -> Outcome:
        return self.outcomes.get(test, ABSENT)

    def passes(self, test: str) -> bool:
        return self[test][0] == "passed"

    def row(self, name: str, timed: list[str]) -> str:
        counts = Counter(outcome for outcome, _ in self.outcomes.values())
        cells = [f"{counts[outcome]:,}" for outcome in ("passed", "failed", "skipped")]
        cells += [f"{sum(self.times[part][what] for part in timed):,.0f} s" for what in ("wall", "cpu")]
        return f"| {name} | {' | '.join(cells)} |"


def _outcomes(reports: Iterable[Path]) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    for report in reports:
        for case in xml.parse(report).getroot().iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            name = re.sub(r"_sqlite\+\w+?_\d+_\d+(_\d+)*", "", name)
            outcome, message = "passed", ""
            for child in case:
                if child.tag in ("failure", "error", "skipped"):
                    outcome = "skipped" if child.tag == "skipped" else "failed"
                    message = f"{child.get('message')}\n{child.text}"
            if found.get(name, ABSENT)[0] != "failed":  # an error at the end of a test comes as a second case
                found[name] = (outcome, message)
    return found


def reason(test: str, message: str, reasons: list[tuple[str, str, str]]) -> str | None:
    for name, text, why in reasons:
        if re.search(name, test) and re.search(text, message):
            return why
    return None


def _last_error(message: str) -> str:
    lines = [line[2:].strip() for line in message.splitlines() if line.startswith("E ")]
    return (lines or message.splitlines() or [""])[0][:160]


class Groups:
    """Tests by reason, and how many have none."""

    def __init__(self, tests: Iterable[str], run: Run, reasons: list[tuple[str, str, str]] = REASONS) -> None:
        self.unexplained = 0
        self.tests: dict[str, list[str]] = defaultdict(list)
        firsts: dict[str, str] = {}  # of each class of tests, the first error that nobody has explained
        for test in sorted(tests):
            outcome, message = run[test]
            why = reason(test, message, reasons)
            if why is None:
                self.unexplained += 1
                whose = test.rsplit("::", 1)[0]
                why = firsts.setdefault(whose, f"not explained: {whose}: {outcome}: {_last_error(message)}")
            self.tests[why].append(test)

    def table(self) -> list[str]:
        if not self.tests:
            return ["Nothing."]
        lines = ["| tests | reason | for example |", "|---|---|---|"]
        for why, tests in sorted(self.tests.items(), key=lambda item: (-len(item[1]), item[0])):
            lines.append(f"| {len(tests)} | {why.replace('|', '/')} | `{tests[0].replace('|', '/')}` |")
        return lines


def section(parts: list[str], workers: int, *, pysqlite: Run, as_sqlite: Run, as_is: Run) -> tuple[str, int]:
    """-> the section, and how many differences nobody has explained."""
    theirs = [test for test in pysqlite.outcomes if pysqlite.passes(test)]
    lost = {test for test in theirs if not as_sqlite.passes(test)}
    lost_as_is = {test for test in theirs if not as_is.passes(test)}
    lost_as_is |= {test for test, (outcome, _) in as_is.outcomes.items() if outcome == "failed"}
    gained = sum(as_sqlite.passes(test) and not pysqlite.passes(test) for test in as_sqlite.outcomes)
    gained_as_is = sum(as_is.passes(test) and not pysqlite.passes(test) for test in as_is.outcomes)
    first, second = Groups(lost, as_sqlite), Groups(lost_as_is - lost, as_is)
    third = Groups((t for t, (o, _) in pysqlite.outcomes.items() if o == "failed"), pysqlite, PYSQLITE)
    timed = [part for part in parts if all(part in run.times for run in (pysqlite, as_sqlite, as_is))]
    of = "" if timed == parts else f" of {', '.join(f'`{part}`' for part in timed)}"
    command = "python tests/upstream/run.py --folder build/upstream --write docs/compatibility.md"
    lines = [
        HEADING, "",
        f"SQLAlchemy {sqlalchemy.__version__}'s {', '.join(f'`{part}`' for part in parts)}, from its source "
        f"distribution, on a file, {workers} workers, as `sqlite+entitydb` so that tests marked for SQLite run too: "
        f"`tox -e upstream`, or `{command}`. *As SQLite* is asked what SQLAlchemy asks of SQLite, with foreign keys "
        "off as SQLite has them unless told otherwise, and taken for pysqlite where a test names it. *As it is* has "
        "foreign keys on, and open what SQLAlchemy closes for SQLite and is here (`AsIs` in "
        "`tests/upstream/upstream_requirements.py`). CPU is the user and system time of all workers.", "",
        f"| | passed | failed | skipped | wall{of} | CPU{of} |", "|---|---|---|---|---|---|",
        pysqlite.row("pysqlite", timed), as_sqlite.row("EntityDB, as SQLite", timed),
        as_is.row("EntityDB, as it is", timed), "",
        f"As SQLite, {gained:,} tests pass that do not pass over pysqlite. What passes there and not here:", "",
        *first.table(), "",
        f"As it is, {gained_as_is:,} tests pass that do not pass over pysqlite. Beside the above, what does not pass:",
        "",
        *second.table(), "",
        "What fails over pysqlite:", "",
        *third.table(), "",
    ]  # fmt: skip
    return "\n".join(lines), first.unexplained + second.unexplained


def replace_section(page: Path, text: str) -> None:
    """Writes the section where it stood, or at the end."""
    old = page.read_text() if page.exists() else "# Compatibility\n"
    heading = re.escape(text.split("\n", 1)[0])
    new, count = re.subn(rf"(?ms)^{heading}$.*?(?=^## |\Z)", lambda _: text + "\n", old)
    page.write_text((new if count else f"{old.rstrip()}\n\n{text}").rstrip() + "\n")
