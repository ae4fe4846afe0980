/* Where a full leaf is cut in whose middle keys arrive in order.
 *
 * Keys that arrive in order fill the last leaf of a tree, and that is cut so that its left part stays full. Mostly such runs
 * stand beside each other: in an index over a status or a parent each value has one, and so has each tag in its postings. Where a
 * run is longer than a leaf, a cut in its middle leaves a half that nothing is ever added to. So it is cut behind the run, and
 * a leaf that ends with one keeps as much as it can hold. */
#include "engine/tree/tree_pieces.h"

enum {
    SIGNS_ENOUGH = 3,
    BEFORE_MOST = 4,                /* a quarter of the leaf's entries may stand before the run */
};

static bool only_version(const page_entry *e, size_t n, size_t i)
{
    return e[i].newest && !e[i].tombstone && (i + 1 == n || e[i + 1].newest);
}

static bool new_key(const writer *w, const page_entry *e, size_t n, size_t i)
{
    return e[i].from == w->tw_now && only_version(e, n, i);
}

/* Whether new keys begin .. end continue a run that has the whole leaf before them, or nearly: keys never got older from one to the
 * next. That they did so by chance is ruled out by their getting younger often, or by many new ones. A run that has less of the
 * leaf may end before it fills another. */
static bool continues_run(const page_entry *e, size_t n, size_t begin, size_t end)
{
    size_t signs = end - begin - 1, first = begin;

    while (first > 1 && only_version(e, n, first - 1) && only_version(e, n, first - 2) && e[first - 2].from <= e[first - 1].from) {
        signs += e[first - 2].from < e[first - 1].from;
        first--;
    }
    return signs >= SIGNS_ENOUGH && first <= n / BEFORE_MOST;
}

size_t leaf_run_end(const writer *w, const page_entry *e, size_t n, size_t middle)
{
    size_t begin = middle - 1, end;

    while (begin < n && !new_key(w, e, n, begin))
        begin++;
    for (end = begin; end < n && new_key(w, e, n, end); end++)
        ;
    while (begin > 0 && begin < n && new_key(w, e, n, begin - 1))
        begin--;
    return begin < n && continues_run(e, n, begin, end) ? end : middle;
}
