"""The order of the folders, and the few exceptions. A new folder gets its line here and nowhere else.

Each list goes from the bottom to the top: a layer uses itself and what stands before it.
"""

from __future__ import annotations

# Folders of C files. "engine" is what lies in engine/ itself: the public header, the codes, the texts of errors.
C_LAYERS = (
    "native",
    "engine",
    "engine/shared",
    "engine/cache",
    "engine/pager",
    "engine/tree",
    "engine/cold",
    "engine/txn",
    "engine/content",
    "engine/catalog",
    "engine/eval",
    "engine/table",
    "engine/stats",
    "engine/filters",
    "engine/entity",
    "engine/upkeep",
    "engine/vtab",
    "engine/python",
    "engine/testing",
)

# The files that may call each other in a circle: a split of a page makes a row for the page above it, which may split.
C_CIRCLES = (("engine/tree/tree_interior.c", "engine/tree/tree_write.c"),)

# Prefixes of fields that several structs have, because one struct begins like the other.
SHARED_PREFIXES = ("vt_",)

# Python modules and packages. A module belongs to the longest name that it is or lies in; "=name" is that one alone.
PYTHON_LAYERS = (
    ("entitydb_dialect._exceptions",),
    ("entitydb_dialect._moments", "entitydb_dialect._spans"),
    ("entitydb_dialect._transaction_info",),
    ("entitydb_dialect._native",),
    ("entitydb_dialect._short",),
    ("entitydb_dialect._zstandard",),
    ("entitydb_dialect.driver._catalog", "entitydb_dialect.driver._errors", "entitydb_dialect.driver._savepoints"),
    ("entitydb_dialect.driver._info",),
    ("entitydb_dialect.driver.sql",),
    ("entitydb_dialect.driver.rewrite",),
    ("entitydb_dialect.driver._database", "entitydb_dialect.driver._files", "entitydb_dialect.driver._place"),
    ("entitydb_dialect.driver.schemas",),
    ("entitydb_dialect.driver.ddl",),
    ("entitydb_dialect.driver._isolation",),
    ("entitydb_dialect.driver.answers",),
    ("entitydb_dialect.driver._contexts", "entitydb_dialect.driver._transactions"),
    ("entitydb_dialect.driver._session",),
    ("entitydb_dialect.driver.execute",),
    ("entitydb_dialect.driver",),
    ("entitydb_dialect.history",),
    ("entitydb_dialect.temporal",),
    ("entitydb_dialect.store",),
    ("entitydb_dialect._types",),
    ("entitydb_dialect._backend", "entitydb_dialect._compilers", "entitydb_dialect._plugin", "entitydb_dialect._raised",
     "entitydb_dialect._urls"),
    ("entitydb_dialect._flask",),
    (
        "entitydb_dialect._databases",
        "entitydb_dialect._erase", "entitydb_dialect._health", "entitydb_dialect._prune", "entitydb_dialect._verify",
        "entitydb_dialect.aio",
        "entitydb_dialect.apsw",
        "entitydb_dialect.base",
        "entitydb_dialect.provision",
        "entitydb_dialect.requirements",
    ),
    ("entitydb_dialect.tags",),
    ("=entitydb_dialect",),
    ("entitydb_migrations",),
)

# What does not import what, though it stands above it: another database can stand behind the time API.
STRANGERS = (
    ("entitydb_dialect.history", "entitydb_dialect._native"),
    ("entitydb_dialect.history", "entitydb_dialect._short"),
    ("entitydb_dialect.history", "entitydb_dialect.driver"),
    ("entitydb_dialect.temporal", "entitydb_dialect._native"),
    ("entitydb_dialect.temporal", "entitydb_dialect.driver"),
)

# The packages of others that a module may import, by the same longest name; the standard library is free to all.
PACKAGES = {
    "entitydb_dialect._exceptions": set(),
    "entitydb_dialect._moments": set(),
    "entitydb_dialect._transaction_info": set(),
    "entitydb_dialect.driver.sql": set(),
    "entitydb_dialect.driver": {"apsw"},
    "entitydb_dialect": {"sqlalchemy"},
    "entitydb_migrations": {"sqlalchemy", "alembic"},
}

# How many private names the modules of the driver may use of each other.
DRIVER = "entitydb_dialect.driver"
PRIVATE_NAMES = 15
