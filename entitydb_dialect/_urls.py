"""From a URL of SQLAlchemy's to the arguments of `driver.connect()`.

    entitydb:///relative.db         entitydb:////absolute/path.db
    entitydb://                     a memory database of the Engine's own, gone with Engine.dispose()
    entitydb:///file:name?mode=memory       a memory database shared in this process by name
    entitydb:///file:x.db?mode=ro&uri=true  a `file:` URI as SQLite has them

The query says what connect() takes, and what URLs of SQLite's driver say; docs/driver.md has the table.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import exc, util

from . import driver
from .driver import _isolation
from .driver._place import Place, place


def _boolean(text: str) -> bool:
    return bool(util.asbool(text))


def _synchronous(text: str) -> str:
    if text.lower() not in ("full", "normal"):
        raise ValueError("it may be full or normal")
    return text.lower()


def _level(text: str) -> str | None:
    try:
        return _isolation.normal(text)
    except driver.ProgrammingError as error:
        raise ValueError(str(error)) from None


# Of the database; a memory database is made with them.
_DATABASE: dict[str, Callable[[str], Any]] = {
    "page_size": int,
    "synchronous": _synchronous,
    "read_only": _boolean,
    "timeout": float,
    "spill_bytes": int,
    "packing": _boolean,
    "pruning": _boolean,
}

# Of a connection.
_CONNECTION: dict[str, Callable[[str], Any]] = {
    "isolation_level": _level,
    "foreign_keys": _boolean,
}

# What SQLite's driver takes and needs nothing here. docs/driver.md says why.
_IGNORED: dict[str, Callable[[str], Any]] = {
    "check_same_thread": _boolean,
    "cached_statements": int,
    "detect_types": int,
}

# Of a `file:` URI; see driver/_place.py.
_URI = ("mode", "cache", "immutable", "nolock", "psow", "vfs")


@dataclass
class Target:
    """What a URL means."""

    place: Place
    database: dict[str, Any] = field(default_factory=dict)  # arguments of Options
    connection: dict[str, Any] = field(default_factory=dict)  # further arguments of connect()
    is_uri: bool = False  # the URL names the database by a `file:` URI

    @property
    def is_own_memory(self) -> bool:
        """A memory database that nobody else shares."""
        return self.place.path is None and self.place.name is None


def target(url: Any) -> Target:
    """What a URL means. Raises ArgumentError for what it should not say."""
    if url.username or url.password or url.host or url.port:
        raise exc.ArgumentError(f"{url}: write entitydb:///relative/path, entitydb:////absolute/path or entitydb://")
    uri: dict[str, str] = {}
    says_uri = False
    database: dict[str, Any] = {}
    connection: dict[str, Any] = {}
    for key, value in url.query.items():
        if not isinstance(value, str):
            raise exc.ArgumentError(f"URL option {key!r} is given {len(value)} times")
        if key in _DATABASE:
            database[key] = _read(_DATABASE, key, value)
        elif key in _CONNECTION:
            connection[key] = _read(_CONNECTION, key, value)
        elif key in _IGNORED:
            _read(_IGNORED, key, value)
        elif key == "uri":
            says_uri = _read({"uri": _boolean}, key, value)
        elif key in _URI:
            uri[key] = value
        else:
            known = ", ".join(sorted([*_DATABASE, *_CONNECTION, *_IGNORED, "uri", *_URI]))
            raise exc.ArgumentError(f"unknown URL option {key!r}: EntityDB knows {known}")
    name = url.database or ""
    is_uri = _is_uri(name, uri, says_uri)
    return Target(_place(name, uri, is_uri), database, connection, is_uri)


def _read(known: dict[str, Callable[[str], Any]], key: str, value: str) -> Any:
    try:
        return known[key](value)
    except (TypeError, ValueError) as error:
        raise exc.ArgumentError(f"URL option {key}={value!r}: {error}") from None


def _is_uri(name: str, uri: dict[str, str], says_uri: bool) -> bool:
    if not name.startswith("file:"):
        return False
    return says_uri or (uri.get("mode") == "memory" and set(uri) <= {"mode", "cache"})


def _place(name: str, uri: dict[str, str], is_uri: bool) -> Place:
    if uri and not is_uri:
        words = "&".join(f"{key}={value}" for key, value in uri.items())
        raise exc.ArgumentError(
            f"URL option {words!r} only comes with a file: URI, as in entitydb:///file:name?mode=memory or "
            f"entitydb:///file:{name.removeprefix('file:') or 'x.edb'}?{words}&uri=true"
        )
    if is_uri:
        if uri:
            name += "?" + "&".join(f"{key}={value}" for key, value in uri.items())
        try:
            found = place(name)
        except driver.Error as error:
            raise exc.ArgumentError(str(error)) from None
    else:
        found = Place(None if name in ("", ":memory:") else name)
    if found.path is None:
        return found
    return Place(os.path.abspath(found.path), None, found.read_only, found.create)


__all__ = ["Target", "target"]
