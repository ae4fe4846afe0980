"""What a temporal tree must answer: a dictionary per commit. And hostile histories to ask it about.

A history is a list of batches; a batch maps keys (bytes) to values (bytes) or None for a tombstone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

STYLES = ("batch", "all", "range", "flip", "hot", "refill", "single", "sparse", "append", "bulk")
Batch = dict[bytes, "bytes | None"]


class Model:
    """The rows of every commit, remembered whole."""

    def __init__(self) -> None:
        self.rows: dict[bytes, tuple[bytes, int]] = {}
        self.at: dict[int, dict[bytes, tuple[bytes, int]]] = {}

    def apply(self, number: int, batch: Batch) -> None:
        for key, value in batch.items():
            if value is None:
                self.rows.pop(key, None)
            elif key not in self.rows or self.rows[key][0] != value:
                self.rows[key] = (value, number)
        self.at[number] = dict(self.rows)


def keys_of(rnd: random.Random, key_size: int) -> list[bytes]:
    count = rnd.choice([5, 20, 100, 400])
    if key_size == 8:
        spread = rnd.choice([1, 1, 1000, 2**40])
        return [(i * spread + (1 << 63)).to_bytes(8, "big") for i in range(count)]
    longest = rnd.choice([3, 8, 40])
    made = {bytes(rnd.choices(b"\x00ab\xff", k=rnd.randrange(longest + 1))) for _ in range(count)}
    return sorted(made)


def value_of(rnd: random.Random, largest: int) -> bytes:
    size = rnd.choice([0, 1, 8, 8, 20, 20, 60, largest])
    return rnd.randbytes(min(size, largest))


def history(seed: int, key_size: int, commits: int, largest: int = 60, style: str = "mix") -> Iterator[Batch]:
    """Yield `commits` batches: batches of many keys, whole-table updates, range deletes and refills, hot rows,
    re-insertion of everything that died, deletes of what is not there, appends, bulk loads."""
    rnd = random.Random(seed)
    keys = keys_of(rnd, key_size)
    alive: set[bytes] = set()
    top = 0
    for _ in range(commits):
        now = rnd.choice(STYLES) if style == "mix" else style
        gone: dict[bytes, bool] = {}
        if now == "batch":
            gone = {rnd.choice(keys): rnd.random() < 0.4 for _ in range(rnd.choice([1, 3, 10, 60]))}
        elif now == "all":
            gone = dict.fromkeys(keys, False)
        elif now == "range":
            low, delete = rnd.randrange(len(keys)), rnd.random() < 0.6
            gone = dict.fromkeys(keys[low : low + rnd.choice([1, 5, 30, len(keys)])], delete)
        elif now == "flip":
            gone = {rnd.choice(keys): rnd.random() < 0.5}
        elif now == "hot":
            gone = {keys[len(keys) // 2]: False}
        elif now == "refill":
            dead = [key for key in keys if key not in alive]
            gone = dict.fromkeys(dead[: rnd.choice([1, 10, len(dead) or 1])], False)
        elif now == "sparse":
            gone = {key: False for i, key in enumerate(keys) if i // 8 % 2 == 0 and rnd.random() < 0.3}
        elif now in ("append", "bulk"):
            count = 1 if now == "append" else rnd.choice([50, 300])
            for _ in range(count):
                top += 1
                key = (top + (1 << 63) + 2**50).to_bytes(8, "big") if key_size == 8 else b"\xff\xff%06d" % top
                gone[key] = False
        else:
            gone = {rnd.choice(keys): rnd.random() < 0.5}
        batch: Batch = {}
        for key, delete in gone.items():
            if delete:
                alive.discard(key)
                batch[key] = None
            else:
                alive.add(key)
                batch[key] = value_of(rnd, largest)
        yield batch
