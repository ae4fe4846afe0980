/* Packs: pages of history, several together, in few bytes.
 *
 * docs/format.md, "Packs", gives the bytes. A pack holds 1 to 16 pages of one page size, best those of one tree and key
 * range at successive times, in their order. What several of them hold is stored once, rows column by column, and of the
 * versions of one key only the columns that differ. Any page can be packed: nodes as versions, others as the bytes they are.
 *
 * Unpacking gives back a page with the same entries, the same level, owner and writer, and the number that the caller says.
 * It is built anew, so cells may lie elsewhere and its checksum is another: whether a pack is the right one is for who
 * refers to it to prove, by a checksum of the pack's bytes. Whatever these are, nothing here crashes, loops or takes
 * memory without bound: what does not fit is EDB_CORRUPT, and a page that is given back has passed the validator of its kind.
 *
 * Threads: a writer or a reader is used by one thread at a time. Both keep their memory from pack to pack. */
#ifndef EDB_PACK_H
#define EDB_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "engine/tree/tree_masks.h"

#define PACK_PAGES_MOST 16
#define PACK_LEVEL 3                /* of zstd */

typedef struct pack_writer pack_writer;
int pack_writer_new(pack_writer **out);             /* EDB_CANNOT: there is no zstd. EDB_NOMEM */
void pack_writer_free(pack_writer *pw);
/* From now on rows of trees have NULL in these columns when they are packed; they outlive the writer. NULL: all have their values. */
void pack_writer_masks(pack_writer *pw, const tree_masks *masks);

/* The most bytes that a pack of n pages can have. */
size_t pack_bound(unsigned n, uint32_t page_size);
/* Pages that have passed their validators (pager_page). out: pack_bound() bytes. EDB_CORRUPT: the entries of a node are not
 * in order. EDB_TOOBIG: the entries need more than a pack may hold; then pack fewer. EDB_NOMEM. */
int pack_pages(pack_writer *pw, const uint8_t *const *pages, unsigned n, uint32_t page_size, int level, uint8_t *out,
               size_t *size);

typedef struct pack_reader pack_reader;
/* One of those that wait to be used, or a new one. The same codes. */
int pack_reader_take(pack_reader **out);
void pack_reader_give(pack_reader *pr);             /* NULL is allowed */
void pack_readers_forget(void);                     /* frees those that wait */

typedef struct {                    /* what messages about damage name */
    const char *file;               /* as long as the reader uses the pack */
    uint64_t place;                 /* the page that the pack begins in */
} pack_name;

/* Unpacks the bytes, which are not needed afterwards, and tells how many pages there are. EDB_CORRUPT; EDB_NOMEM. */
int pack_open(pack_reader *pr, pack_name name, const uint8_t *pack, size_t size, uint32_t page_size, unsigned *n);
/* Page i of the pack opened last, with this number in its header, into page_size bytes at `out`, aligned to 8. On failure
 * `out` may have been written to. EDB_CORRUPT; EDB_NOMEM. */
int pack_page(pack_reader *pr, unsigned i, uint64_t number, uint8_t *out);
/* All of that for one page. */
int pack_unpack(pack_name name, const uint8_t *pack, size_t size, uint32_t page_size, unsigned i, uint64_t number,
                uint8_t *out);

#endif
