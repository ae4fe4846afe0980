"""SQLAlchemy's own requirements, where they name drivers of SQLite one by one."""

from sqlalchemy.testing import exclusions
from test.requirements import DefaultRequirements  # of SQLAlchemy's source distribution


class Requirements(DefaultRequirements):
    @property
    def emulated_lastrowid(self):
        return exclusions.open()

    emulated_lastrowid_even_with_sequences = dbapi_lastrowid = emulated_lastrowid
