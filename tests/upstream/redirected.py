"""A plugin of pytest: whoever asks SQLAlchemy for a SQLite database gets one of ours.

    pytest -p redirected     with REDIRECT_SQLITE_TO=sqlite+entitydb or entitydb

The name of the database, a file's or none, stays. Tests of programs that know nothing of us run so as they are.
"""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy.engine import url

TO = os.environ["REDIRECT_SQLITE_TO"]
NAMES = {
    "sqlite": TO,
    "sqlite+pysqlite": TO,
    "sqlite+aiosqlite": {"entitydb": "entitydb+aio", "sqlite+entitydb": "sqlite+entitydb_aio"}[TO],
}

_make_url = url.make_url


def make_url(name_or_url: Any) -> url.URL:
    made = _make_url(name_or_url)
    return made.set(drivername=NAMES.get(made.drivername, made.drivername))


url.make_url = make_url
