/* A skip list (Pugh, "Skip lists: a probabilistic alternative to balanced trees", CACM 1990) with fingers.
 *
 * A node, its links, key and value are one piece of arena memory in that order, so that a comparison usually touches
 * one cache line. Invariants: (1) at each level the nodes ascend by (tree, key, sequence descending); (2) the nodes of
 * a level are some of those below it; (3) a link of a finger belongs to the head or to a node not after fg_node, and
 * is the last such link of its level among the nodes of fg_node's tree and before. (3) may fall behind only by nodes
 * after fg_node, which is why adding looks on from it; nodes are never removed, so no finger dangles. */
#include "native/skiplist.h"

#include <string.h>

#include "native/bytes.h"
#include "native/keycode.h"

#define LINK_KEY_BYTES 12

void skiplist_init(skiplist *list, arena *memory)
{
    memset(list, 0, sizeof *list);
    list->sk_arena = memory;
    list->sk_levels = 1;
    list->sk_random = 0x2545f4914f6cdd1dULL;
}

/* Orders two keys whose links are equal: what the links hold is skipped where both keys have it. */
static int compare_rest(const uint8_t *key, size_t key_size, const skip_node *node)
{
    const uint8_t *other = node->nd_head.kv_key;
    size_t other_size = node->nd_head.kv_key_size;

    if (key_size <= LINK_KEY_BYTES || other_size <= LINK_KEY_BYTES)
        return (key_size > other_size) - (key_size < other_size);
    return key_compare(key + LINK_KEY_BYTES, key_size - LINK_KEY_BYTES, other + LINK_KEY_BYTES, other_size - LINK_KEY_BYTES);
}

/* The first 12 bytes of a key as numbers, missing ones 0. They order as the keys do, and are equal for keys that
 * differ only later, or only by 00 bytes at the end. */
static inline skip_link link_make(uint32_t tree, const uint8_t *key, size_t size)
{
    uint8_t head[LINK_KEY_BYTES] = { 0 };
    uint32_t first;

    if (size == 8) {                        /* a row id */
        uint64_t whole = load64be(key);
        return (skip_link){ NULL, (uint64_t)tree << 32 | whole >> 32, whole << 32 };
    }
    if (size)
        memcpy(head, key, size < LINK_KEY_BYTES ? size : LINK_KEY_BYTES);
    memcpy(&first, head, 4);
    return (skip_link){ NULL, (uint64_t)tree << 32 | __builtin_bswap32(first), load64be(head + 4) };
}

int skiplist_compare(uint32_t tree, const void *key, size_t key_size, const skip_node *node)
{
    if (tree != node->nd_tree)
        return tree < node->nd_tree ? -1 : 1;
    return key_compare(key, key_size, node->nd_head.kv_key, node->nd_head.kv_key_size);
}

/* A node's height: 1, and one more with chance 1/4 each, which costs as many comparisons as 1/2 and fewer links. */
static int random_height(skiplist *list)
{
    uint64_t x = list->sk_random;       /* xorshift64 (Marsaglia 2003); never 0 */
    int height;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    list->sk_random = x;
    height = 1 + __builtin_ctzll(x | 1ULL << 63) / 2;
    return height < SKIPLIST_LEVELS ? height : SKIPLIST_LEVELS;
}

/* What is looked for: the place before the newest version of a key, or (seq given) before the older ones of it. */
typedef struct {
    skip_link link;         /* kl_node: unused */
    uint32_t tree;
    const uint8_t *key;
    size_t key_size;
    uint64_t seq;
} target;

static inline target target_make(uint32_t tree, const void *key, size_t key_size, uint64_t seq)
{
    return (target){ link_make(tree, key, key_size), tree, key, key_size, seq };
}

/* Whether the node a link leads to lies before the target. */
static inline bool is_before(const skip_link *link, const target *t)
{
    int order;

    if (link->kl_high != t->link.kl_high)
        return link->kl_high < t->link.kl_high;
    if (link->kl_low != t->link.kl_low)
        return link->kl_low < t->link.kl_low;
    order = compare_rest(t->key, t->key_size, link->kl_node);
    return order > 0 || (order == 0 && link->kl_node->nd_seq > t->seq);
}

/* The last link of each level that starts before the target, in links (if not NULL). -> the node before the target,
 * or NULL. A node found to lie behind the target on one level need not be compared again on the next. */
static inline __attribute__((always_inline))
skip_node *find(const skip_link *head, int levels, const target *t, skip_link **links)
{
    const skip_link *row = head;            /* all links of the node we stand on */
    const skip_node *behind = NULL;
    skip_node *before = NULL;

    for (int level = levels - 1; level >= 0; level--) {
        while (row[level].kl_node && row[level].kl_node != behind) {
            if (!is_before(&row[level], t)) {
                behind = row[level].kl_node;
                break;
            }
            before = row[level].kl_node;
            row = before->nd_links;
        }
        if (links)
            links[level] = (skip_link *)&row[level];
    }
    return before;
}

/* The target's links for `height` levels, looked for from the tree's last addition on; false when that does not lie
 * before the target. Up while a level leads to nodes before the target, then down as always; levels above are looked at
 * one by one, since nodes of other trees may have come between. What is passed is passed by the finger, too. */
static bool find_by_finger(skip_finger *finger, int levels, const target *t, int height, skip_link **links)
{
    const skip_node *last = finger->fg_node;
    skip_link *row = NULL;              /* all links of the node we stand on; NULL: the finger's */
    int top = 0;

    if (!last || last->nd_tree != t->tree)
        return false;
    if (skiplist_compare(t->tree, t->key, t->key_size, last) <= 0)
        return false;       /* also when only the sequence differs: rare, and the search is right for it */
    while (top < levels && finger->fg_links[top]->kl_node && is_before(finger->fg_links[top], t))
        top++;
    for (int level = (top > height ? top : height) - 1; level >= 0; level--) {
        skip_link *link = row && level < top ? &row[level] : finger->fg_links[level];
        while (link->kl_node && is_before(link, t)) {
            row = link->kl_node->nd_links;
            link = &row[level];
        }
        links[level] = finger->fg_links[level] = link;
    }
    return true;
}

static skip_node *node_new(skiplist *list, const target *t, int height, const void *value, size_t value_size)
{
    size_t head = sizeof(skip_node) + (size_t)height * sizeof(skip_link);
    skip_node *node;
    uint8_t *bytes;

    if (t->key_size > UINT32_MAX || value_size > UINT32_MAX)
        return NULL;
    if (!(node = arena_alloc(list->sk_arena, head + t->key_size + value_size)))
        return NULL;
    bytes = (uint8_t *)node + head;
    node->nd_head = (keyed_bytes){ bytes, (uint32_t)t->key_size, (uint32_t)value_size };
    node->nd_seq = t->seq;
    node->nd_from = 0;
    node->nd_height = (uint8_t)height;
    node->nd_tombstone = node->nd_flags = 0;
    node->nd_tree = t->tree;
    if (t->key_size == 8)
        memcpy(bytes, t->key, 8);
    else if (t->key_size)
        memcpy(bytes, t->key, t->key_size);
    if (value_size)
        memcpy(bytes + t->key_size, value, value_size);
    return node;
}

skip_node *skiplist_make(skiplist *list, uint32_t tree, const void *key, size_t key_size, uint64_t seq,
                         const void *value, size_t value_size, bool tombstone)
{
    const target t = { .tree = tree, .key = key, .key_size = key_size, .seq = seq };
    skip_node *node = node_new(list, &t, random_height(list), value, value_size);

    if (node)
        node->nd_tombstone = tombstone;
    return node;
}

void skiplist_link(skiplist *list, skip_node *node)
{
    const target t = target_make(node->nd_tree, node->nd_head.kv_key, node->nd_head.kv_key_size, node->nd_seq);
    skip_finger *finger = &list->sk_fingers[node->nd_tree & (SKIPLIST_FINGERS - 1)];
    skip_link *found[SKIPLIST_LEVELS];
    int height = node->nd_height;

    for (; list->sk_levels < height; list->sk_levels++)
        for (int i = 0; i < SKIPLIST_FINGERS; i++)
            list->sk_fingers[i].fg_links[list->sk_levels] = &list->sk_head[list->sk_levels];
    if (!find_by_finger(finger, list->sk_levels, &t, height, found)) {
        find(list->sk_head, list->sk_levels, &t, found);
        memcpy(finger->fg_links, found, (size_t)list->sk_levels * sizeof *found);
    }
    for (int level = 0; level < height; level++) {
        node->nd_links[level] = *found[level];
        *found[level] = (skip_link){ node, t.link.kl_high, t.link.kl_low };
        finger->fg_links[level] = &node->nd_links[level];
    }
    finger->fg_node = node;
    list->sk_count++;
}

skip_node *skiplist_add(skiplist *list, uint32_t tree, const void *key, size_t key_size, uint64_t seq,
                        const void *value, size_t value_size, bool tombstone)
{
    skip_node *node = skiplist_make(list, tree, key, key_size, seq, value, value_size, tombstone);

    if (node)
        skiplist_link(list, node);
    return node;
}

skip_node *skiplist_seek(const skiplist *list, uint32_t tree, const void *key, size_t key_size)
{
    skip_node *before = skiplist_before(list, tree, key, key_size);

    return before ? skiplist_next(before) : skiplist_first(list);
}

skip_node *skiplist_before(const skiplist *list, uint32_t tree, const void *key, size_t key_size)
{
    const target t = target_make(tree, key, key_size, UINT64_MAX);

    return find(list->sk_head, list->sk_levels, &t, NULL);
}
