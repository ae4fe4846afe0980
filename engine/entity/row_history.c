/* When the versions of a row began and ended (row_history.h). Versions that are alike are one. */
#include "engine/entity/row_history.h"

#include <stdlib.h>

#include "engine/entity/alike.h"
#include "engine/txn/txn_internal.h"

static int add_version(edb_history *history, size_t *room, int64_t from, int64_t to)
{
    size_t n = history->n_versions;

    if (2 * n == *room) {
        int64_t *more = realloc(history->times, (*room = 2 * *room + 8) * sizeof *more);
        if (!more)
            return edb_fail(EDB_NOMEM, "no memory for more than %zu versions of a row", n);
        history->times = more;
    }
    history->times[2 * n] = from;
    history->times[2 * n + 1] = to;
    history->n_versions++;
    return EDB_OK;
}

static int walk_back(edb_stmt *stmt, const tree_state *state, alike *alk, edb_history *history)
{
    pager *pg = stmt->st_conn->cn_pager;
    uint64_t at = stmt->st_moment, begun, followed = 0;     /* followed: the commit that began what came next */
    tree_version version;
    size_t room = 0;
    uint8_t key[8];
    bool found;
    int rc = EDB_OK;

    rowid_store(key, history->id);
    while (at && at >= state->ts_born && history->n_versions < history->most && !rc) {
        int64_t from, to = INT64_MAX;
        if ((rc = tree_version_at(pg, state, at, key, sizeof key, &version, &found, &begun))
            || (found && (rc = alike_begun(alk, state, &version, &begun))))
            break;
        if (found && !(rc = commit_time(stmt, begun, &from)) && followed)
            rc = commit_time(stmt, followed, &to);
        if (found && !rc)
            rc = add_version(history, &room, from, to);
        followed = begun;
        at = begun ? begun - 1 : 0;
        if (!rc && conn_interrupted(stmt->st_conn))
            rc = edb_fail(EDB_INTERRUPT, "reading the versions of a row was interrupted");
    }
    return rc;
}

int row_history(edb_stmt *stmt, edb_history *history)
{
    const tree_state *known;
    tree_state state;
    alike alk;
    int rc = stmt_tree(stmt, history->table, &known);

    history->times = NULL;
    history->n_versions = 0;
    if (rc || !known)
        return rc;
    state = *known;                 /* valid until the next question */
    rc = alike_find(&alk, stmt, history->table);
    if (!rc)
        rc = walk_back(stmt, &state, &alk, history);
    alike_end(&alk);
    if (rc) {
        free(history->times);
        history->times = NULL;
    }
    return rc;
}

int row_life_find(edb_stmt *stmt, uint32_t table, int64_t id, row_life *out)
{
    const tree_state *known;
    tree_state state;
    tree_version version;
    uint64_t begun;
    uint8_t key[8];
    alike alk;
    bool found = true;
    int rc = stmt_tree(stmt, table, &known);

    *out = (row_life){ 0, 0, 0 };
    if (rc || !known)
        return rc;
    state = *known;
    rowid_store(key, id);
    rc = alike_find(&alk, stmt, table);
    for (uint64_t at = stmt->st_moment; at >= state.ts_born && !rc; at = begun - 1) {
        rc = tree_version_at(stmt->st_conn->cn_pager, &state, at, key, sizeof key, &version, &found, &begun);
        if (rc || !found || (rc = alike_begun(&alk, &state, &version, &begun)))
            break;
        out->rl_created = begun;
        out->rl_updated = out->rl_updated ? out->rl_updated : begun;
        out->rl_versions++;
        if (conn_interrupted(stmt->st_conn))
            rc = edb_fail(EDB_INTERRUPT, "reading the versions of a row was interrupted");
    }
    alike_end(&alk);
    return rc;
}
