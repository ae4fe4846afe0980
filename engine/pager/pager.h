/* The pager: one data file of fixed-size pages, many processes, copy-on-write, no lock for readers.
 *
 * It knows pages, commit records, free space and reader pins; it does not know trees. docs/format.md gives every
 * byte, README.md of this folder the invariants (I1..) and the crash argument.
 *
 *   reading   pager_pin() announces a commit number in a slot of the lock file and copies that commit's record;
 *             pager_page() then gives pages of the map, each verified once per (page, tag). No lock, no copy.
 *   writing   pager_commit_begin() takes the committer lock; pages are built where pager_building() says and written
 *             with pager_write(); pager_commit_prepare() makes the record; pager_commit_publish() draws the clock, writes
 *             the record and stores the number; pager_wait_durable() syncs for every commit published before it.
 *
 * One `pager` per file and process, shared by its threads (pager_open counts references). A pager inherited through
 * fork() answers EDB_FORKED at every entry. */
#ifndef EDB_PAGER_H
#define EDB_PAGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "native/bytes.h"
#include "native/sha256.h"
#include "engine/codes.h"

#define PAGE_SIZE_MIN 512
#define PAGE_SIZE_MAX 32768         /* offsets in a page are 16 bits, ranks 15 */
#define PAGE_SIZE_DEFAULT 8192

/* A pointer to a page: number and tag. The tag is the page's checksum, so that a stale, lost or misdirected write
 * is found at first touch. Page 0 holds the file header, so a zero number means "nothing". */
typedef struct {
    uint64_t page;
    uint32_t tag;
} page_ref;

/* Page kinds: stored, never renumber. */
enum { PAGE_LEAF = 1, PAGE_INTERIOR = 2, PAGE_ARRAY = 3, PAGE_ARRAY_INTERIOR = 4, PAGE_OVERFLOW = 5, PAGE_FREE = 6,
       PAGE_STRIP = 7 };

/* Header every page begins with (32 bytes); the rest is its kind's business. */
enum {
    PH_CHECKSUM = 0,    /* u32  CRC-32C of bytes 4..page size; the tag */
    PH_KIND = 4,        /* u8   PAGE_... */
    PH_LEVEL = 5,       /* u8   height above the leaves */
    PH_FLAGS = 6,       /* u16 */
    PH_PAGE = 8,        /* u64  its own number */
    PH_WRITER = 16,     /* u64  commit number that wrote it */
    PH_OWNER = 24,      /* u32  tree id, 0 if it belongs to no tree */
    PH_COUNT = 28,      /* u32  the kind's */
    PH_SIZE = 32,
};

/* A page's checksum as stored: CRC-32C of all but the first four bytes, 1 in place of 0, so that tags are never 0. */
uint32_t page_checksum(const uint8_t *page, uint32_t page_size);

typedef struct pager pager;
typedef struct pager_commit pager_commit;

/* A list of fixed-size elements in copy-on-write pages; array.h works on it. Here because the record holds some. */
typedef struct {
    page_ref ar_root;       /* nothing while ar_count == 0 */
    uint64_t ar_count;      /* elements */
    uint32_t ar_levels;     /* interior levels above the element pages */
} array_state;

/* Whether a page with this number lies in this process's memory alone: a commit without pages of its own was replayed there. */
#define PAGES_IN_MEMORY (1ULL << 20)
#define PAGE_IN_MEMORY_FIRST ((1ULL << 40) - PAGES_IN_MEMORY)
static inline bool pager_in_memory(uint64_t page) { return page >= PAGE_IN_MEMORY_FIRST; }

/* Whether the number is a cold id, which stands for a page that is history (cold.h). Pages of the file have smaller ones. */
#define COLD_FIRST (1ULL << 39)
#define COLD_MOST (PAGE_IN_MEMORY_FIRST - COLD_FIRST)
static inline bool page_is_cold(uint64_t page) { return page - COLD_FIRST < COLD_MOST; }

typedef struct cold_holds cold_holds;

typedef struct {
    array_state cd_list;            /* element i: of the cold id COLD_FIRST + i */
    uint64_t cd_first;              /* elements before it are pruned */
    uint64_t cd_since;              /* what became history from this commit on has an id */
    cold_holds *cd_holds;           /* of who reads: pages that were unpacked for him (cold_hold.h) */
} cold_state;

typedef struct {                    /* a step of compaction: what it may do, and what it has found */
    uint64_t mov_cut;               /* pages from it on are moved */
    uint64_t mov_left;              /* so many may still be */
    uint64_t mov_moved;
    bool mov_whole;                 /* of what was looked at, nothing is left behind the cut */
} page_moving;

#define RECORD_STAMPS 64            /* newest commit times held in the record itself */
#define RECORD_LINKS 16             /* newest links held there */

/* What one published commit record says; a plain copy, valid for ever. */
typedef struct {
    uint64_t sn_number;             /* commit number N */
    int64_t sn_time_ns;             /* its commit time */
    uint64_t sn_schema;             /* number of the newest commit that changed the catalog */
    uint64_t sn_horizon;            /* reads below this commit number are refused (0: all history is kept) */
    uint64_t sn_pages;              /* pages in use from the front of the file: every valid page number is smaller */
    array_state sn_trees;           /* element i: state of tree i (tree.h) */
    array_state sn_stamps;          /* element n: commit time of commit n, for n < sn_stamps.ar_count */
    cold_state sn_cold;             /* where history is */
    array_state sn_links;           /* links of older commits (links.h) */
    uint64_t sn_links_from;         /* the first commit that has a link; 0: none has */
    uint8_t sn_seal[SHA256_SIZE];   /* of commit N; zeros while no commit has a link */
    uint32_t sn_n_links;            /* links in sn_link: those of the newest commits */
    uint32_t sn_tail;               /* commit times in sn_tail_ns: of commits ar_count .. ar_count + tail - 1 == N */
    int64_t sn_tail_ns[RECORD_STAMPS];
    uint8_t sn_link[RECORD_LINKS][SHA256_SIZE];
} snapshot;

typedef struct {
    uint32_t page_size;             /* bytes, a power of two; 0: default. Only counts when the file is created */
    int synchronous;                /* SYNC_...; -1: what is in force, or full */
    bool read_only;
    bool create;                    /* make the file if it is missing */
    int64_t busy_ms;                /* how long to wait for the committer lock; 0: 5,000 */
    bool any_clock;                 /* commit whatever the clock says (I11) */
} pager_options;
enum { SYNC_NORMAL = 1, SYNC_FULL = 2 };

/* path NULL: a memory database of its own. -> EDB_CANTOPEN, NOTADB, VERSION, CORRUPT, READONLY, SETTING, IO, FULL. */
int pager_open(const char *path, const pager_options *options, pager **out);
void pager_close(pager *pg);        /* the last reference closes the file; at a clean close everything is durable */

/* What the layers above keep with the open database, for all who share it in this process: made when it is first asked for,
 * given by the last pager_close() to `stop` before, and to `guest_free` behind everything else. NULL: no memory. Those who ask name the
 * same functions. */
void *pager_guest(pager *pg, void *(*make)(void), void (*stop)(void *guest), void (*guest_free)(void *guest));

uint32_t pager_page_size(const pager *pg);
uint32_t pager_ring(const pager *pg);               /* how many records there are at once */
const char *pager_name(const pager *pg);
bool pager_is_memory(const pager *pg);
int pager_synchronous(const pager *pg);
/* Whether commits are possible at all: EDB_OK, READONLY, FULL (there was no room for the lock file). */
int pager_writable(const pager *pg);
/* EDB_OK, or EDB_FORKED: call it first in every public entry. */
int pager_alive(const pager *pg);

/* ---- reading ------------------------------------------------------------------------------------------------ */

/* One connection's use of the lock file's slots. It has one from its first pin until it is idle and another connection,
 * which finds all 1,024 taken, takes it over; its next pin takes another. */
typedef struct reader_slot reader_slot;
int pager_slot_take(pager *pg, reader_slot **out);
void pager_slot_give(pager *pg, reader_slot *slot);
/* Nothing is pinned, and no moment announced. Until it is called the slot cannot be taken over. */
void pager_slot_idle(pager *pg, reader_slot *slot);

/* Announces and copies the newest published (or newest durable) commit. Nested pins of one slot: the slot keeps the
 * oldest number announced; pager_pin_move lowers the protection to `oldest` (UINT64_MAX: nothing is pinned).
 * pager_pin: EDB_SLOTS when all slots are taken by who is not idle. */
enum { PIN_PUBLISHED = 0, PIN_DURABLE = 1 };       /* the latter only at full */
/* What who only reads may see: at full nothing that a power loss could take back. */
int pager_pin_of_readers(const pager *pg);
int pager_pin(pager *pg, reader_slot *slot, int which, snapshot *out);
void pager_pin_move(pager *pg, reader_slot *slot, uint64_t oldest);
/* T of the slot's transaction, for retention: prune never passes the oldest one. UINT64_MAX: none. */
void pager_slot_moment(reader_slot *slot, uint64_t number);

/* Cold ids that there were after this process's newest commit; 0: it has made none. */
uint64_t pager_cold_ids(const pager *pg);
/* Whether no other process, and no other thread, does upkeep of the file now. Then the same thread ends it. */
bool pager_upkeep_begin(pager *pg);
void pager_upkeep_end(pager *pg);

uint64_t pager_published(const pager *pg);
/* A feature that only some files need, by its bit of `required` in the header: whether the file's header may have it; and that the
 * commit, which must be one with a page record, needs it. */
#define PAGER_SHORT_TAGS 16         /* taggings with keys that are not wide (entity/tag_trees.h) */
#define PAGER_UNVERSIONED 128       /* columns without history */
bool pager_has(const pager *pg, uint32_t feature);
void pager_commit_needs(pager_commit *pc, uint32_t feature);
uint64_t pager_durable(const pager *pg);
/* Afterwards no later commit will get a commit time at or before `moment_ns` (I6). Then the newest commit with
 * time <= moment is final, and survives a power loss once it and commit *until are durable; 0: nobody else is. */
int pager_settle(pager *pg, int64_t moment_ns, uint64_t *until);

/* The page, checked (kind, number, tag) once per (page, tag). Stays valid and unchanged while the pin lasts.
 * EDB_CORRUPT names the page. Also serves pages the running commit has just written. kind 0: any. At that first touch
 * the page also passes pager_validators[kind], if set: then its readers need not look at bounds again. */
typedef bool (*pager_validator)(const uint8_t *page, uint32_t page_size);
extern pager_validator pager_validators[8];

/* Packs of pages of history, which the layer above understands and registers itself for when the library is loaded. */
typedef struct {
    size_t (*most)(uint32_t page_size);             /* bytes of a pack */
    /* Page i of the pack, with this number in its header, into page_size bytes. file, place: what messages name. EDB_CORRUPT, EDB_NOMEM,
     * EDB_CANNOT. */
    int (*page)(const char *file, uint64_t place, const uint8_t *pack, size_t size, uint32_t page_size, unsigned i,
                uint64_t number, uint8_t *out);
} pager_unpacker;
extern const pager_unpacker *pager_unpack;
int pager_page_slow(pager *pg, page_ref ref, int kind, const uint8_t **out);

typedef struct {                    /* the part of a pager that the inline fast path needs */
    const uint8_t *map;             /* byte 0 of the file, contiguous over the reservation */
    _Atomic uint32_t *verified;     /* verified[page] == tag: this page content was checked */
    uint64_t verified_pages;        /* entries in verified */
    uint32_t page_shift;            /* log2 of the page size */
} pager_view;
const pager_view *pager_get_view(const pager *pg);

static inline int pager_page(pager *pg, const pager_view *view, page_ref ref, int kind, const uint8_t **out)
{
    if (ref.page < view->verified_pages && ref.tag
        && atomic_load_explicit(&view->verified[ref.page], memory_order_relaxed) == ref.tag) {
        const uint8_t *page = view->map + (ref.page << view->page_shift);
        if (!kind || page[PH_KIND] == kind) {
            *out = page;
            return EDB_OK;
        }
    }
    return pager_page_slow(pg, ref, kind, out);
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

/* Takes the committer lock (EDB_BUSY after busy_ms, naming the pid that holds it; EDB_INTERRUPT soon after
 * *interrupted, if given, becomes true), and starts commit N+1 from the
 * newest published record. EDB_POISONED, READONLY, REPLACED. On failure nothing is held. */
int pager_commit_begin(pager *pg, const atomic_bool *interrupted, pager_commit **out);
uint64_t pager_commit_number(const pager_commit *pc);
pager *pager_commit_pager(const pager_commit *pc);
const snapshot *pager_commit_base(const pager_commit *pc);     /* the record this commit starts from */
uint64_t pager_commit_file_base(const pager_commit *pc);       /* the newest commit before it all of whose pages are in the file */

/* A page number for this commit, from free space or the end of the file (which is grown first: EDB_FULL). */
int pager_alloc(pager_commit *pc, uint64_t *page);
/* Where to build that page before pager_write() is asked to write it: `buffer`, or where it will stand in memory. Nobody else
 * looks there before it is written. */
uint8_t *pager_building(pager_commit *pc, uint64_t page, uint8_t *buffer);
/* Fills PH_PAGE, PH_WRITER and PH_CHECKSUM of the page_size bytes at `page_bytes` and writes them. -> its ref. */
int pager_write(pager_commit *pc, uint64_t page, uint8_t *page_bytes, page_ref *out);
/* The page is not reachable from this commit's root any more (reclamation rule, source 1 and 2). The pager learns
 * from the page's header which commit made it; one made by this commit can be handed out again at once. */
int pager_free(pager_commit *pc, page_ref ref);
/* Whether this commit wrote the page. */
bool pager_is_private(const pager_commit *pc, const uint8_t *page_bytes);

/* What the commit wrote, as a hash; call it before it is prepared. Who does not call it wrote nothing. links.h has what it is for. */
void pager_commit_content(pager_commit *pc, const uint8_t content[SHA256_SIZE]);

/* ---- commits that write no pages: replay.c, memory_commit.c ---- */

/* From here on the commit makes its pages in memory; false: this database writes pages with every commit. */
bool pager_commit_small(pager_commit *pc);
/* Whether it may end with pager_commit_prepare_redo(). Else pager_store_begin(), and everything to the file. */
bool pager_commit_may_redo(pager_commit *pc);
#define REDO_CHANGES_MOST 4000      /* bytes of changes in a record */
/* Like pager_commit_prepare(), with a record of what the commit changes in place of its roots, which readers in this
 * process find nevertheless. pager_replay understands the bytes. */
int pager_commit_prepare_redo(pager_commit *pc, const array_state *trees, const uint8_t *changes, size_t size);

/* Making the changes of records again: by the layer above, which registers itself when the library is loaded. */
typedef struct {
    int (*begin)(pager_commit *pc, const array_state *trees, void **work);
    /* Those of commit pager_commit_number(pc). EDB_CORRUPT: nobody can have written them. */
    int (*apply)(void *work, const uint8_t *changes, size_t size);
    int (*end)(void *work, array_state *trees);
    void (*free)(void *work);
} pager_replayer;
extern const pager_replayer *pager_replay;

/* The commit goes on in the file. What is reached from its roots and still lies in memory must be stored before
 * pager_commit_prepare(): array_store() does it for lists, the layer above for the rest. */
int pager_store_begin(pager_commit *pc);
/* Whether the page lies in the file; *ref is the reference to it there. */
bool pager_stored(const pager_commit *pc, page_ref *ref);
/* Writes the bytes of a page in memory, whose references all lead to the file, to a page of the file. *ref: to that. */
int pager_store(pager_commit *pc, page_ref *ref, uint8_t *bytes);

/* ---- giving the end of the file back: free_trim.c; compaction moves what lies there (engine/upkeep) ---- */

/* Asks all who commit to avoid pages from `cut` on, until it is called with 0 or this process has died. EDB_BUSY: another
 * process asks for that. */
int pager_avoid(pager *pg, uint64_t cut);
/* A commit of compaction: it draws no page that is to be avoided as long as another is free, among the first 4,096 that are, or, where it is
 * patient, PATIENT_MOST. */
#define PATIENT_MOST 65536
void pager_commit_avoids(pager_commit *pc, bool patient);
/* A page with these bytes goes to a new place, *ref, if it changed, or lies behind the cut and there is room before it; where there is
 * none now, the step ends. */
int page_move(pager_commit *pc, page_moving *mv, page_ref *ref, uint8_t *bytes, bool changed);
/* Whether n pages that belong together, of which `before` stand before the cut now, may be written now: then the next n that are drawn
 * lie before the cut, or else all of them behind it. If not, mov_left is 0: there is no room for as long as nothing more is freed. */
int move_room(pager_commit *pc, page_moving *mv, size_t n, size_t before, bool *out);
/* Moves the pages of the pager's own lists, and those of the queue of free pages. */
int pager_lists_move(pager_commit *pc, page_moving *mv);
/* Ends the file earlier, at `cut` or as soon behind it as pages are in use, or may still be needed by somebody: for a commit in the
 * file. *done false: at the very end; then the commit must be aborted. */
int pager_trim(pager_commit *pc, uint64_t cut, bool *done);
/* Writes zeros over all free pages that nobody can need any more. *held: how many pages somebody may need. They are not durable yet.
 * free_zero.c */
int pager_zero_free(pager *pg, uint64_t *held);
/* Makes the file shorter, down to what its newest record says, where that is durable: by a few MiB, so that nobody waits long for the
 * committer lock. *bytes: by how much; 0: it is as short as that. */
int pager_truncate(pager *pg, uint64_t *bytes);

/* The roots the record will hold. `schema_changed`: this commit changed the catalog. Makes the record complete but
 * for the commit time; syncs first where the ring or the list demands it (I7). May fail; then abort. */
int pager_commit_prepare(pager_commit *pc, const array_state *trees, bool schema_changed);
/* Draws the commit time under the stamp lock (or takes time_ns, which must be later than the last commit and the
 * floor of settled moments and not later than the clock: EDB_COMMIT_TIME; 0 means the clock), writes the record,
 * publishes, gives the committer lock back and frees pc, also when it fails: EDB_COMMIT_TIME (somebody asked about
 * time_ns after the check) and EDB_IO, both with nothing published. begin .. publish or abort: one thread. */
void pager_commit_aside(pager_commit *pc);      /* at no time of its own: the earliest possible, in place of the clock's */
int pager_commit_check_time(pager_commit *pc, int64_t time_ns);     /* call in prepare: the same test, may fail */
int pager_commit_publish(pager_commit *pc, int64_t time_ns, int64_t *time_out);
/* Forgets the commit: nothing was published, its pages are as free as before. Frees pc. */
void pager_commit_abort(pager_commit *pc);
/* Returns when commit `number` is durable, syncing for all if nobody else does. EDB_POISONED or EDB_IO: the outcome
 * is unknown until the database is reopened. Under `normal` it only makes sure that somebody syncs in 200 ms. */
int pager_wait_durable(pager *pg, uint64_t number, bool force);

/* ---- ids shared by processes ---------------------------------------------------------------------------------- */

/* Draws the next row id of a tree: at least `at_least`, never drawn before by anybody who has the file open. */
uint64_t pager_id_next(pager *pg, uint32_t tree, uint64_t at_least);
/* Whether ids were drawn for this tree, or for one that shares its counter, since the lock file was made. */
bool pager_id_drawn(pager *pg, uint32_t tree);
/* Ids up to and including `id` are taken. */
void pager_id_raise(pager *pg, uint32_t tree, uint64_t id);

/* ---- looking ------------------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t ps_published, ps_durable, ps_pages, ps_free_pages, ps_file_bytes, ps_syncs, ps_pages_read, ps_pages_written;
    uint64_t ps_oldest_pin;         /* UINT64_MAX: none */
} pager_stats;
void pager_get_stats(pager *pg, pager_stats *out);

/* For check: calls fn for every page that free space accounts for, with what it is. A nonzero result stops. */
enum { FREE_LISTED = 1, FREE_CHAIN = 2, FREE_RESERVED = 3 };
typedef int (*pager_free_fn)(void *arg, uint64_t page, int what);
int pager_free_walk(pager *pg, const snapshot *sn, pager_free_fn fn, void *arg);
/* For check: what the record itself shows of I5 and I7. EDB_BUSY as pager_free_walk. */
typedef void (*pager_breach_fn)(void *arg, const char *invariant, uint64_t page, const char *sentence);
int pager_record_judge(pager *pg, const snapshot *sn, pager_breach_fn breach, void *arg);
uint64_t pager_first_page(const pager *pg);     /* pages before it hold header, mark and ring */

#endif
