"""Prints what SQLAlchemy's suite may ask of pysqlite, from its own requirements in a source distribution.

    python tests/upstream/list_requirements.py build/upstream/sqlalchemy-2.1.9

tests/dialect/test_requirements.py keeps the list and holds it against ours.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import types

import sqlalchemy
from sqlalchemy import testing
from sqlalchemy.testing import config, exclusions
from sqlalchemy.testing.requirements import SuiteRequirements


def main(tree: str) -> None:
    sys.path.insert(0, tree)
    theirs = importlib.import_module("test.requirements").DefaultRequirements()
    with tempfile.TemporaryDirectory() as folder:
        engine = sqlalchemy.create_engine(f"sqlite:///{folder}/pysqlite.db")
        engine.connect().close()
        asked = types.SimpleNamespace(db=engine, name="pysqlite", is_async=False, options=None)
        config._current = asked  # some answers look at the database of the day
        config.requirements = testing.requires = theirs
        for name in sorted(dir(SuiteRequirements)):
            try:
                rule = getattr(theirs, name)
                if isinstance(rule, exclusions.compound) and rule.enabled_for_config(asked):
                    print(name)
            except (AssertionError, AttributeError):
                continue  # of the machine or of another database
        engine.dispose()


if __name__ == "__main__":
    main(sys.argv[1])
