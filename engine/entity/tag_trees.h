/* The trees that tags stand in, and their keys (docs/format.md, "Tags").
 *
 *     dictionary  key: the tag's text                               value: its id, 4 bytes
 *     names       key: the id, as a row id                          value: the text
 *     postings    key: id, type, entity: who has the tag            value: empty
 *     reverse     key: type, entity, id: what tags an entity has    value: empty
 *
 * They are made together with the first tag of a file. An entity is a row: its type is the id of its table, and the
 * entity its row id. Numbers in keys are big-endian, row ids as everywhere (native/bytes.h). */
#ifndef EDB_TAG_TREES_H
#define EDB_TAG_TREES_H

#include <string.h>

#include "native/bytes.h"
#include "engine/txn/txn.h"

#define TAGS_DICTIONARY "tags"      /* names of their catalog entries */
#define TAGS_NAMES "tag names"
#define TAGS_POSTINGS "tag postings"
#define TAGS_REVERSE "tags of entities"

typedef struct {                    /* tree ids; all 0: the file has no tags */
    uint32_t tt_dictionary, tt_names, tt_postings, tt_reverse;
    struct intern *tt_known;        /* texts and ids that the process has met in commits (tag_known.h); NULL: none are kept */
} tag_trees;

/* As the statement sees them, its own included. Looked up once a schema and connection. */
int tag_trees_find(edb_stmt *stmt, tag_trees *out);
int tag_trees_make(edb_stmt *stmt, tag_trees *out);     /* the same; makes them where there are none */

enum { TAG_ID = 4, TAG_TYPE = 4, TAG_ENTITY = 8, TAG_KEY = TAG_ID + TAG_TYPE + TAG_ENTITY };

typedef struct {
    uint32_t tg_id;                 /* of the tag */
    uint32_t tg_type;
    int64_t tg_entity;
} tagging;

static inline void big32_store(uint8_t *at, uint32_t n) { store32(at, __builtin_bswap32(n)); }
static inline uint32_t big32_load(const uint8_t *at) { return __builtin_bswap32(load32(at)); }

static inline void posting_store(uint8_t key[TAG_KEY], const tagging *tg)
{
    big32_store(key, tg->tg_id);
    big32_store(key + TAG_ID, tg->tg_type);
    rowid_store(key + TAG_ID + TAG_TYPE, tg->tg_entity);
}

static inline void posting_load(tagging *tg, const uint8_t key[TAG_KEY])
{
    *tg = (tagging){ big32_load(key), big32_load(key + TAG_ID), rowid_load(key + TAG_ID + TAG_TYPE) };
}

static inline void reverse_store(uint8_t key[TAG_KEY], const tagging *tg)
{
    big32_store(key, tg->tg_type);
    rowid_store(key + TAG_TYPE, tg->tg_entity);
    big32_store(key + TAG_TYPE + TAG_ENTITY, tg->tg_id);
}

static inline void reverse_load(tagging *tg, const uint8_t key[TAG_KEY])
{
    *tg = (tagging){ big32_load(key + TAG_TYPE + TAG_ENTITY), big32_load(key), rowid_load(key + TAG_TYPE) };
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
    if (cu->valid && cu->at.key_size != TAG_KEY)
        return tagging_forged(cu);
    *out = cu->valid && !memcmp(cu->at.key, prefix, prefix_size);
    return EDB_OK;
}

#endif
