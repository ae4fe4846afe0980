"""Transactions of a connection: what begins and ends them, and what is done behind COMMIT and ROLLBACK.

A transaction in which nothing has been done yet can be begun again. That is how it follows a schema that another
connection has changed: statements see what there was when the transaction began, and the declarations must be the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import _exceptions as ex
from .._native import lib
from ._contexts import RETRIES, Contexts
from ._errors import CODES, check, engine_error, translate
from ._info import TransactionInfo
from ._savepoints import Savepoints

if TYPE_CHECKING:
    from ._database import Database
    from .schemas.attached import Attachment
    from .schemas.schema import Schema
    from .sql.statement import Statement

_NO_SCHEMA = 2**64 - 1  # a number that no schema has
_LOST = "the transaction was rolled back"


class Transactions(Contexts):
    """The transactions of a connection. A part of Session."""

    main: Schema
    attached: dict[str, Attachment]

    def __init__(self, database: Database, *, owns_database: bool) -> None:
        super().__init__(database, owns_database=owns_database)
        self.isolation_level: str | None = "DEFERRED"  # as it was set; None: autocommit
        self.autocommit = False  # each statement is a transaction unless BEGIN or SAVEPOINT is executed
        self.read_committed = False  # each statement reads the newest commit
        self.serializable = False  # COMMIT judges what was read
        # A transaction is open and no statement has run in it, or, at READ COMMITTED, none that changed anything: it
        # can be ended and begun again.
        self.can_restart = False
        self.restart_sql: list[str] = []  # to begin it again: the statement that opened it, and savepoints since
        self.savepoints = Savepoints()
        self.info = TransactionInfo(self.engine)
        self.in_hand = False  # a transaction is open, by what the driver has done and seen
        # Why SQLite rolled one back that is not over for whoever uses it. Everything but its end is refused.
        self.lost: str | None = None

    # ---- of the session ----

    def schemas(self) -> list[Schema]:
        """Main and what is attached, EntityDB's own only."""
        raise NotImplementedError

    def redeclare(self) -> None:
        """Makes SQLite's declarations those of the newest catalog. Between transactions only."""
        raise NotImplementedError

    def drain(self) -> None:
        """Reads half-fetched cursors into memory."""
        raise NotImplementedError

    def temporary_tables_changed(self) -> None:
        """What was done to TEMP tables has been undone, perhaps."""
        raise NotImplementedError

    # ---- begin ----

    def begin(self) -> None:
        self.control.execute("BEGIN")
        self.in_hand = self.can_restart = True
        self.restart_sql = ["BEGIN"]

    def begin_write(self, schema: Schema | None = None) -> None:
        """Begins a transaction at the newest schema, which is followed before BEGIN fixes what is seen."""
        stmt = self.open_statement(True, None, True, schema)
        try:
            self.begin()
        finally:
            self.end_statement(stmt)

    def follow_schema(self) -> None:
        if not self.raw.in_transaction:
            self.redeclare()
        elif self.can_restart and (self.running is None or not self.read_committed):
            # At READ COMMITTED statements may have read in it; the engine's transaction ends with them.
            self.control.execute("COMMIT")
            lib.edb_conn_settle(self.engine, True)
            self.redeclare()
            for sql in self.restart_sql:
                self.control.execute(sql)
        else:
            sentence = "another connection changed the schema after this transaction began: roll back and retry"
            raise engine_error(CODES["CONFLICT"], sentence)

    def autocommitted(self, run: Callable[[], None], schema: Schema | None = None) -> None:
        """Runs a piece of the driver's own in a transaction by itself, again when it lost a race."""
        for attempt in range(RETRIES):
            self.begin_write(schema)
            try:
                run()
                self.commit()
                return
            except ex.SerializationFailure:
                if attempt == RETRIES - 1:
                    raise
            finally:
                self.rollback()

    # ---- end ----

    def commit(self) -> None:
        self.check_open()
        self.check_lost(ends=True)
        if self.raw.in_transaction:
            self.execute_control("COMMIT")
            self.committed()

    def commit_or_roll_back(self) -> None:
        """The end of a statement that is a transaction by itself: one that may not commit is rolled back."""
        try:
            self.commit()
        except BaseException:
            self.rollback()
            raise

    def rollback(self) -> None:
        self.check_open()
        self.lost = None
        if self.raw.in_transaction:
            self.execute_control("ROLLBACK")
            self.rolled_back()

    def execute_control(self, sql: str, commits: bool = False) -> None:
        """BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, ROLLBACK TO: whatever state they lead to is followed.
        `commits`: it is a RELEASE that does."""
        was_open = self.raw.in_transaction
        if was_open and (commits or sql[:6].upper() in ("COMMIT", "END", "END TR")):
            self.info.tell()
            check(lib.edb_conn_judge(self.engine))  # a deferred foreign key: the transaction stays open to be mended
        if was_open and self.serializable and sql[:8].upper().startswith(("COMMIT", "END", "RELEASE")):
            self.drain()  # what a cursor has yet to read belongs to what COMMIT validates
        try:
            self.control.execute(sql)
        except Exception as error:
            # Another message than the engine's own must not overwrite it: translate first.
            translated = translate(error)
            if was_open and not self.raw.in_transaction:
                self.rolled_back()
            lib.edb_conn_unprepare(self.engine)  # a COMMIT that an attached SQLite file has refused
            lib.edb_conn_settle(self.engine, not self.raw.in_transaction)
            raise translated from error
        lib.edb_conn_settle(self.engine, not self.raw.in_transaction)

    def control_statement(self, statement: Statement, sql: str) -> None:
        """A transaction statement given as SQL."""
        verb = statement.verb
        if self.lost is not None and verb == "ROLLBACK":
            self.lost = None
            return
        was_open = bool(self.raw.in_transaction)
        begun = verb == "SAVEPOINT" and not was_open and not self.autocommit
        if begun:
            self.begin()
        self.execute_control(sql, verb == "RELEASE" and self.savepoints.commits(statement.name))
        self.savepoints.follow(verb, statement.name, was_open or begun)
        self.info.follow(verb, statement.name)
        self.in_hand = is_open = bool(self.raw.in_transaction)
        if is_open and not was_open and not self.can_restart:
            self.can_restart = True
            self.restart_sql = [sql]
        elif self.can_restart and is_open:
            self.restart_sql.append(sql)  # savepoints before the first statement
        if verb == "ROLLBACK TO":
            self.rolled_back_to()
        elif was_open and not is_open:
            if verb == "ROLLBACK":
                self.rolled_back()
            else:
                self.committed()

    # ---- a change that is a transaction by itself, executed the short way ----

    lost_race = ex.SerializationFailure  # behind it such a change is tried again

    def begins_alone(self) -> None:
        """Before it. Raises what the source of transaction_info() says wrong."""
        self.info.tell()

    # ---- what follows ----

    def committed(self) -> None:
        """After a commit: waits for its durability. Raises OperationalError when that cannot be had."""
        self.in_hand = self.can_restart = False
        self.info.ended()
        changed = [schema for schema in self.schemas() if schema.before_ddl is not None]
        for schema in changed:
            schema.before_ddl = None
        code = lib.edb_conn_wait(self.engine)
        if code:
            self.commit_refused(code)
        for schema in changed:
            # Its catalog is the one declared here: COMMIT refuses, if others have changed it meanwhile. A schema has
            # the number of the commit that made it.
            lib.edb_conn_last_commit(schema.engine, self.number_out, self.last_id_out)
            lib.edb_conn_declared(schema.engine, self.number_out[0])

    def commit_refused(self, code: int) -> None:
        """SQLite has committed, and the engine has not or may not have: its catalog says what is to be declared. Raises
        OperationalError.

        Args:
            code: what edb_conn_wait() said, once.
        """
        for schema in self.schemas():
            lib.edb_conn_declared(schema.engine, _NO_SCHEMA)
        check(code)

    def rolled_back(self) -> None:
        """After a rollback, ours or SQLite's."""
        self.in_hand = self.can_restart = False
        self.info.ended()
        for schema in self.schemas():
            schema.undo_ddl()
        self.temporary_tables_changed()

    def rolled_back_to(self) -> None:
        """After ROLLBACK TO: catalog and declarations both went back to the savepoint; read what is there."""
        self.temporary_tables_changed()
        for schema in self.schemas():
            schema.reread_catalog()

    def failed(self, error: BaseException, began: bool = False) -> None:
        """After an error inside a statement: SQLite may have rolled back the whole transaction.

        Args:
            error: as it will be raised; it is made to say so.
            began: the transaction began with the statement, so nothing else is lost.
        """
        if not self.in_hand or self.raw.in_transaction:
            return
        self.rolled_back()
        if began or isinstance(error, ex.IntegrityError):  # OR ROLLBACK has asked for it
            return
        self.lost = str(error)
        if isinstance(error, ex.Error):
            error.args = (f"{self.lost}; {_LOST}: call rollback() to go on",)

    def check_lost(self, ends: bool = False) -> None:
        """Raises OperationalError while a transaction that SQLite rolled back was not given up.

        Args:
            ends: this is the COMMIT, after which there is another transaction, as after every COMMIT that fails.
        """
        why = self.lost
        if why is None:
            return
        if ends:
            self.lost = None
            raise ex.OperationalError(f"nothing was committed: {_LOST} when a statement failed ({why})")
        raise ex.OperationalError(f"{_LOST} when a statement failed ({why}): call rollback() to go on")


__all__ = ["Transactions"]
