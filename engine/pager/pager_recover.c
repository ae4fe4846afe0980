/* Which record a file stands at, and the fixed parts at its front. docs/format.md, "The file" and "Commit records".
 *
 * Several commits may have been published, and their pages and records written, since the last sync; a power loss
 * keeps any subset of those writes, some of them torn. Recovery looks for the newest commit whose every page is there:
 *
 *   1. C, the newest commit known durable: the highest number claimed by the durable mark, or by a record (its D).
 *      Whatever was overwritten since C was synced was not needed by C (I5), so C is taken without looking.
 *   2. A later commit N counts if all records of C+1 .. N are whole, and of every page that they list the newest
 *      listed tag is that of the page in the file. Tag 0 says that the page is not needed any more.
 *      Each must follow upon the one before, by its checksum. And where N has a redo record, the records from its base on must
 *      be whole.
 *   3. The newest N that counts wins. If none does, C; and if the record of C is not whole, the file is damaged.
 *
 * I7 keeps the records C+1 .. N in the ring: a slot is overwritten only when its commit cannot be needed (a record is
 * at most half the ring from the newest durable one, and that one from the D it claims).
 * After a clean close step 2 has nothing to do, and opening costs the ring, however long the history.
 *
 * The records after the winner are then zeroed and everything is synced, before anything new is written: their numbers
 * will be used again. Cut short, this is repeated by the next opening, with the same result. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/crc32c.h"
#include "engine/pager/pager_impl.h"

#define FILE_VERSION 1
#define CREATE_PAGES_SIZE (1u << 20)
/* Pages that may be missing at the end of the file behind a commit that is not known durable: those of unsynced commits
 * are listed (I7) or were made and dropped by one of them, which uses what it dropped again. Amply. */
#define FRESH_PAGES (16 * UNSYNCED_PAGES)

static const uint8_t file_magic[16] = "EntityDB\r\n\x1a\n\0\0\0";

enum {                                  /* the header */
    FH_MAGIC = 0, FH_VERSION = 16, FH_PAGE_SIZE = 20, FH_REQUIRED = 24, FH_OPTIONAL = 32, FH_CREATED = 40,
    FH_ID = 48, FH_RING = 64, FH_CHECKSUM = FILE_HEADER_SIZE - 4,
};

/* ---- the header ----------------------------------------------------------------------------------------------- */

int recover_create(pager *pg, uint32_t page_size)
{
    uint8_t header[FILE_HEADER_SIZE] = {0}, bytes[RECORD_SIZE];
    uint64_t first = (ring_end(pg) + page_size - 1) / page_size;
    record rc = {
        .rc_flags = RECORD_BIG,
        .rc_snapshot = { .sn_pages = first + 1, .sn_tail = 1 },
        .rc_free = { .fr_head = first, .fr_next = first },
    };

    memcpy(header + FH_MAGIC, file_magic, sizeof file_magic);
    store32(header + FH_VERSION, FILE_VERSION);
    store32(header + FH_PAGE_SIZE, page_size);
    store64(header + FH_REQUIRED, FEATURES_NEW);
    store64(header + FH_CREATED, (uint64_t)os_clock_ns());
    if (getrandom(header + FH_ID, 16, 0) != 16)
        return edb_fail(EDB_IO, "%s: the system gives no random numbers: %s", pg->pg_name, strerror(errno));
    store32(header + FH_RING, pg->pg_ring);
    store32(header + FH_CHECKSUM, crc32c(0, header, FH_CHECKSUM));
    record_store(bytes, &rc);
    record_stamp(bytes, 0, NULL, NULL);

    uint64_t size = (first * page_size + CREATE_PAGES_SIZE + page_size - 1) / page_size * page_size;
    int code = pg->pg_memory ? (ftruncate(pg->pg_fd, (off_t)size)
                                ? edb_fail(EDB_NOMEM, "no memory for a database: %s", strerror(errno)) : EDB_OK)
                             : os_extend(pg->pg_fd, size, pg->pg_name);
    if (!code)
        code = os_write(pg->pg_fd, bytes, RECORD_SIZE, RING_OFFSET, pg->pg_name);
    if (!code && !pg->pg_memory)
        code = os_sync(pg->pg_fd, pg->pg_name);
    /* Last: a file without the header is still nothing, and is made again. */
    if (!code)
        code = os_write(pg->pg_fd, header, sizeof header, 0, pg->pg_name);
    if (!code && !pg->pg_memory)
        code = os_sync(pg->pg_fd, pg->pg_name);
    return code;
}

static bool header_whole(const uint8_t *header)
{
    return load32(header + FH_CHECKSUM) == crc32c(0, header, FH_CHECKSUM);
}

/* Whether a power loss has kept one end of the header that header_allow() wrote, and not the other. */
static bool header_torn(const uint8_t *header)
{
    uint8_t other[FILE_HEADER_SIZE];
    bool torn = false;

    memcpy(other, header, sizeof other);
    for (uint64_t flipped = 1; flipped <= FEATURES && !torn; flipped++) {
        store64(other + FH_REQUIRED, load64(header + FH_REQUIRED) ^ flipped);
        torn = !(flipped & ~(uint64_t)FEATURES) && header_whole(other);
    }
    return torn;
}

bool pager_has(const pager *pg, uint32_t feature)
{
    uint32_t known = atomic_load_explicit(&pg->pg_shm->sh_features, memory_order_relaxed);

    return !known || known & feature;       /* of a torn header nothing is known */
}

int header_allow(pager *pg, uint32_t features)
{
    uint8_t header[FILE_HEADER_SIZE];

    if ((atomic_load_explicit(&pg->pg_shm->sh_features, memory_order_relaxed) & features) == features)
        return EDB_OK;
    int rc = os_read(pg->pg_fd, header, sizeof header, 0, pg->pg_name);
    if (rc)
        return rc;
    store64(header + FH_REQUIRED, load64(header + FH_REQUIRED) | features);
    store32(header + FH_CHECKSUM, crc32c(0, header, FH_CHECKSUM));
    rc = os_write(pg->pg_fd, header, sizeof header, 0, pg->pg_name);
    if (!rc)
        rc = sync_force(pg);
    if (!rc)
        atomic_store(&pg->pg_shm->sh_features, (uint32_t)load64(header + FH_REQUIRED));
    return rc;
}

static int file_truncated(const pager *pg, uint64_t left)
{
    return edb_fail(EDB_CORRUPT, "%s: the file is truncated: %llu bytes are left", pg->pg_name, (unsigned long long)left);
}

int recover_header(pager *pg)
{
    uint8_t header[FILE_HEADER_SIZE];
    struct stat st;

    if (fstat(pg->pg_fd, &st))
        return edb_fail(EDB_IO, "%s: fstat failed: %s", pg->pg_name, strerror(errno));
    if ((uint64_t)st.st_size < sizeof file_magic
        || os_read(pg->pg_fd, header, sizeof file_magic, 0, pg->pg_name)
        || memcmp(header, file_magic, sizeof file_magic) != 0)
        return edb_fail(EDB_NOTADB, "%s is not an EntityDB database", pg->pg_name);
    if ((uint64_t)st.st_size < sizeof header)
        return file_truncated(pg, (uint64_t)st.st_size);
    int rc = os_read(pg->pg_fd, header, sizeof header, 0, pg->pg_name);
    if (rc)
        return rc;
    uint32_t version = load32(header + FH_VERSION), page_size = load32(header + FH_PAGE_SIZE), ring = load32(header + FH_RING);
    bool whole = header_whole(header);
    if (!whole && !header_torn(header))
        return edb_fail(EDB_CORRUPT, "%s: the file header (page 0) is damaged", pg->pg_name);
    if (version != FILE_VERSION || (load64(header + FH_REQUIRED) & ~(uint64_t)FEATURES)
        || (ring != RECORD_RING && ring != RECORD_RING_LEAST))
        return edb_fail(EDB_VERSION, "%s: format version %u with features %llx needs another version of EntityDB",
                        pg->pg_name, version, (unsigned long long)load64(header + FH_REQUIRED));
    if (page_size < PAGE_SIZE_MIN || page_size > PAGE_SIZE_MAX || (page_size & (page_size - 1)))
        return edb_fail(EDB_CORRUPT, "%s: the file header (page 0) names a page size of %u", pg->pg_name, page_size);
    if (whole)
        atomic_store(&pg->pg_shm->sh_features, (uint32_t)load64(header + FH_REQUIRED));
    pg->pg_page_size = page_size;
    pg->pg_page_shift = (uint32_t)__builtin_ctz(page_size);
    pg->pg_ring = ring;
    pg->pg_first_page = (ring_end(pg) + page_size - 1) / page_size;
    return (uint64_t)st.st_size < ring_end(pg) ? file_truncated(pg, (uint64_t)st.st_size) : EDB_OK;
}

/* ---- choosing a record ---------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t ls_page, ls_number;        /* listed by commit ls_number */
    uint32_t ls_tag, ls_found;          /* ... with this tag; the page has that one, 0: it is not whole */
} listing;

typedef struct {
    uint64_t rv_slots;                  /* of the ring */
    uint8_t *rv_ring;                   /* so many records */
    bool rv_whole[RECORD_RING];
    uint64_t rv_number[RECORD_RING];
    bool rv_any;
    uint64_t rv_newest;                 /* highest number of a whole record */
    uint64_t rv_claimed;                /* C */
    uint64_t rv_chosen;
    listing *rv_list;
    size_t rv_n_list;
    uint64_t rv_file_size;
    bool rv_is_settled;                 /* the settled mark says that commit rv_settled has no time up to rv_floor */
    uint64_t rv_settled;
    int64_t rv_floor;
} recovery;

static const uint8_t *recovery_record(const recovery *rv, uint64_t number)
{
    uint64_t slot = number % rv->rv_slots;

    return rv->rv_whole[slot] && rv->rv_number[slot] == number ? rv->rv_ring + slot * RECORD_SIZE : NULL;
}

/* Reads ring and marks; finds C. */
static int recovery_read(pager *pg, recovery *rv, const shm_before *before)
{
    uint8_t marks[RING_OFFSET - MARK_OFFSET];
    uint64_t number;
    int64_t time;
    struct stat st;

    rv->rv_slots = pg->pg_ring;
    rv->rv_ring = malloc(rv->rv_slots * RECORD_SIZE);
    if (!rv->rv_ring)
        return edb_fail(EDB_NOMEM, "%s: no memory to open the database", pg->pg_name);
    if (fstat(pg->pg_fd, &st))
        return edb_fail(EDB_IO, "%s: fstat failed: %s", pg->pg_name, strerror(errno));
    rv->rv_file_size = (uint64_t)st.st_size;
    int rc = os_read(pg->pg_fd, marks, sizeof marks, MARK_OFFSET, pg->pg_name);
    if (!rc)
        rc = os_read(pg->pg_fd, rv->rv_ring, rv->rv_slots * RECORD_SIZE, RING_OFFSET, pg->pg_name);
    if (rc)
        return rc;
    if (mark_load(marks, &number, &time))
        rv->rv_claimed = number;
    rv->rv_is_settled = mark_load(marks + SETTLED_OFFSET - MARK_OFFSET, &rv->rv_settled, &rv->rv_floor);
    for (uint64_t i = 0; i < rv->rv_slots; i++) {
        const uint8_t *bytes = rv->rv_ring + i * RECORD_SIZE;
        if (!record_whole(bytes, &number) || number % rv->rv_slots != i)
            continue;
        record one;
        if (!record_load(bytes, &one))
            continue;
        /* Taken back: somebody asked about its time and was told that nothing is there. */
        if (rv->rv_is_settled && number == rv->rv_settled && record_time(bytes) <= rv->rv_floor)
            continue;
        if (before->old_known && number == before->old_published + 1 && record_time(bytes) <= before->old_floor)
            continue;
        rv->rv_whole[i] = true;
        rv->rv_number[i] = number;
        rv->rv_any = true;
        if (number > rv->rv_newest)
            rv->rv_newest = number;
        if (one.rc_durable > rv->rv_claimed)
            rv->rv_claimed = one.rc_durable;
    }
    return EDB_OK;
}

static int compare_listing(const void *a, const void *b)
{
    const listing *x = a, *y = b;

    if (x->ls_page != y->ls_page)
        return x->ls_page < y->ls_page ? -1 : 1;
    return x->ls_number < y->ls_number ? -1 : x->ls_number > y->ls_number;
}

/* The listings of C+1 .. last, by page and number, each page with what the file has. */
static int recovery_list(pager *pg, recovery *rv, uint64_t last)
{
    size_t room = 0;
    record one;

    for (uint64_t n = rv->rv_claimed + 1; n <= last; n++)
        if (record_load(recovery_record(rv, n), &one))
            room += one.rc_n_list;
    rv->rv_list = malloc((room + 1) * sizeof *rv->rv_list);
    uint8_t *page = malloc(pg->pg_page_size);
    int rc = rv->rv_list && page ? EDB_OK : edb_fail(EDB_NOMEM, "%s: no memory to recover", pg->pg_name);
    for (uint64_t n = rv->rv_claimed + 1; !rc && n <= last; n++) {
        if (!record_load(recovery_record(rv, n), &one))
            continue;
        for (uint32_t i = 0; i < one.rc_n_list; i++) {
            listing *ls = &rv->rv_list[rv->rv_n_list++];
            *ls = (listing){ .ls_number = n };
            record_list_load(one.rc_list + 9 * i, &ls->ls_page, &ls->ls_tag);
        }
    }
    if (!rc && rv->rv_n_list)
        qsort(rv->rv_list, rv->rv_n_list, sizeof *rv->rv_list, compare_listing);
    for (size_t i = 0; !rc && i < rv->rv_n_list; i++) {
        listing *ls = &rv->rv_list[i];
        if (i && ls->ls_page == ls[-1].ls_page) {
            ls->ls_found = ls[-1].ls_found;
            continue;
        }
        uint64_t at = ls->ls_page << pg->pg_page_shift;
        if (ls->ls_page < pg->pg_first_page || at + pg->pg_page_size > rv->rv_file_size
            || os_read(pg->pg_fd, page, pg->pg_page_size, at, pg->pg_name))
            continue;
        uint32_t tag = page_checksum(page, pg->pg_page_size);
        if (tag == load32(page + PH_CHECKSUM) && load64(page + PH_PAGE) == ls->ls_page)
            ls->ls_found = tag;
    }
    free(page);
    return rc;
}

/* Whether every page that commits C+1 .. number list, as the newest of them lists it, is in the file. */
static bool recovery_verifies(const recovery *rv, uint64_t number)
{
    for (size_t i = 0; i < rv->rv_n_list; i++) {
        const listing *ls = &rv->rv_list[i];
        bool newest = i + 1 == rv->rv_n_list || ls[1].ls_page != ls->ls_page || ls[1].ls_number > number;
        if (ls->ls_number <= number && newest && ls->ls_tag && ls->ls_tag != ls->ls_found)
            return false;
    }
    return true;
}

/* Whether the record of the next commit was written upon this one's. */
static bool recovery_follows(const recovery *rv, uint64_t number)
{
    const uint8_t *bytes = recovery_record(rv, number), *next = recovery_record(rv, number + 1);
    record one;

    return next && (!bytes || (record_load(next, &one) && one.rc_before == load32(bytes)));
}

/* Whether what the commit left can be made out: its record has pages, or those from its base on are there, all based on it.
 * *damaged: else a record that is not as it must be. */
static bool recovery_based(const recovery *rv, uint64_t number, uint64_t *damaged)
{
    const uint8_t *bytes = recovery_record(rv, number);
    record one;

    *damaged = number;
    if (!bytes || !record_load(bytes, &one))
        return false;
    uint64_t base = one.rc_base;
    if (base != number && (bytes = recovery_record(rv, base)) && record_load(bytes, &one) && one.rc_base != base)
        return false;               /* it names one without pages */
    for (uint64_t n = number; n > base; n--) {
        bytes = recovery_record(rv, n - 1);
        *damaged = n - 1;
        if (!bytes || !record_load(bytes, &one) || one.rc_base != base)
            return false;
        *damaged = n;
        if (!recovery_follows(rv, n - 1))
            return false;
    }
    return true;
}

static int recovery_choose(pager *pg, recovery *rv)
{
    if (!rv->rv_any)
        return edb_fail(EDB_CORRUPT, "%s: no commit record is left (bytes %d to %llu); restore it from a backup",
                        pg->pg_name, RING_OFFSET, (unsigned long long)ring_end(pg));
    uint64_t last = rv->rv_claimed, damaged;
    while (last < rv->rv_claimed + rv->rv_slots && recovery_follows(rv, last))
        last++;
    int rc = recovery_list(pg, rv, last);
    if (rc)
        return rc;
    while (last > rv->rv_claimed && !(recovery_verifies(rv, last) && recovery_based(rv, last, &damaged)))
        last--;
    if (!recovery_record(rv, last))
        return edb_fail(EDB_CORRUPT, "%s: the record of commit %llu, which was durable, is damaged (byte %llu); "
                        "restore it from a backup", pg->pg_name, (unsigned long long)last,
                        (unsigned long long)ring_offset(pg, last));
    if (!recovery_based(rv, last, &damaged))
        return edb_fail(EDB_CORRUPT, "%s: the record of commit %llu (byte %llu), which commit %llu needs, is damaged; restore it "
                        "from a backup", pg->pg_name, (unsigned long long)damaged,
                        (unsigned long long)ring_offset(pg, damaged), (unsigned long long)last);
    rv->rv_chosen = last;
    return EDB_OK;
}

/* ---- making the choice stand ---------------------------------------------------------------------------------- */

static int zero_record(pager *pg, uint64_t slot)
{
    static const uint8_t zeros[RECORD_SIZE];

    return os_write(pg->pg_fd, zeros, RECORD_SIZE, RING_OFFSET + slot * RECORD_SIZE, pg->pg_name);
}

/* After a failed sync the kernel may hold pages that it takes for written and that are not: write them again. */
static int recovery_rewrite(pager *pg, const recovery *rv)
{
    uint8_t *page = malloc(pg->pg_page_size);
    int rc = page ? EDB_OK : edb_fail(EDB_NOMEM, "%s: no memory to recover", pg->pg_name);

    for (size_t i = 0; !rc && i < rv->rv_n_list; i++) {
        const listing *ls = &rv->rv_list[i];
        uint64_t at = ls->ls_page << pg->pg_page_shift;
        if (!ls->ls_found || (i && ls[-1].ls_page == ls->ls_page))
            continue;
        rc = os_read(pg->pg_fd, page, pg->pg_page_size, at, pg->pg_name);
        if (!rc)
            rc = os_write(pg->pg_fd, page, pg->pg_page_size, at, pg->pg_name);
    }
    for (uint64_t i = 0; !rc && i < rv->rv_slots; i++)
        if (rv->rv_whole[i] && rv->rv_number[i] <= rv->rv_chosen)
            rc = os_write(pg->pg_fd, rv->rv_ring + i * RECORD_SIZE, RECORD_SIZE, RING_OFFSET + i * RECORD_SIZE,
                          pg->pg_name);
    free(page);
    return rc;
}

static int recovery_finish(pager *pg, recovery *rv, const shm_before *before)
{
    shm_area *shm = pg->pg_shm;
    const uint8_t *bytes = recovery_record(rv, rv->rv_chosen);
    record chosen, base;
    bool dirty = rv->rv_chosen != rv->rv_claimed || before->old_poisoned;

    (void)record_load(bytes, &chosen);
    (void)record_load(recovery_record(rv, chosen.rc_base), &base);
    uint64_t pages = base.rc_snapshot.sn_pages, size = pages << pg->pg_page_shift;
    int rc = EDB_OK;
    if (pages <= pg->pg_first_page || pages > PAGE_LIMIT)
        return edb_fail(EDB_CORRUPT, "%s: the record of commit %llu is damaged", pg->pg_name,
                        (unsigned long long)rv->rv_chosen);
    if (rv->rv_file_size < size && rv->rv_chosen == rv->rv_claimed)
        return edb_fail(EDB_CORRUPT, "%s: the file is truncated: commit %llu has %llu bytes, %llu are left",
                        pg->pg_name, (unsigned long long)rv->rv_chosen, (unsigned long long)size,
                        (unsigned long long)rv->rv_file_size);
    if (rv->rv_file_size < size && size - rv->rv_file_size > (uint64_t)FRESH_PAGES << pg->pg_page_shift)
        return edb_fail(EDB_CORRUPT, "%s: the record of commit %llu claims %llu bytes of a file of %llu, more than "
                        "commits can have added since the last sync; restore it from a backup", pg->pg_name,
                        (unsigned long long)rv->rv_chosen, (unsigned long long)size,
                        (unsigned long long)rv->rv_file_size);
    if (rv->rv_file_size < size && pg->pg_can_write) {  /* pages at the end that are free and were never written */
        rc = os_extend(pg->pg_fd, size, pg->pg_name);
        if (!rc)
            rv->rv_file_size = size;
        else if (rc == EDB_FULL)                        /* readers need none of them */
            atomic_store(&shm->sh_unrecovered, 1);
        rc = rc == EDB_FULL ? EDB_OK : rc;
    }
    if (!rc && before->old_poisoned && pg->pg_can_write)
        rc = recovery_rewrite(pg, rv);
    for (uint64_t i = 0; !rc && i < rv->rv_slots; i++) {
        uint64_t number;
        if (!record_whole(rv->rv_ring + i * RECORD_SIZE, &number) || number <= rv->rv_chosen)
            continue;
        dirty = true;
        if (pg->pg_can_write)
            rc = zero_record(pg, i);
        else
            atomic_store(&shm->sh_unrecovered, 1);
    }
    if (!rc && dirty && !pg->pg_memory)
        rc = os_sync(pg->pg_fd, pg->pg_name);
    if (rc)
        return rc;
    atomic_store(&shm->sh_checksum[rv->rv_chosen % SHM_RING], chosen.rc_checksum);
    atomic_store(&shm->sh_published, rv->rv_chosen);
    atomic_store(&shm->sh_durable, rv->rv_chosen);
    atomic_store(&shm->sh_big, rv->rv_chosen);
    int64_t floor = record_time(bytes);
    if (rv->rv_is_settled && rv->rv_settled == rv->rv_chosen + 1 && rv->rv_floor > floor)
        floor = rv->rv_floor;           /* else the next opening would take that commit for the void one */
    atomic_store(&shm->sh_floor, floor);
    atomic_store(&shm->sh_file_pages, rv->rv_file_size >> pg->pg_page_shift);
    atomic_store(&shm->sh_zeroed, pages);
    return EDB_OK;
}

int recover_file(pager *pg, const shm_before *before)
{
    recovery rv = {0};
    int rc = recovery_read(pg, &rv, before);

    if (!rc)
        rc = recovery_choose(pg, &rv);
    if (!rc)
        rc = recovery_finish(pg, &rv, before);
    free(rv.rv_list);
    free(rv.rv_ring);
    return rc;
}

/* ---- beside living processes ---------------------------------------------------------------------------------- */

int recover_running(pager *pg)
{
    shm_area *shm = pg->pg_shm;
    struct stat st;
    uint64_t intent = atomic_load(&shm->sh_intent);

    /* The dead committer's decision counts; an intent it had not decided is taken back, unless a reader did. */
    while (intent) {
        if (intent & 1)
            shm_raise(&shm->sh_published, atomic_load(&shm->sh_intent_number));
        if (atomic_compare_exchange_strong(&shm->sh_intent, &intent, 0))
            break;
    }
    uint64_t published = atomic_load(&shm->sh_published);
    bool any = false, stale = false;
    record newest;
    int rc = files_newest_record(pg, &newest);      /* else what would be voided is somebody else's */
    if (!rc)
        rc = ring_load_pages(pg, published, &newest, &stale);
    if (!rc && stale)
        rc = shm_overwritten(&pg->pg_lock);
    if (!rc && !pg->pg_memory)
        rc = os_extend(pg->pg_fd, newest.rc_snapshot.sn_pages << pg->pg_page_shift, pg->pg_name);
    if (rc)
        return rc;
    for (uint64_t i = 0; i < pg->pg_ring; i++) {
        uint64_t number;
        uint8_t bytes[RECORD_SIZE];
        rc = os_read(pg->pg_fd, bytes, RECORD_SIZE, RING_OFFSET + i * RECORD_SIZE, pg->pg_name);
        if (rc)
            return rc;
        if (!record_whole(bytes, &number) || number <= published)
            continue;
        rc = zero_record(pg, i);
        if (rc)
            return rc;
        any = true;
    }
    if (any && !pg->pg_memory) {
        rc = sync_force(pg);
        if (rc)
            return rc;
    }
    if (fstat(pg->pg_fd, &st))
        return edb_fail(EDB_IO, "%s: fstat failed: %s", pg->pg_name, strerror(errno));
    atomic_store(&shm->sh_file_pages, (uint64_t)st.st_size >> pg->pg_page_shift);
    atomic_store(&shm->sh_unrecovered, 0);
    return EDB_OK;
}
