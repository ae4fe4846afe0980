"""Where the C functions of zstd are: in the wheel of `zstandard`, whose extension module `_cffi` exports all of them.

The engine opens that file itself when it first packs or unpacks history, so nothing is imported here.
"""

from __future__ import annotations

import importlib.util
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from ._native import ffi, lib


def native_path() -> str | None:
    """The path of a shared library that exports zstd's C functions; None: the package is missing, or has none."""
    spec = importlib.util.find_spec("zstandard")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for suffix in EXTENSION_SUFFIXES:
            path = Path(folder) / f"_cffi{suffix}"
            if path.is_file():
                return str(path)
    return None


def tell_engine() -> None:
    """Tell the engine where the library is."""
    path = native_path()
    lib.edb_zstd_library(path.encode() if path else ffi.NULL)
