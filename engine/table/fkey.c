/* Foreign keys: links, questions and promises (fkey.h). */
#include "engine/table/fkey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/catalog/affinity.h"
#include "engine/eval/evaluator.h"
#include "engine/txn/hooks.h"
#include "engine/txn/reads.h"

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory to judge a foreign key");
}

/* ---- links ---------------------------------------------------------------------------------------------------- */

static int column_named(const edb_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        if (name_same(table->et_columns[i].name, name))
            return (int)i;
    return -1;
}

/* Numbers are one kind to keys; REAL differs from INTEGER only in how a value is read back. */
static bool affinities_agree(int a, int b)
{
    bool number_a = a >= AFFINITY_NUMERIC, number_b = b >= AFFINITY_NUMERIC;
    return a == b || (number_a && number_b);
}

/* Whether the index's parts are exactly the columns, in any order, under the columns' own collations. */
static bool index_is_key(const edb_table *table, const edb_index *index, const uint32_t *columns, uint32_t n)
{
    if (!index->unique || index->where || index->n_parts != n)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const edb_index_part *part = &index->parts[i];
        bool there = false;
        for (uint32_t k = 0; k < n; k++)
            there |= columns[k] == part->column;
        if (!there || part->collation != table->et_columns[part->column].collation)
            return false;
    }
    return true;
}

static bool find_parent_key(fk_link *link)
{
    const edb_table *parent = link->fl_parent;
    const edb_fkey *key = link->fl_key;
    uint32_t n = key->n_columns;
    if (!key->names_columns && parent->et_rowid_column >= 0) {
        link->fl_parent_columns[0] = (uint32_t)parent->et_rowid_column;
        return n == 1;
    }
    if (!key->names_columns) {
        for (uint32_t i = 0; i < parent->et_n_indexes; i++) {
            const edb_index *index = &parent->et_indexes[i];
            if (!index->primary_key || index->n_parts != n)
                continue;
            for (uint32_t k = 0; k < n; k++)
                link->fl_parent_columns[k] = index->parts[k].column;
            link->fl_parent_index = index;
            return true;
        }
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        int column = column_named(parent, key->referred[i]);
        if (column < 0)
            return false;
        link->fl_parent_columns[i] = (uint32_t)column;
    }
    if (n == 1 && (int)link->fl_parent_columns[0] == parent->et_rowid_column)
        return true;
    for (uint32_t i = 0; i < parent->et_n_indexes && !link->fl_parent_index; i++)
        if (index_is_key(parent, &parent->et_indexes[i], link->fl_parent_columns, n))
            link->fl_parent_index = &parent->et_indexes[i];
    return link->fl_parent_index;
}

static int key_position(const fk_link *link, uint32_t child_column)
{
    for (uint32_t i = 0; i < link->fl_key->n_columns; i++)
        if (link->fl_key->columns[i] == child_column)
            return (int)i;
    return -1;
}

static const edb_column *parent_column(const fk_link *link, uint32_t i)
{
    return &link->fl_parent->et_columns[link->fl_parent_columns[i]];
}

/* The child's index that begins with the key's columns and compares as the parent does. */
static void find_child_index(fk_link *link)
{
    const edb_table *child = link->fl_child;
    uint32_t n = link->fl_key->n_columns;
    for (uint32_t i = 0; i < child->et_n_indexes && !link->fl_child_index; i++) {
        const edb_index *index = &child->et_indexes[i];
        bool fits = index->n_parts >= n && !index->where;   /* a partial one does not know all children */
        for (uint32_t k = 0; fits && k < n; k++) {
            int at = key_position(link, index->parts[k].column);
            fits = at >= 0 && index->parts[k].collation == parent_column(link, (uint32_t)at)->collation;
            for (uint32_t j = 0; fits && j < k; j++)
                fits = index->parts[j].column != index->parts[k].column;
        }
        if (fits)
            link->fl_child_index = index;
    }
}

/* REFERENCES p(x, x): as in SQLite the first column that refers to x does, and the second means nothing. */
static int leave_out_repeated(fk_link *link)
{
    const edb_fkey *key = link->fl_key;
    uint32_t n = 0;
    edb_fkey *distinct = malloc(sizeof *distinct + key->n_columns * sizeof *distinct->columns);
    if (!distinct)
        return no_memory();
    *distinct = *key;
    distinct->columns = (uint32_t *)(distinct + 1);
    for (uint32_t i = 0; i < key->n_columns; i++) {
        bool repeated = false;
        for (uint32_t k = 0; k < n; k++)
            repeated |= link->fl_parent_columns[k] == link->fl_parent_columns[i];
        if (repeated)
            continue;
        distinct->columns[n] = key->columns[i];
        link->fl_parent_columns[n++] = link->fl_parent_columns[i];
    }
    if (n == key->n_columns) {
        free(distinct);
        return EDB_OK;
    }
    distinct->n_columns = n;
    link->fl_key = link->fl_distinct = distinct;
    return EDB_OK;
}

int fk_link_make(edb_stmt *stmt, const edb_table *child, uint32_t number, fk_link *out)
{
    const edb_fkey *key = &child->et_fkeys[number];
    edb_table *parent = NULL;
    int rc = EDB_OK;
    *out = (fk_link){ .fl_child = table_ref(child), .fl_number = number, .fl_key = key };
    if (name_same(child->et_name, key->parent)) {
        parent = table_ref(child);
    } else {
        rc = catalog_find(stmt, key->parent, &parent);
        if (rc == EDB_NOSUCH)
            rc = EDB_OK;
        if (!rc && parent && parent->et_kind != CATALOG_TABLE) {
            table_unref(parent);
            parent = NULL;
        }
    }
    out->fl_parent = parent;
    out->fl_parent_columns = calloc(key->n_columns, sizeof *out->fl_parent_columns);
    if (!rc && !out->fl_parent_columns)
        rc = no_memory();
    if (!rc && parent)
        out->fl_whole = find_parent_key(out);
    if (!rc && !out->fl_whole) {
        const char *mismatch = "foreign key mismatch - \"%s\" referencing \"%s\"", *missing = "no such table: %s.%s";
        const char *first = parent ? child->et_name : conn_title(stmt_conn(stmt));
        size_t size = strlen(mismatch) + strlen(first) + strlen(key->parent);
        out->fl_wrong = malloc(size);
        if (out->fl_wrong && parent)
            snprintf(out->fl_wrong, size, mismatch, first, key->parent);
        else if (out->fl_wrong)
            snprintf(out->fl_wrong, size, missing, first, key->parent);
        else
            rc = no_memory();
    }
    if (!rc && out->fl_whole)
        rc = leave_out_repeated(out);
    if (!rc && out->fl_whole) {
        out->fl_same = true;
        for (uint32_t i = 0; i < out->fl_key->n_columns; i++)
            out->fl_same = out->fl_same && affinities_agree(child->et_columns[out->fl_key->columns[i]].affinity,
                                                            parent_column(out, i)->affinity);
        if (out->fl_same)
            find_child_index(out);
    }
    if (rc)
        fk_link_free(out);
    return rc;
}

void fk_link_free(fk_link *link)
{
    table_unref(link->fl_child);
    table_unref(link->fl_parent);
    free(link->fl_parent_columns);
    free(link->fl_wrong);
    free(link->fl_distinct);
    memset(link, 0, sizeof *link);
}

int fk_link_wrong(const fk_link *link)
{
    return edb_fail(EDB_FKMISMATCH, "%s", link->fl_wrong);
}

/* ---- values --------------------------------------------------------------------------------------------------- */

int fk_key_of_child(const fk_link *link, const edb_value *row, arena *memory, edb_value *key, bool *null)
{
    int rc = EDB_OK;
    *null = false;
    for (uint32_t i = 0; !rc && i < link->fl_key->n_columns; i++) {
        const edb_value *v = &row[link->fl_key->columns[i]];
        *null |= v->type == VALUE_NULL;
        if (link->fl_whole)
            rc = affinity_apply(v, parent_column(link, i)->affinity, memory, &key[i]);
        else
            key[i] = *v;
    }
    return rc;
}

static int key_collation(const fk_link *link, uint32_t i)
{
    return link->fl_whole ? parent_column(link, i)->collation
                          : link->fl_child->et_columns[link->fl_key->columns[i]].collation;
}

/* The parts in the foreign key's order, or, for an index, the first n in the index's. of_parent: the index is asked for
 * the parent, else for children; where a table refers to itself, one index may serve for both. */
static int encode_key(table_buffer *buffer, const fk_link *link, const edb_index *index, bool of_parent,
                      const edb_value *key)
{
    for (uint32_t i = 0; i < link->fl_key->n_columns; i++) {
        uint32_t at = i;
        if (index && of_parent) {
            for (at = 0; link->fl_parent_columns[at] != index->parts[i].column;)
                at++;
        } else if (index) {
            at = (uint32_t)key_position(link, index->parts[i].column);
        }
        uint8_t *out = buffer_reserve(buffer, key_encode_bound(&key[at]));
        if (!out)
            return no_memory();
        buffer->bf_size += key_encode(out, &key[at], index ? index->parts[i].collation : key_collation(link, at),
                                      index && index->parts[i].descending);
    }
    return EDB_OK;
}

int fk_key_same(const fk_link *link, const edb_value *a, const edb_value *b, bool *same)
{
    table_buffer x = {0}, y = {0};
    int rc = encode_key(&x, link, NULL, false, a);
    if (!rc)
        rc = encode_key(&y, link, NULL, false, b);
    *same = !rc && x.bf_size == y.bf_size && !memcmp(x.bf_bytes, y.bf_bytes, x.bf_size);
    buffer_free(&x);
    buffer_free(&y);
    return rc;
}

/* ---- questions ------------------------------------------------------------------------------------------------ */

static int row_exists(edb_stmt *stmt, uint32_t tree, const edb_value *rowid, bool *exists)
{
    stmt_view before;
    uint8_t key[8];
    *exists = false;
    if (rowid->type != VALUE_INTEGER)
        return EDB_OK;
    rowid_store(key, rowid->integer);
    stmt_view_widen(stmt, &before);
    int rc = cursor_has(stmt, tree, key, sizeof key, exists);
    stmt_view_restore(stmt, &before);
    return rc;
}

/* The walk reads no further than the prefix goes. */
static int bound_prefix(edb_cursor *cu, const table_buffer *prefix)
{
    uint8_t *behind = malloc(prefix->bf_size + 1);
    if (!behind)
        return no_memory();
    memcpy(behind, prefix->bf_bytes, prefix->bf_size);
    size_t size = key_behind(behind, prefix->bf_size);
    cursor_bounds(cu, NULL, 0, size ? behind : NULL, size);
    free(behind);
    return EDB_OK;
}

/* Row ids behind the entries that begin with the prefix. */
static int prefix_rowids(edb_stmt *stmt, uint32_t tree, const table_buffer *prefix, size_t most, int64_t **out,
                         size_t *n)
{
    size_t room = 0;
    edb_cursor cu;
    int rc = cursor_open(stmt, tree, &cu);
    if (rc)
        return rc;
    rc = cursor_seek(&cu, prefix->bf_bytes, prefix->bf_size);
    if (!rc && cursor_watched(&cu))
        rc = bound_prefix(&cu, prefix);
    while (!rc && cu.valid && *n < most && cu.at.key_size >= prefix->bf_size + 8
           && !memcmp(cu.at.key, prefix->bf_bytes, prefix->bf_size)) {
        if (*n == room) {
            room = 2 * room + 4;
            int64_t *more = realloc(*out, room * sizeof *more);
            if (!more) {
                rc = no_memory();
                break;
            }
            *out = more;
        }
        (*out)[(*n)++] = rowid_load(cu.at.key + cu.at.key_size - 8);
        rc = cursor_next(&cu);
    }
    cursor_close(&cu);
    return rc;
}

int fk_parent_exists(edb_stmt *stmt, const fk_link *link, const edb_value *key, bool *exists)
{
    table_buffer prefix = {0};
    edb_entry entry;
    *exists = false;
    if (!link->fl_whole)
        return EDB_OK;
    if (!link->fl_parent_index)
        return row_exists(stmt, link->fl_parent->et_id, &key[0], exists);
    int rc = encode_key(&prefix, link, link->fl_parent_index, true, key);
    if (!rc && stmt_snapshot(stmt)->sn_number == edb_stmt_moment(stmt)) {
        /* An index may have a column twice, and then more parts than the key has columns. */
        rc = now_prefix(stmt, link->fl_parent_index->tree, prefix.bf_bytes, prefix.bf_size,
                        link->fl_parent_index->n_parts == link->fl_key->n_columns, &entry, exists);
    } else if (!rc) {
        stmt_view before;
        int64_t *found = NULL;
        size_t n = 0;
        stmt_view_widen(stmt, &before);
        rc = prefix_rowids(stmt, link->fl_parent_index->tree, &prefix, 1, &found, &n);
        stmt_view_restore(stmt, &before);
        *exists = n > 0;
        free(found);
    }
    buffer_free(&prefix);
    return rc;
}

/* Whether a child row has the key; its bytes, if they lie in a chain, are loaded into `bytes`. */
static int child_has(edb_stmt *stmt, const fk_link *link, const edb_entry *entry, int64_t rowid, table_buffer *bytes,
                     const edb_value *key, bool *has)
{
    edb_value row[CATALOG_COLUMNS], mine[CATALOG_COLUMNS];
    const edb_table *child = link->fl_child;
    const uint8_t *at = entry->value;
    size_t size = entry->value_size;
    arena memory;
    row_view view;
    bool null;
    if (entry->overflow) {
        bytes->bf_size = 0;
        size = entry_size(entry);
        uint8_t *copy = buffer_reserve(bytes, size);
        int rc = copy ? entry_load(stmt, entry, copy) : no_memory();
        if (rc)
            return rc;
        at = copy;
    }
    if (row_open(&view, at, size))
        return row_damaged(child, rowid);
    int rc = EDB_OK;
    arena_init(&memory);
    for (uint32_t i = 0; !rc && i < link->fl_key->n_columns; i++)
        rc = evaluate_column(stmt_conn(stmt), child, &view, rowid, link->fl_key->columns[i], &memory,
                             &row[link->fl_key->columns[i]]);
    if (!rc)
        rc = fk_key_of_child(link, row, &memory, mine, &null);
    *has = false;
    if (!rc && !null)
        rc = fk_key_same(link, mine, key, has);
    arena_free(&memory);
    return rc;
}

static int scan_children(edb_stmt *stmt, const fk_link *link, const edb_value *key, size_t most, int64_t **out,
                         size_t *n)
{
    table_buffer bytes = {0};
    size_t room = 0;
    edb_cursor cu;
    int rc = cursor_open(stmt, link->fl_child->et_id, &cu);
    if (rc)
        return rc;
    rc = cursor_seek(&cu, NULL, 0);
    while (!rc && cu.valid && *n < most) {
        bool has = false;
        int64_t rowid = 0;
        if (conn_interrupted(stmt_conn(stmt)))
            rc = edb_fail(EDB_INTERRUPT, "looking for the children of a row was interrupted");
        if (!rc)
            rc = row_id_of_entry(link->fl_child, &cu.at, &rowid);
        if (!rc)
            rc = child_has(stmt, link, &cu.at, rowid, &bytes, key, &has);
        if (!rc && has && *n == room) {
            room = 2 * room + 4;
            int64_t *more = realloc(*out, room * sizeof *more);
            if (more)
                *out = more;
            else
                rc = no_memory();
        }
        if (!rc && has)
            (*out)[(*n)++] = rowid;
        if (!rc)
            rc = cursor_next(&cu);
    }
    cursor_close(&cu);
    buffer_free(&bytes);
    return rc;
}

int fk_children(edb_stmt *stmt, const fk_link *link, const edb_value *key, size_t most, int64_t **rowids, size_t *n)
{
    table_buffer prefix = {0};
    stmt_view before;
    int rc = EDB_OK;
    *rowids = NULL;
    *n = 0;
    if (link->fl_key->n_columns == 1 && (int)link->fl_key->columns[0] == link->fl_child->et_rowid_column
        && (!link->fl_whole || link->fl_same)) {
        bool exists;
        rc = row_exists(stmt, link->fl_child->et_id, &key[0], &exists);
        if (rc || !exists)
            return rc;
        *rowids = malloc(sizeof **rowids);
        if (!*rowids)
            return no_memory();
        (*rowids)[(*n)++] = key[0].integer;
        return EDB_OK;
    }
    if (link->fl_child_index)
        rc = encode_key(&prefix, link, link->fl_child_index, false, key);
    if (!rc) {
        stmt_view_widen(stmt, &before);
        rc = link->fl_child_index ? prefix_rowids(stmt, link->fl_child_index->tree, &prefix, most, rowids, n)
                                  : scan_children(stmt, link, key, most, rowids, n);
        stmt_view_restore(stmt, &before);
    }
    buffer_free(&prefix);
    if (rc) {
        free(*rowids);
        *rowids = NULL;
    }
    return rc;
}

int fk_violated(edb_stmt *stmt, const fk_link *link, const edb_value *key, bool *violated)
{
    int64_t *rowids;
    size_t n;
    bool exists;
    *violated = false;
    int rc = fk_parent_exists(stmt, link, key, &exists);
    if (rc || exists)
        return rc;
    rc = fk_children(stmt, link, key, 1, &rowids, &n);
    if (!rc) {
        *violated = n > 0;
        free(rowids);
    }
    return rc;
}

/* ---- promises ------------------------------------------------------------------------------------------------- */

/* Key: child table u32 and number u16, big-endian, then K's parts. Value: state, then K as a row. */
enum { PROMISE_HEAD = 6 };

static int promise_broken(const fk_link *link, int state, bool at_commit)
{
    if (state == FK_MET && at_commit)
        return edb_fail(EDB_CONFLICT, "another transaction changed rows of %s or %s that a foreign key ties to rows of "
                        "this one: roll back and retry", link->fl_child->et_name, link->fl_key->parent);
    return edb_fail(EDB_FOREIGNKEY, "FOREIGN KEY constraint failed");
}

static int judge_one(edb_stmt *stmt, const fk_link *link, const ws_entry *w, bool at_commit)
{
    edb_value key[CATALOG_COLUMNS];
    row_view view;
    bool violated;
    int state = w->value[0];
    if (row_open(&view, w->value + 1, w->value_size - 1) || view.rw_columns != link->fl_key->n_columns)
        return EDB_OK;              /* ALTER TABLE has changed the key in this very transaction */
    for (uint32_t i = 0; i < view.rw_columns; i++)
        if (row_column(&view, i, &key[i]))
            return edb_fail(EDB_CORRUPT, "a promise of a foreign key of %s cannot be read", link->fl_child->et_name);
    int rc = fk_violated(stmt, link, key, &violated);
    return rc || !violated ? rc : promise_broken(link, state, at_commit);
}

static int judge_promises(edb_stmt *stmt, ws_cursor *promises, bool at_commit)
{
    uint8_t head[PROMISE_HEAD] = {0};
    bool have = false;
    fk_link link = {0};
    int rc = EDB_OK;
    for (bool more = ws_cursor_seek(promises, NULL, 0); more && !rc; more = ws_cursor_next(promises)) {
        const ws_entry *w = ws_cursor_at(promises);
        if (w->flags & WS_TOMBSTONE || load32(w->key) == PROMISE_OF_TAGS)
            continue;
        if (memcmp(head, w->key, PROMISE_HEAD)) {
            edb_table *child;
            memcpy(head, w->key, PROMISE_HEAD);
            fk_link_free(&link);
            have = false;
            rc = catalog_table(stmt, __builtin_bswap32(load32(head)), &child);
            if (rc == EDB_NOSUCH) {
                rc = EDB_OK;        /* dropped since, its foreign keys with it */
                continue;
            }
            uint32_t number = (uint32_t)head[4] << 8 | head[5];
            have = !rc && number < child->et_n_fkeys;
            if (have)
                rc = fk_link_make(stmt, child, number, &link);
            if (!rc || have)
                table_unref(child);
        }
        if (!rc && have)
            rc = judge_one(stmt, &link, w, at_commit);
        if (!rc && conn_interrupted(stmt_conn(stmt)))
            rc = edb_fail(EDB_INTERRUPT, "judging foreign keys was interrupted");
    }
    fk_link_free(&link);
    return rc;
}

static txn_hooks fkey_hooks = {.hk_name = "foreign keys", .hk_judge = judge_promises};

__attribute__((constructor)) static void fkey_load(void)
{
    hooks_register(&fkey_hooks);
}

int fk_promise_name(const fk_link *link, const edb_value *key, table_buffer *name)
{
    name->bf_size = 0;
    uint8_t *at = buffer_reserve(name, PROMISE_HEAD);
    if (!at)
        return no_memory();
    store32(at, __builtin_bswap32(link->fl_child->et_id));
    at[4] = (uint8_t)(link->fl_number >> 8);
    at[5] = (uint8_t)link->fl_number;
    name->bf_size = PROMISE_HEAD;
    return encode_key(name, link, NULL, false, key);
}

int fk_promise(edb_stmt *stmt, const fk_link *link, const edb_value *key, int state, bool at_once)
{
    table_buffer name = {0}, value = {0};
    int rc = fk_promise_name(link, key, &name);
    if (!rc) {
        uint8_t *row = buffer_reserve(&value, 1 + row_encode_bound(key, link->fl_key->n_columns));
        if (row) {
            row[0] = (uint8_t)state;
            value.bf_size = 1 + row_encode(row + 1, key, link->fl_key->n_columns);
        } else {
            rc = no_memory();
        }
    }
    if (!rc)
        rc = txn_promise(stmt, name.bf_bytes, name.bf_size, value.bf_bytes, value.bf_size, state != FK_MET, at_once);
    buffer_free(&name);
    buffer_free(&value);
    return rc;
}
