"""What counts as a private name used across modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .layers import PRIVATE_NAMES
from .private_names import shared_private_names

Plant = Callable[[dict[str, str]], Path]

OWNER = '''
_table = _other = {}

def _help(): ...

class _Lock:
    __slots__ = ("_slot",)
    _kind: int = 0

    def __init__(self):
        self._owner, (self._depth, *self._rest) = 0, (1, 2)

    def _free(self): ...
'''


def test_imports_and_attributes_of_others_count_once_each(plant: Plant) -> None:
    root = plant({
        "owner.py": OWNER,
        "sub/__init__.py": "",
        "sub/user.py": (
            "from . import _module\nfrom ..owner import _Lock, _help as helped\nfrom .. import owner\n"
            "def use(lock):\n    lock._owner += lock._depth\n    lock._free()\n"
            "    owner._table[lock._owner] = lock._slot\n"
        ),
        "sub/_module.py": "def more(lock):\n    return lock._owner, lock._rest, lock._kind\n",
    })  # fmt: skip
    found = shared_private_names(root)
    assert set(found) == {
        "_Lock", "_help", "_owner", "_depth", "_free", "_table", "_slot", "_rest", "_kind",
    }  # fmt: skip
    assert found["_owner"] == ["sub/_module.py:2", "sub/user.py:5"]


def test_own_and_public_names_and_those_of_other_packages_do_not_count(plant: Plant) -> None:
    root = plant({
        "owner.py": OWNER,
        "user.py": (
            "import collections\nfrom owner import __version__, public\n\n"
            "class Own:\n    def __init__(self):\n        self._owner = 1\n        self._free = self._help()\n"
            "    def same(self, other):\n        return other._owner == self._owner\n"
            "def use(x):\n    return x.__class__, x._asdict(), collections._chain\n"
        ),
    })  # fmt: skip
    assert shared_private_names(root) == {}


def test_one_more_than_allowed_is_found(plant: Plant) -> None:
    names = [f"_n{number}" for number in range(PRIVATE_NAMES + 1)]
    root = plant({
        "owner.py": "".join(f"{name} = 0\n" for name in names),
        "user.py": "import owner\n" + "".join(f"owner.{name}\n" for name in names),
    })  # fmt: skip
    assert len(shared_private_names(root)) > PRIVATE_NAMES
