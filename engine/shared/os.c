/* The system calls of the engine, with errors put into words, and (under EDB_TEST) the shim that tests stand on.
 *
 * Nothing here knows what a page is. A short write or an interrupted call is repeated; an error becomes a code:
 * EDB_FULL where the device or a quota has no space, EDB_IO for everything else.
 *
 * The log (EDB_TEST): while os_log_start() is in force, every write, extension and sync of a data file is appended to
 * the log file *after* it succeeded, as one write() to a descriptor opened with O_APPEND, so that entries of several
 * threads and processes do not mix. An entry is a header of 32 bytes, little-endian, and its bytes:
 *
 *     offset size field
 *          0    4 kind     1 write, 2 sync, 3 extend (size: the new file size), 4 note
 *          4    4 process id
 *          8    8 inode number of the file, 0 for a note
 *         16    8 offset in the file; of a sync, and its start, the thread
 *         24    8 size     bytes that follow (write, note); of an extension: the new file size, nothing follows
 *
 * A test rebuilds what a power loss leaves by applying all writes before the last sync and any subset, order and
 * sectors of the rest. A sync is logged when it has returned: a write logged before it by another thread while it ran
 * may be on disk or not in reality, and the same holds for what the test makes of it only if it treats writes between
 * the *start* of a sync and its end as unsynced; hence kind 5, the start of a sync. */
#define _GNU_SOURCE
#include "engine/shared/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef EDB_TEST
#include <signal.h>
#include <stdbool.h>
#include <sys/uio.h>

enum { LOG_WRITE = 1, LOG_SYNC = 2, LOG_EXTEND = 3, LOG_NOTE = 4, LOG_SYNC_START = 5, LOG_TRUNCATE = 6 };

static atomic_int log_fd = -1;
static _Atomic int64_t fake_clock;
static _Atomic int64_t clock_jump;

static void log_entry(uint32_t kind, int fd, uint64_t offset, uint64_t size, const void *bytes)
{
    int to = atomic_load(&log_fd);

    if (to < 0)
        return;
    struct stat st = {0};
    if (fd >= 0 && fstat(fd, &st))
        return;
    uint64_t header[4] = { kind | (uint64_t)getpid() << 32, (uint64_t)st.st_ino, offset, size };
    struct iovec parts[2] = {{header, sizeof header}, {(void *)(uintptr_t)bytes, bytes ? size : 0}};
    if (writev(to, parts, 2) < 0)
        abort();            /* a test without its log proves nothing */
}

int os_log_start(const char *path)
{
    int fd = -1;

    if (path) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (fd < 0)
            return edb_fail(EDB_CANTOPEN, "cannot open the log %s: %s", path, strerror(errno));
    }
    int old = atomic_exchange(&log_fd, fd);
    if (old >= 0)
        close(old);
    return EDB_OK;
}

void os_log_note(const char *text)
{
    log_entry(LOG_NOTE, -1, 0, strlen(text), text);
}

void os_clock_set(int64_t ns)
{
    atomic_store(&fake_clock, ns);
}

void os_clock_jump(int64_t ns)
{
    atomic_store(&clock_jump, ns);
}

static _Atomic(os_failpoint_fn) failpoint_fn;

void os_failpoint_set(os_failpoint_fn fn)
{
    atomic_store(&failpoint_fn, fn);
}

/* ENTITYDB_FAILPOINT=name[:n][=kill|stop|full|io], read at each passing so that a test may set it late. */
static int failpoint_environment(const char *name)
{
    static _Atomic long passed;
    const char *spec = getenv("ENTITYDB_FAILPOINT");
    size_t length = strlen(name);

    if (!spec || strncmp(spec, name, length) != 0 || (spec[length] && !strchr("=", spec[length])
        && !(spec[length] == ':' && spec[length + 1] >= '0' && spec[length + 1] <= '9')))
        return EDB_OK;
    long wanted = 1;
    const char *action = spec + length;
    if (*action == ':') {
        char *end;
        wanted = strtol(action + 1, &end, 10);
        action = end;
    }
    if (atomic_fetch_add(&passed, 1) + 1 != wanted)
        return EDB_OK;
    if (*action == 0 || strcmp(action, "=kill") == 0)
        kill(getpid(), SIGKILL);
    if (strcmp(action, "=stop") == 0) {
        kill(getpid(), SIGSTOP);
        return EDB_OK;
    }
    if (strcmp(action, "=full") == 0)
        return edb_fail(EDB_FULL, "failpoint %s: no space left", name);
    if (strcmp(action, "=io") == 0)
        return edb_fail(EDB_IO, "failpoint %s: input/output error", name);
    return EDB_OK;
}

int os_failpoint(const char *name)
{
    os_failpoint_fn fn = atomic_load(&failpoint_fn);
    int rc = fn ? fn(name) : EDB_OK;

    if (rc)
        return edb_fail(rc, "failpoint %s", name);
    return failpoint_environment(name);
}
#else
#define log_entry(kind, fd, offset, size, bytes) ((void)0)
#endif

int os_write(int fd, const void *bytes, size_t size, uint64_t offset, const char *what)
{
    const char *from = bytes;

    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, from + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int e = n ? errno : ENOSPC;
            return edb_fail(e == ENOSPC || e == EDQUOT || e == EFBIG ? EDB_FULL : EDB_IO,
                            "%s: cannot write %zu bytes at %llu: %s", what, size, (unsigned long long)offset,
                            strerror(e));
        }
        done += (size_t)n;
    }
    log_entry(LOG_WRITE, fd, offset, size, bytes);
    return EDB_OK;
}

int os_read(int fd, void *bytes, size_t size, uint64_t offset, const char *what)
{
    char *to = bytes;

    for (size_t done = 0; done < size;) {
        ssize_t n = pread(fd, to + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return edb_fail(EDB_IO, "%s: cannot read %zu bytes at %llu: %s", what, size, (unsigned long long)offset,
                            strerror(errno));
        if (n == 0)
            return edb_fail(EDB_CORRUPT, "%s: the file ends before byte %llu", what,
                            (unsigned long long)(offset + size));
        done += (size_t)n;
    }
    return EDB_OK;
}

int os_sync(int fd, const char *what)
{
    log_entry(LOG_SYNC_START, fd, (uint64_t)gettid(), 0, NULL);
    int rc;
    do
        rc = fdatasync(fd);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return edb_fail(EDB_IO, "%s: fdatasync failed: %s", what, strerror(errno));
    log_entry(LOG_SYNC, fd, (uint64_t)gettid(), 0, NULL);
    return EDB_OK;
}

int os_extend(int fd, uint64_t size, const char *what)
{
    struct stat st;

    if (fstat(fd, &st))
        return edb_fail(EDB_IO, "%s: fstat failed: %s", what, strerror(errno));
    uint64_t old = (uint64_t)st.st_size;
    if (old >= size)
        return EDB_OK;
    int rc;
    do
        rc = fallocate(fd, 0, (off_t)old, (off_t)(size - old));
    while (rc < 0 && errno == EINTR);
    if (rc == 0) {
        log_entry(LOG_EXTEND, fd, 0, size, NULL);
        return EDB_OK;
    }
    if (errno != EOPNOTSUPP && errno != ENOSYS) {
        int code = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? EDB_FULL : EDB_IO;
        rc = edb_fail(code, "%s: cannot grow the file to %llu bytes: %s", what, (unsigned long long)size,
                      strerror(errno));
        /* Some file systems keep what they could allocate, the last of the disk; nobody knows of it yet. */
        if (code == EDB_FULL)
            (void)!ftruncate(fd, (off_t)old);
        return rc;
    }
    static const char zeros[65536];         /* the file system cannot allocate ahead: writing does */
    for (uint64_t at = old; at < size;) {
        size_t n = size - at < sizeof zeros ? (size_t)(size - at) : sizeof zeros;
        rc = os_write(fd, zeros, n, at, what);
        if (rc)
            return rc;
        at += n;
    }
    return EDB_OK;
}

int os_truncate(int fd, uint64_t size, const char *what)
{
    struct stat st;

    if (fstat(fd, &st))
        return edb_fail(EDB_IO, "%s: fstat failed: %s", what, strerror(errno));
    if ((uint64_t)st.st_size <= size)
        return EDB_OK;
    if (ftruncate(fd, (off_t)size))
        return edb_fail(EDB_IO, "%s: cannot shorten the file to %llu bytes: %s", what, (unsigned long long)size,
                        strerror(errno));
    log_entry(LOG_TRUNCATE, fd, 0, size, NULL);
    return EDB_OK;
}

int os_reopen(int fd)
{
    char path[32];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDWR | O_CLOEXEC);
}

static int64_t clock_read(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t os_clock_ns(void)
{
#ifdef EDB_TEST
    int64_t fake = atomic_load(&fake_clock);
    if (fake)
        return fake;
    return clock_read(CLOCK_REALTIME) + atomic_load(&clock_jump);
#else
    return clock_read(CLOCK_REALTIME);
#endif
}

int64_t os_clock_offset_ns(void)
{
#ifdef EDB_TEST
    return clock_read(CLOCK_REALTIME) + atomic_load(&clock_jump) - clock_read(CLOCK_BOOTTIME);
#else
    return clock_read(CLOCK_REALTIME) - clock_read(CLOCK_BOOTTIME);
#endif
}

int64_t os_ticks_ns(void)
{
    return clock_read(CLOCK_MONOTONIC);
}
