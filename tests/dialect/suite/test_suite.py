"""SQLAlchemy's compliance suite for dialects, whole."""

from sqlalchemy.testing import config
from sqlalchemy.testing.suite import *  # noqa: F403
from sqlalchemy.testing.suite import IsolationLevelTest as _IsolationLevelTest


class IsolationLevelTest(_IsolationLevelTest):
    def test_dialect_user_setting_is_restored(self):
        config.skip_test("wants a level beside the default and AUTOCOMMIT; there is none")
