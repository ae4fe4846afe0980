"""Databases in memory with tiny pages; each is checked when its test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .helpers import Database, Pair, Raw


@pytest.fixture
def database(native) -> Iterator[Database]:
    database = Database()
    yield database
    database.close()


@pytest.fixture
def connect(database: Database) -> Callable[[], Raw]:
    return database.connect


@pytest.fixture
def raw(database: Database) -> Raw:
    return database.connect()


@pytest.fixture
def pair(raw: Raw) -> Pair:
    return Pair(raw)
