"""Reads a database as whole as can be and says what came of it; run as a process, so that a crash is seen from outside.

Questions are lines of JSON: {"path": file, "moments": [nanoseconds], "queries": [sql, ...], "writes": [sql, ...],
"upkeep": ["pack", "verify", ...]}.
An empty line ends it. Answers are lines of JSON too:

    opened   null, or [class, message] of the error that opening raised
    rows     for each moment (and, last, now), for each query: rows, or [class, message] under "error"
    writes   for each of "writes", each a transaction that says who makes it: [] or {"error": [class, message]}
    upkeep   for each of "upkeep", which are methods of the database, and "prune": null or [class, message]
    check    [[invariant, page, sentence], ...] or {"error": [class, message]}
"""

from __future__ import annotations

import json
import sys
from typing import Any

from entitydb_dialect import driver, transaction_info


def failure(error: BaseException) -> list[Any]:
    return [type(error).__name__, [base.__name__ for base in type(error).__mro__], str(error)]


def answer(question: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {"opened": None, "rows": [], "writes": [], "upkeep": [], "check": None}
    try:
        database = driver.Database(question["path"], driver.Options(create=question.get("create", False)))
    except driver.Error as error:
        result["opened"] = failure(error)
        return result
    try:
        try:
            result["check"] = [[b.invariant, b.page, b.sentence] for b in database.check()[0]]
        except driver.Error as error:
            result["check"] = {"error": failure(error)}
        if "moments" in question:
            for moment in [*question["moments"], None]:
                result["rows"].append([one(database, sql, moment) for sql in question["queries"]])
        with transaction_info(actor="asker", n=1):
            result["writes"] = [one(database, sql, None) for sql in question.get("writes", ())]
        result["upkeep"] = [upkeep(database, what) for what in question.get("upkeep", ())]
    finally:
        database.close()
    return result


def upkeep(database: driver.Database, what: str) -> list[Any] | None:
    try:
        if what == "prune":
            database.prune(max(1, database.stats()["published"] - 20))
        else:
            getattr(database, what)()
    except driver.Error as error:
        return failure(error)
    return None


def one(database: driver.Database, sql: str, moment: int | None) -> Any:
    try:
        connection = driver.connect(database)
    except driver.Error as error:
        return {"error": failure(error)}
    try:
        cursor = connection.cursor()
        cursor.as_of = moment
        rows = [list(row) for row in cursor.execute(sql).fetchall()]
        connection.commit()
        return rows
    except Exception as error:              # the judge says whether it is of a right class
        return {"error": failure(error)}
    finally:
        connection.close()


if __name__ == "__main__":
    for line in iter(sys.stdin.readline, "\n"):
        print(json.dumps(answer(json.loads(line)), default=repr), flush=True)      # a forged text may be a blob
