"""The dialect over our driver (PEP 249 over apsw): URLs, connections, pools.

    entitydb:///relative.db         entitydb:////absolute/path.db
    entitydb://                     a memory database of the Engine's own, gone with Engine.dispose()
    entitydb:///file:name?mode=memory       a memory database shared in this process by name

Options of the URL: page_size (bytes, at creation), synchronous (full, normal), read_only (true, false), timeout
(seconds to wait for another process's commit).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import event, exc, pool, util
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from . import driver
from .base import EntityDialect
from .driver._errors import CODES

_DISCONNECTED = {CODES["FORKED"], CODES["POISONED"], CODES["REPLACED"]}


def _boolean(text: str) -> bool:
    return bool(util.asbool(text))


def _synchronous(text: str) -> str:
    if text.lower() not in ("full", "normal"):
        raise ValueError("it may be full or normal")
    return text.lower()


_OPTIONS: dict[str, Callable[[str], Any]] = {
    "page_size": int,
    "synchronous": _synchronous,
    "read_only": _boolean,
    "timeout": float,
}


class EntityDialect_apsw(EntityDialect):
    driver = "apsw"
    default_paramstyle = "qmark"
    supports_statement_cache = True
    returns_native_bytes = True
    description_encoding = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._own_memory: driver.MemoryDatabase | None = None

    @classmethod
    def import_dbapi(cls) -> Any:
        return driver

    @classmethod
    def _is_url_file_db(cls, url: Any) -> bool:
        """SQLAlchemy's tests ask for it."""
        return bool(url.database) and not url.database.startswith((":memory:", "file:"))

    @classmethod
    def get_pool_class(cls, url: Any) -> type[pool.Pool]:
        return pool.QueuePool

    @classmethod
    def engine_created(cls, engine: Any) -> None:
        memory = getattr(engine.dialect, "_own_memory", None)
        if memory is not None:
            event.listen(engine, "engine_disposed", lambda _engine: memory.renew())

    def create_connect_args(self, url: Any) -> Any:
        """The arguments of driver.connect(). Raises ArgumentError for what the URL should not say."""
        if url.username or url.password or url.host or url.port:
            raise exc.ArgumentError(
                f"{url}: write entitydb:///relative/path, entitydb:////absolute/path or entitydb://"
            )
        settings: dict[str, Any] = {}
        query = dict(url.query)
        mode = query.pop("mode", None)
        for key, value in query.items():
            if key not in _OPTIONS:
                known = ", ".join(sorted(_OPTIONS))
                raise exc.ArgumentError(f"unknown URL option {key!r}: EntityDB knows {known}")
            try:
                settings[key] = _OPTIONS[key](value)
            except (TypeError, ValueError) as error:
                raise exc.ArgumentError(f"URL option {key}={value!r}: {error}") from None
        name = url.database
        if mode is not None and (mode != "memory" or not (name or "").startswith("file:")):
            raise exc.ArgumentError("URL option 'mode' only comes as entitydb:///file:name?mode=memory")
        if mode is None and name and name != ":memory:":
            return [os.path.abspath(name)], settings
        options = driver.Options(**settings)
        if mode is None:
            self._own_memory = driver.MemoryDatabase(options)
            return [self._own_memory], {}
        return [driver.named_memory(name[len("file:") :], lambda: driver.MemoryDatabase(options))], {}

    def on_connect(self) -> Callable[[Any], None]:
        def regexp(pattern: str, text: str | None) -> bool | None:
            return None if text is None else re.search(pattern, text) is not None

        def floor(value: float | None) -> int | None:
            return None if value is None else math.floor(value)

        def connect(connection: Any) -> None:
            connection.create_function("regexp", 2, regexp, deterministic=True)
            connection.create_function("floor", 1, floor, deterministic=True)

        return connect

    def _get_server_version_info(self, connection: Any) -> Any:
        return driver.sqlite_version_info

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        if getattr(e, "engine_code", None) in _DISCONNECTED:
            return True
        return isinstance(e, driver.ProgrammingError) and "closed database" in str(e)


class EntityDialect_apsw_sqlite(EntityDialect_apsw):
    """The same under the name "sqlite" (sqlite+entitydb://), for models and libraries that ask for it by name."""

    name = "sqlite"
    driver = "entitydb"
    construct_arguments = SQLiteDialect.construct_arguments
    supports_statement_cache = True


dialect = EntityDialect_apsw
