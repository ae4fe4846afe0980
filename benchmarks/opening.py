"""Opening a large database, and the memory of a reader, each in a process of its own."""

from __future__ import annotations

import json
import os
import random
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .measure import Row, Setting, benchmark, child_python, file_bytes, open_ours, remove, show

GROUP = "open"
ROW_BYTES = 1_500
MOST_SECONDS = 0.010
MOST_BYTES = 20 * 2**20


def child(task: str, path: Path, *arguments: str) -> Any:
    """Runs a function of this module in a fresh Python. -> what it returns."""
    code = f"import sys, json; from benchmarks import opening; print(json.dumps(opening.{task}(*sys.argv[1:])))"
    answer = subprocess.run(**child_python("-c", code, str(path.absolute()), *arguments), check=True,
                            stdout=subprocess.PIPE)
    return json.loads(answer.stdout)


def open_seconds(path: str) -> dict[str, list[float]]:
    """Seconds until the database is open, and until a row was read by key, 20 times, everything closed in between."""
    taken: dict[str, list[float]] = {"open": [], "read": []}
    for _ in range(20):
        started = time.perf_counter()
        connection = open_ours(Path(path))
        taken["open"].append(time.perf_counter() - started)
        connection.execute("SELECT length(body) FROM page WHERE id = 77").fetchall()
        taken["read"].append(time.perf_counter() - started)
        connection.close()
    return taken


def leave_unclosed(path: str) -> None:
    """Commits a little and dies without closing."""
    connection = open_ours(Path(path), synchronous="normal")
    for i in range(1, 101):
        connection.execute("UPDATE page SET body = ? WHERE id = ?", ("z" * ROW_BYTES, i * 11))
    os.kill(os.getpid(), 9)


def memory(path: str, moment: str) -> dict[str, int]:
    """Bytes beyond those at the start and beyond the mapped file, after reading all of it, now and as of then."""
    import sqlalchemy  # noqa: F401 - counts as there at the start

    # Code and buffers of SQLite and of the engine that any database would need.
    warm = open_ours(Path(f"{path}-small"))
    warm.execute("CREATE TABLE page(id INTEGER PRIMARY KEY, body TEXT)")
    warm.execute("INSERT INTO page VALUES (1, 'a')")
    warm.execute("SELECT sum(length(body)) FROM page").fetchall()
    warm.close()
    before = resident(path)
    connection = open_ours(Path(path))
    cursor = connection.cursor()
    for as_of in (None, int(moment)):
        cursor.as_of = as_of
        cursor.execute("SELECT count(*), sum(length(body)) FROM page").fetchall()
        for i in range(1, 20_000, 7):
            cursor.execute("SELECT body FROM page WHERE id = ?", (i,)).fetchall()
    after = resident(path)
    connection.close()
    return {"beyond": after["other"] - before["other"], "mapped": after["file"]}


def resident(path: str) -> dict[str, int]:
    """Resident bytes of this process: pages of the file, and all others."""
    sizes = {"file": 0, "other": 0}
    place = "other"
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            place = "file" if line.endswith(os.path.realpath(path)) else "other"
        elif line.startswith("Rss:"):
            sizes[place] += int(line.split()[1]) * 1024
    return sizes


def grow(path: Path, rows: int, most_bytes: int, rng: random.Random) -> int:
    """Updates rows at random until the file is so large. -> its size."""
    connection = open_ours(path, synchronous="normal")
    while file_bytes(path) < most_bytes:
        chosen = rng.sample(range(1, rows + 1), rows // 20)
        connection.execute("BEGIN")
        connection.executemany("UPDATE page SET body = ? WHERE id = ?",
                               [(f"{rng.randrange(10**8):08}" * (ROW_BYTES // 8), i) for i in chosen])
        connection.execute("COMMIT")
    connection.close()
    return file_bytes(path)


@benchmark
def opening(setting: Setting) -> Iterator[Row]:
    """Opening a gigabyte, of which an eighth is the present, and the same present with a quarter of it."""
    whole = setting.size(2**30, 2**27)
    rows = whole // 8 // ROW_BYTES
    path = setting.folder / "opening.edb"
    rng = setting.random("opening")
    try:
        show(f"open: a file of {whole / 2**20:,.0f} MiB")
        connection = open_ours(path, synchronous="normal")
        connection.execute("CREATE TABLE page(id INTEGER PRIMARY KEY, body TEXT)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO page VALUES (?, ?)",
                               ((i, f"{i:08}" * (ROW_BYTES // 8)) for i in range(1, rows + 1)))
        connection.execute("COMMIT")
        first_moment = connection.last_commit[1]
        connection.close()
        small_bytes = grow(path, rows, whole // 4, rng)
        small = child("open_seconds", path)
        large_bytes = grow(path, rows, whole, rng)
        large = child("open_seconds", path)
        sizes = f"{large_bytes / 2**20:,.0f} MiB"
        yield Row(GROUP, f"opening {sizes} and reading a row, against 10 ms", statistics.median(large["read"]),
                  MOST_SECONDS, "s", "10 ms", at_most=1.0, samples=large)
        for name, step, bound in (("opening", "open", 1.25), ("opening and reading a row,", "read", None)):
            yield Row(GROUP, f"{name} {sizes} against {small_bytes / 2**20:,.0f} MiB of the same, with less history",
                      min(large[step]), min(small[step]), "s", "less history", at_most=bound,
                      samples={"ours": large[step], "less history": small[step]})
        try:
            child("leave_unclosed", path)
        except subprocess.CalledProcessError:
            killed = child("open_seconds", path)["read"][:1]
            yield Row(GROUP, f"opening {sizes} after its writer was killed, against 10 ms", killed[0], MOST_SECONDS,
                      "s", "10 ms", at_most=1.0, samples={"ours": killed})
        used = child("memory", path, str(first_moment))
        yield Row(GROUP, f"memory of a reader of {sizes} beside the map, against 20 MiB", used["beyond"], MOST_BYTES,
                  "bytes", "20 MiB", at_most=1.0, note=f"{used['mapped'] / 2**20:,.0f} MiB of the map resident")
    finally:
        remove(path)
        remove(Path(f"{path}-small"))
