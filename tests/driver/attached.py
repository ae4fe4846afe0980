"""What the tests of ATTACH share."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver


def check(path: Path) -> list[driver.Breach]:
    database = driver.Database(path)
    try:
        return database.check()[0]
    finally:
        database.close()


def refused(connection: Any, sql: str, kind: Any = driver.OperationalError) -> str:
    """The message of the error that a statement raises."""
    with pytest.raises(kind) as caught:
        connection.execute(sql)
    return str(caught.value)


def said(connection: Any, sql: str) -> Any:
    """A statement's rows, or its error."""
    try:
        return connection.execute(sql).fetchall()
    except (driver.Error, sqlite3.Error) as error:
        return type(error).__name__, str(error)
