/* What is kept of statistics on a connection, and when it is taken anew. */
#include <stdlib.h>
#include <string.h>

#include "native/hash.h"
#include "engine/stats/stats_internal.h"
#include "engine/txn/hooks.h"

typedef struct {                    /* open addressing; a power of two of records */
    size_t sb_used, sb_room;
    stats_record *sb_records;
} stats_book;

static void record_clear(stats_record *sr)
{
    free(sr->sm_groups);
    free(sr->sm_values);
    arena_free(&sr->sm_memory);
    sr->sm_groups = NULL;
    sr->sm_values = NULL;
    sr->sm_n = 0;
}

static void book_free(void *data)
{
    stats_book *book = data;

    for (size_t i = 0; i < book->sb_room; i++)
        if (book->sb_records[i].sm_used)
            record_clear(&book->sb_records[i]);
    free(book->sb_records);
    free(book);
}

static const txn_hooks stats_hooks = { .hk_name = "statistics", .hk_conn_free = book_free };

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

static stats_book *book_of(edb_conn *conn)
{
    stats_book *book = conn_data(conn, &stats_hooks);

    if (!book && (book = calloc(1, sizeof *book)))
        conn_data_set(conn, &stats_hooks, book);
    return book;
}

/* More than a fifth more or fewer than they were. */
static bool has_moved(uint64_t was, uint64_t is)
{
    uint64_t by = was > is ? was - is : is - was;

    return by > was / 5;
}

stats_record *stats_find(edb_conn *conn, stats_key key, uint64_t rows, bool *fresh)
{
    stats_book *book = book_of(conn);

    if (!book || (2 * book->sb_used >= book->sb_room && !book_grow(book)))
        return NULL;
    stats_record *sr = book_place(book->sb_records, book->sb_room, key);
    *fresh = !sr->sm_used || has_moved(sr->sm_rows, rows);
    if (!*fresh)
        return sr;
    if (sr->sm_used)
        record_clear(sr);
    else
        book->sb_used++;
    *sr = (stats_record){ .sm_key = key, .sm_used = true, .sm_rows = rows };
    arena_init(&sr->sm_memory);
    return sr;
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

static void retake(edb_conn *conn, const tree_look *look, const edb_table *table, const edb_index *index,
                   uint32_t column)
{
    uint32_t id = index ? WHOLE_INDEX : table->et_columns[column].id;
    bool fresh;
    stats_record *sr = stats_find(conn, (stats_key){ look->lo_tree.ts_id, id }, look->lo_tree.ts_live, &fresh);

    if (!sr)
        return;
    record_clear(sr);
    arena_init(&sr->sm_memory);
    sr->sm_rows = look->lo_tree.ts_live;
    if (index)
        groups_take(sr, look, index, GROUPS_MET * ANALYZE_TIMES);
    else
        values_take(sr, look, table, column, ROWS_MET * ANALYZE_TIMES);
}

void stats_take(edb_conn *conn, const edb_table *table)
{
    tree_look look;

    for (uint32_t i = 0; i < table->et_n_indexes; i++)
        if (conn_look(conn, table->et_indexes[i].tree, &look)) {
            retake(conn, &look, table, &table->et_indexes[i], 0);
            conn_looked(conn);
        }
    if (!conn_look(conn, table->et_id, &look))
        return;
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        retake(conn, &look, table, NULL, i);
    conn_looked(conn);
}
