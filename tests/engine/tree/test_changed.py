"""Whether a range changed since a moment: against what a model holds then and now."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ..bare_tree import BareTree
from ..tree_model import STYLES, Model, history


@pytest.mark.slow
@pytest.mark.parametrize("key_size", [8, 0])
@pytest.mark.parametrize("style", ["mix", *STYLES])
def test_every_range_since_every_moment_is_judged_as_the_model_does(
    tmp_path: Path, seed: int, style: str, key_size: int
) -> None:
    rnd = random.Random(f"changed {seed} {style} {key_size}")
    tree = BareTree(tmp_path / "t.edb", 512, key_size)
    model = Model()
    asked = {False: 0, True: 0}
    try:
        for batch in history(rnd.randrange(2**32), key_size, 120, style=style):
            model.apply(tree.apply(batch), batch)
            keys = sorted({key for rows in model.at.values() for key in rows})
            for _ in range(6):
                moment = rnd.choice(sorted(model.at)[-12:])
                low = rnd.choice([b"", *keys])
                high = rnd.choice([None, *(key for key in keys if key > low), low + b"\0"])
                inside = [key for key in keys if key >= low and (high is None or key < high)]
                then, now = model.at[moment], model.rows
                expected = any((key in then) != (key in now) or (key in then and then[key][1] != now[key][1])
                               for key in inside)
                assert tree.changed(moment, low, high)[0] == expected, (moment, low, high)
                other_keys = any((key in then) != (key in now) for key in inside)
                assert tree.changed(moment, low, high, keys_alone=True)[0] == other_keys, (moment, low, high)
                asked[expected] += 1
    finally:
        tree.close()
    if style == "mix":
        assert min(asked.values()) > 5


def test_what_nobody_wrote_is_passed_by_its_pages(tmp_path: Path) -> None:
    """A change at one end costs a look at the pages above it, not a walk over the rest."""
    tree = BareTree(tmp_path / "t.edb", 512, 8)
    try:
        moment = tree.apply({n.to_bytes(8, "big"): b"x" * 20 for n in range(5000)})
        for n in range(20):
            tree.apply({(4990).to_bytes(8, "big"): b"%d" % n})
        changed, touched = tree.changed(moment, b"", (4990).to_bytes(8, "big"))
        assert not changed
        assert 5 * touched < tree.pages_touched(moment)
        assert tree.changed(moment, b"", (4991).to_bytes(8, "big"))[0]
    finally:
        tree.close()


def test_a_row_deleted_long_ago_has_changed(tmp_path: Path) -> None:
    """Its tombstone is in history, or was dropped with the emptied page."""
    tree = BareTree(tmp_path / "t.edb", 512, 8)
    key = (5).to_bytes(8, "big")
    try:
        moment = tree.apply({n.to_bytes(8, "big"): b"x" * 20 for n in range(10)})
        tree.apply({key: None})
        for n in range(80):
            tree.apply({k.to_bytes(8, "big"): b"%d" % n * 5 for k in (4, 6)})
        assert tree.changed(moment, key, key + b"\0")[0]
        assert not tree.changed(moment, (7).to_bytes(8, "big"), None)[0]
        later = tree.apply({n.to_bytes(8, "big"): None for n in range(10)})
        assert tree.changed(moment, (7).to_bytes(8, "big"), None)[0]
        assert not tree.changed(later, b"", None)[0]
    finally:
        tree.close()
