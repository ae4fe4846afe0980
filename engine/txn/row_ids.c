/* Row ids.
 *
 * Ids come from a counter that all processes share, so that transactions side by side draw different ones. An id that a
 * statement writes out raises the counter, too, unless it is far beyond: a rollback does not lower the counter, and one
 * transaction that came to nothing must not use up all ids of a table. Ids far away are the transaction's own business
 * until it commits; two that choose the same conflict.
 *
 * When the largest id there is has been used, ids are drawn at random, as SQLite does it. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "engine/shared/os.h"
#include "engine/txn/txn_internal.h"

#define IDS_FAR (UINT64_C(1) << 32)
#define RANDOM_TRIES 100            /* SQLite's number */

static int ids_of(edb_stmt *st, uint32_t tree, txn_ids **out)
{
    txn *tx = &st->st_conn->cn_txn;
    const tree_state *state;
    int rc;

    if (tx->tx_ids_hint < tx->tx_n_ids && tx->tx_ids[tx->tx_ids_hint].ti_tree == tree) {
        *out = &tx->tx_ids[tx->tx_ids_hint];
        return EDB_OK;
    }
    for (size_t i = 0; i < tx->tx_n_ids; i++)
        if (tx->tx_ids[i].ti_tree == tree) {
            tx->tx_ids_hint = i;
            *out = &tx->tx_ids[i];
            return EDB_OK;
        }
    if ((rc = stmt_tree(st, tree, &state))
        || (rc = list_room((void **)&tx->tx_ids, &tx->tx_ids_room, tx->tx_n_ids, sizeof *tx->tx_ids)))
        return rc;
    tx->tx_ids_hint = tx->tx_n_ids;
    *out = &tx->tx_ids[tx->tx_n_ids++];
    **out = (txn_ids){ .ti_tree = tree, .ti_floor = state && state->ts_next_id ? state->ts_next_id : 1 };
    return EDB_OK;
}

int txn_largest_id(txn *tx, uint32_t tree, uint64_t *id, uint64_t *seq)
{
    const ws_entry *w;
    ws_cursor *wc;
    int rc;

    *id = *seq = 0;
    if (!tx->tx_writes)
        return EDB_OK;
    if ((rc = ws_cursor_open(tx->tx_writes, tree, UINT64_MAX, &wc)))
        return rc;
    ws_cursor_seek_last(wc, NULL, 0);
    while ((w = ws_cursor_at(wc)) && w->flags & WS_TOMBSTONE)
        ws_cursor_prev(wc);
    if (w && w->key_size == 8 && rowid_load(w->key) > 0) {
        *id = (uint64_t)rowid_load(w->key);
        *seq = w->seq;
    }
    ws_cursor_close(wc);
    return EDB_OK;
}

static bool id_is_far(const txn_ids *ids, uint64_t id)
{
    uint64_t known = ids->ti_used > ids->ti_floor ? ids->ti_used : ids->ti_floor;

    return id > known && id - known > IDS_FAR;
}

static int ids_full(void)
{
    return edb_fail(EDB_FULL, "database or disk is full: the table has no more row ids, the largest possible one has been used");
}

/* The id behind the largest written far beyond the others; *next 0: there are none such. */
static int far_id_next(txn *tx, txn_ids *ids, uint64_t *next)
{
    int rc;

    *next = 0;
    if (ids->ti_far == IDS_UNKNOWN) {
        if ((rc = txn_largest_id(tx, ids->ti_tree, &ids->ti_far, &ids->ti_far_seq)))
            return rc;
        if (!id_is_far(ids, ids->ti_far))
            ids->ti_far = 0;
    }
    if (!ids->ti_far)
        return EDB_OK;
    if (ids->ti_far == INT64_MAX)
        return ids_full();
    *next = ++ids->ti_far;
    ids->ti_far_seq = ws_seq(tx->tx_writes) + 1;    /* of the write that follows */
    return EDB_OK;
}

int txn_id_next(edb_stmt *st, uint32_t tree, int64_t *id)
{
    txn_ids *ids;
    uint64_t next = 0;
    int rc;

    if ((rc = txn_writable(st)) || (rc = ids_of(st, tree, &ids)))
        return rc;
    if (ids->ti_has_far && (rc = far_id_next(&st->st_conn->cn_txn, ids, &next)))
        return rc;
    if (!next) {
        /* INT64_MAX is the last id there is; the floor passes it when it has been used. */
        if (ids->ti_floor > INT64_MAX || ids->ti_used == INT64_MAX
            || (next = pager_id_next(st->st_conn->cn_pager, tree, ids->ti_floor)) > INT64_MAX)
            return ids_full();
        if (next > ids->ti_used)
            ids->ti_used = next;
    }
    *id = (int64_t)next;
    return EDB_OK;
}

int txn_id_random(edb_stmt *st, uint32_t tree, int64_t *id)
{
    for (int i = 0; i < RANDOM_TRIES; i++) {
        uint64_t drawn;
        uint8_t key[8];
        edb_entry entry;
        bool found;

        if (getrandom(&drawn, sizeof drawn, 0) != sizeof drawn)
            return edb_fail(EDB_IO, "the system gives no random numbers: %s", strerror(errno));
        drawn = (drawn & (INT64_MAX >> 1)) + 1;
        rowid_store(key, (int64_t)drawn);
        int rc = newest_get(st, tree, key, sizeof key, &entry, &found);
        if (rc)
            return rc;
        if (!found && !FAILPOINT("ids:drawn")) {
            *id = (int64_t)drawn;
            return EDB_OK;
        }
    }
    return edb_fail(EDB_FULL, "database or disk is full: %d row ids were drawn at random and all of them are in use",
                    RANDOM_TRIES);
}

void txn_id_used(edb_stmt *st, uint32_t tree, int64_t id)
{
    txn_ids *ids;

    if (id <= 0 || txn_writable(st) || ids_of(st, tree, &ids))
        return;                     /* the write that follows meets and reports the same error */
    if (id_is_far(ids, (uint64_t)id)) {
        ids->ti_has_far = true;
        if ((uint64_t)id > ids->ti_far) {       /* what is unknown stays so */
            ids->ti_far = (uint64_t)id;
            ids->ti_far_seq = ws_seq(st->st_conn->cn_txn.tx_writes);
        }
    } else if ((uint64_t)id > ids->ti_used && (uint64_t)id >= ids->ti_floor) {
        pager_id_raise(st->st_conn->cn_pager, tree, (uint64_t)id);
        ids->ti_used = (uint64_t)id;
    }
}
