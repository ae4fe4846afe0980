/* What catalog.c and table/ddl.c write: payloads (docs/format.md, "Catalog"). Reading one is table_decode(), catalog.h. */
#ifndef EDB_PAYLOAD_H
#define EDB_PAYLOAD_H

#include "engine/catalog/catalog.h"

/* The payload of `table`, which was decoded from one with missing ids, with the ids the table has now; malloc()ed. */
int payload_rewrite(const edb_table *table, uint8_t **out, size_t *out_size);

/* Its first bytes say what it is the payload of: CATALOG_TABLE, ...; 0: nothing that is known. */
enum { PAYLOAD_FRONT = 2 };
int payload_kind(const uint8_t front[PAYLOAD_FRONT]);

enum { PAYLOAD_OF_TREE = 64, TREE_NAME = 32 };      /* the most bytes; and of a name, which is ours, one fewer */
/* The payload of a tree that belongs to no table. -> its size */
size_t payload_of_tree(uint8_t out[PAYLOAD_OF_TREE], uint32_t tree, const char *name);

#endif
