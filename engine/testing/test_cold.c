/* Test builds only: packs of pages that Python has, and the counts of buffers and of the cache. */
#ifdef EDB_TEST

#include <stdlib.h>
#include <time.h>

#include "engine/testing/edb_test.h"
#include "engine/cache/buffers.h"
#include "engine/cache/page_cache.h"
#include "engine/cold/pack.h"
#include "engine/tree/page.h"

static const pack_name name = { "a test", 7 };

uint64_t test_pack_bound(unsigned n, uint32_t page_size)
{
    return pack_bound(n, page_size);
}

/* The pages copied to where pages may lie. */
static int pages_copy(const uint8_t *pages, unsigned n, uint32_t page_size, uint8_t **block, const uint8_t **at)
{
    *block = aligned_alloc(64, ((size_t)n * page_size + 63) & ~(size_t)63);
    if (!*block)
        return EDB_NOMEM;
    memcpy(*block, pages, (size_t)n * page_size);
    for (unsigned i = 0; i < n; i++) {
        at[i] = *block + (size_t)i * page_size;
        pager_validator valid = at[i][PH_KIND] < 8 ? pager_validators[at[i][PH_KIND]] : NULL;
        if (valid && !valid(at[i], page_size)) {
            free(*block);
            return edb_fail(EDB_CORRUPT, "page %u of the test is impossible", i);
        }
    }
    return EDB_OK;
}

int test_pack(const uint8_t *pages, unsigned n, uint32_t page_size, int level, uint8_t *out, size_t *size)
{
    uint8_t *block;
    const uint8_t *at[PACK_PAGES_MOST];
    pack_writer *pw = NULL;
    int rc = pages_copy(pages, n, page_size, &block, at);

    if (rc != EDB_OK)
        return rc;
    rc = pack_writer_new(&pw);
    if (rc == EDB_OK)
        rc = pack_pages(pw, at, n, page_size, level, out, size);
    pack_writer_free(pw);
    free(block);
    return rc;
}

int test_unpack(const uint8_t *pack, size_t size, uint32_t page_size, int i, uint64_t number, uint8_t *out, unsigned *n)
{
    pack_reader *pr;
    uint8_t *page = aligned_alloc(64, PAGE_SIZE_MAX);
    uint8_t *bytes = malloc(size ? size : 1);       /* exactly so many, for a sanitizer */
    int rc = page && bytes ? pack_reader_take(&pr) : EDB_NOMEM;

    if (rc != EDB_OK) {
        free(page);
        free(bytes);
        return rc;
    }
    if (size)
        memcpy(bytes, pack, size);
    rc = pack_open(pr, name, bytes, size, page_size, n);
    free(bytes);
    for (unsigned j = 0; rc == EDB_OK && j < *n; j++) {
        if (i >= 0 && j != (unsigned)i)
            continue;
        rc = pack_page(pr, j, number + j, page);
        if (rc == EDB_OK)
            memcpy(out + (i < 0 ? (size_t)j * page_size : 0), page, page_size);
    }
    pack_reader_give(pr);
    free(page);
    return rc;
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int test_pack_speed(const uint8_t *pages, unsigned n, uint32_t page_size, int level, unsigned times, double *pack,
                    double *unpack, double *one_of_open)
{
    uint8_t *block = NULL, *page = aligned_alloc(64, page_size), *out = malloc(pack_bound(n, page_size));
    const uint8_t *at[PACK_PAGES_MOST];
    size_t size = 0;
    pack_writer *pw = NULL;
    pack_reader *pr = NULL;
    unsigned got;
    int rc = page && out ? pages_copy(pages, n, page_size, &block, at) : EDB_NOMEM;

    if (rc == EDB_OK)
        rc = pack_writer_new(&pw);
    if (rc == EDB_OK)
        rc = pack_reader_take(&pr);
    double begun = now();
    for (unsigned i = 0; rc == EDB_OK && i < times; i++)
        rc = pack_pages(pw, at, n, page_size, level, out, &size);
    *pack = now() - begun;
    begun = now();
    for (unsigned i = 0; rc == EDB_OK && i < times; i++)
        rc = pack_unpack(name, out, size, page_size, i % n, 1, page);
    *unpack = now() - begun;
    if (rc == EDB_OK)
        rc = pack_open(pr, name, out, size, page_size, &got);
    begun = now();
    for (unsigned i = 0; rc == EDB_OK && i < times; i++)
        rc = pack_page(pr, i % n, 1, page);
    *one_of_open = now() - begun;
    pack_reader_give(pr);
    pack_writer_free(pw);
    free(block);
    free(page);
    free(out);
    return rc;
}

static bool same_entry(const page_entry *a, const page_entry *b)
{
    return entry_same_key(a, b) && a->from == b->from && a->tombstone == b->tombstone && a->overflow == b->overflow
           && a->newest == b->newest && a->child.page == b->child.page && a->child.tag == b->child.tag
           && a->value_size == b->value_size && (!a->value_size || memcmp(a->value, b->value, a->value_size) == 0);
}

int64_t test_same_node(const uint8_t *a, const uint8_t *b)
{
    unsigned n = page_live(a) + page_dead(a);
    /* Kind, level, writer, owner, numbers of entries, newest and oldest, size of keys. */
    static const uint8_t fields[][2] = { { PH_KIND, 4 }, { PH_WRITER, 16 }, { TP_NEWEST, 16 }, { TP_KEY_SIZE, 2 } };
    page_entry *x = calloc(2 * (size_t)n + 2, sizeof *x), *y = x + n + 1;
    int64_t same = x ? 0 : -1;

    for (unsigned i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (memcmp(a + fields[i][0], b + fields[i][0], fields[i][1]) != 0)
            same = -1;
    if (same == 0) {
        page_entries(a, x);
        page_entries(b, y);
        while ((unsigned)same < n && same_entry(&x[same], &y[same]))
            same++;
        if ((unsigned)same < n)
            same = -1;
    }
    free(x);
    return same;
}

int test_node_make(uint8_t *out, uint32_t page_size, bool leaf, unsigned level, uint32_t owner, unsigned fixed,
                   uint64_t writer, const uint8_t *batch, size_t n)
{
    page_entry *e = calloc(n + 1, sizeof *e);
    uint8_t *page = aligned_alloc(64, page_size);
    uint64_t bytes = TP_SLOTS;

    if (!e || !page) {
        free(e);
        free(page);
        return EDB_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        e[i] = (page_entry){
            .tombstone = batch[0] & 1, .overflow = batch[0] & 2, .from = load64(batch + 1),
            .child = { load64(batch + 9), load32(batch + 17) }, .key_size = load32(batch + 21),
            .value_size = load32(batch + 25), .key = batch + 29,
        };
        e[i].value = e[i].key + e[i].key_size;
        batch = e[i].value + e[i].value_size;
    }
    entries_mark(e, n);
    for (size_t i = 0; i < n; i++)
        bytes += entry_bytes(&e[i], leaf, fixed);
    int rc = bytes <= page_size ? EDB_OK : EDB_TOOBIG;
    if (rc == EDB_OK) {
        page_build(page, page_size, leaf, level, owner, fixed, e, n);
        store64(page + PH_WRITER, writer);
        store32(page + PH_CHECKSUM, page_checksum(page, page_size));
        memcpy(out, page, page_size);
    }
    free(e);
    free(page);
    return rc;
}

_Static_assert(sizeof(test_buffer_counts) == sizeof(buffer_counts), "the same fields");
_Static_assert(sizeof(test_cache_counts) == sizeof(cache_counts), "the same fields");

void test_buffers(test_buffer_counts *out)
{
    buffer_counts counts;

    buffers_count(&counts);
    memcpy(out, &counts, sizeof *out);
}

void test_cache_count(test_cache_counts *out)
{
    cache_counts counts;

    cache_count(&counts);
    memcpy(out, &counts, sizeof *out);
}

#endif
