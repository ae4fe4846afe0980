"""Runs SQLAlchemy's compliance suite on databases of each kind: `python tests/dialect/suite [pytest's arguments]`."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from suites import run  # noqa: E402

URLS = {
    "file": "entitydb:///suite.edb",
    "memory": "entitydb:///file:suite?mode=memory",
    "asyncio": "entitydb+aio:///suite.edb",
}

if __name__ == "__main__":
    sys.exit(run(HERE, "SQLAlchemy's suite", URLS, sys.argv[1:]))
