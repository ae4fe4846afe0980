"""What docs/time.md shows from "Who and why" on runs as it stands there, block after block, and prints what it says."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest

from .conftest import EXAMPLES
from .test_tags import BLOCK


@pytest.mark.slow
def test_the_page_on_time_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (EXAMPLES.parent / "docs" / "time.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(page[page.index("## Who and why") :])
    assert len(blocks) >= 3
    names: dict[str, Any] = {"__name__": "time"}
    for code, printed in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(code, "docs/time.md", "exec", dont_inherit=True), names)
        assert output.getvalue() == printed
    names["engine"].dispose()
