"""What C files use of each other: by their includes, and by the symbols of their objects.

`root` is a checkout, or a folder that a test made to look like one.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sysconfig
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .graphs import circles
from .layers import C_CIRCLES, C_LAYERS

# Symbols, not code, are what is looked at: no optimization. EDB_TEST adds what only tests call.
FLAGS = ("-c", "-O0", "-w", "-std=gnu11", "-D_GNU_SOURCE=", "-DEDB_TEST", "-UNDEBUG", "-fvisibility=hidden")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


def c_files(root: Path, pattern: str) -> list[str]:
    """The files below native/ and engine/, relative to `root`."""
    found = [path for folder in ("native", "engine") for path in (root / folder).rglob(pattern)]
    return sorted(str(path.relative_to(root)) for path in found)


def layer(file: str, layers: Sequence[str] = C_LAYERS) -> int | None:
    folder = str(Path(file).parent)
    return layers.index(folder) if folder in layers else None


def climbs(user: str, used: str) -> bool:
    """Whether `used` is in a layer above the one of `user`. A folder without a layer is a complaint of its own."""
    below, above = layer(user), layer(used)
    return below is not None and above is not None and below < above


def without_layer(root: Path) -> list[str]:
    files = c_files(root, "*.[ch]")
    return [f"{file}: its folder is not in C_LAYERS" for file in files if layer(file) is None]


def climbing_includes(root: Path) -> list[str]:
    """Includes of a layer above, and includes that do not name the file by its path from the root."""
    found = []
    for file in c_files(root, "*.[ch]"):
        for included in INCLUDE.findall((root / file).read_text(encoding="utf-8")):
            if not (root / included).is_file():
                found.append(f"{file}: there is no {included}")
            elif climbs(file, included):
                found.append(f"{file} includes {included}")
    return found


def compile_all(root: Path, folder: Path) -> dict[str, str]:
    """The objects of all C files, made in `folder`: their paths, and the files they are made of."""
    command = [*shlex.split(os.environ.get("CC") or "cc"), *FLAGS, f"-I{root}", f"-I{sysconfig.get_path('include')}"]
    sources = c_files(root, "*.c")
    objects = {str(folder / source.replace("/", "-")) + ".o": source for source in sources}

    def compile_one(target: str) -> None:
        # From the root: what the compiler says names the file by its path in the checkout.
        result = subprocess.run(
            [*command, objects[target], "-o", target], cwd=root, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, objects))
    return objects


def symbol_uses(objects: dict[str, str]) -> dict[tuple[str, str], list[str]]:
    """Which file uses which symbols of which other file: {(user, used): symbols}."""
    lines = subprocess.run(
        ["nm", "-P", "-A", "-g", *objects], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    defined: dict[str, str] = {}
    wanted: list[tuple[str, str]] = []
    for line in lines:
        where, symbol, kind = line.split()[:3]
        file = objects[where.rstrip(":")]
        if kind in "Uvw":
            wanted.append((file, symbol))
        else:
            defined[symbol] = file
    uses: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file, symbol in wanted:
        if symbol in defined:
            uses[file, defined[symbol]].append(symbol)
    return dict(uses)


def climbing_symbols(uses: dict[tuple[str, str], list[str]]) -> list[str]:
    return sorted(
        f"{user} uses {', '.join(sorted(symbols))} of {used}"
        for (user, used), symbols in uses.items()
        if climbs(user, used)
    )


def object_circles(uses: dict[tuple[str, str], list[str]]) -> list[str]:
    """The circles of files that are not in C_CIRCLES."""
    graph: dict[str, set[str]] = defaultdict(set)
    for user, used in uses:
        graph[user].add(used)
    return [" <-> ".join(circle) for circle in circles(graph) if circle not in C_CIRCLES]
