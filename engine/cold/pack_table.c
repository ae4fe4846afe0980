/* The versions of several nodes in one table. See pack_parts.h. */
#include "engine/cold/pack_parts.h"

#include <stdlib.h>

typedef struct {                    /* a node whose entries are being merged with those of others */
    const page_entry *mg_at, *mg_end;
    uint16_t mg_bit;                /* of its page in ve_holders */
} merged;

static int entry_order(const page_entry *a, const page_entry *b)
{
    int c = key_compare(a->key, a->key_size, b->key, b->key_size);

    return c ? c : a->from > b->from ? -1 : a->from < b->from;
}

static bool entry_equal(const page_entry *a, const page_entry *b)
{
    return a->from == b->from && a->tombstone == b->tombstone && a->overflow == b->overflow
           && a->child.page == b->child.page && a->child.tag == b->child.tag && a->value_size == b->value_size
           && entry_same_key(a, b) && (!a->value_size || memcmp(a->value, b->value, a->value_size) == 0);
}

static bool ascends(const page_entry *e, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (entry_order(&e[i - 1], &e[i]) >= 0)
            return false;
    return true;
}

/* Values without the columns that have no history: of the same commit they are then the same in all pages, whatever packed one of
 * them before. None becomes larger. */
static int values_mask(section *se, size_t n)
{
    page_entry *e = se->sec_entries.rom_at;
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += e[i].overflow ? 0 : e[i].value_size;
    if (!room_for(&se->sec_masked, bytes + 1, 0))
        return edb_fail(EDB_NOMEM, "memory is exhausted");
    uint8_t *at = se->sec_masked.rom_at;
    for (size_t i = 0; i < n; i++) {
        if (e[i].tombstone || e[i].overflow)
            continue;
        size_t size = row_masked(se->sec_mask, e[i].value, e[i].value_size, at);
        e[i].value = at;
        e[i].value_size = (uint32_t)size;
        at += size;
    }
    return EDB_OK;
}

static int entries_take(section *se, const uint8_t *const *pages, merged *nodes)
{
    size_t starts[PACK_PAGES_MOST + 1] = { 0 };

    for (unsigned i = 0; i < se->sec_n; i++) {
        const uint8_t *page = pages[se->sec_pages[i]];
        int64_t n = node_take(page, &se->sec_entries, starts[i]);
        if (n < 0)
            return edb_fail(EDB_NOMEM, "memory is exhausted");
        const page_entry *e = (const page_entry *)se->sec_entries.rom_at + starts[i];
        if (!ascends(e, (size_t)n))
            return edb_fail(EDB_CORRUPT, "page %llu: its entries are not in order, so it is not packed",
                            (unsigned long long)load64(page + PH_PAGE));
        starts[i + 1] = starts[i] + (size_t)n;
    }
    for (unsigned i = 0; i < se->sec_n; i++) {       /* the entries may have moved while they grew */
        const page_entry *all = se->sec_entries.rom_at;
        nodes[i] = (merged){ all + starts[i], all + starts[i + 1], (uint16_t)(1u << se->sec_pages[i]) };
    }
    se->sec_versions = starts[se->sec_n];             /* at most */
    return se->sec_mask ? values_mask(se, se->sec_versions) : EDB_OK;
}

/* The least of the entries that the nodes are at; NULL: there is none. */
static const page_entry *least(const merged *nodes, unsigned n)
{
    const page_entry *first = NULL;

    for (unsigned i = 0; i < n; i++)
        if (nodes[i].mg_at < nodes[i].mg_end && (!first || entry_order(nodes[i].mg_at, first) < 0))
            first = nodes[i].mg_at;
    return first;
}

static void merge(section *se, merged *nodes)
{
    table_version *table = se->sec_table.rom_at;
    size_t n = 0, keys = 0;

    for (const page_entry *e; (e = least(nodes, se->sec_n));) {
        table_version *v = &table[n];
        if (n == 0 || !entry_same_key(&table[n - 1].ve_entry, e))
            keys++;
        *v = (table_version){ .ve_entry = *e, .ve_key = (uint32_t)(keys - 1) };
        for (unsigned i = 0; i < se->sec_n; i++)
            if (nodes[i].mg_at < nodes[i].mg_end && entry_equal(nodes[i].mg_at, &v->ve_entry)) {
                v->ve_holders |= nodes[i].mg_bit;
                nodes[i].mg_at++;
            }
        n++;
    }
    se->sec_versions = n;
    se->sec_keys = keys;
}

static int number_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The numbers of the commits, each once, ascending. */
static size_t commits_of(const section *se, uint64_t *numbers)
{
    const table_version *table = section_versions(se);
    size_t n = 0;

    for (size_t i = 0; i < se->sec_versions; i++)
        numbers[i] = table[i].ve_entry.from;
    qsort(numbers, se->sec_versions, sizeof *numbers, number_order);
    for (size_t i = 0; i < se->sec_versions; i++)
        if (i == 0 || numbers[i] != numbers[n - 1])
            numbers[n++] = numbers[i];
    return n;
}

static void set_times(section *se)
{
    table_version *table = se->sec_table.rom_at;
    const uint64_t *numbers = section_commits(se);

    for (size_t i = 0; i < se->sec_versions; i++) {
        table_version *v = &table[i];
        const uint64_t *at = bsearch(&v->ve_entry.from, numbers, se->sec_commits, sizeof *numbers, number_order);
        v->ve_begun = (uint32_t)(at - numbers);
        if (v->ve_entry.tombstone)
            v->ve_until = v->ve_begun + 1;
        else
            v->ve_until = i && v[-1].ve_key == v->ve_key ? v[-1].ve_begun : (uint32_t)se->sec_commits;
    }
}

/* The smallest keys and times that have in them what the page holds. */
static node_range range_of(const section *se, unsigned page)
{
    const table_version *table = section_versions(se);
    node_range r = { 0, 0, UINT32_MAX, 0 };

    for (size_t i = 0; i < se->sec_versions; i++) {
        const table_version *v = &table[i];
        if (!(v->ve_holders >> page & 1))
            continue;
        if (r.keys == 0)
            r.first_key = v->ve_key;
        r.keys = v->ve_key - r.first_key + 1;
        r.low = v->ve_until < r.low ? v->ve_until : r.low;
        r.high = v->ve_begun >= r.high ? v->ve_begun + 1 : r.high;
    }
    return r.keys ? r : (node_range){ 0, 0, 0, 0 };
}

int section_table(section *se, const uint8_t *const *pages)
{
    merged nodes[PACK_PAGES_MOST];
    int rc = entries_take(se, pages, nodes);

    if (rc != EDB_OK)
        return rc;
    /* One more: a page may be empty, and nothing is sorted at NULL. */
    if (!room_for(&se->sec_table, (se->sec_versions + 1) * sizeof(table_version), 0)
        || !room_for(&se->sec_numbers, (se->sec_versions + 1) * sizeof(uint64_t), 0))
        return edb_fail(EDB_NOMEM, "memory is exhausted");
    merge(se, nodes);
    se->sec_commits = commits_of(se, se->sec_numbers.rom_at);
    set_times(se);
    for (unsigned i = 0; i < se->sec_n; i++)
        se->sec_ranges[i] = range_of(se, se->sec_pages[i]);
    return EDB_OK;
}
