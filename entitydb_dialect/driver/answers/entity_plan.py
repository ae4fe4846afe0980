"""EXPLAIN QUERY PLAN over tags, entities, transactions and the past of all rows: words for the plans of vtab_tags.c,
vtab_tagged.c, vtab_entities.c, vtab_transactions.c, vtab_versions.c and vtab_changes.c in engine/vtab."""

from __future__ import annotations

import re

_TAGS = re.compile(r"^(?:SCAN|SEARCH) (.*) VIRTUAL TABLE INDEX \d+:tags:([a-zA-Z<=>]*@?)(.*)$", re.DOTALL)
_NUMBERED = re.compile(r"^(?:SCAN|SEARCH) (.*) VIRTUAL TABLE INDEX (\d+):(tagged|entities)(.*)$", re.DOTALL)
_PAST = re.compile(r"^(?:SCAN|SEARCH) (.*) VIRTUAL TABLE INDEX (\d+):(versions|changes)(.*)$", re.DOTALL)
_TRANSACTIONS = re.compile(r"^(?:SCAN|SEARCH) (.*) VIRTUAL TABLE INDEX \d+:transactions:([a-zA-Z<>]*)(.*)$", re.DOTALL)
_TERMS = {
    "t": "type=?", "e": "entity=?", "=": "tag=?", "n": "namespace=?", "v": "value=?", "G": "tag GLOB ?",
    ">": "tag>?", "g": "tag>=?", "<": "tag<?", "l": "tag<=?",
}  # fmt: skip
_TRANSACTION_TERMS = {
    "a": "actor=?", "i": "id=?", ">": "id>?", "g": "id>=?", "<": "id<?", "l": "id<=?", "t": "committed_at=?",
    "B": "committed_at>?", "b": "committed_at>=?", "E": "committed_at<?", "e": "committed_at<=?",
}  # fmt: skip
_WAYS = {
    "tagged": ("TAG EXPRESSION", [f"type=? AND expression=?{more}" for more in ("", " AND entity=?", " AND entity>?")]),
    "entities": ("ENTITIES", ["", "type=?", "id=?", "type=? AND id=?"]),
}


AS_OF = ", AS OF A MOMENT OF ITS OWN"  # behind what is read
_MOMENT = 4  # of a plan of vtab_entities.c


def _used(steps: str) -> tuple[str, str]:
    """By what a walk finds its way, as entity/tag_walk.c has it, and the conditions that lead it; other conditions that
    it was told of are judged on the way."""
    if "t" in steps and "e" in steps:
        return "ROW", "te" + ("=" if "=" in steps else "nv" if "v" in steps else "")
    texts = steps.replace("t", "").replace("e", "")
    typed = "t" if "t" in steps else ""
    return ("TEXT", texts + typed) if texts else ("ROW", typed)


def _found_by(plan: int) -> list[str]:
    """The conditions of a plan of engine/vtab/rows_ever.h."""
    low, high = ">" if plan & 32 else ">=", "<" if plan & 64 else "<="
    terms = ("type=?", "entity=?", "transaction_id=?", f"transaction_id{low}?", f"transaction_id{high}?")
    return [term for bit, term in enumerate(terms) if plan >> bit & 1]


def explained_entities(detail: str) -> str | None:
    """One line of a plan in words; None: it is about something else."""
    if match := _TAGS.match(detail):
        name, steps, rest = match.groups()
        rest = (AS_OF if steps.endswith("@") else "") + rest
        way, used = _used(steps.rstrip("@"))
        if not used:
            return f"SCAN {name}{rest}"
        return f"SEARCH {name} USING TAGS BY {way} ({' AND '.join(_TERMS[step] for step in used)}){rest}"
    if match := _PAST.match(detail):
        name, number, whose, rest = match.groups()
        used = " AND ".join(_found_by(int(number)))
        return f"SEARCH {name} USING {whose.upper()} ({used}){rest}" if used else f"SCAN {name}{rest}"
    if match := _NUMBERED.match(detail):
        name, number, whose, rest = match.groups()
        way, terms = _WAYS[whose]
        plan = int(number)
        if whose == "entities":
            rest = (AS_OF if plan & _MOMENT else "") + rest
            plan &= ~_MOMENT
        used = terms[plan]
        return f"SEARCH {name} USING {way} ({used}){rest}" if used else f"SCAN {name}{rest}"
    if match := _TRANSACTIONS.match(detail):
        name, steps, rest = match.groups()
        terms = [term for step, term in _TRANSACTION_TERMS.items() if step in steps]
        return f"SEARCH {name} USING TRANSACTIONS ({' AND '.join(terms)}){rest}" if terms else f"SCAN {name}{rest}"
    return None


__all__ = ["AS_OF", "explained_entities"]
