"""What the rewrites need to know of a connection's databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from .._catalog import Table, View

if TYPE_CHECKING:
    from .indexes import Indexes


class Located(NamedTuple):
    """A table of ours that a name in a statement means."""

    table: Table
    schema: str  # the database's name, quoted
    counted: str  # what follows the arguments of entitydb_count(), so that it counts in this database


class HistoryName(Protocol):
    """A history table, as a statement names it."""

    @property
    def name(self) -> str:
        """With its schema, as it is written."""

    @property
    def arguments(self) -> int:
        """How many zeros stand before its arguments."""


class Schemas(Protocol):
    """The databases of a connection as they are declared now."""

    @property
    def generates(self) -> bool:
        """Has any table generated columns?"""

    @property
    def temporary(self) -> frozenset[str]:
        """Lower-case names of TEMP tables and views, which stand before all others."""

    @property
    def indexes(self) -> Sequence[Indexes]:
        """The partial indexes and the indexes on expressions, one entry for each database that has any."""

    def locate(self, schema: str | None, name: str) -> Located | None:
        """The table that a name means, `schema` being what is written before the dot; None: none of ours."""

    def means(self, schema: str | None, name: str) -> bool:
        """Is there a table or view that a name means, of ours or of SQLite's?"""

    def view(self, schema: str | None, name: str) -> tuple[View, str] | None:
        """The view of ours that a name means, and the name of its database; None: it means none."""

    def own(self, schema: str | None, name: str) -> str:
        """A table of the engine's own with the schema whose it is, as it is written. Raises OperationalError."""

    def history(self, schema: str | None, name: str, starless: bool) -> HistoryName | None:
        """The history table of a table of ours, or of one that was: see past_names.py; None: the name means none.

        Args:
            starless: its version columns are hidden.
        """


__all__ = ["HistoryName", "Located", "Schemas"]
