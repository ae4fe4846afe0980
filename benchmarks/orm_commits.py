"""What a web application does: get an object by its key, set three indexed columns, commit; beside pysqlite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

from sqlalchemy import Engine, create_engine, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from .measure import Row, Setting, raced, remove, show
from .through_orm import pysqlite

GROUP = "writers"


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    a: Mapped[int] = mapped_column(index=True)
    b: Mapped[int] = mapped_column(index=True)
    c: Mapped[int] = mapped_column(index=True)
    title: Mapped[str]


def filled(engine: Engine, rows: int) -> Engine:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.execute(insert(Item), [{"id": i, "a": i, "b": -i, "c": i * 7919 % rows, "title": f"title {i}"}
                                       for i in range(1, rows + 1)])
        session.commit()
    return engine


def orm_commits(setting: Setting) -> Iterator[Row]:
    rows, commits = setting.size(8_000, 1_000), setting.size(200, 20)
    show(f"writers: {commits} times get, set, commit through the ORM")
    paths = setting.folder / "orm.edb", setting.folder / "orm.sqlite"
    ours = filled(create_engine(f"entitydb:///{paths[0]}"), rows)
    theirs = filled(pysqlite(paths[1]), rows)

    def committing(engine: Engine) -> Callable[[], None]:
        numbers = count(1)

        def work() -> None:
            for _ in range(commits):
                number = next(numbers)
                with Session(engine) as session:
                    item = session.get_one(Item, 1 + number * 37 % rows)
                    item.a, item.b, item.c = number + rows, -number - rows, number * 7919
                    session.commit()
        return work

    try:
        row = raced(GROUP, "get, set, commit through the ORM at full, three indexes", committing(ours),
                    committing(theirs), "pysqlite", again=False, rounds=setting.size(9, 1), at_most=1.0)
        row.note = f"{row.ours / commits * 1e3:.2f} ms each, the other {row.other / commits * 1e3:.2f} ms"
        yield row
    finally:
        for engine, path in zip((ours, theirs), paths, strict=True):
            engine.dispose()
            remove(path)
