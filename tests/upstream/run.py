"""Runs SQLAlchemy's own tests over EntityDB and over pysqlite, and compares them by test.

    python tests/upstream/run.py --folder build/upstream --write docs/compatibility.md [test/sql ...]

The source distribution of the installed SQLAlchemy is taken from the package index (or is given by --source). Over
EntityDB its tests run twice, as upstream_requirements.py says. Each run of a part leaves a JUnit file in the folder; a
part that has one is not run again. --write replaces the section of this line of SQLAlchemy and leaves the others.
The exit status tells whether a difference has no reason in reasons.py.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from report import Run, replace_section, section

HERE = Path(__file__).resolve().parent
PARTS = ["test/engine", "test/ext", "test/sql", "test/orm", "test/dialect/test_suite.py", "test/dialect/sqlite"]


@dataclass(frozen=True)
class Way:
    """One way to run the tests."""

    name: str
    url: str
    requirements: str | None  # a class of upstream_requirements.py


WAYS = [
    Way("pysqlite", "sqlite:///upstream.db", None),
    Way("as-sqlite", "sqlite+entitydb:///upstream.edb", "AsSQLite"),
    Way("as-is", "sqlite+entitydb:///upstream.edb?foreign_keys=on", "AsIs"),
]


def source(package: str, version: str, folder: Path, given: str | None, archive: str = "") -> Path:
    """A package's unpacked sources, if they are not in the folder taken from the package index, or from the archive of
    the version where the distribution has no tests."""
    name = f"{package}-{version}"
    if given is not None:
        return Path(given).resolve()
    if not (folder / name).exists():
        if archive:
            urllib.request.urlretrieve(archive.format(version=version), folder / f"{name}.tar.gz")
        else:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", package]
            subprocess.run([*command, "--dest", folder, f"{package}=={version}"], check=True)
        packed = next(path for path in folder.iterdir() if path.name.lower() == f"{name}.tar.gz")
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter="data")
        if packed.name.startswith("SQL"):  # as older releases of SQLAlchemy spell it
            (folder / packed.name.removesuffix(".tar.gz")).rename(folder / name)
    return folder / name


def measured(command: list[str], **options: object) -> dict[str, float]:
    """Runs a command. -> its wall time and the CPU time of it and its workers, in seconds."""
    wall, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=False, **options)  # type: ignore[call-overload]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": time.monotonic() - wall, "cpu": cpu}


def run(tree: Path, folder: Path, way: Way, part: str, workers: int) -> Path:
    """Runs one part in one way. -> the JUnit file; the times stand beside it."""
    name = part.removesuffix(".py").replace("/", "-")
    report = folder / f"sqlalchemy-{sqlalchemy.__version__}-{way.name}-{name}.xml"
    if report.exists():
        return report
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(workers), "-p", "no:cacheprovider", "-p", "no:warnings"]
    command += ["--maxfail", "100000", "--tb", "short", f"--junitxml={report}", "--dburi", way.url]
    # The option --requirements would be overruled by setup.cfg; what overrules that is this file.
    settings = tree / "test.cfg"
    settings.unlink(missing_ok=True)
    if way.requirements is not None:
        settings.write_text(f"[sqla_testing]\nrequirement_cls = upstream_requirements:{way.requirements}\n")
        command += ["-p", "entitydb_dialect"]
    # Without the user's site the tests use the installed SQLAlchemy, compiled parts included, not the tree's.
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONNOUSERSITE": "1", "PYTHONPATH": path}
    with open(report.with_suffix(".log"), "w") as log:
        times = measured([*command, part], cwd=tree, env=environment, stdout=log, stderr=log)
    report.with_suffix(".json").write_text(json.dumps(times))
    return report


def runs(options: argparse.Namespace) -> Iterator[tuple[str, Run]]:
    folder = Path(options.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    tree = source("sqlalchemy", sqlalchemy.__version__, folder, options.source)
    found: dict[str, dict[str, Path]] = {way.name: {} for way in WAYS}
    for part in options.parts:
        for way in WAYS:  # one after the other, so that what else the machine does meets them all
            found[way.name][part] = run(tree, folder, way, part, options.workers)
    for name, reports in found.items():
        yield name, Run.read(reports)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=PARTS)
    parser.add_argument("--folder", default="build/upstream", help="sources and results")
    parser.add_argument("--source", help="an unpacked source distribution")
    parser.add_argument("--write", help="the page to write")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    text, unexplained = section(options.parts, options.workers, **{k.replace("-", "_"): v for k, v in runs(options)})
    if options.write:
        replace_section(Path(options.write), text)
    print(text)
    return int(unexplained > 0)


if __name__ == "__main__":
    sys.exit(main())
