/* Sorting by key; see keysort.h.
 *
 * One step, of keys that agree in their first `depth` bytes: the heads, eight bytes from there on, are read as
 * numbers, 0 for missing bytes. Bytes that all have in common are passed. Then the heads are sorted by one counting pass
 * for each byte in which they differ, the last first (Knuth, "The Art of Computer Programming", volume 3, 5.2.5), and
 * each run of equal heads is a step of its own. Every pass keeps the order of what is equal. Few keys are sorted by
 * insertion, with whole comparisons. */
#include "native/keysort.h"

#include <string.h>

#include "native/bytes.h"
#include "native/keycode.h"

enum { HEAD = 8, FEW = 24, AHEAD = 8 };     /* AHEAD: keys that are fetched before they are needed */

typedef size_t counts[256];

/* A key that has no eight bytes from there on. */
static uint64_t last_head(const keyed_bytes *kv, size_t depth)
{
    uint8_t bytes[HEAD] = { 0 };
    size_t size = kv->kv_key_size, left = size > depth ? size - depth : 0;

    if (left && size >= HEAD)
        return load64be(kv->kv_key + size - HEAD) << 8 * (HEAD - left);
    if (left)
        memcpy(bytes, kv->kv_key + depth, left);
    return load64be(bytes);
}

static inline uint64_t head_at(const keyed_bytes *kv, size_t depth)
{
    return depth + HEAD <= kv->kv_key_size ? load64be(kv->kv_key + depth) : last_head(kv, depth);
}

/* Whether a comes behind b; their keys agree in the first `depth` bytes. */
static inline bool is_behind(const sorted_key *a, const sorted_key *b, size_t depth)
{
    const keyed_bytes *x = a->ks_key, *y = b->ks_key;

    if (a->ks_head != b->ks_head)
        return a->ks_head > b->ks_head;
    if (x->kv_key_size <= depth || y->kv_key_size <= depth)
        return x->kv_key_size > y->kv_key_size;
    return key_compare(x->kv_key + depth, x->kv_key_size - depth, y->kv_key + depth, y->kv_key_size - depth) > 0;
}

static void sort_few(sorted_key *keys, size_t n, size_t depth)
{
    for (size_t i = 1; i < n; i++) {
        const sorted_key moved = keys[i];
        size_t at = i;
        for (; at > 0 && is_behind(&keys[at - 1], &moved, depth); at--)
            keys[at] = keys[at - 1];
        keys[at] = moved;
    }
}

/* Merges, for keys that are the beginning of others: rare. */
static void sort_by_merging(sorted_key *keys, sorted_key *spare, size_t n, size_t depth)
{
    size_t middle = n / 2, i = 0, k = middle, out = 0;

    if (n <= FEW) {
        sort_few(keys, n, depth);
        return;
    }
    sort_by_merging(keys, spare, middle, depth);
    sort_by_merging(keys + middle, spare, n - middle, depth);
    memcpy(spare, keys, n * sizeof *keys);
    while (i < middle || k < n)
        keys[out++] = k == n || (i < middle && !is_behind(&spare[i], &spare[k], depth)) ? spare[i++] : spare[k++];
}

typedef struct {
    uint64_t differ;        /* the bits in which heads differ */
    bool ascending, descending;     /* each is larger, or smaller, than the one before */
} heads_seen;

static heads_seen read_heads(sorted_key *keys, size_t n, size_t depth)
{
    heads_seen seen = { 0, true, true };

    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            __builtin_prefetch(keys[i + AHEAD].ks_key);
        keys[i].ks_head = head_at(keys[i].ks_key, depth);
        if (!i)
            continue;
        seen.differ |= keys[i].ks_head ^ keys[0].ks_head;
        seen.ascending &= keys[i].ks_head > keys[i - 1].ks_head;
        seen.descending &= keys[i].ks_head < keys[i - 1].ks_head;
    }
    return seen;
}

static void turn_round(sorted_key *keys, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        const sorted_key moved = keys[i];
        keys[i] = keys[n - 1 - i];
        keys[n - 1 - i] = moved;
    }
}

/* Of writes in the order of their keys the last comes first, so that all are turned round. */
static bool come_sorted(sorted_key *keys, size_t n, const heads_seen *seen)
{
    if (seen->descending)
        turn_round(keys, n);
    return seen->ascending || seen->descending;
}

static void sort_heads(sorted_key *keys, sorted_key *spare, size_t n, uint64_t differ, counts count)
{
    sorted_key *from = keys, *to = spare, *other;

    for (unsigned byte = 0; byte < HEAD; byte++) {
        size_t place = 0;
        if (!(differ >> 8 * byte & 0xff))
            continue;
        memset(count, 0, sizeof(counts));
        for (size_t i = 0; i < n; i++)
            count[from[i].ks_head >> 8 * byte & 0xff]++;
        for (unsigned value = 0; value < 256; value++) {
            size_t here = count[value];
            count[value] = place;
            place += here;
        }
        for (size_t i = 0; i < n; i++)
            to[count[from[i].ks_head >> 8 * byte & 0xff]++] = from[i];
        other = from;
        from = to;
        to = other;
    }
    if (from != keys)
        memcpy(keys, from, n * sizeof *keys);
}

static bool all_go_on(const sorted_key *keys, size_t n, size_t depth)
{
    for (size_t i = 0; i < n; i++)
        if (keys[i].ks_key->kv_key_size <= depth)
            return false;
    return true;
}

static void sort_step(sorted_key *keys, sorted_key *spare, size_t n, size_t depth, counts count)
{
    heads_seen seen;

    while (!(seen = read_heads(keys, n, depth)).differ) {
        if (!all_go_on(keys, n, depth + HEAD)) {
            sort_by_merging(keys, spare, n, depth);
            return;
        }
        depth += HEAD;
    }
    if (come_sorted(keys, n, &seen))
        return;
    if (seen.differ >> 56 == 0) {
        depth += (unsigned)__builtin_clzll(seen.differ) / 8;
        seen = read_heads(keys, n, depth);
        if (come_sorted(keys, n, &seen))
            return;
    }
    if (n <= FEW) {
        sort_few(keys, n, depth);
        return;
    }
    sort_heads(keys, spare, n, seen.differ, count);
    for (size_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && keys[end].ks_head == keys[first].ks_head;)
            end++;
        if (end - first > 1)
            sort_step(keys + first, spare, end - first, depth + HEAD, count);
    }
}

void keys_sort(sorted_key *keys, sorted_key *spare, size_t n)
{
    counts count;

    if (n > 1)
        sort_step(keys, spare, n, 0, count);
}
