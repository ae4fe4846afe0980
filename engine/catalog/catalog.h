/* The catalog: what tables there are, as a temporal tree of payloads (docs/format.md, "Catalog").
 *
 * One entry a table, indexes included, keyed by table id; DDL writes a new version of it. A decoded table is
 * immutable and counted: whoever asks for one gives it back with table_unref(). Counts are atomic, so tables may be
 * given back on another thread than the one that asked. */
#ifndef EDB_CATALOG_H
#define EDB_CATALOG_H

#include "native/rowmask.h"
#include "native/value.h"
#include "engine/txn/txn.h"

/* SQLite's affinities, with its codes. */
enum {
    AFFINITY_BLOB = 0x41,
    AFFINITY_TEXT = 0x42,
    AFFINITY_NUMERIC = 0x43,
    AFFINITY_INTEGER = 0x44,
    AFFINITY_REAL = 0x45,
};

#define CATALOG_COLUMNS 2000        /* the most columns of a table */
#define CATALOG_INDEXES 64          /* the most indexes of a table */
#define CATALOG_CONSTRAINTS 32767   /* the most CHECK, and the most FOREIGN KEY constraints */

typedef struct {
    uint32_t id;                    /* position in stored rows; never reused */
    char *name, *type;              /* as declared */
    uint8_t affinity, collation;
    bool not_null, has_default, default_constant;
    char *default_sql;              /* NULL without a default */
    edb_value default_value;        /* when default_constant */
    bool added;                     /* to a table with rows */
    edb_value added_value;          /* when added: what it is in rows written before */
    uint32_t n_earlier;             /* ids it had under types of another affinity, newest first */
    uint32_t *earlier;
    uint8_t then_affinity;          /* catalog_then(): that of the moment; 0: of no account */
    uint32_t then_id;               /* likewise its id; rows that lack it are read under then_affinity first */
    bool lazy;                      /* rows may lack it: n_earlier, or computed and not stored */
    bool computed, stored;          /* a generated column; stored: in the row, else computed whenever it is read */
    bool hidden;                    /* the expression of an index, computed and not stored: no column to SQL */
    bool keyed;                     /* part of an index or of a foreign key */
    char *expression;               /* when computed */
    char *tag;                      /* the namespace that its values are tags of; NULL: they are none */
    bool unversioned;               /* it has no history: reads as of a moment give NULL */
} edb_column;

#define COLUMN_NOWHERE UINT32_MAX   /* the id of a column that no row has: it is NULL */

static inline bool column_virtual(const edb_column *column) { return column->computed && !column->stored; }
/* Whether a stored row of so many columns lacks this one, so that generate.h has to be asked: a virtual one, or one whose
 * type has another affinity since the row was written. */
static inline bool column_lacks(const edb_column *column, uint32_t width)
{
    return column->lazy && (column_virtual(column) || column->id >= width);
}

/* Column i in a set of columns: bit 63 stands for all from there on. */
static inline uint64_t column_bit(uint32_t i) { return UINT64_C(1) << (i < 63 ? i : 63); }
/* Those of n columns that are flagged. */
static inline uint64_t columns_flagged(const bool *flags, uint32_t n)
{
    uint64_t columns = 0;
    for (uint32_t i = 0; i < n; i++)
        columns |= flags[i] ? column_bit(i) : 0;
    return columns;
}

typedef struct {
    uint32_t column;                /* index into et_columns */
    uint8_t collation;
    bool descending;
} edb_index_part;

typedef struct {
    uint32_t tree;
    char *name;
    char *sql;                      /* "" for one made by a constraint */
    char *what;                     /* "t.a, t.b", "index 'i'": the subject of its UNIQUE message */
    bool unique, primary_key, automatic;
    char *where;                    /* a partial index: of rows for which this is true; NULL: of all */
    bool computes;                  /* a part is an expression, which is a hidden column */
    uint64_t columns;               /* of its parts: bit i for column i, bit 63 for all from there on */
    uint32_t n_parts;
    edb_index_part *parts;
} edb_index;

typedef struct {                    /* a CHECK constraint */
    char *label;                    /* what the message names */
    char *sql;
} edb_check_constraint;

enum { FK_NO_ACTION, FK_RESTRICT, FK_SET_NULL, FK_SET_DEFAULT, FK_CASCADE };

typedef struct {
    char *parent;                   /* name of the table referred to */
    bool deferred, names_columns;   /* names_columns false: the parent's primary key is meant */
    uint8_t on_delete, on_update;   /* FK_... */
    uint32_t n_columns;
    uint32_t *columns;              /* indexes into et_columns */
    char **referred;                /* names of the parent's columns, when names_columns */
} edb_fkey;

/* What an entry of the catalog describes. Views and settings are an id, a name and an SQL text (a setting: its value);
 * the engine keeps them and gives them no meaning. Their trees stay empty. A tree is one that belongs to no table: an id
 * and the name it is found by. */
enum { CATALOG_TABLE = 1, CATALOG_VIEW = 2, CATALOG_SETTING = 3, CATALOG_TREE = 4 };

typedef struct edb_table edb_table;
struct edb_table {
    uint8_t et_kind;                /* CATALOG_...; the fields from et_without_rowid on are those of a table */
    uint32_t et_id;                 /* also its tree */
    char *et_name, *et_sql, *et_extra;
    bool et_without_rowid, et_strict, et_autoincrement;
    int et_rowid_column;            /* index into et_columns of the INTEGER PRIMARY KEY; -1: none */
    uint32_t et_n_columns, et_n_indexes;
    uint32_t et_width;              /* columns of a stored row: largest id + 1, but of virtual ones */
    bool et_then_differs;           /* the past has to be read through catalog_then(), or table_unversioned() */
    bool et_then_moves;             /* and it is not the same at all moments: through catalog_then() alone */
    edb_table *et_past;             /* counted: what catalog_then() has taken values from; else NULL */
    bool et_has_partial;            /* an index of it is partial */
    bool et_has_computed;           /* a column of it is computed */
    bool et_has_lazy;               /* a column of it is lazy */
    bool et_has_tags;               /* the values of a column are tags */
    row_mask et_unversioned;        /* ids of columns without history: those that it has, and had */
    edb_column *et_columns;
    edb_index *et_indexes;
    uint32_t et_n_checks, et_n_fkeys;
    edb_check_constraint *et_checks;    /* in the order they are judged */
    edb_fkey *et_fkeys;
    const uint8_t *et_payload;      /* what it was decoded from */
    size_t et_payload_size;
};

bool utf8_valid(const uint8_t *at, size_t size);
/* Decodes a payload. EDB_CORRUPT on anything out of range. */
int table_decode(const uint8_t *payload, size_t size, edb_table **out);
edb_table *table_ref(const edb_table *table);
void table_unref(const edb_table *table);
const edb_index *table_index(const edb_table *table, uint32_t tree);     /* NULL: it has no such index */
/* Whether both have the same columns, in order, stored the same way: then they differ in indexes alone. */
bool table_same_columns(const edb_table *a, const edb_table *b);

/* A table as the statement sees it; for statements of now, own DDL of the very same statement included. */
int catalog_table(edb_stmt *stmt, uint32_t id, edb_table **out);    /* EDB_NOSUCH */
/* All tables the statement sees, each counted for the caller; the array is malloc()ed. */
int catalog_tables(edb_stmt *stmt, edb_table ***out, size_t *n);
int catalog_find(edb_stmt *stmt, const char *name, edb_table **out);    /* ASCII case-insensitive; EDB_NOSUCH */

/* The table under its columns of today as it was at the statement's moment in the past: where a column had not been
 * added yet it is NULL, whatever it became for these rows when it was; and a row older than the column's type of then is
 * read under that type first. */
int catalog_then(edb_stmt *stmt, const edb_table *table, edb_table **out);
/* The same where et_then_moves is not set: only columns without history differ. */
int table_unversioned(const edb_table *table, edb_table **out);
/* A tree that belongs to no table, own uncommitted ones included; *tree 0: there is none of that name. */
int catalog_tree(edb_stmt *stmt, const char *name, uint32_t *tree);

/* Calls fn for every entry until it answers nonzero, which is handed on. Who keeps the table sets *table to NULL. */
enum { EACH_STOP = -1 };            /* what fn answers when it has seen enough */
typedef int (*catalog_each_fn)(void *arg, edb_table **table);
int catalog_each(edb_stmt *stmt, catalog_each_fn fn, void *arg);
/* The same for the entries in which one of the names occurs, whatever it names there: others are not even decoded. */
int catalog_each_naming(edb_stmt *stmt, const char *const *names, size_t n, catalog_each_fn fn, void *arg);
/* The entry of a table. The statement's cursor does not see what the statement itself wrote; this does, for DDL. */
int catalog_entry(edb_stmt *stmt, uint32_t id, edb_entry *entry, bool *found);
int catalog_decode(edb_stmt *stmt, const edb_entry *entry, edb_table **out);
/* Names are unique among entries with equal answers: tables and views together, settings, trees. */
int catalog_namespace(const edb_table *table);
bool name_same(const char *a, const char *b);       /* ASCII, as SQLite compares names */

#endif
