/* A transaction's private writes: versioned by sequence number, spilled to a temporary file when they grow large.
 *
 * Every write gets the next sequence number. A reader sees, of each (tree, key), the newest write with seq <= its own
 * that was not rolled back; so a savepoint is a number, statement rollback is a number, and a cursor never sees writes
 * younger than its statement.
 *
 *   writeset.c    the writes in memory: a skip list in an arena, and writes that wait to be put into it
 *   ws_run.c      sorted runs: what no longer fits, in an unlinked file of $TMPDIR, read through a map
 *   ws_cursor.c   the merge of both
 *
 * Memory: the list of the day and its arena are a *generation*. Spilling writes it out as a run and begins a new one;
 * the old one is freed when its last holder lets go. A cursor holds its generation; who keeps an entry's pointers
 * longer than the next ws_put calls ws_hold before reading. Runs stay mapped until the write set is freed.
 * What nobody holds any more, if it is small, is the write set of the connection's next transaction (ws_renew).
 * Beside spill_bytes sorting takes up to 32 bytes a write that waits in one tree, and the filter up to 5.3 MiB a tree.
 * One thread at a time, as the connection it belongs to. */
#ifndef EDB_WRITESET_H
#define EDB_WRITESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "native/skiplist.h"
#include "engine/codes.h"

typedef struct writeset writeset;
typedef struct ws_generation ws_generation;

/* The key is deleted; the key but for its last 8 bytes must be unique; a version is made whatever the key's value is;
 * equal writes of two transactions are no conflict. */
enum { WS_TOMBSTONE = 1, WS_UNIQUE = 2, WS_ALWAYS = 4, WS_AGREES = 8 };

typedef struct {                    /* one write, in a generation's arena or a run's map */
    const uint8_t *key, *value;
    uint32_t key_size, value_size;
    uint32_t tree;
    uint8_t flags;                  /* WS_... */
    uint64_t seq;
    uint64_t seen_from;             /* commit number of the version visible at T, 0: none */
} ws_entry;

int ws_new(uint64_t spill_bytes, writeset **out);
writeset *ws_ref(writeset *ws);
void ws_unref(writeset *ws);
/* If nobody else has it, or entries of it, and it takes little memory, it is made as a new one is. -> false: it is as it was. */
bool ws_renew(writeset *ws);
/* Keeps the entries now in memory where they are, spill or not, until they are released. */
ws_generation *ws_hold(writeset *ws);
void ws_release(ws_generation *held);               /* NULL is fine */
bool ws_is_empty(const writeset *ws);               /* nothing was ever written */
bool ws_has_tree(const writeset *ws, uint32_t tree);    /* something was written to it; cheap */
/* EDB_NOMEM; EDB_FULL and EDB_IO when spilling fails. Nothing is written then, and all earlier writes are there. */
int ws_put(writeset *ws, uint32_t tree, const void *key, size_t key_size, const void *value, size_t value_size,
           unsigned flags, uint64_t seen_from);
uint64_t ws_seq(const writeset *ws);                /* sequence number of the last write */
void ws_rollback(writeset *ws, uint64_t seq);       /* writes after seq never happened */
/* The newest write of the key visible to `seq`. */
bool ws_get(writeset *ws, uint32_t tree, const void *key, size_t key_size, uint64_t seq, ws_entry *out);
/* Whether any write, visible or not, has a key that begins with the prefix: a cheap first question. */
bool ws_has_prefix(writeset *ws, uint32_t tree, const void *prefix, size_t size);
/* Of the keys that begin with the prefix, the newest write of the first that is not deleted. For a write set that was not
 * spilled. */
bool ws_first_in_list(writeset *ws, uint32_t tree, const void *prefix, size_t size, ws_entry *out);
/* Whether a WS_UNIQUE write may have this key, but for its last 8 bytes: cheaper yet. */
bool ws_may_have_unique(writeset *ws, uint32_t tree, const void *prefix, size_t size);

typedef struct ws_cursor ws_cursor;                 /* one tree's visible writes, one entry a key, tombstones included */
int ws_cursor_open(writeset *ws, uint32_t tree, uint64_t seq, ws_cursor **out);
void ws_cursor_close(ws_cursor *wc);
bool ws_cursor_seek(ws_cursor *wc, const void *key, size_t key_size);       /* first >= key; NULL: first */
bool ws_cursor_seek_last(ws_cursor *wc, const void *key, size_t key_size);  /* last <= key; NULL: last */
bool ws_cursor_next(ws_cursor *wc);
bool ws_cursor_prev(ws_cursor *wc);
const ws_entry *ws_cursor_at(const ws_cursor *wc);  /* NULL: past either end */
/* The same, for who has kept the cursor over a rollback: one that stands on a dead write goes to the key's newest that
 * is left, or on in its direction. */
const ws_entry *ws_cursor_refresh(ws_cursor *wc);
/* The trees written to, ascending; -> how many there are (fills up to `room`). Rolled back writes count. */
size_t ws_trees(const writeset *ws, uint32_t *trees, size_t room);
size_t ws_runs(const writeset *ws);                 /* how often it was spilled */

#endif
