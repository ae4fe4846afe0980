/* Separators that are keys which are taken out of a tree, and what stands in their places.
 *
 * A separator is a key that was in the tree when a node was split by key. What takes its place has to divide all other keys as it
 * did, those of all moments: nodes of history were copied from one another, and a child begins where its parent says. So it is
 * chosen once for the tree, between the nearest keys that stay, low and high:
 *
 *     one      the shortest beginning of `high` that is behind `low`. It is never longer than what it replaces.
 *     several, with nothing that stays between them: they need different ones. The shortest key behind `low` that is no beginning of
 *              `high`, made from `low`, with a number behind it.
 *
 * Only bytes of keys that stay are in them. */
#include "engine/tree/tree_erasure.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const erased_separator *x = a, *y = b;

    return key_compare(x->ers_key, x->ers_size, y->ers_key, y->ers_size);
}

/* ---- finding them -------------------------------------------------------------------------------------------------------- */

int erase_separators_find(erasure *er, const page_entry *e, size_t n, bool leaf)
{
    int rc = EDB_OK;

    for (size_t i = 0; !rc && !leaf && i < n; i++) {
        if (!e[i].newest || !erase_is_key(er, e[i].key, e[i].key_size))
            continue;
        rc = list_room((void **)&er->era_seps, &er->era_seps_room, er->era_n_seps, sizeof *er->era_seps);
        if (rc)
            break;
        erased_separator *es = &er->era_seps[er->era_n_seps++];
        *es = (erased_separator){ .ers_key = arena_copy(&er->era_arena, e[i].key, e[i].key_size), .ers_size = e[i].key_size };
        if (!es->ers_key)
            rc = erase_no_memory();
    }
    return rc;
}

int erase_separators_sort(erasure *er)
{
    size_t kept = 1;

    qsort(er->era_seps, er->era_n_seps, sizeof *er->era_seps, compare);
    for (size_t i = 1; i < er->era_n_seps; i++)
        if (compare(&er->era_seps[kept - 1], &er->era_seps[i]))
            er->era_seps[kept++] = er->era_seps[i];
    er->era_n_seps = kept;
    er->era_gaps = calloc(kept + 1, sizeof *er->era_gaps);
    return er->era_gaps ? EDB_OK : erase_no_memory();
}

/* How many of them are before the key. */
static size_t place(const erasure *er, const uint8_t *key, uint32_t key_size)
{
    size_t low = 0, high = er->era_n_seps;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (key_compare(er->era_seps[middle].ers_key, er->era_seps[middle].ers_size, key, key_size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const erased_separator *erase_separator(const erasure *er, const uint8_t *key, uint32_t key_size)
{
    size_t at = place(er, key, key_size);
    const erased_separator *es = &er->era_seps[at];

    return at < er->era_n_seps && es->ers_size == key_size && !memcmp(es->ers_key, key, key_size) ? es : NULL;
}

int erase_gaps_find(erasure *er, const page_entry *e, size_t n, bool leaf)
{
    (void)leaf;
    for (size_t i = 0; i < n; i++) {
        if (!e[i].newest || erase_is_key(er, e[i].key, e[i].key_size))
            continue;
        kept_gap *gap = &er->era_gaps[place(er, e[i].key, e[i].key_size)];
        bool lower = !gap->egp_low || key_compare(e[i].key, e[i].key_size, gap->egp_low, gap->egp_low_size) < 0;
        bool higher = !gap->egp_high || key_compare(e[i].key, e[i].key_size, gap->egp_high, gap->egp_high_size) > 0;
        const uint8_t *copy = lower || higher ? arena_copy(&er->era_arena, e[i].key, e[i].key_size) : NULL;
        if ((lower || higher) && !copy)
            return erase_no_memory();
        if (lower) {
            gap->egp_low = copy;
            gap->egp_low_size = e[i].key_size;
        }
        if (higher) {
            gap->egp_high = copy;
            gap->egp_high_size = e[i].key_size;
        }
    }
    return EDB_OK;
}

/* ---- choosing ------------------------------------------------------------------------------------------------------------ */

typedef struct {                    /* what separators must be behind, and at most */
    const uint8_t *bnd_low, *bnd_high;  /* high NULL: nothing */
    uint32_t bnd_low_size, bnd_high_size;
} bounds;

static uint32_t common(const bounds *b)
{
    uint32_t n = 0, most = b->bnd_low_size < b->bnd_high_size ? b->bnd_low_size : b->bnd_high_size;

    while (n < most && b->bnd_low[n] == b->bnd_high[n])
        n++;
    return n;
}

/* A key behind `low` such that whatever follows it, it stays before `high`. -> its size in `out`, which has room for both sizes and two. 0: there
 * is none. */
static uint32_t base_between(const bounds *b, uint8_t *out)
{
    uint32_t size = b->bnd_low_size, same = b->bnd_high ? common(b) : 0;

    memcpy(out, b->bnd_low, size);
    for (uint32_t i = same + 1; b->bnd_high && i < size; i++)
        if (out[i] < 0xff) {
            out[i]++;
            return i + 1;
        }
    out[size] = 0;
    if (!b->bnd_high || same < size)
        return size + 1;
    for (uint32_t i = size; i < b->bnd_high_size; i++) {        /* low is a beginning of high */
        out[i] = 0;
        if (b->bnd_high[i])
            return i + 1;
    }
    return 0;
}

static int choose_one(erasure *er, erased_separator *es, const bounds *b)
{
    uint32_t size = b->bnd_high ? common(b) + 1 : b->bnd_low_size + 1;
    uint8_t *now = arena_alloc(&er->era_arena, size);

    if (!now)
        return erase_no_memory();
    memcpy(now, b->bnd_high ? b->bnd_high : b->bnd_low, b->bnd_high ? size : size - 1);
    if (!b->bnd_high)
        now[size - 1] = 0;
    es->ers_now = now;
    es->ers_now_size = size;
    return EDB_OK;
}

static int choose_several(erasure *er, erased_separator *es, size_t n, const bounds *b)
{
    uint32_t width = n <= 0xff ? 1 : n <= 0xffff ? 2 : 4;
    uint8_t *base = arena_alloc(&er->era_arena, (size_t)b->bnd_low_size + b->bnd_high_size + 2);
    uint32_t size = base ? base_between(b, base) : 0;

    if (!base)
        return erase_no_memory();
    if (!size || size + width > tree_key_max(er->era_page_size))
        return edb_fail(EDB_CANNOT, "%s: there is no room for separators in the place of erased ones", pager_name(er->era_pager));
    for (size_t i = 0; i < n; i++) {
        uint8_t *now = arena_alloc(&er->era_arena, size + width);
        if (!now)
            return erase_no_memory();
        memcpy(now, base, size);
        for (uint32_t k = 0; k < width; k++)
            now[size + k] = (uint8_t)(i >> 8 * (width - 1 - k));
        es[i].ers_now = now;
        es[i].ers_now_size = size + width;
    }
    return EDB_OK;
}

int erase_separators_choose(erasure *er)
{
    bounds b = { .bnd_low = (const uint8_t *)"" };
    int rc = EDB_OK;

    for (size_t first = 0, end; !rc && first < er->era_n_seps; first = end) {
        const kept_gap *before = &er->era_gaps[first];
        if (before->egp_high) {
            b.bnd_low = before->egp_high;
            b.bnd_low_size = before->egp_high_size;
        }
        for (end = first + 1; end < er->era_n_seps && !er->era_gaps[end].egp_low; end++)
            ;
        b.bnd_high = er->era_gaps[end].egp_low;
        b.bnd_high_size = b.bnd_high ? er->era_gaps[end].egp_low_size : 0;
        rc = end - first == 1 ? choose_one(er, &er->era_seps[first], &b) : choose_several(er, &er->era_seps[first], end - first, &b);
    }
    return rc;
}
