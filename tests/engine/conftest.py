"""Databases of bare trees and their connections."""

from __future__ import annotations

import pytest

from .bare_txn import Database


@pytest.fixture
def open_database(tmp_path, native):
    """Opens databases on one file; at the end everything is rolled back, closed and checked."""
    opened = []

    def open_one(name="t.edb", **options):
        opened.append(Database(None if name is None else tmp_path / name, **options))
        return opened[-1]

    yield open_one
    for database in opened:
        breaches, _ = database.check()
        assert breaches == []
    for database in opened:
        database.close()


@pytest.fixture
def database(open_database):
    return open_database()


@pytest.fixture
def connect(database):
    connections = []

    def one(of=None):
        connections.append((of or database).connect())
        return connections[-1]

    yield one
    for connection in connections:
        connection.close()


@pytest.fixture
def conn(connect):
    return connect()
