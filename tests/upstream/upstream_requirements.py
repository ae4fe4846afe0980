"""Loaded by SQLAlchemy's plugin: what its tests may ask of EntityDB, in two ways.

`AsSQLite` is for comparing with pysqlite, test by test: SQLAlchemy's answers for SQLite, and foreign keys off, as
`sqlite+entitydb` and SQLite have them unless told otherwise. A dozen conditions name the driver ("only on
sqlite+pysqlite", "fails except on sqlite+pysqlite") where the driver of the day is meant; they hold for both, so that
all that pysqlite runs is run.

`AsIs` is EntityDB as users have it under its own name: foreign keys on, by the URL, and everything open that SQLAlchemy
closes for SQLite and that is there.
"""

from sqlalchemy.testing import exclusions
from test.requirements import DefaultRequirements  # of SQLAlchemy's source distribution

_by_name = exclusions.SpecPredicate.__call__


def _by_either_name(self, config):
    if _by_name(self, config):
        return True
    backend, _, name = self.db.partition("+")
    if name != "pysqlite" or config is None or config.db.driver != "entitydb":
        return False
    return self.op is None and backend in ("", config.db.name)


exclusions.SpecPredicate.__call__ = _by_either_name


class AsSQLite(DefaultRequirements):
    pass


class AsIs(DefaultRequirements):
    pass


_MORE = """
    foreign_keys on_update_cascade deferrable_fks foreign_key_cycles_w_cascade
    savepoints independent_connections
    temporary_tables temp_table_reflection temp_table_reflect_indexes temp_table_names has_temp_table temporary_views
""".split()  # noqa: SIM905 - fewer quotation marks

for _name in _MORE:
    setattr(AsIs, _name, property(lambda self: exclusions.open()))
AsIs.non_updating_cascade = property(lambda self: exclusions.skip_if(lambda config: True, "keys do cascade"))
# pysqlite leaves indexes on expressions out and warns; here they are told, in both ways of asking.
for _class in (AsSQLite, AsIs):
    _class.reflect_indexes_with_expressions = property(lambda self: exclusions.open())
