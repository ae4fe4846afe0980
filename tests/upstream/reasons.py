"""Why a test that passes over pysqlite does not pass here, one sentence each.

(pattern of the test's id, pattern of its message, reason); the first that fits counts. What fits none is reported as
not explained and fails the run.
"""

from __future__ import annotations

Reasons = list[tuple[str, str, str]]

_SNAPSHOT = (
    "two transactions change one row: under REPEATABLE READ, the default here, the later one gets SerializationFailure "
    "before SQLAlchemy can count the rows it changed and say StaleDataError; under READ COMMITTED it passes"
)
_AGAIN = (
    "it reads a row again with FOR UPDATE to see that another transaction has changed it: under REPEATABLE READ a "
    "transaction sees one state, and the conflict is found at its COMMIT; under READ COMMITTED it passes"
)
_IDS = "ids are never given twice: an id of a row that another test deleted counts"

REASONS: Reasons = [
    (r"", r"CREATE TRIGGER",
     "triggers are left out: history needs none, and rules are CHECK, FOREIGN KEY and generated columns"),
    (r"test_versioning", r"was changed by another transaction", _SNAPSHOT),
    (r"VersioningTest", r"Callable did not raise an exception", _AGAIN),
    (r"test_on_conflict_do_update_exotic_targets_four_no_pk", r"44, 'name3'", _IDS),
    (r"test_on_conflict.OnConflictTest", r"\(None,\) != \(\d,\)",
     "an INSERT that inserted no row has no lastrowid; sqlite3 repeats the one of the INSERT before"),
    (r"test_dialect.MatchTest", r"full_text_search_missing",
     "a full-text table would live in SQLite's memory and be lost, so there are TEMP ones only"),
    (r"ReflectInternalSchemaTables::test_get_table_names", r"sqlite_sequence",
     "there is no table sqlite_sequence: AUTOINCREMENT's numbers are the engine's"),
    (r"KeywordInDatabaseNameTest", r"database default is locked",
     "CREATE and DROP belong to the transaction, and one that wrote to an attached database cannot detach it; "
     "pysqlite commits them at once"),
    (r"test_native_datetime", r"PARSE_DECLTYPES", "the driver has no converters as sqlite3's detect_types has them"),
    (r"test_imv_returning_datatypes", r"\(call\)' : ",
     "SQLAlchemy skips all that follow one unsupported type in the same worker, whichever that is in a run"),
    (r"DefaultTest|UnicodeSchemaTest", r"foreign key mismatch",
     "its foreign key refers to a column that is not unique, which SQLite refuses too when keys are on"),
    (r"test_unitofwork.DefaultTest", r"too many values to unpack",
     "it finds rows of the test before, whose removal that foreign key refused"),
    (r"nonpassive|test_naturalpks", r"keys do cascade",
     "it is for keys that do not cascade; its twin for those that do runs instead"),
]  # fmt: skip

# What fails over pysqlite.
PYSQLITE: Reasons = [
    (r"", r"database is locked", "a second connection finds the file locked; here writers do not lock one another out"),
]
