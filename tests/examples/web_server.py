"""A web application of examples/, served as the README says to start it, on a port that the system chooses."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from .conftest import EXAMPLES, environment

_RUNNING = re.compile(r"unning on (http://127\.0\.0\.1:\d+)")


def readme_command(tool: str) -> list[str]:
    """The words of the line of README.md that starts an application, with the examples where they are."""
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^(?:\.venv/bin/)?{tool} (.* ?examples/.*)$", readme, re.MULTILINE)
    return [word.replace("examples/", f"{EXAMPLES}/") for word in str(line).partition("#")[0].split()]


@contextmanager
def served(tool: str, folder: Path, **variables: str) -> Iterator[httpx.Client]:
    """A client of the application that the tool of this name starts in a folder."""
    command = [sys.executable, "-u", "-m", tool, *readme_command(tool), "--port", "0"]
    settings = {**environment(), **variables}
    process = subprocess.Popen(
        command, cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        address = None
        for line in process.stdout:
            said.append(line)
            if address := _RUNNING.search(line):
                break
        assert address is not None, "".join(said)
        drain = threading.Thread(target=lambda: said.extend(process.stdout or ()))
        drain.start()
        with httpx.Client(base_url=address[1], timeout=60, trust_env=False) as client:
            yield client
    finally:
        process.terminate()
        process.wait()
    drain.join()
    process.stdout.close()
    assert "Traceback" not in "".join(said), "".join(said)
