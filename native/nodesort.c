/* Sorting nodes by key; see nodesort.h.
 *
 * One step, of nodes whose keys agree in their first `depth` bytes: the heads, eight bytes from there on, are read as
 * numbers, 0 for missing bytes. Bytes that all have in common are passed. Then the heads are sorted by one counting pass
 * for each byte in which they differ, the last first (Knuth, "The Art of Computer Programming", volume 3, 5.2.5), and
 * each run of equal heads is a step of its own. Every pass keeps the order of what is equal, so that the newest of a
 * key stays first. Few nodes are sorted by insertion, with whole comparisons. */
#include "native/nodesort.h"

#include <string.h>

#include "native/bytes.h"
#include "native/keycode.h"

enum { HEAD = 8, FEW = 24, AHEAD = 8 };     /* AHEAD: nodes that are fetched before they are needed */

typedef size_t counts[HEAD][256];

static inline uint64_t head_at(const skip_node *node, size_t depth)
{
    uint8_t bytes[HEAD] = { 0 };
    size_t left = node->nd_key_size > depth ? node->nd_key_size - depth : 0;

    if (left >= HEAD)
        return load64be(node->nd_key + depth);
    if (left)
        memcpy(bytes, node->nd_key + depth, left);
    return load64be(bytes);
}

/* Whether a comes behind b; their keys agree in the first `depth` bytes. */
static inline bool is_behind(const sorted_node *a, const sorted_node *b, size_t depth)
{
    const skip_node *x = a->ns_node, *y = b->ns_node;

    if (a->ns_head != b->ns_head)
        return a->ns_head > b->ns_head;
    if (x->nd_key_size <= depth || y->nd_key_size <= depth)
        return x->nd_key_size > y->nd_key_size;
    return key_compare(x->nd_key + depth, x->nd_key_size - depth, y->nd_key + depth, y->nd_key_size - depth) > 0;
}

static void sort_few(sorted_node *nodes, size_t n, size_t depth)
{
    for (size_t i = 1; i < n; i++) {
        const sorted_node moved = nodes[i];
        size_t at = i;
        for (; at > 0 && is_behind(&nodes[at - 1], &moved, depth); at--)
            nodes[at] = nodes[at - 1];
        nodes[at] = moved;
    }
}

/* Merges, for keys that are the beginning of others: rare. */
static void sort_by_merging(sorted_node *nodes, sorted_node *spare, size_t n, size_t depth)
{
    size_t middle = n / 2, i = 0, k = middle, out = 0;

    if (n <= FEW) {
        sort_few(nodes, n, depth);
        return;
    }
    sort_by_merging(nodes, spare, middle, depth);
    sort_by_merging(nodes + middle, spare, n - middle, depth);
    memcpy(spare, nodes, n * sizeof *nodes);
    while (i < middle || k < n)
        nodes[out++] = k == n || (i < middle && !is_behind(&spare[i], &spare[k], depth)) ? spare[i++] : spare[k++];
}

typedef struct {
    uint64_t differ;        /* the bits in which heads differ */
    bool ascending, descending;     /* each is larger, or smaller, than the one before */
} heads_seen;

static heads_seen read_heads(sorted_node *nodes, size_t n, size_t depth)
{
    heads_seen seen = { 0, true, true };

    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            __builtin_prefetch(nodes[i + AHEAD].ns_node);
        nodes[i].ns_head = head_at(nodes[i].ns_node, depth);
        if (!i)
            continue;
        seen.differ |= nodes[i].ns_head ^ nodes[0].ns_head;
        seen.ascending &= nodes[i].ns_head > nodes[i - 1].ns_head;
        seen.descending &= nodes[i].ns_head < nodes[i - 1].ns_head;
    }
    return seen;
}

static void turn_round(sorted_node *nodes, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        const sorted_node moved = nodes[i];
        nodes[i] = nodes[n - 1 - i];
        nodes[n - 1 - i] = moved;
    }
}

static void sort_heads(sorted_node *nodes, sorted_node *spare, size_t n, uint64_t differ, counts count)
{
    sorted_node *from = nodes, *to = spare, *other;

    memset(count, 0, sizeof(counts));
    for (size_t i = 0; i < n; i++)
        for (unsigned byte = 0; byte < HEAD; byte++)
            count[byte][nodes[i].ns_head >> 8 * byte & 0xff]++;
    for (unsigned byte = 0; byte < HEAD; byte++) {
        size_t place = 0;
        if (!(differ >> 8 * byte & 0xff))
            continue;
        for (unsigned value = 0; value < 256; value++) {
            size_t here = count[byte][value];
            count[byte][value] = place;
            place += here;
        }
        for (size_t i = 0; i < n; i++)
            to[count[byte][from[i].ns_head >> 8 * byte & 0xff]++] = from[i];
        other = from;
        from = to;
        to = other;
    }
    if (from != nodes)
        memcpy(nodes, from, n * sizeof *nodes);
}

static bool all_go_on(const sorted_node *nodes, size_t n, size_t depth)
{
    for (size_t i = 0; i < n; i++)
        if (nodes[i].ns_node->nd_key_size <= depth)
            return false;
    return true;
}

static void sort_step(sorted_node *nodes, sorted_node *spare, size_t n, size_t depth, counts count)
{
    heads_seen seen;

    while (!(seen = read_heads(nodes, n, depth)).differ) {
        if (!all_go_on(nodes, n, depth + HEAD)) {
            sort_by_merging(nodes, spare, n, depth);
            return;
        }
        depth += HEAD;
    }
    if (seen.differ >> 56 == 0) {
        depth += (unsigned)__builtin_clzll(seen.differ) / 8;
        seen = read_heads(nodes, n, depth);
    }
    if (seen.descending)            /* written in the order of their keys, so they come from the last to the first */
        turn_round(nodes, n);
    if (seen.ascending || seen.descending)
        return;
    if (n <= FEW) {
        sort_few(nodes, n, depth);
        return;
    }
    sort_heads(nodes, spare, n, seen.differ, count);
    for (size_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && nodes[end].ns_head == nodes[first].ns_head;)
            end++;
        if (end - first > 1)
            sort_step(nodes + first, spare, end - first, depth + HEAD, count);
    }
}

void nodes_sort(sorted_node *nodes, sorted_node *spare, size_t n)
{
    counts count;

    if (n > 1)
        sort_step(nodes, spare, n, 0, count);
}
