"""The shape of a statement, found with the words themselves: what native/sqlstatement.c has to agree with.

It is given the tokens as columns: their kinds by name, their words in upper case, and the partners of parentheses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

NAMES = ("word", "quoted", "string")
VERBS = ("SELECT", "VALUES", "EXPLAIN", "INSERT", "REPLACE", "UPDATE", "DELETE")
# Words that an expression can follow; behind any other word or name a parenthesis holds a function's arguments.
BEFORE_EXPRESSION = (
    *("ALL", "AND", "BETWEEN", "BY", "CASE", "DISTINCT", "ELSE", "ESCAPE", "FROM", "GLOB", "HAVING", "IN", "IS"),
    *("LIKE", "LIMIT", "MATCH", "NOT", "OFFSET", "ON", "OR", "REGEXP", "RETURNING", "SELECT", "THEN", "WHEN", "WHERE"),
)
PARTS = ("conflict", "schema", "table", "alias", "columns", "columns_end", "list_behind", "set", "on_conflict")


class Shape:
    def __init__(self, texts: Sequence[str], kinds: Sequence[str], uppers: Sequence[str], partners: Sequence[int]):
        self.texts, self.kinds, self.uppers, self.partners, self.n = texts, kinds, uppers, partners, len(kinds)
        self.found: dict[str, Any] = dict.fromkeys((*PARTS, "returning"), -1)
        self.flags: set[str] = set()
        names = [text.lstrip("'\"`[").lower() for text, kind in zip(texts, kinds, strict=True) if kind in NAMES]
        if any(name.startswith(("sqlite_", "pragma_")) for name in names):
            self.flags.add("asks_schema")
        self._read()

    def upper(self, at: int) -> str:
        return self.uppers[at] if 0 <= at < self.n else ""

    def is_name(self, at: int) -> bool:
        return 0 <= at < self.n and self.kinds[at] in NAMES

    def closing(self, at: int) -> int:
        return self.n if self.partners[at] < 0 else self.partners[at]

    def find(self, word: str, start: int) -> int:
        level = 0
        for i in range(start, self.n):
            if self.uppers[i] == "(":
                level += 1
            elif self.uppers[i] == ")":
                level -= 1
            elif level == 0 and self.uppers[i] == word:
                return i
        return -1

    def _read(self) -> None:
        at = 0
        while self.upper(at) == ";":
            at += 1
        rest = list(self.uppers[at:])
        if ";" in rest and "TRIGGER" not in rest[:3] and any(word != ";" for word in rest[rest.index(";") :]):
            self.flags.add("several")
        if any(self._is_row_in(i) for i, word in enumerate(self.uppers) if word == "IN"):
            self.flags.add("row_in")
        if any(self._lists_query(i) for i in range(at, self.n)):
            self.flags.add("lists_query")
        if any(self._is_is_column(i) for i in range(at, self.n)):
            self.flags.add("is_column")
        if any(self._bounds_row(i) for i in range(at, self.n)):
            self.flags.add("bounds_row")
        if any(self._is_bound_by_column(i) for i in range(at, self.n)):
            self.flags.add("bound_by_column")
        if self.upper(at) == "WITH":
            at = self._behind_with(at + 1)
        self.found["verb"] = min(at, self.n)
        verb = self.upper(at)
        self.found["kind"] = "NOTHING" if not rest else verb if verb in VERBS else "OTHER"
        if verb == "SELECT" and self.upper(at + 1) in ("ENTITYDB_LABEL", "ENTITYDB_TRANSACTION_INFO"):
            self.flags.add("of_commit")
        shortened = {"SELECT": self.uppers[at + 1 : at + 2], "EXPLAIN": self.uppers[at + 1 :]}
        if {"COUNT", "MIN"} & set(shortened.get(verb, ())):
            self.flags.add("may_shorten")
        if "ORDER" in rest and {"NULLS", "COLLATE"} & set(rest):
            self.flags.add("orders_otherwise")
        if {"WHERE", "ON", "ORDER", "GROUP"} & set(rest):
            self.flags.add("has_terms")
        if self._may_chain():
            self.flags.add("may_chain")
        if "ORDER" in rest and self._may_find_one():
            self.flags.add("may_find_one")
        if verb in ("INSERT", "REPLACE"):
            self._insert(at + 1)
        elif verb == "UPDATE":
            behind = self._target(at + 1, None)
            self.found["set"] = self.find("SET", behind)
            if "FROM" in self.uppers[behind:]:
                self.flags.add("updates_from")
        elif verb == "DELETE":
            self._target(at + 1, "FROM")

    def _lists_query(self, at: int) -> bool:
        words = [self.upper(at + ahead) for ahead in (-1, 0, 1, 2)]
        return words[0] != "NOT" and words[1:] == ["IN", "(", "SELECT"]

    def _bounds_row(self, at: int) -> bool:
        first = at + 2 + (self.upper(at + 2) == "-")
        around = [self.upper(i) for i in (at - 1, at + 1, first + 1)] == [")", "(", ","]
        literal = self._is_constant(first) and self.kinds[first] != "variable"
        return self.upper(at) in ("<", "<=", ">", ">=") and around and literal

    def _is_is_column(self, at: int) -> bool:
        names = self._is_column(at - 1) and self._is_column(at + 1)
        return self.upper(at) == "IS" and names and self.upper(at + 1) not in ("NOT", "DISTINCT", "NULL")

    def _may_chain(self) -> bool:
        """Three tables in FROM, and a name in two equalities; a quoted one may be any."""
        names = [
            side for at, word in enumerate(self.uppers)
            if word == "=" and self._is_column(at - 1) and self._is_column(at + 1)
            for side in (self._name_up_to(at - 1), self._name_from(at + 1))
        ]  # fmt: skip
        alike = any(_alike(one, other) for i, one in enumerate(names) for other in names[:i])
        return len(names) >= 4 and alike and self._joined() >= 2

    def _may_find_one(self) -> bool:
        """As many equalities of names as tables in FROM, of which there are two, and one that is with a constant."""
        signs = [at for at, word in enumerate(self.uppers) if word == "="]
        names = [(self._is_column(at - 1), self._is_column(at + 1)) for at in signs]
        fixed = sum(
            (left and self._is_constant(at + 1 + (self.upper(at + 1) in ("+", "-"))))
            or (right and self._is_constant(at - 1))
            for at, (left, right) in zip(signs, names, strict=True)
        )
        return self._joined() > 0 and fixed > 0 and fixed + names.count((True, True)) > self._joined()

    def _is_column(self, at: int) -> bool:
        return self.is_name(at) and self.kinds[at] != "string"

    def _name_up_to(self, at: int) -> list[str]:
        if self.upper(at - 1) == "." and self._is_column(at - 2):
            return [self.upper(at - 2), self.upper(at)]
        return [self.upper(at)]

    def _name_from(self, at: int) -> list[str]:
        return [self.upper(at), self.upper(at + 2)] if self.upper(at + 1) == "." else [self.upper(at)]

    def _joined(self) -> int:
        """How many JOINs there are, and commas in FROM."""
        joined, in_from = 0, [False]
        for at, word in enumerate(self.uppers):
            if word == "(":
                in_from.append(in_from[-1] and self.upper(at - 1) in ("FROM", "JOIN", ",", "("))
            elif word == ")":
                in_from = in_from[:-1] or [False]
            elif word == "FROM" and self.upper(at - 1) != "DISTINCT":
                in_from[-1] = True
            elif word in ("SELECT", "WHERE", "BY", "HAVING", "LIMIT", "RETURNING", "SET", "VALUES"):
                in_from[-1] = False
            joined += word == "JOIN" or (word == "," and in_from[-1])
        return joined

    def _is_constant(self, at: int) -> bool:
        return 0 <= at < self.n and self.kinds[at] in ("string", "number", "blob", "variable")

    def _behind_plain(self, at: int) -> int | None:
        """Behind an expression that has no affinity; None: it may have one."""
        if self.upper(at) in ("+", "-"):
            return at + 2 if self._is_constant(at + 1) else None
        if self._is_constant(at):
            return at + 1
        word = self.upper(at)
        if not self.is_name(at) or word in BEFORE_EXPRESSION or word == "CAST" or self.upper(at + 1) != "(":
            return None
        return self.closing(at + 1) + 1

    def _is_bound_by_column(self, at: int) -> bool:
        word = self.uppers[at]
        if word not in ("<", "<=", ">", ">=", "BETWEEN") or self._is_constant(at - 1):
            return False
        behind = self._behind_plain(at + 1)
        if word != "BETWEEN" or behind is None:
            return behind is None
        return self.upper(behind) != "AND" or self._behind_plain(behind + 1) is None

    def _behind_with(self, at: int) -> int:
        at += self.upper(at) == "RECURSIVE"
        while self.is_name(at):
            at += 1
            at = self.closing(at) + 1 if self.upper(at) == "(" else at
            if self.upper(at) != "AS":
                break
            at += 1
            at += self.upper(at) == "NOT"
            at += self.upper(at) == "MATERIALIZED"
            at = self.closing(at) + 1 if self.upper(at) == "(" else at
            if self.upper(at) != ",":
                break
            at += 1
        return at

    def _is_row_in(self, at: int) -> bool:
        end = at - 2 if self.upper(at - 1) == "NOT" else at - 1
        if end >= 0 and self.kinds[end] == "list":
            return True
        if self.upper(end) != ")" or self.partners[end] < 0:
            return False
        start = self.partners[end]
        if self.is_name(start - 1) and self.upper(start - 1) not in BEFORE_EXPRESSION:
            return False
        inner = start + 1
        while inner < end:
            if self.upper(inner) == "," or self.kinds[inner] == "list":
                return True
            inner = self.closing(inner) + 1 if self.upper(inner) == "(" else inner + 1
        return False

    def _name(self, part: str, at: int) -> int:
        self.found[part] = at if self.is_name(at) else -1
        return at + self.is_name(at)

    def _target(self, at: int, word: str | None) -> int:
        if self.upper(at) == "OR":
            self.found["conflict"] = at + 1
            at += 2
        at += self.upper(at) == word
        at = self._name("table", at)
        if self.found["table"] >= 0 and self.upper(at) == ".":
            self.found["schema"] = self.found["table"]
            at = self._name("table", at + 1)
        if self.upper(at) == "AS":
            at = self._name("alias", at + 1)
        if "several" not in self.flags:
            self.found["returning"] = self.find("RETURNING", at)
        return at

    def _insert(self, at: int) -> None:
        at = self._target(at, "INTO")
        if self.upper(at) == "(":
            end = self.closing(at)
            self.found["columns"], self.found["columns_end"] = at + 1, end
            texts = ["," if text == "," else kind for text, kind in zip(self.texts, self.kinds, strict=True)]
            listed = texts[at + 1 : end]
            if listed == ["word", ","] * (len(listed) // 2) + ["word"]:
                self.flags.add("plain_list")
            at = end + 1
        else:
            self.found["list_behind"] = min(at, self.n) - 1
        if self.upper(at) == "DEFAULT":
            self.flags |= {"default_values", "plain_values"}
        elif self.upper(at) == "VALUES" and "SELECT" not in self.uppers[at:]:
            self.flags.add("plain_values")
        level = last = 0
        found = []
        for i in range(at, self.n):
            level += (self.upper(i) == "(") - (self.upper(i) == ")")
            if level:
                continue
            if self.upper(i) == "DO":
                last = i
            elif self.upper(i) == "ON" and self.upper(i + 1) == "CONFLICT" and self.upper(i + 2) in ("(", "DO"):
                found.append(i)
        self.found["on_conflict"] = next((at for at in found if last >= at + 2), -1)


def _alike(one: list[str], other: list[str]) -> bool:
    return len(one) == len(other) and all(a == b or not a or not b for a, b in zip(one, other, strict=True))
