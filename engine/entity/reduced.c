/* Commits whose content was reduced. See reduced.h and docs/format.md, "Reduced contents". */
#include "engine/entity/reduced.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/catalog/catalog.h"
#include "engine/catalog/payload.h"
#include "engine/txn/txn_internal.h"

/* ---- reading ------------------------------------------------------------------------------------------------------- */

/* Whether the entry of the catalog is that of the tree of a name. */
static int is_entry(const tree_version *v, const char *name, uint32_t *tree)
{
    edb_table *entry;

    if (v->overflow)
        return EDB_OK;              /* that of a tree is short */
    int rc = table_decode(v->value, v->value_size, &entry);
    if (rc)
        return rc;
    if (entry->et_kind == CATALOG_TREE && !strcmp(entry->et_name, name))
        *tree = entry->et_id;
    table_unref(entry);
    return EDB_OK;
}

int kept_tree(pager *pg, const snapshot *sn, const char *name, tree_state *out, bool *there)
{
    tree_state catalog;
    tree_cursor tc;
    uint32_t tree = 0;
    int rc = tree_state_get(pg, sn, TREE_CATALOG, &catalog);

    *there = false;
    if (rc)
        return rc == EDB_NOSUCH ? EDB_OK : rc;
    if ((rc = tree_cursor_open(&tc, pg, &catalog, sn->sn_number)))
        return rc;
    for (rc = tree_cursor_seek(&tc, NULL, 0); !rc && tc.tc_valid && !tree; rc = rc ? rc : tree_cursor_next(&tc))
        rc = is_entry(&tc.tc_at, name, &tree);
    tree_cursor_close(&tc);
    if (rc || !tree)
        return rc;
    *there = true;
    return tree_state_get(pg, sn, tree, out);
}

int reduced_tree(pager *pg, const snapshot *sn, tree_state *out, bool *there)
{
    return kept_tree(pg, sn, REDUCED_NAME, out, there);
}

int reduced_get(pager *pg, const tree_state *tree, uint64_t moment, uint64_t number, reduced_content *out, bool *found)
{
    tree_version version;
    uint8_t key[8];

    rowid_store(key, (int64_t)number);
    int rc = tree_get(pg, tree, moment, key, sizeof key, &version, found);
    if (rc || !*found)
        return rc;
    if (version.overflow || version.value_size != REDUCED_VALUE)
        return edb_fail(EDB_CORRUPT, "what is said of the reduced content of commit %" PRIu64 " has another size than it must have",
                        number);
    memcpy(out, version.value, REDUCED_VALUE);
    return EDB_OK;
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

static int make_tree(struct commit *cm, uint32_t *tree)
{
    uint8_t key[8], payload[PAYLOAD_OF_TREE];
    int rc = commit_add_tree(cm, 8, tree);

    if (rc)
        return rc;
    rowid_store(key, *tree);
    return commit_add(cm, TREE_CATALOG, key, sizeof key, payload, payload_of_tree(payload, *tree, REDUCED_NAME));
}

int reduced_add(struct commit *cm, edb_stmt *stmt, uint32_t *tree, uint64_t number, const uint8_t before[SHA256_SIZE],
                const uint8_t now[SHA256_SIZE])
{
    reduced_content rcn;
    const tree_state *state;
    uint8_t key[8];
    bool again = false;
    int rc = *tree ? EDB_OK : catalog_tree(stmt, REDUCED_NAME, tree);

    if (!rc && !*tree)
        rc = make_tree(cm, tree);
    if (!rc && !(rc = stmt_tree(stmt, *tree, &state)) && state)
        rc = reduced_get(stmt->st_conn->cn_pager, state, FOREVER, number, &rcn, &again);
    if (rc)
        return rc;
    if (!again)
        memcpy(rcn.rdc_first, before, SHA256_SIZE);
    memcpy(rcn.rdc_now, now, SHA256_SIZE);
    rowid_store(key, (int64_t)number);
    return commit_add(cm, *tree, key, sizeof key, &rcn, sizeof rcn);
}
