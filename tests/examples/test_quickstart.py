"""The quickstart does what the README says it does."""

from __future__ import annotations

import re

import pytest

from .conftest import EXAMPLES, Run

OUTPUT = """\
now:    Ursula K. Le Guin [('Exile', 12), ('The Dispossessed', 15)]
before: U. K. Le Guin [('Exile', 8), ('Malafrena', 7)]
before: [('Malafrena', 7), ('Exile', 8)]
"""


@pytest.mark.slow
def test_quickstart_reads_what_was(run: Run) -> None:
    result = run("quickstart.py")
    assert (result.returncode, result.stdout.decode()) == (0, OUTPUT), result.stderr.decode()


@pytest.mark.slow
def test_quickstart_runs_again_on_its_file(run: Run) -> None:
    assert run("quickstart.py").returncode == 0
    again = run("quickstart.py")
    assert (again.returncode, again.stdout.decode()) == (0, OUTPUT), again.stderr.decode()


def test_readme_shows_the_quickstart_and_its_output() -> None:
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    program = (EXAMPLES / "quickstart.py").read_text(encoding="utf-8")
    # The program's docstring may be left out there.
    without_docstring = program.split('"""\n', 1)[1].strip()
    assert any(without_docstring in block for block in blocks)
    assert any(OUTPUT in block for block in blocks)
