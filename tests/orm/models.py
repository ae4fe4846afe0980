"""The models the ORM tests share: a company. Every relationship kind is in it."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, deferred, mapped_column, relationship


class Base(DeclarativeBase):
    pass


employee_skill = Table(
    "employee_skill",
    Base.metadata,
    Column("employee_id", ForeignKey("employee.id"), primary_key=True),
    Column("skill_id", ForeignKey("skill.id"), primary_key=True),
)


class Department(Base):
    __tablename__ = "department"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    employees: Mapped[list[Employee]] = relationship(
        back_populates="department", cascade="all, delete-orphan", order_by="Employee.id"
    )


class Employee(Base):
    __tablename__ = "employee"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(50), index=True)
    pay: Mapped[int] = mapped_column(default=0)
    notes: Mapped[str | None] = deferred(mapped_column(String(200)))
    department_id: Mapped[int | None] = mapped_column(ForeignKey("department.id"), index=True)
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("employee.id"))
    department: Mapped[Department | None] = relationship(back_populates="employees")
    boss: Mapped[Employee | None] = relationship(remote_side=[id], back_populates="team")
    team: Mapped[list[Employee]] = relationship(back_populates="boss", order_by="Employee.id")
    skills: Mapped[list[Skill]] = relationship(secondary=employee_skill, back_populates="people", order_by="Skill.id")
    shifts: Mapped[list[Shift]] = relationship(
        back_populates="employee", cascade="all, delete-orphan", order_by="Shift.room_id"
    )
    badge: Mapped[Badge | None] = relationship(back_populates="employee", uselist=False, cascade="all, delete-orphan")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "employee"}  # noqa: RUF012


class Engineer(Employee):
    __tablename__ = "engineer"
    id: Mapped[int] = mapped_column(ForeignKey("employee.id"), primary_key=True)
    language: Mapped[str] = mapped_column(String(20))
    __mapper_args__ = {"polymorphic_identity": "engineer"}  # noqa: RUF012


class Manager(Employee):
    # Single-table inheritance below a joined hierarchy's base.
    budget: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "manager"}  # noqa: RUF012


class Skill(Base):
    __tablename__ = "skill"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    people: Mapped[list[Employee]] = relationship(
        secondary=employee_skill, back_populates="skills", order_by="Employee.id"
    )


class Room(Base):
    __tablename__ = "room"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))


class Shift(Base):
    """An association object with a key of two columns."""

    __tablename__ = "shift"
    employee_id: Mapped[int] = mapped_column(ForeignKey("employee.id"), primary_key=True)
    room_id: Mapped[int] = mapped_column(ForeignKey("room.id"), primary_key=True)
    hours: Mapped[int]
    employee: Mapped[Employee] = relationship(back_populates="shifts")
    room: Mapped[Room] = relationship()


class Badge(Base):
    """One to one, with a key that is not an integer."""

    __tablename__ = "badge"
    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    employee_id: Mapped[int] = mapped_column(ForeignKey("employee.id"), unique=True)
    employee: Mapped[Employee] = relationship(back_populates="badge")
