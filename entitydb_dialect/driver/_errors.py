"""From what apsw and the engine say to the exceptions of PEP 249.

SQLite's result decides, as in the sqlite3 module. When the engine refused inside a virtual table, SQLite knows only one
of its own results; the sentence is then the engine's last one of this thread, and its code tells the class exactly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import apsw

from .. import _exceptions as ex
from .._native import ffi, lib

Parameters = Any  # a sequence or a mapping of values


def _names() -> dict[int, str]:
    names: dict[int, str] = {}
    for mapping in (apsw.mapping_result_codes, apsw.mapping_extended_result_codes):
        names.update({key: str(value) for key, value in mapping.items() if isinstance(key, int)})
    return names


_NAMES = _names()

# By primary SQLite result, as the sqlite3 module does it.
_BY_RESULT: dict[int, type[ex.Error]] = {
    2: ex.InternalError,  # INTERNAL
    11: ex.DamageError,  # CORRUPT
    12: ex.InternalError,  # NOTFOUND
    18: ex.DataError,  # TOOBIG
    19: ex.IntegrityError,  # CONSTRAINT
    20: ex.IntegrityError,  # MISMATCH
    21: ex.InterfaceError,  # MISUSE
    25: ex.InterfaceError,  # RANGE
    26: ex.DatabaseError,  # NOTADB
}
_CONFLICT = 517  # SQLITE_BUSY_SNAPSHOT


def code_names() -> dict[str, int]:
    """The engine's table of results: name to number."""
    found = {}
    for code in range(lib.edb_code_count()):
        name = lib.edb_code_name(code)
        if name != ffi.NULL:
            found[ffi.string(name).decode()] = code
    return found


CODES = code_names()


def engine_message() -> str:
    return str(ffi.string(lib.edb_message()).decode(errors="replace"))


def engine_error(code: int, message: str | None = None) -> ex.Error:
    """The exception for a result of the engine; the message is the thread's last one unless given."""
    kind = ex.OperationalError
    python = lib.edb_code_python(code)
    if python != ffi.NULL:
        kind = getattr(ex, ffi.string(python).decode(), ex.OperationalError)
    error = kind(engine_message() if message is None else message)
    error.engine_code = code
    name = lib.edb_code_name(code)
    error.engine_name = ffi.string(name).decode() if name != ffi.NULL else None
    error.sqlite_errorcode = lib.edb_code_sqlite(code)
    error.sqlite_errorname = _NAMES.get(error.sqlite_errorcode)
    return error


def check(code: int) -> None:
    """Raises what a result other than 0 means."""
    if code:
        raise engine_error(code)


def int64(ns: int) -> int:
    """Nanoseconds as the engine takes them. Raises DataError for what no int64 can hold."""
    if not -(1 << 63) <= ns < 1 << 63:
        raise ex.DataError(f"{ns} is no moment in nanoseconds: it lies outside the years 1678 to 2261")
    return ns


_BINDINGS = re.compile(r"uses (\d+) and there are (\d+) supplied")


def wrong_number(uses: object, supplied: object) -> ex.ProgrammingError:
    """What is raised when there are more or fewer parameters than the statement uses."""
    return ex.ProgrammingError(
        f"Incorrect number of bindings supplied. The current statement uses {uses}, and there are {supplied} supplied."
    )


def binding_error(parameters: Parameters) -> ex.ProgrammingError | None:
    """The first parameter that no SQLite value can hold, as an error."""
    named = isinstance(parameters, Mapping)
    pairs = parameters.items() if named else enumerate(parameters, 1) if isinstance(parameters, Sequence) else ()
    for where, value in pairs:
        if value is None or isinstance(value, (int, float, str, bytes, bytearray, memoryview)):
            continue
        try:
            memoryview(value)
        except TypeError:
            kind = type(value).__name__
            where = f":{where}" if named else where
            return ex.ProgrammingError(f"Error binding parameter {where}: type '{kind}' is not supported")
    return None


# What the short way (engine/python) finds: an exception; the engine's code; SQLite's code and sentence.
Found: TypeAlias = "BaseException | int | tuple[int, str]"


def as_error(found: Found) -> BaseException:
    """What apsw or check() would have raised."""
    if isinstance(found, BaseException):
        return found
    if isinstance(found, int):
        return engine_error(found)
    code, sentence = found
    error = apsw.exception_for(code)
    error.args = (sentence,)
    return error


def translate(error: BaseException, parameters: Parameters = ()) -> BaseException:
    """What to raise for an exception out of apsw; itself when it is none of apsw's (a user function's)."""
    if isinstance(error, ex.Error):
        return error
    if isinstance(error, apsw.BindingsError):
        match = _BINDINGS.search(str(error))
        if match:
            return wrong_number(match[1], match[2])
        return ex.ProgrammingError(str(error))
    if isinstance(error, (apsw.ConnectionClosedError, apsw.CursorClosedError)):
        return ex.ProgrammingError("Cannot operate on a closed database.")
    if isinstance(error, apsw.ThreadingViolationError):
        return ex.ProgrammingError("another thread is using this connection; a connection serves one thread at a time")
    if isinstance(error, apsw.ForkingViolationError):
        return engine_error(CODES["FORKED"], "the connection was inherited through fork(); open anew in the child")
    if isinstance(error, apsw.Error):
        return _from_sqlite(error)
    if isinstance(error, TypeError):
        if not isinstance(parameters, (Sequence, Mapping)):
            return ex.ProgrammingError("parameters are of unsupported type")
        return binding_error(parameters) or error
    if isinstance(error, OverflowError) and _too_large(parameters):
        return ex.DataError("Python int too large to convert to SQLite INTEGER")
    if isinstance(error, KeyError) and isinstance(parameters, Mapping) and error.args[0] not in parameters:
        return ex.ProgrammingError(f"You did not supply a value for binding parameter :{error.args[0]}.")
    if isinstance(error, ValueError) and str(error) == "null character in query":
        return ex.ProgrammingError("the query contains a null character")
    if isinstance(error, UnicodeEncodeError):
        return ex.DataError(str(error))
    if isinstance(error, UnicodeDecodeError):
        return ex.OperationalError(f"Could not decode a text to UTF-8: {error}")
    return error


def _too_large(parameters: Parameters) -> bool:
    values = parameters.values() if isinstance(parameters, Mapping) else parameters
    return any(isinstance(v, int) and not -(1 << 63) <= v < 1 << 63 for v in values)


def _from_sqlite(error: apsw.Error) -> ex.Error:
    result = getattr(error, "result", None)
    extended = getattr(error, "extendedresult", None) or result
    text = str(error)
    code = lib.edb_last_code()
    if code and text and text == engine_message():
        return engine_error(code, text)         # SQLite may have been told less, to keep it from acting on it
    if extended == _CONFLICT:
        return engine_error(CODES["CONFLICT"], text)
    found = _BY_RESULT.get(result or 0, ex.OperationalError)(text or "the database failed without a message")
    found.sqlite_errorcode = extended
    found.sqlite_errorname = _NAMES.get(extended) if extended is not None else None
    return found
