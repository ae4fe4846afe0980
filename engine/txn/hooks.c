/* The list of registered hooks, and the data kept under their keys. */
#include "engine/txn/hooks.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/txn/txn_internal.h"

static const txn_hooks *registered[HOOKS_MAX];
static size_t n_registered;         /* fixed once the library is loaded (H1) */

void hooks_register(txn_hooks *hooks)
{
    assert(n_registered < HOOKS_MAX);
    hooks->hk_place = (uint32_t)n_registered;
    registered[n_registered++] = hooks;
}

static size_t place_of(const txn_hooks *key)
{
    assert(key->hk_place < n_registered && registered[key->hk_place] == key);
    return key->hk_place;
}

/* ---- data ------------------------------------------------------------------------------------------------------- */

static void data_set(void **place, void *data, void (*data_free)(void *data))
{
    void *before = *place;

    *place = data;
    if (before && before != data && data_free)
        data_free(before);
}

void *stmt_data(const edb_stmt *stmt, const txn_hooks *key)
{
    return stmt->st_data.hd_of[place_of(key)];
}

void stmt_data_set(edb_stmt *stmt, const txn_hooks *key, void *data)
{
    data_set(&stmt->st_data.hd_of[place_of(key)], data, key->hk_stmt_free);
}

void *conn_data(const edb_conn *conn, const txn_hooks *key)
{
    return conn->cn_data.hd_of[place_of(key)];
}

void conn_data_set(edb_conn *conn, const txn_hooks *key, void *data)
{
    data_set(&conn->cn_data.hd_of[place_of(key)], data, key->hk_conn_free);
}

void hooks_stmt_free(hooks_data *data)
{
    for (size_t i = 0; i < n_registered; i++)
        if (data->hd_of[i])
            data_set(&data->hd_of[i], NULL, registered[i]->hk_stmt_free);
}

void hooks_conn_free(hooks_data *data)
{
    for (size_t i = 0; i < n_registered; i++)
        data_set(&data->hd_of[i], NULL, registered[i]->hk_conn_free);
}

/* ---- data of databases ------------------------------------------------------------------------------------------ */

struct hooks_home {
    pthread_mutex_t ho_mutex;       /* held while data is made */
    _Atomic(void *) ho_of[HOOKS_MAX];   /* by the order of registration */
    masks_known ho_masks;
};

static void *home_make(void)
{
    hooks_home *home = calloc(1, sizeof *home);

    if (home)
        pthread_mutex_init(&home->ho_mutex, NULL);
    return home;
}

static void *data_of(hooks_home *home, size_t i)
{
    return atomic_load_explicit(&home->ho_of[i], memory_order_acquire);
}

static void home_stop(void *guest)
{
    hooks_home *home = guest;

    for (size_t i = 0; i < n_registered; i++)
        if (data_of(home, i) && registered[i]->hk_db_stop)
            registered[i]->hk_db_stop(data_of(home, i));
}

static void home_free(void *guest)
{
    hooks_home *home = guest;

    for (size_t i = 0; i < n_registered; i++)
        if (data_of(home, i) && registered[i]->hk_db_free)
            registered[i]->hk_db_free(data_of(home, i));
    pthread_mutex_destroy(&home->ho_mutex);
    tree_masks_free(&home->ho_masks.mkn_masks);
    free(home);
}

hooks_home *hooks_home_of(pager *pg)
{
    return pager_guest(pg, home_make, home_stop, home_free);
}

void *hooks_home_data(hooks_home *home, const txn_hooks *key)
{
    return data_of(home, place_of(key));
}

void *db_data(const edb_conn *conn, const txn_hooks *key)
{
    hooks_home *home = conn->cn_db->db_home;
    size_t at = place_of(key);
    void *data = data_of(home, at);

    if (data)
        return data;
    pthread_mutex_lock(&home->ho_mutex);
    if (!(data = data_of(home, at)) && (data = key->hk_db_make()))
        atomic_store_explicit(&home->ho_of[at], data, memory_order_release);
    pthread_mutex_unlock(&home->ho_mutex);
    return data;
}

void hooks_db_count(hooks_home *home, edb_stats *out)
{
    for (size_t i = 0; i < n_registered; i++)
        if (data_of(home, i) && registered[i]->hk_db_count)
            registered[i]->hk_db_count(data_of(home, i), out);
}

/* ---- commits ---------------------------------------------------------------------------------------------------- */

void hooks_applied(hooks_home *home, uint32_t tree, uint64_t changed, uint64_t number, bool begins,
                   const tree_change *changes, size_t n)
{
    for (size_t i = 0; i < n_registered; i++)
        if (registered[i]->hk_applied && data_of(home, i))
            registered[i]->hk_applied(data_of(home, i), tree, changed, number, begins, changes, n);
}

void hooks_published(hooks_home *home, uint64_t number)
{
    for (size_t i = 0; i < n_registered; i++)
        if (registered[i]->hk_published && data_of(home, i))
            registered[i]->hk_published(data_of(home, i), number);
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

int hooks_name_tree(edb_stmt *stmt, uint32_t tree, char *out, size_t room)
{
    int rc = EDB_NOSUCH;

    for (size_t i = 0; i < n_registered && rc; i++)
        if (registered[i]->hk_name_tree)
            rc = registered[i]->hk_name_tree(stmt, tree, out, room);
    return rc;
}

int hooks_name_entry(edb_stmt *stmt, uint32_t tree, const uint8_t *key, size_t key_size, char *out, size_t room)
{
    int rc = EDB_NOSUCH;

    for (size_t i = 0; i < n_registered && rc; i++)
        if (registered[i]->hk_name_entry)
            rc = registered[i]->hk_name_entry(stmt, tree, key, key_size, out, room);
    return rc;
}

int hooks_judge(edb_stmt *stmt, ws_cursor *promises, bool at_commit)
{
    int rc = EDB_OK;

    for (size_t i = 0; i < n_registered && !rc; i++)
        if (registered[i]->hk_judge)
            rc = registered[i]->hk_judge(stmt, promises, at_commit);
    return rc;
}

int hooks_commit(edb_conn *conn, struct commit *cm)
{
    int rc = EDB_OK;

    for (size_t i = 0; i < n_registered && !rc; i++)
        if (registered[i]->hk_commit)
            rc = registered[i]->hk_commit(conn, cm);
    return rc;
}

int hooks_masks(const uint8_t *payload, size_t size, tree_masks *masks)
{
    int rc = EDB_OK;

    for (size_t i = 0; i < n_registered && !rc; i++)
        if (registered[i]->hk_masks)
            rc = registered[i]->hk_masks(payload, size, masks);
    return rc;
}

masks_known *hooks_home_masks(hooks_home *home)
{
    return &home->ho_masks;
}
