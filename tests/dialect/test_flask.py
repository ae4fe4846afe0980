"""A relative URL in a Flask application leads where one of SQLite leads: into its instance folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from entitydb_dialect import database_exists

flask = pytest.importorskip("flask")
SCHEMES = ["entitydb", "entitydb+apsw", "sqlite+entitydb"]
MakeEngines = Callable[[Any, dict[str, str]], dict[str, Engine]]


def by_flask_sqlalchemy(app: Any, urls: dict[str, str]) -> dict[str, Engine]:
    extension = pytest.importorskip("flask_sqlalchemy")
    app.config["SQLALCHEMY_BINDS"] = urls
    db = extension.SQLAlchemy(app)
    with app.app_context():
        return dict(db.engines)


def by_the_lite_one(app: Any, urls: dict[str, str]) -> dict[str, Engine]:
    extension = pytest.importorskip("flask_sqlalchemy_lite")
    app.config["SQLALCHEMY_ENGINES"] = urls
    db = extension.SQLAlchemy(require_default_engine=False)
    db.init_app(app)
    with app.app_context():
        return dict(db.engines)


def by_the_lite_one_async(app: Any, urls: dict[str, str]) -> dict[str, Engine]:
    extension = pytest.importorskip("flask_sqlalchemy_lite")
    app.config["SQLALCHEMY_ASYNC_ENGINES"] = {n: u.replace("entitydb:", "entitydb+aio:") for n, u in urls.items()}
    db = extension.SQLAlchemy(app, require_default_engine=False)
    with app.app_context():
        return {name: create_engine(one.url.set(drivername="entitydb")) for name, one in db.async_engines.items()}


@pytest.fixture(params=[by_flask_sqlalchemy, by_the_lite_one], ids=["full", "lite"])
def make_engines(request: pytest.FixtureRequest) -> MakeEngines:
    made: MakeEngines = request.param
    return made


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return flask.Flask("shop", instance_path=str(tmp_path / "the instance%20"))


def write(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (a)"))


def files(folder: Path) -> list[str]:
    """The databases below a folder."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-lock")]
    return sorted(str(path.relative_to(folder)) for path in found)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("path", ["x.edb", "./x.edb", "file:named"])
def test_a_relative_file_lies_where_that_of_sqlite_lies(
    app: Any, make_engines: MakeEngines, tmp_path: Path, scheme: str, path: str
) -> None:
    """The kind: a URL of a file that is not absolute, of every name of the dialect."""
    engines = make_engines(app, {"theirs": f"sqlite:///{path}", "ours": f"{scheme}:///{path}2"})
    for engine in engines.values():
        write(engine)
        engine.dispose()
    name = os.path.normpath(path)
    assert files(tmp_path) == [f"the instance%20/{name}", f"the instance%20/{name}2"]
    assert engines["ours"].url.database == f"{engines['theirs'].url.database}2"
    assert database_exists(engines["ours"].url)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_relative_file_uri_lies_in_the_instance_folder(
    app: Any, tmp_path: Path, scheme: str
) -> None:
    engine = by_flask_sqlalchemy(app, {"ours": f"{scheme}:///file:x%2Dy.edb?mode=rwc&uri=true"})["ours"]
    write(engine)
    engine.dispose()
    assert files(tmp_path) == ["the instance%20/x-y.edb"]
    assert database_exists(engine.url)


def test_a_file_of_asyncio_lies_there_too(app: Any, tmp_path: Path) -> None:
    engine = by_the_lite_one_async(app, {"ours": "entitydb:///x.edb"})["ours"]
    write(engine)
    engine.dispose()
    assert files(tmp_path) == ["the instance%20/x.edb"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_no_relative_file_is_taken_as_it_is(
    app: Any, make_engines: MakeEngines, tmp_path: Path, scheme: str
) -> None:
    urls = {
        "absolute": f"{scheme}:///{tmp_path}/x.edb",
        "uri": f"{scheme}:///file:{tmp_path}/y.edb?uri=true",
        "memory": f"{scheme}://",
        "named": f"{scheme}:///file:{tmp_path.name}?mode=memory&uri=true",
    }
    engines = make_engines(app, urls)
    for engine in engines.values():
        write(engine)
        engine.dispose()
    assert files(tmp_path) == ["x.edb", "y.edb"]


def test_an_engine_that_flask_does_not_make_is_below_the_working_directory(
    app: Any, make_engines: MakeEngines, tmp_path: Path
) -> None:
    make_engines(app, {"ours": "entitydb:///x.edb"})
    with app.app_context():
        engine = create_engine("entitydb:///y.edb")
    write(engine)
    engine.dispose()
    assert files(tmp_path) == ["work/y.edb"]
