"""Engines on files and in memory; what a test leaves is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

import entitydb_dialect


@pytest.fixture
def make_engine(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """make_engine() -> an Engine on the test's file; make_engine("entitydb://") on another URL."""
    made: list[Engine] = []

    def make(url: str | None = None, **options: Any) -> Engine:
        engine = create_engine(url or f"entitydb:///{tmp_path}/test.edb?page_size=512", **options)
        made.append(engine)
        return engine

    yield make
    breaches = []
    for engine in made:
        if "as_of" not in engine.get_execution_options():
            breaches += entitydb_dialect.check(engine)
        engine.dispose()
    assert breaches == []


@pytest.fixture(params=["file", "memory"])
def engine(request: pytest.FixtureRequest, make_engine: Callable[..., Engine]) -> Engine:
    return make_engine() if request.param == "file" else make_engine("entitydb://?page_size=512")
