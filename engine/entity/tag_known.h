/* Tags that the process has met in commits, for each open database: texts and ids without a look into a tree.
 *
 * Every connection of the database shares them, and each text is stored once. They hold for every moment (G2 of
 * tag_dictionary.h). The environment variable ENTITYDB_INTERN_CACHE_SIZE is the most bytes they may take, 64 MiB where it
 * says nothing; ENTITYDB_STRING_INTERN=off keeps none. Both are read when a database's tags are first used. */
#ifndef EDB_TAG_KNOWN_H
#define EDB_TAG_KNOWN_H

#include "native/intern.h"
#include "engine/txn/txn.h"

intern *tags_known(edb_conn *conn);                 /* NULL: none are kept */

#endif
