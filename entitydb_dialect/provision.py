"""Databases for SQLAlchemy's test plugin: on files, in memory, one for each xdist worker, and "test_schema".

SQLAlchemy imports this module when its tests run over our dialect. `test_schema` is a memory database of ours, attached
to each connection and shared by name: the tests create tables in both schemas in one transaction, and that can write
to one file only.
"""

# mypy: ignore-errors

import os
import pathlib
from urllib.parse import quote

from sqlalchemy import event, exc
from sqlalchemy.engine import make_url
from sqlalchemy.testing.provision import (
    create_db,
    drop_db,
    follower_url_from_main,
    generate_driver_url,
    post_configure_testing_engine,
    run_reap_dbs,
    stop_test_class_outside_fixtures,
    temp_table_keyword_args,
    upsert,
)

from . import driver
from ._backend import unwrapped

_NAMES = ("entitydb", "sqlite")


def _is_ours(url):
    return url.get_backend_name() == "entitydb" or "entitydb" in url.get_driver_name()


def _is_memory(url):
    return not url.database or url.database.startswith((":memory:", "file:"))


def _files(stem):
    """A database and its lock file."""
    return [stem, f"{stem}-lock"]


# Attached schemas by stem. They live as long as they stand here, like the file they belong to.
_schemas = {}


def _remove(stem):
    _schemas.pop(stem, None)
    for name in _files(stem):
        pathlib.Path(name).unlink(missing_ok=True)


def _stem(url):
    if not _is_memory(url):
        return url.database
    return f"memory_{os.getpid()}.edb"


@generate_driver_url.for_db(*_NAMES)
def _generate_driver_url(url, driver, query_str):
    url = url.set(drivername=f"{url.get_backend_name()}+{driver}")
    if query_str:
        url = url.update_query_string(query_str)
    if not _is_memory(url):
        path = pathlib.Path(url.database)
        url = url.set(database=str(path.with_name(f"{path.stem}_{driver}{path.suffix}")))
    try:
        url.get_dialect()
    except exc.NoSuchModuleError:
        return None
    return url


@follower_url_from_main.for_db(*_NAMES)
def _follower_url(url, ident):
    url = make_url(url)
    if _is_memory(url):
        return url
    path = pathlib.Path(url.database)
    return url.set(database=str(path.with_name(f"{path.stem}_{ident}{path.suffix}")))


@create_db.for_db(*_NAMES)
def _create_db(cfg, eng, ident):
    """The first connection makes it."""


@drop_db.for_db(*_NAMES)
def _drop_db(cfg, eng, ident):
    _remove(_stem(eng.url))


@run_reap_dbs.for_db(*_NAMES)
def _reap(url, idents):
    for ident in idents:
        _remove(_stem(_follower_url(url, ident)))


@post_configure_testing_engine.for_db(*_NAMES)
def _attach(url, engine, options, scope):
    """Of every engine that tests make, not only the plugin's: some of them look for the schema too."""
    engine = getattr(engine, "sync_engine", engine)
    if not _is_ours(engine.url):
        return
    stem = _stem(engine.url)
    name = f"{stem}.test_schema"

    @event.listens_for(engine, "connect")
    def connect(dbapi_connection, connection_record):
        if not isinstance(unwrapped(dbapi_connection), driver.Connection):
            return  # what a test put in its place
        if stem not in _schemas:
            _schemas[stem] = driver.named_memory(name, driver.MemoryDatabase)
        cursor = dbapi_connection.cursor()
        cursor.execute("ATTACH DATABASE ? AS test_schema", (f"file:{quote(name)}?mode=memory",))
        cursor.close()

    if scope == "global":

        @event.listens_for(engine, "engine_disposed")
        def dispose(engine):
            _remove(stem)


@stop_test_class_outside_fixtures.for_db(*_NAMES)
def _stop(config, db, cls):
    db.dispose()


@temp_table_keyword_args.for_db(*_NAMES)
def _temp_table(cfg, eng):
    return {"prefixes": ["TEMPORARY"]}


@upsert.for_db(*_NAMES)
def _upsert(cfg, table, returning, *, set_lambda=None, sort_by_parameter_order=False, index_elements=None):
    from sqlalchemy.dialects.sqlite import insert

    statement = insert(table)
    if set_lambda:
        statement = statement.on_conflict_do_update(set_=set_lambda(statement.excluded))
    else:
        statement = statement.on_conflict_do_nothing()
    return statement.returning(*returning, sort_by_parameter_order=sort_by_parameter_order)
