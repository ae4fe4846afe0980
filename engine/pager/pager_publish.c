/* The end of a commit: making the record, drawing the time, publishing.
 *
 *   prepare  all that can fail: filling the list of commit times, putting free pages away, choosing between a record
 *            that lists its pages and one whose pages are synced first (I7)
 *   publish  draws the clock, writes the record, decides, stores the number */
#include <assert.h>
#include <string.h>

#include "engine/pager/array.h"
#include "engine/pager/cold.h"
#include "engine/pager/links.h"
#include "engine/pager/pager_impl.h"

#define CLOCK_BEHIND_NS 60000000000LL           /* I11 */
#define CLOCK_JUMP_NS (366LL * 86400 * 1000000000)

/* ---- prepare -------------------------------------------------------------------------------------------------- */

/* I7: whether the record can list its pages. */
static bool list_fits(const pager_commit *pc, uint64_t durable)
{
    const shm_area *shm = pc->pc_pager->pg_shm;
    const record *rc = &pc->pc_record;
    uint64_t before = atomic_load(&shm->sh_listed[(pc->pc_number - 1) % SHM_RING])
                      - atomic_load(&shm->sh_listed[durable % SHM_RING]);

    return pc->pc_written.pmp_used <= record_list_room(&rc->rc_snapshot, rc->rc_n_young)
        && pc->pc_number - durable <= ring_half(pc->pc_pager) && before + pc->pc_written.pmp_used <= UNSYNCED_PAGES;
}

/* Encodes the record, with a list of pages or, where it would be too long, after a sync of them. */
static int prepare_record(pager_commit *pc)
{
    pager *pg = pc->pc_pager;
    record *rc = &pc->pc_record;
    uint8_t list[RECORD_SIZE];
    uint64_t durable = atomic_load(&pg->pg_shm->sh_durable);

    rc->rc_flags = RECORD_LINKED;
    rc->rc_n_list = 0;
    rc->rc_list = list;
    rc->rc_durable = durable;
    if (pg->pg_memory || !list_fits(pc, durable)) {
        int code = pg->pg_memory ? EDB_OK : sync_force(pg);
        if (code)
            return code;
        rc->rc_flags |= RECORD_BIG;
        rc->rc_durable = pc->pc_number;
    } else {
        for (const page_map_entry *at = pc->pc_written.pmp_table, *end = at + pc->pc_written.pmp_room; at < end; at++)
            if (at->pme_page)
                record_list_store(list + 9 * rc->rc_n_list++, at->pme_page, at->pme_tag);
    }
    record_store(pc->pc_bytes, rc);
    return EDB_OK;
}

/* The clock's time, or the next one later than the last commit and than every moment that somebody asked about; of one set aside always
 * the latter. */
static int draw_time(const pager_commit *pc, int64_t *out)
{
    int64_t clock = os_clock_ns(), floor = atomic_load(&pc->pc_pager->pg_shm->sh_floor);
    int64_t before = floor > pc->pc_base.sn_time_ns ? floor : pc->pc_base.sn_time_ns;

    if (before == INT64_MAX)            /* any_clock, or a file that says so */
        return edb_fail(EDB_CLOCK, "%s: there is no time later than that of the last commit", pc->pc_pager->pg_name);
    *out = clock > before && !pc->pc_aside ? clock : before + 1;
    return EDB_OK;
}

/* I11: a clock that is plainly wrong must not enter the history, which could never be taken back. */
static int check_clock(const pager_commit *pc)
{
    const pager *pg = pc->pc_pager;
    int64_t last = pc->pc_base.sn_time_ns, clock = os_clock_ns(), next;
    int rc = draw_time(pc, &next);      /* is there one at all? */

    if (rc || pg->pg_any_clock)
        return rc;
    if (last > clock + CLOCK_BEHIND_NS)
        return edb_fail(EDB_CLOCK, "%s: the last commit is %lld s ahead of the clock; set the clock right, or open "
                        "with any_clock (ENTITYDB_ANY_CLOCK=1) to commit at the last time all the same", pg->pg_name,
                        (long long)((last - clock) / 1000000000));
    if (os_clock_offset_ns() - pg->pg_shm->sh_clock_offset > CLOCK_JUMP_NS)
        return edb_fail(EDB_CLOCK, "%s: the clock was set forward by over a year while the database was open; set it "
                        "right, or open with any_clock (ENTITYDB_ANY_CLOCK=1)", pg->pg_name);
    return EDB_OK;
}

static int check_may_commit(const pager_commit *pc)
{
    const shm_lock *lock = &pc->pc_pager->pg_lock;

    return shm_intact(lock) ? check_clock(pc) : shm_overwritten(lock);
}

void pager_commit_needs(pager_commit *pc, uint32_t feature)
{
    pc->pc_needs |= feature;
}

int pager_commit_prepare(pager_commit *pc, const array_state *trees, bool schema_changed)
{
    record *rc = &pc->pc_record;
    snapshot *sn = &rc->rc_snapshot;

    assert(!pc->pc_prepared && !pc->pc_in_memory);
    int code = check_may_commit(pc);
    if (!code)
        code = free_known(pc);
    if (!code)
        code = array_store(pc, &sn->sn_stamps, 8, NULL);
    if (!code)
        code = stamps_add(pc, sn, 0);
    if (!code)
        code = cold_flush(pc);
    if (!code)
        code = array_store(pc, &sn->sn_links, SHA256_SIZE, NULL);
    if (!code)
        code = links_add(pc, sn, pc->pc_number);
    if (!code)
        code = header_allow(pc->pc_pager, FEATURE_LINKS | (pc->pc_cold.cd_list.ar_count ? FEATURE_COLD : 0)
                                           | (pc->pc_strips ? FEATURE_STRIPS : 0) | pc->pc_needs);
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
    sn->sn_cold = pc->pc_cold;
    if (schema_changed)
        sn->sn_schema = pc->pc_number;
    code = prepare_record(pc);
    if (!code)
        code = FAILPOINT("commit:prepared");
    pc->pc_prepared = code == EDB_OK;
    return code;
}

/* ---- a record without pages --- */

bool pager_commit_small(pager_commit *pc)
{
    pc->pc_in_memory = !pc->pc_pager->pg_memory;
    return pc->pc_in_memory;
}

bool pager_commit_may_redo(pager_commit *pc)
{
    return pc->pc_in_memory && pc->pc_number - pc->pc_file_base < ring_half(pc->pc_pager)
           && !atomic_load(&pc->pc_pager->pg_shm->sh_want_pages);
}

int pager_commit_prepare_redo(pager_commit *pc, const array_state *trees, const uint8_t *changes, size_t size)
{
    pager *pg = pc->pc_pager;
    record *rc = &pc->pc_record;

    assert(!pc->pc_prepared && pc->pc_in_memory && size <= REDO_ROOM);
    int code = check_may_commit(pc);
    if (!code)
        code = header_allow(pg, FEATURE_REDO | FEATURE_LINKS);
    if (!code && pc->pc_number - atomic_load(&pg->pg_shm->sh_durable) > ring_half(pg))
        code = sync_force(pg);
    if (!code)
        code = stamps_add(pc, &rc->rc_snapshot, 0);
    if (!code)
        code = cold_flush(pc);
    if (!code)
        code = links_add(pc, &rc->rc_snapshot, pc->pc_number);
    if (code)
        return code;
    rc->rc_before = rc->rc_checksum;
    rc->rc_durable = atomic_load(&pg->pg_shm->sh_durable);
    rc->rc_base = pc->pc_file_base;
    rc->rc_n_list = 0;
    rc->rc_flags = RECORD_REDO | RECORD_LINKED;
    rc->rc_changes = changes;
    rc->rc_changes_size = (uint32_t)size;
    rc->rc_snapshot.sn_number = pc->pc_number;
    rc->rc_snapshot.sn_trees = *trees;
    rc->rc_snapshot.sn_cold = pc->pc_cold;
    record_store_redo(pc->pc_bytes, rc);
    code = FAILPOINT("commit:prepared");
    pc->pc_prepared = pc->pc_redo = code == EDB_OK;
    return code;
}

/* ---- publish -------------------------------------------------------------------------------------------------- */

void pager_commit_aside(pager_commit *pc)
{
    pc->pc_aside = true;
}

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

/* The time makes the record whole: with it the link can be computed, and the seal. */
static void stamp(pager_commit *pc, int64_t time)
{
    uint8_t link[SHA256_SIZE];
    snapshot *sn = &pc->pc_record.rc_snapshot;

    link_of(pc->pc_number, time, pc->pc_content, link);
    links_set(sn, pc->pc_base.sn_seal, link);
    record_stamp(pc->pc_bytes, time, link, sn->sn_seal);
}

/* Draws a time and writes the record with it. *decided: nobody asked about the time meanwhile, it stands. */
static int publish_try(pager_commit *pc, int64_t time_ns, int64_t *drawn, bool *decided)
{
    pager *pg = pc->pc_pager;
    shm_area *shm = pg->pg_shm;
    int64_t time = time_ns;

    *decided = false;
    int rc = time ? EDB_OK : draw_time(pc, &time);
    if (!rc)
        rc = FAILPOINT("commit:stamped");
    if (rc)
        return rc;
    uint64_t intent = (uint64_t)time << 1;
    atomic_store(&shm->sh_intent_number, pc->pc_number);
    atomic_store(&shm->sh_intent, intent);
    if (atomic_load(&shm->sh_floor) >= time) {
        atomic_store(&shm->sh_intent, 0);
        return EDB_OK;
    }
    stamp(pc, time);
    atomic_store(&shm->sh_checksum[pc->pc_number % SHM_RING], load32(pc->pc_bytes));
    rc = os_write(pg->pg_fd, pc->pc_bytes, pc->pc_redo ? record_size(pc->pc_bytes) : RECORD_SIZE,
                  ring_offset(pg, pc->pc_number), pg->pg_name);
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
        if (pc->pc_redo)
            replay_take(pc, drawn);
        else
            atomic_store(&shm->sh_want_pages, 0);
        shm_raise(&pg->pg_newest, number);
        atomic_store(&pg->pg_cold_ids, pc->pc_cold.cd_list.ar_count);
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
