"""Databases with the tables of models.py, and the statements that a test executes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from engines import engine, make_engine

from .models import Base

__all__ = ["engine", "make_engine"]

@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session


@pytest.fixture
def executed(engine: Engine) -> Callable[..., object]:
    """with executed() as statements: ... -> the texts of what was executed in the block; executed("SELECT") -> those
    that begin so."""

    @contextmanager
    def watch(begin: str = "") -> Iterator[list[str]]:
        seen: list[str] = []

        def before(connection: object, cursor: object, sql: str, *rest: object) -> None:
            if sql.startswith(begin):
                seen.append(sql)

        event.listen(engine, "before_cursor_execute", before)
        try:
            yield seen
        finally:
            event.remove(engine, "before_cursor_execute", before)

    return watch
