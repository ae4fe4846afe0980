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
    readset *wa_reads;              /* NULL: its transaction has ended */
    struct read_watch *wa_next, **wa_back;
    const edb_cursor *wa_cursor;
    uint32_t wa_tree;
    bool wa_fixed;
    bool wa_walking, wa_forward;
    bool wa_lost;                   /* memory ran out: the whole tree counts as read */
    key_buffer wa_start;            /* not set: from the first, or the last, of all */
    key_buffer wa_low, wa_high;     /* bounds, high excluded; not set: none */
};

static void unlink_watch(struct read_watch *rw)
{
    if (!rw->wa_reads)
        return;
    if ((*rw->wa_back = rw->wa_next))
        rw->wa_next->wa_back = rw->wa_back;
    rw->wa_reads = NULL;
}

static void keep(struct read_watch *rw, key_buffer *kb, const void *key, size_t size)
{
    kb->kb_set = key;
    if (!key)
        return;
    if (!kb->kb_bytes || kb->kb_room < size) {
        uint8_t *bytes = realloc(kb->kb_bytes, size + 64);
        if (!bytes) {
            rw->wa_lost = true;
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
    rw->wa_reads = rs;
    rw->wa_cursor = cu;
    rw->wa_tree = tree;
    rw->wa_fixed = fixed;
    if ((rw->wa_next = rs->rs_watches))
        rw->wa_next->wa_back = &rw->wa_next;
    rw->wa_back = &rs->rs_watches;
    rs->rs_watches = rw;
    cu->cu_watch = rw;
}

/* The walk from its start to where the cursor stands, within the bounds, as one range. */
static void note(const struct read_watch *rw)
{
    const edb_cursor *cu = rw->wa_cursor;
    const void *low = NULL, *high = NULL;
    size_t low_size = 0, high_size = 0;
    bool through = true;

    if (rw->wa_lost) {
        reads_tree(rw->wa_reads, rw->wa_tree, rw->wa_fixed);
        return;
    }
    if (rw->wa_start.kb_set) {
        *(rw->wa_forward ? &low : &high) = rw->wa_start.kb_bytes;
        *(rw->wa_forward ? &low_size : &high_size) = rw->wa_start.kb_size;
    }
    if (cu->valid) {
        *(rw->wa_forward ? &high : &low) = cu->at.key;
        *(rw->wa_forward ? &high_size : &low_size) = cu->at.key_size;
    }
    if (rw->wa_low.kb_set && (!low || key_compare(rw->wa_low.kb_bytes, rw->wa_low.kb_size, low, low_size) > 0)) {
        low = rw->wa_low.kb_bytes;
        low_size = rw->wa_low.kb_size;
    }
    if (rw->wa_high.kb_set && (!high || key_compare(high, high_size, rw->wa_high.kb_bytes, rw->wa_high.kb_size) >= 0)) {
        high = rw->wa_high.kb_bytes;
        high_size = rw->wa_high.kb_size;
        through = false;
    }
    reads_range(rw->wa_reads, rw->wa_tree, rw->wa_fixed, low, low_size, high, high_size, through);
}

void watch_end(edb_cursor *cu)
{
    struct read_watch *rw = cu->cu_watch;

    if (rw->wa_walking && rw->wa_reads)
        note(rw);
    rw->wa_walking = false;
}

void watch_begin(edb_cursor *cu, bool forward, const void *key, size_t key_size)
{
    struct read_watch *rw = cu->cu_watch;

    keep(rw, &rw->wa_start, key, key_size);     /* it may be where the cursor stands */
    rw->wa_forward = forward;
    rw->wa_low.kb_set = rw->wa_high.kb_set = false;
    rw->wa_walking = true;
}

void cursor_bounds(edb_cursor *cu, const void *low, size_t low_size, const void *high, size_t high_size)
{
    if (!cu->cu_watch)
        return;
    keep(cu->cu_watch, &cu->cu_watch->wa_low, low, low_size);
    keep(cu->cu_watch, &cu->cu_watch->wa_high, high, high_size);
}

void watch_free(edb_cursor *cu)
{
    struct read_watch *rw = cu->cu_watch;

    watch_end(cu);
    unlink_watch(rw);
    free(rw->wa_start.kb_bytes);
    free(rw->wa_low.kb_bytes);
    free(rw->wa_high.kb_bytes);
    free(rw);
    cu->cu_watch = NULL;
}

void watches_note(readset *rs)
{
    for (const struct read_watch *rw = rs->rs_watches; rw; rw = rw->wa_next)
        if (rw->wa_walking)
            note(rw);
}

void watches_leave(readset *rs)
{
    while (rs->rs_watches)
        unlink_watch(rs->rs_watches);
}
