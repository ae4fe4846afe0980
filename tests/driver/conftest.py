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
