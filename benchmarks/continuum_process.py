"""A process that makes an SQLite file with SQLAlchemy-Continuum from what it is told on its standard input.

Each line is a JSON list: the names of columns, and rows of their values with the id last; one line is one commit. Rows
with an id that is not there yet are added. Continuum changes the mappers of its whole process, so it has its own.
"""

from __future__ import annotations

import json
import sys
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy_continuum import make_versioned

make_versioned(user_cls=None)


class Base(orm.DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    __versioned__: ClassVar[dict[str, Any]] = {}
    id = sa.Column(sa.Integer, primary_key=True)
    account = sa.Column(sa.Integer, index=True)
    name = sa.Column(sa.String, index=True)
    status = sa.Column(sa.String)
    balance = sa.Column(sa.Float)
    note = sa.Column(sa.String)


def main(path: str) -> None:
    orm.configure_mappers()
    engine = sa.create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    for line in sys.stdin:
        columns, rows = json.loads(line)
        with orm.Session(engine) as session:
            found = {item.id: item for item in session.scalars(sa.select(Item))}
            for *values, key in rows:
                item = found.get(key)
                if item is None:
                    item = Item(id=key)
                    session.add(item)
                for column, value in zip(columns, values, strict=True):
                    setattr(item, column, value)
            session.commit()
    engine.dispose()


if __name__ == "__main__":
    main(sys.argv[1])
