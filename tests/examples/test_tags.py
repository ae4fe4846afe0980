"""What docs/tags.md shows runs as it stands there, block after block, and prints what it says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

from .conftest import EXAMPLES

BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def test_the_page_on_tags_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("greenlet")
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall((EXAMPLES.parent / "docs" / "tags.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 5
    names: dict[str, Any] = {"__name__": "tags"}
    for code, printed in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(code, "docs/tags.md", "exec", dont_inherit=True), names)
        assert output.getvalue() == printed
    names["session"].close()
    names["engine"].dispose()
