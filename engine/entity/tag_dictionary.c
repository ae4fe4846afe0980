/* The dictionary of tags (tag_dictionary.h). */
#include "engine/entity/tag_dictionary.h"

#include <inttypes.h>
#include <string.h>

#include "native/hash.h"
#include "native/intern.h"
#include "engine/entity/tag_text.h"
#include "engine/filters/filters.h"

uint32_t tag_hash(const void *text, size_t size)
{
    uint64_t hash = hash_fnv1a(text, size);

    return (uint32_t)(hash ^ hash >> 32);
}

int tag_id_of_entry(const uint8_t *value, uint32_t value_size, bool overflow, uint32_t *id)
{
    if (overflow || value_size != TAG_ID)
        return edb_fail(EDB_CORRUPT, "an entry of the dictionary of tags has %" PRIu32 " bytes in the place of an id",
                        value_size);
    *id = load32(value);
    return EDB_OK;
}

/* G2: what a commit says is so at every moment, and kept; own writes may be rolled back. */
static void keep(const tag_trees *trees, const void *text, size_t size, uint32_t id, uint64_t from)
{
    if (trees->tt_known && from)
        intern_put(trees->tt_known, text, size, id);
}

static bool is_known(const tag_trees *trees, const void *text, size_t size, uint32_t *id)
{
    const intern_entry *known;

    if (!trees->tt_known || !intern_find(trees->tt_known, text, size, &known))
        return false;
    *id = (uint32_t)known->ie_id;
    return true;
}

/* What was found in the dictionary. */
static int take_id(const tag_trees *trees, const edb_entry *entry, const void *text, size_t size, uint32_t *id)
{
    int rc = tag_id_of_entry(entry->value, entry->value_size, entry->overflow, id);

    if (!rc)
        keep(trees, text, size, *id, entry->from);
    return rc;
}

/* The entry of a text that the filter does not deny: as cursor_get(), or, now, as now_peek(). */
static int look_in_tree(edb_stmt *stmt, const tag_trees *trees, filter_view *filter, const void *text, size_t size,
                        bool now, edb_entry *entry, bool *found)
{
    uint64_t touched = tree_touched;
    int rc = now ? now_peek(stmt, trees->tt_dictionary, text, size, entry, found)
                 : cursor_get(stmt, trees->tt_dictionary, text, size, entry, found);

    if (!rc)
        filter_looked(filter, 1, !*found, tree_touched - touched, false);
    return rc;
}

static int look_up(edb_stmt *stmt, const tag_trees *trees, const void *text, size_t size, bool now, edb_entry *entry,
                   bool *found)
{
    filter_view *filter = filters_of(stmt, trees->tt_dictionary, 1, now);

    if (filter_denies(filter, text, size))
        return now ? now_peek_absent(stmt, trees->tt_dictionary, text, size, entry, found)
                   : cursor_get_absent(stmt, trees->tt_dictionary, text, size, entry, found);
    return look_in_tree(stmt, trees, filter, text, size, now, entry, found);
}

int tag_id_find(edb_stmt *stmt, const tag_trees *trees, const void *text, size_t size, uint32_t *id, bool *found)
{
    edb_entry entry;

    if ((*found = is_known(trees, text, size, id)))
        return EDB_OK;
    int rc = look_up(stmt, trees, text, size, false, &entry, found);
    return rc || !*found ? rc : take_id(trees, &entry, text, size, id);
}

/* The filter is asked for all of them, and before the texts that are known. */
int tag_ids_absent(edb_stmt *stmt, const tag_trees *trees, const edb_value *texts, size_t n, bool *absent)
{
    filter_view *filter = filters_of(stmt, trees->tt_dictionary, n, false);
    bool own = cursor_may_have_own(stmt, trees->tt_dictionary);
    edb_entry entry;
    uint32_t id;
    int rc = EDB_OK;

    filter_denies_texts(filter, texts, n, absent);
    for (size_t i = 0; i < n && !rc; i++) {
        const void *text = texts[i].bytes;
        size_t size = texts[i].size;
        bool found = false;
        if (absent[i] && !own)
            continue;
        if (absent[i])
            rc = cursor_get_absent(stmt, trees->tt_dictionary, text, size, &entry, &found);
        else if (!(found = is_known(trees, text, size, &id))) {
            rc = look_in_tree(stmt, trees, filter, text, size, false, &entry, &found);
            if (!rc && found)
                rc = take_id(trees, &entry, text, size, &id);
        }
        absent[i] = !found;
    }
    return rc;
}

int tag_id_now(edb_stmt *stmt, const tag_trees *trees, const void *text, size_t size, uint32_t *id, bool *found)
{
    edb_entry entry;

    if ((*found = is_known(trees, text, size, id)))
        return EDB_OK;
    int rc = look_up(stmt, trees, text, size, true, &entry, found);
    return rc || !*found ? rc : take_id(trees, &entry, text, size, id);
}

/* The first number from the hash on that no text has. */
static int free_id(edb_stmt *stmt, const tag_trees *trees, const void *text, size_t size, uint32_t *id,
                   uint64_t *seen_from)
{
    uint8_t key[8];
    edb_entry entry;
    bool found = true;
    int rc = EDB_OK;

    for (*id = tag_hash(text, size);; ++*id) {
        rowid_store(key, *id);
        if ((rc = now_peek(stmt, trees->tt_names, key, sizeof key, &entry, &found)) || !found)
            break;
    }
    *seen_from = entry.seen_from;
    return rc;
}

int tag_id_make(edb_stmt *stmt, const tag_trees *trees, const void *text, size_t size, uint32_t *id)
{
    uint8_t key[8], value[TAG_ID];
    uint64_t seen_from;
    edb_entry entry;
    bool found;

    if (is_known(trees, text, size, id))
        return EDB_OK;
    int rc = look_up(stmt, trees, text, size, true, &entry, &found);
    if (!rc && found)
        return take_id(trees, &entry, text, size, id);
    if (rc || (rc = free_id(stmt, trees, text, size, id, &seen_from)))
        return rc;
    store32(value, *id);
    rowid_store(key, *id);
    rc = txn_put_agreed(stmt, trees->tt_dictionary, text, size, value, sizeof value, entry.seen_from);
    return rc ? rc : txn_put_agreed(stmt, trees->tt_names, key, sizeof key, text, size, seen_from);
}

int tag_text(edb_stmt *stmt, const tag_trees *trees, uint32_t id, uint8_t *room, const uint8_t **text, uint32_t *size)
{
    const intern_entry *known;
    uint8_t key[8];
    edb_entry entry;
    bool found;
    int rc;

    if (trees->tt_known && intern_find_id(trees->tt_known, id, &known)) {
        *text = (const uint8_t *)known->ie_text;
        *size = (uint32_t)known->ie_size;
        return EDB_OK;
    }
    rowid_store(key, id);
    rc = cursor_get(stmt, trees->tt_names, key, sizeof key, &entry, &found);
    if (!rc && (!found || entry_size(&entry) > TAG_MOST))
        rc = edb_fail(EDB_CORRUPT, "tag %" PRIu32 " has no text in the dictionary", id);
    if (rc)
        return rc;
    *text = entry.value;
    *size = (uint32_t)entry_size(&entry);
    if (entry.overflow) {
        *text = room;
        rc = entry_load(stmt, &entry, room);
    }
    if (!rc)
        keep(trees, *text, *size, id, entry.from);
    return rc;
}
