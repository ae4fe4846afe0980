"""The checks of Python imports find what they look for: small packages with one violation each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import python_code
from .python_code import arrows

Plant = Callable[[dict[str, str]], Path]


def test_every_form_of_import_is_read(plant: Plant) -> None:
    root = plant({
        "entitydb_dialect/__init__.py": "",
        "entitydb_dialect/base.py": (
            "import os.path\nimport sqlalchemy.exc\nfrom . import driver, apsw as a\nfrom .driver import Breach\n"
            "from .driver._rows import Row\nfrom ._native import lib\n"
            "try:\n    import one\nexcept ImportError:\n    def f():\n        from two import x\n"
        ),
        "entitydb_dialect/apsw.py": "import entitydb_dialect.base\n",
        "entitydb_dialect/driver/__init__.py": "from . import _rows\nfrom .. import _native\n",
        "entitydb_dialect/driver/_rows.py": "",
    })  # fmt: skip
    driver = "entitydb_dialect.driver"
    assert arrows(root) == {
        "entitydb_dialect": set(),
        "entitydb_dialect.apsw": {"entitydb_dialect.base"},
        "entitydb_dialect.base": {
            "os", "sqlalchemy", "one", "two", driver, f"{driver}._rows", "entitydb_dialect.apsw",
            "entitydb_dialect._native",
        },
        driver: {f"{driver}._rows", "entitydb_dialect._native"},
        f"{driver}._rows": set(),
    }  # fmt: skip


def test_an_import_of_a_layer_above_is_found(plant: Plant) -> None:
    root = plant({
        "entitydb_dialect/base.py": "",
        "entitydb_dialect/driver/_connection.py": "def late():\n    from ..base import EntityDialect\n",
        "entitydb_dialect/driver/_cursor.py": "import entitydb_migrations\n",
        "entitydb_dialect/driver/sql/tokens.py": "from .._connection import Connection\n",
        "migrations/__init__.py": "from entitydb_dialect import base\n",
    })  # fmt: skip
    assert python_code.climbing_imports(arrows(root)) == [
        "entitydb_dialect.driver._connection imports entitydb_dialect.base, which is above it",
        "entitydb_dialect.driver._cursor imports entitydb_migrations, which is above it",
        "entitydb_dialect.driver.sql.tokens imports entitydb_dialect.driver._connection, which is above it",
    ]


def test_the_time_api_does_not_know_the_driver(plant: Plant) -> None:
    root = plant({
        "entitydb_dialect/driver/__init__.py": "",
        "entitydb_dialect/history/at.py": "from ..driver import connect\nfrom .._native import lib\nimport zlib\n",
    })  # fmt: skip
    assert python_code.climbing_imports(arrows(root)) == [
        "entitydb_dialect.history.at imports entitydb_dialect._native, which it must not know",
        "entitydb_dialect.history.at imports entitydb_dialect.driver, which it must not know",
    ]


def test_the_driver_does_not_know_sqlalchemy(plant: Plant) -> None:
    root = plant({
        "entitydb_dialect/base.py": "import sqlalchemy, json\n",
        "entitydb_dialect/driver/_cursor.py": "import apsw\nfrom sqlalchemy import text\n",
        "entitydb_dialect/driver/sql/tokens.py": "import re, apsw\n",
    })  # fmt: skip
    assert python_code.foreign_imports(arrows(root)) == [
        "entitydb_dialect.driver._cursor imports sqlalchemy",
        "entitydb_dialect.driver.sql.tokens imports apsw",
    ]


def test_a_module_without_a_layer_is_found(plant: Plant) -> None:
    root = plant({"entitydb_dialect/__init__.py": "", "entitydb_dialect/odd.py": ""})
    assert python_code.without_layer(arrows(root)) == ["entitydb_dialect.odd is not in PYTHON_LAYERS"]


def test_a_circle_is_found_also_through_a_function_but_not_through_types(plant: Plant) -> None:
    root = plant({
        "entitydb_dialect/driver/_a.py": "from . import _b\n",
        "entitydb_dialect/driver/_b.py": "def late():\n    from ._c import C\n",
        "entitydb_dialect/driver/_c.py": "from ._a import A\n",
        "entitydb_dialect/driver/_d.py": (
            "import typing\nfrom typing import TYPE_CHECKING\nfrom ._a import A\n"
            "if TYPE_CHECKING:\n    from ._e import E\nif typing.TYPE_CHECKING:\n    from ._e import E\n"
        ),
        "entitydb_dialect/driver/_e.py": "from ._d import D\n",
    })  # fmt: skip
    names = [f"entitydb_dialect.driver._{letter}" for letter in "abc"]
    assert python_code.import_circles(arrows(root)) == [" <-> ".join(names)]
