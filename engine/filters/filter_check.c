/* I42: no filter denies a key that it promises to have (F1). For the check of a database: the filters of this process, against
 * the trees. Asked about are the keys that lived at the filter's base, those that live now, or at the last commit it knows, and
 * if it knows all of them those that any commit between has written. */
#include <inttypes.h>

#include "engine/filters/filters_internal.h"

typedef struct {
    const key_filter *ag_filter;
    uint64_t ag_denied;
} asking;

static void ask_key(void *arg, const uint8_t *key, uint32_t size)
{
    asking *ag = arg;

    ag->ag_denied += !bloom_may_have(&ag->ag_filter->kf_bloom, key_hash(key, size, ag->ag_filter->kf_numbers));
}

static int ask_living(pager *pg, const tree_state *state, uint64_t moment, asking *ag)
{
    tree_cursor tc;
    int rc = moment < state->ts_born ? EDB_OK : tree_cursor_open(&tc, pg, state, moment);

    if (rc || moment < state->ts_born)
        return rc;
    for (rc = tree_cursor_seek(&tc, NULL, 0); !rc && tc.tc_valid; rc = tree_cursor_next(&tc))
        ask_key(ag, tc.tc_at.key, tc.tc_at.key_size);
    tree_cursor_close(&tc);
    return rc;
}

/* upto: what the filter knew before anything was asked. */
static int ask_all(pager *pg, const tree_state *state, uint64_t upto, asking *ag)
{
    uint64_t base = ag->ag_filter->kf_base, pages;
    bool whole;
    int rc = ask_living(pg, state, base, ag);

    if (!rc && upto > base)
        rc = ask_living(pg, state, upto, ag);
    if (!rc && upto >= state->ts_changed)
        rc = tree_keys_since(pg, state, base, UINT64_MAX, ask_key, ag, &pages, &whole);
    return rc;
}

int filters_check(hooks_home *home, pager *pg, const tree_state *state, uint64_t root, uint64_t *denied)
{
    filter_book *book = book_at(home);
    key_filter *kf = book ? book_filter(book, state->ts_id, state->ts_born) : NULL;
    asking ag = { .ag_filter = kf };
    int rc = EDB_OK;

    if (kf && kf->kf_base <= root) {
        uint64_t upto = atomic_load_explicit(&kf->kf_upto, memory_order_acquire);
        rc = ask_all(pg, state, upto < root ? upto : root, &ag);
    }
    key_filter_unref(kf);
    *denied = ag.ag_denied;
    return rc;
}
