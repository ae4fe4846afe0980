"""Runs Alembic's suite for dialects on databases of each kind: `python tests/migrations/suite [pytest's arguments]`.

Each kind is a pytest of its own in an empty folder. Arguments that name other tests mean that this is not wanted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from installation import site  # noqa: E402

URLS = {
    "file": "entitydb:///suite.edb",
    "memory": "entitydb:///file:suite?mode=memory",
    "file, as sqlite": "sqlite+entitydb:///suite.edb",
}


def main(arguments: list[str]) -> int:
    if any("tests" in argument for argument in arguments):
        return 0
    failed = 0
    for kind, url in URLS.items():
        print(f"Alembic's suite, {kind}: {url}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            path = [str(HERE), site(Path(folder)), os.environ.get("PYTHONPATH")]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
            command = [sys.executable, "-m", "pytest", "-q", "-c", HERE / "setup.cfg", "--rootdir", HERE]
            command += ["--dburi", url, HERE / "test_suite.py", *arguments]
            code = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
            failed |= code if code != 5 else 0  # 5: a pattern that fits nothing here
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
