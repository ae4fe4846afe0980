/* See data_lock.h.
 *
 * Whoever builds a lock file draws a random number for it, which stands for one of 2^61 bytes of the data file. Who uses
 * the lock file holds that byte shared. Joining is: lock, then look whether any other byte of the range is locked. Two
 * who join through different lock files each lock before they look, and the kernel does one after the other, so at least
 * one of them sees the other and gives up. The number tells two files apart, and also one file before and after somebody
 * wrote an old copy over it.
 *
 * A shared lock needs no permission to write, and looking needs none either. */
#define _GNU_SOURCE
#include "engine/shared/data_lock.h"

#include <errno.h>

#define RANGE ((off_t)1 << 61)      /* bytes from DATA_BYTE_LOCK_FILE on */

bool byte_lock(int fd, short type, off_t byte)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
    int rc;

    do
        rc = fcntl(fd, F_OFD_SETLK, &lock);
    while (rc < 0 && errno == EINTR);
    return rc == 0;
}

bool bytes_locked(int fd, off_t first, off_t size)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = first, .l_len = size };

    if (size == 0)                  /* to the kernel it means: to the end */
        return false;
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static off_t byte_of(uint64_t nonce)
{
    return DATA_BYTE_LOCK_FILE + (off_t)(nonce & (uint64_t)(RANGE - 1));
}

bool data_lock_join(int fd, uint64_t nonce)
{
    off_t mine = byte_of(nonce), end = DATA_BYTE_LOCK_FILE + RANGE;

    if (!byte_lock(fd, F_RDLCK, mine))
        return false;
    if (!bytes_locked(fd, DATA_BYTE_LOCK_FILE, mine - DATA_BYTE_LOCK_FILE)
        && !bytes_locked(fd, mine + 1, end - mine - 1))
        return true;
    byte_lock(fd, F_UNLCK, mine);
    return false;
}

void data_lock_leave(int fd, uint64_t nonce)
{
    byte_lock(fd, F_UNLCK, byte_of(nonce));
}
