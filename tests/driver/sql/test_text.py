"""An edited text has the tokens that the same text has when it is read anew."""

from __future__ import annotations

import random

import pytest

from entitydb_dialect.driver.sql.parameters import Numbering
from entitydb_dialect.driver.sql.text import Edit, Text, edited

TEXTS = (
    "SELECT a, (b) FROM t WHERE a IN (?, ?, ?, ?, ?, ?, ?, ?, ?) AND b = 'é' -- end",
    "INSERT INTO größe(a, b) VALUES (?, ?), (?, ?), (?, ?), (?, ?), (?, ?), (?, ?), (?, ?), (?, ?) RETURNING (a)",
    "UPDATE t SET a = ((1)), b = :x WHERE (c = ?2",
    "",
)
FRAGMENTS = ("", " (x) ", " 'text' ", ") AND (", " -- comment\n", " ö = ?1 ")


def columns(text: Text) -> list[object]:
    return [text.sql, text.kinds, text.starts, text.ends, text.uppers, text.partners]


@pytest.mark.slow
def test_edited_text_has_the_tokens_of_a_text_that_is_read_anew(rng: random.Random) -> None:
    for _ in range(2_000):
        text = Text(rng.choice(TEXTS))
        edits = []
        at = 0
        while at < len(text) and rng.random() < 0.8:
            first = rng.randrange(at, len(text))
            last = rng.randrange(first, min(first + 3, len(text)))
            replaces = rng.random() < 0.5
            start = text.starts[first]
            edits.append(Edit(start, text.ends[last] if replaces else start, rng.choice(FRAGMENTS[1:])))
            at = last + 1
        made = text.edited(edits)
        assert columns(made) == columns(Text(edited(text.sql, edits)))


def test_edits_at_one_place_are_made_in_their_order() -> None:
    text = Text("SELECT a = 1 AND b")
    edits = [Edit(7, 7, "("), Edit(12, 12, ")"), Edit(12, 12, " AND x"), Edit(7, 8, "c")]
    assert edited(text.sql, edits) == "SELECT (c = 1) AND x AND b"
    assert columns(text.edited(edits)) == columns(Text("SELECT (c = 1) AND x AND b"))


def test_pieces_number_their_parameters_anew() -> None:
    numbering = Numbering(Text("SELECT ?, :a, ?1, :a, ?5, ?"))
    piece = numbering.piece((7, 20))
    assert (piece.sql, piece.numbered, tuple(piece.uses)) == ("?, :a, ?1, :a", "?1, ?2, ?1, ?2", (0, 1))
    piece = numbering.piece((22, 27))
    assert (piece.sql, piece.numbered, tuple(piece.uses)) == ("?5, ?", "?1, ?2", (4, 5))


def test_bare_parameters_of_a_piece_stay_as_they_are() -> None:
    sql = f"VALUES ({', '.join('?' * 20)}) RETURNING ?, ?"
    numbering = Numbering(Text(sql))
    listed = numbering.piece((sql.index("RETURNING") + 10, len(sql)))
    assert (listed.sql, listed.numbered, list(listed.uses)) == ("?, ?", "?, ?", [20, 21])
    numbering.begin()
    assert numbering.span((8, 12)) == "?1, ?2"
    assert numbering.uses == (0, 1)
