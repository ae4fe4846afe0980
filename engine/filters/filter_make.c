/* Filling a filter from the tree, and bringing one up to date.
 *
 * A filter made for a base has the keys that lived at the base, and those that commits since have written: together every key that
 * lived at some commit from the base on. Both are read in the statement's root, which it has pinned. What goes wrong on the
 * way (a damaged page, no memory, an interrupt) is nobody's failure: there is no filter, and whoever looks meets it again. */
#include <string.h>

#include "engine/filters/filters_internal.h"

enum { INTERRUPT_EVERY = 4096 };    /* keys */

static double work_of(uint64_t keys, uint64_t pages)
{
    return (double)keys * WORK_ADD + (double)pages * WORK_PAGE;
}

/* The keys that lived at the base. -> whether all are in. */
static bool fill_living(const filter_question *fq, uint64_t base, filling *fn)
{
    edb_conn *conn = stmt_conn(fq->fq_stmt);
    tree_cursor tc;

    if (tree_cursor_open(&tc, fq->fq_look.lo_pager, &fq->fq_look.lo_tree, base))
        return false;
    int rc = tree_cursor_seek(&tc, NULL, 0);
    while (!rc && tc.tc_valid) {
        filling_key(fn, tc.tc_at.key, tc.tc_at.key_size);
        if (fn->fn_met % INTERRUPT_EVERY == 0 && conn_interrupted(conn))
            break;
        rc = tree_cursor_next(&tc);
    }
    bool whole = !rc && !tc.tc_valid;
    tree_cursor_close(&tc);
    return whole;
}

static bool fill_since(const filter_question *fq, uint64_t since, uint64_t most_pages, filling *fn)
{
    uint64_t pages;
    bool whole;

    return !tree_keys_since(fq->fq_look.lo_pager, &fq->fq_look.lo_tree, since, most_pages, filling_key, fn, &pages, &whole)
           && whole;
}

static key_filter *make(const filter_question *fq, uint64_t base, uint64_t most_keys, double rate, double *work)
{
    const tree_state *state = &fq->fq_look.lo_tree;
    key_filter *kf = key_filter_new(&fq->fq_book->fb_all, state->ts_id, state->ts_key_size == 8, state->ts_born, most_keys, rate,
                                    fq->fq_book->fb_most);
    uint64_t touched = tree_touched, keys;
    filling fn;

    if (!kf)
        return NULL;
    filling_begin(&fn, kf, true);
    bool whole = base < state->ts_born || fill_living(fq, base, &fn);
    filling_end(&fn);
    keys = fn.fn_met;
    filling_begin(&fn, kf, false);
    whole = whole && fill_since(fq, base, UINT64_MAX, &fn);
    filling_end(&fn);
    *work += work_of(keys + fn.fn_met, tree_touched - touched);
    if (!whole) {
        key_filter_unref(kf);
        return NULL;
    }
    kf->kf_base = base;
    atomic_store_explicit(&kf->kf_upto, fq->fq_root, memory_order_release);
    return kf;
}

key_filter *filter_make(const filter_question *fq, uint64_t base, uint64_t most_keys, double rate, double *work)
{
    key_filter *kf;

    *work = 0;
    /* How many keys there were since the base is known once they have been met. */
    for (int i = 0; (kf = make(fq, base, most_keys, rate, work)) && kf->kf_keys > kf->kf_full && i < 8; i++) {
        most_keys = kf->kf_keys > 2 * most_keys ? kf->kf_keys : 2 * most_keys;
        key_filter_unref(kf);
    }
    return kf;
}

bool filter_catch_up(const filter_question *fq, key_filter *kf, uint64_t most_pages, double *work)
{
    uint64_t since = atomic_load_explicit(&kf->kf_upto, memory_order_acquire), touched = tree_touched;
    filling fn;

    filling_begin(&fn, kf, false);
    bool whole = fill_since(fq, since, most_pages, &fn);
    filling_end(&fn);
    if (whole)
        key_filter_upto(kf, fq->fq_root);
    *work = work_of(fn.fn_met, tree_touched - touched);
    return whole;
}
