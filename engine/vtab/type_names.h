/* Types of entities by name, for the eponymous tables over tags and entities: which table is meant, and what it is called.
 *
 * The last one asked for is kept with the virtual table, as long as the catalog is the same. */
#ifndef EDB_TYPE_NAMES_H
#define EDB_TYPE_NAMES_H

#include "engine/vtab/vtab.h"

typedef struct {
    uint64_t ty_schema;             /* stmt_schema() + 1 that it holds for; 0: nothing is kept */
    const edb_conn *ty_conn;
    edb_table *ty_table;            /* counted */
} type_names;

typedef struct {                    /* a virtual table that finds types */
    vtab_any tyv_any;
    type_names tyv_types;
} typed_vtab;

int typed_vtab_connect(sqlite3 *db, vtab_binding *bd, const char *declaration, sqlite3_vtab **out);
int typed_vtab_disconnect(sqlite3_vtab *base);
/* The table of that name as the statement sees it, valid until the next call; NULL in *out: there is none. */
int type_by_name(type_names *ty, edb_stmt *stmt, const char *name, size_t size, const edb_table **out);
int type_by_id(type_names *ty, edb_stmt *stmt, uint32_t id, const edb_table **out);
/* The same for a write: EDB_NOSUCH. */
int type_to_write(type_names *ty, edb_stmt *stmt, sqlite3_value *name, const edb_table **out);
/* The text a constraint compares with, where that is known while it is planned; NULL: it is not, or there is no constraint
 * (-1). *size, unless size is NULL: its bytes. */
const char *known_text(sqlite3_index_info *info, int constraint, size_t *size);
/* An integer that equals the value, as SQLite compares numbers. */
bool value_is_entity(sqlite3_value *value, int64_t *out);

#endif
