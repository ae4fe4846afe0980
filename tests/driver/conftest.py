"""Connections to a file of the test's own; what it leaves behind is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.edb"


@pytest.fixture
def connect(path: Path) -> Iterator[Callable[..., driver.Connection]]:
    """Opens connections to `path`; closes them and checks the file afterwards."""
    opened: list[driver.Connection] = []

    def open_one(**options: Any) -> driver.Connection:
        connection = driver.connect(path, **{"page_size": 512, **options})
        opened.append(connection)
        return connection

    yield open_one
    for connection in opened:
        connection.close()
    if path.exists():
        database = driver.Database(path)
        breaches, _ = database.check()
        database.close()
        assert breaches == []


@pytest.fixture
def db(connect: Callable[..., driver.Connection]) -> driver.Connection:
    return connect()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    """A second file, checked afterwards."""
    path = tmp_path / "other.edb"
    yield path
    if path.exists():
        database = driver.Database(path)
        breaches, _ = database.check()
        database.close()
        assert breaches == []


@pytest.fixture
def two(connect: Callable[..., driver.Connection], other: Path) -> Iterator[driver.Connection]:
    """main, and the second file attached as x, each with a table t."""
    connection = connect()
    connection.execute("ATTACH ? AS x", (str(other),))
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    connection.execute("INSERT INTO t VALUES (1, 'main')")
    connection.commit()
    connection.execute("CREATE TABLE x.t(id INTEGER PRIMARY KEY, a TEXT)")
    connection.execute("INSERT INTO x.t VALUES (1, 'x'), (2, 'y')")
    connection.commit()
    yield connection
    connection.close()
