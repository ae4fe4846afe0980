"""The table on the screen, the JSON beside it, and RESULTS.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from .measure import Row

COLOURS = {"reached": "green", "falls short": "bold red", "report": "dim"}
RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


def table(rows: list[Row]) -> Table:
    made = Table(title="ours to the other side's; a ratio counts, not the times", title_justify="left")
    for name, justify in (("", "left"), ("", "left"), ("against", "left"), ("target", "right"), ("ratio", "right"),
                          ("", "left")):
        made.add_column(name, justify=justify)
    before = None
    for row in rows:
        if before not in (None, row.group):
            made.add_section()
        made.add_row(row.group if row.group != before else "", row.name, row.against, row.target, row.shown,
                     f"[{COLOURS[row.verdict]}]{row.verdict}[/]")
        before = row.group
    return made


def write_json(path: Path, about: dict[str, Any], rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, "rows": [row.as_json() for row in rows]}, indent=1), encoding="utf-8")


def write_results(about: dict[str, Any], rows: list[Row]) -> None:
    """RESULTS.md: what README's table is taken from."""
    machine = about["machine"]
    short = [row for row in rows if row.verdict == "falls short"]
    judged = sum(row.verdict != "report" for row in rows)
    lines = [
        "# Benchmarks",
        "",
        "Made by",
        "",
        f"    {about['command']}",
        "",
        f"on {machine['processor']}, {machine['kernel']}, Python {machine['python']}, SQLite {machine['sqlite']} "
        f"(apsw {machine['apsw']}), SQLAlchemy {machine['sqlalchemy']}, EntityDB {machine['entitydb']}, "
        f"{machine['build']} build, {about['date']}.",
        "",
        "A ratio is ours divided by the other side's, both measured in turns in one run; the smallest of several times "
        "counts. The columns before it are for scale alone: they say nothing about another machine. SQLite runs in WAL "
        "mode, through the same apsw calls" + (", with 256 MiB of cache and mmap." if about["tuned"] else
                                               ", otherwise with its defaults."),
        "",
        f"{judged - len(short)} of {judged} targets are reached. " + ("Rows that fall short:" if short else ""),
        "",
        *(f"- {row.group}: {row.name}: {row.shown}, target {row.target}" for row in short),
        *([""] if short else []),
    ]
    group = None
    for row in rows:
        if row.group != group:
            lines += [""] if group is not None else []
            lines += [f"## {row.group}", "", "| | ours | other | against | target | ratio | |",
                      "| --- | ---: | ---: | --- | ---: | ---: | --- |"]
            group = row.group
        verdict = "**falls short**" if row.verdict == "falls short" else row.verdict
        note = f"; {row.note}" if row.note else ""
        lines.append(f"| {row.name} | {amount(row.ours, row.unit)} | {amount(row.other, row.unit)} | {row.against} | "
                     f"{row.target} | {row.shown} | {verdict}{note} |")
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def amount(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value * 1e3:,.2f} ms" if value < 1 else f"{value:,.2f} s"
    if unit == "bytes" and value >= 2**20:
        return f"{value / 2**20:,.1f} MiB"
    return f"{value:,.1f} {unit}" if value < 1000 else f"{value:,.0f} {unit}"
