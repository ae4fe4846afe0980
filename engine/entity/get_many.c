/* Many rows by their ids (get_many.h).
 *
 * They are looked up in ascending order: then a cursor mostly finds the next one in the page it stands on. */
#include "engine/entity/get_many.h"

#include <stdlib.h>
#include <string.h>

#include "native/arena.h"
#include "native/marshal.h"
#include "engine/eval/evaluator.h"

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
    bool gm_open, gm_sorted;
    wanted *gm_wanted;              /* by id; NULL: ids ascend as they are */
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

static int order_ids(getting *gm)
{
    const edb_get *get = gm->gm_get;

    for (size_t i = 1; i < get->n_ids && !gm->gm_wanted; i++)
        if (get->ids[i - 1] > get->ids[i] && !(gm->gm_wanted = malloc(get->n_ids * sizeof *gm->gm_wanted)))
            return no_memory(gm);
    if (!gm->gm_wanted)
        return EDB_OK;
    if (!(gm->gm_at = malloc(2 * get->n_ids * sizeof *gm->gm_at)))
        return no_memory(gm);
    for (size_t i = 0; i < get->n_ids; i++)
        gm->gm_wanted[i] = (wanted){ i, get->ids[i] };
    qsort(gm->gm_wanted, get->n_ids, sizeof *gm->gm_wanted, compare_wanted);
    return EDB_OK;
}

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

/* To the row, which does not come before where the cursor stands. */
static int find_row(getting *gm, const uint8_t key[8], bool *found)
{
    edb_cursor *cu = &gm->gm_cursor;
    int rc = EDB_OK, order = -1;

    for (int i = 0; cu->valid && i < STEPS; i++) {
        if (cu->at.key_size != 8)
            return edb_fail(EDB_CORRUPT, "table %s has a key of %u bytes", gm->gm_table->et_name, cu->at.key_size);
        if ((order = memcmp(cu->at.key, key, 8)) >= 0)
            break;
        if ((rc = cursor_next(cu)))
            return rc;
    }
    if (order < 0 && (rc = cursor_seek_on(cu, key, 8)))
        return rc;
    *found = cu->valid && cu->at.key_size == 8 && !memcmp(cu->at.key, key, 8);
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

static int get_one(getting *gm, int64_t id)
{
    static const edb_value none = { .type = VALUE_NULL };
    uint8_t key[8];
    bool found;

    rowid_store(key, id);
    int rc = find_row(gm, key, &found);
    if (rc)
        return rc;
    if (found)
        return write_row(gm, id);
    return marshal_write(&gm->gm_out, &none) ? EDB_OK : no_memory(gm);
}

static int get_all(getting *gm)
{
    const edb_get *get = gm->gm_get;
    int rc = EDB_OK;

    for (size_t i = 0; i < get->n_ids && !rc; i++) {
        size_t begun = gm->gm_out.mw_size, place = gm->gm_wanted ? gm->gm_wanted[i].wd_place : i;
        if (i % INTERRUPT_EVERY == 0 && conn_interrupted(stmt_conn(gm->gm_stmt)))
            return edb_fail(EDB_INTERRUPT, "reading rows of table %s was interrupted", gm->gm_table->et_name);
        rc = get_one(gm, gm->gm_wanted ? gm->gm_wanted[i].wd_id : get->ids[i]);
        if (!rc && gm->gm_at) {
            gm->gm_at[2 * place] = begun;
            gm->gm_at[2 * place + 1] = gm->gm_out.mw_size;
        }
    }
    return rc;
}

/* The rows in the order they were asked for. */
static int reorder(getting *gm)
{
    const marshal_writer *from = &gm->gm_out;
    marshal_writer to = { .mw_bytes = malloc(from->mw_size), .mw_size = gm->gm_head, .mw_room = from->mw_size };

    if (!to.mw_bytes)
        return no_memory(gm);
    memcpy(to.mw_bytes, from->mw_bytes, gm->gm_head);
    for (size_t i = 0; i < gm->gm_get->n_ids; i++) {
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
    free(gm.gm_wanted);
    free(gm.gm_at);
    buffer_free(&gm.gm_buffer);
    arena_free(&gm.gm_memory);
    table_unref(gm.gm_then);
    table_unref(gm.gm_table);
    return rc;
}
