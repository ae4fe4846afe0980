/* A skip list (Pugh, "Skip lists: a probabilistic alternative to balanced trees", CACM 1990) with fingers.
 *
 * A node, its links, key and value are one piece of arena memory in that order, so that a comparison usually touches
 * one cache line. Invariants: (1) at each level the nodes ascend by (tree, key, sequence descending); (2) the nodes of
 * a level are some of those below it; (3) a link of a finger belongs to the head or to a node not after fg_node, and
 * is the last such link of its level among the nodes of fg_node's tree and before. (3) may fall behind only by nodes
 * after fg_node, which is why adding walks on from it; nodes are never removed, so no finger dangles. */
#include "skiplist.h"

#include <string.h>

#include "bytes.h"

void skiplist_init(skiplist *list, arena *memory)
{
    memset(list, 0, sizeof *list);
    list->sk_arena = memory;
    list->sk_levels = 1;
    list->sk_random = 0x2545f4914f6cdd1dULL;
}

static inline int compare(uint32_t tree, const uint8_t *key, size_t key_size, const skip_node *node)
{
    size_t common = key_size < node->sn_key_size ? key_size : node->sn_key_size;
    int order;

    if (tree != node->sn_tree)
        return tree < node->sn_tree ? -1 : 1;
    if (common >= 8) {
        uint64_t a = load64be(key), b = load64be(node->sn_key);
        if (a != b)
            return a < b ? -1 : 1;
        order = memcmp(key + 8, node->sn_key + 8, common - 8);
    } else {
        order = common ? memcmp(key, node->sn_key, common) : 0;
    }
    if (order)
        return order;
    return key_size < node->sn_key_size ? -1 : key_size > node->sn_key_size;
}

int skiplist_compare(uint32_t tree, const void *key, size_t key_size, const skip_node *node)
{
    return compare(tree, key, key_size, node);
}

/* A node's height: 1, and one more with chance 1/4 each. */
static int random_height(skiplist *list)
{
    uint64_t x = list->sk_random;       /* xorshift64 (Marsaglia 2003); never 0 */
    int height;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    list->sk_random = x;
    height = 1 + __builtin_ctzll(x | 1ULL << 62) / 2;
    return height < SKIPLIST_LEVELS ? height : SKIPLIST_LEVELS;
}

/* What is looked for: the place before the newest version of a key, or (seq given) before the older ones of it. */
typedef struct {
    uint32_t tree;
    const uint8_t *key;
    size_t key_size;
    uint64_t seq;
} target;

static inline bool is_before(const skip_node *node, const target *t)
{
    int order = compare(t->tree, t->key, t->key_size, node);
    return order > 0 || (order == 0 && node->sn_seq > t->seq);
}

/* The link of each level that leads from before the target to it or behind it. -> the node before it, or NULL. A node
 * found to lie behind the target on one level need not be compared again on the next. */
static skip_node *find(skiplist *list, const target *t, skip_node ***links)
{
    skip_node *before = NULL, *behind = NULL;

    for (int level = list->sk_levels - 1; level >= 0; level--) {
        skip_node **link = before ? &before->sn_next[level] : &list->sk_head[level];
        for (skip_node *next; (next = *link) && next != behind; link = &next->sn_next[level]) {
            if (!is_before(next, t)) {
                behind = next;
                break;
            }
            __builtin_prefetch(next->sn_next[level]);
            before = next;
        }
        links[level] = link;
    }
    return before;
}

/* Whether the target's place is right behind the tree's last addition; if so, brings the finger's links to it for
 * `height` levels. */
static bool find_by_finger(skip_finger *finger, const target *t, int height, skip_node ***links)
{
    const skip_node *next;

    if (!finger->fg_node || finger->fg_node->sn_tree != t->tree || !is_before(finger->fg_node, t))
        return false;
    next = finger->fg_node->sn_next[0];
    if (next && is_before(next, t))
        return false;
    for (int level = 0; level < height; level++) {
        skip_node **link = finger->fg_links[level];
        while (*link && is_before(*link, t))
            link = &(*link)->sn_next[level];
        links[level] = link;
    }
    return true;
}

static skip_node *node_new(skiplist *list, const target *t, int height, const void *value, size_t value_size)
{
    size_t head = sizeof(skip_node) + (size_t)height * sizeof(skip_node *);
    skip_node *node;
    uint8_t *bytes;

    if (t->key_size > UINT32_MAX || value_size > UINT32_MAX)
        return NULL;
    if (!(node = arena_alloc(list->sk_arena, head + t->key_size + value_size)))
        return NULL;
    bytes = (uint8_t *)node + head;
    memset(node, 0, sizeof *node);
    node->sn_seq = t->seq;
    node->sn_tree = t->tree;
    node->sn_key_size = (uint32_t)t->key_size;
    node->sn_value_size = (uint32_t)value_size;
    node->sn_height = (uint8_t)height;
    node->sn_key = bytes;
    node->sn_value = bytes + t->key_size;
    if (t->key_size)
        memcpy(bytes, t->key, t->key_size);
    if (value_size)
        memcpy(bytes + t->key_size, value, value_size);
    return node;
}

skip_node *skiplist_add(skiplist *list, uint32_t tree, const void *key, size_t key_size, uint64_t seq,
                        const void *value, size_t value_size, bool tombstone)
{
    const target t = { tree, key, key_size, seq };
    skip_finger *finger = &list->sk_fingers[tree & (SKIPLIST_FINGERS - 1)];
    skip_node **found[SKIPLIST_LEVELS];
    int height = random_height(list);
    skip_node *node = node_new(list, &t, height, value, value_size);

    if (!node)
        return NULL;
    node->sn_tombstone = tombstone;
    for (; list->sk_levels < height; list->sk_levels++)
        for (int i = 0; i < SKIPLIST_FINGERS; i++)
            list->sk_fingers[i].fg_links[list->sk_levels] = &list->sk_head[list->sk_levels];
    if (!find_by_finger(finger, &t, height, found)) {
        find(list, &t, found);
        memcpy(finger->fg_links, found, (size_t)list->sk_levels * sizeof *found);
    }
    for (int level = 0; level < height; level++) {
        node->sn_next[level] = *found[level];
        *found[level] = node;
        finger->fg_links[level] = &node->sn_next[level];
    }
    finger->fg_node = node;
    list->sk_count++;
    return node;
}

skip_node *skiplist_seek(const skiplist *list, uint32_t tree, const void *key, size_t key_size)
{
    skip_node *before = skiplist_before(list, tree, key, key_size);

    return before ? before->sn_next[0] : list->sk_head[0];
}

skip_node *skiplist_before(const skiplist *list, uint32_t tree, const void *key, size_t key_size)
{
    const target t = { tree, key, key_size, UINT64_MAX };
    skip_node *before = NULL;
    const skip_node *behind = NULL;

    for (int level = list->sk_levels - 1; level >= 0; level--) {
        skip_node *next = before ? before->sn_next[level] : list->sk_head[level];
        for (; next && next != behind; next = next->sn_next[level]) {
            if (!is_before(next, &t)) {
                behind = next;
                break;
            }
            before = next;
        }
    }
    return before;
}
