"""The dialect over our driver (PEP 249 over apsw): connections and pools. _urls.py reads the URLs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import event, pool
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from . import driver
from ._flask import rooted
from ._urls import target
from .base import EntityDialect
from .driver._errors import CODES

_DISCONNECTED = {CODES["FORKED"], CODES["POISONED"], CODES["REPLACED"]}


class EntityDialect_apsw(EntityDialect):
    driver = "apsw"
    default_paramstyle = "qmark"
    supports_statement_cache = True
    returns_native_bytes = True
    description_encoding = None

    # Of a memory database that no other Engine shares.
    _pool_of_memory: type[pool.Pool] = pool.QueuePool

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
        return cls._pool_of_memory if target(url).is_own_memory else pool.QueuePool

    @classmethod
    def engine_created(cls, engine: Any) -> None:
        engine.url = rooted(engine.url)  # what else is made of the URL finds the same file
        memory = getattr(engine.dialect, "_own_memory", None)
        if memory is not None:
            event.listen(engine, "engine_disposed", lambda _engine: memory.renew())

    def create_connect_args(self, url: Any) -> Any:
        """The arguments of driver.connect(). Raises ArgumentError for what the URL should not say."""
        wanted = target(rooted(url))
        if self.name == "sqlite":
            # SQLite's own default, which programs written for it have in mind.
            wanted.connection.setdefault("foreign_keys", False)
        place, settings = wanted.place, dict(wanted.database)
        if place.read_only:
            settings["read_only"] = True
        if place.path is not None:
            if not place.create and not place.read_only:
                settings["create"] = False
            return [place.path], {**settings, **wanted.connection}
        options = driver.Options(**settings)
        if place.name is None:
            self._own_memory = driver.MemoryDatabase(options)
            return [self._own_memory], wanted.connection
        return [driver.named_memory(place.name, lambda: driver.MemoryDatabase(options))], wanted.connection

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
    # As pysqlite: one connection a thread, so that what is said to it (ATTACH, TEMP, PRAGMA) holds.
    _pool_of_memory = pool.SingletonThreadPool
    construct_arguments = SQLiteDialect.construct_arguments
    supports_statement_cache = True


dialect = EntityDialect_apsw
