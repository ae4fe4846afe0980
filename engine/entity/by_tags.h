/* The entities that each of many tag expressions means, in one call. */
#ifndef EDB_BY_TAGS_H
#define EDB_BY_TAGS_H

#include "engine/txn/txn.h"

int by_tags(edb_stmt *stmt, edb_tagged_many *tagged);   /* edb.h, edb_stmt_tagged_many() */

#endif
