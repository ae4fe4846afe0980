/* What SQLite is told of a table's columns: names, types and collations, nothing else.
 *
 * NOT NULL would let SQLite fold `IS NULL` to false, and hide the rows of a day when the column could be NULL. Only a
 * row id never could, so its column is declared NOT NULL. The affinity SQLite derives from the declared type has to be
 * the catalog's, since comparisons are made with it: a type that would give another, or that SQLite reads as something
 * else than a type, is declared as the plain name of the affinity. Generated columns are declared like others, since
 * SQLite has none in virtual tables; the driver keeps statements from writing to them. The expression of an index is a
 * hidden column. */
#ifndef EDB_DECLARE_H
#define EDB_DECLARE_H

#include "engine/catalog/catalog.h"
#include "engine/eval/sqlite.h"

/* Behind the table's columns every declaration has a hidden one, always NULL to look at. WHERE it is 1, the rows are
 * those that the statement's capture kept (txn/capture.h), in their order. IS NOT a text, it tells the planner of a list
 * (vtab/plan_lists.c). */
#define COLUMN_RETURNED "entitydb returned"
#define COLUMN_PARTIAL "entitydb partial"           /* behind it, where an index is partial: vtab/partial_plan.h */

/* Behind these, columns to sort by that SQLite could not ask an index for otherwise (ORDER BY name COLLATE NOCASE, and
 * NULLS LAST of an ascending order): of each collation that an index has and the column has not, the column's key under
 * it; and of each column of an index its key with NULL behind all others. (A column that is NOT NULL now may have been
 * NULL in the past.) Keys are blobs, because SQLite forgets the collation of a hidden column. The driver puts them into
 * ORDER BY. A table that would have more than ORDER_ROOM columns with them has none: SQLite takes 2,000. */
#define ORDER_ROOM 1900
#define COLUMN_ORDER "entitydb order"               /* and the column's position, and "NOCASE" or "NULLS" */

typedef struct {
    uint32_t oc_column;
    int oc_collation;
    bool oc_nulls_last;
} order_column;

typedef struct {                    /* those of a table, in the order of their declaration */
    int or_first;                   /* position of the first */
    uint32_t or_n;
    order_column *or_columns;       /* owned; free() it */
} order_columns;

int declared_orders(const edb_table *table, order_columns *out);    /* EDB_NOMEM */
/* The column at a position of the declaration; NULL: it is none to sort by. */
static inline const order_column *declared_order(const order_columns *orders, int position)
{
    bool is = position >= orders->or_first && position - orders->or_first < (int)orders->or_n;
    return is ? &orders->or_columns[position - orders->or_first] : NULL;
}
void declare_columns(const edb_table *table, sqlite3_str *sql);  /* the table's own, between commas */
int declare_table(sqlite3 *db, const edb_table *table, const order_columns *orders);  /* a result of SQLite's */
const char *collation_name(int collation);          /* COLLATE_... as SQL writes it */

#endif
