"""Where zstd's functions come from: the package zstandard, else the system's library, else an error that names both."""

from __future__ import annotations

import ctypes.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from entitydb_dialect._native import ffi, lib

from entitydb_dialect import _zstandard

MISSING = "libnothing-of-the-kind.so.1"
CANNOT = 29


def found(path: str | None, system: str) -> int:
    return int(lib.test_zstd(path.encode() if path else ffi.NULL, system.encode()))


def test_the_package_has_them(native: Any) -> None:
    path = _zstandard.native_path()
    assert path is not None
    assert found(path, MISSING) >= 10400


def test_else_the_system_has_them(native: Any) -> None:
    if ctypes.util.find_library("zstd") is None:
        pytest.skip("this system has no libzstd.so.1")
    assert found(None, "libzstd.so.1") >= 10400
    assert found(MISSING, "libzstd.so.1") >= 10400


def test_a_library_without_them_is_passed_over(native: Any) -> None:
    assert found("libc.so.6", MISSING) == -CANNOT
    assert "libc.so.6 has no ZSTD_versionNumber" in ffi.string(lib.edb_message()).decode()


def test_without_any_the_error_names_both(native: Any) -> None:
    assert found(None, MISSING) == -CANNOT
    message = ffi.string(lib.edb_message()).decode()
    assert "zstandard" in message
    assert MISSING in message


def test_a_package_without_the_library_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert _zstandard.native_path() is None


@pytest.mark.slow
def test_importing_the_driver_says_where_and_opens_nothing(tmp_path: Path) -> None:
    program = """if True:
        import entitydb_dialect.driver
        from entitydb_dialect import _zstandard
        assert _zstandard.native_path() not in open("/proc/self/maps").read()
        import sys
        assert "zstandard" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)  # not in a checkout that has no library


def test_the_oldest_function_set_is_enough_for_a_round_trip(native: Any) -> None:
    """What is asked for exists since zstd 1.4.0; the oldest zstandard that is required has 1.5.5."""
    assert found(_zstandard.native_path(), MISSING) >= 10505
