"""A Database in a file of the test's own; what it leaves behind is checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entitydb_dialect import Database, driver


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.edb"


@pytest.fixture
def db(path: Path) -> Iterator[Database]:
    with Database(path, page_size=4096) as database:
        yield database
    file = driver.Database(path)
    breaches, _ = file.check()
    file.close()
    assert breaches == []
