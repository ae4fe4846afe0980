/* What cursors of a SERIALIZABLE transaction walk, noted walk by walk and not row by row.
 *
 * A walk begins with a seek and ends with the next seek, a turn, or the end of the cursor. Between its start and where
 * the cursor stands then, it has seen every key and every gap: that is one range. A caller who wants less than up to
 * where the cursor stopped (the first key behind a range is not of interest) says so with cursor_bounds().
 *
 * At COMMIT walks under way are noted up to where they stand. A watch belongs to its cursor; the transaction only lists
 * it, and lets go of it when it ends before the cursor does. */
#include <stdlib.h>
#include <string.h>

#include "engine/txn/txn_internal.h"
#include "engine/txn/ws_run.h"

typedef struct {
    uint8_t *kb_bytes;              /* owned */
    size_t kb_size, kb_room;
    bool kb_set;
} key_buffer;

struct read_watch {
    readset *rw_reads;              /* NULL: its transaction has ended */
    struct read_watch *rw_next, **rw_back;
    const edb_cursor *rw_cursor;
    uint32_t rw_tree;
    bool rw_fixed;
    bool rw_walking, rw_forward;
    bool rw_lost;                   /* memory ran out: the whole tree counts as read */
    key_buffer rw_start;            /* not set: from the first, or the last, of all */
    key_buffer rw_low, rw_high;     /* bounds, high excluded; not set: none */
};

static void unlink_watch(struct read_watch *rw)
{
    if (!rw->rw_reads)
        return;
    if ((*rw->rw_back = rw->rw_next))
        rw->rw_next->rw_back = rw->rw_back;
    rw->rw_reads = NULL;
}

static void keep(struct read_watch *rw, key_buffer *kb, const void *key, size_t size)
{
    kb->kb_set = key;
    if (!key)
        return;
    if (!kb->kb_bytes || kb->kb_room < size) {
        uint8_t *bytes = realloc(kb->kb_bytes, size + 64);
        if (!bytes) {
            rw->rw_lost = true;
            return;
        }
        kb->kb_bytes = bytes;
        kb->kb_room = size + 64;
    }
    if (size)
        memmove(kb->kb_bytes, key, size);
    kb->kb_size = size;
}

void watch_new(edb_cursor *cu, uint32_t tree, bool fixed)
{
    readset *rs = cu->cu_stmt->st_reads;
    struct read_watch *rw = calloc(1, sizeof *rw);

    if (!rw) {
        reads_tree(rs, tree, fixed);
        return;
    }
    rw->rw_reads = rs;
    rw->rw_cursor = cu;
    rw->rw_tree = tree;
    rw->rw_fixed = fixed;
    if ((rw->rw_next = rs->rs_watches))
        rw->rw_next->rw_back = &rw->rw_next;
    rw->rw_back = &rs->rs_watches;
    rs->rs_watches = rw;
    cu->cu_watch = rw;
}

/* The walk from its start to where the cursor stands, within the bounds, as one range. */
static void note(const struct read_watch *rw)
{
    const edb_cursor *cu = rw->rw_cursor;
    const void *low = NULL, *high = NULL;
    size_t low_size = 0, high_size = 0;
    bool through = true;

    if (rw->rw_lost) {
        reads_tree(rw->rw_reads, rw->rw_tree, rw->rw_fixed);
        return;
    }
    if (rw->rw_start.kb_set) {
        *(rw->rw_forward ? &low : &high) = rw->rw_start.kb_bytes;
        *(rw->rw_forward ? &low_size : &high_size) = rw->rw_start.kb_size;
    }
    if (cu->valid) {
        *(rw->rw_forward ? &high : &low) = cu->at.key;
        *(rw->rw_forward ? &high_size : &low_size) = cu->at.key_size;
    }
    if (rw->rw_low.kb_set && (!low || key_compare(rw->rw_low.kb_bytes, rw->rw_low.kb_size, low, low_size) > 0)) {
        low = rw->rw_low.kb_bytes;
        low_size = rw->rw_low.kb_size;
    }
    if (rw->rw_high.kb_set && (!high || key_compare(high, high_size, rw->rw_high.kb_bytes, rw->rw_high.kb_size) >= 0)) {
        high = rw->rw_high.kb_bytes;
        high_size = rw->rw_high.kb_size;
        through = false;
    }
    reads_range(rw->rw_reads, rw->rw_tree, rw->rw_fixed, low, low_size, high, high_size, through);
}

void watch_end(edb_cursor *cu)
{
    struct read_watch *rw = cu->cu_watch;

    if (rw->rw_walking && rw->rw_reads)
        note(rw);
    rw->rw_walking = false;
}

void watch_begin(edb_cursor *cu, bool forward, const void *key, size_t key_size)
{
    struct read_watch *rw = cu->cu_watch;

    keep(rw, &rw->rw_start, key, key_size);     /* it may be where the cursor stands */
    rw->rw_forward = forward;
    rw->rw_low.kb_set = rw->rw_high.kb_set = false;
    rw->rw_walking = true;
}

void cursor_bounds(edb_cursor *cu, const void *low, size_t low_size, const void *high, size_t high_size)
{
    if (!cu->cu_watch)
        return;
    keep(cu->cu_watch, &cu->cu_watch->rw_low, low, low_size);
    keep(cu->cu_watch, &cu->cu_watch->rw_high, high, high_size);
}

void watch_free(edb_cursor *cu)
{
    struct read_watch *rw = cu->cu_watch;

    watch_end(cu);
    unlink_watch(rw);
    free(rw->rw_start.kb_bytes);
    free(rw->rw_low.kb_bytes);
    free(rw->rw_high.kb_bytes);
    free(rw);
    cu->cu_watch = NULL;
}

void watches_note(readset *rs)
{
    for (const struct read_watch *rw = rs->rs_watches; rw; rw = rw->rw_next)
        if (rw->rw_walking)
            note(rw);
}

void watches_leave(readset *rs)
{
    while (rs->rs_watches)
        unlink_watch(rs->rs_watches);
}
