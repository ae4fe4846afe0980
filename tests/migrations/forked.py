"""Code that is run in processes of its own, which are forked from one that has imported Alembic.

Each would import it first anyway; importing takes longer than most of what is then done. Nothing of ours is imported
before the fork, unless Alembic does it, for an installed plug-in.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["alembic.command", "alembic.config"])


def _child(code: str, folder: str, environment: dict[str, str], out: str) -> None:
    for number in (1, 2):
        os.dup2(os.open(f"{out}.{number}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.update(environment)
    sys.path.insert(0, folder)
    os.chdir(folder)
    status = 0
    try:
        exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def run(code: str, folder: Path, environment: dict[str, str]) -> tuple[int | None, str, str]:
    """-> the exit status (None: it hung, and was killed), what it wrote to stdout and to stderr.

    Args:
        folder: where it runs, and from where it imports.
        environment: variables besides those of this process.
    """
    out = folder / "forked"
    child = _CONTEXT.Process(target=_child, args=(code, str(folder), environment, str(out)))
    child.start()
    child.join(120)
    if child.exitcode is None:
        child.kill()
        child.join()
        return None, *_written(out)
    return child.exitcode, *_written(out)


def _written(out: Path) -> tuple[str, str]:
    return Path(f"{out}.1").read_text(), Path(f"{out}.2").read_text()


__all__ = ["run"]
