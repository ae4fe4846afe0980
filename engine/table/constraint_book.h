/* The book of constraints: for each table of a schema its foreign keys, and those of other tables that mean it.
 *
 * A foreign key is written at the child; a change of the parent has to find it from the other side. So the catalog is
 * read once a schema. The book counts its tables and owns its links. */
#ifndef EDB_CONSTRAINT_BOOK_H
#define EDB_CONSTRAINT_BOOK_H

#include "engine/table/fkey.h"

typedef struct {                    /* of one table */
    edb_table *cl_table;            /* counted */
    fk_link *cl_links;              /* its foreign keys, owned */
    fk_link **cl_children;          /* foreign keys that mean it */
    uint32_t cl_n_children;
    uint64_t cl_keyed;              /* columns (column_bit) of either; all, if one of either is not whole */
} table_constraints;

typedef struct constraint_book constraint_book;

int book_make(edb_stmt *stmt, constraint_book **out);
void book_free(constraint_book *cb);                /* NULL is fine */
/* Whether it was made from the catalog that the statement sees; NULL: no. */
bool book_holds(const constraint_book *cb, edb_stmt *stmt);
table_constraints *book_find(const constraint_book *cb, uint32_t id);   /* NULL: the catalog has no such table */

#endif
