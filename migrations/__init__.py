"""Alembic over EntityDB databases (installed as `entitydb_migrations`). Nothing has to be written into env.py.

Alembic 1.18 and later loads this module through its `alembic.plugins` entry point; for earlier ones the dialect imports
it. The name of the entry point begins with `alembic.autogenerate.` because plug-ins of other names take no part in
autogenerate by default.

Whatever goes wrong here must not break `import alembic` for a program that has nothing to do with EntityDB. So setup()
comes before everything that imports (Alembic may load this module while it is half-made), neither the native library
nor apsw is touched, and a failure is a warning.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any


class _Iterable(ModuleType):
    """This module as a list of itself too, for which Alembic 1.18.0 to 1.20.0 take what an entry point names."""

    def __iter__(self) -> Iterator[ModuleType]:
        yield self


sys.modules[__name__].__class__ = _Iterable


def setup(plugin: Any) -> None:
    """Called by Alembic with its Plugin object."""
    if register():
        from ._autogenerate import make_known_by

        make_known_by(plugin)


def register() -> bool:
    """Makes the DDL and the operations of dialect "entitydb" known to Alembic. Calling twice is harmless.

    Returns:
        Whether that was possible.
    """
    try:
        from . import _impl  # noqa: F401 - making the class registers it
    except Exception as error:
        warnings.warn(f"EntityDB's support for Alembic cannot be loaded: {error!r}", RuntimeWarning, stacklevel=2)
        return False
    return True


register()

__all__ = ["register", "setup"]
