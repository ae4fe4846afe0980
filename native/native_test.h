/* The primitives in flat types, for the tests: the header's region becomes part of the binding of a test build.
 *
 * What is declared here is in native_test.c, test_alloc.c, test_bloom.c, test_gallop.c, test_intern.c and test_marshal.c. */
#ifndef EDB_NATIVE_TEST_H
#define EDB_NATIVE_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* cffi: begin */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t size);
uint32_t crc32c_portable(uint32_t crc, const void *bytes, size_t size);
void sha256_of(const void *bytes, size_t size, uint8_t out[32]);
int sha256_choose(int portable);
uint64_t hash_fnv1a(const void *bytes, size_t size);
uint64_t hash_fast(const void *bytes, size_t size, uint64_t seed);
/* The same hash of the bytes, given in pieces of these sizes; what is left comes last. */
void test_sha256_pieces(const uint8_t *bytes, size_t size, const size_t *pieces, size_t n, uint8_t *out);

typedef struct {
    int type;               /* VALUE_... */
    int64_t integer;
    double real;
    const uint8_t *bytes;   /* the caller's; what a function gives back points into its input or scratch */
    size_t size;
} test_value;

size_t test_varint(uint8_t *out, uint64_t v);                   /* -> bytes written */
size_t test_varint_load(const uint8_t *bytes, size_t size, uint64_t *out);      /* -> bytes read, 0 if invalid */

size_t test_key_bound(const test_value *v);
size_t test_key_encode(uint8_t *out, const test_value *v, int collation, bool descending);
size_t test_key_part_size(const uint8_t *key, size_t size, bool descending);
size_t test_key_decode(const uint8_t *key, size_t size, bool descending, bool integral, uint8_t *scratch,
                       test_value *out);
bool test_key_restores(const test_value *v, int collation, bool integral);

size_t test_row_bound(const test_value *values, size_t n);
size_t test_row_encode(uint8_t *out, const test_value *values, size_t n);
/* The row with the flagged columns changed, at most `room` bytes; there are as many values and flags as columns. -> its bytes, -1
 * when the old row is damaged. */
int64_t test_row_replace(const uint8_t *row, size_t size, const test_value *values, const bool *changed, uint8_t *out,
                         size_t room);
/* All columns, at most `room`; -> how many there are, -1 when the row or one of the columns read is damaged. */
int64_t test_row_decode(const uint8_t *row, size_t size, test_value *out, size_t room);

/* Reads a list of tuples of scalars in marshal's format and writes it again, each text as a kept name besides; *out is
 * malloc()ed. -> 0, or MARSHAL_... of what could not be read; -4: no memory. */
int test_marshal(const uint8_t *bytes, size_t size, uint8_t **out, size_t *out_size);
void test_marshal_free(uint8_t *bytes);

/* Reads the bytes as a row and as keys, placed once right behind and once right before memory that may not be touched,
 * every value included: a read outside ends the process. -> readable columns and key parts. -1: no memory. */
int64_t test_hostile(const uint8_t *bytes, size_t size);

typedef struct test_list test_list;
typedef struct skip_node skip_node;
test_list *test_list_new(void);
void test_list_free(test_list *list);
skip_node *test_list_add(test_list *list, uint32_t tree, const void *key, size_t key_size, uint64_t seq,
                         const void *value, size_t value_size, bool tombstone);
skip_node *test_list_seek(const test_list *list, uint32_t tree, const void *key, size_t key_size);
skip_node *test_list_before(const test_list *list, uint32_t tree, const void *key, size_t key_size);
skip_node *test_list_next(const skip_node *node);               /* NULL: the first of no list */
skip_node *test_list_first(const test_list *list);
size_t test_list_count(const test_list *list);
typedef struct {
    uint64_t seq;
    uint32_t tree;
    const uint8_t *key, *value;
    size_t key_size, value_size;
    bool tombstone;
} test_node;
void test_node_get(const skip_node *node, test_node *out);
/* Every level ascends, and its nodes are those of the level below that are high enough. */
bool test_list_sound(const test_list *list);

/* Of a filter of the numbers 0 to n-1, eight bytes each: of how many of the n numbers behind them it says "perhaps"; -1: it
 * says "no" of one that was added. */
int64_t test_filter(uint64_t n);

/* A shape: for a rate, or, if that is 0, for bits a key. */
void test_bloom_shape(uint64_t keys, double rate, double bits, uint64_t *blocks, uint32_t *probes);
double test_bloom_rate(uint64_t blocks, uint32_t probes, uint64_t keys);
/* On 64 * blocks bytes, aligned to 64. `many`: by the functions for many hashes. */
void test_bloom_add(void *memory, uint64_t blocks, uint32_t probes, const uint64_t *hashes, size_t n, bool many);
size_t test_bloom_ask(void *memory, uint64_t blocks, uint32_t probes, const uint64_t *hashes, size_t n, bool *out, bool many);
bool test_bloom_union(void *memory, uint64_t blocks, uint32_t probes, void *from, uint64_t from_blocks,
                      uint32_t from_probes);
void test_bloom_clear(void *memory, uint64_t blocks, uint32_t probes);
/* Adds `keys` keys, which the seed decides; -> of how many of `asked` others it says "perhaps". -1: it denies what was added,
 * -2: no memory. `fnv`: hashes are FNV-1a's of eight bytes, else hash_fast's. */
int64_t test_bloom_needless(uint64_t blocks, uint32_t probes, uint64_t keys, uint64_t asked, uint64_t seed, bool fnv);
/* Threads add and ask at once; -> whether none was denied its own keys, and the bytes are those that one thread makes. */
bool test_bloom_threads(unsigned threads, uint64_t keys, uint64_t seed);

typedef struct intern intern;
intern *intern_new(size_t bytes);
void intern_free(intern *table);
/* Entries, or NULL. */
const void *test_intern_put(intern *table, const void *text, size_t size, uint64_t id);
const void *test_intern_find(intern *table, const void *text, size_t size);
const void *test_intern_find_id(intern *table, uint64_t id);
const uint8_t *test_intern_text(const void *entry, size_t *size, uint64_t *id);
/* hits, misses, entries, refused, bytes */
void test_intern_count(const intern *table, uint64_t out[5]);
/* Threads put and find the same `texts` texts in orders of their own, in a table of at most `bytes`; -> how many it kept.
 * -1: an answer was wrong, an entry moved, or a count is not exact; -2: no memory. */
int64_t test_intern_threads(unsigned writers, unsigned readers, uint64_t texts, size_t bytes, uint64_t seed);

size_t gallop_lower_bound(const int64_t *ids, size_t count, size_t from, int64_t id);
/* List i goes from starts[i] to starts[i + 1] of ids; at most 256 lists. `in_place`: over the memory of the shortest list, or
 * of the first for the difference. `out` gets the result all the same. */
size_t test_gallop_intersect(int64_t *ids, const size_t *starts, size_t k, int64_t *out, bool in_place);
size_t test_gallop_union(int64_t *ids, const size_t *starts, size_t k, int64_t *out);
size_t test_gallop_difference(int64_t *ids, const size_t *starts, int64_t *out, bool in_place);     /* of two lists */

/* Allocations of the given sizes, each filled to its end, aligned and not overlapping, and so again behind a reset; -> whether
 * that held, and arena_takes foretold what each takes. */
bool test_arena(const uint32_t *sizes, size_t n);

/* The nth allocation of this thread from now on fails, and with `on` all behind it; 0: none. How many there were since;
 * blocks that the library has in use. */
void test_alloc_fail(int64_t nth, bool on);
int64_t test_alloc_passed(void);
int64_t test_alloc_live(void);

/* Nanoseconds for one of: 0 crc32c of 8,188 bytes, 1 open a row of six columns and read three, 2 decode a number key,
 * 3 decode a text key, 4 add a random 24-byte key (a million of them), 5 add ascending keys, 6 as 0 without hardware. */
double test_native_speed(int what);
/* cffi: end */

#endif
