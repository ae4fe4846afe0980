/* What messages call a table whose rows have tags, and an entry of the trees of tags (hooks.h, hk_name_entry). */
#ifndef EDB_TAG_MESSAGES_H
#define EDB_TAG_MESSAGES_H

#include "engine/txn/txn.h"

enum { TABLE_NAME_ROOM = 300 };
const char *table_named(edb_stmt *stmt, uint32_t table, char out[TABLE_NAME_ROOM]);     /* "table t" */

#endif
