/* The changes of commits, in order (commit_changes.h). */
#include "engine/entity/commit_changes.h"

#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/txn/reads.h"
#include "engine/txn/txn_internal.h"

#define WINDOW 32768                /* changes; about 4 MB */

int changes_begin(commit_changes *ccs, edb_stmt *stmt, const changes_wanted *wanted)
{
    *ccs = (commit_changes){ .ccs_stmt = stmt, .ccs_wanted = *wanted, .ccs_served = wanted->cx_after };
    if (!ccs->ccs_wanted.cx_window)
        ccs->ccs_wanted.cx_window = WINDOW;
    if (ccs->ccs_wanted.cx_upto > stmt->st_moment)
        ccs->ccs_wanted.cx_upto = stmt->st_moment;
    return tag_trees_find(stmt, &ccs->ccs_tags);
}

void changes_end(commit_changes *ccs)
{
    alike_end(&ccs->ccs_alike);
    free(ccs->ccs_window);
    *ccs = (commit_changes){ .ccs_n = 0 };
}

static int order_changes(const void *a, const void *b)
{
    const commit_change *x = a, *y = b;

    if (x->cc_change.at != y->cc_change.at)
        return x->cc_change.at < y->cc_change.at ? -1 : 1;
    if (x->cc_table->et_id != y->cc_table->et_id)
        return x->cc_table->et_id < y->cc_table->et_id ? -1 : 1;
    if (x->cc_tagging != y->cc_tagging)
        return x->cc_tagging ? 1 : -1;
    return key_compare(x->cc_change.key, x->cc_change.key_size, y->cc_change.key, y->cc_change.key_size);
}

/* The window is full: the changes of the later commits are dropped, and *upto is the last commit left. Those of a single commit stay. */
static int make_room(commit_changes *ccs, uint64_t *upto)
{
    commit_change *window = ccs->ccs_window;
    size_t n = ccs->ccs_n, room = 2 * ccs->ccs_room + 64;

    if (n >= ccs->ccs_wanted.cx_window) {
        qsort(window, n, sizeof *window, order_changes);
        uint64_t last = window[n - 1].cc_change.at, middle = window[n / 2].cc_change.at;
        for (; n && window[n - 1].cc_change.at > (middle < last ? middle : last - 1); n--)
            ;
        if (n) {
            ccs->ccs_n = n;
            *upto = window[n - 1].cc_change.at;
            return EDB_OK;
        }
    }
    commit_change *more = realloc(window, room * sizeof *more);
    if (!more)
        return edb_fail(EDB_NOMEM, "no memory for the %zu changes of a commit", room);
    ccs->ccs_window = more;
    ccs->ccs_room = room;
    return EDB_OK;
}

/* A change of a row, or of a tagging (table NULL). */
static int add_change(commit_changes *ccs, const tree_event *change, const edb_table *table, uint64_t *upto)
{
    commit_change made = { .cc_change = *change, .cc_table = table };
    bool same = false;
    int rc;

    tagging tg;

    if (table ? change->key_size != 8 : !reverse_load(&ccs->ccs_tags, &tg, change->key, change->key_size))
        return edb_fail(EDB_CORRUPT, "a key of %u bytes among the changes of commit %llu", change->key_size,
                        (unsigned long long)change->at);
    if (table) {
        made.cc_id = rowid_load(change->key);
        if (change->had && change->has && ((rc = alike_versions(&ccs->ccs_alike, &change->was, &change->is, &same)) || same))
            return rc;
    } else {
        made.cc_tagging = true;
        made.cc_id = tg.tg_entity;
        if (!(made.cc_table = tables_ever_by_id(ccs->ccs_wanted.cx_tables, tg.tg_type)))
            return EDB_OK;          /* of a table that is not wanted */
        if (change->had && change->has)
            return EDB_OK;          /* the tagging of a row that was tagged already */
    }
    while (ccs->ccs_n == ccs->ccs_room)
        if ((rc = make_room(ccs, upto)) || change->at > *upto)
            return rc;
    ccs->ccs_window[ccs->ccs_n++] = made;
    return EDB_OK;
}

/* The changes of a tree's keys that begin with a prefix; table NULL: of the reverse tree. */
static int add_tree(commit_changes *ccs, uint32_t tree, const edb_table *table, const uint8_t *prefix, size_t size,
                    uint64_t *upto)
{
    edb_stmt *stmt = ccs->ccs_stmt;
    uint8_t high[TAG_TYPE + TAG_ENTITY_MOST];
    const tree_state *state;
    const tree_event *change;
    tree_events changes;
    int rc = stmt_tree(stmt, tree, &state);

    if (rc || !state || state->ts_changed <= ccs->ccs_served)
        return rc;
    if ((rc = tree_events_open(&changes, stmt->st_conn->cn_pager, state, ccs->ccs_served, *upto)))
        return rc;
    memcpy(high, prefix, size);
    size_t high_size = key_behind(high, size);
    rc = tree_events_start(&changes, prefix, size, high_size ? high : NULL, high_size);
    while (!rc && !(rc = tree_events_next(&changes, &change)) && change) {
        if (change->at <= *upto)
            rc = add_change(ccs, change, table, upto);
        tree_events_until(&changes, *upto);
        if (!rc && conn_interrupted(stmt->st_conn))
            rc = edb_fail(EDB_INTERRUPT, "reading the changes of commits was interrupted");
    }
    tree_events_close(&changes);
    return rc;
}

/* The changes of a table's rows, or of the one that is wanted, and then of their tags. */
static int add_table(commit_changes *ccs, const edb_table *table, uint64_t *upto)
{
    bool one = ccs->ccs_wanted.cx_one;
    uint8_t row[8], prefix[TAG_TYPE + TAG_ENTITY_MOST];
    int rc;

    alike_end(&ccs->ccs_alike);
    alike_begin(&ccs->ccs_alike, ccs->ccs_stmt, table);
    rowid_store(row, ccs->ccs_wanted.cx_id);
    rc = add_tree(ccs, table->et_id, table, row, one ? sizeof row : 0, upto);
    if (rc || !ccs->ccs_tags.tt_reverse)
        return rc;
    size_t size = entity_prefix(&ccs->ccs_tags, prefix, table->et_id, ccs->ccs_wanted.cx_id);
    return add_tree(ccs, ccs->ccs_tags.tt_reverse, NULL, prefix, one ? size : TAG_TYPE, upto);
}

/* The next window: the changes of whole commits behind those served. */
static int fill(commit_changes *ccs)
{
    const tables_ever *ever = ccs->ccs_wanted.cx_tables;
    uint64_t upto = ccs->ccs_wanted.cx_upto;
    int rc = EDB_OK;

    ccs->ccs_n = ccs->ccs_i = 0;
    for (size_t i = 0; i < ever->ever_n && !rc; i++)
        rc = add_table(ccs, ever->ever_tables[i], &upto);
    if (rc)
        return rc;
    if (ccs->ccs_n)
        qsort(ccs->ccs_window, ccs->ccs_n, sizeof *ccs->ccs_window, order_changes);
    ccs->ccs_served = upto;
    return EDB_OK;
}

int changes_next(commit_changes *ccs, const commit_change **out)
{
    int rc = EDB_OK;

    *out = NULL;
    while (!rc && ccs->ccs_i == ccs->ccs_n && ccs->ccs_served < ccs->ccs_wanted.cx_upto)
        rc = fill(ccs);
    if (!rc && ccs->ccs_i < ccs->ccs_n)
        *out = &ccs->ccs_window[ccs->ccs_i++];
    return rc;
}
