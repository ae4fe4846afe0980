"""A database with everything in it that a file can hold, made once; and questions asked in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

from .reader import FOREVER, File


def fits(file: File) -> bool:
    """Whether the forged files can be made of it: so many young free pages, and in a living leaf a version in a chain
    that has ended. Which pages are free depends on when the syncs were."""
    if not 8 <= len(file.base.young) <= 80:
        return False
    nodes = [file.node(tree.root) for tree in file.stored_trees()]
    for node in nodes:
        nodes += [file.node(entry.value) for entry in node.at(FOREVER) if node.level and entry.value.page]
        if node.level == 0 and any(entry.overflow and not entry.live for entry in node.entries):
            return True
    return False


def make_database(path: Path, redo: int = 0) -> dict[str, Any]:
    """Ends in a page record, behind which stand so many redo records. Tables by what their trees look like:

    plain    rows inserted in order: an interior root without history
    hot      rows updated over and over: splits by time, old roots, history pages below living ones
    big      values in chains; the first value of row 1 is history
    indexed  three indexes over rows that change, one of them partial
    wide     so many pages copied in one commit that the record cannot hold those it frees

    -> {"moments": of every commit, "rows": {table: [rows at each commit, or None before it was made]}}
    """
    db = driver.connect(path, page_size=512, synchronous="normal")
    queries = {name: f"SELECT * FROM {name} ORDER BY id" for name in ("plain", "hot", "big", "indexed")}
    moments: list[int] = []
    rows: dict[str, list[Any]] = {name: [] for name in queries}

    def commit() -> None:
        db.commit()
        moments.append(db.last_commit[1])
        for name, query in queries.items():
            rows[name].append(db.execute(query).fetchall() if name in db.catalog() else None)
        db.rollback()

    db.execute("CREATE TABLE plain(id INTEGER PRIMARY KEY, v TEXT)")
    db.execute("CREATE TABLE hot(id INTEGER PRIMARY KEY, v TEXT)")
    commit()
    db.execute("CREATE TABLE wide(id INTEGER PRIMARY KEY, v TEXT)")
    db.execute("CREATE TABLE big(id INTEGER PRIMARY KEY, v TEXT)")
    db.execute("CREATE TABLE indexed(id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT)")
    db.execute("CREATE INDEX indexed_b ON indexed(b)")
    db.execute("CREATE INDEX indexed_part ON indexed(b) WHERE a > 20 AND length(b) > 1")
    commit()
    for i in range(6):
        db.executemany("INSERT INTO plain VALUES (?, ?)", [(n, f"row {n}") for n in range(i * 20, i * 20 + 20)])
        db.executemany("INSERT INTO indexed VALUES (?, ?, ?)", [(n, n * 7, "b" * n) for n in range(i * 4, i * 4 + 4)])
        commit()
    db.executemany("INSERT INTO hot VALUES (?, 'first')", [(n,) for n in range(40)])
    db.executemany("INSERT INTO big VALUES (?, ?)", [(n, str(n) * 1500) for n in range(4)])
    commit()
    for i in range(260):
        db.execute("UPDATE hot SET v = ? WHERE id % 13 = ?", (f"version {i}", i % 13))
        if i % 9 == 0:
            db.execute("UPDATE indexed SET b = ?, a = a + 1000 WHERE id % 5 = ?", (f"b{i}", i % 5))
        commit()
    db.executemany("INSERT INTO wide VALUES (?, 'v')", [(n,) for n in range(2400)])
    commit()
    db.execute("UPDATE wide SET v = 'w' WHERE id % 12 = 0")
    commit()
    db.execute("UPDATE big SET v = 'small' WHERE id = 1")
    for n in range(40):
        db.execute("UPDATE big SET v = ? WHERE id = 2", (str(n) * 4500,))       # more than a redo record holds
        commit()
        if fits(File(path.read_bytes())):
            break
    else:
        pytest.fail("no commit left what the forged files need")
    for i in range(redo):
        db.execute("UPDATE hot SET v = ? WHERE id % 13 = ?", (f"redone {i}", i % 13))
        db.execute("DELETE FROM plain WHERE id = ?", (7 * i,))
        db.execute("INSERT INTO plain(v) VALUES (?)", (f"row {i}",))
        if i % 3 == 0:
            db.execute("UPDATE indexed SET b = ?, a = a + 1000 WHERE id % 5 = ?", (f"b{i}", i % 5))
        if i % 4 == 0:
            db.execute("UPDATE big SET v = ? WHERE id = ?", (str(i) * 700, i % 3))
        commit()
    db.close()
    return {"moments": moments, "rows": rows}


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, native: Any) -> tuple[bytes, dict[str, Any]]:
    """The file's bytes, and what is in it."""
    path = tmp_path_factory.mktemp("sample") / "sample.edb"
    contents = make_database(path)
    return path.read_bytes(), contents


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory, native: Any) -> tuple[bytes, dict[str, Any]]:
    """The sample, its history in strips."""
    path = tmp_path_factory.mktemp("packed") / "packed.edb"
    contents = make_database(path)
    db = driver.connect(path, isolation_level=None)
    assert db.database.pack().windows
    db.close()
    data = path.read_bytes()
    assert len(File(data).strips) > 1
    return data, contents


@pytest.fixture(scope="session")
def redone(tmp_path_factory: pytest.TempPathFactory, native: Any) -> tuple[bytes, dict[str, Any]]:
    """The same, and 21 commits that wrote redo records."""
    path = tmp_path_factory.mktemp("redone") / "redone.edb"
    contents = make_database(path, redo=21)
    return path.read_bytes(), contents


class Asker:
    """tests/format/ask.py as a process: it reads files that may hurt. Started anew when it died, which fails a test."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def __call__(self, path: Path, **options: Any) -> dict[str, Any]:
        if self.process is None:
            # The same engine as here, installed or not.
            paths = [str(Path(driver.__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
            self.process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", str(Path(__file__).with_name("ask.py"))], text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"path": str(path), **options}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            code, self.process = self.process.wait(), None
            raise AssertionError(f"reading {path} killed the process: {code}")
        return dict(json.loads(line))

    def close(self) -> None:
        if self.process is not None:
            # An empty line, not the end of the pipe: forks of other tests may hold its end too.
            _, _ = self.process.communicate("\n", timeout=60)
            assert self.process.returncode == 0


@pytest.fixture(scope="session")
def ask(native: Any) -> Any:
    asker: Callable[..., dict[str, Any]] = Asker()
    yield asker
    asker.close()
