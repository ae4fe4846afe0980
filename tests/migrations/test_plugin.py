"""The plug-in is found and harms nobody, whatever is imported first."""

from __future__ import annotations

from collections.abc import Callable

import pytest

KNOWN = """
from alembic.ddl.impl import DefaultImpl
from sqlalchemy import create_engine
assert DefaultImpl.get_by_dialect(create_engine("entitydb://").dialect).__name__ == "EntityImpl"
"""


@pytest.mark.parametrize(
    "imports",
    [
        "import alembic",
        "import entitydb_migrations",
        "import entitydb_dialect",
        "import alembic, entitydb_dialect",
        "import entitydb_dialect, alembic",
        "import entitydb_migrations, entitydb_dialect, alembic",
        "import alembic.op",
        "import alembic.runtime.plugins",
        "import alembic.ddl.impl",
        "from alembic import command",
        "from alembic.autogenerate import api",
        "import sqlalchemy; sqlalchemy.create_engine('entitydb://'); import alembic",
    ],
)
def test_every_import_order(python: Callable[..., str], imports: str) -> None:
    python(f"import warnings; warnings.simplefilter('error', RuntimeWarning)\n{imports}\n{KNOWN}")


def test_neither_the_library_nor_apsw_is_loaded(python: Callable[..., str]) -> None:
    python(
        """
        import sys
        import alembic
        from alembic.runtime.plugins import _all_plugins
        assert "alembic.autogenerate.entitydb" in _all_plugins
        assert "entitydb_migrations._impl" in sys.modules
        assert "apsw" not in sys.modules and "entitydb_dialect" not in sys.modules
        """
    )


def test_a_broken_installation_does_not_break_alembic(python: Callable[..., str]) -> None:
    python(
        """
        import sys, warnings
        sys.modules["entitydb_dialect"] = sys.modules["apsw"] = None      # importing them raises
        import alembic
        """
    )
    python(
        """
        import sys, warnings
        sys.modules["entitydb_migrations._impl"] = None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            import alembic, alembic.command
        assert any("cannot be loaded" in str(w.message) for w in caught)
        """
    )


def test_without_the_entry_point_the_dialect_brings_it(python: Callable[..., str]) -> None:
    python(
        """
        import sys
        from importlib import metadata
        found = metadata.entry_points
        metadata.entry_points = lambda **k: () if k.get("group") == "alembic.plugins" else found(**k)
        import alembic
        assert "entitydb_migrations" not in sys.modules
        """
        + KNOWN.replace("\n", "\n        ")
    )
