/* A transaction's private writes: versioned by sequence number, spilled to a temporary file when they grow large.
 *
 * Every write gets the next sequence number. A reader sees, of each (tree, key), the newest write with seq <= its own
 * that was not rolled back; so a savepoint is a number, statement rollback is a number, and a cursor never sees writes
 * younger than its statement. Memory is one arena, freed with the last reference (transaction, open statements).
 * Beyond spill_bytes the skip list is written as a sorted run to an unlinked file in $TMPDIR and read through a map. */
#ifndef EDB_WRITESET_H
#define EDB_WRITESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../native/skiplist.h"
#include "codes.h"

typedef struct writeset writeset;

typedef struct {                    /* one write, in the arena or in a run's map: valid while the write set is */
    const uint8_t *key, *value;
    uint32_t key_size, value_size;
    uint32_t tree;
    bool tombstone;
    uint64_t seq;
    uint64_t seen_from;             /* commit number of the version visible at T, 0: none */
} ws_entry;

int ws_new(uint64_t spill_bytes, writeset **out);
writeset *ws_ref(writeset *ws);
void ws_unref(writeset *ws);
bool ws_is_empty(const writeset *ws);               /* nothing was ever written */
bool ws_has_tree(const writeset *ws, uint32_t tree);    /* something was written to it; cheap */
int ws_put(writeset *ws, uint32_t tree, const void *key, size_t key_size, const void *value, size_t value_size,
           bool tombstone, uint64_t seen_from);
uint64_t ws_seq(const writeset *ws);                /* sequence number of the last write */
void ws_rollback(writeset *ws, uint64_t seq);       /* writes after seq never happened */
/* The newest write of the key visible to `seq`. */
bool ws_get(const writeset *ws, uint32_t tree, const void *key, size_t key_size, uint64_t seq, ws_entry *out);

typedef struct ws_cursor ws_cursor;                 /* one tree's visible writes, one entry a key, tombstones included */
int ws_cursor_open(writeset *ws, uint32_t tree, uint64_t seq, ws_cursor **out);
void ws_cursor_close(ws_cursor *wc);
bool ws_cursor_seek(ws_cursor *wc, const void *key, size_t key_size);       /* first >= key; NULL: first */
bool ws_cursor_seek_last(ws_cursor *wc, const void *key, size_t key_size);  /* last <= key; NULL: last */
bool ws_cursor_next(ws_cursor *wc);
bool ws_cursor_prev(ws_cursor *wc);
const ws_entry *ws_cursor_at(const ws_cursor *wc);  /* NULL: past either end */
/* The trees written to, ascending; -> how many there are (fills up to `room`). */
size_t ws_trees(const writeset *ws, uint32_t *trees, size_t room);

#endif
