/* What is said of transactions (transactions.h and docs/format.md, "Transactions"). */
#include "engine/entity/transactions.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/catalog/payload.h"
#include "engine/txn/txn_internal.h"

/* ---- what a connection says --------------------------------------------------------------------------------------- */

typedef struct {                    /* one piece of memory */
    const uint8_t *si_actor;        /* NULL: none */
    size_t si_actor_size, si_row_size;
    uint8_t *si_row;                /* as it is stored */
} said_info;

typedef struct {                    /* a tree that a commit makes, and that stays for ever */
    _Atomic uint32_t itr_tree;      /* 0: not met yet */
    _Atomic uint64_t itr_none_upto;     /* the newest commit of which it is known that there is no such tree */
} info_tree;

typedef struct {                    /* of a database */
    info_tree its_info, its_actors;
} info_trees;

static void *trees_make(void)
{
    return calloc(1, sizeof(info_trees));
}

static int add_info(edb_conn *conn, struct commit *cm);

static txn_hooks info_hooks = {
    .hk_name = "transaction info", .hk_commit = add_info, .hk_conn_free = free, .hk_db_make = trees_make, .hk_db_free = free
};

__attribute__((constructor)) static void info_register(void)
{
    hooks_register(&info_hooks);
}

static int judge_text(const char *what, const char *text, size_t size)
{
    if (!text || utf8_valid((const uint8_t *)text, size))
        return EDB_OK;
    return edb_fail(EDB_MISUSE, "the %s of a transaction is a text", what);
}

static int judge_info(const edb_conn *conn, const edb_info *info)
{
    uint32_t most = tree_key_max(pager_page_size(conn->cn_pager));
    int rc;

    if ((rc = judge_text("actor", info->actor, info->actor_size))
        || (rc = judge_text("reason", info->reason, info->reason_size))
        || (rc = judge_text("metadata", info->metadata, info->metadata_size)))
        return rc;
    if (info->actor && (!info->actor_size || memchr(info->actor, 0, info->actor_size)))
        return edb_fail(EDB_MISUSE, "the actor of a transaction is a text of one character or more, without NUL");
    if (info->actor && info->actor_size > most)
        return edb_fail(EDB_TOOBIG, "an actor of %zu bytes is too long: at most %" PRIu32 " bytes fit", info->actor_size, most);
    if (info->reason_size > INFO_MOST || info->metadata_size > INFO_MOST)
        return edb_fail(EDB_TOOBIG, "reason and metadata of a transaction have at most %d bytes each", INFO_MOST);
    return EDB_OK;
}

static edb_value text_value(const char *text, size_t size)
{
    edb_value value = { .type = VALUE_NULL };

    if (text) {
        value.type = VALUE_TEXT;
        value.bytes = text;
        value.size = size;
    }
    return value;
}

int edb_conn_info(edb_conn *conn, const edb_info *info)
{
    edb_value values[INFO_COLUMNS];
    said_info *said;
    int rc;

    if ((rc = conn_check(conn)))
        return rc;
    if (!info) {
        conn_data_set(conn, &info_hooks, NULL);
        return EDB_OK;
    }
    if ((rc = judge_info(conn, info)))
        return rc;
    values[INFO_ACTOR] = text_value(info->actor, info->actor_size);
    values[INFO_REASON] = text_value(info->reason, info->reason_size);
    values[INFO_METADATA] = text_value(info->metadata, info->metadata_size);
    size_t room = row_encode_bound(values, INFO_COLUMNS);
    if (!(said = malloc(sizeof *said + room + info->actor_size)))
        return edb_fail(EDB_NOMEM, "no memory for what is said of a transaction");
    said->si_row = (uint8_t *)(said + 1);
    said->si_row_size = row_encode(said->si_row, values, INFO_COLUMNS);
    said->si_actor = NULL;
    said->si_actor_size = 0;
    if (info->actor) {
        said->si_actor = memcpy(said->si_row + room, info->actor, info->actor_size);
        said->si_actor_size = info->actor_size;
    }
    conn_data_set(conn, &info_hooks, said);
    return EDB_OK;
}

/* ---- the trees ---------------------------------------------------------------------------------------------------- */

/* The tree in the catalog, as the statement sees it; 0: there is none yet. */
static int look_up(edb_stmt *stmt, const char *name, info_tree *known, uint32_t *tree)
{
    int rc = catalog_tree(stmt, name, tree);

    if (rc)
        return rc;
    if (*tree)
        atomic_store_explicit(&known->itr_tree, *tree, memory_order_relaxed);
    else if (stmt->st_moment > atomic_load_explicit(&known->itr_none_upto, memory_order_relaxed))
        atomic_store_explicit(&known->itr_none_upto, stmt->st_moment, memory_order_relaxed);
    return EDB_OK;
}

/* A tree by the name of its catalog entry, as the statement sees it; 0: it was not made yet. Who has met it once need not
 * read the catalog again: nothing drops it. Nor need who has met none, for that commit and those before it. (Of two who say so at
 * once the lower may win. It is true as well.) */
static int known_tree(edb_stmt *stmt, bool actors, uint32_t *tree)
{
    info_trees *trees = db_data(stmt->st_conn, &info_hooks);
    const tree_state *state;
    int rc;

    if (!trees)
        return edb_fail(EDB_NOMEM, "no memory to find what is said of transactions");
    info_tree *known = actors ? &trees->its_actors : &trees->its_info;
    *tree = atomic_load_explicit(&known->itr_tree, memory_order_relaxed);
    if (!*tree && stmt->st_moment <= atomic_load_explicit(&known->itr_none_upto, memory_order_relaxed))
        return EDB_OK;
    if (!*tree)
        return look_up(stmt, actors ? ACTORS_NAME : INFO_NAME, known, tree);
    if ((rc = stmt_tree(stmt, *tree, &state)))
        return rc;
    if (!state || state->ts_born > stmt->st_moment)
        *tree = 0;
    return EDB_OK;
}

static int make_tree(struct commit *cm, const char *name, uint32_t *tree)
{
    uint8_t key[8], payload[PAYLOAD_OF_TREE];
    int rc = commit_add_tree(cm, 0, tree);

    if (rc)
        return rc;
    rowid_store(key, *tree);
    return commit_add(cm, TREE_CATALOG, key, sizeof key, payload, payload_of_tree(payload, *tree, name));
}

static int find_or_make(struct commit *cm, edb_stmt *stmt, bool actors, uint32_t *tree)
{
    int rc = known_tree(stmt, actors, tree);

    return rc || *tree ? rc : make_tree(cm, actors ? ACTORS_NAME : INFO_NAME, tree);
}

/* Attached databases say what their host was told. */
static int add_info(edb_conn *conn, struct commit *cm)
{
    const said_info *said = conn_data(conn->cn_host ? conn->cn_host : conn, &info_hooks);
    uint32_t info, actors = 0;
    edb_stmt *stmt;
    int rc;

    if (!said)
        return EDB_OK;
    if ((rc = commit_statement(cm, &stmt)))
        return rc;
    if (!(rc = find_or_make(cm, stmt, false, &info)) && said->si_actor)
        rc = find_or_make(cm, stmt, true, &actors);
    base_statement_free(stmt);
    if (!rc)
        rc = commit_add(cm, info, INFO_KEY, sizeof INFO_KEY - 1, said->si_row, said->si_row_size);
    if (!rc && said->si_actor)
        rc = commit_add(cm, actors, said->si_actor, said->si_actor_size, "", 0);
    return rc;
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

bool info_read(const uint8_t *value, size_t size, edb_value out[INFO_COLUMNS])
{
    row_view row;

    if (row_open(&row, value, size) || row.rw_columns != INFO_COLUMNS)
        return false;
    for (uint32_t i = 0; i < INFO_COLUMNS; i++)
        if (row_column(&row, i, &out[i]) || (out[i].type != VALUE_NULL && out[i].type != VALUE_TEXT)
            || (out[i].type == VALUE_TEXT && !utf8_valid(out[i].bytes, out[i].size)))
            return false;
    return true;
}

static int tree_of(edb_stmt *stmt, bool actors, tree_state *state, bool *there)
{
    const tree_state *known;
    uint32_t tree;
    int rc = known_tree(stmt, actors, &tree);

    *there = false;
    if (rc || !tree || (rc = stmt_tree(stmt, tree, &known)))
        return rc;
    if (known) {
        *state = *known;            /* valid until the next question */
        *there = true;
    }
    return EDB_OK;
}

static int load_value(edb_stmt *stmt, const tree_version *version, table_buffer *buffer, const uint8_t **value, size_t *size)
{
    uint8_t *room;

    *value = version->value;
    *size = version->value_size;
    if (!version->overflow)
        return EDB_OK;
    *size = tree_overflow_size(version);
    buffer_clear(buffer);
    if (!(room = buffer_reserve(buffer, *size)))
        return edb_fail(EDB_NOMEM, "no memory for %zu bytes said of a transaction", *size);
    *value = room;
    return tree_overflow_read(stmt->st_conn->cn_pager, version, 0, room, *size);
}

int transaction_info(edb_stmt *stmt, uint64_t number, table_buffer *buffer, edb_value out[INFO_COLUMNS])
{
    tree_version version;
    const uint8_t *value;
    tree_state state;
    size_t size;
    bool found;
    int rc = tree_of(stmt, false, &state, &found);

    for (int i = 0; i < INFO_COLUMNS; i++)
        out[i].type = VALUE_NULL;
    if (rc || !found || number < state.ts_born)
        return rc;
    if (number < state.ts_horizon)          /* it may be gone */
        return EDB_OK;
    if ((rc = tree_get(stmt->st_conn->cn_pager, &state, number, INFO_KEY, sizeof INFO_KEY - 1, &version, &found)))
        return rc;
    if (!found || version.from != number)
        return EDB_OK;
    if ((rc = load_value(stmt, &version, buffer, &value, &size)))
        return rc;
    return info_read(value, size, out) ? EDB_OK
           : edb_fail(EDB_CORRUPT, "what is said of transaction %" PRIu64 " cannot be read", number);
}

typedef struct {
    uint64_t *nu_of;
    size_t nu_n, nu_room;
} numbers_list;

static int number_add(numbers_list *list, uint64_t number)
{
    uint64_t *more;

    if (list->nu_n == list->nu_room) {
        if (!(more = realloc(list->nu_of, (list->nu_room = 2 * list->nu_room + 16) * sizeof *more)))
            return edb_fail(EDB_NOMEM, "no memory for more than %zu transactions", list->nu_n);
        list->nu_of = more;
    }
    list->nu_of[list->nu_n++] = number;
    return EDB_OK;
}

int transactions_of_actor(edb_stmt *stmt, const void *actor, size_t size, uint64_t low, uint64_t high, uint64_t **numbers,
                          size_t *n)
{
    numbers_list list = { .nu_of = NULL };
    tree_version version;
    uint64_t begun = 0;
    tree_state state;
    bool there, found;
    int rc = tree_of(stmt, true, &state, &there);

    *numbers = NULL;
    *n = 0;
    if (rc || !there)
        return rc;
    low = low < state.ts_born ? state.ts_born : low;
    for (uint64_t at = high; !rc && at >= low; at = begun - 1) {
        rc = tree_version_at(stmt->st_conn->cn_pager, &state, at, actor, size, &version, &found, &begun);
        if (rc || begun < low)
            break;
        if (found)
            rc = number_add(&list, begun);
        if (!rc && conn_interrupted(stmt->st_conn))
            rc = edb_fail(EDB_INTERRUPT, "reading the transactions of an actor was interrupted");
    }
    if (rc) {
        free(list.nu_of);
        return rc;
    }
    *numbers = list.nu_of;
    *n = list.nu_n;
    return EDB_OK;
}

uint64_t transactions_newest(const edb_stmt *stmt)
{
    return stmt->st_moment;
}

int transactions_from(edb_stmt *stmt, int64_t ns, uint64_t *number)
{
    int rc = EDB_OK;

    *number = 0;
    if (ns > INT64_MIN)
        rc = stmt_commit_upto(stmt, ns - 1, number);
    ++*number;
    return rc;
}

void transactions_counts(edb_conn *conn, double *commits, double *actors)
{
    const info_trees *trees;

    *commits = *actors = 0;
    if (!conn || !conn_usable(conn))
        return;
    *commits = (double)pager_published(conn->cn_pager);
    trees = db_data(conn, &info_hooks);
    if (trees && trees->its_actors.itr_tree)
        *actors = (double)conn_tree_rows(conn, trees->its_actors.itr_tree);
}
