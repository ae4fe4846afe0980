/* Taking keys, or parts of their values, out of a tree at all moments.
 *
 * Wherever a version of such a key stands, the leaf is written anew: of the current tree with the way above it, of history under
 * its cold id, so that nobody else has to be. In a tree of row ids the leaves are found by their keys (tree_leaves.c); where keys
 * vary, whose key it is only its own bytes tell, and all pages of the tree are looked at. There separators are keys, too: those that
 * are taken get others in their places (tree_erase_separators.c), the same in all nodes, so that order stays.
 *
 * A leaf of history may become empty. A current one does not, unless it is the root: what is taken does not live, and in a current leaf
 * something does. A page never grows but for separators, and then fits or nothing is done.
 *
 * Memory: the entries of one page a level; 48 bytes for each chain of the tree in the list of cold ids; the separators that are taken. */
#include "engine/tree/tree_erasure.h"

#include <stdlib.h>

#include "engine/pager/strip.h"
#include "engine/tree/tree_leaves.h"

static int older_history(const erasure *er)
{
    return edb_fail(EDB_CANNOT, "%s: a part of its history was written by a version without cold ids, and nothing can be erased "
                    "from it; copy the database to a new file", pager_name(er->era_pager));
}

/* ---- one page ------------------------------------------------------------------------------------------------------- */

static int value_reduce(erasure *er, page_entry *e, bool *changed)
{
    const tree_erasing *what = er->era_what;
    size_t size = 0;

    if (e->overflow)
        return erase_chain_reduce(er, e, changed);
    uint8_t *out = arena_alloc(&er->era_page_arena, e->value_size + 1);
    if (!out)
        return erase_no_memory();
    int rc = what->ter_value(what->ter_arg, e->value, e->value_size, out, &size);
    if (rc || (size == e->value_size && !memcmp(out, e->value, size)))
        return rc;
    e->value = out;
    e->value_size = (uint32_t)size;
    *changed = true;
    return EDB_OK;
}

/* -> how many entries of a leaf stay. */
static int leaf_entries(erasure *er, page_entry *e, size_t *n, bool *changed)
{
    bool go = !er->era_what->ter_value;
    size_t kept = 0;
    int rc = EDB_OK;

    for (size_t i = 0; !rc && i < *n; i++) {
        bool meant = erase_is_key(er, e[i].key, e[i].key_size);
        if (meant && go) {
            *changed = true;
            rc = e[i].overflow ? erase_chain_drop(er, &e[i]) : EDB_OK;
            continue;
        }
        if (meant && !e[i].tombstone)
            rc = value_reduce(er, &e[i], changed);
        e[kept++] = e[i];
    }
    *n = kept;
    return rc;
}

static void separators_replace(const erasure *er, page_entry *e, size_t n, bool *changed)
{
    for (size_t i = 0; er->era_n_seps && i < n; i++) {
        const erased_separator *es = erase_separator(er, e[i].key, e[i].key_size);
        if (!es)
            continue;
        e[i].key = es->ers_now;
        e[i].key_size = es->ers_now_size;
        *changed = true;
    }
}

/* Writes the entries in the place of the page at *ref. */
static int page_write(erasure *er, page_ref *ref, const uint8_t *page, page_entry *e, size_t n)
{
    bool leaf = page_is_leaf(page);
    unsigned fixed = er->era_state->ts_key_size;
    uint64_t bytes = 0, at;

    entries_mark(e, n);
    for (size_t i = 0; i < n; i++)
        bytes += entry_bytes(&e[i], leaf, fixed);
    if (bytes > er->era_page_size - TP_SLOTS)
        return edb_fail(EDB_CANNOT, "%s: page %llu is too full for the separators that are to stand in the place of erased ones",
                        pager_name(er->era_pager), (unsigned long long)ref->page);
    uint8_t *copy = aligned_alloc(64, er->era_page_size);
    if (!copy)
        return erase_no_memory();
    page_build(copy, er->era_page_size, leaf, page_level(page), er->era_state->ts_id, fixed, e, n);
    int rc = pager_alloc(er->era_commit, &at);
    if (!rc)
        rc = pager_free(er->era_commit, *ref);
    if (!rc)
        rc = pager_write(er->era_commit, at, copy, ref);
    free(copy);
    return rc;
}

static page_entry *entries_of(const uint8_t *page, size_t *n)
{
    page_entry *e = malloc((page_live(page) + page_dead(page) + 1) * sizeof *e);

    *n = e ? page_entries(page, e) : 0;
    return e;
}

/* ---- history ---------------------------------------------------------------------------------------------------------- */

static int history_is_cold(const erasure *er, const page_entry *e, size_t n, bool history)
{
    for (size_t i = 0; i < n; i++)
        if (e[i].child.page && (history || !e[i].newest) && !page_is_cold(e[i].child.page))
            return older_history(er);
    return EDB_OK;
}

/* Whether an element is a page of history of the tree. What it is that this version does not know, it cannot erase from. */
static int is_page_of(const erasure *er, const cold_element *ce, uint64_t index, bool *out)
{
    bool page = ce->cel_kind == COLD_PAGE || ce->cel_kind == COLD_PACKED;

    *out = page && ce->cel_tree == er->era_state->ts_id;
    if (page || ce->cel_kind == COLD_CHAIN)
        return EDB_OK;
    return edb_fail(EDB_CANNOT, "%s: cold id %llu is of kind %u, from which nothing can be erased", pager_name(er->era_pager),
                    (unsigned long long)index, (unsigned)ce->cel_kind);
}

/* The page of an element, as it is so far. */
static int history_page(erasure *er, uint64_t index, const uint8_t **page, uint64_t *held)
{
    page_ref ref = { COLD_FIRST + index, 0 };

    return cold_page(er->era_pager, pager_commit_cold(er->era_commit), &ref, page, held);
}

/* Writes the entries in the place of the element's page. A strip that it was in is dissolved: a strip is never changed. */
static int element_write(erasure *er, uint64_t index, const uint8_t *page, page_entry *e, size_t n)
{
    cold_element ce;
    int rc = cold_get(er->era_pager, pager_commit_cold(er->era_commit), index, &ce);

    if (!rc && ce.cel_kind == COLD_PACKED && !(rc = strip_dissolve(er->era_commit, index)))
        rc = cold_get(er->era_pager, pager_commit_cold(er->era_commit), index, &ce);
    if (!rc)
        rc = page_write(er, &ce.cel_ref, page, e, n);
    return rc ? rc : cold_set(er->era_commit, index, &ce);
}

static int history_write(erasure *er, uint64_t index)
{
    bool changed = false;
    const uint8_t *page;
    uint64_t held;
    size_t n;
    int rc = history_page(er, index, &page, &held);

    if (rc)
        return rc;
    page_entry *e = entries_of(page, &n);
    if (!e)
        return erase_no_memory();
    arena_reset(&er->era_page_arena);
    if (page_is_leaf(page))
        rc = leaf_entries(er, e, &n, &changed);
    else if (!(rc = history_is_cold(er, e, n, true)))
        separators_replace(er, e, n, &changed);
    if (!rc && changed)
        rc = element_write(er, index, page, e, n);
    cold_leave(pager_commit_cold(er->era_commit), held);
    free(e);
    return rc;
}

typedef struct {
    erasure *fol_er;
    uint64_t *fol_index;
    size_t fol_n, fol_room;
} found_leaves;

static int leaf_found(void *arg, page_ref ref, bool history, const uint8_t *page)
{
    found_leaves *fol = arg;

    (void)page;
    if (!history)
        return EDB_OK;
    if (!page_is_cold(ref.page))
        return older_history(fol->fol_er);
    int rc = list_room((void **)&fol->fol_index, &fol->fol_room, fol->fol_n, sizeof *fol->fol_index);
    if (!rc)
        fol->fol_index[fol->fol_n++] = ref.page - COLD_FIRST;
    return rc;
}

static int history_of_keys(erasure *er)
{
    const tree_erasing *what = er->era_what;
    found_leaves fol = { .fol_er = er };
    int rc = EDB_OK;

    for (size_t i = 0; !rc && i < what->ter_n_keys; i++) {
        er->era_reading.ts_cold = *pager_commit_cold(er->era_commit);
        fol.fol_n = 0;
        rc = tree_leaves_of_key(er->era_pager, &er->era_reading, what->ter_keys[i], 8, leaf_found, &fol);
        for (size_t k = 0; !rc && k < fol.fol_n; k++)
            rc = history_write(er, fol.fol_index[k]);
    }
    free(fol.fol_index);
    return rc;
}

/* Calls fn for each page of history of the tree. */
typedef int (*element_fn)(erasure *er, uint64_t index);

static int each_element(erasure *er, element_fn fn)
{
    const cold_state *cd = pager_commit_cold(er->era_commit);
    uint64_t end = cd->cd_list.ar_count;
    int rc = EDB_OK;

    for (uint64_t i = cd->cd_first; !rc && i < end; i++) {
        cold_element ce;
        rc = cold_get(er->era_pager, pager_commit_cold(er->era_commit), i, &ce);
        bool meant = false;
        if (!rc)
            rc = is_page_of(er, &ce, i, &meant);
        if (!rc && meant)
            rc = fn(er, i);
    }
    return rc;
}

/* ---- the current tree ------------------------------------------------------------------------------------------------ */

/* Whether one of the keys may lie below entry i of a current node. */
static bool may_have(const erasure *er, const page_entry *e, size_t n, size_t i)
{
    const tree_erasing *what = er->era_what;
    size_t next = i + 1, low = 0, high = what->ter_n_keys;

    if (!er->era_state->ts_key_size)
        return true;
    while (next < n && !e[next].newest)
        next++;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(what->ter_keys[middle], e[i].key, 8) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < what->ter_n_keys && (next == n || memcmp(what->ter_keys[low], e[next].key, 8) < 0);
}

static int node_erase(erasure *er, page_ref *ref, unsigned above);

static int children_erase(erasure *er, page_entry *e, size_t n, unsigned level, bool *changed)
{
    int rc = history_is_cold(er, e, n, false);

    for (size_t i = 0; !rc && i < n; i++) {
        page_ref before = e[i].child;
        if (!e[i].newest || !before.page || page_is_cold(before.page) || !may_have(er, e, n, i))
            continue;
        rc = node_erase(er, &e[i].child, level);
        *changed = *changed || e[i].child.page != before.page;
    }
    if (!rc)
        separators_replace(er, e, n, changed);
    return rc;
}

static int node_erase(erasure *er, page_ref *ref, unsigned above)
{
    const uint8_t *page;
    bool changed = false;
    size_t n;
    int rc = node_open(er->era_pager, pager_get_view(er->era_pager), er->era_state, *ref, above, &page);

    if (rc)
        return rc;
    page_entry *e = entries_of(page, &n);
    if (!e)
        return erase_no_memory();
    if (page_is_leaf(page)) {
        arena_reset(&er->era_page_arena);
        rc = leaf_entries(er, e, &n, &changed);
    } else {
        rc = children_erase(er, e, n, page_level(page), &changed);
    }
    if (!rc && changed)
        rc = page_write(er, ref, page, e, n);
    free(e);
    return rc;
}

/* ---- looking at all pages of a tree whose keys vary -------------------------------------------------------------------- */

static int page_look(erasure *er, const uint8_t *page, bool history, erase_page_fn fn, bool below);

static int child_look(erasure *er, page_ref ref, unsigned above, erase_page_fn fn)
{
    const uint8_t *page;
    int rc = node_open(er->era_pager, pager_get_view(er->era_pager), er->era_state, ref, above, &page);

    return rc ? rc : page_look(er, page, false, fn, true);
}

static int page_look(erasure *er, const uint8_t *page, bool history, erase_page_fn fn, bool below)
{
    bool leaf = page_is_leaf(page);
    size_t n;
    page_entry *e = entries_of(page, &n);
    int rc = e ? EDB_OK : erase_no_memory();

    if (!rc && !leaf)
        rc = history_is_cold(er, e, n, history);
    if (!rc)
        rc = fn(er, e, n, leaf);
    for (size_t i = 0; !rc && below && !leaf && i < n; i++)
        if (e[i].newest && e[i].child.page && !page_is_cold(e[i].child.page))
            rc = child_look(er, e[i].child, page_level(page), fn);
    free(e);
    return rc;
}

static int all_look(erasure *er, erase_page_fn fn)
{
    const cold_state *cd = pager_commit_cold(er->era_commit);
    int rc = child_look(er, er->era_state->ts_root, LEVEL_ANY, fn);

    for (uint64_t i = cd->cd_first; !rc && i < cd->cd_list.ar_count; i++) {
        const uint8_t *page;
        cold_element ce;
        rc = cold_get(er->era_pager, cd, i, &ce);
        bool meant = false;
        if (!rc)
            rc = is_page_of(er, &ce, i, &meant);
        if (rc || !meant)
            continue;
        uint64_t held;
        if ((rc = history_page(er, i, &page, &held)))
            continue;
        rc = page_look(er, page, true, fn, false);
        cold_leave(cd, held);
    }
    return rc;
}

static int separators(erasure *er)
{
    int rc = all_look(er, erase_separators_find);

    if (rc || !er->era_n_seps)
        return rc;
    if (!(rc = erase_separators_sort(er)) && !(rc = all_look(er, erase_gaps_find)))
        rc = erase_separators_choose(er);
    return rc;
}

/* ---- the whole --------------------------------------------------------------------------------------------------------- */

static int roots_are_cold(const erasure *er)
{
    const tree_state *state = er->era_state;
    int rc = EDB_OK;

    for (uint32_t i = 0; !rc && i < state->ts_n_recent; i++)
        if (state->ts_recent[i].root.page && !page_is_cold(state->ts_recent[i].root.page))
            rc = older_history(er);
    for (uint64_t i = 0; !rc && i < state->ts_roots.ar_count; i++) {
        const uint8_t *element;
        rc = array_get(er->era_pager, &state->ts_roots, TREE_ROOT_SIZE, i, &element);
        if (!rc && load64(element + 8) && !page_is_cold(load64(element + 8)))
            rc = older_history(er);
    }
    return rc;
}

static int erase(erasure *er)
{
    bool fixed = er->era_state->ts_key_size;
    int rc = roots_are_cold(er);

    if (!rc)
        rc = erase_chains_read(er);
    if (!rc && !fixed)
        rc = separators(er);
    if (!rc)
        rc = fixed ? history_of_keys(er) : each_element(er, history_write);
    if (!rc)
        rc = node_erase(er, &er->era_state->ts_root, LEVEL_ANY);
    return rc ? rc : erase_chains_end(er);
}

int tree_erase(pager_commit *pc, tree_state *state, const tree_erasing *what)
{
    pager *pg = pager_commit_pager(pc);
    erasure er = { .era_commit = pc, .era_pager = pg, .era_state = state, .era_reading = *state, .era_what = what,
                   .era_page_size = pager_page_size(pg) };

    arena_init(&er.era_arena);
    arena_init(&er.era_page_arena);
    er.era_reading.ts_cold = *pager_commit_cold(pc);
    int rc = erase(&er);
    arena_free(&er.era_arena);
    arena_free(&er.era_page_arena);
    free(er.era_chains);
    free(er.era_seps);
    free(er.era_gaps);
    return rc;
}
