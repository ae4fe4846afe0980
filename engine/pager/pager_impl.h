/* What the files of the pager share among themselves; nobody else includes it.
 *
 *   pager_self.c     what an open pager is: fork generation, sizes, ids, the checksum of a page
 *   record.c         commit records as bytes
 *   pager_marks.c    the durable and the settled mark
 *   pager_read.c     the map, pages, pins, settled moments
 *   pager_files.c    whether the files are still the ones that were opened, and may be written
 *   pager_sync.c     durability: group sync, the background sync of `normal`, poisoning
 *   pager_recover.c  which record an opened file stands at, and the fixed parts at its front
 *   pager_open.c     opening and closing, the process's list of pagers, fork
 *   pager_written.c  the pages that a commit allocated or dropped
 *   pager_free.c     free space: which page a commit may use, the front of the queue of free pages
 *   pager_alloc.c    drawing, writing and dropping pages
 *   array.c          lists in copy-on-write pages
 *   free_chain.c     the end of the queue of free pages
 *   pager_commit.c   beginning and ending a commit
 *   pager_publish.c  its record, its time, publishing
 *
 * Each uses only what stands above it in this list. */
#ifndef EDB_PAGER_IMPL_H
#define EDB_PAGER_IMPL_H

#include <pthread.h>

#include "engine/shared/os.h"
#include "engine/pager/pager.h"
#include "engine/pager/record.h"
#include "engine/shared/shm.h"

#define FILE_HEADER_SIZE 4096
#define MARK_OFFSET 4096            /* the durable mark */
#define SETTLED_OFFSET 6144         /* the settled mark */
#define RING_OFFSET 8192
#define RING_END (RING_OFFSET + (uint64_t)RECORD_RING * RECORD_SIZE)
#define UNSYNCED_COMMITS 128        /* I7: a record is at most so far from the newest durable one */
#define UNSYNCED_PAGES 1000         /* I7: and so many pages at most are listed between the two */
#define PAGE_LIMIT (1ULL << 40)     /* page numbers have 40 bits */

typedef struct mapping mapping;
struct mapping {                    /* one reservation over the file; replaced by a larger one, unmapped at close */
    pager_view mp_view;
    size_t mp_size, mp_verified_size, mp_touched_size;
    _Atomic uint8_t *mp_touched;    /* one byte for each extent of EXTENT_SIZE that was read in */
    mapping *mp_older;
};

struct pager {
    _Atomic(mapping *) pg_mapping;  /* the newest */
    shm_area *pg_shm;
    uint32_t pg_page_size, pg_page_shift;
    uint64_t pg_first_page;
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

    pthread_mutex_t pg_sync_mutex;  /* guards the four below */
    pthread_cond_t pg_sync_cond;
    pthread_t pg_sync_thread;
    bool pg_sync_running, pg_sync_wanted, pg_sync_stop;

    uint64_t pg_device, pg_inode;   /* registry: guarded by its mutex */
    int pg_references;
    void *pg_guest;                 /* of the layers above; NULL: none was asked for */
    void (*pg_guest_free)(void *guest);
    pager *pg_next;
};

struct reader_slot {
    shm_slot *sl_slot;              /* NULL before the first pin */
    bool sl_idle;                   /* nothing is announced; somebody may have taken it over */
    bool sl_cached;
    snapshot sl_snapshot;           /* the last record decoded through this slot */
};

/* ---- pager_self.c ---- */
extern _Atomic unsigned pager_generation;
/* A page's checksum as stored: CRC-32C of all but the first four bytes, 1 in place of 0, so that tags are never 0. */
uint32_t page_checksum(const uint8_t *page, uint32_t page_size);

/* ---- pager_marks.c ---- */
bool mark_load(const uint8_t *mark, uint64_t *number, int64_t *time);
int mark_write_durable(pager *pg);
int mark_write_settled(pager *pg, uint64_t number, int64_t floor);

/* ---- pager_read.c ---- */
int map_open(pager *pg, uint64_t file_size);
void map_close(pager *pg);
/* Page `page`, checked against itself alone, for pages of the free queue; its tag is not known. */
int page_untagged(pager *pg, uint64_t page, int kind, const uint8_t **out);
const uint8_t *ring_slot(const pager *pg, uint64_t number);
/* The record of commit `number`, whole and checked. *stale: its slot has been given to a later one meanwhile. */
int ring_load(pager *pg, uint64_t number, record *rc, snapshot *sn, bool *stale);

/* ---- pager_files.c ---- */
/* Before anything is written: EDB_REPLACED when one of the files was. */
int files_check(const pager *pg);
/* The newest published record, read anew and compared with what was published: EDB_REPLACED. */
int files_newest_record(pager *pg, record *out);
/* The same for a commit to begin with. */
int files_base_record(pager *pg, record *out);
/* Neither file was replaced or overwritten, as far as can be seen. */
bool files_ours(pager *pg);

/* ---- pager_recover.c ---- */
int recover_create(pager *pg, uint32_t page_size);
int recover_header(pager *pg);
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
typedef struct {                    /* a page this commit allocated, or dropped */
    uint64_t wp_page;               /* 0: empty place of the table */
    uint32_t wp_tag;                /* 0: not written, or not needed any more */
} written_page;

typedef struct {
    uint64_t pin_low, pin_high;
} pin_range;

struct pager_commit {
    pager *pc_pager;
    record pc_record;               /* the base's at first, then this commit's */
    snapshot pc_base;
    uint64_t pc_number;
    uint8_t pc_bytes[RECORD_SIZE];
    bool pc_prepared;
    uint64_t pc_allocated;          /* pages drawn from the end of the file */

    written_page *pc_table;         /* open addressing, a power of two places */
    uint64_t pc_table_size, pc_table_used;

    uint64_t *pc_reuse;             /* made and dropped by this commit */
    uint64_t pc_n_reuse, pc_reuse_room;

    free_entry *pc_young;           /* the record's young entries, then those of this commit */
    uint64_t pc_n_young, pc_young_room;
    uint64_t pc_n_base;             /* so many of them stood in the base */
    uint64_t pc_scan;               /* and so many of these were found unusable */
    const uint8_t *pc_chain;        /* the first chain page, when it was looked at */

    bool pc_scanned;                /* the four below are known; they only grow more favourable later */
    uint64_t pc_durable;            /* newest durable commit */
    uint64_t pc_floor;              /* recovery never goes below it */
    uint64_t pc_oldest;             /* oldest number announced, SHM_NONE: none */
    uint32_t pc_put_back;           /* entries of the chain that a reader held back */
    pin_range *pc_pins;
    uint32_t pc_n_pins;
};

/* ---- pager_written.c ---- */
/* The page's place in the table; its wp_page is 0 when it is not there. The table must not be empty. */
written_page *written_find(const pager_commit *pc, uint64_t page);
int written_set(pager_commit *pc, uint64_t page, uint32_t tag);

/* ---- pager_free.c ---- */
enum { FP_NEXT = PH_SIZE, FP_SEQ = FP_NEXT + 8, FP_ENTRIES = FP_SEQ + 8, FP_ENTRY_SIZE = 11 };  /* a chain page */
uint32_t free_chain_room(const pager *pg);      /* entries in a chain page */
/* A page from free space; *page = 0 when there is none. */
int free_take(pager_commit *pc, uint64_t *page);
int free_add(pager_commit *pc, uint64_t page, uint64_t made);
int free_young_push(pager_commit *pc, free_entry e);

/* ---- free_chain.c ---- */
/* Brings the young entries down to what a record holds, by writing chain pages. */
int free_flush(pager_commit *pc);

#endif
