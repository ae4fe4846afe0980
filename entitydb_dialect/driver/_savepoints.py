"""Which RELEASE commits: that of the savepoint which began the transaction."""

from __future__ import annotations


class Savepoints:
    """Names of a transaction's savepoints, when SAVEPOINT began it, the outermost first; else none."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def commits(self, name: str) -> bool:
        """Does RELEASE of this name end the transaction?"""
        return bool(self._names) and self._place(name) == 0

    def follow(self, verb: str, name: str, was_open: bool) -> None:
        """After a statement that was carried out. was_open: in a transaction that was there before it."""
        if not was_open:
            self._names = []
        if verb == "SAVEPOINT" and (self._names or not was_open):
            self._names.append(name.lower())
        elif verb == "RELEASE":
            del self._names[self._place(name) :]
        elif verb in ("COMMIT", "ROLLBACK"):
            self._names = []
        elif verb == "ROLLBACK TO":
            del self._names[self._place(name) + 1 :]

    def _place(self, name: str) -> int:
        """Of the youngest of this name; the end when there is none."""
        for at in reversed(range(len(self._names))):
            if self._names[at] == name.lower():
                return at
        return len(self._names)
