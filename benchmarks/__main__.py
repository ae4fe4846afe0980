"""`python benchmarks` measures the installed package, `python -m benchmarks` the one of this checkout."""

import sys
from pathlib import Path

if not __package__:
    sys.path.append(str(Path(__file__).resolve().parent.parent))    # behind the installed packages

from benchmarks.cli import main

main()
