/* The catalog: what tables there are, as a temporal tree of payloads (docs/format.md, "Catalog").
 *
 * One entry a table, indexes included, keyed by table id; DDL writes a new version of it. A decoded table is
 * immutable and counted: whoever asks for one gives it back with table_unref(). Counts are atomic, so tables may be
 * given back on another thread than the one that asked. */
#ifndef EDB_CATALOG_H
#define EDB_CATALOG_H

#include "../native/value.h"
#include "txn.h"

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

typedef struct {
    uint32_t id;                    /* position in stored rows; never reused */
    char *name, *type;              /* as declared */
    uint8_t affinity, collation;
    bool not_null, has_default, default_constant;
    char *default_sql;              /* NULL without a default */
    edb_value default_value;        /* when default_constant */
} edb_column;

typedef struct {
    uint32_t column;                /* index into et_columns */
    uint8_t collation;
    bool descending;
} edb_index_part;

typedef struct {
    uint32_t tree;
    char *name;
    char *sql;                      /* "" for one made by a constraint */
    char *what;                     /* "t.a, t.b": the subject of its UNIQUE message */
    bool unique, primary_key, automatic;
    uint32_t n_parts;
    edb_index_part *parts;
} edb_index;

typedef struct {
    uint32_t et_id;                 /* also its tree */
    char *et_name, *et_sql, *et_extra;
    bool et_without_rowid, et_strict, et_autoincrement;
    int et_rowid_column;            /* index into et_columns of the INTEGER PRIMARY KEY; -1: none */
    uint32_t et_n_columns, et_n_indexes;
    uint32_t et_width;              /* columns of a stored row: largest id + 1 */
    edb_column *et_columns;
    edb_index *et_indexes;
    const uint8_t *et_payload;      /* what it was decoded from */
    size_t et_payload_size;
} edb_table;

/* Decodes a payload. EDB_CORRUPT on anything out of range. */
int table_decode(const uint8_t *payload, size_t size, edb_table **out);
edb_table *table_ref(const edb_table *table);
void table_unref(const edb_table *table);
const edb_index *table_index(const edb_table *table, uint32_t tree);     /* NULL: it has no such index */
/* Whether both have the same columns, in order, stored the same way: then they differ in indexes alone. */
bool table_same_columns(const edb_table *a, const edb_table *b);

/* A table as the statement sees it; for statements of now, own DDL of the very same statement included. */
int catalog_table(edb_stmt *stmt, uint32_t id, edb_table **out);    /* EDB_NOSUCH */
int catalog_find(edb_stmt *stmt, const char *name, edb_table **out);    /* ASCII case-insensitive; EDB_NOSUCH */

/* DDL, called by the control table `entitydb_ddl`. Payload ids that are 0 are given. EDB_EXISTS, EDB_NOSUCH. */
int catalog_create(edb_stmt *stmt, const uint8_t *payload, size_t size, uint32_t *table_id);
/* A new version of a table; indexes without a tree id are made and filled from the living rows. */
int catalog_replace(edb_stmt *stmt, const uint8_t *payload, size_t size, uint32_t *table_id);
int catalog_drop(edb_stmt *stmt, const char *name);

#endif
