/* Private sorted lists of index entries.
 *
 * Where a tree cannot answer in the order a plan was promised, or not quickly enough, the scan keeps entries in memory:
 * - At a moment before the index was made it is empty. Its entries of that moment are computed from the table's rows
 *   (list_from_table) and sorted as the tree would hold them; scans then go on as usual. An automatic index is made
 *   in the same way.
 * - A text column is compared with a number. Which rows match is SQLite's to say, so the part cannot be looked up, and
 *   parts behind it are no longer in order; the entries are sorted by the parts that were promised.
 * - An order is completed group by group (scan_groups.c).
 *
 * A list lives in an arena. Each item has the first bytes of its sort key as a number, which decides most comparisons. */
#include <stdlib.h>
#include <string.h>

#include "native/arena.h"
#include "native/bytes.h"
#include "native/keycode.h"
#include "engine/eval/evaluator.h"
#include "engine/vtab/vtab.h"

struct entry_list {
    arena el_memory;
    list_item *el_items;
    size_t el_count, el_room;
};

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory to sort the entries of an index");
}

int list_new(entry_list **out)
{
    entry_list *list = calloc(1, sizeof *list);
    if (!list)
        return no_memory();
    arena_init(&list->el_memory);
    *out = list;
    return EDB_OK;
}

void list_free(entry_list *list)
{
    if (!list)
        return;
    arena_free(&list->el_memory);
    free(list->el_items);
    free(list);
}

int list_add(entry_list *list, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size)
{
    if (list->el_count == list->el_room) {
        size_t room = list->el_room ? 2 * list->el_room : 16;
        list_item *items = realloc(list->el_items, room * sizeof *items);
        if (!items)
            return no_memory();
        list->el_items = items;
        list->el_room = room;
    }
    list_item *item = &list->el_items[list->el_count];
    item->li_key = arena_copy(&list->el_memory, key, key_size);
    item->li_value = value_size ? arena_copy(&list->el_memory, value, value_size) : item->li_key;
    if (!item->li_key || !item->li_value)
        return no_memory();
    item->li_key_size = (uint32_t)key_size;
    item->li_value_size = (uint32_t)value_size;
    item->li_sort = item->li_key;
    item->li_sort_size = item->li_key_size;
    list->el_count++;
    return EDB_OK;
}

int list_sort_by(entry_list *list, size_t i, const uint8_t *key, size_t size)
{
    list_item *item = &list->el_items[i];
    uint8_t *sort = arena_copy(&list->el_memory, key, size);
    if (!sort)
        return no_memory();
    item->li_sort = sort;
    item->li_sort_size = (uint32_t)size;
    return EDB_OK;
}

void list_clear(entry_list *list)
{
    arena_free(&list->el_memory);
    list->el_count = 0;
}

static uint64_t first_bytes(const uint8_t *key, size_t size)
{
    uint8_t first[8] = {0};
    if (size >= 8)
        return load64be(key);
    memcpy(first, key, size);
    return load64be(first);
}

static int compare_items(const void *a, const void *b)
{
    const list_item *x = a, *y = b;
    if (x->li_first != y->li_first)
        return x->li_first < y->li_first ? -1 : 1;
    return key_compare(x->li_sort, x->li_sort_size, y->li_sort, y->li_sort_size);
}

void list_sort(entry_list *list)
{
    for (size_t i = 0; i < list->el_count; i++)
        list->el_items[i].li_first = first_bytes(list->el_items[i].li_sort, list->el_items[i].li_sort_size);
    if (list->el_count)
        qsort(list->el_items, list->el_count, sizeof *list->el_items, compare_items);
}

size_t list_count(const entry_list *list)
{
    return list->el_count;
}

const list_item *list_at(const entry_list *list, size_t i)
{
    return &list->el_items[i];
}

size_t list_rank(const entry_list *list, const uint8_t *key, size_t key_size)
{
    const list_item sought = {.li_sort = key, .li_sort_size = (uint32_t)key_size,
                              .li_first = first_bytes(key, key_size)};
    size_t low = 0, high = list->el_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_items(&list->el_items[middle], &sought) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

typedef struct {                    /* what list_from_table reuses from row to row */
    table_buffer lb_row, lb_key;
    edb_value *lb_values;           /* by column */
    arena lb_computed;              /* texts and blobs of generated columns */
} list_builder;

static int add_row(entry_list *list, list_builder *lb, edb_stmt *stmt, const edb_table *table, const edb_index *index,
                   const edb_entry *entry)
{
    const uint8_t *row = entry->value;
    size_t size = entry->value_size, key_size, value_size;
    int64_t rowid;
    row_view view;
    bool has_null;
    int rc = row_id_of_entry(table, entry, &rowid);
    if (!rc && entry->overflow) {
        size = entry_size(entry);
        lb->lb_row.bf_size = 0;
        uint8_t *copy = buffer_reserve(&lb->lb_row, size);
        rc = copy ? entry_load(stmt, entry, copy) : no_memory();
        row = copy;
    }
    if (rc)
        return rc;
    if (row_open(&view, row, size))
        return row_damaged(table, rowid);
    if (lb->lb_computed.an_chunks)
        arena_free(&lb->lb_computed);
    for (uint32_t i = 0; !rc && i < index->n_parts; i++) {
        uint32_t column = index->parts[i].column;
        if (!column_virtual(&table->et_columns[column]))
            rc = evaluate_column(stmt_conn(stmt), table, &view, rowid, column, &lb->lb_computed, &lb->lb_values[column]);
    }
    bool covered = false;
    if (!rc)
        rc = evaluate_index(stmt_conn(stmt), table, index, &view, rowid, &lb->lb_computed, lb->lb_values, &covered);
    if (rc || !covered)
        return rc;
    lb->lb_key.bf_size = 0;
    rc = index_entry(&lb->lb_key, index, table, lb->lb_values, rowid, &key_size, &value_size, &has_null);
    if (rc)
        return rc;
    const uint8_t *key = lb->lb_key.bf_bytes;
    return list_add(list, key, key_size, key + key_size, value_size);
}

int list_from_table(edb_stmt *stmt, const edb_table *table, const edb_index *index, entry_list **out)
{
    edb_value *values = calloc(table->et_n_columns, sizeof *values);
    list_builder lb = {.lb_values = values};
    entry_list *list = NULL;
    edb_cursor cu;
    bool open = false;
    int rc = values ? list_new(&list) : no_memory();
    if (!rc)
        rc = cursor_open(stmt, table->et_id, &cu);
    open = !rc;
    if (!rc)
        rc = cursor_seek(&cu, NULL, 0);
    while (!rc && cu.valid) {
        if (conn_interrupted(stmt_conn(stmt)))
            rc = edb_fail(EDB_INTERRUPT, "reading table %s was interrupted", table->et_name);
        else
            rc = add_row(list, &lb, stmt, table, index, &cu.at);
        if (!rc)
            rc = cursor_next(&cu);
    }
    if (open)
        cursor_close(&cu);
    buffer_free(&lb.lb_row);
    buffer_free(&lb.lb_key);
    arena_free(&lb.lb_computed);
    free(values);
    if (rc) {
        list_free(list);
        return rc;
    }
    list_sort(list);
    *out = list;
    return EDB_OK;
}
