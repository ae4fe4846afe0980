/* Building, entering and leaving the lock file. See shm.h; docs/format.md has the layout and the lock bytes.
 *
 * Entering alone and entering beside others are told apart by one lock: the OPEN byte is held shared by everybody and
 * exclusively by the one who builds. Who finds it free builds; who does not waits until it can be shared and then
 * looks whether the area is complete: a builder that died before shm_ready leaves sh_ready 0, and the race starts
 * again. So no moment exists at which somebody uses an area that another is building. */
#define _GNU_SOURCE
#include "engine/shared/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/shared/data_lock.h"
#include "engine/shared/os.h"

#define LOCK_MAGIC 0x314b434f4c424445ULL        /* "EDBLOCK1" */
#define LOCK_LAYOUT 7
#define BYTE_OPEN ((off_t)1 << 40)              /* lock bytes lie far behind the contents */
#define BYTE_PROCESS (BYTE_OPEN + 1)
#define RECLAIM_NS 100000000

_Static_assert(sizeof(shm_slot) == 64, "a reader slot is a cache line");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "shared atomics must not hide a lock of this process");

#ifdef __GLIBC__
#define LIBC_ID 1
#else
#define LIBC_ID 2
#endif

static uint64_t pid_namespace(void)
{
    struct stat st;

    return stat("/proc/self/ns/pid", &st) ? 0 : (uint64_t)st.st_ino;
}

static void boot_id(uint8_t out[40])
{
    memset(out, 0, 40);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (read(fd, out, 39) < 0)
        memset(out, 0, 40);
    close(fd);
}

static int mutex_make(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attr;
    int rc = pthread_mutexattr_init(&attr);

    if (rc)
        return edb_fail(EDB_NOMEM, "cannot make a shared mutex: %s", strerror(rc));
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    memset(mutex, 0, sizeof *mutex);
    rc = pthread_mutex_init(mutex, &attr);
    pthread_mutexattr_destroy(&attr);
    return rc ? edb_fail(EDB_IO, "this system has no robust shared mutexes: %s", strerror(rc)) : EDB_OK;
}

#if defined __GLIBC__ && !defined EDB_WITHOUT_CLOCKLOCK
#if __GLIBC_PREREQ(2, 30)
#define HAS_CLOCKLOCK 1
#endif
#endif

#ifdef HAS_CLOCKLOCK
static int mutex_wait(pthread_mutex_t *mutex, int64_t until_ns)
{
    const struct timespec until = { .tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000 };

    return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
}
#else
/* musl and older glibc wait by the wall clock alone, which somebody may set back: then a wait of milliseconds takes hours.
 * So try again and again. A deadline that is over makes the call a try that knows the owner's second one (EDEADLK). */
static int mutex_wait(pthread_mutex_t *mutex, int64_t until_ns)
{
    const struct timespec over = { 0, 0 };
    struct timespec pause = { 0, 20000 };
    int rc;

    while ((rc = pthread_mutex_timedlock(mutex, &over)) == ETIMEDOUT && os_ticks_ns() < until_ns) {
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 500000)
            pause.tv_nsec *= 2;
    }
    return rc;
}
#endif

void shm_sleep(_Atomic uint32_t *word, uint32_t seen, int64_t wait_ms)
{
    struct timespec wait = { wait_ms / 1000, wait_ms % 1000 * 1000000 };

    (void)syscall(SYS_futex, word, FUTEX_WAIT, seen, &wait, NULL, 0);
}

void shm_wake(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

int shm_mutex_try(pthread_mutex_t *mutex)
{
    int rc = pthread_mutex_trylock(mutex);

    if (rc == EOWNERDEAD)
        pthread_mutex_consistent(mutex);
    return rc;
}

int shm_mutex_lock(pthread_mutex_t *mutex, int64_t wait_ms)
{
    int rc = shm_mutex_try(mutex);

    if (rc != EBUSY)
        return rc;
    rc = mutex_wait(mutex, os_ticks_ns() + wait_ms * 1000000);
    if (rc == EOWNERDEAD)
        pthread_mutex_consistent(mutex);
    return rc;
}

static int nonce_draw(uint64_t *nonce)
{
    do
        if (getrandom(nonce, sizeof *nonce, 0) != sizeof *nonce)
            return edb_fail(EDB_IO, "the system gives no random numbers: %s", strerror(errno));
    while (!*nonce);
    return EDB_OK;
}

/* ---- building ------------------------------------------------------------------------------------------------ */

static int area_build(shm_area *area, uint64_t device, uint64_t inode, uint64_t nonce)
{
    memset((void *)area, 0, sizeof *area);
    area->sh_magic = LOCK_MAGIC;
    area->sh_layout = LOCK_LAYOUT;
    area->sh_size = sizeof *area;
    area->sh_libc = LIBC_ID;
    area->sh_pid_namespace = pid_namespace();
    area->sh_device = device;
    area->sh_inode = inode;
    area->sh_clock_offset = os_clock_offset_ns();
    boot_id(area->sh_boot);
    atomic_init(&area->sh_nonce, nonce);
    for (int i = 0; i < SHM_SLOTS; i++) {
        atomic_init(&area->sh_slot[i].ss_low, SHM_NONE);
        atomic_init(&area->sh_slot[i].ss_moment, SHM_NONE);
    }
    int rc = mutex_make(&area->sh_committer);
    if (!rc)
        rc = mutex_make(&area->sh_sync);
    return rc ? rc : mutex_make(&area->sh_upkeep);
}

static void area_before(const shm_area *area, uint64_t device, uint64_t inode, shm_before *before)
{
    uint8_t boot[40];

    boot_id(boot);
    memset(before, 0, sizeof *before);
    if (area->sh_magic != LOCK_MAGIC || area->sh_layout != LOCK_LAYOUT || area->sh_size != sizeof *area
        || !atomic_load(&area->sh_ready) || area->sh_device != device || area->sh_inode != inode
        || memcmp(area->sh_boot, boot, sizeof boot) != 0)
        return;
    before->old_known = true;
    before->old_poisoned = atomic_load(&area->sh_poisoned);
    before->old_published = atomic_load(&area->sh_published);
    before->old_floor = atomic_load(&area->sh_floor);
}

/* Somebody else's area: whether this process may enter it. */
static int area_check(const shm_lock *lock, uint64_t device, uint64_t inode)
{
    const shm_area *area = lock->lk_area;

    if (area->sh_magic != LOCK_MAGIC || area->sh_layout != LOCK_LAYOUT || area->sh_size != sizeof *area
        || area->sh_libc != LIBC_ID)
        return edb_fail(EDB_CANTOPEN, "%s: in use by another build of EntityDB; close it there first", lock->lk_name);
    if (area->sh_pid_namespace != pid_namespace())
        return edb_fail(EDB_CANTOPEN, "%s: in use by a process of another container (pid namespace); both cannot "
                        "have it open at once", lock->lk_name);
    if (area->sh_device != device || area->sh_inode != inode)
        return edb_fail(EDB_CANTOPEN, "%s: the database file was replaced while others have the old one open; close "
                        "it there first", lock->lk_name);
    return EDB_OK;
}

static void area_free_slots(shm_area *area, int process)
{
    uint32_t used = atomic_load(&area->sh_slots_used);

    for (uint32_t i = 0; i < used && i < SHM_SLOTS; i++) {
        shm_slot *slot = &area->sh_slot[i];
        if ((atomic_load(&slot->ss_owner) & ~SHM_IDLE) == (uint32_t)process + 1)
            shm_slot_give(slot);
    }
}

static void cut_free(shm_area *area, uint32_t owner)
{
    if (atomic_load(&area->sh_cutter) != owner)
        return;
    atomic_store(&area->sh_cut, 0);
    atomic_store(&area->sh_cutter, 0);
}

/* Takes an entry of the process table; what a dead owner left in it is cleared. */
static int process_take(shm_lock *lock)
{
    for (int i = 0; i < SHM_PROCESSES; i++) {
        if (!byte_lock(lock->lk_fd, F_WRLCK, BYTE_PROCESS + i))
            continue;
        area_free_slots(lock->lk_area, i);
        cut_free(lock->lk_area, (uint32_t)i + 1);
        atomic_store(&lock->lk_area->sh_pid[i], (uint32_t)getpid());
        lock->lk_process = i;
        return EDB_OK;
    }
    return edb_fail(EDB_BUSY, "%s: %d processes have the database open, no more can", lock->lk_name, SHM_PROCESSES);
}

static int lock_prepare(shm_lock *lock, const char *name)
{
    memset(lock, 0, sizeof *lock);
    lock->lk_fd = -1;
    pthread_mutex_init(&lock->lk_mutex, NULL);
    lock->lk_name = strdup(name);
    return lock->lk_name ? EDB_OK : edb_fail(EDB_NOMEM, "no memory to open %s", name);
}

/* Maps the file at full size. Only with OPEN held, so that nobody sees the file half-grown. Through a descriptor of
 * its own: a mapping keeps the open file description, with its locks, alive in a forked child that has closed all. */
static int lock_map(shm_lock *lock)
{
    if (lock->lk_area)
        return EDB_OK;
    int rc = os_extend(lock->lk_fd, sizeof(shm_area), lock->lk_name);
    if (rc)
        return rc;
    struct stat st, other;
    int fd = os_reopen(lock->lk_fd);
    if (fd < 0)
        fd = open(lock->lk_name, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) || fstat(lock->lk_fd, &other) || st.st_ino != other.st_ino) {
        if (fd >= 0)
            close(fd);
        return edb_fail(EDB_CANTOPEN, "cannot open the lock file %s: it was removed or replaced", lock->lk_name);
    }
    void *area = mmap(NULL, sizeof(shm_area), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (area == MAP_FAILED)
        rc = edb_fail(errno == ENOMEM ? EDB_NOMEM : EDB_IO, "cannot map %s: %s", lock->lk_name, strerror(errno));
    else
        lock->lk_area = area;
    close(fd);
    return rc;
}

/* With OPEN held: whether all who have the data file open use this lock file (I22). If not, OPEN is given back. */
static int lock_join(shm_lock *lock, uint64_t nonce)
{
    lock->lk_stranger = !data_lock_join(lock->lk_data_fd, nonce);
    if (lock->lk_stranger) {
        byte_lock(lock->lk_fd, F_UNLCK, BYTE_OPEN);
        return EDB_BUSY;
    }
    lock->lk_nonce = nonce;
    return EDB_OK;
}

static int lock_try_first(shm_lock *lock, uint64_t device, uint64_t inode, shm_before *before)
{
    uint64_t nonce;
    int rc = nonce_draw(&nonce);

    if (!rc)
        rc = lock_join(lock, nonce);
    if (!rc)
        rc = lock_map(lock);
    if (rc)
        return rc;
    area_before(lock->lk_area, device, inode, before);
    rc = area_build(lock->lk_area, device, inode, nonce);
    lock->lk_first = true;
    return rc ? rc : process_take(lock);
}

static int lock_try_beside(shm_lock *lock, uint64_t device, uint64_t inode)
{
    int rc = lock_map(lock);

    if (rc)
        return rc;
    if (!atomic_load(&lock->lk_area->sh_ready)) {       /* its builder died, or another waits as we do */
        byte_lock(lock->lk_fd, F_UNLCK, BYTE_OPEN);
        return EDB_BUSY;
    }
    rc = area_check(lock, device, inode);
    if (!rc)
        rc = lock_join(lock, atomic_load(&lock->lk_area->sh_nonce));
    return rc ? rc : process_take(lock);
}

/* One attempt. -> EDB_OK with lk_first told, EDB_BUSY when somebody is building or uses another lock file, or another
 * error. */
static int lock_try(shm_lock *lock, uint64_t device, uint64_t inode, shm_before *before)
{
    if (byte_lock(lock->lk_fd, F_WRLCK, BYTE_OPEN))
        return lock_try_first(lock, device, inode, before);
    if (errno != EAGAIN && errno != EACCES)
        return edb_fail(EDB_CANTOPEN, "%s: the file system has no open-file-description locks: %s", lock->lk_name,
                        strerror(errno));
    return byte_lock(lock->lk_fd, F_RDLCK, BYTE_OPEN) ? lock_try_beside(lock, device, inode) : EDB_BUSY;
}

static int lock_busy(const shm_lock *lock)
{
    if (lock->lk_stranger)
        return edb_fail(EDB_BUSY, "%s is not the lock file that others have the database open with: it was removed, "
                        "replaced or overwritten meanwhile, or the database file has a second name (a hard link). Close "
                        "the database in every other process first", lock->lk_name);
    return edb_fail(EDB_BUSY, "%s: another process is opening or recovering the database, or reads it without the lock "
                    "file, or the lock file was overwritten while it was in use", lock->lk_name);
}

int shm_open_file(const char *name, int fd, int data_fd, uint64_t device, uint64_t inode, int64_t wait_ms,
                  shm_lock *lock, shm_before *before)
{
    int rc = lock_prepare(lock, name);

    lock->lk_fd = fd;
    lock->lk_data_fd = data_fd;
    if (rc)
        goto out;
    int64_t until = os_ticks_ns() + wait_ms * 1000000;
    for (unsigned round = 0; (rc = lock_try(lock, device, inode, before)) == EDB_BUSY; round++) {
        if (os_ticks_ns() >= until) {
            rc = lock_busy(lock);
            break;
        }
        struct timespec pause = { 0, 200000 + (getpid() + round * 7919) % 8 * 50000 };
        nanosleep(&pause, NULL);
    }
out:
    if (rc)
        shm_close(lock);
    return rc;
}

int shm_open_private(shm_lock *lock)
{
    int rc = lock_prepare(lock, "private");

    if (rc)
        return rc;
    void *area = mmap(NULL, sizeof(shm_area), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        rc = edb_fail(EDB_NOMEM, "no memory for the lock area");
    else
        lock->lk_area = area;
    if (!rc)
        rc = nonce_draw(&lock->lk_nonce);
    if (!rc)
        rc = area_build(lock->lk_area, 0, 0, lock->lk_nonce);
    lock->lk_first = true;
    if (rc)
        shm_close(lock);
    return rc;
}

static bool area_ours(const shm_lock *lock)
{
    struct stat st;

    if (lock->lk_fd >= 0 && (fstat(lock->lk_fd, &st) || (uint64_t)st.st_size < sizeof(shm_area)))
        return false;
    return shm_intact(lock);
}

int shm_check(const shm_lock *lock)
{
    return area_ours(lock) ? EDB_OK : shm_overwritten(lock);
}

int shm_overwritten(const shm_lock *lock)
{
    return edb_fail(EDB_REPLACED, "%s: the lock file was overwritten while it was in use. Nothing can be written; close "
                    "the database in every process, then open it again", lock->lk_name);
}

int shm_ready(shm_lock *lock)
{
    atomic_store(&lock->lk_area->sh_ready, 1);
    lock->lk_first = false;
    if (lock->lk_fd >= 0 && !byte_lock(lock->lk_fd, F_RDLCK, BYTE_OPEN))
        return edb_fail(EDB_IO, "%s: cannot share the lock: %s", lock->lk_name, strerror(errno));
    return EDB_OK;
}

bool shm_alone(shm_lock *lock)
{
    return lock->lk_fd < 0 || byte_lock(lock->lk_fd, F_WRLCK, BYTE_OPEN);
}

/* A mutex that was overwritten while a thread held it cannot be taken off the thread's list of robust mutexes, which the
 * C library and the kernel follow. So the memory stays, but not as a part of the file. */
static void area_abandon(shm_area *area)
{
    (void)!mmap(area, sizeof *area, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

void shm_close(shm_lock *lock)
{
    if (lock->lk_area && lock->lk_nonce && !area_ours(lock)) {
        area_abandon(lock->lk_area);
    } else if (lock->lk_area) {
        if (lock->lk_first)         /* never completed, so it must not look so */
            atomic_store(&lock->lk_area->sh_ready, 0);
        munmap(lock->lk_area, sizeof(shm_area));
    }
    if (lock->lk_fd >= 0) {
        if (lock->lk_nonce)
            data_lock_leave(lock->lk_data_fd, lock->lk_nonce);
        close(lock->lk_fd);         /* and with it go the locks */
    }
    if (lock->lk_name)
        pthread_mutex_destroy(&lock->lk_mutex);
    free(lock->lk_name);
    memset(lock, 0, sizeof *lock);
    lock->lk_fd = -1;
}

void shm_forked(shm_lock *lock)
{
    if (lock->lk_fd >= 0)
        close(lock->lk_fd);
    lock->lk_fd = -1;
}

/* ---- slots --------------------------------------------------------------------------------------------------- */

static shm_slot *slot_find(shm_area *area, uint32_t owner)
{
    for (uint32_t i = 0; i < SHM_SLOTS; i++) {
        uint32_t free_owner = 0;
        shm_slot *slot = &area->sh_slot[i];
        if (atomic_load_explicit(&slot->ss_owner, memory_order_relaxed))
            continue;
        /* Raised first: a committer that scans up to the mark never misses a slot in use. */
        uint32_t used = atomic_load(&area->sh_slots_used);
        while (used < i + 1 && !atomic_compare_exchange_weak(&area->sh_slots_used, &used, i + 1))
            ;
        if (atomic_compare_exchange_strong(&slot->ss_owner, &free_owner, owner))
            return slot;
    }
    return NULL;
}

static shm_slot *slot_take_over(shm_area *area, uint32_t owner)
{
    for (uint32_t i = 0; i < SHM_SLOTS; i++) {
        shm_slot *slot = &area->sh_slot[i];
        uint32_t now = atomic_load_explicit(&slot->ss_owner, memory_order_relaxed);
        if (now & SHM_IDLE && atomic_compare_exchange_strong(&slot->ss_owner, &now, owner))
            return slot;
    }
    return NULL;
}

static uint32_t slot_owner(const shm_lock *lock)
{
    return (uint32_t)lock->lk_process + 1;
}

int shm_slot_take(shm_lock *lock, shm_slot **out)
{
    shm_slot *slot = slot_find(lock->lk_area, slot_owner(lock));

    if (!slot)
        slot = slot_take_over(lock->lk_area, slot_owner(lock));
    if (!slot && shm_reclaim(lock, true))
        slot = slot_find(lock->lk_area, slot_owner(lock));
    if (!slot)
        return edb_fail(EDB_SLOTS, "all %d reader slots are taken: so many statements are running, or transactions open; "
                        "end some", SHM_SLOTS);
    *out = slot;
    return EDB_OK;
}

void shm_slot_idle(shm_slot *slot)
{
    uint32_t owner = atomic_load_explicit(&slot->ss_owner, memory_order_relaxed);

    atomic_store_explicit(&slot->ss_owner, owner | SHM_IDLE, memory_order_release);
}

bool shm_slot_resume(shm_lock *lock, shm_slot *slot)
{
    uint32_t idle = slot_owner(lock) | SHM_IDLE;

    return atomic_compare_exchange_strong(&slot->ss_owner, &idle, slot_owner(lock));
}

void shm_slot_give(shm_slot *slot)
{
    atomic_store(&slot->ss_moment, SHM_NONE);
    atomic_store(&slot->ss_low, SHM_NONE);
    atomic_store(&slot->ss_owner, 0);
}

bool shm_cut_set(shm_lock *lock, uint64_t cut)
{
    shm_area *area = lock->lk_area;
    uint32_t owner = slot_owner(lock), nobody = 0;

    if (!cut) {
        cut_free(area, owner);
        return true;
    }
    if (!atomic_compare_exchange_strong(&area->sh_cutter, &nobody, owner) && nobody != owner) {
        nobody = 0;
        if (!shm_reclaim(lock, true) || !atomic_compare_exchange_strong(&area->sh_cutter, &nobody, owner))
            return false;
    }
    atomic_store(&area->sh_cut, cut);
    return true;
}

bool shm_reclaim(shm_lock *lock, bool now)
{
    if (lock->lk_fd < 0)
        return false;               /* private: this process is the only owner */
    pthread_mutex_lock(&lock->lk_mutex);
    int64_t ticks = os_ticks_ns();
    bool look = now || ticks - lock->lk_reclaimed > RECLAIM_NS;
    if (look) {
        lock->lk_reclaimed = ticks;
        for (int i = 0; i < SHM_PROCESSES; i++) {
            if (i == lock->lk_process || !atomic_load(&lock->lk_area->sh_pid[i])
                || !byte_lock(lock->lk_fd, F_WRLCK, BYTE_PROCESS + i))
                continue;
            area_free_slots(lock->lk_area, i);
            cut_free(lock->lk_area, (uint32_t)i + 1);
            atomic_store(&lock->lk_area->sh_pid[i], 0);
            byte_lock(lock->lk_fd, F_UNLCK, BYTE_PROCESS + i);
        }
    }
    pthread_mutex_unlock(&lock->lk_mutex);
    return look;
}
