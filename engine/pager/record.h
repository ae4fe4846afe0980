/* The commit record: what one commit published, in a slot of the ring. docs/format.md, "Commit records and the ring".
 *
 * Encoding and decoding only; which record counts is decided in pager_recover.c. The bytes come from a file, so
 * decoding trusts nothing: a record that is not whole, or whose counts do not fit, is no record. */
#ifndef EDB_RECORD_H
#define EDB_RECORD_H

#include "engine/pager/pager.h"

#define RECORD_SIZE 4096            /* a slot of the ring */
#define RECORD_RING 512             /* slots of a new file's ring; record N stands in slot N modulo their number */
#define RECORD_RING_LEAST 256       /* of files made before */
#define RECORD_YOUNG 96             /* free entries held in the record itself */
#define COMMIT_LIMIT ((1ULL << 48) - 1) /* every commit number is smaller: one that is not counts as none */

#define REDO_COMMITS (RECORD_RING / 2 - 1)  /* a redo record is at most so many commits behind its base, or ring_half() - 1 */
#define REDO_HEAD 64                /* bytes before the changes of a redo record without a link */
#define REDO_ROOM (RECORD_SIZE - REDO_HEAD - SHA256_SIZE)

/* Flags. A *page record* has the roots of everything in pages of the file. A *redo record* says what its commit changes, and
 * names its *base*: the newest page record before it. */
enum {
    RECORD_BIG = 1,                 /* a page record whose pages were durable before it was written, so it lists none */
    RECORD_REDO = 2,
    RECORD_LINKED = 4,              /* it says links and the seal; all do but those of the first versions */
};

_Static_assert(REDO_ROOM == REDO_CHANGES_MOST, "the layers above fill it");

typedef struct {                    /* a page that is free from commit fe_freed on; fe_made: the commit that wrote it */
    uint64_t fe_page, fe_made, fe_freed;
} free_entry;

typedef struct {                    /* the queue of free pages in chain pages, oldest first (pager_free.c) */
    uint64_t fr_head;               /* first chain page; means nothing while fr_chain is 0 */
    uint64_t fr_seq;                /* sequence number of the first chain page */
    uint64_t fr_chain;              /* chain pages */
    uint64_t fr_entries;            /* entries left in them */
    uint64_t fr_next;               /* page reserved for the chain page after the last */
    uint32_t fr_index;              /* entries of the first chain page already taken */
} free_state;

typedef struct {
    uint32_t rc_flags;
    uint32_t rc_before;             /* checksum of the record before, 0 for commit 0 */
    uint32_t rc_checksum;           /* its own, set by decoding */
    uint64_t rc_durable;            /* D: newest commit known durable when it was written */
    uint64_t rc_base;               /* its own number in a page record */
    const uint8_t *rc_link;         /* of a redo record, in its bytes; NULL: it has none */
    const uint8_t *rc_changes;      /* of a redo record: rc_changes_size bytes, which the layers above understand */
    uint32_t rc_changes_size;
    snapshot rc_snapshot;           /* of a redo record: number and time alone */
    free_state rc_free;
    uint32_t rc_n_young;
    free_entry rc_young[RECORD_YOUNG];
    const uint8_t *rc_list;         /* decoded: rc_n_list pairs of (page, tag), 9 bytes each, in the record's bytes */
    uint32_t rc_n_list;
} record;

/* Pairs that fit beside the commit times, the links and so many young entries. */
uint32_t record_list_room(const snapshot *sn, uint32_t n_young);
/* Encodes all but the commit time into RECORD_SIZE bytes; record_stamp() completes it. The list is copied from
 * rc_list, encoded by record_list_store. */
void record_store(uint8_t out[RECORD_SIZE], const record *rc);
void record_list_store(uint8_t *out, uint64_t page, uint32_t tag);
void record_list_load(const uint8_t *in, uint64_t *page, uint32_t *tag);
/* The same for a redo record; the changes are copied from rc_changes. */
void record_store_redo(uint8_t out[RECORD_SIZE], const record *rc);
/* Writes what follows from the commit time: the time itself (in a page record twice: it is the last of the newest times), the
 * link, in a page record the seal, and the checksum. link NULL: the record is not linked. */
void record_stamp(uint8_t bytes[RECORD_SIZE], int64_t time_ns, const uint8_t *link, const uint8_t *seal);

/* Whether the bytes are a whole record, and its number. */
bool record_whole(const uint8_t bytes[RECORD_SIZE], uint64_t *number);
/* What stands where a record has its number. */
static inline uint64_t record_number(const uint8_t bytes[RECORD_SIZE]) { return load64(bytes + 16); }
static inline bool record_is_redo(const uint8_t bytes[RECORD_SIZE]) { return load32(bytes + 12) & RECORD_REDO; }
/* Bytes in use of a whole record. */
static inline uint32_t record_size(const uint8_t bytes[RECORD_SIZE]) { return load32(bytes + 8); }
/* The commit time of a whole record. */
static inline int64_t record_time(const uint8_t bytes[RECORD_SIZE]) { return (int64_t)load64(bytes + 24); }
/* Decodes the readers' part of a page record known to be whole, or the whole of any. False: the counts do not fit. */
bool record_load_snapshot(const uint8_t bytes[RECORD_SIZE], snapshot *out);
bool record_load(const uint8_t bytes[RECORD_SIZE], record *out);

#endif
