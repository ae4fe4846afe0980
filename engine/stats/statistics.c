/* What is kept of statistics, by the process for each open database, and when it is taken anew. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "native/hash.h"
#include "engine/stats/stats_internal.h"
#include "engine/txn/hooks.h"

struct stats_book {                 /* open addressing; a power of two of records */
    pthread_mutex_t sb_mutex;
    size_t sb_used, sb_room;
    stats_record *sb_records;
    uint64_t sb_schema;             /* of the catalog that sb_tree was looked up in */
    uint32_t sb_tree;
};

static void record_clear(stats_record *sm)
{
    free(sm->sm_groups);
    free(sm->sm_values);
    arena_free(&sm->sm_memory);
    sm->sm_groups = NULL;
    sm->sm_values = NULL;
    sm->sm_n = 0;
}

static void book_free(void *data)
{
    stats_book *book = data;

    for (size_t i = 0; i < book->sb_room; i++)
        if (book->sb_records[i].sm_used)
            record_clear(&book->sb_records[i]);
    free(book->sb_records);
    pthread_mutex_destroy(&book->sb_mutex);
    free(book);
}

static void *book_new(void)
{
    stats_book *book = calloc(1, sizeof *book);

    if (book)
        pthread_mutex_init(&book->sb_mutex, NULL);
    return book;
}

static txn_hooks stats_hooks = { .hk_name = "statistics", .hk_db_make = book_new, .hk_db_free = book_free };

__attribute__((constructor)) static void stats_register(void)
{
    hooks_register(&stats_hooks);
}

static stats_record *book_place(stats_record *records, size_t room, stats_key key)
{
    size_t i = hash_fast(&key, sizeof key, 0) & (room - 1);

    while (records[i].sm_used && memcmp(&records[i].sm_key, &key, sizeof key) != 0)
        i = (i + 1) & (room - 1);
    return &records[i];
}

static bool book_grow(stats_book *book)
{
    size_t room = book->sb_room ? 2 * book->sb_room : 32;
    stats_record *records = calloc(room, sizeof *records);

    if (!records)
        return false;
    for (size_t i = 0; i < book->sb_room; i++)
        if (book->sb_records[i].sm_used)
            *book_place(records, room, book->sb_records[i].sm_key) = book->sb_records[i];
    free(book->sb_records);
    book->sb_records = records;
    book->sb_room = room;
    return true;
}

stats_book *stats_lock(edb_conn *conn)
{
    /* In a forked child the lock may be held by a thread that is not there. */
    stats_book *book = conn_usable(conn) ? db_data(conn, &stats_hooks) : NULL;

    if (book)
        pthread_mutex_lock(&book->sb_mutex);
    return book;
}

void stats_unlock(stats_book *book)
{
    pthread_mutex_unlock(&book->sb_mutex);
}

/* More than a fifth more or fewer than they were. */
bool stats_moved(uint64_t was, uint64_t is)
{
    uint64_t by = was > is ? was - is : is - was;

    return by > was / 5;
}

stats_record *stats_find(stats_book *book, stats_key key, uint64_t rows, bool *fresh)
{
    if (2 * book->sb_used >= book->sb_room && !book_grow(book))
        return NULL;
    stats_record *sm = book_place(book->sb_records, book->sb_room, key);
    *fresh = !sm->sm_used || stats_moved(sm->sm_rows, rows);
    if (!*fresh)
        return sm;
    if (sm->sm_used)
        record_clear(sm);
    else
        book->sb_used++;
    *sm = (stats_record){ .sm_key = key, .sm_used = true, .sm_rows = rows };
    arena_init(&sm->sm_memory);
    return sm;
}

/* Looking it up goes through the catalog, so it is done once a schema. */
uint32_t stats_tree(stats_book *book, edb_stmt *stmt)
{
    uint64_t schema = stmt_schema(stmt) + 1;        /* 0: never looked up */

    if (book->sb_schema != schema && !catalog_tree(stmt, STATISTICS_NAME, &book->sb_tree))
        book->sb_schema = schema;
    return book->sb_schema == schema ? book->sb_tree : 0;
}

uint64_t stats_place(uint32_t tree, uint32_t i, uint32_t n)
{
    uint64_t seed[2] = { tree, i };
    double within = (double)(hash_fast(seed, sizeof seed, 0) >> 11) * 0x1p-53;

    return (uint64_t)((i + within) / n * 0x1p63) << 1;
}

double stats_between(edb_conn *conn, uint32_t tree, const void *low, size_t low_size, const void *high,
                     size_t high_size)
{
    tree_look look;
    uint64_t entries = 0;

    if (!conn_look(conn, tree, &look))
        return 0;
    if (tree_estimate(look.lo_pager, &look.lo_tree, low, low_size, high, high_size, &entries))
        entries = look.lo_tree.ts_live;
    conn_looked(conn);
    return (double)entries;
}
