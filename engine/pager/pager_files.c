/* Whether the two files are still the ones that this process opened, asked before anything is written (I22, I23).
 *
 *   the lock file   overwritten in place: its random number is another one, or it has forgotten commits. (Deleted or
 *                   replaced: I22 keeps others out, so those who share the old one may go on.)
 *   the data file   replaced by rename: its path leads to another file, and what is written here would be lost;
 *                   overwritten in place: the newest record is not the one that was published.
 *
 * Somebody who writes over the data file without asking cannot be kept from it; what is prevented is that we write past
 * them, into a file that is not ours any more. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/pager/pager_impl.h"

/* A file of no bytes is none: somebody who tried to open the database after it was removed has left it there.
 *
 * The times of the file are not asked for. Linux gives a file whose times somebody has seen a new one at the next write
 * (since 6.13), which made commits at `full` a sixth slower. */
static bool path_leads_elsewhere(const pager *pg)
{
    struct statx st;

    return statx(AT_FDCWD, pg->pg_path, 0, STATX_INO | STATX_SIZE, &st) == 0 && st.stx_size
        && (makedev(st.stx_dev_major, st.stx_dev_minor) != pg->pg_device || st.stx_ino != pg->pg_inode);
}

int files_check_lock(const pager *pg)
{
    if (!shm_intact(&pg->pg_lock) || atomic_load(&pg->pg_shm->sh_published) < atomic_load(&pg->pg_newest))
        return shm_overwritten(&pg->pg_lock);
    return EDB_OK;
}

int files_check_path(const pager *pg)
{
    if (pg->pg_memory || !path_leads_elsewhere(pg))
        return EDB_OK;
    return edb_fail(EDB_REPLACED, "%s: the database file was replaced by another while it was open. Nothing can be "
                    "written to the old one; close the database in every process, then open it again", pg->pg_name);
}

int files_newest_record(pager *pg, record *out)
{
    const shm_area *shm = pg->pg_shm;
    uint64_t number = atomic_load(&shm->sh_published), found;
    const uint8_t *bytes = ring_slot(pg, number);

    if (record_whole(bytes, &found) && found == number && record_load(bytes, out)
        && out->rc_checksum == atomic_load(&shm->sh_checksum[number % SHM_RING]))
        return EDB_OK;
    return edb_fail(EDB_REPLACED, "%s: the record of commit %llu (byte %llu) is not the one that was written: the "
                    "database file was overwritten while it was open, or is damaged. Nothing can be written; close the "
                    "database in every process, then open it again", pg->pg_name, (unsigned long long)number,
                    (unsigned long long)ring_offset(pg, number));
}

/* A copy of the lock file from minutes ago would have us commit again what was committed since. (A committer that died
 * there leaves such a record too, but then it is voided first: recover_running.) */
static bool next_record_stands(const pager *pg, uint64_t number)
{
    const uint8_t *next = ring_slot(pg, number + 1);
    uint64_t found;

    return record_number(next) == number + 1 && record_whole(next, &found);
}

int files_base_record(pager *pg, record *out)
{
    int rc = files_newest_record(pg, out);

    if (!rc && next_record_stands(pg, out->rc_snapshot.sn_number))
        rc = shm_overwritten(&pg->pg_lock);
    return rc;
}

bool files_ours(pager *pg)
{
    record newest;

    return shm_check(&pg->pg_lock) == EDB_OK && files_check_lock(pg) == EDB_OK && files_check_path(pg) == EDB_OK
        && files_newest_record(pg, &newest) == EDB_OK;
}

int pager_writable(const pager *pg)
{
    if (pg->pg_read_only)
        return edb_fail(EDB_READONLY, "attempt to write a readonly database: %s was opened for reading only",
                        pg->pg_name);
    if (pg->pg_can_write)
        return EDB_OK;
    if (pg->pg_no_lock == EDB_FULL)
        return edb_fail(EDB_FULL, "%s: the lock file %s-lock could not be made, no space is left on the device; make "
                        "room, then close the database and open it again", pg->pg_name, pg->pg_path);
    if (pg->pg_no_lock)
        return edb_fail(EDB_READONLY, "attempt to write a readonly database: %s is read without its lock file %s-lock, "
                        "which this process may not write", pg->pg_name, pg->pg_path);
    return edb_fail(EDB_READONLY, "attempt to write a readonly database: this process may only read %s", pg->pg_name);
}
