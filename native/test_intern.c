/* Test builds only: the interning table in flat types, and threads that use it at once. */
#ifdef EDB_TEST
#include "native/native_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "native/hash.h"
#include "native/intern.h"

const void *test_intern_put(intern *table, const void *text, size_t size, uint64_t id)
{
    return intern_put(table, text, size, id);
}

const void *test_intern_find(intern *table, const void *text, size_t size)
{
    const intern_entry *entry = NULL;

    return intern_find(table, text, size, &entry) ? entry : NULL;
}

const void *test_intern_find_id(intern *table, uint64_t id)
{
    const intern_entry *entry = NULL;

    return intern_find_id(table, id, &entry) ? entry : NULL;
}

const uint8_t *test_intern_text(const void *entry, size_t *size, uint64_t *id)
{
    const intern_entry *it = entry;

    *size = it->ie_size;
    *id = it->ie_id;
    return (const uint8_t *)it->ie_text;
}

void test_intern_count(const intern *table, uint64_t out[5])
{
    intern_counts counts;

    intern_count(table, &counts);
    out[0] = counts.hits;
    out[1] = counts.misses;
    out[2] = counts.entries;
    out[3] = counts.refused;
    out[4] = counts.bytes;
}

/* ---- threads ---- */

typedef struct {
    intern *ig_table;
    uint64_t ig_texts, ig_seed;
    size_t ig_bytes;
    _Atomic(const intern_entry *) *ig_entries;      /* of each text, as the first thread that saw it found it */
    atomic_uint_fast64_t ig_asked, ig_refused;
    atomic_bool ig_wrong;
} intern_shared;

typedef struct {
    intern_shared *tv_shared;
    unsigned tv_number;         /* of this thread */
    bool tv_writes;
} intern_thread;

enum { TEXT_MAX = 40 };

static size_t text_of(uint64_t i, char *text)
{
    return (size_t)snprintf(text, TEXT_MAX, "%.*s%llu", (int)(i % 17), "a text of the test", (unsigned long long)i);
}

static uint64_t id_of(uint64_t i)
{
    return i * 1000003;
}

/* What was found for text i is right, and the same for all threads for ever. */
static bool suits(intern_shared *shared, uint64_t i, const intern_entry *entry)
{
    const intern_entry *first = NULL;
    char text[TEXT_MAX];
    size_t size = text_of(i, text);

    if (!atomic_compare_exchange_strong_explicit(&shared->ig_entries[i], &first, entry, memory_order_relaxed,
                                                 memory_order_relaxed) && first != entry)
        return false;
    return entry->ie_id == id_of(i) && entry->ie_size == size && !memcmp(entry->ie_text, text, size);
}

static bool one_step(const intern_thread *own, uint64_t i)
{
    intern_shared *shared = own->tv_shared;
    const intern_entry *put = NULL, *entry;
    char text[TEXT_MAX];
    size_t size = text_of(i, text);
    bool there, right = true;

    if (own->tv_writes && !(put = intern_put(shared->ig_table, text, size, id_of(i))))
        atomic_fetch_add_explicit(&shared->ig_refused, 1, memory_order_relaxed);
    if (put)
        right = suits(shared, i, put);
    there = intern_find(shared->ig_table, text, size, &entry);
    right &= there ? suits(shared, i, entry) : !put;
    there = intern_find_id(shared->ig_table, id_of(i), &entry);
    right &= there ? suits(shared, i, entry) : !put;
    atomic_fetch_add_explicit(&shared->ig_asked, 2, memory_order_relaxed);
    return right;
}

static void *put_and_find(void *argument)
{
    const intern_thread *own = argument;
    intern_shared *shared = own->tv_shared;
    uint64_t asked = 0;

    for (uint64_t n = 0; n < 2 * shared->ig_texts; n++) {
        intern_counts counts;
        uint64_t step[3] = { shared->ig_seed, own->tv_number, n };
        /* Near the place where the others are, so that they meet; and anywhere at times. */
        uint64_t random = hash_fast(step, sizeof step, 0), i = n % 4 ? n / 2 + random % 64 : random;
        if (!one_step(own, i % shared->ig_texts))
            atomic_store(&shared->ig_wrong, true);
        if (n % 64)
            continue;
        intern_count(shared->ig_table, &counts);
        if (counts.bytes > shared->ig_bytes || counts.entries > shared->ig_texts || counts.hits + counts.misses < asked)
            atomic_store(&shared->ig_wrong, true);
        asked = counts.hits + counts.misses;
    }
    return NULL;
}

int64_t test_intern_threads(unsigned writers, unsigned readers, uint64_t texts, size_t bytes, uint64_t seed)
{
    enum { MOST = 64 };
    intern_shared shared = { .ig_table = intern_new(bytes), .ig_texts = texts, .ig_seed = seed, .ig_bytes = bytes };
    intern_thread own[MOST];
    pthread_t ids[MOST];
    unsigned started = 0;
    intern_counts counts;
    int64_t kept = -2;

    shared.ig_entries = calloc(texts, sizeof *shared.ig_entries);
    if (!shared.ig_table || !shared.ig_entries || writers + readers > MOST)
        goto out;
    for (; started < writers + readers; started++) {
        own[started] = (intern_thread){ &shared, started, started < writers };
        if (pthread_create(&ids[started], NULL, put_and_find, &own[started]))
            break;
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(ids[i], NULL);
    if (started < writers + readers)
        goto out;
    intern_count(shared.ig_table, &counts);
    kept = (int64_t)counts.entries;
    if (shared.ig_wrong || counts.hits + counts.misses != shared.ig_asked || counts.refused != shared.ig_refused)
        kept = -1;
out:
    free(shared.ig_entries);
    intern_free(shared.ig_table);
    return kept;
}
#else
typedef int test_intern_is_empty;       /* ISO C wants something in a file */
#endif
