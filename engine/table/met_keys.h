/* Met keys: foreign keys whose parent was found, and whose promise was made, in the running transaction.
 *
 * Rows that are loaded refer to the same few parents again and again, and of one parent one promise is kept. So a child
 * whose key is known here is seen to. What is known holds as long as nothing of the transaction was undone, its T is
 * the same, the schema is, and no parent's key went: begin and forget see to that. A table with two places for a key, by
 * its hash, of which the older one is given up; it grows with what it is told and never fails, it only forgets.
 *
 * A key is the name of its promise (fk_promise_name()); long ones are not kept. */
#ifndef EDB_MET_KEYS_H
#define EDB_MET_KEYS_H

#include "engine/txn/txn.h"

enum { MET_BYTES = 43 };

typedef struct {
    uint32_t me_stamp;              /* it holds when it is the table's */
    uint8_t me_size;
    uint8_t me_bytes[MET_BYTES];
} met_key;

typedef struct {                    /* zeroed to begin with */
    met_key *mk_keys;               /* owned; NULL: none yet */
    uint32_t mk_room;               /* a power of two; neighbours are a pair of places, the younger one first */
    uint32_t mk_told;               /* keys since the table was made or forgotten */
    uint32_t mk_stamp;
    uint64_t mk_stands, mk_moment;  /* what it holds for */
} met_keys;

/* Before a change: what is known stays known if it was learnt under the same circumstances. */
void met_begin(met_keys *mk, edb_stmt *stmt);
void met_forget(met_keys *mk);
bool met_known(const met_keys *mk, const uint8_t *name, size_t size);
void met_note(met_keys *mk, const uint8_t *name, size_t size);
void met_free(met_keys *mk);

#endif
