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

#endif
