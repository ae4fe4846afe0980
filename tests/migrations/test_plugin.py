"""The plug-in is found and harms nobody, whatever is imported first."""

from __future__ import annotations

from collections.abc import Callable

import alembic
import pytest

_BRINGS_PLUGINS = tuple(map(int, alembic.__version__.split(".")[:2])) >= (1, 18)
asks_entry_points = pytest.mark.skipif(not _BRINGS_PLUGINS, reason="Alembic before 1.18 asks for no entry points")

KNOWN = """
from alembic.ddl.impl import DefaultImpl
from alembic.ddl.sqlite import SQLiteImpl
from sqlalchemy import create_engine
for url in "entitydb://", "sqlite+entitydb://":
    assert DefaultImpl.get_by_dialect(create_engine(url).dialect).__name__ == "EntityImpl", url
assert DefaultImpl.get_by_dialect(create_engine("sqlite://").dialect) is SQLiteImpl
"""


@pytest.mark.slow
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
        pytest.param("import alembic.runtime.plugins", marks=asks_entry_points),
        "import alembic.ddl.impl",
        "from alembic import command",
        "from alembic.autogenerate import api",
        "import sqlalchemy; sqlalchemy.create_engine('entitydb://'); import alembic",
        "import sqlalchemy; sqlalchemy.create_engine('entitydb://').connect(); import alembic.migration",
    ],
)
def test_every_import_order(python: Callable[..., str], imports: str) -> None:
    python(f"import warnings; warnings.simplefilter('error', RuntimeWarning)\n{imports}\n{KNOWN}")


@pytest.mark.slow
def test_the_entry_point_serves_as_a_module_and_as_a_list_of_modules(python: Callable[..., str]) -> None:
    """Alembic 1.18.0 to 1.20.0 walk over what it names, and `import alembic` would raise; later ones take a module."""
    python(
        """
        import types
        from importlib import metadata
        (entry_point,) = metadata.entry_points(group="alembic.plugins", name="alembic.autogenerate.entitydb")
        loaded = entry_point.load()
        assert isinstance(loaded, types.ModuleType)
        assert list(loaded) == [loaded]
        assert callable(loaded.setup)
        """
    )


@pytest.mark.slow
@asks_entry_points
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


@pytest.mark.slow
def test_a_broken_installation_does_not_break_alembic(python: Callable[..., str]) -> None:
    python(
        """
        import sys, warnings
        sys.modules["entitydb_dialect"] = sys.modules["apsw"] = None      # importing them raises
        import alembic
        """
    )


@pytest.mark.slow
@asks_entry_points
def test_a_plugin_that_cannot_be_loaded_is_a_warning(python: Callable[..., str]) -> None:
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


# As in Alembic before 1.18, which asks for no entry points.
UNKNOWN = """
import sys
from importlib import metadata
found = metadata.entry_points
metadata.entry_points = lambda **k: () if k.get("group") == "alembic.plugins" else found(**k)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "import alembic; assert 'entitydb_migrations' not in sys.modules",
        "import entitydb_dialect, alembic; assert 'entitydb_migrations' not in sys.modules",
        "import sqlalchemy; sqlalchemy.create_engine('entitydb://').connect(); import alembic",
        "import sqlalchemy; sqlalchemy.create_engine('entitydb://'); from alembic.migration import MigrationContext",
        "import sqlalchemy; sqlalchemy.create_engine('sqlite+entitydb://'); import alembic.op",
        "import sqlalchemy; e = sqlalchemy.create_engine('entitydb://'); import alembic; import importlib.util;"
        "assert not any('entitydb' in type(f).__module__ for f in sys.meta_path);"
        "assert type(alembic.__loader__) is type(importlib.util.find_spec('json').loader);"
        "assert alembic.__spec__.loader is alembic.__loader__",
    ],
)
def test_without_the_entry_point_the_dialect_brings_it(python: Callable[..., str], imports: str) -> None:
    python(f"{UNKNOWN}\n{imports}\n" + KNOWN)


@pytest.mark.slow
def test_an_engine_made_before_alembic_is_migrated_without_the_entry_point(python: Callable[..., str]) -> None:
    """The engine is not made anew, and its connections are not either."""
    python(
        UNKNOWN + """
import sqlalchemy
engine = sqlalchemy.create_engine("entitydb://")
with engine.begin() as connection:
    connection.execute(sqlalchemy.text("CREATE TABLE t(a)"))
from alembic.migration import MigrationContext
from alembic.operations import Operations
with engine.begin() as connection:
    Operations(MigrationContext.configure(connection)).alter_column("t", "a", nullable=False)
"""
    )


@pytest.mark.slow
def test_a_broken_library_does_not_break_alembic(python: Callable[..., str], site: str | None) -> None:
    """Neither where the dialect is imported first, nor where a plain SQLite is migrated beside it."""
    python(
        UNKNOWN + """
sys.modules["entitydb_dialect._native"] = None      # importing it raises
import sqlalchemy
try:
    sqlalchemy.create_engine("entitydb://")
except ImportError:
    pass
else:
    raise AssertionError
import alembic
from alembic.migration import MigrationContext
with sqlalchemy.create_engine("sqlite://").connect() as connection:
    assert type(MigrationContext.configure(connection).impl).__name__ == "SQLiteImpl"
"""
    )
