"""What is stored does not depend on the decimal sign of the process's locale."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import locale, sys
from entitydb_dialect import driver

if sys.argv[2]:
    locale.setlocale(locale.LC_ALL, sys.argv[2])
    assert f"{2.5:n}" == "2,5", "the locale has no comma"
db = driver.connect(sys.argv[1])
db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, r REAL DEFAULT '0.25' TAG 'r', x TAG 'x')")
db.execute("INSERT INTO t VALUES (1, 1.5, 2.0), (2, '2.5', 1e-7), (3, -0.5, 1e300)")
db.execute("INSERT INTO t(id) VALUES (4)")
db.execute("CREATE TABLE p(k REAL PRIMARY KEY)")
db.execute("CREATE TABLE c(k TEXT REFERENCES p(k))")
db.execute("INSERT INTO p VALUES (1.5)")
db.execute("INSERT INTO c VALUES ('1.5')")
db.commit()
print(db.execute("SELECT entity, tag FROM entitydb_tags ORDER BY 1, 2").fetchall())
print(db.execute("SELECT content FROM entitydb_entities ORDER BY type, id").fetchall())
db.close()
"""


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a locale that has a comma where others have a point."""
    tool = shutil.which("localedef")
    if tool is None:
        pytest.skip("there is no localedef to make a locale with")
    folder = tmp_path_factory.mktemp("locales")
    made = subprocess.run([tool, "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")], capture_output=True)
    if made.returncode:
        pytest.skip(f"localedef makes no locale here: {made.stderr.decode()[:200]}")
    return folder


@pytest.mark.slow
def test_reals_have_a_point_in_tags_and_contents(tmp_path: Path, german: Path) -> None:
    told = []
    for name in ("", "de_DE.UTF-8"):
        asked = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path / f"{name}.edb"), name], cwd=tmp_path, capture_output=True,
            text=True, env={**os.environ, "LOCPATH": str(german)},
        )  # fmt: skip
        assert asked.returncode == 0, asked.stderr
        told.append(asked.stdout)
    assert told[0] == told[1]
    assert "(1, 'r:1.5')" in told[0]
