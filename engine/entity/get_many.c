/* Many rows by their ids (get_many.h).
 *
 * They are looked up in ascending order: then a cursor mostly finds the next one in the page it stands on. What a filter of
 * the table's row ids denies is neither sorted nor looked up. */
#include "engine/entity/get_many.h"

#include <stdlib.h>
#include <string.h>

#include "native/arena.h"
#include "native/marshal.h"
#include "engine/eval/evaluator.h"
#include "engine/filters/filters.h"

enum { INTERRUPT_EVERY = 1024, STEPS = 4 };     /* rows; entries stepped over before a way down the tree is taken */

typedef struct {
    size_t wd_place;                /* in ids */
    int64_t wd_id;
} wanted;

typedef struct {
    edb_stmt *gm_stmt;
    edb_get *gm_get;
    edb_table *gm_table, *gm_then;  /* counted; what rows are read by: gm_then, if that is set */
    edb_cursor gm_cursor;
    bool gm_open;
    filter_view *gm_filter;
    bool *gm_denied;                /* of each place: there is no such row; NULL: no filter was asked */
    size_t gm_missing;              /* rows looked up in vain */
    wanted *gm_wanted;              /* what is looked up, by id; NULL: all that is not denied, as it ascends */
    size_t gm_n_wanted;
    marshal_writer gm_out;
    size_t gm_head;                 /* bytes of gm_out before the first row */
    size_t *gm_at;                  /* where the row of each place begins in gm_out, and ends; NULL: in order */
    arena gm_memory;
    table_buffer gm_buffer;
} getting;

static int no_memory(const getting *gm)
{
    return edb_fail(EDB_NOMEM, "no memory for %zu rows of table %s", gm->gm_get->n_ids, gm->gm_table->et_name);
}

/* ---- the table ------------------------------------------------------------------------------------------------------ */

static int find_table(getting *gm)
{
    edb_stmt *stmt = gm->gm_stmt;
    uint64_t born;
    int rc = table_decode(gm->gm_get->payload, gm->gm_get->payload_size, &gm->gm_table);

    if (rc || !stmt_is_past(stmt))
        return rc;
    if ((rc = stmt_tree_born(stmt, gm->gm_table->et_id, &born)))
        return rc;
    if (born > edb_stmt_moment(stmt))
        return edb_fail(EDB_NOSUCH, "no such table: %s (at this moment it was not made yet)", gm->gm_table->et_name);
    return gm->gm_table->et_then_differs ? catalog_then(stmt, gm->gm_table, &gm->gm_then) : EDB_OK;
}

static const edb_table *read_by(const getting *gm)
{
    return gm->gm_then ? gm->gm_then : gm->gm_table;
}

/* ---- the order of looking ------------------------------------------------------------------------------------------ */

static int compare_wanted(const void *a, const void *b)
{
    const wanted *x = a, *y = b;

    return x->wd_id != y->wd_id ? (x->wd_id > y->wd_id) - (x->wd_id < y->wd_id)
                                : (x->wd_place > y->wd_place) - (x->wd_place < y->wd_place);
}

/* Own writes may have the row all the same. */
static int keep_own(getting *gm, size_t *denied)
{
    const edb_get *get = gm->gm_get;
    edb_entry entry;
    uint8_t key[8];
    bool found;
    int rc = EDB_OK;

    if (!cursor_may_have_own(gm->gm_stmt, gm->gm_table->et_id))
        return EDB_OK;
    for (size_t i = 0; i < get->n_ids && !rc; i++)
        if (gm->gm_denied[i]) {
            rowid_store(key, get->ids[i]);
            rc = cursor_get_absent(gm->gm_stmt, gm->gm_table->et_id, key, sizeof key, &entry, &found);
            if (!rc && found) {
                gm->gm_denied[i] = false;
                --*denied;
            }
        }
    return rc;
}

/* *left: how many are to be looked up. */
static int deny_ids(getting *gm, size_t *left)
{
    const edb_get *get = gm->gm_get;
    size_t denied;
    int rc;

    *left = get->n_ids;
    gm->gm_filter = filters_of(gm->gm_stmt, gm->gm_table->et_id, get->n_ids, false);
    if (!filter_asks(gm->gm_filter) || !get->n_ids)
        return EDB_OK;
    if (!(gm->gm_denied = malloc(get->n_ids * sizeof *gm->gm_denied)))
        return no_memory(gm);
    denied = filter_denies_rows(gm->gm_filter, get->ids, get->n_ids, gm->gm_denied);
    rc = denied ? keep_own(gm, &denied) : EDB_OK;
    *left -= denied;
    return rc;
}

static bool is_denied(const getting *gm, size_t place)
{
    return gm->gm_denied && gm->gm_denied[place];
}

static bool ascend(const getting *gm)
{
    const edb_get *get = gm->gm_get;
    size_t before = SIZE_MAX;

    for (size_t i = 0; i < get->n_ids; i++) {
        if (is_denied(gm, i))
            continue;
        if (before != SIZE_MAX && get->ids[before] > get->ids[i])
            return false;
        before = i;
    }
    return true;
}

static int order_ids(getting *gm)
{
    const edb_get *get = gm->gm_get;
    size_t left;
    int rc = deny_ids(gm, &left);

    if (rc || ascend(gm))
        return rc;
    gm->gm_wanted = malloc(left * sizeof *gm->gm_wanted);
    gm->gm_at = malloc(2 * get->n_ids * sizeof *gm->gm_at);
    if (!gm->gm_wanted || !gm->gm_at)
        return no_memory(gm);
    for (size_t i = 0; i < get->n_ids; i++)
        if (!is_denied(gm, i))
            gm->gm_wanted[gm->gm_n_wanted++] = (wanted){ i, get->ids[i] };
    qsort(gm->gm_wanted, gm->gm_n_wanted, sizeof *gm->gm_wanted, compare_wanted);
    return EDB_OK;
}

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

/* To the row, which does not come before where the cursor stands. */
static int find_row(getting *gm, const uint8_t key[8], bool *found)
{
    edb_cursor *cu = &gm->gm_cursor;
    uint64_t wanted = load64be(key);
    bool before = true;
    int rc;

    for (int i = 0; cu->valid && i < STEPS; i++) {
        if (cu->at.key_size != 8)
            return edb_fail(EDB_CORRUPT, "table %s has a key of %u bytes", gm->gm_table->et_name, cu->at.key_size);
        if (!(before = load64be(cu->at.key) < wanted))
            break;
        if ((rc = cursor_next(cu)))
            return rc;
    }
    if (before && (rc = cursor_seek_on(cu, key, 8)))
        return rc;
    *found = cu->valid && cu->at.key_size == 8 && load64be(cu->at.key) == wanted;
    return EDB_OK;
}

static int write_row(getting *gm, int64_t id)
{
    const edb_table *table = read_by(gm);
    const edb_get *get = gm->gm_get;
    row_view view;
    int rc = row_of_entry(&gm->gm_buffer, gm->gm_stmt, table, &gm->gm_cursor.at, id, &view);

    if (!rc && !(get->dicts ? marshal_begin_dict(&gm->gm_out) : marshal_write_tuple(&gm->gm_out, get->n_columns)))
        rc = no_memory(gm);
    for (uint32_t i = 0; i < get->n_columns && !rc; i++) {
        edb_value value;
        uint32_t column = get->columns[i];
        if (table->et_has_lazy)
            rc = evaluate_column(stmt_conn(gm->gm_stmt), table, &view, id, column, &gm->gm_memory, &value);
        else if (row_value(table, &view, id, column, &value))
            rc = row_damaged(table, id);
        if (!rc && ((get->dicts && !marshal_write_name(&gm->gm_out, i)) || !marshal_write(&gm->gm_out, &value)))
            rc = no_memory(gm);
    }
    if (!rc && get->dicts && !marshal_end_dict(&gm->gm_out))
        rc = no_memory(gm);
    if (table->et_has_lazy)
        arena_reset(&gm->gm_memory);
    return rc;
}

static const edb_value no_row = { .type = VALUE_NULL };

static int get_one(getting *gm, int64_t id)
{
    uint8_t key[8];
    bool found;

    rowid_store(key, id);
    int rc = find_row(gm, key, &found);
    if (rc)
        return rc;
    if (found)
        return write_row(gm, id);
    gm->gm_missing++;
    return marshal_write(&gm->gm_out, &no_row) ? EDB_OK : no_memory(gm);
}

static int interrupted(const getting *gm, size_t i)
{
    if (i % INTERRUPT_EVERY || !conn_interrupted(stmt_conn(gm->gm_stmt)))
        return EDB_OK;
    return edb_fail(EDB_INTERRUPT, "reading rows of table %s was interrupted", gm->gm_table->et_name);
}

static int get_as_they_come(getting *gm)
{
    const edb_get *get = gm->gm_get;
    int rc = EDB_OK;

    for (size_t i = 0; i < get->n_ids && !rc; i++) {
        if ((rc = interrupted(gm, i)))
            return rc;
        if (!is_denied(gm, i))
            rc = get_one(gm, get->ids[i]);
        else if (!marshal_write(&gm->gm_out, &no_row))
            rc = no_memory(gm);
    }
    return rc;
}

static int get_sorted(getting *gm)
{
    int rc = EDB_OK;

    for (size_t i = 0; i < gm->gm_n_wanted && !rc; i++) {
        size_t *at = gm->gm_at + 2 * gm->gm_wanted[i].wd_place;
        if ((rc = interrupted(gm, i)))
            return rc;
        at[0] = gm->gm_out.mw_size;
        rc = get_one(gm, gm->gm_wanted[i].wd_id);
        at[1] = gm->gm_out.mw_size;
    }
    return rc;
}

static int get_all(getting *gm)
{
    uint64_t touched = tree_touched;
    int rc = gm->gm_wanted ? get_sorted(gm) : get_as_they_come(gm);
    size_t looks = gm->gm_get->n_ids;

    for (size_t i = 0; gm->gm_denied && i < gm->gm_get->n_ids; i++)
        looks -= gm->gm_denied[i];
    if (!rc)
        filter_looked(gm->gm_filter, looks, gm->gm_missing, tree_touched - touched, gm->gm_wanted != NULL);
    return rc;
}

/* The rows in the order they were asked for. */
static int reorder(getting *gm)
{
    const marshal_writer *from = &gm->gm_out;
    size_t room = from->mw_size + (gm->gm_get->n_ids - gm->gm_n_wanted);    /* a byte for each row that is denied */
    marshal_writer to = { .mw_bytes = malloc(room), .mw_size = gm->gm_head, .mw_room = room };

    if (!to.mw_bytes)
        return no_memory(gm);
    memcpy(to.mw_bytes, from->mw_bytes, gm->gm_head);
    for (size_t i = 0; i < gm->gm_get->n_ids; i++) {
        if (is_denied(gm, i)) {
            (void)marshal_write(&to, &no_row);
            continue;
        }
        size_t size = gm->gm_at[2 * i + 1] - gm->gm_at[2 * i];
        memcpy(to.mw_bytes + to.mw_size, from->mw_bytes + gm->gm_at[2 * i], size);
        to.mw_size += size;
    }
    marshal_free(&gm->gm_out);
    gm->gm_out = to;
    return EDB_OK;
}

/* What stands before the first row. */
static int begin_out(getting *gm)
{
    const edb_get *get = gm->gm_get;
    marshal_writer *out = &gm->gm_out;
    bool written = marshal_write_tuple(out, 2) && marshal_write_tuple(out, get->n_columns);

    for (uint32_t i = 0; i < get->n_columns && written; i++) {
        const char *name = gm->gm_table->et_columns[get->columns[i]].name;
        written = marshal_keep_name(out, name, strlen(name));
    }
    if (!written || !marshal_write_list(out, get->n_ids))
        return no_memory(gm);
    gm->gm_head = out->mw_size;
    return EDB_OK;
}

int get_many(edb_stmt *stmt, edb_get *get)
{
    getting gm = { .gm_stmt = stmt, .gm_get = get };
    int rc = find_table(&gm);

    arena_init(&gm.gm_memory);
    for (uint32_t i = 0; i < get->n_columns && !rc; i++)
        if (get->columns[i] >= gm.gm_table->et_n_columns)
            rc = edb_fail(EDB_MISUSE, "table %s has no column %u", gm.gm_table->et_name, get->columns[i]);
    if (!rc && get->n_ids > INT32_MAX)
        rc = edb_fail(EDB_TOOBIG, "%zu rows are asked for at once; at most %d", get->n_ids, INT32_MAX);
    if (!rc)
        rc = begin_out(&gm);
    if (!rc)
        rc = order_ids(&gm);
    if (!rc && !(rc = cursor_open(stmt, gm.gm_table->et_id, &gm.gm_cursor))) {
        gm.gm_cursor.valid = false;
        gm.gm_open = true;
        rc = get_all(&gm);
    }
    if (!rc && gm.gm_at)
        rc = reorder(&gm);
    if (!rc) {
        get->out = gm.gm_out.mw_bytes;
        get->out_size = gm.gm_out.mw_size;
        gm.gm_out.mw_bytes = NULL;
    }
    if (gm.gm_open)
        cursor_close(&gm.gm_cursor);
    marshal_free(&gm.gm_out);
    free(gm.gm_denied);
    free(gm.gm_wanted);
    free(gm.gm_at);
    buffer_free(&gm.gm_buffer);
    arena_free(&gm.gm_memory);
    table_unref(gm.gm_then);
    table_unref(gm.gm_table);
    return rc;
}
