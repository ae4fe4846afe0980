/* The entries of a commit's content. See tree_content.h. */
#include "engine/tree/tree_content.h"

#include <stdlib.h>
#include <string.h>

#include "engine/tree/page.h"

static inline void begin(tree_content *tct)
{
    if (!tct->tct_entries++)
        sha256_init(&tct->tct_hash);
}

static void head(tree_content *tct, const uint8_t *key, uint32_t key_size, bool ended)
{
    uint8_t bytes[4];

    begin(tct);
    store32(bytes, key_size << 1 | ended);
    sha256_add(&tct->tct_hash, bytes, sizeof bytes);
    sha256_add(&tct->tct_hash, key, key_size);
}

static void size_of(tree_content *tct, uint64_t value_size)
{
    uint8_t bytes[4];

    store32(bytes, (uint32_t)value_size);
    sha256_add(&tct->tct_hash, bytes, sizeof bytes);
}

void content_ended(tree_content *tct, const uint8_t *key, uint32_t key_size)
{
    head(tct, key, key_size, true);
}

static void add_piece(void *hash, const uint8_t *bytes, size_t size)
{
    sha256_add(hash, bytes, size);
}

static void content_version(tree_content *tct, const uint8_t *key, uint32_t key_size, const uint8_t *value, uint32_t value_size)
{
    head(tct, key, key_size, false);
    if (tct->tct_mask) {
        size_of(tct, row_masked_size(tct->tct_mask, value, value_size));
        row_masked_emit(tct->tct_mask, value, value_size, add_piece, &tct->tct_hash);
        return;
    }
    size_of(tct, value_size);
    sha256_add(&tct->tct_hash, value, value_size);
}

/* One of a chain, of whose row a part does not count: that needs all of it. */
static int content_chain(tree_content *tct, pager *pg, const tree_version *version, uint64_t size)
{
    uint8_t *value = malloc(size);
    int rc = value ? tree_overflow_read(pg, version, 0, value, size) : edb_fail(EDB_NOMEM, "no memory for a value of %llu bytes",
                                                                                (unsigned long long)size);

    if (!rc)
        content_version(tct, version->key, version->key_size, value, (uint32_t)size);
    free(value);
    return rc;
}

enum { PIECE = 4096 };

int content_stored(tree_content *tct, pager *pg, const tree_version *version)
{
    uint8_t piece[PIECE];
    uint64_t size = tree_overflow_size(version);
    int rc = EDB_OK;

    if (!version->overflow) {
        content_version(tct, version->key, version->key_size, version->value, version->value_size);
        return EDB_OK;
    }
    if (tct->tct_mask)
        return content_chain(tct, pg, version, size);
    head(tct, version->key, version->key_size, false);
    size_of(tct, size);
    for (uint64_t at = 0, n; at < size && !rc; at += n) {
        n = size - at < PIECE ? size - at : PIECE;
        if (!(rc = tree_overflow_read(pg, version, at, piece, n)))
            sha256_add(&tct->tct_hash, piece, n);
    }
    return rc;
}

/* ---- many changes --------------------------------------------------------------------------------------------------- */

enum { GATHERED = 8192 };

/* Bytes on their way into a hash. Given to it one short piece after the other, each block of 64 bytes would be a call of its own,
 * which takes half as long again. */
typedef struct {
    sha256 *gat_hash;
    size_t gat_size;
    uint8_t gat_bytes[GATHERED];
} gathering;

static void gather_pass(gathering *g)
{
    sha256_add(g->gat_hash, g->gat_bytes, g->gat_size);
    g->gat_size = 0;
}

static inline void gather_word(gathering *g, uint32_t word)
{
    if (GATHERED - g->gat_size < sizeof word)
        gather_pass(g);
    store32(g->gat_bytes + g->gat_size, word);
    g->gat_size += sizeof word;
}

static inline void gather(gathering *g, const uint8_t *bytes, uint32_t size)
{
    if (GATHERED - g->gat_size < size)
        gather_pass(g);
    if (size > GATHERED / 2) {              /* enough blocks as it stands */
        gather_pass(g);
        sha256_add(g->gat_hash, bytes, size);
    } else if (size) {
        memcpy(g->gat_bytes + g->gat_size, bytes, size);
        g->gat_size += size;
    }
}

static void gather_piece(void *gathered, const uint8_t *bytes, size_t size)
{
    gather(gathered, bytes, (uint32_t)size);
}

static void gather_value(gathering *g, const row_mask *mask, const tree_change *c)
{
    if (mask) {
        gather_word(g, (uint32_t)row_masked_size(mask, c->value, c->value_size));
        row_masked_emit(mask, c->value, c->value_size, gather_piece, g);
        return;
    }
    gather_word(g, c->value_size);
    gather(g, c->value, c->value_size);
}

void content_changes(tree_content *tct, const tree_change *const *made, size_t n)
{
    gathering g;

    g.gat_hash = &tct->tct_hash;
    g.gat_size = 0;
    for (size_t i = 0; i < n; i++) {
        const tree_change *c = made[i];
        begin(tct);
        gather_word(&g, c->key_size << 1 | c->tombstone);
        gather(&g, c->key, c->key_size);
        if (!c->tombstone)
            gather_value(&g, tct->tct_mask, c);
    }
    if (g.gat_size)
        gather_pass(&g);
}

void content_tree(sha256 *whole, uint32_t tree, tree_content *tct)
{
    uint8_t bytes[12 + SHA256_SIZE];

    if (!tct->tct_entries)
        return;
    store32(bytes, tree);
    store64(bytes + 4, tct->tct_entries);
    sha256_end(&tct->tct_hash, bytes + 12);
    sha256_add(whole, bytes, sizeof bytes);
    tct->tct_entries = 0;
}
