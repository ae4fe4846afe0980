/* Buffers for work that needs a few and gives them back soon: encoding, unpacking, streams.
 *
 * Three classes: 1 KiB, 64 KiB, 1 MiB. What is given back is kept for the next who asks, up to BUFFERS_KEPT bytes in all, so
 * that steady work allocates nothing. What is larger than the largest class is allocated and freed as it is.
 *
 * Threads: one lock, held for a few instructions. A forked child begins with none kept; what the parent had given back is
 * lost to it, because another thread may have been changing the lists. */
#ifndef EDB_BUFFERS_H
#define EDB_BUFFERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BUFFER_CLASSES = 3 };
#define BUFFERS_KEPT ((size_t)16 << 20)

/* At least `size` bytes, uninitialised, aligned to 64; *room: how many there are. NULL: no memory. */
void *buffer_take(size_t size, size_t *room);
/* room: what buffer_take said. NULL is allowed. */
void buffer_give(void *buffer, size_t room);

typedef struct {
    uint64_t taken, made, kept_bytes;       /* buffers asked for; those of them that were allocated; bytes kept now */
} buffer_counts;
void buffers_count(buffer_counts *out);
void buffers_forget(void);                  /* frees what is kept */

/* Room that grows and is kept for the next use. Begins zeroed. */
typedef struct {
    void *rom_at;
    size_t rom_size;         /* bytes at rom_at */
} room;
/* At least `size` bytes; the first `used` stay. false: no memory, and what was there still is. */
bool room_for(room *r, size_t size, size_t used);
void room_end(room *r);

#endif
