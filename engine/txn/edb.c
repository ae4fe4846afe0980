/* Databases: opening and closing, figures, and questions about moments that need no connection.
 *
 * An `edb` is one handle on a pager, which the process shares between handles of one file. It is counted: the handle
 * itself and every connection. Questions asked here use one reader slot of the handle's own, under its mutex. */
#include <stdlib.h>
#include <string.h>

#include "engine/cache/page_cache.h"
#include "engine/txn/txn_internal.h"

#define SPILL_BYTES_DEFAULT (64ULL << 20)

bool edb_is_test_build(void)
{
#ifdef EDB_TEST
    return true;
#else
    return false;
#endif
}

int edb_open(const char *path, const edb_options *options, edb **out)
{
    const pager_options pager_wants = { .page_size = options->page_size, .synchronous = options->synchronous,
                                        .read_only = options->read_only, .create = options->create,
                                        .busy_ms = options->busy_ms < 0 ? 5000 : options->busy_ms };
    edb *db = calloc(1, sizeof *db);
    int rc;

    if (!db)
        return edb_fail(EDB_NOMEM, "memory is exhausted: the database cannot be opened");
    if ((rc = pager_open(path, &pager_wants, &db->db_pager))) {
        free(db);
        return rc;
    }
    if (!(db->db_home = hooks_home_of(db->db_pager))) {
        pager_close(db->db_pager);
        free(db);
        return edb_fail(EDB_NOMEM, "memory is exhausted: the database cannot be opened");
    }
    atomic_init(&db->db_refs, 1);
    pthread_mutex_init(&db->db_mutex, NULL);
    db->db_spill_bytes = options->spill_bytes ? options->spill_bytes : SPILL_BYTES_DEFAULT;
    db->db_packs = !options->unpacked;
    db->db_prunes = !options->unpruned;
    *out = db;
    return EDB_OK;
}

edb *db_ref(edb *db)
{
    atomic_fetch_add_explicit(&db->db_refs, 1, memory_order_relaxed);
    return db;
}

void db_unref(edb *db)
{
    if (atomic_fetch_sub_explicit(&db->db_refs, 1, memory_order_acq_rel) != 1)
        return;
    if (db->db_slot)
        pager_slot_give(db->db_pager, db->db_slot);
    pager_close(db->db_pager);
    pthread_mutex_destroy(&db->db_mutex);
    free(db->db_past);
    free(db);
}

void edb_close(edb *db)
{
    /* In a forked child the locks may be held by threads that do not exist there: let the memory go with the child. */
    if (db && pager_alive(db->db_pager) == EDB_OK)
        db_unref(db);
}

/* ---- figures and moments --------------------------------------------------------------------------------------- */

/* Takes the handle's mutex and its slot. On success db_unask() gives both back. */
static int db_ask(edb *db)
{
    int rc = pager_alive(db->db_pager);

    if (rc)
        return rc;
    db_lock(db);
    if (!db->db_slot && (rc = pager_slot_take(db->db_pager, &db->db_slot)))
        db_unlock(db);
    return rc;
}

static void db_unask(edb *db)
{
    pager_pin_move(db->db_pager, db->db_slot, UINT64_MAX);
    pager_slot_idle(db->db_pager, db->db_slot);
    db_unlock(db);
}

void edb_pool_limit(uint64_t bytes)
{
    cache_limit((size_t)bytes);
}

int edb_get_stats(edb *db, edb_stats *out)
{
    pager_stats figures;
    cache_counts pool;
    snapshot root;
    int rc;

    if ((rc = db_ask(db)))
        return rc;
    if (!(rc = pager_pin(db->db_pager, db->db_slot, PIN_PUBLISHED, &root))) {
        pager_pin_move(db->db_pager, db->db_slot, UINT64_MAX);      /* not to be counted as the oldest pin */
        pager_get_stats(db->db_pager, &figures);
        cache_count(&pool);
        *out = (edb_stats){ .published = figures.ps_published, .durable = figures.ps_durable,
                            .pages = figures.ps_pages, .free_pages = figures.ps_free_pages,
                            .file_bytes = figures.ps_file_bytes, .page_size = pager_page_size(db->db_pager),
                            .syncs = figures.ps_syncs, .pages_read = figures.ps_pages_read,
                            .pages_written = figures.ps_pages_written, .oldest_pin = figures.ps_oldest_pin,
                            .last_commit_ns = root.sn_time_ns, .pool_limit = pool.limit, .pool_bytes = pool.bytes,
                            .pool_hits = pool.hits, .pool_misses = pool.misses };
        hooks_db_count(db->db_home, out);
    }
    db_unask(db);
    return rc;
}

uint64_t edb_newest(edb *db)
{
    pager *pg = db->db_pager;

    return pager_pin_of_readers(pg) == PIN_DURABLE ? pager_durable(pg) : pager_published(pg);
}

int edb_resolve(edb *db, int64_t moment_ns, uint64_t *number, int64_t *commit_ns, int64_t *resolved_ns, bool *settled)
{
    snapshot root;
    moment mo;
    int rc;

    if ((rc = db_ask(db)))
        return rc;
    if (!(rc = moment_resolve(db->db_pager, db->db_slot, moment_ns, &root, &mo))) {
        *number = mo.mo_number;
        *commit_ns = mo.mo_commit_ns;
        *resolved_ns = mo.mo_resolved_ns;
        *settled = mo.mo_settled;
    }
    db_unask(db);
    return rc;
}

int edb_commit_time(edb *db, uint64_t number, int64_t *ns)
{
    snapshot root;
    int rc;

    if ((rc = db_ask(db)))
        return rc;
    if (!(rc = pager_pin(db->db_pager, db->db_slot, PIN_PUBLISHED, &root)))
        rc = moment_of(db->db_pager, &root, number, ns);
    db_unask(db);
    return rc;
}

uint64_t edb_pages_touched(void)
{
    static _Thread_local uint64_t before;
    uint64_t touched = tree_touched - before;

    before = tree_touched;
    return touched;
}
