"""Runs SQLAlchemy's compliance suite on databases of each kind: `python tests/dialect/suite [pytest's arguments]`.

Each kind is a pytest of its own in an empty folder. Arguments that name other tests mean that this is not wanted.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
URLS = {
    "file": "entitydb:///suite.edb",
    "memory": "entitydb:///file:suite?mode=memory",
    "asyncio": "entitydb+aio:///suite.edb",
}


def main(arguments: list[str]) -> int:
    if any("tests" in argument for argument in arguments):
        return 0
    failed = 0
    environment = dict(os.environ)
    if importlib.util.find_spec("entitydb_dialect") is None:  # a checkout that is not installed
        environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[2]), environment.get("PYTHONPATH", "")])
    for kind, url in URLS.items():
        print(f"SQLAlchemy's suite, {kind}: {url}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pytest", "-q", "-c", HERE / "setup.cfg", "--rootdir", HERE]
            command += ["--dburi", url, HERE / "test_suite.py", *arguments]
            code = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
            failed |= code if code != 5 else 0  # 5: a pattern that fits nothing here
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
