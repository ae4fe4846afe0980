"""The package needs nothing of EntityDB: neither in what it imports nor in what gets loaded with it."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

import entitydb_dialect
from entitydb_dialect._backend import EntityBackend
from entitydb_dialect.history import Backend, changes, diff, undo
from entitydb_dialect.history.backend import ChangesBackend

from .fake import FakeBackend

PACKAGE = Path(entitydb_dialect.__file__).parent
HISTORY = PACKAGE / "history"
# What stands below and is of no database: the exceptions, moments, and what is said of transactions.
BELOW = ["entitydb_dialect._exceptions", "entitydb_dialect._moments", "entitydb_dialect._transaction_info"]


def imported(source: str) -> Iterator[str]:
    """The absolute names of the modules that a module of the package imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ["entitydb_dialect", "history"][: 3 - node.level] if node.level else []
            yield ".".join([*base, *([node.module] if node.module else [])])


def strangers(source: str) -> list[str]:
    """What a module of the package imports beyond Python, SQLAlchemy, the package itself and `BELOW`."""
    return [
        name
        for name in imported(source)
        if name.split(".")[0] not in {"sqlalchemy", *sys.stdlib_module_names}
        and name not in (*BELOW, "entitydb_dialect.history")
        and not name.startswith("entitydb_dialect.history.")
    ]


@pytest.mark.parametrize("module", sorted(HISTORY.glob("*.py")), ids=lambda path: path.name)
def test_it_imports_sqlalchemy_and_itself(module: Path) -> None:
    assert strangers(module.read_text()) == []


@pytest.mark.parametrize(
    "line",
    ["from .. import driver", "from ..driver import Connection", "from ..base import EntityDialect", "import apsw",
     "import entitydb_dialect", "from entitydb_dialect.aio import at", "def f():\n    from .._native import lib"],
)  # fmt: skip
def test_a_stranger_is_found(line: str) -> None:
    assert len(strangers(line)) == 1


ALONE = """
import sys, types
parent = types.ModuleType("entitydb_dialect")
parent.__path__ = [{package!r}]
sys.modules["entitydb_dialect"] = parent        # its __init__, which imports everything, does not run
for name in "apsw", "cffi", "_cffi_backend", "entitydb_dialect._native":
    sys.modules[name] = None                    # importing it raises
import entitydb_dialect.history, entitydb_dialect.history.aio
ours = sorted(name for name in sys.modules if name.startswith("entitydb_dialect."))
print(*(name for name in ours if not name.startswith("entitydb_dialect.history") and sys.modules[name]))
"""


@pytest.mark.slow
def test_it_loads_without_the_dialect_the_driver_and_the_library(tmp_path: Path) -> None:
    code = ALONE.format(package=str(PACKAGE))
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == BELOW


@pytest.mark.slow
def test_asyncio_is_not_imported_with_it(tmp_path: Path) -> None:
    code = ALONE.format(package=str(PACKAGE)).replace(", entitydb_dialect.history.aio", "")
    code += "assert 'entitydb_dialect.history.aio' not in sys.modules\n"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def methods_of(protocol: type) -> list[str]:
    return [name for name, value in vars(protocol).items() if inspect.isfunction(value) and not name.startswith("_")]


METHODS = methods_of(Backend)


@pytest.mark.parametrize("backend", [EntityBackend, FakeBackend])
def test_backends_implement_the_protocol(backend: type) -> None:
    named = {"find_label", "labels_at", "named_moment", "read_schema_then"}
    assert {"resolve", "read_as_of", "last_commit", "begin_at"} | named == set(METHODS)
    for name in METHODS:
        method = vars(backend)[name]
        assert list(inspect.signature(method).parameters) == list(inspect.signature(vars(Backend)[name]).parameters)


def test_what_tells_changes_implements_that_protocol() -> None:
    names = methods_of(ChangesBackend)
    rows = {"read_row", "write_row", "set_aside", "write_tag", "defer_foreign_keys", "undrop"}
    assert {"changes", "commit_at", "newest_commit"} | rows == set(names)
    for name in names:
        method = vars(EntityBackend)[name]
        expected = inspect.signature(vars(ChangesBackend)[name]).parameters
        assert list(inspect.signature(method).parameters) == list(expected)


def test_a_database_that_tells_no_changes_is_refused_by_name() -> None:
    engine = create_engine("fakehistory://")
    with Session(engine) as session:
        for ask in (lambda: list(changes(session)), lambda: diff(session, None, 1, 2), lambda: undo(session, 1)):
            with pytest.raises(ArgumentError, match="does not tell what each transaction did"):
                ask()
