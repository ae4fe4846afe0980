"""An installation of Alembic that finds the plug-in as an installed one is found, and environments made with it.

Everything runs in processes of its own: what is imported first is part of what is tested. Where the distribution is not
installed, its entry points are written beside a link to the checkout.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import installation

from . import forked

pytest.importorskip("alembic")

# Alembic's suite for dialects: run by `python tests/migrations/suite`.
collect_ignore = ["suite"]

ENV = """\
import importlib.util, os, sys
from alembic import context
from sqlalchemy import create_engine
import models

url = context.config.get_main_option("sqlalchemy.url")
options = dict(target_metadata=models.metadata, compare_server_default=True, **getattr(models, "options", {}),
               transaction_per_migration=os.environ.get("PER_MIGRATION") == "1")
if context.is_offline_mode():
    context.configure(url=url, literal_binds=True, **options)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = create_engine(url)
    with engine.connect() as connection:
        context.configure(connection=connection, **options)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()
"""

SCRIPT = '''\
"""${message}"""
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None
from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
'''


@pytest.fixture
def site(tmp_path: Path) -> str | None:
    """A folder to put on PYTHONPATH; None: the distribution is installed."""
    return installation.site(tmp_path)


def runner(site: str | None, folder: Path) -> Callable[..., str]:
    """run(code) -> what it printed; log=True: what it logged too. It runs in the folder."""

    def run(code: str, *, log: bool = False, **variables: str) -> str:
        path = [p for p in (site, str(folder), os.environ.get("PYTHONPATH")) if p]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), **variables}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr if log else done.stdout

    return run


@pytest.fixture
def python(site: str | None, tmp_path: Path) -> Callable[..., str]:
    return runner(site, tmp_path)


class Project:
    """A migration environment over one database file."""

    def __init__(self, folder: Path, python: Callable[..., str], site: str | None) -> None:
        self.folder, self._python, self._site = folder, python, site
        self.scripts = folder / "scripts"
        (self.scripts / "versions").mkdir(parents=True)
        (self.scripts / "env.py").write_text(ENV)
        (self.scripts / "script.py.mako").write_text(SCRIPT)
        self.url = f"entitydb:///{folder}/app.edb"
        self.use(self.url)

    def use(self, url: str) -> None:
        (self.folder / "alembic.ini").write_text(
            f"[alembic]\nscript_location = {self.scripts}\nsqlalchemy.url = {url}\npath_separator = os\n"
        )

    def models(self, body: str) -> None:
        head = "import sqlalchemy as sa\nfrom sqlalchemy import *\nmetadata = MetaData()\n"
        (self.folder / "models.py").write_text(head + textwrap.dedent(body))

    def alembic(
        self, command: str, *arguments: str, per_migration: bool = False, log: bool = False, **keywords: object
    ) -> str:
        code = textwrap.dedent(f"""
            from alembic import command
            from alembic.config import Config
            command.{command}(Config({str(self.folder / "alembic.ini")!r}), *{arguments!r}, **{keywords!r})
        """)
        if self._site is not None:  # where the plug-in is, which Alembic finds when it is imported
            return self._python(code, log=log, PYTHONDONTWRITEBYTECODE="1", PER_MIGRATION=str(int(per_migration)))
        code = f"import sys\nsys.dont_write_bytecode = True\n{code}"
        status, out, err = forked.run(code, self.folder, {"PER_MIGRATION": str(int(per_migration))})
        assert status == 0, out + err
        return out + err if log else out

    def revision(self, number: str, upgrade: str, downgrade: str = "pass", before: str | None = None) -> None:
        lines = [f"revision = {number!r}", f"down_revision = {before!r}", "branch_labels = depends_on = None"]
        lines += ["from alembic import op", "import sqlalchemy as sa", "", "def upgrade():"]
        lines += ["    " + line for line in textwrap.dedent(upgrade).strip().splitlines()]
        lines += ["", "def downgrade():"]
        lines += ["    " + line for line in textwrap.dedent(downgrade).strip().splitlines()]
        (self.scripts / "versions" / f"{number}_.py").write_text("\n".join(lines) + "\n")

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        from entitydb_dialect import driver

        with driver.connect(self.folder / "app.edb") as db:
            rows = [tuple(row) for row in db.execute(statement).fetchall()]
        db.close()
        return rows


@pytest.fixture
def project(tmp_path: Path, python: Callable[..., str], site: str | None) -> Project:
    made = Project(tmp_path, python, site)
    made.models("")
    return made
