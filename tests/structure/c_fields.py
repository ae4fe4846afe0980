"""The prefixes of the fields of C structs. A prefix belongs to one struct, so that a search for it finds every use.

A struct has a prefix if all its fields begin with the same two or three letters and an underscore. A struct that C code
shows to its callers may do without.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from .c_code import c_files
from .layers import SHARED_PREFIXES

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_STRUCT = re.compile(r"\b(?:struct|union)\s*(?:__attribute__\s*\(\(.*?\)\)\s*)?(\w*)\s*\{([^{}]*)\}\s*(\w*)")
_FUNCTION = re.compile(r"\(\*\s*(\w+)\)\s*\([^()]*\)")
_FIELD = re.compile(r"([A-Za-z_]\w*)\s*(?:\[[^\]]*\]\s*)*(?:,|:|$)")


def prefixes(text: str) -> list[tuple[str, str]]:
    """The structs that a text defines and that have a prefix: (struct, prefix)."""
    found = []
    for name, body, alias in _STRUCT.findall(_COMMENT.sub(" ", text)):
        declarations = _FUNCTION.sub(r"\1", body).split(";")
        fields = [field for declaration in declarations for field in _FIELD.findall(declaration.strip())]
        first = {match[0] if (match := re.match(r"[a-z]{2,3}_", field)) else "" for field in fields}
        if len(first) == 1 and "" not in first:
            found.append((name or alias, first.pop()))
    return found


def shared_prefixes(root: Path) -> list[str]:
    """The prefixes that several structs have, but for those of SHARED_PREFIXES."""
    structs: dict[str, set[str]] = defaultdict(set)
    for file in c_files(root, "*.[ch]"):
        for struct, prefix in prefixes((root / file).read_text(encoding="utf-8")):
            structs[prefix].add(f"{struct} in {file}")
    return [
        f"{prefix}: {', '.join(sorted(names))}"
        for prefix, names in sorted(structs.items())
        if len(names) > 1 and prefix not in SHARED_PREFIXES
    ]
