"""Loads SQLAlchemy's pytest plugin as Alembic's own tests do: hence a folder and a run of their own."""

import pytest

import entitydb_dialect  # noqa: F401 - registers the URLs in a checkout that is not installed

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F403
