"""The exceptions of EntityDB: PEP 249's tree with a few leaves of our own.

    Exception
    |- Warning                       PEP 249's (not Python's)
    |- Error
       |- InterfaceError             the driver was used wrongly by a library (SQLITE_MISUSE, SQLITE_RANGE)
       |- DatabaseError              anything the database says; also: the file is not an EntityDB database
          |- DataError               a value is too large or cannot be stored
          |- OperationalError        not the program's fault: disk, locks, memory; and SQL that names what is not there
          |  |- SerializationFailure another transaction changed the same data first: roll back and run it again
          |  |- HorizonError         the moment lies outside the kept history
          |- IntegrityError          a constraint failed
          |- InternalError           SQLite is out of order
          |- ProgrammingError        closed handles, wrong parameters, a setting that differs from the one in force
          |  |- PastWriteError       a write was asked for under `as_of`
          |- NotSupportedError       EntityDB does not do this, and says what it does instead
          |- DamageError             the file is damaged; the message names the page

    UserWarning
    |- EntityDBWarning               something works, but hardly as meant
       |- RowLockWarning             (a RuntimeWarning too) a row lock was asked for, and there are none

Every Error carries what it was made from: `sqlite_errorcode` (extended) and `sqlite_errorname` as the sqlite3 module
has them, `engine_code` and `engine_name` when the engine itself refused (see engine/codes.h), else None.

SQLAlchemy wraps these in its own classes of the same PEP 249 names; the instance raised here is then `.orig`. Around
our own leaves it puts a class that is both (_raised.py): `except SerializationFailure` catches what a Session raises.
"""

from __future__ import annotations


class Warning(Exception):
    """PEP 249's Warning; EntityDB raises none."""


class Error(Exception):
    """Anything the driver raises."""

    sqlite_errorcode: int | None = None
    sqlite_errorname: str | None = None
    engine_code: int | None = None
    engine_name: str | None = None


class InterfaceError(Error):
    """The driver, not the database, was used wrongly."""


class DatabaseError(Error):
    """Anything the database says."""


class DataError(DatabaseError):
    """A value is too large or cannot be stored."""


class OperationalError(DatabaseError):
    """The database cannot do it now, or the SQL names what is not there."""


class IntegrityError(DatabaseError):
    """A constraint failed."""


class InternalError(DatabaseError):
    """SQLite is out of order."""


class ProgrammingError(DatabaseError):
    """A closed handle, wrong parameters, a setting that differs from the one in force."""


class NotSupportedError(DatabaseError):
    """EntityDB does not do this."""


class SerializationFailure(OperationalError):
    """Another transaction changed the same data first, or what a SERIALIZABLE one had read; roll back and try again."""


class HorizonError(OperationalError):
    """The moment asked for lies outside the kept history."""


class PastWriteError(ProgrammingError):
    """A write was asked for as of a past moment; the past cannot be changed."""


class DamageError(DatabaseError):
    """The file is damaged. The message names the page."""


class EntityDBWarning(UserWarning):
    """Something works, but hardly as meant (a naive moment beyond the clock, for one)."""


class RowLockWarning(EntityDBWarning, RuntimeWarning):
    """A row lock was asked for, and there are none: conflicts are found at COMMIT."""
