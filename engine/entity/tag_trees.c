/* The trees of tags, found and made (tag_trees.h). */
#include "engine/entity/tag_trees.h"

#include <stdlib.h>
#include <string.h>

#include "engine/catalog/catalog.h"
#include "engine/entity/tag_known.h"
#include "engine/table/ddl.h"
#include "engine/txn/hooks.h"
#include "engine/txn/reads.h"

typedef struct {                    /* what a connection knows of the catalog */
    uint64_t ktr_schema;             /* stmt_schema() + 1 that it holds for; 0: nothing is known */
    tag_trees ktr_trees;
    uint64_t ktr_stands;             /* txn_stands() that ktr_made holds for */
    tag_trees ktr_made;              /* made by the transaction under way; all 0: none were */
} known_trees;

static txn_hooks trees_hooks = { .hk_name = "trees of tags", .hk_conn_free = free };

__attribute__((constructor)) static void trees_register(void)
{
    hooks_register(&trees_hooks);
}

static const struct {
    const char *name, *wide;
    uint8_t key_size;
    size_t place;
} trees[] = {
    { TAGS_DICTIONARY, TAGS_DICTIONARY, 0, offsetof(tag_trees, tt_dictionary) },
    { TAGS_NAMES, TAGS_NAMES, 8, offsetof(tag_trees, tt_names) },
    { TAGS_POSTINGS, TAGS_POSTINGS_WIDE, 0, offsetof(tag_trees, tt_postings) },
    { TAGS_REVERSE, TAGS_REVERSE_WIDE, 0, offsetof(tag_trees, tt_reverse) },
};
enum { TREES = sizeof trees / sizeof trees[0] };

static uint32_t *tree_in(tag_trees *out, size_t i)
{
    return (uint32_t *)((char *)out + trees[i].place);
}

uint32_t *tag_tree_named(const char *name, tag_trees *out)
{
    for (size_t i = 0; i < TREES; i++) {
        bool wide = !strcmp(name, trees[i].wide);
        if (!wide && strcmp(name, trees[i].name))
            continue;
        out->tt_wide = out->tt_wide || strcmp(name, trees[i].name);
        return tree_in(out, i);
    }
    return NULL;
}

static int look_up(edb_stmt *stmt, tag_trees *out)
{
    uint32_t wide = 0;
    int rc = EDB_OK;

    *out = (tag_trees){ .tt_known = tags_known(stmt_conn(stmt)) };
    if ((rc = catalog_tree(stmt, TAGS_DICTIONARY, &out->tt_dictionary)) || !out->tt_dictionary
        || (rc = catalog_tree(stmt, TAGS_POSTINGS_WIDE, &wide)))
        return rc;
    out->tt_wide = wide != 0;
    for (size_t i = 1; i < TREES && !rc; i++) {
        const char *name = out->tt_wide ? trees[i].wide : trees[i].name;
        rc = catalog_tree(stmt, name, tree_in(out, i));
        if (!rc && !*tree_in(out, i))
            rc = edb_fail(EDB_CORRUPT, "the catalog has some of the trees of tags, and not \"%s\"", name);
    }
    return rc;
}

/* NULL: no memory. */
static known_trees *known_of(edb_conn *conn)
{
    known_trees *known = conn_data(conn, &trees_hooks);

    if (!known && (known = calloc(1, sizeof *known)))
        conn_data_set(conn, &trees_hooks, known);
    return known;
}

/* The statement that makes the trees does not see them in its schema number. */
static bool made_now(edb_conn *conn, const known_trees *known)
{
    return known && known->ktr_made.tt_dictionary && known->ktr_stands == txn_stands(conn);
}

int tag_trees_find(edb_stmt *stmt, tag_trees *out)
{
    edb_conn *conn = stmt_conn(stmt);
    known_trees *known = known_of(conn);
    uint64_t schema = stmt_schema(stmt) + 1;
    int rc;

    if (made_now(conn, known)) {
        *out = known->ktr_made;
        return EDB_OK;
    }
    if (known && known->ktr_schema == schema) {
        *out = known->ktr_trees;
        return EDB_OK;
    }
    if ((rc = look_up(stmt, out)))
        return rc;
    if (known) {
        known->ktr_schema = schema;
        known->ktr_trees = *out;
    }
    return EDB_OK;
}

int tag_trees_make(edb_stmt *stmt, tag_trees *out)
{
    edb_conn *conn = stmt_conn(stmt);
    known_trees *known = known_of(conn);
    int rc = txn_begin_write(stmt);

    if (rc || (rc = tag_trees_find(stmt, out)) || out->tt_dictionary)
        return rc;
    for (size_t i = 0; i < TREES && !rc; i++)
        rc = ddl_create_tree(stmt, trees[i].name, trees[i].key_size, tree_in(out, i));
    if (!rc)
        txn_needs(stmt, PAGER_SHORT_TAGS);
    if (!rc && known) {
        known->ktr_made = *out;
        known->ktr_stands = txn_stands(conn);
    }
    return rc ? rc : known ? EDB_OK : edb_fail(EDB_NOMEM, "no memory to make the trees of tags");
}

/* ---- taggings, walked ---------------------------------------------------------------------------------------------- */

int taggings_seek(edb_cursor *cu, const uint8_t *key, size_t size, size_t prefix_size)
{
    int rc = cursor_seek(cu, size ? key : NULL, size);

    if (!rc && prefix_size && cursor_watched(cu)) {
        uint8_t behind[TAG_KEY_MOST];
        memcpy(behind, key, prefix_size);
        size_t behind_size = key_behind(behind, prefix_size);
        cursor_bounds(cu, NULL, 0, behind_size ? behind : NULL, behind_size);
    }
    return rc;
}

int tagging_forged(const edb_cursor *cu)
{
    return edb_fail(EDB_CORRUPT, "a tag's entry has a key of %u bytes", cu->at.key_size);
}
