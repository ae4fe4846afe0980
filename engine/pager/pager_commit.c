/* One commit: drawing pages, writing them, making the record, publishing it.
 *
 *   begin    takes the committer lock and copies the newest published record
 *   write    pages go straight to the file, into pages that neither a reader nor recovery can need (pager_free.c);
 *            until the record stands there is nothing that knows of them
 *   prepare  all that can fail: filling the list of commit times, putting free pages away, choosing between a record
 *            that lists its pages and one whose pages are synced first (I7)
 *   publish  draws the clock, writes the record, decides, stores the number
 *
 * A committer killed anywhere leaves either nothing (the free pages it wrote are free in the published record too) or
 * a published commit. The committer lock says nothing about the state: its next owner starts from the published record.
 *
 * Growth: the file grows by an eighth of itself, at least 1 MiB, allocated in one piece, so that a full disk is met
 * here and not by a sync. A small commit also writes zeros over the next 1 MiB that it enters: the first write to an
 * allocated but unwritten block changes file system metadata, and a one-row commit (6 pages, record, fdatasync)
 * measured 223 us on such blocks against 126 us on written ones. Bulk loads would write everything twice, so a commit
 * that has drawn more than SMALL_COMMIT pages from the end leaves it.
 *
 * Threading: a commit belongs to the thread that began it (the lock is a mutex). Memory: all of it is pc's. */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/pager/array.h"
#include "engine/pager/pager_impl.h"

#define GROW_LEAST (1u << 20)
#define ZERO_AHEAD (1u << 20)
#define SMALL_COMMIT 64
#define CLOCK_BEHIND_NS 60000000000LL           /* I11 */
#define CLOCK_JUMP_NS (366LL * 86400 * 1000000000)

/* ---- the table of pages this commit wrote or dropped ---------------------------------------------------------- */

static written_page *table_find(const pager_commit *pc, uint64_t page)
{
    uint64_t mask = pc->pc_table_size - 1;
    uint64_t at = page * 0x9e3779b97f4a7c15ULL >> 20 & mask;
    while (pc->pc_table[at].wp_page && pc->pc_table[at].wp_page != page)
        at = (at + 1) & mask;
    return &pc->pc_table[at];
}

static int table_grow(pager_commit *pc)
{
    written_page *old = pc->pc_table;
    uint64_t old_size = pc->pc_table_size;
    uint64_t size = old_size ? 2 * old_size : 64;
    written_page *table = calloc(size, sizeof *table);
    if (!table)
        return edb_fail(EDB_NOMEM, "no memory for a commit's list of pages");
    pc->pc_table = table;
    pc->pc_table_size = size;
    for (uint64_t i = 0; i < old_size; i++)
        if (old[i].wp_page)
            *table_find(pc, old[i].wp_page) = old[i];
    free(old);
    return EDB_OK;
}

int table_set(pager_commit *pc, uint64_t page, uint32_t tag)
{
    if (2 * pc->pc_table_used >= pc->pc_table_size) {
        int rc = table_grow(pc);
        if (rc)
            return rc;
    }
    written_page *at = table_find(pc, page);
    if (!at->wp_page)
        pc->pc_table_used++;
    *at = (written_page){page, tag};
    return EDB_OK;
}

/* ---- begin ---------------------------------------------------------------------------------------------------- */

static void commit_free(pager_commit *pc)
{
    if (!pc)
        return;
    free(pc->pc_table);
    free(pc->pc_reuse);
    free(pc->pc_young);
    free(pc->pc_pins);
    free(pc);
}

static void commit_unlock(pager *pg)
{
    atomic_store(&pg->pg_shm->sh_committer_pid, 0);
    pthread_mutex_unlock(&pg->pg_shm->sh_committer);
}

#define LOCK_SLICE_MS 20            /* so late at most an interrupt ends the wait */

static int commit_lock(pager *pg, const atomic_bool *interrupted)
{
    shm_area *shm = pg->pg_shm;
    int64_t left_ms = pg->pg_busy_ms;
    int lock;
    while ((lock = shm_mutex_lock(&shm->sh_committer, left_ms < LOCK_SLICE_MS ? left_ms : LOCK_SLICE_MS)) == ETIMEDOUT
           && (left_ms -= LOCK_SLICE_MS) > 0)
        if (interrupted && atomic_load(interrupted))
            return edb_fail(EDB_INTERRUPT, "%s: the wait for process %u to commit was interrupted; nothing was done",
                            pg->pg_name, (unsigned)atomic_load(&shm->sh_committer_pid));
    if (lock == ETIMEDOUT)
        return edb_fail(EDB_BUSY, "%s: process %u has been committing for more than %lld ms; retry", pg->pg_name,
                        (unsigned)atomic_load(&shm->sh_committer_pid), (long long)pg->pg_busy_ms);
    if (lock == EDEADLK)
        return edb_fail(EDB_MISUSE, "%s: this thread is committing already", pg->pg_name);
    if (lock && lock != EOWNERDEAD)
        return edb_fail(EDB_IO, "%s: the committer lock is broken: %s", pg->pg_name, strerror(lock));
    atomic_store(&shm->sh_committer_pid, (uint32_t)getpid());
    if (lock == EOWNERDEAD)
        atomic_store(&shm->sh_unrecovered, 1);
    int rc = atomic_load(&shm->sh_unrecovered) ? recover_running(pg) : EDB_OK;
    if (!rc)
        rc = sync_poisoned(pg);
    if (rc)
        commit_unlock(pg);
    return rc;
}

static int commit_load(pager_commit *pc)
{
    pager *pg = pc->pc_pager;
    bool stale;
    uint64_t number = atomic_load(&pg->pg_shm->sh_published);
    int rc = ring_load(pg, number, &pc->pc_record, NULL, &stale);
    if (rc)
        return rc;
    assert(!stale);                     /* only the holder of the committer lock makes commits */
    pc->pc_base = pc->pc_record.rc_snapshot;
    pc->pc_number = number + 1;
    pc->pc_young_room = 2 * RECORD_YOUNG;
    pc->pc_young = malloc(pc->pc_young_room * sizeof *pc->pc_young);
    if (!pc->pc_young)
        return edb_fail(EDB_NOMEM, "no memory for a commit");
    pc->pc_n_young = pc->pc_n_base = pc->pc_record.rc_n_young;
    memcpy(pc->pc_young, pc->pc_record.rc_young, pc->pc_n_young * sizeof *pc->pc_young);
    for (uint64_t i = 0; i < pc->pc_n_young; i++)
        if (pc->pc_young[i].fe_page < pg->pg_first_page || pc->pc_young[i].fe_page >= pc->pc_base.sn_pages)
            return edb_fail(EDB_CORRUPT, "%s: commit %llu lists page %llu as free, which is not one", pg->pg_name,
                            (unsigned long long)number, (unsigned long long)pc->pc_young[i].fe_page);
    return EDB_OK;
}

int pager_commit_begin(pager *pg, const atomic_bool *interrupted, pager_commit **out)
{
    int rc = pager_alive(pg);
    if (rc)
        return rc;
    if (pg->pg_read_only || !pg->pg_can_write)
        return edb_fail(EDB_READONLY, "%s: the database was opened for reading only", pg->pg_name);
    rc = sync_poisoned(pg);
    if (rc)
        return rc;
    pager_commit *pc = calloc(1, sizeof *pc);
    if (!pc)
        return edb_fail(EDB_NOMEM, "no memory for a commit");
    pc->pc_pager = pg;
    rc = commit_lock(pg, interrupted);
    if (rc) {
        commit_free(pc);
        return rc;
    }
    rc = commit_load(pc);
    if (rc)
        pager_commit_abort(pc);
    else
        *out = pc;
    return rc;
}

void pager_commit_abort(pager_commit *pc)
{
    commit_unlock(pc->pc_pager);
    commit_free(pc);
}

uint64_t pager_commit_number(const pager_commit *pc)
{
    return pc->pc_number;
}

pager *pager_commit_pager(const pager_commit *pc)
{
    return pc->pc_pager;
}

const snapshot *pager_commit_base(const pager_commit *pc)
{
    return &pc->pc_base;
}

/* ---- pages ---------------------------------------------------------------------------------------------------- */

/* Makes the file longer than `page`; less than wished where the disk is nearly full. */
static int file_grow(pager *pg, uint64_t page)
{
    shm_area *shm = pg->pg_shm;
    uint64_t now = atomic_load(&shm->sh_file_pages), least = GROW_LEAST >> pg->pg_page_shift;
    uint64_t step = now / 8 > least ? now / 8 : least;
    int rc = EDB_OK;
    for (;; step /= 4) {
        uint64_t pages = now + step > page ? now + step : page + 1;
        if (pg->pg_memory)
            rc = ftruncate(pg->pg_fd, (off_t)(pages << pg->pg_page_shift))
                 ? edb_fail(EDB_FULL, "cannot grow a memory database: %s", strerror(errno)) : EDB_OK;
        else
            rc = os_extend(pg->pg_fd, pages << pg->pg_page_shift, pg->pg_name);
        if (!rc)
            atomic_store(&shm->sh_file_pages, pages);
        if (rc != EDB_FULL || pages == page + 1)
            return rc;
    }
}

/* Writes zeros ahead of a small commit (see the top). A failure is the commit's next write's business. */
static void zero_ahead(pager_commit *pc, uint64_t page)
{
    static const uint8_t zeros[ZERO_AHEAD];
    pager *pg = pc->pc_pager;
    shm_area *shm = pg->pg_shm;
    uint64_t zeroed = atomic_load(&shm->sh_zeroed), file = atomic_load(&shm->sh_file_pages);
    if (pg->pg_memory || page < zeroed)
        return;
    uint64_t n = ZERO_AHEAD >> pg->pg_page_shift;
    if (n > file - page)
        n = file - page;
    if (++pc->pc_allocated > SMALL_COMMIT)
        n = 1;
    else
        (void)os_write(pg->pg_fd, zeros, n << pg->pg_page_shift, page << pg->pg_page_shift, pg->pg_name);
    atomic_store(&shm->sh_zeroed, page + n);
}

static int alloc_end(pager_commit *pc, uint64_t *out)
{
    pager *pg = pc->pc_pager;
    uint64_t page = pc->pc_record.rc_snapshot.sn_pages;
    if (page >= PAGE_LIMIT)
        return edb_fail(EDB_FULL, "%s: the file has the most pages it can have", pg->pg_name);
    if (page >= atomic_load(&pg->pg_shm->sh_file_pages)) {
        int rc = file_grow(pg, page);
        if (rc)
            return rc;
    }
    zero_ahead(pc, page);
    pc->pc_record.rc_snapshot.sn_pages = page + 1;
    *out = page;
    return EDB_OK;
}

int pager_alloc(pager_commit *pc, uint64_t *out)
{
    assert(!pc->pc_prepared);
    int rc = FAILPOINT("commit:alloc");
    uint64_t page = 0;
    if (!rc && pc->pc_n_reuse)
        page = pc->pc_reuse[--pc->pc_n_reuse];
    if (!rc && !page)
        rc = free_take(pc, &page);
    if (!rc && !page)
        rc = alloc_end(pc, &page);
    if (!rc)
        rc = table_set(pc, page, 0);
    if (!rc)
        *out = page;
    return rc;
}

int pager_write(pager_commit *pc, uint64_t page, uint8_t *bytes, page_ref *out)
{
    pager *pg = pc->pc_pager;
    assert(table_find(pc, page)->wp_page == page);
    store64(bytes + PH_PAGE, page);
    store64(bytes + PH_WRITER, pc->pc_number);
    uint32_t tag = page_checksum(bytes, pg->pg_page_size);
    store32(bytes + PH_CHECKSUM, tag);
    int rc = os_write(pg->pg_fd, bytes, pg->pg_page_size, page << pg->pg_page_shift, pg->pg_name);
    if (!rc)
        rc = table_set(pc, page, tag);
    if (rc)
        return rc;
    const pager_view *view = pager_get_view(pg);
    if (page < view->verified_pages)
        atomic_store_explicit(&view->verified[page], tag, memory_order_relaxed);
    atomic_fetch_add_explicit(&pg->pg_pages_written, 1, memory_order_relaxed);
    *out = (page_ref){page, tag};
    return EDB_OK;
}

int pager_free(pager_commit *pc, page_ref ref)
{
    const uint8_t *page;
    int rc = pager_page(pc->pc_pager, pager_get_view(pc->pc_pager), ref, 0, &page);
    if (rc)
        return rc;
    uint64_t made = load64(page + PH_WRITER);
    if (made > pc->pc_number)
        return edb_fail(EDB_CORRUPT, "%s: page %llu is damaged: it says commit %llu wrote it, which is not yet",
                        pc->pc_pager->pg_name, (unsigned long long)ref.page, (unsigned long long)made);
    return free_add(pc, ref.page, made);
}

bool pager_is_private(const pager_commit *pc, const uint8_t *page)
{
    return load64(page + PH_WRITER) == pc->pc_number;
}

/* ---- prepare -------------------------------------------------------------------------------------------------- */

/* Commit times: the record's own are moved to the list when it is full, which leaves room for this commit's. */
static int prepare_stamps(pager_commit *pc)
{
    snapshot *sn = &pc->pc_record.rc_snapshot;
    if (sn->sn_tail == RECORD_STAMPS) {
        uint8_t bytes[RECORD_STAMPS * 8];
        memcpy(bytes, sn->sn_tail_ns, sizeof bytes);
        int rc = array_set(pc, &sn->sn_stamps, 0, 8, sn->sn_stamps.ar_count, bytes, RECORD_STAMPS);
        if (rc)
            return rc;
        sn->sn_tail = 0;
    }
    sn->sn_tail_ns[sn->sn_tail++] = 0;          /* record_stamp fills it in */
    return EDB_OK;
}

/* I7: whether the record can list its pages. */
static bool list_fits(const pager_commit *pc, uint64_t durable)
{
    const shm_area *shm = pc->pc_pager->pg_shm;
    const record *rc = &pc->pc_record;
    uint64_t before = atomic_load(&shm->sh_listed[(pc->pc_number - 1) % SHM_RING])
                      - atomic_load(&shm->sh_listed[durable % SHM_RING]);
    return pc->pc_table_used <= record_list_room(rc->rc_n_young, rc->rc_snapshot.sn_tail)
        && pc->pc_number - durable <= UNSYNCED_COMMITS && before + pc->pc_table_used <= UNSYNCED_PAGES;
}

/* Encodes the record, with a list of pages or, where it would be too long, after a sync of them. */
static int prepare_record(pager_commit *pc)
{
    pager *pg = pc->pc_pager;
    record *rc = &pc->pc_record;
    uint8_t list[RECORD_SIZE];
    uint64_t durable = atomic_load(&pg->pg_shm->sh_durable);
    rc->rc_flags = 0;
    rc->rc_n_list = 0;
    rc->rc_list = list;
    rc->rc_durable = durable;
    if (pg->pg_memory || !list_fits(pc, durable)) {
        int code = pg->pg_memory ? EDB_OK : sync_force(pg);
        if (code)
            return code;
        rc->rc_flags = RECORD_BIG;
        rc->rc_durable = pc->pc_number;
    } else {
        for (uint64_t i = 0; i < pc->pc_table_size; i++)
            if (pc->pc_table[i].wp_page)
                record_list_store(list + 9 * rc->rc_n_list++, pc->pc_table[i].wp_page, pc->pc_table[i].wp_tag);
    }
    record_store(pc->pc_bytes, rc);
    return EDB_OK;
}

/* I11: a clock that is plainly wrong must not enter the history, which could never be taken back. */
static int check_clock(const pager_commit *pc)
{
    const pager *pg = pc->pc_pager;
    int64_t last = pc->pc_base.sn_time_ns, clock = os_clock_ns();
    if (pg->pg_any_clock)
        return EDB_OK;
    if (last > clock + CLOCK_BEHIND_NS)
        return edb_fail(EDB_CLOCK, "%s: the last commit is %lld s ahead of the clock; set the clock right, or open "
                        "with any_clock (ENTITYDB_ANY_CLOCK=1) to commit at the last time all the same", pg->pg_name,
                        (long long)((last - clock) / 1000000000));
    if (os_clock_offset_ns() - pg->pg_shm->sh_clock_offset > CLOCK_JUMP_NS)
        return edb_fail(EDB_CLOCK, "%s: the clock was set forward by over a year while the database was open; set it "
                        "right, or open with any_clock (ENTITYDB_ANY_CLOCK=1)", pg->pg_name);
    return EDB_OK;
}

int pager_commit_prepare(pager_commit *pc, const array_state *trees, bool schema_changed)
{
    record *rc = &pc->pc_record;
    snapshot *sn = &rc->rc_snapshot;
    assert(!pc->pc_prepared);
    int code = check_clock(pc);
    if (!code)
        code = prepare_stamps(pc);
    if (!code)
        code = free_flush(pc);
    if (code)
        return code;
    assert(pc->pc_n_young <= RECORD_YOUNG);
    rc->rc_n_young = (uint32_t)pc->pc_n_young;
    memcpy(rc->rc_young, pc->pc_young, pc->pc_n_young * sizeof *pc->pc_young);
    rc->rc_before = rc->rc_checksum;
    sn->sn_number = pc->pc_number;
    sn->sn_trees = *trees;
    if (schema_changed)
        sn->sn_schema = pc->pc_number;
    code = prepare_record(pc);
    if (!code)
        code = FAILPOINT("commit:prepared");
    pc->pc_prepared = code == EDB_OK;
    return code;
}

/* ---- publish -------------------------------------------------------------------------------------------------- */

int pager_commit_check_time(pager_commit *pc, int64_t time_ns)
{
    const pager *pg = pc->pc_pager;
    int64_t last = pc->pc_base.sn_time_ns, floor = atomic_load(&pg->pg_shm->sh_floor), clock = os_clock_ns();
    if (time_ns <= last)
        return edb_fail(EDB_COMMIT_TIME, "%s: the commit time %lld is not later than the last commit, at %lld",
                        pg->pg_name, (long long)time_ns, (long long)last);
    if (time_ns <= floor)
        return edb_fail(EDB_COMMIT_TIME, "%s: the commit time %lld is not later than %lld, about which somebody has "
                        "already asked (the last commit was at %lld)", pg->pg_name, (long long)time_ns,
                        (long long)floor, (long long)last);
    if (time_ns > clock)
        return edb_fail(EDB_COMMIT_TIME, "%s: the commit time %lld lies in the future", pg->pg_name,
                        (long long)time_ns);
    return EDB_OK;
}

/* Draws a time and writes the record with it. *decided: nobody asked about the time meanwhile, it stands. */
static int publish_try(pager_commit *pc, int64_t time_ns, int64_t *drawn, bool *decided)
{
    pager *pg = pc->pc_pager;
    shm_area *shm = pg->pg_shm;
    int64_t time = time_ns, floor = atomic_load(&shm->sh_floor);
    *decided = false;
    if (!time) {
        time = os_clock_ns();
        if (time <= pc->pc_base.sn_time_ns)
            time = pc->pc_base.sn_time_ns + 1;
        if (time <= floor)
            time = floor + 1;
    }
    int rc = FAILPOINT("commit:stamped");
    if (rc)
        return rc;
    uint64_t intent = (uint64_t)time << 1;
    atomic_store(&shm->sh_intent_number, pc->pc_number);
    atomic_store(&shm->sh_intent, intent);
    if (atomic_load(&shm->sh_floor) >= time) {
        atomic_store(&shm->sh_intent, 0);
        return EDB_OK;
    }
    record_stamp(pc->pc_bytes, time);
    rc = os_write(pg->pg_fd, pc->pc_bytes, RECORD_SIZE, RING_OFFSET + pc->pc_number % RECORD_RING * RECORD_SIZE,
                  pg->pg_name);
    if (!rc)
        rc = FAILPOINT("commit:record-written");
    if (rc) {
        atomic_store(&shm->sh_intent, 0);
        atomic_store(&shm->sh_unrecovered, 1);      /* the record may stand there: the next committer voids it */
        return rc;
    }
    *drawn = time;
    *decided = atomic_compare_exchange_strong(&shm->sh_intent, &intent, intent | 1);
    return EDB_OK;
}

int pager_commit_publish(pager_commit *pc, int64_t time_ns, int64_t *time_out)
{
    pager *pg = pc->pc_pager;
    shm_area *shm = pg->pg_shm;
    uint64_t number = pc->pc_number;
    int64_t drawn = 0;
    bool decided = false;
    assert(pc->pc_prepared);
    uint64_t listed = atomic_load(&shm->sh_listed[(number - 1) % SHM_RING]) + pc->pc_record.rc_n_list;
    atomic_store(&shm->sh_listed[number % SHM_RING], listed);
    if (pc->pc_record.rc_flags & RECORD_BIG)
        atomic_store(&shm->sh_big, number);
    int rc = EDB_OK;
    while (!rc && !decided) {
        if (time_ns)
            rc = pager_commit_check_time(pc, time_ns);
        if (!rc)
            rc = publish_try(pc, time_ns, &drawn, &decided);
    }
    if (decided) {
        shm_raise(&shm->sh_published, number);
        atomic_store(&shm->sh_intent, 0);
        if (pg->pg_memory)
            shm_raise(&shm->sh_durable, number);
        (void)FAILPOINT("commit:published");
        *time_out = drawn;
    } else if (time_ns) {
        atomic_store(&shm->sh_unrecovered, 1);      /* a record with the refused time may stand in the ring */
    }
    pager_commit_abort(pc);
    return rc;
}
