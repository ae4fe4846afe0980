/* Sorted lists of index entries, in memory.
 *
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
    arena_reset(&list->el_memory);
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
