/* Upkeep in the background: packing, and pruning that the tables ask for. One thread for each file that a process writes to.
 *
 * It begins with the first commit of the process that finds history in the file, and ends when the process closes the file; a window
 * that is begun then is given up. Readers have none. It is not inherited by fork(): the child's own commits begin another.
 *
 * Of all processes one at a time packs or prunes (sh_upkeep). The others look again when they have made as much history
 * again. Nobody waits for it but at the committer lock, and there for one step.
 *
 *   packing   as soon as PACK_WINDOW ids have no strip; what is less when TAIL_NS went by without a commit of this process. While others commit, it rests
 *             after each window as long as the window took: then history grows for a while, and is packed when that is over.
 *   space     where a quarter of the file is free when it is so quiet, and that is more than FREE_LEAST, the file is made shorter
 *             (compact.c), until others commit.
 *   pruning   each 64th part of the span that the tables ask for, but not more often than each second nor more seldom than each hour.
 *
 * What fails is counted, and tried again when there is more history. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "engine/shared/os.h"
#include "engine/txn/txn_internal.h"
#include "engine/upkeep/compact.h"
#include "engine/upkeep/pack.h"
#include "engine/upkeep/prune.h"
#include "engine/upkeep/retention.h"

#define TAIL_NS 1000000000LL
#define TAIL_LEAST 16               /* ids; fewer are not worth a commit */
#define REST_MOST_NS 200000000LL
#define FREE_PART 4
#define FREE_LEAST (4ULL << 20)     /* bytes */
#define OWN_COMMITS 2               /* that a step of compaction makes at most */
#define LAG_PART 64
#define LAG_LEAST_NS 1000000000LL
#define LAG_MOST_NS (3600 * 1000000000LL)
#define LOOK_NS (60 * 1000000000LL)     /* where the tables ask for nothing: to see whether they do now */
#define NEVER INT64_MAX

typedef struct {
    _Atomic(pager *) bg_pager;      /* NULL: what follows is not set yet */
    hooks_home *bg_home;
    _Atomic bool bg_packs, bg_prunes;   /* whether it is wanted */
    pthread_mutex_t bg_mutex;
    pthread_cond_t bg_cond;         /* by the monotonic clock */
    pthread_t bg_thread;
    bool bg_runs;
    atomic_bool bg_stop;
    _Atomic uint64_t bg_wake_at;    /* a commit after which there are so many cold ids wakes it */
    uint64_t bg_looked;             /* ids that there were at the last look */
    uint64_t bg_index;              /* ids below it were looked at */
    int64_t bg_window_ns;           /* when the last window was done */
    uint64_t bg_window_number;      /* the newest commit then */
    _Atomic uint64_t bg_commits;    /* of this process, counted by them */
    uint64_t bg_commits_seen;
    bool bg_quiet_due;              /* something was packed since it was quiet */
    int64_t bg_prune_ns;            /* when to look at what the tables ask for */
    _Atomic uint64_t bg_windows, bg_pages, bg_pruned, bg_failures;
} background;

/* ---- waiting ---------------------------------------------------------------------------------------------------------- */

/* Under the mutex. until: by os_ticks_ns(), or NEVER. -> whether the time has come. */
static bool wait_until(background *bg, int64_t until)
{
    const struct timespec at = { until / 1000000000, until % 1000000000 };

    if (until == NEVER)
        return pthread_cond_wait(&bg->bg_cond, &bg->bg_mutex) != 0;
    return pthread_cond_timedwait(&bg->bg_cond, &bg->bg_mutex, &at) == ETIMEDOUT;
}

static void wake(background *bg)
{
    pthread_mutex_lock(&bg->bg_mutex);
    pthread_cond_signal(&bg->bg_cond);
    pthread_mutex_unlock(&bg->bg_mutex);
}

/* After each window. */
static bool rest(void *arg, uint64_t at, uint64_t end)
{
    background *bg = arg;
    int64_t now = os_ticks_ns(), pause = now - bg->bg_window_ns;
    uint64_t newest = pager_published(bg->bg_pager);

    (void)at;
    (void)end;
    if (pause > REST_MOST_NS)
        pause = REST_MOST_NS;
    pthread_mutex_lock(&bg->bg_mutex);
    for (bool over = newest - bg->bg_window_number <= 1; !over && !atomic_load(&bg->bg_stop);)
        over = wait_until(bg, now + pause);
    pthread_mutex_unlock(&bg->bg_mutex);
    bg->bg_window_ns = os_ticks_ns();
    bg->bg_window_number = newest;
    return atomic_load(&bg->bg_stop);
}

/* ---- work ------------------------------------------------------------------------------------------------------------- */

static int pack(background *bg, uint32_t least)
{
    const pack_run run = { least, rest, bg, &bg->bg_stop };
    edb_pack_result done = { 0 };

    bg->bg_window_ns = os_ticks_ns();
    bg->bg_window_number = pager_published(bg->bg_pager);
    int rc = pack_from(bg->bg_pager, bg->bg_home, &run, &bg->bg_index, &done);
    atomic_fetch_add(&bg->bg_windows, done.windows);
    atomic_fetch_add(&bg->bg_pages, done.pages);
    return rc;
}

static int stop_shortening(void *arg, uint64_t done, uint64_t total)
{
    background *bg = arg;
    uint64_t newest = pager_published(bg->bg_pager), since = newest - bg->bg_window_number;

    (void)done;
    (void)total;
    bg->bg_window_number = newest;
    return since > OWN_COMMITS || atomic_load(&bg->bg_commits) != bg->bg_commits_seen || atomic_load(&bg->bg_stop);
}

static int shorten(background *bg)
{
    pager *pg = bg->bg_pager;
    edb_compact_result done;
    pager_stats st;

    pager_get_stats(pg, &st);
    if (st.ps_free_pages < st.ps_pages / FREE_PART || st.ps_free_pages * pager_page_size(pg) < FREE_LEAST)
        return EDB_OK;
    bg->bg_window_number = pager_published(pg);
    bg->bg_commits_seen = atomic_load(&bg->bg_commits);
    int rc = compact_file(pg, false, stop_shortening, bg, &done);
    return rc == EDB_BUSY ? EDB_OK : rc;        /* somebody does it already */
}

static int stop_pruning(void *arg, const edb_prune_result *so_far)
{
    background *bg = arg;

    (void)so_far;
    return atomic_load(&bg->bg_stop);
}

static int64_t lag_of(int64_t span)
{
    int64_t lag = span / LAG_PART;

    return lag < LAG_LEAST_NS ? LAG_LEAST_NS : lag > LAG_MOST_NS ? LAG_MOST_NS : lag;
}

static int prune(background *bg)
{
    edb_prune_result done = { 0 };
    uint64_t horizon;
    int64_t span;
    int rc = retention_horizon(bg->bg_pager, &span, &horizon);

    bg->bg_prune_ns = os_ticks_ns() + (rc || !span ? LOOK_NS : lag_of(span));
    if (!rc && horizon)
        rc = prune_to(bg->bg_pager, bg->bg_home, horizon, 0, stop_pruning, bg, &done);
    atomic_fetch_add(&bg->bg_pruned, done.pages);
    return rc;
}

/* Without the mutex. -> EDB_BUSY: another process is at it. */
static int work(background *bg, uint32_t least, bool prunes)
{
    if (!pager_upkeep_begin(bg->bg_pager))
        return EDB_BUSY;
    int rc = prunes && atomic_load(&bg->bg_prunes) ? prune(bg) : EDB_OK;
    if (!rc && least && atomic_load(&bg->bg_packs))
        rc = pack(bg, least);
    if (!rc && least != PACK_WINDOW && atomic_load(&bg->bg_packs))
        rc = shorten(bg);
    pager_upkeep_end(bg->bg_pager);
    if (rc && rc != EDB_INTERRUPT)
        atomic_fetch_add(&bg->bg_failures, 1);
    return rc;
}

/* When to work next, under the mutex. *least: ids that have to stand together; 0: nothing is to be packed. -> false: it is to stop. */
static bool wait_for_work(background *bg, uint32_t *least, bool *prunes)
{
    while (!atomic_load(&bg->bg_stop)) {
        uint64_t ids = pager_cold_ids(bg->bg_pager), fresh = ids - bg->bg_looked;
        int64_t now = os_ticks_ns(), until = atomic_load(&bg->bg_prunes) ? bg->bg_prune_ns : NEVER;
        bool tail = (fresh || bg->bg_quiet_due) && atomic_load(&bg->bg_packs) && now + TAIL_NS < until;

        *prunes = now >= until;
        *least = fresh >= PACK_WINDOW ? PACK_WINDOW : 0;
        if (*prunes || *least)
            return true;
        atomic_store(&bg->bg_wake_at, fresh ? bg->bg_looked + PACK_WINDOW : ids + 1);
        if (pager_cold_ids(bg->bg_pager) != ids)
            continue;
        uint64_t commits = atomic_load(&bg->bg_commits);
        if (wait_until(bg, tail ? now + TAIL_NS : until) && tail && atomic_load(&bg->bg_commits) == commits
            && pager_cold_ids(bg->bg_pager) == ids) {
            *least = TAIL_LEAST;
            return true;
        }
    }
    return false;
}

static void *background_main(void *arg)
{
    background *bg = arg;
    uint32_t least;
    bool prunes;

    pthread_mutex_lock(&bg->bg_mutex);
    while (wait_for_work(bg, &least, &prunes)) {
        atomic_store(&bg->bg_wake_at, UINT64_MAX);
        uint64_t ids = pager_cold_ids(bg->bg_pager);
        pthread_mutex_unlock(&bg->bg_mutex);
        int rc = work(bg, least, prunes);
        pthread_mutex_lock(&bg->bg_mutex);
        if (least)
            bg->bg_looked = ids;
        if (least && rc != EDB_BUSY)
            bg->bg_quiet_due = least == PACK_WINDOW;
        if (prunes && rc == EDB_BUSY)
            bg->bg_prune_ns = os_ticks_ns() + LAG_LEAST_NS;
        if (rc == EDB_CANNOT)                   /* without zstd nothing can be packed */
            atomic_store(&bg->bg_packs, false);
    }
    pthread_mutex_unlock(&bg->bg_mutex);
    return NULL;
}

/* ---- of the database -------------------------------------------------------------------------------------------------- */

static void *background_make(void)
{
    background *bg = calloc(1, sizeof *bg);
    pthread_condattr_t attr;

    if (!bg)
        return NULL;
    pthread_mutex_init(&bg->bg_mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&bg->bg_cond, &attr);
    pthread_condattr_destroy(&attr);
    atomic_init(&bg->bg_wake_at, 1);
    return bg;
}

static void background_stop(void *data)
{
    background *bg = data;

    atomic_store(&bg->bg_stop, true);
    wake(bg);
    if (bg->bg_runs)
        pthread_join(bg->bg_thread, NULL);
    bg->bg_runs = false;
}

static void background_free(void *data)
{
    background *bg = data;

    pthread_mutex_destroy(&bg->bg_mutex);
    pthread_cond_destroy(&bg->bg_cond);
    free(bg);
}

static void background_count(void *data, edb_stats *out)
{
    background *bg = data;

    out->pack_windows = atomic_load(&bg->bg_windows);
    out->pack_pages = atomic_load(&bg->bg_pages);
    out->pruned_pages = atomic_load(&bg->bg_pruned);
    out->upkeep_failures = atomic_load(&bg->bg_failures);
}

static int background_commit(edb_conn *conn, struct commit *cm);

static void background_published(void *data, uint64_t number)
{
    background *bg = data;
    pager *pg = bg->bg_pager;

    (void)number;
    atomic_fetch_add_explicit(&bg->bg_commits, 1, memory_order_relaxed);
    if (!pg || pager_cold_ids(pg) < atomic_load(&bg->bg_wake_at))
        return;
    pthread_mutex_lock(&bg->bg_mutex);
    if (!bg->bg_runs && !atomic_load(&bg->bg_stop))
        bg->bg_runs = pthread_create(&bg->bg_thread, NULL, background_main, bg) == 0;
    pthread_cond_signal(&bg->bg_cond);
    pthread_mutex_unlock(&bg->bg_mutex);
}

static txn_hooks background_hooks = {
    .hk_name = "upkeep", .hk_commit = background_commit, .hk_published = background_published, .hk_db_make = background_make,
    .hk_db_stop = background_stop, .hk_db_free = background_free, .hk_db_count = background_count,
};

/* The first commit makes it, under the committer lock, as its database was opened. Without memory there is no upkeep until there is some. */
static int background_commit(edb_conn *conn, struct commit *cm)
{
    const edb *db = conn->cn_db;

    (void)cm;
    background *bg = db->db_packs || db->db_prunes ? db_data(conn, &background_hooks) : NULL;
    if (!bg || bg->bg_pager)
        return EDB_OK;
    bg->bg_home = db->db_home;
    bg->bg_packs = db->db_packs;
    bg->bg_prunes = db->db_prunes;
    bg->bg_pager = conn->cn_pager;
    return EDB_OK;
}

__attribute__((constructor)) static void background_register(void)
{
    hooks_register(&background_hooks);
}
