/* The lock file: memory that all processes with one database open share, and who of them is alive.
 *
 * NAME-lock is mapped read-write by everybody and never unlinked. Nothing in it outlives the last process: it is built
 * anew whenever somebody opens the database alone, and a power loss costs nothing that it held. Memory databases, and
 * read-only opens where no writer can be, have the same area in private memory.
 *
 * Liveness is an open-file-description lock, not a process id: each process holds a shared lock on the OPEN byte and
 * an exclusive one on the byte of its entry; who can obtain the latter has proved the owner dead. Such locks survive
 * in a forked child as long as it keeps the descriptor, so pager_open.c closes it there.
 *
 * One data file has one lock file in use: data_lock.h.
 *
 * Rules: the mutexes are robust; a lock won from a dead owner is made consistent by the winner, since what each guards
 * is judged by the published number alone. Everything else is atomic. Lock order: upkeep, committer, sync. */
#ifndef EDB_SHM_H
#define EDB_SHM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/codes.h"

#define SHM_SLOTS 1024
#define SHM_PROCESSES 256
#define SHM_IDS 4096
#define SHM_SYNCS 16
#define SHM_RING 512                /* the slots of the largest ring */
#define SHM_NONE UINT64_MAX         /* a slot that announces nothing */
#define SHM_IDLE 0x80000000u        /* its owner announces nothing: whoever needs a slot may take it over */

typedef struct {                    /* a reader slot: one cache line, written by its owner alone */
    _Atomic uint32_t ss_owner;      /* 0: free; else the owner's process entry + 1, and SHM_IDLE */
    uint32_t ss_unused;
    _Atomic uint64_t ss_low;        /* oldest commit number in use, SHM_NONE: none. Stored after ss_high */
    _Atomic uint64_t ss_high;       /* newest one; means nothing while ss_low is SHM_NONE */
    _Atomic uint64_t ss_moment;     /* T of its transaction, for retention; SHM_NONE: none */
    uint64_t ss_spare[3];
} __attribute__((aligned(64))) shm_slot;

typedef struct {                    /* docs/format.md, "The lock file" */
    /* Fixed once sh_ready is set. */
    uint64_t sh_magic;
    uint32_t sh_layout;             /* version of this struct */
    uint32_t sh_size;               /* bytes of it: catches another word or mutex size */
    uint32_t sh_libc;               /* glibc and musl have different mutexes */
    uint32_t sh_synchronous;
    uint64_t sh_pid_namespace;
    uint64_t sh_device, sh_inode;   /* of the data file */
    uint8_t sh_boot[40];            /* boot id: what stands here from before a reboot proves nothing */
    int64_t sh_clock_offset;        /* os_clock_offset_ns() when built */
    _Atomic uint64_t sh_nonce;      /* random, never 0: another one says that somebody wrote over the file */
    _Atomic uint32_t sh_ready;      /* 1: complete */

    _Alignas(64) pthread_mutex_t sh_committer;
    _Atomic uint32_t sh_committer_pid;
    _Alignas(64) pthread_mutex_t sh_sync;
    _Atomic uint32_t sh_syncs_ended;                /* counts up with each sync: whoever waits for one sleeps on it */
    _Atomic uint32_t sh_sync_sleepers;              /* so many do, or were killed while they did */
    _Alignas(64) pthread_mutex_t sh_upkeep;         /* held by the thread that packs or prunes in the background */

    _Alignas(64) _Atomic uint64_t sh_published;     /* newest commit that readers may use */
    _Alignas(64) _Atomic uint64_t sh_durable;       /* newest commit known to survive a power loss */
    _Alignas(64) _Atomic int64_t sh_floor;          /* no later commit gets a time at or before it */
    _Atomic uint64_t sh_intent;                     /* time << 1 of the commit being published, lowest bit: decided */
    _Atomic uint64_t sh_intent_number;              /* its number; written before sh_intent */
    _Atomic uint64_t sh_void;                       /* newest commit whose time was taken back: until it is durable, a record
                                                       with that time may be on the disk, under the one in the page cache */
    _Atomic int64_t sh_void_time;                   /* that time */
    _Atomic int64_t sh_void_marked;                 /* the settled mark on the disk says so up to this time */
    _Alignas(64) _Atomic uint32_t sh_poisoned;      /* a sync failed: no more writes until everybody has closed */
    _Atomic uint32_t sh_unrecovered;                /* the first opener could not write: records beyond the published
                                                       one still stand in the ring */
    _Atomic uint32_t sh_features;                   /* those that the file's header is known to require */
    _Atomic uint32_t sh_want_pages;                 /* a reader could not follow the redo records: the next commit writes pages */
    _Atomic uint64_t sh_big;                        /* newest commit whose record claims its own durability */
    _Atomic uint64_t sh_file_pages;                 /* file size in pages; changes under the committer lock */
    _Atomic uint64_t sh_zeroed;                     /* pages below it were written once (pager_alloc.c, growth) */
    _Atomic uint64_t sh_cut;                        /* pages from it on are to become free: avoid them */
    _Atomic uint32_t sh_cutter;                     /* process entry + 1 of who wants that; 0: nobody does */
    _Atomic uint64_t sh_syncs;                      /* fdatasync calls, for statistics */
    _Atomic uint64_t sh_sync_target[SHM_SYNCS];     /* numbers that syncs under way will make durable, 0: none */
    _Atomic uint64_t sh_listed[SHM_RING];           /* pages listed by commits up to N, at N % 512 */
    _Atomic uint32_t sh_checksum[SHM_RING];         /* of the record of N, at N % 512; stored before N is decided */
    _Atomic uint32_t sh_pid[SHM_PROCESSES];         /* for messages only */
    _Atomic uint32_t sh_slots_used;                 /* slots at and above it were never taken */
    _Alignas(64) shm_slot sh_slot[SHM_SLOTS];
    _Atomic uint64_t sh_id[SHM_IDS];                /* row ids below it were given out, by tree % 4096 */
} shm_area;

typedef struct {
    shm_area *lk_area;
    int lk_fd;                      /* the lock file, -1: private */
    int lk_data_fd;                 /* the data file, for its lock bytes; the caller's. Means nothing when private */
    uint64_t lk_nonce;              /* sh_nonce as it was when this process entered; 0: it did not */
    int lk_process;                 /* this process's entry */
    bool lk_stranger;               /* somebody has the data file open through another lock file */
    bool lk_first;                  /* between shm_open and shm_ready: we build, and hold OPEN exclusively */
    int64_t lk_reclaimed;           /* os_ticks_ns() of the last look for dead owners */
    pthread_mutex_t lk_mutex;       /* guards the look for dead owners in this process */
    char *lk_name;
} shm_lock;

typedef struct {                    /* what the area held before it was built anew, if it can be believed */
    bool old_known;                 /* same boot and same file: its holders were killed, the system was not */
    bool old_poisoned;
    uint64_t old_published;
    int64_t old_floor;
} shm_before;

/* Enters the lock file NAME-lock, open as fd (which it takes over), waiting up to wait_ms for somebody who is building
 * it. data_fd, device, inode: of the data file. When nobody else has it open, *lock comes back with lk_first: the caller
 * recovers, fills in the numbers and calls shm_ready.
 * -> EDB_BUSY, CANTOPEN, FULL, IO. */
int shm_open_file(const char *name, int fd, int data_fd, uint64_t device, uint64_t inode, int64_t wait_ms,
                  shm_lock *lock, shm_before *before);
/* The same area in private memory; lk_first is set. */
int shm_open_private(shm_lock *lock);
/* The builder is done: others may enter. */
int shm_ready(shm_lock *lock);
/* Whether the area is still the one that was entered. Costs a load. */
static inline bool shm_intact(const shm_lock *lock)
{
    return atomic_load_explicit(&lock->lk_area->sh_nonce, memory_order_relaxed) == lock->lk_nonce;
}
int shm_overwritten(const shm_lock *lock);      /* the error when it is not: EDB_REPLACED */
/* The same with a look at the file's size, so that a truncated one is not touched. Costs a system call. */
int shm_check(const shm_lock *lock);
/* Whether the calling process could make itself the only one (then it holds OPEN exclusively until shm_close). */
bool shm_alone(shm_lock *lock);
void shm_close(shm_lock *lock);
/* In a forked child: gives up the descriptor, so that the parent's locks end with the parent. */
void shm_forked(shm_lock *lock);

/* A free slot; when there is none, an idle one, or that of a dead owner. EDB_SLOTS. */
int shm_slot_take(shm_lock *lock, shm_slot **out);
/* Of a slot that is not idle: */
void shm_slot_give(shm_slot *slot);
void shm_slot_idle(shm_slot *slot);             /* nothing may be announced in it */
/* Of an idle one: whether nobody has taken it over. Only then it is the caller's again. */
bool shm_slot_resume(shm_lock *lock, shm_slot *slot);
/* Frees the slots of dead processes; at most every 100 ms unless `now`. -> whether it looked. */
bool shm_reclaim(shm_lock *lock, bool now);
/* Asks all who commit to avoid pages from `cut` on, until it is said again, with 0, or this process has died. One process at a
 * time may ask: false: another does. */
bool shm_cut_set(shm_lock *lock, uint64_t cut);

/* Locks a robust mutex: 0, ETIMEDOUT, EDEADLK, or EOWNERDEAD (then it is held and consistent again). Setting the clock
 * makes the wait neither longer nor shorter. */
int shm_mutex_lock(pthread_mutex_t *mutex, int64_t wait_ms);
/* The same without waiting: EBUSY. */
int shm_mutex_try(pthread_mutex_t *mutex);

/* Sleeps until the word is not `seen` any more, somebody wakes those who sleep on it, or wait_ms have passed. */
void shm_sleep(_Atomic uint32_t *word, uint32_t seen, int64_t wait_ms);
void shm_wake(_Atomic uint32_t *word);

static inline void shm_raise(_Atomic uint64_t *word, uint64_t value)
{
    uint64_t seen = atomic_load(word);

    while (seen < value && !atomic_compare_exchange_weak(word, &seen, value))
        ;
}

#endif
