/* What native_test.h declares, but for what has a file of its own; empty outside test builds. */
#ifdef EDB_TEST
#include "native/native_test.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "native/arena.h"
#include "native/crc32c.h"
#include "native/filter.h"
#include "native/keycode.h"
#include "native/rowcode.h"
#include "native/sha256.h"
#include "native/skiplist.h"

void test_sha256_pieces(const uint8_t *bytes, size_t size, const size_t *pieces, size_t n, uint8_t *out)
{
    sha256 sha;
    size_t at = 0;

    sha256_init(&sha);
    for (size_t i = 0; i < n && pieces[i] <= size - at; at += pieces[i++])
        sha256_add(&sha, bytes + at, pieces[i]);
    sha256_add(&sha, bytes + at, size - at);
    sha256_end(&sha, out);
}

static edb_value to_value(const test_value *v)
{
    edb_value value = { .type = v->type };

    if (v->type == VALUE_INTEGER) {
        value.integer = v->integer;
    } else if (v->type == VALUE_REAL) {
        value.real = v->real;
    } else if (v->type != VALUE_NULL) {
        value.bytes = v->bytes;
        value.size = v->size;
    }
    return value;
}

static test_value from_value(const edb_value *v)
{
    test_value value = { .type = v->type };

    if (v->type == VALUE_INTEGER) {
        value.integer = v->integer;
    } else if (v->type == VALUE_REAL) {
        value.real = v->real;
    } else if (v->type != VALUE_NULL) {
        value.bytes = v->bytes;
        value.size = v->size;
    }
    return value;
}

size_t test_varint(uint8_t *out, uint64_t v)
{
    size_t size = (size_t)(varint_store(out, v) - out);

    return size == varint_size(v) ? size : 0;
}

size_t test_varint_load(const uint8_t *bytes, size_t size, uint64_t *out)
{
    const uint8_t *end = varint_load(bytes, bytes + size, out);

    return end ? (size_t)(end - bytes) : 0;
}

size_t test_key_bound(const test_value *v)
{
    edb_value value = to_value(v);

    return key_encode_bound(&value);
}

size_t test_key_encode(uint8_t *out, const test_value *v, int collation, bool descending)
{
    edb_value value = to_value(v);

    return key_encode(out, &value, collation, descending);
}

size_t test_key_part_size(const uint8_t *key, size_t size, bool descending)
{
    return key_part_size(key, size, descending);
}

size_t test_key_decode(const uint8_t *key, size_t size, bool descending, bool integral, uint8_t *scratch,
                       test_value *out)
{
    edb_value value;
    size_t used = key_decode(key, size, descending, integral, scratch, &value);

    if (used)
        *out = from_value(&value);
    return used;
}

bool test_key_restores(const test_value *v, int collation, bool integral)
{
    edb_value value = to_value(v);

    return key_restores(&value, collation, integral);
}

static edb_value *to_values(const test_value *values, size_t n)
{
    edb_value *out = malloc((n + 1) * sizeof *out);

    for (size_t i = 0; out && i < n; i++)
        out[i] = to_value(&values[i]);
    return out;
}

size_t test_row_bound(const test_value *values, size_t n)
{
    edb_value *row = to_values(values, n);
    size_t bound = row ? row_encode_bound(row, n) : 0;

    free(row);
    return bound;
}

size_t test_row_encode(uint8_t *out, const test_value *values, size_t n)
{
    edb_value *row = to_values(values, n);
    size_t size = row ? row_encode(out, row, n) : 0;

    free(row);
    return size;
}

int64_t test_row_replace(const uint8_t *row, size_t size, const test_value *values, const bool *changed, uint8_t *out,
                         size_t room)
{
    row_view view;

    if (row_open(&view, row, size))
        return -1;
    edb_value *new = to_values(values, view.rw_columns);
    size_t bound = new ? row_replace_bound(&view, new, changed) : 0;
    uint8_t *made = malloc(bound);          /* of that size, so that it is seen when more is written */
    size_t n = new && made ? row_replace(made, &view, new, changed) : 0;

    if (n && n <= room)
        memcpy(out, made, n);
    free(made);
    free(new);
    return n && n <= room ? (int64_t)n : -1;
}

int64_t test_row_decode(const uint8_t *row, size_t size, test_value *out, size_t room)
{
    row_view view;

    if (row_open(&view, row, size))
        return -1;
    for (uint32_t i = 0; i < view.rw_columns && i < room; i++) {
        edb_value value;
        if (row_column(&view, i, &value))
            return -1;
        out[i] = from_value(&value);
    }
    return view.rw_columns;
}

/* ---- hostile bytes ---- */

static volatile uint64_t sink;      /* keeps the reads below from being left out */

static void touch(const edb_value *v)
{
    const uint8_t *bytes = v->bytes;

    if (v->type == VALUE_TEXT || v->type == VALUE_BLOB)
        for (size_t i = 0; i < v->size; i++)
            sink += bytes[i];
    else if (v->type != VALUE_NULL)
        sink += (uint64_t)v->integer;
}

static int64_t read_all(const uint8_t *bytes, size_t size, uint8_t *scratch)
{
    int64_t readable = 0;
    row_view view;
    edb_value value = { .type = VALUE_NULL };

    if (!row_open(&view, bytes, size))
        for (uint32_t i = 0; i < view.rw_columns; i++)
            if (!row_column(&view, i, &value)) {
                touch(&value);
                readable++;
            }
    for (int flags = 0; flags < 4; flags++)
        for (size_t at = 0, used; at < size; at += used) {
            used = key_decode(bytes + at, size - at, flags & 1, flags & 2, scratch, &value);
            if (used > size - at)
                abort();
            if (used && key_part_size(bytes + at, size - at, flags & 1) != used)
                abort();        /* both must agree on what is a part */
            if (!used)
                break;
            touch(&value);
            readable++;
        }
    return readable;
}

int64_t test_hostile(const uint8_t *bytes, size_t size)
{
    const size_t page = 4096, room = (size + page) / page * page, whole = room + 2 * page;
    uint8_t *map = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *scratch = malloc(size + 1);
    int64_t readable = -1;

    if (map == MAP_FAILED || !scratch)
        goto out;
    if (mprotect(map, page, PROT_NONE) || mprotect(map + page + room, page, PROT_NONE))
        goto out;
    for (int back = 0; back < 2; back++) {
        uint8_t *place = back ? map + page + room - size : map + page;
        memcpy(place, bytes, size);
        readable = read_all(place, size, scratch);
    }
out:
    if (map != MAP_FAILED)
        munmap(map, whole);
    free(scratch);
    return readable;
}

/* ---- skip list and arena ---- */

struct test_list {
    arena memory;
    skiplist list;
};

test_list *test_list_new(void)
{
    test_list *t = malloc(sizeof *t);

    if (t) {
        arena_init(&t->memory);
        skiplist_init(&t->list, &t->memory);
    }
    return t;
}

void test_list_free(test_list *t)
{
    arena_free(&t->memory);
    free(t);
}

skip_node *test_list_add(test_list *t, uint32_t tree, const void *key, size_t key_size, uint64_t seq,
                         const void *value, size_t value_size, bool tombstone)
{
    return skiplist_add(&t->list, tree, key, key_size, seq, value, value_size, tombstone);
}

skip_node *test_list_seek(const test_list *t, uint32_t tree, const void *key, size_t key_size)
{
    return skiplist_seek(&t->list, tree, key, key_size);
}

skip_node *test_list_before(const test_list *t, uint32_t tree, const void *key, size_t key_size)
{
    return skiplist_before(&t->list, tree, key, key_size);
}

skip_node *test_list_next(const skip_node *node)
{
    return skiplist_next(node);
}

skip_node *test_list_first(const test_list *t)
{
    return skiplist_first(&t->list);
}

size_t test_list_count(const test_list *t)
{
    return t->list.sk_count;
}

void test_node_get(const skip_node *node, test_node *out)
{
    *out = (test_node){ node->nd_seq, node->nd_tree, node->nd_head.kv_key, keyed_value(&node->nd_head), node->nd_head.kv_key_size,
                        node->nd_head.kv_value_size, node->nd_tombstone };
}

bool test_list_sound(const test_list *t)
{
    size_t nodes = 0;

    for (int level = 0; level < SKIPLIST_LEVELS; level++) {
        const skip_node *before = NULL, *below = t->list.sk_head[0].kl_node;
        const skip_node *node = t->list.sk_head[level].kl_node;
        for (; node; before = node, node = node->nd_links[level].kl_node) {
            if (before) {
                int order = skiplist_compare(before->nd_tree, before->nd_head.kv_key, before->nd_head.kv_key_size, node);
                if (order > 0 || (order == 0 && before->nd_seq <= node->nd_seq))
                    return false;
            }
            /* Those passed over on the way at the bottom must be too low for this level. */
            for (; below != node; below = skiplist_next(below))
                if (!below || below->nd_height > level)
                    return false;
            below = skiplist_next(below);
            nodes += level == 0;
        }
        for (; below; below = skiplist_next(below))
            if (below->nd_height > level)
                return false;
    }
    return nodes == t->list.sk_count;
}

int64_t test_filter(uint64_t n)
{
    filter bo = { .bo_levels = 0 };
    int64_t found = 0;

    for (uint64_t i = 0; i < n; i++)
        filter_add(&bo, &i, sizeof i);
    for (uint64_t i = 0; i < 2 * n && found >= 0; i++) {
        bool perhaps = filter_perhaps(&bo, &i, sizeof i);
        if (i < n && !perhaps)
            found = -1;
        else if (i >= n)
            found += perhaps;
    }
    filter_free(&bo);
    return found;
}

static bool arena_holds(arena *a, const uint32_t *sizes, size_t n, uint8_t **places)
{
    bool held = true;

    for (size_t i = 0; held && i < n; i++) {
        size_t foretold = a->an_bytes + arena_takes(a, sizes[i]);
        places[i] = arena_alloc(a, sizes[i]);
        if (!places[i] || a->an_bytes != foretold || (uintptr_t)places[i] % 8)
            held = false;
        else
            memset(places[i], (int)(i & 0xff), sizes[i]);
    }
    for (size_t i = 0; held && i < n; i++)
        for (uint32_t at = 0; at < sizes[i]; at++)
            held &= places[i][at] == (i & 0xff);
    return held;
}

bool test_arena(const uint32_t *sizes, size_t n)
{
    arena a;
    uint8_t **places = calloc(n + 1, sizeof *places);
    bool held = places != NULL;

    arena_init(&a);
    for (int round = 0; held && round < 3; round++) {
        held = arena_holds(&a, sizes, n, places);
        arena_reset(&a);
    }
    arena_free(&a);
    uint64_t room[50];
    arena_init_in(&a, room, sizeof room);
    held = held && arena_holds(&a, sizes, n, places);
    arena_free(&a);
    free(places);
    return held;
}

/* ---- speed ---- */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double speed_crc(uint32_t (*checksum)(uint32_t, const void *, size_t))
{
    static uint8_t page[8192];
    const int rounds = 20000;
    double start = seconds();
    uint32_t crc = 0;

    for (int i = 0; i < rounds; i++)
        crc = checksum(crc, page + 4, sizeof page - 4);
    sink += crc;
    return (seconds() - start) * 1e9 / rounds;
}

static double speed_row(void)
{
    const edb_value values[6] = {
        { VALUE_INTEGER, .integer = 123456 }, { VALUE_TEXT, .bytes = "somebody@example.org", .size = 20 },
        { VALUE_REAL, .real = 2.5 }, { VALUE_NULL, .integer = 0 }, { VALUE_TEXT, .bytes = "a name", .size = 6 },
        { VALUE_INTEGER, .integer = 7 } };

    enum { ROWS = 1000 };
    const int rounds = 1000;
    uint8_t *rows[ROWS];
    size_t size = row_encode_bound(values, 6);
    arena a;
    double start;

    arena_init(&a);
    for (int i = 0; i < ROWS; i++)
        if ((rows[i] = arena_alloc(&a, size)))
            size = row_encode(rows[i], values, 6);
    start = seconds();
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < ROWS; i++) {
            row_view view;
            edb_value v;
            if (row_open(&view, rows[i], size))
                return -1;
            for (uint32_t c = 0; c < 6; c += 2) {
                if (row_column(&view, c, &v))
                    return -1;
                sink += (uint64_t)v.type;
            }
        }
    start = (seconds() - start) * 1e9 / ((double)rounds * ROWS);
    arena_free(&a);
    return start;
}

static double speed_key(const edb_value *value)
{
    enum { KEYS = 1000 };
    const int rounds = 1000;
    static uint8_t keys[KEYS][64];
    uint8_t scratch[64];
    size_t size = 0;
    double start;

    for (int i = 0; i < KEYS; i++)
        size = key_encode(keys[i], value, COLLATE_BINARY, false);
    start = seconds();
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < KEYS; i++) {
            edb_value v;
            if (!key_decode(keys[i], size, false, true, scratch, &v))
                return -1;
            sink += (uint64_t)v.type;
        }
    return (seconds() - start) * 1e9 / ((double)rounds * KEYS);
}

static double speed_list(bool ascending)
{
    const int nodes = 1000000;
    test_list *t = test_list_new();
    uint64_t x = 88172645463325252ULL;
    uint8_t key[24] = { 0 };
    double start = seconds();

    for (int i = 0; t && i < nodes; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        store64be(key, ascending ? (uint64_t)i : x);
        if (!test_list_add(t, 1, key, sizeof key, (uint64_t)i, "twenty bytes of text", 20, false))
            return -1;
    }
    start = (seconds() - start) * 1e9 / nodes;
    if (t)
        test_list_free(t);
    return start;
}

double test_native_speed(int what)
{
    const edb_value number = { VALUE_INTEGER, .integer = 123456789 };
    const edb_value text = { VALUE_TEXT, .bytes = "somebody@example.org", .size = 20 };

    switch (what) {
    case 0:
        return speed_crc(crc32c);
    case 1:
        return speed_row();
    case 2:
        return speed_key(&number);
    case 3:
        return speed_key(&text);
    case 4:
    case 5:
        return speed_list(what == 5);
    default:
        return speed_crc(crc32c_portable);
    }
}
#else
typedef int native_test_is_empty;       /* ISO C wants something in a file */
#endif
