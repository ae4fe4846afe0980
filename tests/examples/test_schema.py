"""What docs/schema.md shows of the past runs as it stands there, block after block, and prints what it says."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest

from .conftest import EXAMPLES
from .test_tags import BLOCK


def test_the_page_on_the_schema_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (EXAMPLES.parent / "docs" / "schema.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(page[page.index("## The schema of then") : page.index("## Alembic")])
    assert blocks
    names: dict[str, Any] = {"__name__": "schema"}
    for code, printed in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(code, "docs/schema.md", "exec", dont_inherit=True), names)
        assert output.getvalue() == printed
    names["engine"].dispose()
