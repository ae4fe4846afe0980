/* Many rows of a table by their ids, at the statement's moment, in one piece of bytes that Python's marshal reads. */
#ifndef EDB_GET_MANY_H
#define EDB_GET_MANY_H

#include "engine/catalog/row.h"

/* See edb_get in edb.h. */
int get_many(edb_stmt *stmt, edb_get *get);

#endif
