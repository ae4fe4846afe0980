/* The two marks at the front of a file. docs/format.md, "The file".
 *
 *   durable   this commit was durable when the file was closed; recovery need not look before it
 *   settled   this commit has no time up to the one given: a reader was told that nothing is there */
#include "native/crc32c.h"
#include "engine/pager/pager_impl.h"

#define MARK_MAGIC 0x4b52414du          /* "MARK" */

enum { MK_CHECKSUM = 0, MK_MAGIC = 4, MK_NUMBER = 8, MK_TIME = 16, MK_SIZE = 24 };

static int mark_write(pager *pg, uint64_t offset, uint64_t number, int64_t time)
{
    uint8_t mark[MK_SIZE];

    store32(mark + MK_MAGIC, MARK_MAGIC);
    store64(mark + MK_NUMBER, number);
    store64(mark + MK_TIME, (uint64_t)time);
    store32(mark + MK_CHECKSUM, crc32c(0, mark + 4, MK_SIZE - 4));
    return os_write(pg->pg_fd, mark, MK_SIZE, offset, pg->pg_name);
}

bool mark_load(const uint8_t *mark, uint64_t *number, int64_t *time)
{
    if (load32(mark + MK_MAGIC) != MARK_MAGIC || load32(mark + MK_CHECKSUM) != crc32c(0, mark + 4, MK_SIZE - 4)
        || load64(mark + MK_NUMBER) >= COMMIT_LIMIT)
        return false;
    *number = load64(mark + MK_NUMBER);
    *time = (int64_t)load64(mark + MK_TIME);
    return true;
}

int mark_write_durable(pager *pg)
{
    return mark_write(pg, MARK_OFFSET, atomic_load(&pg->pg_shm->sh_durable), 0);
}

int mark_write_settled(pager *pg, uint64_t number, int64_t floor)
{
    if (!pg->pg_can_write)
        return edb_fail(EDB_BUSY, "%s: a commit was interrupted while it was published; ask again when a writer has "
                        "opened the database", pg->pg_name);
    int rc = mark_write(pg, SETTLED_OFFSET, number, floor);
    return rc ? rc : os_sync(pg->pg_fd, pg->pg_name);
}
