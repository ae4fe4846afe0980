/* Strips: chains of pages in which packs of history stand, one behind the other. docs/format.md, "Strips"; I50.
 *
 * A strip stands for consecutive cold ids: of all pages that are packed among them it has the packs, and it is written, moved and freed
 * whole. Chains of large values are not packed, nor are leaves that refer to some, since these are written anew when the chain is moved.
 * The bytes of a pack are nobody's business here: what makes pages of them registers itself as pager_unpack. */
#ifndef EDB_STRIP_H
#define EDB_STRIP_H

#include "engine/pager/cold.h"

enum {
    STRIP_NEXT = PH_SIZE,           /* u64  the next page, and u32 its tag; 0: this is the last */
    STRIP_IDS = STRIP_NEXT + 12,    /* u32  how many ids the strip stands for */
    STRIP_FIRST = STRIP_IDS + 4,    /* u64  the first of them, as an index */
    STRIP_HEAD = STRIP_FIRST + 8,   /* u64  the number of its first page */
    STRIP_ENTRIES = STRIP_HEAD + 8, /* u64  entries of the leaves in it */
    STRIP_DATA = STRIP_ENTRIES + 8,
};
#define STRIP_IDS_MOST 4096

typedef struct {                    /* what each page of a strip says */
    uint64_t stp_first, stp_head, stp_entries;
    uint32_t stp_ids;
} strip;

/* The strip that the element, of kind COLD_PACKED, leads to: one for consecutive ids, `index` among them. EDB_CORRUPT. */
int strip_of(pager *pg, const cold_element *ce, uint64_t index, strip *out);
/* Calls fn for each page of it, first to last. */
typedef int (*strip_page_fn)(void *arg, page_ref ref, const uint8_t *page);
int strip_each(pager *pg, const strip *st, strip_page_fn fn, void *arg);
/* The page of history that the element leads to, with `number` as its own, into page_size bytes. EDB_CORRUPT, EDB_NOMEM, EDB_CANNOT:
 * there is no zstd. */
int strip_unpack(pager *pg, const cold_element *ce, uint64_t number, uint8_t *out);

/* ---- writing: in a commit in the file ---- */

typedef struct {                    /* what a packer has made of the ids first .. first + ids - 1 */
    uint64_t spk_first;
    uint32_t spk_ids;
    const uint8_t *spk_before;      /* their elements when it read them, COLD_SIZE bytes each */
    const uint8_t *spk_bytes;       /* packs, each behind a u32 with its size */
    size_t spk_size;
    const uint64_t *spk_place;      /* of each id: where its pack's size stands, times PACK_PLACES, and which page of the pack it is;
                                       NOT_PACKED: it stays as it is */
    uint64_t spk_entries;
} packed_ids;
#define PACK_PLACES 16
#define NOT_PACKED UINT64_MAX

/* Puts the strip in the place of the pages and strips that the ids had, which are freed. *stale: the list is not as it was when it was
 * read; nothing is done then. The ids of a strip that had a part of them must be among them. */
int strip_store(pager_commit *pc, const packed_ids *pk, bool *stale);
/* Writes all pages of history of the strip that has the id to pages of their own, and frees it. */
int strip_dissolve(pager_commit *pc, uint64_t index);
/* Moves the strip that has the id, if a page of it lies behind the cut. *end: the first id behind it. */
int strip_move(pager_commit *pc, page_moving *mv, uint64_t index, uint64_t *end);
/* Frees its pages. *pages: how many. */
int strip_free(pager_commit *pc, const strip *st, uint64_t *pages);

#endif
