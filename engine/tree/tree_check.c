/* Walking a whole tree and judging every node: the invariants I12 to I21 of engine/tree/README.md, and of I1 what a file shows:
 * since no page changes while anything refers to it, none is younger than the page that refers to it.
 *
 * Each root is walked from the top. A page reached through the newest entries of current nodes is current, everything
 * else is history; a history page may be reached many times and is judged once. History is referred to by cold ids, and
 * nothing else is (I47). What answers only for moments before the horizon is not entered: it may be gone, or going (I48). */
#include <stdlib.h>

#include "engine/pager/cold.h"
#include "engine/tree/page.h"

typedef struct {
    uint8_t *snp_of;                 /* per page: SEEN_... */
    uint64_t snp_n;
} seen_pages;

typedef struct {
    pager *cw_pager;
    const tree_state *cw_state;
    const tree_checker *cw_checker;
    seen_pages cw_seen[2];          /* those of the file, those in memory */
    seen_pages cw_packed;           /* by their cold ids, the first that is not pruned at 0 */
    uint64_t cw_live;               /* living entries of current leaves */
    uint64_t cw_latest;             /* no version may be younger */
    uint64_t cw_newest;             /* the newest version met */
    page_entry *cw_entries;
    uint8_t *cw_page;               /* scratch: the node built anew */
    bool cw_stopped;
} walk_state;

enum { SEEN_CURRENT = 1, SEEN_HISTORY = 2 };

typedef struct {                    /* the range a current node answers for; high NULL: unbounded */
    const uint8_t *low, *high;
    uint32_t low_size, high_size;
} key_range;

static void breach(walk_state *w, const char *invariant, uint64_t page, const char *sentence)
{
    w->cw_checker->breach(w->cw_checker->arg, invariant, page, sentence);
}

/* What is known of a page, in the file or in memory, or by its cold id when it is packed. */
static int seen_page(walk_state *w, uint64_t page, uint8_t **out)
{
    bool packed = page_is_cold(page);
    seen_pages *sp = packed ? &w->cw_packed : &w->cw_seen[pager_in_memory(page)];
    uint64_t at = packed ? page - COLD_FIRST - w->cw_state->ts_cold.cd_first
                : pager_in_memory(page) ? page - PAGE_IN_MEMORY_FIRST : page;

    if (at >= sp->snp_n) {
        uint64_t pages = at * 2 + 64;
        uint8_t *seen = realloc(sp->snp_of, pages);
        if (!seen)
            return edb_fail(EDB_NOMEM, "no memory to check the file");
        memset(seen + sp->snp_n, 0, pages - sp->snp_n);
        sp->snp_of = seen;
        sp->snp_n = pages;
    }
    *out = sp->snp_of + at;
    return EDB_OK;
}

/* -> whether the page is to be judged: it was not seen before. Of a packed page, of which ref is the cold id, the list of cold ids
 * accounts. */
static int mark(walk_state *w, page_ref ref, int kind, bool history, bool *fresh)
{
    uint8_t *seen;
    int rc = seen_page(w, ref.page, &seen);

    *fresh = false;
    if (rc)
        return rc;
    uint8_t before = *seen, now = history ? SEEN_HISTORY : SEEN_CURRENT;
    if (before && (before != now || !history))
        breach(w, "I14", ref.page, history ? "a current page is entered as history as well"
                                           : "a current page has more than one entry in its parents");
    *seen = before | now;
    *fresh = before == 0;
    if (*fresh && !page_is_cold(ref.page) && w->cw_checker->page(w->cw_checker->arg, ref, kind, history))
        w->cw_stopped = true;
    return EDB_OK;
}

static void check_writer(walk_state *w, uint64_t number, const uint8_t *page, uint64_t latest)
{
    if (load64(page + PH_WRITER) > latest)
        breach(w, "I1", number, "a page was written by a later commit than what refers to it");
}

/* The chain of a large value is shared by all copies of its version and can never change: it counts as history. */
static int check_overflow(walk_state *w, const page_entry *e, uint64_t leaf, uint64_t writer)
{
    page_ref ref = { load64(e->value + 8), load32(e->value + 16) };
    uint64_t left = load64(e->value);

    while (ref.page && left > 0) {
        const uint8_t *page;
        bool fresh;
        int rc = pager_page(w->cw_pager, pager_get_view(w->cw_pager), ref, PAGE_OVERFLOW, &page);
        if (rc != EDB_OK)
            return rc;
        uint8_t *seen;
        if ((rc = seen_page(w, ref.page, &seen)))
            return rc;
        if (!*seen) {
            rc = mark(w, ref, PAGE_OVERFLOW, true, &fresh);
            if (rc != EDB_OK)
                return rc;
            check_writer(w, ref.page, page, writer);
        }
        uint32_t here = load32(page + PH_COUNT);
        if (here == 0 || here > left || here > pager_page_size(w->cw_pager) - OVERFLOW_DATA) {
            breach(w, "I20", ref.page, "a page of a large value holds an impossible number of bytes");
            return EDB_OK;
        }
        left -= here;
        ref = overflow_next(page);
    }
    if (left > 0 || ref.page)
        breach(w, "I20", leaf, "a large value is longer or shorter than its chain of pages");
    return EDB_OK;
}

/* The chain of a version of the leaf that ended before the horizon may be gone, like what became history then. */
static bool chain_passed(const walk_state *w, size_t i)
{
    const page_entry *e = &w->cw_entries[i];

    return !e->newest && e[-1].from <= w->cw_state->ts_horizon && e->from >= w->cw_state->ts_cold.cd_since;
}

static bool same_directories(const uint8_t *a, const uint8_t *b)
{
    unsigned live = page_live(a), dead = page_dead(a);

    if (live != page_live(b) || dead != page_dead(b))
        return false;
    const uint64_t *x = page_live_slots(a), *y = page_live_slots(b);
    for (unsigned i = 0; i < live; i++)
        if (slot_from(x[i]) != slot_from(y[i]))
            return false;
    x += live;
    y += live;
    for (unsigned i = 0; i < dead; i++)
        if (slot_from(x[2 * i]) != slot_from(y[2 * i]) || x[2 * i + 1] != y[2 * i + 1])
            return false;
    return true;
}

/* What can be said of a node by itself. */
static void check_node(walk_state *w, const uint8_t *page, uint64_t number, size_t n)
{
    const page_entry *e = w->cw_entries;
    bool leaf = page_is_leaf(page);
    unsigned fixed = w->cw_state->ts_key_size;
    uint32_t page_size = pager_page_size(w->cw_pager), most = (page_size - TP_SLOTS) / 4;

    if (load32(page + PH_OWNER) != w->cw_state->ts_id)
        breach(w, "I12", number, "a node belongs to another tree");
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += entry_bytes(&e[i], leaf, fixed);
        if (e[i].from > w->cw_newest)
            w->cw_newest = e[i].from;
        int order = i ? key_compare(e[i - 1].key, e[i - 1].key_size, e[i].key, e[i].key_size) : -1;
        if (order > 0 || (order == 0 && e[i - 1].from <= e[i].from)) {
            breach(w, "I13", number, "the entries of a node are not in order");
            return;
        }
        if (e[i].from > w->cw_latest)
            breach(w, "I16", number, "a version is younger than the last commit");
        if (e[i].key_size > tree_key_max(page_size) || entry_bytes(&e[i], leaf, fixed) > most)
            breach(w, "I18", number, "an entry is larger than a quarter of a page");
    }
    if (bytes > page_size - TP_SLOTS) {
        breach(w, "I18", number, "the entries of a node take more than a page: their cells overlap");
        return;
    }
    page_build(w->cw_page, page_size, leaf, page_level(page), w->cw_state->ts_id, fixed, e, n);
    if (!same_directories(page, w->cw_page))
        breach(w, "I13", number, "the directories of a node do not say when its entries ended, or where they stand");
    if (page_newest(page) != page_newest(w->cw_page) || load64(page + TP_OLDEST) != load64(w->cw_page + TP_OLDEST))
        breach(w, "I13", number, "a node's header misstates its newest or oldest version");
}

static bool in_range(const page_entry *e, const key_range *r)
{
    return key_compare(e->key, e->key_size, r->low, r->low_size) >= 0
        && (!r->high || key_compare(e->key, e->key_size, r->high, r->high_size) < 0);
}

typedef struct {                    /* what refers to a page */
    unsigned rfr_above;              /* its level */
    uint64_t rfr_writer;             /* the commit that wrote it */
    uint64_t rfr_until;              /* the moment from which the reference is not followed any more */
    bool rfr_history;
} referrer;

static int check_page(walk_state *w, page_ref ref, const referrer *from, const key_range *range);

static int check_children(walk_state *w, const uint8_t *page, size_t n, const referrer *from)
{
    /* The entries are needed again after the recursion has used the buffer: keep a copy. */
    page_entry *e = malloc(n * sizeof *e);
    if (!e)
        return edb_fail(EDB_NOMEM, "no memory to check the file");
    memcpy(e, w->cw_entries, n * sizeof *e);
    int rc = EDB_OK;
    for (size_t i = 0; i < n && rc == EDB_OK && !w->cw_stopped; i++) {
        if (!e[i].child.page)
            continue;
        key_range range = { .low = e[i].key, .low_size = e[i].key_size };
        for (size_t k = i + 1; k < n; k++)
            if (e[k].newest) {
                range.high = e[k].key;
                range.high_size = e[k].key_size;
                break;
            }
        referrer node = { page_level(page), load64(page + PH_WRITER), from->rfr_until, from->rfr_history || !e[i].newest };
        if (!e[i].newest && e[i - 1].from < node.rfr_until)
            node.rfr_until = e[i - 1].from;
        rc = check_page(w, e[i].child, &node, &range);
    }
    free(e);
    return rc;
}

/* I47, I48. *kept false: nothing is to be seen there, or nothing more. Else the page, and where it is. */
static int check_cold(walk_state *w, page_ref *ref, const referrer *from, bool *kept, const uint8_t **page, uint64_t *held)
{
    const cold_state *cd = &w->cw_state->ts_cold;
    uint64_t index = ref->page - COLD_FIRST;
    cold_element ce;

    *kept = false;
    if (!from->rfr_history) {
        breach(w, "I47", ref->page, "what is current is referred to by a cold id");
        return EDB_OK;
    }
    if (index < cd->cd_first) {
        if (from->rfr_until > w->cw_state->ts_horizon)
            breach(w, "I48", ref->page, "what answers for moments that are kept was pruned");
        return EDB_OK;
    }
    int rc = cold_get(w->cw_pager, cd, index, &ce);
    if (rc == EDB_OK)
        rc = cold_page(w->cw_pager, cd, ref, page, held);
    if (rc != EDB_OK)
        return rc;
    if (ce.cel_tree != w->cw_state->ts_id)
        breach(w, "I47", ref->page, "a cold id is another tree's");
    *kept = ce.cel_commit > w->cw_state->ts_horizon;
    if (*kept && w->cw_checker->cold)
        w->cw_checker->cold(w->cw_checker->arg, index, *held && page_is_leaf(*page) ? page_live(*page) + page_dead(*page) : 0);
    return EDB_OK;
}

/* Before there were cold ids, history was referred to like everything else. */
static void check_not_cold(walk_state *w, page_ref ref, const uint8_t *page, const referrer *from)
{
    uint64_t since = w->cw_state->ts_cold.cd_since;

    if (from->rfr_history && (since <= 1 || load64(page + PH_WRITER) >= since) && !pager_in_memory(ref.page))
        breach(w, "I47", ref.page, "a page that became history has no cold id");
}

/* The page that ref leads to, or that is packed and has ref as its cold id. */
static int judge_page(walk_state *w, page_ref ref, const uint8_t *page, bool cold, const referrer *from, const key_range *range)
{
    bool fresh, history = from->rfr_history;
    int rc;

    if (!cold)
        check_not_cold(w, ref, page, from);
    if ((page[PH_KIND] != PAGE_LEAF && page[PH_KIND] != PAGE_INTERIOR) || page_level(page) >= from->rfr_above
        || load16(page + TP_KEY_SIZE) != w->cw_state->ts_key_size) {
        breach(w, "I12", ref.page, "a node's child is not a node of a lower level with keys of the same size");
        return EDB_OK;
    }
    rc = mark(w, ref, page[PH_KIND], history, &fresh);
    if (rc != EDB_OK || !fresh || w->cw_stopped)
        return rc;
    if (!cold)                      /* history may be moved, and is not referred to anew */
        check_writer(w, ref.page, page, from->rfr_writer);
    size_t n = page_entries(page, w->cw_entries);
    check_node(w, page, ref.page, n);
    if (!history) {
        bool outside = false;
        for (size_t i = 0; i < n; i++)
            outside = outside || !in_range(&w->cw_entries[i], range);
        if (outside)
            breach(w, "I15", ref.page, "a current node holds keys outside its range");
        if (!page_is_leaf(page) && (n == 0 || w->cw_entries[0].key_size != range->low_size
                                    || memcmp(w->cw_entries[0].key, range->low, range->low_size) != 0))
            breach(w, "I19", ref.page, "a current interior node does not begin at its range's low end");
    }
    if (!page_is_leaf(page))
        return check_children(w, page, n, from);
    if (!history)
        w->cw_live += page_live(page);
    for (size_t i = 0; i < n && page_is_cold(ref.page); i++)
        if (w->cw_entries[i].overflow)
            breach(w, "I50", ref.page, "a leaf with a large value in a chain was packed");
    for (size_t i = 0; i < n && rc == EDB_OK; i++)
        if (w->cw_entries[i].overflow && !chain_passed(w, i))
            rc = check_overflow(w, &w->cw_entries[i], ref.page, load64(page + PH_WRITER));
    return rc;
}

static int check_page(walk_state *w, page_ref ref, const referrer *from, const key_range *range)
{
    const uint8_t *page;
    const page_ref id = ref;
    bool cold = page_is_cold(ref.page), kept = true;
    uint64_t held = 0;
    int rc = cold ? check_cold(w, &ref, from, &kept, &page, &held) : pager_page(w->cw_pager, pager_get_view(w->cw_pager), ref, 0, &page);

    if (rc != EDB_OK)
        return rc;
    if (kept)
        rc = judge_page(w, held ? id : ref, page, cold, from, range);
    cold_leave(&w->cw_state->ts_cold, held);
    return rc;
}

static const uint8_t lowest_key[8];

/* The i-th of the old roots, or the root, which is the last. */
static int root_number(walk_state *w, uint64_t i, tree_root *out)
{
    const tree_state *s = w->cw_state;
    const uint8_t *element;

    if (i >= s->ts_roots.ar_count) {
        i -= s->ts_roots.ar_count;
        *out = i < s->ts_n_recent ? s->ts_recent[i] : (tree_root){ s->ts_since, s->ts_root };
        return EDB_OK;
    }
    int rc = array_get(w->cw_pager, &s->ts_roots, TREE_ROOT_SIZE, i, &element);
    if (rc == EDB_OK)
        *out = (tree_root){ load64(element), { load64(element + 8), load32(element + 16) } };
    return rc;
}

static int check_old_roots(walk_state *w, const key_range *all)
{
    uint64_t count = w->cw_state->ts_roots.ar_count + w->cw_state->ts_n_recent;
    tree_root root, after;
    int rc = root_number(w, 0, &root);

    for (uint64_t i = 0; i < count && rc == EDB_OK && !w->cw_stopped; i++, root = after) {
        if ((rc = root_number(w, i + 1, &after)) != EDB_OK)
            return rc;
        if (after.since <= root.since)
            breach(w, "I17", after.root.page, "the roots of a tree do not ascend in time");
        const referrer from = { 256, w->cw_latest, after.since, true };
        rc = check_page(w, root.root, &from, all);
    }
    return rc;
}

static int array_page(void *arg, page_ref ref)
{
    walk_state *w = arg;

    if (w->cw_checker->page(w->cw_checker->arg, ref, PAGE_ARRAY, false))
        w->cw_stopped = true;
    return w->cw_stopped;
}

int tree_check(pager *pg, const tree_state *state, const tree_checker *checker)
{
    walk_state w = { .cw_pager = pg, .cw_state = state, .cw_checker = checker, .cw_latest = pager_published(pg) };
    uint32_t page_size = pager_page_size(pg);

    w.cw_entries = malloc((page_size / SLOT_LIVE + 1) * sizeof *w.cw_entries);
    w.cw_page = aligned_alloc(64, page_size);
    int rc = w.cw_entries && w.cw_page ? EDB_OK : edb_fail(EDB_NOMEM, "no memory to check the file");
    key_range all = { .low = lowest_key, .low_size = state->ts_key_size };
    if (rc == EDB_OK)
        rc = check_page(&w, state->ts_root, &(referrer){ 256, w.cw_latest, FOREVER, false }, &all);
    if (rc == EDB_OK && w.cw_live != state->ts_live)
        breach(&w, "I21", state->ts_root.page, "a tree's count of living entries is wrong");
    if (rc == EDB_OK)
        rc = check_old_roots(&w, &all);
    if (rc == EDB_OK && !w.cw_stopped) {
        int stop = array_walk(pg, &state->ts_roots, array_page, &w);
        rc = w.cw_stopped ? EDB_OK : stop;
    }
    if (rc == EDB_OK && w.cw_newest > state->ts_changed)    /* commits would miss conflicts */
        breach(&w, "I16", state->ts_root.page, "a tree has versions younger than the commit that is said to have changed it last");
    free(w.cw_entries);
    free(w.cw_page);
    free(w.cw_seen[0].snp_of);
    free(w.cw_seen[1].snp_of);
    free(w.cw_packed.snp_of);
    return rc;
}
