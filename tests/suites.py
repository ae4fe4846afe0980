"""Runs a suite of somebody else's, of which we keep a test_suite.py and a setup.cfg, on databases of each kind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from installation import site


def run(folder: Path, title: str, urls: dict[str, str], arguments: list[str]) -> int:
    """Each kind is a pytest of its own in an empty folder, as many at once as there are processors. -> the exit status.

    Args:
        folder: where test_suite.py and setup.cfg are.
        urls: the databases by what they are called.
        arguments: pytest's. Those that name other tests mean that this suite is not wanted.
    """
    if any("tests" in argument for argument in arguments):
        return 0
    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for kind, done in zip(urls, pool.map(lambda url: _run(folder, url, arguments), urls.values()), strict=True):
            print(f"{title}, {kind}: {urls[kind]}\n{done.stdout}", flush=True)
            failed |= done.returncode if done.returncode != 5 else 0  # 5: a pattern that fits nothing here
    return failed


def _run(folder: Path, url: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as empty:
        path = [str(folder), site(Path(empty)), os.environ.get("PYTHONPATH")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
        command = [sys.executable, "-m", "pytest", "-q", "-c", folder / "setup.cfg", "--rootdir", folder]
        command += ["--dburi", url, folder / "test_suite.py", *arguments]
        return subprocess.run(command, cwd=empty, env=environment, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
