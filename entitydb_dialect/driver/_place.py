"""Which database a `file:` URI means, by SQLite's rules as far as they can hold here.

    file:x.edb?mode=ro          read-only; rw: it must be there; rwc: made if it is missing, as without a mode
    file:x.edb?immutable=1      read-only
    file:name?mode=memory       the memory database of that name, shared in this process
    file::memory:               a memory database of the connection's own; with cache=shared the one of that name

`cache` and `psow` are hints to SQLite and mean nothing else here. `nolock` and `vfs` are refused: the engine needs its
locks and does its own system calls.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_to_bytes

from .. import _exceptions as ex

_MODES = ("", "ro", "rw", "rwc", "memory")
_WORDS = {"mode", "cache", "immutable", "psow", "nolock", "vfs"}
_FALSE = ("0", "no", "off", "false")


@dataclass(frozen=True)
class Place:
    """A database and how to open it."""

    path: str | None = None  # None: a memory database
    name: str | None = None  # by which this process shares the memory database; None: nobody shares it
    read_only: bool = False
    create: bool = True


def file_uri(text: str) -> tuple[str, dict[str, str]]:
    """Path and settings of a `file:` URI."""
    rest = text[len("file:") :].partition("#")[0]
    path, _, query = rest.partition("?")
    if path.startswith("//"):
        authority, slash, path = path[2:].partition("/")
        if authority not in ("", "localhost"):
            raise ex.OperationalError(f"invalid uri authority: {authority}")
        path = slash + path
    settings = dict(parse_qsl(query, keep_blank_values=True))
    return os.fsdecode(unquote_to_bytes(path)), settings


def place(uri: str) -> Place:
    """The database that a `file:` URI means.

    Raises:
        OperationalError: there is no such mode, or an authority other than localhost.
        NotSupportedError: a setting that would change more than this engine can.
    """
    path, settings = file_uri(uri)
    mode = settings.get("mode", "")
    if mode not in _MODES:
        raise ex.OperationalError(f"no such access mode: {mode}; there are ro, rw, rwc and memory")
    for word in settings:
        if word not in _WORDS:
            raise ex.NotSupportedError(f"{uri}: EntityDB does not know {word!r}; a URI may say mode, cache, immutable")
    if "vfs" in settings or _says_yes(settings, "nolock"):
        raise ex.NotSupportedError(f"{uri}: EntityDB does its own system calls and locks; leave vfs and nolock out")
    if path in ("", ":memory:"):
        return Place(name=":memory:" if path and settings.get("cache") == "shared" else None)
    if mode == "memory":
        return Place(name=path)
    read_only = mode == "ro" or _says_yes(settings, "immutable")
    return Place(path, read_only=read_only, create=mode != "rw" and not read_only)


def _says_yes(settings: dict[str, str], word: str) -> bool:
    return settings.get(word, "0").lower() not in _FALSE


__all__ = ["Place", "file_uri", "place"]
