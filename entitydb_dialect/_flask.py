"""Where a relative URL leads in a Flask application: to its instance folder, as with SQLite.

Flask-SQLAlchemy and Flask-SQLAlchemy-Lite put relative files there for the URLs of SQLite alone, before they make the
engine, and tell a dialect nothing of the application. But they make engines only within `init_app(app)`, and a dialect
is asked within `create_engine()`. So the application is found among the calls that are under way. Nothing is replaced
or listened to, and an engine that is made elsewhere has its file below the working directory, as it should.
"""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL

from ._urls import target

_EXTENSIONS = ("flask_sqlalchemy", "flask_sqlalchemy_lite")


def rooted(url: URL) -> URL:
    """The URL of a file in the instance folder, which is made, where Flask makes the engine; else the URL as it is."""
    folder = _instance_folder()
    if folder is None or target(url).place.path is None or url.database is None:
        return url
    prefix, path = ("file:", url.database[5:]) if target(url).is_uri else ("", url.database)
    if os.path.isabs(path):
        return url
    os.makedirs(folder, exist_ok=True)
    return url.set(database=prefix + os.path.join(quote(folder) if prefix else folder, path))


def _instance_folder() -> str | None:
    if not any(name in sys.modules for name in _EXTENSIONS):
        return None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if frame.f_code.co_name == "init_app" and module.partition(".")[0] in _EXTENSIONS:
            app: Any = frame.f_locals.get("app")
            return getattr(app, "instance_path", None)
        frame = frame.f_back
    return None


__all__ = ["rooted"]
