/* Opening and closing, one pager for each file and process, fork.
 *
 * The process keeps a list of its pagers, so that opening a file twice shares one map, one process entry and one
 * background thread. A pager opened read-only is another than one opened for writing.
 *
 * Who may share a file with whom:
 *   - everybody who can use the lock file NAME-lock shares it, readers included;
 *   - who cannot open or make the lock file (read-only medium or folder, no permission, full disk) can only read: it
 *     gets the same area in private memory and keeps writers out by a lock on a byte of the data file (I23); it is
 *     refused while a writer has the file open, since nobody would see its pins. Read-only media need nothing of this.
 *
 * fork(): the child's handler counts up a generation and closes the inherited descriptors, because an open file
 * description lock lives as long as any copy of the descriptor. Every entry compares the generation. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/pager/pager_impl.h"
#include "engine/shared/data_lock.h"

#define BUSY_MS 5000
#define BLANK_MOST (4 * RECORD_RING * RECORD_SIZE)     /* bytes that a file may have whose making was cut short */

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static pager *registry;
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;

/* ---- fork ---------------------------------------------------------------------------------------------------- */

static void fork_prepare(void)
{
    pthread_mutex_lock(&registry_mutex);
}

static void fork_parent(void)
{
    pthread_mutex_unlock(&registry_mutex);
}

static void fork_child(void)
{
    atomic_fetch_add(&pager_generation, 1);
    for (pager *pg = registry; pg; pg = pg->pg_next) {
        shm_forked(&pg->pg_lock);
        close(pg->pg_fd);
        if (pg->pg_lock_fd >= 0)
            close(pg->pg_lock_fd);
        pg->pg_fd = pg->pg_lock_fd = -1;
    }
    registry = NULL;
    pthread_mutex_unlock(&registry_mutex);
}

static void registry_init(void)
{
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

/* ---- the data file -------------------------------------------------------------------------------------------- */

static bool error_of_permission(int error)
{
    return error == EACCES || error == EPERM || error == EROFS;
}

static bool error_of_space(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

static int file_open(pager *pg, const char *path, const pager_options *options)
{
    int create = options->create && !options->read_only ? O_CREAT : 0;

    pg->pg_fd = open(path, O_RDWR | O_CLOEXEC | create, 0666);
    pg->pg_can_write = pg->pg_fd >= 0;
    if (pg->pg_fd < 0 && error_of_permission(errno)) {
        int denied = errno;
        pg->pg_fd = open(path, O_RDONLY | O_CLOEXEC);
        if (pg->pg_fd < 0 && errno == ENOENT)
            errno = denied;             /* it could not be made, is what the caller must know */
    }
    if (pg->pg_fd < 0)
        return edb_fail(EDB_CANTOPEN, "cannot open %s: %s", path, strerror(errno));
    struct stat st;
    if (fstat(pg->pg_fd, &st))
        return edb_fail(EDB_CANTOPEN, "cannot open %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return edb_fail(EDB_CANTOPEN, "cannot open %s: it is not a regular file", path);
    pg->pg_device = (uint64_t)st.st_dev;
    pg->pg_inode = (uint64_t)st.st_ino;
    char real[PATH_MAX];
    if (realpath(path, real) && !(pg->pg_path = strdup(real)))
        return edb_fail(EDB_NOMEM, "no memory to open %s", path);
    pg->pg_lock_fd = pg->pg_path ? open(pg->pg_path, O_RDONLY | O_CLOEXEC) : -1;
    struct stat again;
    if (pg->pg_lock_fd < 0 || fstat(pg->pg_lock_fd, &again) || again.st_ino != st.st_ino)
        return edb_fail(EDB_CANTOPEN, "cannot open %s: it was removed or replaced meanwhile", path);
    return EDB_OK;
}

/* Maps and locks of one machine mean nothing to another. */
static int file_check_system(const pager *pg)
{
    static const struct {
        uint32_t magic;
        const char *name;
    } networks[] = {
        {0x6969, "NFS"}, {0x517b, "SMB"}, {0xfe534d42, "SMB"}, {0xff534d42, "CIFS"}, {0x5346414f, "AFS"},
        {0x00c36400, "Ceph"}, {0x01021997, "9p"}, {0x0bd00bd0, "Lustre"}, {0x7461636f, "OCFS2"}, {0x01161970, "GFS2"},
    };
    struct statfs fs;
    if (fstatfs(pg->pg_fd, &fs))
        return edb_fail(EDB_CANTOPEN, "cannot open %s: %s", pg->pg_name, strerror(errno));
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++)
        if ((uint32_t)fs.f_type == networks[i].magic)
            return edb_fail(EDB_CANTOPEN, "%s lies on a network file system (%s), where processes cannot share memory; "
                            "move it to a local disk", pg->pg_name, networks[i].name);
    return EDB_OK;
}

/* A new or empty file, or one whose making was cut short: its header is written last. */
static bool file_blank(const pager *pg)
{
    struct stat st;
    uint8_t front[RING_OFFSET];

    if (fstat(pg->pg_fd, &st))
        return false;
    if (st.st_size == 0)
        return true;
    if ((uint64_t)st.st_size < sizeof front || (uint64_t)st.st_size > BLANK_MOST
        || os_read(pg->pg_fd, front, sizeof front, 0, pg->pg_name))
        return false;
    for (size_t i = 0; i < sizeof front; i++)
        if (front[i])
            return false;
    return true;
}

static void folder_sync(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        (void)fsync(fd);                /* some file systems cannot; then the name is as safe as they make it */
        close(fd);
    }
    free(copy);
}

/* ---- opening -------------------------------------------------------------------------------------------------- */

static pager *pager_new(const char *name, const pager_options *options)
{
    pager *pg = calloc(1, sizeof *pg);

    if (!pg)
        return NULL;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&pg->pg_sync_cond, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&pg->pg_sync_mutex, NULL);
    pthread_mutex_init(&pg->pg_map_mutex, NULL);
    pthread_mutex_init(&pg->pg_replay_mutex, NULL);
    mempage_init(pg);
    pg->pg_replayer = pager_replay;
    pg->pg_cache_file = cache_file();
    const char *any_clock = getenv("ENTITYDB_ANY_CLOCK");
    pg->pg_fd = pg->pg_lock_fd = -1;
    pg->pg_lock.lk_fd = -1;
    pg->pg_generation = atomic_load(&pager_generation);
    pg->pg_references = 1;
    pg->pg_ring = RECORD_RING;
    pg->pg_busy_ms = options->busy_ms ? options->busy_ms : BUSY_MS;
    pg->pg_read_only = options->read_only;
    pg->pg_any_clock = options->any_clock || (any_clock && strcmp(any_clock, "1") == 0);
    pg->pg_name = strdup(name);
    if (pg->pg_name)
        return pg;
    free(pg);
    return NULL;
}

static void pager_delete(pager *pg)
{
    commit_spare_free(pg);
    cache_drop_file(pg->pg_cache_file);
    replay_close(pg);
    map_close(pg);
    shm_close(&pg->pg_lock);
    if (pg->pg_fd >= 0)
        close(pg->pg_fd);
    if (pg->pg_lock_fd >= 0)
        close(pg->pg_lock_fd);
    pthread_mutex_destroy(&pg->pg_map_mutex);
    if (pg->pg_generation == atomic_load(&pager_generation)) {
        pthread_mutex_destroy(&pg->pg_replay_mutex);
        pthread_mutex_destroy(&pg->pg_memory_pages.mm_mutex);
        pthread_mutex_destroy(&pg->pg_sync_mutex);
        pthread_cond_destroy(&pg->pg_sync_cond);
    }
    free(pg->pg_path);
    free(pg->pg_name);
    free(pg);
}

/* why: EDB_READONLY or EDB_FULL, 0 for a memory database. Whoever reads so cannot write. */
static int lock_open_private(pager *pg, int why, shm_before *before)
{
    memset(before, 0, sizeof *before);
    if (!pg->pg_memory) {
        pg->pg_no_lock = pg->pg_can_write ? why : EDB_OK;       /* else there is a better reason */
        pg->pg_can_write = false;
        byte_lock(pg->pg_lock_fd, F_UNLCK, DATA_BYTE_WRITER);
        byte_lock(pg->pg_lock_fd, F_RDLCK, DATA_BYTE_PRIVATE);      /* first, then look: the writer does the same */
        if (bytes_locked(pg->pg_lock_fd, DATA_BYTE_WRITER, 1))
            return edb_fail(EDB_BUSY, "%s: a writer has the database open; reading beside it needs permission to write "
                            "the lock file %s-lock", pg->pg_name, pg->pg_path);
    }
    return shm_open_private(&pg->pg_lock);
}

/* A pager of this process that has the file open, and is shared by who opens it as `like` was. Under the registry's mutex;
 * any: one that was opened the other way, for reading or for writing, will do. */
static pager *registry_find(const pager *like, bool any)
{
    for (pager *pg = registry; pg; pg = pg->pg_next)
        if (!pg->pg_memory && pg->pg_device == like->pg_device && pg->pg_inode == like->pg_inode
            && (any || pg->pg_read_only == like->pg_read_only))
            return pg;
    return NULL;
}

/* The lock file, made if need be with the rights and the owner of the data file, so that who may write the one may
 * write the other, whoever comes first. -> a descriptor, or -1 with errno. */
static int lock_file_open(const pager *pg, const char *name)
{
    int fd = open(name, O_RDWR | O_CLOEXEC);
    struct stat st;

    if (fd >= 0 || errno != ENOENT)
        return fd;
    fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno == EEXIST ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (fstat(pg->pg_fd, &st) == 0) {
        (void)!fchmod(fd, (st.st_mode & 0666) | S_IRUSR | S_IWUSR);
        if (geteuid() == 0)
            (void)!fchown(fd, st.st_uid, st.st_gid);
    }
    return fd;
}

/* The lock file at `name`, or none where it cannot be written: then nobody may write meanwhile. */
static int lock_open_at(pager *pg, const char *name, shm_before *before)
{
    const pager *sibling = registry_find(pg, true);
    int fd = sibling && sibling->pg_lock.lk_fd >= 0 ? os_reopen(sibling->pg_lock.lk_fd) : -1;

    if (fd < 0)
        fd = lock_file_open(pg, name);
    if (fd < 0 && (error_of_permission(errno) || error_of_space(errno)))
        return lock_open_private(pg, error_of_space(errno) ? EDB_FULL : EDB_READONLY, before);
    if (fd < 0)
        return edb_fail(EDB_CANTOPEN, "cannot open the lock file %s: %s", name, strerror(errno));
    if (pg->pg_can_write) {
        byte_lock(pg->pg_lock_fd, F_RDLCK, DATA_BYTE_WRITER);
        if (bytes_locked(pg->pg_lock_fd, DATA_BYTE_PRIVATE, 1)) {
            close(fd);
            return edb_fail(EDB_BUSY, "%s: somebody without permission for the lock file is reading the database; it "
                            "cannot be written meanwhile", pg->pg_name);
        }
    }
    int rc = shm_open_file(name, fd, pg->pg_lock_fd, pg->pg_device, pg->pg_inode, pg->pg_busy_ms, &pg->pg_lock, before);
    return rc == EDB_FULL ? lock_open_private(pg, EDB_FULL, before) : rc;
}

static int lock_open(pager *pg, shm_before *before)
{
    size_t size = strlen(pg->pg_path) + sizeof "-lock";
    char *name = malloc(size);

    if (!name)
        return edb_fail(EDB_NOMEM, "no memory to open %s", pg->pg_name);
    snprintf(name, size, "%s-lock", pg->pg_path);
    int rc = lock_open_at(pg, name, before);
    free(name);
    return rc;
}

/* With nobody else in: make the file if need be, and find the record it stands at. */
static int open_first(pager *pg, const pager_options *options, const shm_before *before)
{
    uint32_t page_size = options->page_size ? options->page_size : PAGE_SIZE_DEFAULT;
    int rc = EDB_OK;

    if (pg->pg_memory || (options->create && !options->read_only && file_blank(pg))) {
        rc = pager_writable(pg);
        if (!rc)
            rc = recover_create(pg, page_size);
        if (!rc && !pg->pg_memory)
            folder_sync(pg->pg_name);
    }
    struct stat st;
    if (!rc)
        rc = recover_header(pg);
    if (!rc && fstat(pg->pg_fd, &st))
        rc = edb_fail(EDB_IO, "%s: fstat failed: %s", pg->pg_name, strerror(errno));
    if (!rc)
        rc = recover_file(pg, before);
    if (!rc)
        rc = map_open(pg, (uint64_t)st.st_size);
    if (rc)
        return rc;
    pg->pg_shm->sh_synchronous = options->synchronous > 0 ? (uint32_t)options->synchronous : SYNC_FULL;
    return shm_ready(&pg->pg_lock);
}

static int open_beside(pager *pg)
{
    int rc = recover_header(pg);

    return rc ? rc : map_open(pg, atomic_load(&pg->pg_shm->sh_file_pages) << pg->pg_page_shift);
}

static int check_setting(const pager *pg, const pager_options *options)
{
    if (options->synchronous <= 0 || (uint32_t)options->synchronous == pg->pg_shm->sh_synchronous)
        return EDB_OK;
    return edb_fail(EDB_SETTING, "%s: the database is open with synchronous=%s; all must use the same", pg->pg_name,
                    pg->pg_shm->sh_synchronous == SYNC_FULL ? "full" : "normal");
}

/* Opens what file_open found, or gives the pager that has it open. Under the registry's mutex. */
static int open_or_share(pager *pg, const pager_options *options, pager **out)
{
    pager *open = pg->pg_memory ? NULL : registry_find(pg, false);

    if (open) {
        int rc = check_setting(open, options);
        if (!rc) {
            open->pg_references++;
            *out = open;
        }
        return rc;
    }
    shm_before before;
    int rc = pg->pg_memory ? lock_open_private(pg, EDB_OK, &before) : file_check_system(pg);
    if (!rc && !pg->pg_memory)
        rc = lock_open(pg, &before);
    if (rc)
        return rc;
    pg->pg_shm = pg->pg_lock.lk_area;
    rc = pg->pg_lock.lk_first ? open_first(pg, options, &before) : open_beside(pg);
    if (!rc)
        rc = check_setting(pg, options);
    if (rc)
        return rc;
    pg->pg_synchronous = (int)pg->pg_shm->sh_synchronous;
    pg->pg_next = registry;
    registry = pg;
    *out = pg;
    return EDB_OK;
}

int pager_open(const char *path, const pager_options *options, pager **out)
{
    uint32_t size = options->page_size;

    if (size && (size < PAGE_SIZE_MIN || size > PAGE_SIZE_MAX || (size & (size - 1))))
        return edb_fail(EDB_MISUSE, "a page size of %u is not a power of two between %d and %d", size, PAGE_SIZE_MIN,
                        PAGE_SIZE_MAX);
    pthread_once(&registry_once, registry_init);
    pager *pg = pager_new(path ? path : ":memory:", options);
    if (!pg)
        return edb_fail(EDB_NOMEM, "no memory to open a database");
    pg->pg_memory = !path;
    pager *opened = NULL;
    int rc = EDB_OK;
    pthread_mutex_lock(&registry_mutex);        /* over the open too: a fork between would leak the descriptor */
    if (path) {
        rc = file_open(pg, path, options);
    } else {
        pg->pg_fd = memfd_create("entitydb", MFD_CLOEXEC);
        pg->pg_can_write = true;
        if (pg->pg_fd < 0)
            rc = edb_fail(EDB_NOMEM, "cannot make a memory database: %s", strerror(errno));
    }
    if (!rc)
        rc = open_or_share(pg, options, &opened);
    if (opened != pg)
        pager_delete(pg);
    pthread_mutex_unlock(&registry_mutex);
    if (!rc)
        *out = opened;
    return rc;
}

void *pager_guest(pager *pg, void *(*make)(void), void (*stop)(void *guest), void (*guest_free)(void *guest))
{
    pthread_mutex_lock(&registry_mutex);
    if (!pg->pg_guest) {
        pg->pg_guest = make();
        pg->pg_guest_stop = stop;
        pg->pg_guest_free = guest_free;
    }
    pthread_mutex_unlock(&registry_mutex);
    return pg->pg_guest;
}

/* ---- closing -------------------------------------------------------------------------------------------------- */

/* Voids what a committer that died has left. Only then: a record behind the newest one that nobody has left is one that
 * an overwritten lock file has forgotten. -> whether nothing stands there. */
static bool close_recovered(pager *pg)
{
    shm_area *shm = pg->pg_shm;
    record base;
    int lock = shm_mutex_lock(&shm->sh_committer, 0);

    if (lock && lock != EOWNERDEAD)
        return false;
    bool left = lock == EOWNERDEAD || atomic_load(&shm->sh_unrecovered);
    bool clean = (left ? recover_running(pg) : files_base_record(pg, &base)) == EDB_OK;
    if (left && !clean)
        atomic_store(&shm->sh_unrecovered, 1);
    pthread_mutex_unlock(&shm->sh_committer);
    return clean;
}

#define KEEP_AHEAD (1u << 20)

/* Gives back most of what the file had grown ahead (pager_alloc.c); some stays for who opens it for a few commits. */
static void close_shorten(pager *pg)
{
    bool stale;
    record *newest = malloc(sizeof *newest);

    if (newest && !ring_load_pages(pg, atomic_load(&pg->pg_shm->sh_published), newest, &stale) && !stale) {
        uint64_t bytes = (newest->rc_snapshot.sn_pages << pg->pg_page_shift) + KEEP_AHEAD;
        if (bytes < atomic_load(&pg->pg_shm->sh_file_pages) << pg->pg_page_shift)
            (void)os_truncate(pg->pg_fd, bytes, pg->pg_name);
    }
    free(newest);
}

/* Everything durable; and if nobody else is in, a mark that says so. Failures only cost the next opening time. */
static void close_clean(pager *pg)
{
    shm_area *shm = pg->pg_shm;

    if (pg->pg_memory || !pg->pg_can_write)
        return;
    if (!files_ours(pg)) {              /* not ours to tidy up, but what was committed is to be kept */
        (void)os_sync(pg->pg_fd, pg->pg_name);
        return;
    }
    if (sync_run(pg, atomic_load(&shm->sh_published)) || !shm_alone(&pg->pg_lock))
        return;
    if (!close_recovered(pg) || atomic_load(&shm->sh_durable) != atomic_load(&shm->sh_published)
        || sync_poisoned(pg) || mark_write_durable(pg))
        return;
    close_shorten(pg);
    atomic_store(&shm->sh_ready, 0);
}

void pager_close(pager *pg)
{
    if (!pg)
        return;
    if (pager_alive(pg)) {              /* the parent's: its list, thread and locks are none of ours */
        if (--pg->pg_references == 0)
            pager_delete(pg);
        return;
    }
    pthread_mutex_lock(&registry_mutex);
    bool last = --pg->pg_references == 0;
    if (last) {
        pager **at = &registry;
        while (*at != pg)
            at = &(*at)->pg_next;
        *at = pg->pg_next;
        if (pg->pg_guest)
            pg->pg_guest_stop(pg->pg_guest);
        sync_stop(pg);
        close_clean(pg);
        if (pg->pg_guest)
            pg->pg_guest_free(pg->pg_guest);
        pager_delete(pg);
    }
    pthread_mutex_unlock(&registry_mutex);
}

/* ---- figures -------------------------------------------------------------------------------------------------- */

void pager_get_stats(pager *pg, pager_stats *out)
{
    shm_area *shm = pg->pg_shm;

    *out = (pager_stats){
        .ps_published = atomic_load(&shm->sh_published),
        .ps_durable = atomic_load(&shm->sh_durable),
        .ps_file_bytes = atomic_load(&shm->sh_file_pages) << pg->pg_page_shift,
        .ps_syncs = atomic_load(&shm->sh_syncs),
        .ps_pages_read = atomic_load(&pg->pg_pages_read),
        .ps_pages_written = atomic_load(&pg->pg_pages_written),
        .ps_oldest_pin = SHM_NONE,
    };
    for (uint32_t i = 0; i < atomic_load(&shm->sh_slots_used); i++) {
        uint64_t low = atomic_load(&shm->sh_slot[i].ss_low);
        if (low < out->ps_oldest_pin)
            out->ps_oldest_pin = low;
    }
    bool stale = false;
    record *newest = malloc(sizeof *newest);
    if (newest && !ring_load_pages(pg, out->ps_published, newest, &stale) && !stale) {
        out->ps_pages = newest->rc_snapshot.sn_pages;
        out->ps_free_pages = newest->rc_n_young + newest->rc_free.fr_entries;
    }
    free(newest);
}
