/* Locks on bytes of the data file: who has it open, and through which lock file.
 *
 * A lock file can be deleted, replaced or restored while it is in use, and a data file can have a second name with a
 * lock file of its own. Then processes would meet in two lock files and write over each other. The data file's inode is
 * the one thing that all of them share, so what must not happen is prevented there (I22). */
#ifndef EDB_DATA_LOCK_H
#define EDB_DATA_LOCK_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>

/* Bytes of the data file, far behind its contents; docs/format.md, "The lock file". */
#define DATA_BYTE_WRITER ((off_t)1 << 60)           /* shared: may write, and uses the lock file */
#define DATA_BYTE_PRIVATE (DATA_BYTE_WRITER + 1)    /* shared: reads without the lock file */
#define DATA_BYTE_LOCK_FILE ((off_t)1 << 61)        /* and as many behind it: one for a lock file, shared */

/* Sets an open-file-description lock on one byte: F_RDLCK, F_WRLCK, F_UNLCK. -> whether it was obtained; never waits. */
bool byte_lock(int fd, short type, off_t byte);
/* Whether another open file description holds a lock on any of `size` bytes. */
bool bytes_locked(int fd, off_t first, off_t size);

/* Says of the data file that this open file description uses the lock file with that random number; -> false, and
 * nothing is said, if somebody uses another one. */
bool data_lock_join(int fd, uint64_t nonce);
void data_lock_leave(int fd, uint64_t nonce);

#endif
