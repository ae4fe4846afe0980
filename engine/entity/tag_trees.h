/* The trees that tags stand in, and their keys (docs/format.md, "Tags").
 *
 *     dictionary  key: the tag's text                               value: its id, 4 bytes
 *     names       key: the id, as a row id                          value: the text
 *     postings    key: id, type, entity: who has the tag            value: empty
 *     reverse     key: type, entity, id: what tags an entity has    value: empty
 *
 * They are made together with the first tag of a file. An entity is a row: its type is the id of its table, and the
 * entity its row id. Ids and types are 4 bytes in keys, big-endian; an entity is 1 to 9 bytes, so that keys order as the numbers do: in most
 * files it is the longest part of a key that is there twice for each tagging. In files that had tags before it was so, an entity is 8 bytes,
 * a row id as everywhere (native/bytes.h): they are wide. Which it is, the names of the trees say. */
#ifndef EDB_TAG_TREES_H
#define EDB_TAG_TREES_H

#include <string.h>

#include "native/bytes.h"
#include "engine/txn/txn.h"

#define TAGS_DICTIONARY "tags"      /* names of their catalog entries */
#define TAGS_NAMES "tag names"
#define TAGS_POSTINGS "postings"
#define TAGS_REVERSE "entities' tags"
#define TAGS_POSTINGS_WIDE "tag postings"
#define TAGS_REVERSE_WIDE "tags of entities"

typedef struct {                    /* tree ids; all 0: the file has no tags */
    uint32_t tt_dictionary, tt_names, tt_postings, tt_reverse;
    bool tt_wide;
    struct intern *tt_known;        /* texts and ids that the process has met in commits (tag_known.h); NULL: none are kept */
} tag_trees;

/* As the statement sees them, its own included. Looked up once a schema and connection. */
int tag_trees_find(edb_stmt *stmt, tag_trees *out);
int tag_trees_make(edb_stmt *stmt, tag_trees *out);     /* the same; makes them where there are none */
/* The place of the tree that has this name in the catalog, wide or not; NULL: none of them. */
uint32_t *tag_tree_named(const char *name, tag_trees *out);

enum { TAG_ID = 4, TAG_TYPE = 4, TAG_HEAD = TAG_ID + TAG_TYPE, TAG_ENTITY_WIDE = 8, TAG_ENTITY_MOST = 9,
       TAG_KEY_MOST = TAG_HEAD + TAG_ENTITY_MOST };

typedef struct {
    uint32_t tg_id;                 /* of the tag */
    uint32_t tg_type;
    int64_t tg_entity;
} tagging;

static inline void big32_store(uint8_t *at, uint32_t n) { store32(at, __builtin_bswap32(n)); }
static inline uint32_t big32_load(const uint8_t *at) { return __builtin_bswap32(load32(at)); }

/* An entity in a key; -> its bytes. Not wide: 80 and how many bytes follow, or 7F less that for negative ones; then the number without
 * the leading bytes that its sign says (0, or FF), big-endian. */
static inline size_t entity_store(bool wide, uint8_t at[TAG_ENTITY_MOST], int64_t entity)
{
    if (wide) {
        rowid_store(at, entity);
        return TAG_ENTITY_WIDE;
    }
    uint64_t magnitude = entity < 0 ? ~(uint64_t)entity : (uint64_t)entity;
    unsigned n = magnitude ? (71 - (unsigned)__builtin_clzll(magnitude)) / 8 : 0;
    *at = (uint8_t)(entity < 0 ? 0x7f - n : 0x80 + n);
    if (n)
        store64(at + 1, __builtin_bswap64((uint64_t)entity << (64 - 8 * n)));
    return 1 + n;
}

/* -> its bytes; 0: in so many none begins that entity_store() makes. */
static inline size_t entity_load(bool wide, const uint8_t *at, size_t size, int64_t *out)
{
    *out = 0;
    if (wide) {
        if (size >= TAG_ENTITY_WIDE)
            *out = rowid_load(at);
        return size >= TAG_ENTITY_WIDE ? TAG_ENTITY_WIDE : 0;
    }
    if (!size)
        return 0;
    bool negative = *at < 0x80;
    unsigned n = negative ? 0x7fu - *at : *at - 0x80u;
    if (n > 8 || size < 1 + n)
        return 0;
    uint64_t number = negative ? UINT64_MAX : 0;
    for (unsigned i = 1; i <= n; i++)
        number = number << 8 | at[i];
    *out = (int64_t)number;
    return n && (at[1] == (negative ? 0xff : 0) || (*out < 0) != negative) ? 0 : 1 + n;
}

/* Keys; -> their sizes. */
static inline size_t posting_store(const tag_trees *trees, uint8_t key[TAG_KEY_MOST], const tagging *tg)
{
    big32_store(key, tg->tg_id);
    big32_store(key + TAG_ID, tg->tg_type);
    return TAG_HEAD + entity_store(trees->tt_wide, key + TAG_HEAD, tg->tg_entity);
}

/* The first part of the keys of an entity's tags. */
static inline size_t entity_prefix(const tag_trees *trees, uint8_t key[TAG_TYPE + TAG_ENTITY_MOST], uint32_t type, int64_t entity)
{
    big32_store(key, type);
    return TAG_TYPE + entity_store(trees->tt_wide, key + TAG_TYPE, entity);
}

static inline size_t reverse_store(const tag_trees *trees, uint8_t key[TAG_KEY_MOST], const tagging *tg)
{
    size_t size = entity_prefix(trees, key, tg->tg_type, tg->tg_entity);

    big32_store(key + size, tg->tg_id);
    return size + TAG_ID;
}

/* false: it is no such key. */
static inline bool posting_load(const tag_trees *trees, tagging *tg, const uint8_t *key, size_t size)
{
    if (size <= TAG_HEAD)
        return false;
    tg->tg_id = big32_load(key);
    tg->tg_type = big32_load(key + TAG_ID);
    return entity_load(trees->tt_wide, key + TAG_HEAD, size - TAG_HEAD, &tg->tg_entity) == size - TAG_HEAD;
}

static inline bool reverse_load(const tag_trees *trees, tagging *tg, const uint8_t *key, size_t size)
{
    if (size <= TAG_HEAD)
        return false;
    tg->tg_type = big32_load(key);
    tg->tg_id = big32_load(key + size - TAG_ID);
    return entity_load(trees->tt_wide, key + TAG_TYPE, size - TAG_HEAD, &tg->tg_entity) == size - TAG_HEAD;
}

/* To the first entry at or behind the key. At SERIALIZABLE the walk from there counts as read as far as keys begin with
 * the first prefix_size bytes of it. */
int taggings_seek(edb_cursor *cu, const uint8_t *key, size_t size, size_t prefix_size);
int tagging_forged(const edb_cursor *cu);               /* EDB_CORRUPT: it stands on what is no tagging */
/* Whether the cursor stands on a tagging whose key begins with the prefix. Inline: a walk asks it of every entry, mostly
 * with a size that the compiler knows. */
static inline int taggings_stand(const edb_cursor *cu, const uint8_t *prefix, size_t prefix_size, bool *out)
{
    *out = false;
    if (cu->valid && (cu->at.key_size <= TAG_HEAD || cu->at.key_size > TAG_KEY_MOST))
        return tagging_forged(cu);
    *out = cu->valid && cu->at.key_size >= prefix_size && !memcmp(cu->at.key, prefix, prefix_size);
    return EDB_OK;
}

#endif
