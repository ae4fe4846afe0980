"""A Database as filter_world.py uses it. Run as a program it is one of another process, told by lines what to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from entitydb_dialect import Database
from entitydb_dialect import _exceptions as ex
from entitydb_dialect.history.moments import Nanoseconds


class Here:
    """A Database of this process."""

    def __init__(self, path: str | Path) -> None:
        self.db = Database(path, page_size=512, synchronous="normal", spill_bytes=2048)

    def run(self, sql: str) -> Any:
        if sql.startswith("level"):
            level = sql.removeprefix("level ")
            self.db.connection.isolation_level = None if level == "none" else level
            return None
        return self.db.execute(sql)

    def put(self, rows: list[tuple[int, str]], tags: list[list[str]]) -> None:
        self.db.put_many("t", rows, columns=["id", "v"], tags=tags)

    def delete(self, ids: list[int]) -> None:
        self.db.delete_many("t", ids)

    def get(self, ids: list[int], as_of: int | None) -> list[str | None]:
        moment = None if as_of is None else Nanoseconds(as_of)
        return [row and row[0] for row in self.db.get_many("t", ids, columns=["v"], as_of=moment, tuples=True)]

    def tagged(self, tag: str, as_of: int | None) -> list[int]:
        return self.db.by_tag(tag, type="t", as_of=None if as_of is None else Nanoseconds(as_of))

    def tagged_many(self, expressions: list[str], as_of: int | None) -> list[list[int]]:
        return self.db.by_tags(expressions, type="t", as_of=None if as_of is None else Nanoseconds(as_of))

    def last_ns(self) -> int:
        return self.db.connection.last_commit[1]

    def stats(self) -> dict[str, int]:
        return self.db.connection.database.stats()


def serve(store: Here) -> None:
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer: Any = ["", getattr(store, name)(*arguments)]
        except ex.Error as error:
            answer = [type(error).__name__, str(error)]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(Here(sys.argv[1]))
