"""A checkout that looks installed: links to its packages, and the entry points that pyproject.toml would make."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

ENTRY_POINTS = """\
[sqlalchemy.dialects]
entitydb = entitydb_dialect.apsw:EntityDialect_apsw
entitydb.aio = entitydb_dialect.aio:EntityDialect_aio
sqlite.entitydb = entitydb_dialect.apsw:EntityDialect_apsw_sqlite

[alembic.plugins]
alembic.autogenerate.entitydb = entitydb_migrations
"""


def site(where: Path) -> str | None:
    """A folder to put on PYTHONPATH, made in `where`; None: the distribution is installed."""
    try:
        metadata.distribution("entitydb-dialect")
        return None
    except metadata.PackageNotFoundError:
        folder = where / "site"
        info = folder / "entitydb_dialect-0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: entitydb-dialect\nVersion: 0\n")
        (info / "entry_points.txt").write_text(ENTRY_POINTS)
        (folder / "entitydb_migrations").symlink_to(ROOT / "migrations")
        (folder / "entitydb_dialect").symlink_to(ROOT / "entitydb_dialect")
        return str(folder)
