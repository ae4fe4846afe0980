"""The primitives of a store of entities and tags: Bloom filter, interning table, sets of ids.

Each stands beside plain C or a dict. The C side is compiled here from native/ as a release build compiles it, because
the binding that is installed does not have these functions; entities.c has the loops.
"""

from __future__ import annotations

import os
import random
import shlex
import subprocess
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import cffi

from .measure import Row, Setting, benchmark, raced

GROUP = "entities"
ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("benchmarks/entities.c", "native/arena.c", "native/bloom.c", "native/gallop.c", "native/hash.c",
           "native/intern.c")
DECLARATIONS = """
typedef struct filters filters;
filters *filters_new(size_t n, double bits);
void filters_free(filters *f);
void filters_add(filters *f, int which);
size_t filters_ask(const filters *f, int which, bool present);
typedef struct intern intern;
intern *names_new(const char *texts, const size_t *starts, size_t n);
void names_free(intern *table);
uint64_t names_find(intern *table, const char *texts, const size_t *starts, size_t n);
uint64_t names_find_id(intern *table, const uint64_t *ids, size_t n);
size_t ids_gallop(const int64_t *a, size_t n, const int64_t *b, size_t m, int64_t *out);
size_t ids_merge(const int64_t *a, size_t n, const int64_t *b, size_t m, int64_t *out);
size_t ids_scan(const int64_t *a, size_t n, int64_t *out);
size_t ids_union(const int64_t *ids, const size_t *starts, size_t k, int64_t *out);
size_t ids_sort(const int64_t *ids, size_t n, int64_t *out);
"""
BLOCKED, BATCH, PLAIN, HASH_SET = range(4)
BITS = 10


@benchmark
def entities(setting: Setting) -> Iterator[Row]:
    ffi = cffi.FFI()
    ffi.cdef(DECLARATIONS)
    lib = ffi.dlopen(str(compiled(setting.folder)))
    yield from filtering(ffi, lib, setting)
    yield from interning(ffi, lib, setting)
    yield from intersecting(ffi, lib, setting)
    yield from uniting(ffi, lib, setting)


def compiled(folder: Path) -> Path:
    library = folder / "entities.so"
    subprocess.run([*shlex.split(os.environ.get("CC") or "gcc"), "-std=gnu11", "-D_GNU_SOURCE=", "-O2", "-DNDEBUG",
                    "-fPIC", "-fno-strict-aliasing", "-pthread", "-shared", f"-I{ROOT}",
                    *(str(ROOT / source) for source in SOURCES), "-lm", "-o", str(library)], check=True)
    return library


def each(row: Row, n: int, what: str) -> Row:
    """With the time of one of n in the note, because that is what one compares with a cache miss."""
    row.note = f"{row.ours / n * 1e9:.1f} ns {what}, the other {row.other / n * 1e9:.1f} ns"
    return row


def filtering(ffi: Any, lib: Any, setting: Setting) -> Iterator[Row]:
    """Filters of 1.2 and of 12 MB: about a core's own cache, and far beyond it."""
    for n in (setting.size(1_000_000, 50_000), setting.size(10_000_000, 500_000)):
        f = ffi.gc(lib.filters_new(n, BITS), lib.filters_free)
        if not f:
            raise MemoryError

        def add(which: int, f: Any = f) -> None:
            lib.filters_add(f, which)

        def present(which: int, f: Any = f) -> int:
            return int(lib.filters_ask(f, which, True))

        def absent(which: int, f: Any = f, n: int = n) -> bool:
            """Whether nearly all are denied: the filters differ in which they are wrong about."""
            return int(lib.filters_ask(f, which, False)) < n // 50

        for ask, verb in ((add, "add"), (present, "ask for what is there"), (absent, "ask for what is not")):
            for ours, how, other, against, bound in (
                (BLOCKED, "", PLAIN, "Bloom without blocks", None),
                (BATCH, ", many at once", PLAIN, "Bloom without blocks", None if ask is add else 1.0),
                (BATCH, ", many at once", HASH_SET, "hash set", None),
            ):
                yield each(raced(GROUP, f"Bloom filter of {n:,}: {verb}{how}", lambda o=ours, a=ask: a(o),
                                 lambda o=other, a=ask: a(o), against, rounds=5, at_most=bound), n, "a key")


def interning(ffi: Any, lib: Any, setting: Setting) -> Iterator[Row]:
    n = setting.size(100_000, 10_000)
    rng = setting.random("interning")
    texts = [f"tag {rng.randrange(10**9)}:{i}" for i in range(n)]
    ids = {text: i for i, text in enumerate(texts)}
    sizes = {i: len(text) for i, text in enumerate(texts)}

    def laid_out(these: list[str]) -> tuple[Any, Any]:
        return (ffi.from_buffer("char[]", "".join(these).encode()),
                ffi.new("size_t[]", [0, *accumulate(map(len, these))]))

    table = ffi.gc(lib.names_new(*laid_out(texts), n), lib.names_free)
    if not table:
        raise MemoryError
    asked = rng.sample(texts, n)
    data, starts = laid_out(asked)
    # Strings of their own: a dict compares a key that it holds itself by its address alone.
    asked = [text[:1] + text[1:] for text in asked]
    yield each(raced(GROUP, f"{n:,} texts to ids", lambda: int(lib.names_find(table, data, starts, n)),
                     lambda: sum([ids[text] for text in asked]), "Python's dict", at_most=1.0), n, "a text")
    numbers = [ids[text] for text in asked]
    flat = ffi.new("uint64_t[]", numbers)
    yield each(raced(GROUP, f"{n:,} ids to texts", lambda: int(lib.names_find_id(table, flat, n)),
                     lambda: sum([sizes[number] for number in numbers]), "Python's dict", at_most=1.0), n, "an id")


def ascending(rng: random.Random, n: int, most: int) -> list[int]:
    return sorted(rng.sample(range(most), n))


def intersecting(ffi: Any, lib: Any, setting: Setting) -> Iterator[Row]:
    rng = setting.random("intersecting")
    large = 100_000
    ids = ascending(rng, large, 10 * large)
    long = ffi.new("int64_t[]", ids)
    out = ffi.new("int64_t[]", large)
    for small in (100, 1_000, 10_000, 100_000):
        # Half of the short list is in the long one.
        chosen = sorted({*rng.sample(ids, small // 2), *rng.sample(range(10 * large), small - small // 2)})
        short, n = ffi.new("int64_t[]", chosen), len(chosen)

        def gallop(short: Any = short, n: int = n) -> int:
            return int(lib.ids_gallop(short, n, long, large, out))

        def merge(short: Any = short, n: int = n) -> int:
            return int(lib.ids_merge(short, n, long, large, out))

        name = f"intersect {small:,} with {large:,} ids"
        yield each(raced(GROUP, name, gallop, merge, "merging", at_most=0.5 if small <= 1_000 else None), n, "an id")
        if small == 1_000:
            scanned = raced(GROUP, name, lambda s=short, n=n: int(lib.ids_scan(s, n, out)) == n,
                            lambda g=gallop, n=n: 0 < g() <= n, "")
            yield each(Row(GROUP, name, scanned.other, scanned.ours, "s", "copying the shorter list"), n, "an id")


def uniting(ffi: Any, lib: Any, setting: Setting) -> Iterator[Row]:
    rng = setting.random("uniting")
    for k, n in ((2, 50_000), (16, 6_000)):
        lists = [ascending(rng, n, 400_000) for _ in range(k)]
        flat = ffi.new("int64_t[]", [number for one in lists for number in one])
        starts = ffi.new("size_t[]", [n * i for i in range(k + 1)])
        out = ffi.new("int64_t[]", n * k)

        def unite(flat: Any = flat, starts: Any = starts, k: int = k, out: Any = out) -> int:
            return int(lib.ids_union(flat, starts, k, out))

        def sort(flat: Any = flat, total: int = n * k, out: Any = out) -> int:
            return int(lib.ids_sort(flat, total, out))

        yield each(raced(GROUP, f"union of {k} lists of {n:,} ids", unite, sort, "qsort of all", at_most=1.0), n * k,
                   "an id")
