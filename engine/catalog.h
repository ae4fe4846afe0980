/* The catalog: what tables there are, as a temporal tree of payloads (docs/format.md, "Catalog").
 *
 * One entry a table, indexes included, keyed by table id; DDL writes a new version of it. A decoded catalog is
 * immutable, shared by connections, and kept per schema number. */
#ifndef EDB_CATALOG_H
#define EDB_CATALOG_H

#include "../native/value.h"
#include "txn.h"

/* SQLite's affinities, with its codes. */
enum { AFFINITY_BLOB = 0x41, AFFINITY_TEXT = 0x42, AFFINITY_NUMERIC = 0x43, AFFINITY_INTEGER = 0x44, AFFINITY_REAL = 0x45 };

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
    bool unique, primary_key, automatic;
    bool covers;                    /* the key alone gives every part back exactly: nothing in the value */
    uint64_t complete_since;        /* reads before this commit cannot use it (0: since the table began) */
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
} edb_table;

/* Decodes a payload into one allocation (free it with table_free). EDB_CORRUPT on anything out of range. */
int table_decode(const uint8_t *payload, size_t size, edb_table **out);
void table_free(edb_table *table);

typedef struct edb_catalog edb_catalog;     /* all tables of one schema number; reference-counted */
int catalog_get(edb_stmt *stmt, edb_catalog **out);         /* as the statement sees it */
void catalog_unref(edb_catalog *catalog);
const edb_table *catalog_table(const edb_catalog *catalog, uint32_t id);
const edb_table *catalog_find(const edb_catalog *catalog, const char *name);     /* ASCII case-insensitive */

/* DDL, called by the control table `entitydb_ddl`. Payload ids that are 0 are given. EDB_EXISTS, EDB_NOSUCH. */
int catalog_create(edb_stmt *stmt, const uint8_t *payload, size_t size, uint32_t *table_id);
int catalog_replace(edb_stmt *stmt, const uint8_t *payload, size_t size);   /* new version; new indexes are filled */
int catalog_drop(edb_stmt *stmt, const char *name);

#endif
