"""Why a test that passes over pysqlite does not pass here, one sentence each.

(pattern of the test's id, pattern of its message, reason); the first that fits counts. What fits none is reported as
not explained and fails the run.
"""

from __future__ import annotations

Reasons = list[tuple[str, str, str]]

_SNAPSHOT = (
    "two transactions change one row: under REPEATABLE READ, the default here, the later one gets SerializationFailure "
    "before SQLAlchemy can count the rows it changed and say StaleDataError"
)

REASONS: Reasons = [
    (r"", r"SELECT \.\.\. FOR UPDATE", "FOR UPDATE is refused, not ignored, until there are row locks"),
    (r"", r"CREATE TRIGGER",
     "triggers are left out: history needs none, and rules are CHECK, FOREIGN KEY and generated columns"),
    (r"test_versioning", r"was changed by another transaction", _SNAPSHOT),
    (r"test_unitofwork.DefaultTest", r"foreign key mismatch",
     "its foreign key refers to a column that is not unique, which SQLite refuses too when keys are on"),
    (r"nonpassive|test_naturalpks", r"keys do cascade",
     "it is for keys that do not cascade; its twin for those that do runs instead"),
]  # fmt: skip

# What fails over pysqlite.
PYSQLITE: Reasons = [
    (r"", r"database is locked", "a second connection finds the file locked; here writers do not lock one another out"),
]
