"""Each test of this folder runs twice: with commits that write pages, and with those that write redo records."""

from __future__ import annotations

import pytest

from ..bare_pager import BarePager


@pytest.fixture(params=["pages", "redo"], autouse=True)
def records(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(BarePager, "redo", request.param == "redo")
    return request.param
