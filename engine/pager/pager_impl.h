/* What the files of the pager share among themselves; nobody else includes it.
 *
 *   pager_self.c     what an open pager is: fork generation, sizes, ids, the checksum of a page
 *   record.c         commit records as bytes
 *   pager_marks.c    the durable and the settled mark
 *   memory_pages.c   pages in this process's memory
 *   pager_read.c     the map, pages, records in the ring
 *   pager_files.c    whether the files are still the ones that were opened, and may be written
 *   pager_sync.c     durability: group sync, the background sync of `normal`, poisoning
 *   pager_recover.c  which record an opened file stands at, and the fixed parts at its front
 *   page_map.c       pages by number
 *   pager_written.c  the pages that a commit allocated or dropped
 *   pager_free.c     free space: which page a commit may use, the front of the queue of free pages
 *   memory_commit.c  drawing, writing and dropping pages in memory
 *   pager_alloc.c    drawing, writing and dropping pages
 *   pager_store.c    writing pages from memory to the file
 *   array.c          lists in copy-on-write pages
 *   strip_read.c     reading strips, in which history is packed
 *   cold_hold.c      unpacked pages, held for who reads
 *   cold.c           the list of cold ids: where history is
 *   strip_write.c    writing, moving and dissolving strips
 *   cold_move.c      moving history towards the front of the file
 *   stamps.c         the list of commit times
 *   links.c          the list of links
 *   free_chain.c     the end of the queue of free pages
 *   free_zero.c      zeros over free pages
 *   free_trim.c      giving the end of the file back
 *   replay.c         what redo records left: replaying them into pages in memory
 *   pager_pins.c     pins, settled moments
 *   pager_open.c     opening and closing, the process's list of pagers, fork
 *   free_walk.c      free space, for check
 *   pager_commit.c   beginning and ending a commit
 *   pager_publish.c  a commit's record, its time, publishing
 *   prune.c          letting go what answers only for moments before the horizon
 *
 * Each uses only what stands above it in this list. */
#ifndef EDB_PAGER_IMPL_H
#define EDB_PAGER_IMPL_H

#include <pthread.h>
#include <string.h>

#include "engine/shared/lists.h"
#include "engine/shared/os.h"
#include "engine/pager/cold_hold.h"
#include "engine/pager/page_map.h"
#include "engine/pager/pager.h"
#include "engine/pager/record.h"
#include "engine/shared/shm.h"

#define FILE_HEADER_SIZE 4096
#define MARK_OFFSET 4096            /* the durable mark */
#define SETTLED_OFFSET 6144         /* the settled mark */
#define RING_OFFSET 8192
#define UNSYNCED_PAGES 1000         /* I7: and so many pages at most are listed between the two */
#define PAGE_LIMIT COLD_FIRST       /* the file has smaller numbers */

typedef struct mapping mapping;
struct mapping {                    /* one reservation over the file; replaced by a larger one, unmapped at close */
    pager_view mp_view;
    size_t mp_size, mp_verified_size, mp_touched_size;
    _Atomic uint8_t *mp_touched;    /* one byte for each extent that was read in (pager_read.c) */
    mapping *mp_older;
};

typedef struct {                    /* memory_pages.c */
    pthread_mutex_t mm_mutex;       /* guards what changes, but mm_tag */
    uint8_t *mm_map;                /* the reservation; NULL: no page was needed yet */
    uint64_t mm_room;               /* pages of it */
    _Atomic uint64_t mm_used;       /* so many of them were given out, and are in use or free */
    uint64_t *mm_free, mm_n_free;
    uint64_t *mm_owner;             /* of each: which replay (its base + 1); 0: a commit that is being made */
    uint64_t mm_tables;             /* room of both */
    _Atomic uint32_t mm_tag;        /* the last one drawn */
} memory_pages;

typedef struct replay replay;       /* replay.c */

struct pager {
    _Atomic(mapping *) pg_mapping;  /* the newest */
    shm_area *pg_shm;
    uint32_t pg_page_size, pg_page_shift;
    uint64_t pg_first_page;
    uint32_t pg_ring;               /* slots of the ring: RECORD_RING, or RECORD_RING_LEAST in older files */
    unsigned pg_generation;         /* fork generation it was opened in */
    int pg_fd;
    int pg_lock_fd;                 /* the data file again, for locks alone: a mapping would keep them in a child */
    bool pg_read_only;              /* asked for */
    bool pg_can_write;              /* the descriptor is open for writing */
    bool pg_memory;
    bool pg_any_clock;
    int pg_synchronous;
    int64_t pg_busy_ms;
    int pg_no_lock;                 /* what keeps a process from writing that could: there is no lock file, because it
                                       may not be written (EDB_READONLY) or there is no room (EDB_FULL). 0: nothing */
    char *pg_name;
    char *pg_path;                  /* absolute, symbolic links followed, so that all names of a file have one lock file */
    shm_lock pg_lock;
    _Atomic uint64_t pg_ring_checked[RECORD_RING];  /* N + 1: the record of commit N in this slot was verified */
    pthread_mutex_t pg_map_mutex;   /* guards making a larger mapping */
    _Atomic uint64_t pg_pages_read, pg_pages_written;
    _Atomic uint64_t pg_newest;     /* newest commit that this process published */
    _Atomic uint64_t pg_cold_ids;   /* ids that its newest commit left */

    memory_pages pg_memory_pages;
    pthread_mutex_t pg_replay_mutex;    /* guards the list, and what replays hold */
    replay *_Atomic pg_replays;     /* newest base first */
    struct pager_commit *_Atomic pg_spare_commit;   /* memory for the next commit or replay; NULL: there is none */
    const pager_replayer *pg_replayer;  /* pager_replay */
    uint64_t pg_cache_file;         /* its unpacked pages in the cache */

    pthread_mutex_t pg_sync_mutex;  /* guards the five below */
    pthread_cond_t pg_sync_cond;
    pthread_t pg_sync_thread;
    bool pg_sync_running, pg_sync_wanted, pg_sync_at_once, pg_sync_stop;

    uint64_t pg_device, pg_inode;   /* registry: guarded by its mutex */
    int pg_references;
    void *pg_guest;                 /* of the layers above; NULL: none was asked for */
    void (*pg_guest_stop)(void *guest), (*pg_guest_free)(void *guest);
    pager *pg_next;
};

/* Where the record of a commit stands, and where the ring ends. */
static inline uint64_t ring_offset(const pager *pg, uint64_t number) { return RING_OFFSET + number % pg->pg_ring * RECORD_SIZE; }
static inline uint64_t ring_end(const pager *pg) { return RING_OFFSET + (uint64_t)pg->pg_ring * RECORD_SIZE; }
/* A record is at most so many commits from the newest durable one (I7), and fewer from its base (I46). */
static inline uint64_t ring_half(const pager *pg) { return pg->pg_ring / 2; }

struct reader_slot {
    shm_slot *sl_slot;              /* NULL before the first pin */
    bool sl_idle;                   /* nothing is announced; somebody may have taken it over */
    bool sl_cached;
    cold_holds sl_holds;
    snapshot sl_snapshot;           /* the last record decoded through this slot */
};

/* ---- pager_self.c ---- */
extern _Atomic unsigned pager_generation;

/* ---- pager_marks.c ---- */
bool mark_load(const uint8_t *mark, uint64_t *number, int64_t *time);
int mark_write_durable(pager *pg);
int mark_write_settled(pager *pg, uint64_t number, int64_t floor);

/* ---- memory_pages.c ---- */
void mempage_init(pager *pg);
void mempage_close(pager *pg);
int mempage_take(pager *pg, uint64_t *page);
void mempage_give(pager *pg, const uint64_t *pages, size_t n);
/* From now on they belong to a replay: what mempage_give_of() gives back. */
void mempage_own(pager *pg, const uint64_t *pages, size_t n, uint64_t owner);
void mempage_give_of(pager *pg, uint64_t owner);
/* The page's bytes. */
uint8_t *mempage_bytes(pager *pg, uint64_t page);
/* Fills PH_CHECKSUM and PH_PAGE of the bytes, and copies them into the page if they stand elsewhere. */
void mempage_write(pager *pg, uint64_t page, uint8_t *bytes, page_ref *out);
int mempage_read(pager *pg, page_ref ref, int kind, const uint8_t **out);

/* Without the times and links that mean nothing. */
static inline void snapshot_copy(snapshot *to, const snapshot *from)
{
    memcpy(to, from, offsetof(snapshot, sn_tail_ns) + from->sn_tail * sizeof from->sn_tail_ns[0]);
    memcpy(to->sn_link, from->sn_link, from->sn_n_links * sizeof from->sn_link[0]);
}

/* ---- pager_read.c ---- */
int map_open(pager *pg, uint64_t file_size);
void map_close(pager *pg);
/* Page `page`, checked against itself alone, for pages of the free queue; its tag is not known. */
int page_untagged(pager *pg, uint64_t page, int kind, const uint8_t **out);
const uint8_t *ring_slot(const pager *pg, uint64_t number);
/* Commit N + 256 overwrites N's slot, and may do so as soon as N + 255 is published. */
bool ring_overwritten(const pager *pg, uint64_t number);
/* The record of commit `number`, whole and checked. *stale: its slot has been given to a later one meanwhile. */
int ring_load(pager *pg, uint64_t number, record *rc, snapshot *sn, bool *stale);
/* That of the commit, or of its base, which has the roots in pages and the free space. */
int ring_load_pages(pager *pg, uint64_t number, record *rc, bool *stale);

/* ---- pager_files.c ---- */
/* Before anything is written: EDB_REPLACED when the lock file, or the data file, was. The latter costs a system call. */
int files_check_lock(const pager *pg);
int files_check_path(const pager *pg);
/* The newest published record, read anew and compared with what was published: EDB_REPLACED. */
int files_newest_record(pager *pg, record *out);
/* The same for a commit to begin with. */
int files_base_record(pager *pg, record *out);
/* Neither file was replaced or overwritten, as far as can be seen. */
bool files_ours(pager *pg);

/* ---- pager_recover.c ---- */
int recover_create(pager *pg, uint32_t page_size);
int recover_header(pager *pg);
/* Bits of `required` in the header. */
enum { FEATURE_REDO = 1, FEATURE_COLD = 2, FEATURE_LINKS = 4, FEATURE_STRIPS = 8,
       FEATURES_NEW = FEATURE_REDO | FEATURE_COLD | FEATURE_LINKS | FEATURE_STRIPS,     /* those of a new file */
       FEATURES = FEATURES_NEW | PAGER_SHORT_TAGS | PAGER_UNVERSIONED };
/* Makes the header say that the file needs these. Under the committer lock. */
int header_allow(pager *pg, uint32_t features);
/* Chooses the record to stand at, and makes it and what it needs durable. The caller is alone. */
int recover_file(pager *pg, const shm_before *before);
/* A process died while it published, or the first opener could not write or found the disk full: voids the records after
 * the published one, and makes the file as long as that one says. Under the committer lock. */
int recover_running(pager *pg);

/* ---- pager_sync.c ---- */
/* Makes `number` durable, or finds that somebody did. */
int sync_run(pager *pg, uint64_t number);
/* One sync now, for the committer: everything written so far. */
int sync_force(pager *pg);
void sync_stop(pager *pg);
int sync_poisoned(const pager *pg);

/* ---- commits ---- */
typedef struct {
    uint64_t pin_low, pin_high;
} pin_range;

typedef struct {                    /* a page in memory that commit lp_made wrote and commit lp_freed needs no longer */
    uint64_t lp_page, lp_made, lp_freed;
} left_page;

typedef struct {                    /* memory_commit.c */
    uint64_t *mmd_pages;             /* drawn by this commit */
    size_t mmd_n, mmd_room;
    uint64_t *mmd_reuse;             /* and dropped again; has room for all of them */
    size_t mmd_n_reuse, mmd_reuse_room;
    left_page *mmd_left;             /* dropped, and made by another commit */
    size_t mmd_n_left, mmd_left_room;
    page_ref *mmd_dropped;           /* dropped pages of the file */
    size_t mmd_n_dropped, mmd_dropped_room;
} memory_made;

struct pager_commit {
    pager *pc_pager;
    uint64_t pc_number;
    uint64_t pc_file_base;          /* the newest commit up to pc_base that has a page record */
    uint64_t pc_first;              /* pages of commits from it on are its own: pc_number, or where a replay begins */
    bool pc_in_memory;              /* it makes pages in memory */
    memory_made pc_memory;
    page_map pc_moved;              /* pages in memory: number and tag of where they were stored; pager_store.c */
    cold_state pc_cold;             /* the list of cold ids, as far as this commit's are in it; cold.c */
    uint8_t *pc_cold_new;           /* elements that are not */
    uint64_t pc_n_cold;
    cold_holds pc_holds;            /* what it reads of packed history */
    bool pc_strips;                 /* it has written a strip */
    uint32_t pc_needs;              /* features that it needs besides */
    bool pc_prepared, pc_redo;
    bool pc_aside;                  /* it has the earliest time that it can have */
    uint64_t pc_allocated;          /* pages drawn from the end of the file */

    page_map pc_written;            /* pages that it allocated or dropped: their tags; 0: not written, or not needed any more */

    uint64_t *pc_reuse;             /* made and dropped by this commit */
    size_t pc_n_reuse, pc_reuse_room;

    free_entry *pc_young;           /* the record's young entries, then those of this commit */
    size_t pc_n_young, pc_young_room;
    uint64_t pc_n_base;             /* so many of them stood in the base */
    uint64_t pc_scan;               /* and so many of these were found unusable */
    const uint8_t *pc_chain;        /* the first chain page, when it was looked at */

    bool pc_scanned;                /* the four below are known; they only grow more favourable later */
    uint64_t pc_durable;            /* newest durable commit */
    uint64_t pc_floor;              /* recovery never goes below it */
    uint64_t pc_oldest;             /* oldest number announced, SHM_NONE: none */
    uint32_t pc_put_back;           /* entries of the chain that were not taken, and go to its end */
    uint32_t pc_put_back_most;      /* so many, and one for each page drawn */
    uint64_t pc_cut;                /* pages from it on are avoided */
    pin_range *pc_pins;
    uint32_t pc_n_pins;

    /* What follows is not cleared when a commit begins. */
    record pc_record;               /* the base's at first, then this commit's */
    snapshot pc_base;
    uint8_t pc_content[SHA256_SIZE];    /* pager_commit_content() */
    uint8_t pc_bytes[RECORD_SIZE];
};

/* ---- memory_commit.c ---- */
/* Memory for a commit, or for replaying some; NULL: there is none. */
pager_commit *commit_new(pager *pg);
/* Gives back the pages that no replay has taken over, and the memory. */
void commit_free(pager_commit *pc);
void commit_spare_free(pager *pg);              /* what is kept for the next one */
int memory_alloc(pager_commit *pc, uint64_t *page);
void memory_write(pager_commit *pc, uint64_t page, uint8_t *bytes, page_ref *out);
int memory_free(pager_commit *pc, page_ref ref, uint64_t made);

/* ---- strip_read.c ---- */
bool strip_valid(const uint8_t *page, uint32_t page_size);

/* ---- stamps.c ---- */
/* The commit time behind all others; 0: record_stamp() fills it in. */
int stamps_add(pager_commit *pc, snapshot *sn, int64_t time_ns);

/* ---- replay.c ---- */
/* What commit `number` left, whose record is a redo record. The caller has announced it, or holds the committer lock.
 * *stale: it is not in the ring any more, or nobody needs it now; look at the numbers again. */
int replay_snapshot(pager *pg, uint64_t number, snapshot *out, bool *stale);
/* The commit is about to be published; its pages stay for those who will read it. */
void replay_take(pager_commit *pc, int64_t time_ns);
/* The commit with this number has a page record: replays of older bases end. */
void replay_base_seen(pager *pg, uint64_t number);
/* Calls fn for each page of the file that a commit between its base and `number` dropped. */
typedef int (*dropped_fn)(void *arg, page_ref ref);
int replay_dropped(pager *pg, uint64_t number, dropped_fn fn, void *arg);
void replay_close(pager *pg);

/* ---- pager_written.c ---- */
int written_set(pager_commit *pc, uint64_t page, uint32_t tag);

/* ---- pager_free.c ---- */
enum { FP_NEXT = PH_SIZE, FP_SEQ = FP_NEXT + 8, FP_ENTRIES = FP_SEQ + 8, FP_ENTRY_SIZE = 11 };  /* a chain page */
uint32_t free_chain_room(const pager *pg);      /* entries in a chain page */
/* A chain page, with the sequence number it must have. */
int chain_load(pager *pg, uint64_t page, uint64_t seq, uint64_t pages, const uint8_t **out);
free_entry chain_entry(const uint8_t *page, uint32_t index);
int free_known(pager_commit *pc);
/* The first entry of the chain, which is not empty, and taking it off: the page it stood in becomes free with the last one. */
int free_chain_front(pager_commit *pc, free_entry *out);
int free_chain_pop(pager_commit *pc);
/* Fills in by which commit the page of an entry of the chain was made, where a reader may stand between that and `freed`. */
int free_made(const pager_commit *pc, free_entry *e);
/* Whether nobody needs the page any more: not even recovery, whatever it finds. */
bool free_is_settled(const pager_commit *pc, const free_entry *e);
/* Entries that were taken off the chain go to its end, as the oldest of the young ones, which go there first. */
int free_put_back(pager_commit *pc, const free_entry *entries, size_t n);
/* A page from free space; *page = 0 when there is none. */
int free_take(pager_commit *pc, uint64_t *page);
int free_add(pager_commit *pc, uint64_t page, uint64_t made);
int free_young_push(pager_commit *pc, free_entry e);

/* ---- free_chain.c ---- */
/* Brings the young entries down to what a record holds, by writing chain pages. */
int free_flush(pager_commit *pc);

#endif
