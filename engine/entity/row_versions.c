/* The versions of rows (row_versions.h).
 *
 * A version that has ended is told by the change that ended it, which has it as what was before. So the changes from the first
 * wanted end on give all of these, and the rows at the statement's moment the current ones. */
#include "engine/entity/row_versions.h"

#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/txn/reads.h"
#include "engine/txn/txn_internal.h"

int versions_open(row_versions *rvs, edb_stmt *stmt, const edb_table *table, const versions_wanted *wanted)
{
    const tree_state *state;
    uint64_t moment = stmt->st_moment;
    int rc = stmt_tree(stmt, table->et_id, &state);

    *rvs = (row_versions){ .rvs_stmt = stmt, .rvs_wanted = *wanted, .rvs_there = !rc && state };
    alike_begin(&rvs->rvs_alike, stmt, table);
    if (rc || !state)
        return rc;
    if (wanted->vw_ended_upto < moment)
        moment = wanted->vw_ended_upto;
    if ((rc = tree_events_open(&rvs->rvs_events, stmt->st_conn->cn_pager, state, wanted->vw_ended_after, moment)))
        return rc;
    if ((rc = tree_cursor_open(&rvs->rvs_rows, stmt->st_conn->cn_pager, state, stmt->st_moment)))
        tree_events_close(&rvs->rvs_events);
    return rc;
}

void versions_close(row_versions *rvs)
{
    if (!rvs->rvs_there)
        return;
    tree_events_close(&rvs->rvs_events);
    tree_cursor_close(&rvs->rvs_rows);
    alike_end(&rvs->rvs_alike);
    rvs->rvs_there = false;
}

/* At SERIALIZABLE the rows of the range count as read: a walk over them says so. */
static int note_rows(edb_stmt *stmt, uint32_t tree, const void *low, size_t low_size, const void *high, size_t high_size)
{
    edb_cursor rows;
    int rc = cursor_open(stmt, tree, &rows);

    if (rc)
        return rc;
    cursor_bounds(&rows, low, low_size, high, high_size);
    for (rc = cursor_seek(&rows, low, low_size); !rc && rows.valid; rc = cursor_next(&rows))
        if (high && key_compare(rows.at.key, rows.at.key_size, high, high_size) >= 0)
            break;
    cursor_close(&rows);
    return rc;
}

int versions_start(row_versions *rvs, const void *low, size_t low_size, const void *high, size_t high_size)
{
    int rc;

    rvs->rvs_changes = rvs->rvs_current = rvs->rvs_has_later = false;
    if (!rvs->rvs_there)
        return EDB_OK;
    if (stmt_notes_reads(rvs->rvs_stmt)
        && (rc = note_rows(rvs->rvs_stmt, rvs->rvs_rows.tc_state.ts_id, low, low_size, high, high_size)))
        return rc;
    rvs->rvs_high = high;
    rvs->rvs_high_size = high_size;
    rvs->rvs_changes = true;
    if ((rc = tree_events_start(&rvs->rvs_events, low, low_size, high, high_size)))
        return rc;
    if (rvs->rvs_wanted.vw_ended_upto != FOREVER)
        return EDB_OK;
    rvs->rvs_current = true;
    return tree_cursor_seek(&rvs->rvs_rows, low, low_size);
}

int versions_start_row(row_versions *rvs, int64_t id)
{
    uint8_t *low = rvs->rvs_row[0], *high = rvs->rvs_row[1];

    rowid_store(low, id);
    rowid_store(high, id);
    size_t high_size = key_behind(high, sizeof rvs->rvs_row[1]);
    return versions_start(rvs, low, sizeof rvs->rvs_row[0], high_size ? high : NULL, high_size);
}

static bool begun_wanted(const row_versions *rvs, uint64_t begun)
{
    return begun > rvs->rvs_wanted.vw_begun_after && begun <= rvs->rvs_wanted.vw_begun_upto;
}

/* Whether the row was there before a version, if the change that was told last began it. */
static signed char had_before(const row_versions *rvs, const tree_version *v)
{
    if (v->from != rvs->rvs_last_at || v->key_size != rvs->rvs_last_key_size
        || memcmp(v->key, rvs->rvs_last_key, v->key_size) != 0)
        return -1;
    return rvs->rvs_last_had;
}

/* The commit that began the run of a version, which the last change that was none may know. */
static int run_begun(row_versions *rvs, const tree_version *v, uint64_t *begun)
{
    *begun = v->from;
    if (!alike_any(&rvs->rvs_alike))
        return EDB_OK;
    if (v->from == rvs->rvs_run_at && v->key_size == sizeof rvs->rvs_row[0] && memcmp(v->key, rvs->rvs_run_key, v->key_size) == 0) {
        *begun = rvs->rvs_run_begun;
        return EDB_OK;
    }
    return alike_begun(&rvs->rvs_alike, &rvs->rvs_rows.tc_state, v, begun);
}

/* Whether a change is none to whoever asks for history. */
static int passes_over(row_versions *rvs, const tree_event *change, bool *over)
{
    uint64_t begun;
    int rc = EDB_OK;

    *over = false;
    if (!alike_any(&rvs->rvs_alike) || !change->had || !change->has)
        return EDB_OK;
    if ((rc = alike_versions(&rvs->rvs_alike, &change->was, &change->is, over)) || !*over
        || (rc = run_begun(rvs, &change->was, &begun)))
        return rc;
    rvs->rvs_run_at = change->at;
    rvs->rvs_run_begun = begun;
    rvs->rvs_run_key = change->key;
    return EDB_OK;
}

/* What a change says: that a version, which commit `begun` began, ended, and perhaps that the row was deleted. -> whether either is
 * wanted. */
static bool take_change(row_versions *rvs, const tree_event *change, uint64_t begun, row_version *out)
{
    row_version deletion;
    bool is_wanted = change->had && begun_wanted(rvs, begun);
    bool deletes = change->had && !change->has && rvs->rvs_wanted.vw_deletions && begun_wanted(rvs, change->at);

    if (change->had)
        *out = (row_version){ .vn_begun = begun, .vn_ended = change->at,
                              .vn_had = begun == change->was.from ? had_before(rvs, &change->was) : -1 };
    rvs->rvs_last_at = change->at;
    rvs->rvs_last_key = change->key;
    rvs->rvs_last_key_size = change->key_size;
    rvs->rvs_last_had = change->had;
    if (!change->had)
        return false;
    entry_from_version(&change->was, &out->vn_entry);
    if (!deletes)
        return is_wanted;
    deletion = *out;
    deletion.vn_begun = change->at;
    deletion.vn_deletion = true;
    if (is_wanted) {
        rvs->rvs_later = deletion;
        rvs->rvs_has_later = true;
    } else {
        *out = deletion;
    }
    return true;
}

static int look_at_change(row_versions *rvs, const tree_event *change, row_version *out, bool *found)
{
    uint64_t begun = 0;
    bool over;
    int rc = passes_over(rvs, change, &over);

    if (rc || over)
        return rc;
    if (change->had && (rc = run_begun(rvs, &change->was, &begun)))
        return rc;
    *found = take_change(rvs, change, begun, out);
    return EDB_OK;
}

/* The next row that is there and wanted. */
static int take_row(row_versions *rvs, row_version *out, bool *found)
{
    tree_cursor *rows = &rvs->rvs_rows;
    int rc = EDB_OK;

    while (!rc && rows->tc_valid && !*found) {
        const tree_version *at = &rows->tc_at;
        if (rvs->rvs_high && key_compare(at->key, at->key_size, rvs->rvs_high, rvs->rvs_high_size) >= 0)
            break;
        uint64_t begun;
        if ((rc = run_begun(rvs, at, &begun)))
            break;
        if ((*found = begun_wanted(rvs, begun))) {
            *out = (row_version){ .vn_begun = begun, .vn_had = begun == at->from ? had_before(rvs, at) : -1 };
            entry_from_version(at, &out->vn_entry);
        }
        rc = tree_cursor_next(rows);
    }
    return rc;
}

int versions_next(row_versions *rvs, row_version *out, bool *found)
{
    const tree_event *change;
    int rc = EDB_OK;

    *found = rvs->rvs_has_later;
    if (rvs->rvs_has_later) {
        *out = rvs->rvs_later;
        rvs->rvs_has_later = false;
    }
    while (!rc && !*found && rvs->rvs_changes) {
        if (!(rc = tree_events_next(&rvs->rvs_events, &change))) {
            rvs->rvs_changes = change != NULL;
            if (change)
                rc = look_at_change(rvs, change, out, found);
        }
        if (!rc && conn_interrupted(rvs->rvs_stmt->st_conn))
            rc = edb_fail(EDB_INTERRUPT, "reading the versions of rows was interrupted");
    }
    return !rc && !*found && rvs->rvs_current ? take_row(rvs, out, found) : rc;
}

/* ---- one version --------------------------------------------------------------------------------------------------- */

/* Back from `now` to the version that commit `from` wrote: the last change before it is met that is one. */
static int find_end(alike *alk, const tree_state *state, const edb_entry *entry, uint64_t now, uint64_t *ended)
{
    tree_version at, later;
    bool found, followed = false;           /* followed: `later` is what came next */
    uint64_t since = 0, changed = 0;        /* changed: the commit of that change */
    int rc = EDB_OK;

    for (*ended = 0; now >= entry->from && !rc; now = since - 1) {
        bool same = false;
        rc = tree_version_at(alk->alk_stmt->st_conn->cn_pager, state, now, entry->key, entry->key_size, &at, &found, &since);
        if (!rc && found && followed)
            rc = alike_versions(alk, &at, &later, &same);
        if (!rc && changed && !same)
            *ended = changed;
        if (rc || since <= entry->from)
            break;
        followed = found;
        later = at;
        changed = since;
    }
    return rc;
}

int version_period(edb_stmt *stmt, const edb_table *table, const edb_entry *entry, uint64_t now, uint64_t *begun, uint64_t *ended)
{
    const tree_version v = { .key = entry->key, .key_size = entry->key_size, .value = entry->value, .value_size = entry->value_size,
                             .from = entry->from, .overflow = entry->overflow };
    const tree_state *known;
    alike alk;
    int rc = stmt_tree(stmt, table->et_id, &known);

    *begun = entry->from;
    if (ended)
        *ended = 0;
    if (rc || !known)
        return rc;
    const tree_state state = *known;
    alike_begin(&alk, stmt, table);
    if (alike_any(&alk))
        rc = alike_begun(&alk, &state, &v, begun);
    if (!rc && ended)
        rc = find_end(&alk, &state, entry, now, ended);
    alike_end(&alk);
    return rc;
}

/* Whether the key was there before commit `begun`. */
static int version_had(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, uint64_t begun, bool *had)
{
    const tree_state *state;
    tree_version version;
    int rc = stmt_tree(stmt, tree, &state);

    *had = false;
    if (rc || !state || begun <= state->ts_born || begun <= state->ts_horizon)
        return rc;
    return tree_get(stmt->st_conn->cn_pager, state, begun - 1, key, key_size, &version, had);
}

const char *operation_name(bool had, bool has)
{
    return !has ? "delete" : had ? "update" : "insert";
}

int version_operation(edb_stmt *stmt, uint32_t tree, const row_version *vn, const char **out)
{
    bool had = vn->vn_had == 1;
    int rc = EDB_OK;

    if (vn->vn_had < 0 && !vn->vn_deletion)
        rc = version_had(stmt, tree, vn->vn_entry.key, vn->vn_entry.key_size, vn->vn_begun, &had);
    *out = operation_name(had, !vn->vn_deletion);
    return rc;
}

/* ---- row ids by what an index had ------------------------------------------------------------------------------------ */

typedef struct {
    int64_t *ri_ids;
    size_t ri_n, ri_room;
} row_id_set;

static int add_id(row_id_set *ri, const tree_event *change)
{
    if (!change->has)
        return EDB_OK;
    if (change->key_size < 8)
        return edb_fail(EDB_CORRUPT, "an index has a key of %u bytes", change->key_size);
    if (ri->ri_n == ri->ri_room) {
        int64_t *more = realloc(ri->ri_ids, (ri->ri_room = 2 * ri->ri_room + 16) * sizeof *more);
        if (!more)
            return edb_fail(EDB_NOMEM, "no memory for the row ids of an index");
        ri->ri_ids = more;
    }
    ri->ri_ids[ri->ri_n++] = rowid_load(change->key + change->key_size - 8);
    return EDB_OK;
}

static int order_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

size_t ids_unique(int64_t *ids, size_t n)
{
    size_t kept = 0;

    if (n)
        qsort(ids, n, sizeof *ids, order_ids);
    for (size_t i = 0; i < n; i++)
        if (!i || ids[i] != ids[kept - 1])
            ids[kept++] = ids[i];
    return kept;
}

/* What the index had at the horizon: no change tells of it. */
static int add_kept(row_id_set *ri, edb_stmt *stmt, const tree_state *state, const void *low, size_t low_size, const void *high,
                    size_t high_size)
{
    tree_cursor tc;
    int rc = tree_cursor_open(&tc, stmt->st_conn->cn_pager, state, state->ts_horizon);

    if (rc)
        return rc;
    for (rc = tree_cursor_seek(&tc, low, low_size); !rc && tc.tc_valid; rc = tree_cursor_next(&tc)) {
        if (high && key_compare(tc.tc_at.key, tc.tc_at.key_size, high, high_size) >= 0)
            break;
        const tree_event there = { .has = true, .key = tc.tc_at.key, .key_size = tc.tc_at.key_size };
        if ((rc = add_id(ri, &there)))
            break;
    }
    tree_cursor_close(&tc);
    return rc;
}

int versions_of_index(edb_stmt *stmt, uint32_t tree, const void *low, size_t low_size, const void *high, size_t high_size,
                      int64_t **ids, size_t *n)
{
    row_id_set ri = { .ri_ids = NULL };
    const tree_state *state;
    const tree_event *change;
    tree_events changes;
    int rc = stmt_tree(stmt, tree, &state);

    if (!rc && state && !(rc = tree_events_open(&changes, stmt->st_conn->cn_pager, state, 0, stmt->st_moment))) {
        rc = tree_events_start(&changes, low, low_size, high, high_size);
        while (!rc && !(rc = tree_events_next(&changes, &change)) && change)
            rc = add_id(&ri, change);
        tree_events_close(&changes);
        if (!rc && state->ts_horizon)
            rc = add_kept(&ri, stmt, state, low, low_size, high, high_size);
    }
    if (!rc && state && stmt_notes_reads(stmt))
        rc = note_rows(stmt, tree, low, low_size, high, high_size);
    if (rc) {
        free(ri.ri_ids);
        return rc;
    }
    *ids = ri.ri_ids;
    *n = ids_unique(ri.ri_ids, ri.ri_n);
    return EDB_OK;
}
