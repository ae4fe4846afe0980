"""The command line of the benchmarks."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console

from . import (  # noqa: F401 - they register benchmarks
    against_sqlite,
    as_of,
    entities,
    loading,
    opening,
    packed_reads,
    packing,
    plans,
    report,
    scripts,
    storage,
    storage_peers,
    store,
    texts,
    through_orm,
    through_time,
    upkeep,
    writers,
)
from .measure import BENCHMARKS, Row, Setting, machine

RESULTS = Path(__file__).resolve().parent / "results"


@click.command(context_settings={"max_content_width": 120})
@click.option("--quick", is_flag=True, help="A tenth of the rows, or less: for a look, not for the record.")
@click.option("--only", multiple=True, type=click.Choice(sorted(BENCHMARKS)), help="These benchmarks alone.")
@click.option("--write", is_flag=True, help="Write benchmarks/RESULTS.md.")
@click.option("--tuned", is_flag=True, help="Give SQLite 256 MiB of cache and mmap.")
@click.option("--seed", default=1, show_default=True)
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path),
              help="Where the databases are made: the disk to measure [default: the temporary folder].")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path),
              help="Where the figures go [default: benchmarks/results/, by time].")
def main(quick: bool, only: tuple[str, ...], write: bool, tuned: bool, seed: int, folder: Path | None,
         json_path: Path | None) -> None:
    """Measure EntityDB against SQLite and the past against the present; print ratios, write JSON."""
    if write and (quick or only):
        raise click.UsageError("RESULTS.md is made from a whole run: leave out --quick and --only")
    about = {
        "command": f"python benchmarks --write --seed {seed}{' --tuned' if tuned else ''}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(), "quick": quick, "tuned": tuned, "seed": seed,
    }
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(", ".join(f"{name} {value}" for name, value in about["machine"].items()), highlight=False)
    if write and about["machine"]["build"] != "release":
        raise click.UsageError("RESULTS.md is made with a release build")
    rows: list[Row] = []
    failed = None
    with tempfile.TemporaryDirectory(prefix="entitydb-benchmark-", dir=folder and folder.absolute()) as made:
        setting = Setting(Path(made), quick, seed, tuned)
        for name in only or BENCHMARKS:
            try:
                rows.extend(BENCHMARKS[name](setting))
            except Exception as error:
                # What was measured before is shown all the same.
                console.print_exception()
                failed = f"{name}: {error}"
                break
    console.print(report.table(rows))
    report.write_json(json_path or RESULTS / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.json", about, rows)
    if failed:
        raise click.ClickException(failed)
    if write:
        report.write_results(about, rows)
        console.print(f"wrote {report.RESULTS}")
