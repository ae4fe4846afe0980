"""What Alembic's suite may ask of EntityDB: what it closes by default and we have, and what we have not."""

from alembic.testing.requirements import SuiteRequirements
from sqlalchemy.testing import exclusions

_OPEN = """
    autocommit_isolation computed_columns fk_deferrable fk_deferrable_is_reflected fk_initially
    fk_ondelete_is_reflected fk_onupdate_is_reflected reflects_fk_options reflects_pk_names
""".split()  # noqa: SIM905 - as in entitydb_dialect/requirements.py

_CLOSED = {
    "autoincrement_on_composite_pk": "only a key of one column numbers itself, as in SQLite",
    "identity_columns": "there is no IDENTITY; an integer primary key numbers itself",
    "identity_columns_alter": "there is no IDENTITY; an integer primary key numbers itself",
}


class Requirements(SuiteRequirements):
    """The suite's questions answered for EntityDB."""


def _closed(reason):
    def rule(self):
        return exclusions.skip_if(lambda config: True, reason)

    return property(rule, doc=reason)


for _name in _OPEN:
    setattr(Requirements, _name, property(lambda self: exclusions.open()))
for _name, _reason in _CLOSED.items():
    setattr(Requirements, _name, _closed(_reason))
