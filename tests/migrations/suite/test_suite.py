"""Alembic's suite for dialects, whole."""

from alembic.testing.suite import *  # noqa: F403
from alembic.testing.suite import AutogenerateFKOptionsTest as _AutogenerateFKOptionsTest
from sqlalchemy.testing import config


class AutogenerateFKOptionsTest(_AutogenerateFKOptionsTest):
    def test_remove_initially_immediate_plus_deferrable(self):
        config.skip_test("DEFERRABLE INITIALLY IMMEDIATE is the same as DEFERRABLE, and reflected so")
