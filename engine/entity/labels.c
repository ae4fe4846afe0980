/* Labels; see labels.h and docs/format.md, "Labels". */
#include "engine/entity/labels.h"

#include <string.h>

#include "native/rowcode.h"
#include "engine/table/ddl.h"
#include "engine/txn/txn_internal.h"

int labels_tree(edb_stmt *stmt, uint32_t *tree)
{
    return catalog_tree(stmt, LABELS_NAME, tree);
}

/* An empty text names nothing, and one with NUL cannot be written out again. */
static int label_judge(edb_stmt *stmt, const char *label, size_t size)
{
    uint32_t most = tree_key_max(pager_page_size(stmt->st_conn->cn_pager));

    if (!size || memchr(label, 0, size) || !utf8_valid((const uint8_t *)label, size))
        return edb_fail(EDB_MISUSE, "a label is a text of one character or more, without NUL");
    if (size > most)
        return edb_fail(EDB_TOOBIG, "a label of %zu bytes is too long: at most %u bytes fit", size, most);
    return EDB_OK;
}

int label_put(edb_stmt *stmt, const char *label, size_t size)
{
    uint8_t value[VARINT_MAX];
    uint32_t tree;
    int rc;

    if ((rc = label_judge(stmt, label, size)) || (rc = txn_begin_write(stmt)) || (rc = labels_tree(stmt, &tree)))
        return rc;
    if (!tree && (rc = ddl_create_tree(stmt, LABELS_NAME, 0, &tree)))
        return rc;
    return txn_put_always(stmt, tree, label, size, value,
                          (size_t)(varint_store(value, txn_mark(stmt->st_conn)) - value));
}

int label_place(const edb_entry *entry, uint64_t *place)
{
    const uint8_t *end = entry->value + entry->value_size;

    if (entry->overflow || varint_load(entry->value, end, place) != end)
        return edb_fail(EDB_CORRUPT, "a label of %u bytes has an impossible value", entry->key_size);
    return EDB_OK;
}

int label_time(edb_stmt *stmt, const edb_entry *entry, int64_t *ns)
{
    return commit_time(stmt, entry->from, ns);
}
