"""Brings the plug-in for Alembic where Alembic does not find it itself: before 1.18 it knows no entry points.

Whoever migrates has mostly imported Alembic before an engine is made, and then the plug-in is imported here. A program
that makes its engine first and imports Alembic later, inside the function that migrates, gets it right behind that
import: until then one finder, which answers for the name `alembic` alone, stands before the others.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

_PLUGIN = "entitydb_migrations"


def bring() -> None:
    """Sees to it that Alembic knows us, whether it is imported already or will be. Called with every engine made."""
    if _PLUGIN in sys.modules:
        return
    if "alembic" in sys.modules:
        _bring_now()
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _bring_now() -> None:
    # It says itself what it cannot do; here only that it is not installed.
    with contextlib.suppress(ImportError):
        importlib.import_module(_PLUGIN)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "alembic":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """The loader found, and the plug-in behind it."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # As if we had never been here: the module and its spec keep the loader that was found.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _bring_now()


__all__ = ["bring"]
