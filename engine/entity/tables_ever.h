/* The tables that a file has or ever had. */
#ifndef EDB_TABLES_EVER_H
#define EDB_TABLES_EVER_H

#include "engine/catalog/catalog.h"

typedef struct {
    edb_table **ever_tables;        /* owned, each counted; malloc()ed */
    size_t ever_n;
} tables_ever;

/* Up to the statement's moment, with those that were dropped as they were last. name: those that have or last had it; NULL: all. */
int tables_ever_find(edb_stmt *stmt, const char *name, tables_ever *out);
void tables_ever_free(tables_ever *ever);
/* The one of an id; NULL: there never was one. */
const edb_table *tables_ever_by_id(const tables_ever *ever, uint32_t id);

/* A commit after which a table has another name, or which made or dropped it: was, is NULL: it was not there. */
typedef int (*tables_named_fn)(void *arg, uint64_t commit, uint32_t id, const char *was, const char *is);
/* Calls fn for all of them up to the statement's moment, until it answers nonzero, which is handed on; those of one table in
 * no order. */
int tables_named(edb_stmt *stmt, tables_named_fn fn, void *arg);

/* A commit after which the catalog has another entry of an id, or none. */
typedef int (*schema_changed_fn)(void *arg, uint64_t commit, uint32_t id);
/* Calls fn for all of them, as tables_named() does. */
int schema_changes(edb_stmt *stmt, schema_changed_fn fn, void *arg);

#endif
