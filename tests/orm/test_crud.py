"""Ordinary ORM use: create, read, update, delete, relationships, inheritance."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine, ForeignKey, String, delete, event, exc, func, insert, select, update
from sqlalchemy.ext.associationproxy import association_proxy
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    mapped_column,
    relationship,
    selectin_polymorphic,
    selectinload,
    with_polymorphic,
)
from sqlalchemy.orm.exc import StaleDataError

import entitydb_dialect

from .models import Badge, Base, Department, Employee, Engineer, Manager, Room, Shift, Skill


@pytest.fixture
def session(engine: Engine):
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session


def fill(session: Session) -> None:
    # Ids are given: the unit of work orders inserts by its own lights.
    lab = Department(id=1, name="lab")
    shop = Department(id=2, name="shop")
    boss = Manager(id=1, name="Ada", pay=100, budget=7, department=lab)
    eng = Engineer(id=2, name="Bob", pay=50, language="C", department=lab, boss=boss, notes="deferred")
    sales = Employee(id=3, name="Cy", pay=40, department=shop, boss=boss)
    sql, c = Skill(id=1, name="SQL"), Skill(id=2, name="C")
    eng.skills = [sql, c]
    boss.skills = [sql]
    eng.shifts = [Shift(room=Room(id=1, name="r1"), hours=3), Shift(room=Room(id=2, name="r2"), hours=4)]
    eng.badge = Badge(code="B-1")
    session.add_all([lab, shop, sales])
    session.commit()


def test_graph_is_stored_and_read_back(session: Session) -> None:
    fill(session)
    session.expunge_all()
    lab = session.scalars(select(Department).where(Department.name == "lab")).one()
    assert [(type(e).__name__, e.name) for e in lab.employees] == [("Manager", "Ada"), ("Engineer", "Bob")]
    boss, eng = lab.employees
    assert [e.name for e in boss.team] == ["Bob", "Cy"]
    assert eng.boss is boss
    assert isinstance(eng, Engineer)
    assert eng.language == "C"
    assert eng.notes == "deferred"
    assert [s.name for s in eng.skills] == ["SQL", "C"]
    assert [p.name for p in eng.skills[0].people] == ["Ada", "Bob"]
    assert [(s.room.name, s.hours) for s in eng.shifts] == [("r1", 3), ("r2", 4)]
    assert eng.badge is not None
    assert eng.badge.code == "B-1"
    assert eng.badge.employee is eng
    assert isinstance(boss, Manager)
    assert boss.budget == 7


def test_update_and_delete(session: Session) -> None:
    fill(session)
    eng = session.scalars(select(Engineer)).one()
    eng.pay += 1
    eng.language = "Rust"
    eng.skills.pop()
    eng.shifts.pop(0)
    eng.badge = None
    session.commit()
    session.expunge_all()
    eng = session.scalars(select(Engineer)).one()
    assert (eng.pay, eng.language, [s.name for s in eng.skills], len(eng.shifts), eng.badge) == (
        51,
        "Rust",
        ["SQL"],
        1,
        None,
    )
    session.delete(eng)
    session.commit()
    assert session.scalar(select(func.count()).select_from(Engineer)) == 0
    assert session.scalar(select(func.count()).select_from(Shift)) == 0
    session.delete(session.scalars(select(Department).where(Department.name == "shop")).one())
    session.commit()
    assert session.scalars(select(Employee.name)).all() == ["Ada"]


def test_moving_between_collections(session: Session) -> None:
    fill(session)
    lab, shop = session.scalars(select(Department).order_by(Department.id)).all()
    shop.employees.append(lab.employees[1])
    session.commit()
    assert sorted(e.name for e in shop.employees) == ["Bob", "Cy"]
    lab.employees.clear()
    session.commit()
    assert sorted(session.scalars(select(Employee.name))) == ["Bob", "Cy"]


def test_joins_subqueries_and_aggregates(session: Session) -> None:
    fill(session)
    boss = aliased(Employee)
    found = session.execute(
        select(Employee.name, boss.name, Department.name)
        .join(boss, Employee.boss)
        .join(Employee.department)
        .order_by(Employee.id)
    ).all()
    assert found == [("Bob", "Ada", "lab"), ("Cy", "Ada", "shop")]
    total = (
        select(Employee.department_id, func.sum(Employee.pay).label("pay")).group_by(Employee.department_id).subquery()
    )
    assert session.execute(
        select(Department.name, total.c.pay)
        .join(total, total.c.department_id == Department.id)
        .order_by(Department.name)
    ).all() == [("lab", 150), ("shop", 40)]
    assert session.scalars(select(Employee.name).where(Employee.skills.any(Skill.name == "C"))).all() == ["Bob"]
    assert session.scalars(select(Department.name).where(~Department.employees.any(Employee.pay > 45))).all() == [
        "shop"
    ]
    assert session.scalars(select(Employee.name).order_by(Employee.name.desc()).limit(2).offset(1)).all() == [
        "Bob",
        "Ada",
    ]
    found = session.execute(select(Employee.name, func.rank().over(order_by=Employee.pay)).order_by(Employee.pay)).all()
    assert found == [("Cy", 1), ("Bob", 2), ("Ada", 3)]


def test_polymorphic_loading(session: Session) -> None:
    fill(session)
    session.expunge_all()
    statements: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda c, cu, sql, *rest: statements.append(sql))
    every = with_polymorphic(Employee, [Engineer, Manager])
    found = session.scalars(select(every).order_by(every.id)).all()
    assert [getattr(e, "language", None) for e in found] == [None, "C", None]
    assert len(statements) == 1
    session.expunge_all()
    found = session.scalars(
        select(Employee).options(selectin_polymorphic(Employee, [Engineer])).order_by(Employee.id)
    ).all()
    assert [type(e) for e in found] == [Manager, Engineer, Employee]
    assert found[1].__dict__["language"] == "C"


def test_bulk_statements(session: Session) -> None:
    session.execute(insert(Room), [{"name": f"room {i}"} for i in range(500)])
    session.commit()
    assert session.execute(update(Room).where(Room.id > 100).values(name=func.upper(Room.name))).rowcount == 400
    assert session.execute(delete(Room).where(Room.id <= 50)).rowcount == 50
    session.commit()
    assert session.scalar(select(func.count()).select_from(Room)) == 450
    assert session.get(Room, 200).name == "ROOM 199"  # type: ignore[union-attr]
    assert session.get(Room, 1) is None
    room = session.get_one(Room, 60) if hasattr(session, "get_one") else session.get(Room, 60)
    session.execute(
        update(Room).where(Room.name == "room 59").values(name="x"), execution_options={"synchronize_session": "fetch"}
    )
    assert room is not None
    assert room.name == "x"
    session.rollback()


def test_many_objects_get_their_ids(session: Session) -> None:
    rooms = [Room(name=str(i)) for i in range(300)]
    session.add_all(rooms)
    session.flush()
    assert [room.id for room in rooms] == list(range(1, 301))
    session.commit()
    assert session.scalars(select(Room.name).order_by(Room.id)).all() == [str(i) for i in range(300)]


def test_rollback_and_savepoints(session: Session) -> None:
    fill(session)
    session.add(Skill(name="gone"))
    session.flush()
    session.rollback()
    with session.begin_nested():
        session.add(Skill(name="kept"))
    with pytest.raises(exc.IntegrityError), session.begin_nested():  # noqa: PT012
        session.add(Department(name="lab"))
        session.flush()
    session.commit()
    assert session.scalars(select(Skill.name).order_by(Skill.id)).all() == ["SQL", "C", "kept"]


def test_unique_violation_names_the_column(session: Session) -> None:
    fill(session)
    session.add(Department(name="lab"))
    with pytest.raises(exc.IntegrityError, match=r"UNIQUE constraint failed: department\.name"):
        session.commit()
    session.rollback()
    with pytest.raises(exc.IntegrityError, match=r"NOT NULL constraint failed: skill\.name"):
        session.execute(insert(Skill).values(id=77))


def test_two_sessions_of_one_row(engine: Engine, session: Session) -> None:
    fill(session)
    with Session(engine) as one, Session(engine) as two:
        a, b = one.get(Employee, 1), two.get(Employee, 1)
        assert a is not None
        assert b is not None
        a.pay, b.pay = 1, 2
        one.commit()
        with pytest.raises(exc.OperationalError) as caught:
            two.commit()
        assert isinstance(caught.value.orig, entitydb_dialect.SerializationFailure)
        two.rollback()
        assert b.pay == 1
        b.pay = 3
        two.commit()
    session.rollback()
    assert session.scalar(select(Employee.pay).where(Employee.id == 1)) == 3


@pytest.mark.slow
def test_streaming_while_writing(session: Session) -> None:
    session.execute(insert(Room), [{"name": f"{i}"} for i in range(300)])
    session.commit()
    seen = 0
    for room in session.scalars(select(Room).order_by(Room.id).execution_options(yield_per=50)):
        room.name += "!"
        seen += 1
        session.flush()
    session.commit()
    assert seen == 300
    assert session.scalar(select(func.count()).where(Room.name.like("%!"))) == 300


def test_threads_share_an_engine(engine: Engine, session: Session) -> None:
    failures: list[BaseException] = []

    def work(n: int) -> None:
        try:
            for i in range(10):
                with Session(engine) as own:
                    own.add(Skill(name=f"{n}-{i}"))
                    own.commit()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert session.scalar(select(func.count()).select_from(Skill)) == 40


def test_version_counter_and_stale_rows(engine: Engine) -> None:
    class Own(DeclarativeBase):
        pass

    class Doc(Own):
        __tablename__ = "doc"
        id: Mapped[int] = mapped_column(primary_key=True)
        text: Mapped[str]
        version: Mapped[int] = mapped_column()
        __mapper_args__ = {"version_id_col": version}  # noqa: RUF012

    Own.metadata.create_all(engine)
    with Session(engine) as session:
        doc = Doc(text="a")
        session.add(doc)
        session.commit()
        doc.text = "b"
        session.commit()
        assert doc.version == 2
        session.execute(update(Doc.__table__).values(version=9))
        doc.text = "c"
        with pytest.raises(StaleDataError):
            session.commit()


def test_concrete_inheritance_and_association_proxy(engine: Engine) -> None:
    class Own(DeclarativeBase):
        pass

    class Shape(ConcreteBase, Own):
        __tablename__ = "shape"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        __mapper_args__ = {"polymorphic_identity": "shape", "concrete": True}  # noqa: RUF012

    class Circle(Shape):
        __tablename__ = "circle"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        radius: Mapped[float]
        __mapper_args__ = {"polymorphic_identity": "circle", "concrete": True}  # noqa: RUF012

    class Node(Own):
        __tablename__ = "node"
        name: Mapped[str] = mapped_column(String(10), primary_key=True)
        parent_name: Mapped[str | None] = mapped_column(ForeignKey("node.name"))
        children: Mapped[list[Node]] = relationship(cascade="all, delete-orphan", order_by="Node.name")
        child_names = association_proxy("children", "name", creator=lambda name: Node(name=name))

    Own.registry.configure()
    Own.metadata.create_all(engine)
    with Session(engine) as session:
        root = Node(name="root")
        root.child_names.extend(["a", "b"])
        session.add_all([Shape(name="s"), Circle(name="c", radius=1.5), root])
        session.commit()
        session.expunge_all()
        assert sorted((type(s).__name__, s.name) for s in session.scalars(select(Shape))) == [
            ("Circle", "c"),
            ("Shape", "s"),
        ]
        root = session.scalars(select(Node).where(Node.name == "root").options(selectinload(Node.children))).one()
        assert list(root.child_names) == ["a", "b"]
        session.delete(root)
        session.commit()
        assert session.scalars(select(Node)).all() == []


def test_composite_and_natural_keys(engine: Engine) -> None:
    class Own(DeclarativeBase):
        pass

    class Order(Own):
        __tablename__ = "order"
        country: Mapped[str] = mapped_column(String(2), primary_key=True)
        number: Mapped[int] = mapped_column(primary_key=True)
        total: Mapped[float] = mapped_column(default=0.0)

    Own.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Order(country=c, number=n) for c in ("de", "fr") for n in range(20)])
        session.commit()
        found = session.get(Order, ("fr", 7))
        assert found is not None
        found.total = 2.5
        found.number = 70
        session.commit()
        assert session.get(Order, ("fr", 7)) is None
        assert session.scalars(
            select(Order.number).where(Order.country == "fr", Order.number > 18).order_by(Order.number)
        ).all() == [19, 70]
        session.add(Order(country="de", number=1))
        with pytest.raises(exc.IntegrityError, match=r"order\.country, order\.number"):
            session.commit()
