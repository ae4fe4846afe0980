/* What the engine asks of the operating system, and where tests put themselves between the two.
 *
 * All writes to a data file pass os_write and os_sync. Under -DEDB_TEST they can be logged, so that a test can build
 * the file a power loss would have left, and every FAILPOINT(name) can call a test's function, which may wait, kill
 * the process, or make the step fail. Without EDB_TEST both cost nothing. */
#ifndef EDB_OS_H
#define EDB_OS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/codes.h"

/* Writes all bytes or fails: EDB_FULL (ENOSPC, EDQUOT, EFBIG), else EDB_IO. `what` names the file in messages. */
int os_write(int fd, const void *bytes, size_t size, uint64_t offset, const char *what);
/* Reads exactly size bytes; EDB_IO, or EDB_CORRUPT when the file ends before. */
int os_read(int fd, void *bytes, size_t size, uint64_t offset, const char *what);
/* fdatasync. EDB_IO when it fails: what was written since the last success is then of unknown fate. */
int os_sync(int fd, const char *what);
/* Extends the file to `size` bytes of allocated, zeroed space, so that later page writes cannot meet ENOSPC. */
int os_extend(int fd, uint64_t size, const char *what);
/* Makes the file no longer than `size`. */
int os_truncate(int fd, uint64_t size, const char *what);
/* The same file again, for reading and writing, whatever has become of its name: another open file description. -1 where
 * there is no /proc. */
int os_reopen(int fd);
/* Wall clock, nanoseconds since 1970 UTC. Tests may set it (edb_test_clock). */
int64_t os_clock_ns(void);
/* How far the wall clock stands from the time since boot: it changes only when somebody sets the clock. */
int64_t os_clock_offset_ns(void);
/* Monotonic, nanoseconds; for time-outs. */
int64_t os_ticks_ns(void);
/* Tells the processor that this is a loop that waits. */
static inline void cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#ifdef EDB_TEST
/* A test's function for a failpoint: 0 to go on, an EDB_ code to make the step fail. Also set from the environment:
 * ENTITYDB_FAILPOINT=name[:n][=kill|stop|full|io], the n-th time (default 1, kill). */
typedef int (*os_failpoint_fn)(const char *name);
int os_failpoint(const char *name);
void os_failpoint_set(os_failpoint_fn fn);
#define FAILPOINT(name) os_failpoint(name)
/* Appends every write and sync of files opened from now on to a log file; NULL stops. docs in os.c. */
int os_log_start(const char *path);
/* Puts a note of the test's into the log ("acknowledged 17"). */
void os_log_note(const char *text);
void os_clock_set(int64_t ns);      /* fixed clock; 0 returns to the real one */
void os_clock_jump(int64_t ns);     /* as if somebody had set the real clock forward by so much */
#else
#define FAILPOINT(name) 0
#endif

#endif
