/* The bodies of databases, connections and statements, shared by the files that make up transactions.
 *
 *   moment.c      from nanoseconds to commit numbers
 *   edb.c         databases: opening, figures, questions about moments
 *   hooks.c       what the layers above give and keep
 *   conn.c        connections and their registry
 *   stmt_trees.c  what a statement's root says of trees, and which catalog it sees
 *   reads.c       sets of ranges of keys
 *   read_watch.c  what SERIALIZABLE transactions read
 *   txn_cursor.c  reading: the tree and own writes merged
 *   txn.c         writing: the states of a transaction, savepoints
 *   row_ids.c     row ids
 *   stmt.c        statements: what is pinned, which moment, who still uses it
 *   promises.c    what must hold at the end of a statement and at COMMIT
 *   unchanged.c   transactions that leave everything as it is
 *   validate.c    whether a transaction may become the next commit
 *   commit.c      net application, publishing
 *   attached.c    several databases behind one SQLite connection
 *   calls.c       calls of the driver that come together, as one
 *
 * Each uses only what stands above it in this list.
 *
 * A connection and everything it owns belongs to one thread at a time, so nothing here is locked but the registry and
 * the members of `edb` that say so. */
#ifndef EDB_TXN_INTERNAL_H
#define EDB_TXN_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "engine/shared/lists.h"
#include "engine/txn/capture.h"
#include "engine/txn/hooks.h"
#include "engine/txn/moment.h"
#include "engine/txn/reads.h"
#include "engine/txn/txn.h"

#define TREE_META (UINT32_MAX - 1)  /* not a tree: what a write set holds beside rows, so that it rolls back with them */
#define TREE_PROMISES (UINT32_MAX - 2)  /* likewise: promises that COMMIT judges */
#define TREE_AT_ONCE (UINT32_MAX - 3)   /* likewise: those that the end of the statement judges */
#define META_SCHEMA "s"             /* its key for: the catalog was changed; value: u64 unique in the process */
#define META_KEY_SIZE 5             /* its keys for trees: what is said, and u32 id, big-endian */
#define META_TREE 't'               /* it was made; value: key size */
#define META_DROPPED 'd'            /* it was dropped; value: nothing of interest */
#define META_UNCHANGED 'u'          /* nobody else may have changed it; value: u64, the moment after which */
#define SCHEMA_OWN (1ULL << 63)     /* marks schema numbers of uncommitted catalogs */

typedef struct {                    /* catalogs of the past, told apart by what is in them */
    uint64_t sc_fingerprint;        /* hash over the keys and commit numbers of the catalog's entries */
    uint64_t sc_number;             /* the first moment met that has it */
} past_schema;

struct edb {
    atomic_size_t db_refs;          /* the handle, and every connection */
    pager *db_pager;
    uint64_t db_spill_bytes;
    bool db_packs, db_prunes;       /* in the background (upkeep/background.c) */
    hooks_home *db_home;            /* the pager's: data of the layers above */
    pthread_mutex_t db_mutex;       /* guards what follows */
    reader_slot *db_slot;           /* for questions asked without a connection; taken at the first one */
    past_schema *db_past;
    size_t db_n_past;
};

typedef struct {
    uint32_t ti_tree;
    uint64_t ti_floor;              /* lowest id the pinned root allows */
    uint64_t ti_used;               /* largest id drawn, or written and not far from these; 0: none */
    bool ti_has_far;                /* larger ones were written, rolled back or not */
    uint64_t ti_far;                /* the largest of them that stands; 0: none, IDS_UNKNOWN: to be looked up */
    uint64_t ti_far_seq;            /* it stands as long as this write does */
} txn_ids;

#define IDS_UNKNOWN UINT64_MAX

typedef struct {
    uint32_t tu_tree;
    int tu_code;                    /* EDB_UNIQUE or EDB_PRIMARYKEY */
    char *tu_what;
} txn_unique;

enum txn_state { TXN_NONE, TXN_OPEN, TXN_WRITING, TXN_PREPARED };

typedef struct {                    /* a transaction; all zero but tx_serial: none */
    enum txn_state tx_state;
    uint64_t tx_serial;             /* counts the connection's transactions */
    int tx_isolation;               /* EDB_READ_COMMITTED, ... */
    uint64_t tx_moment;             /* T; at READ COMMITTED: of its newest statement */
    uint64_t tx_since;              /* what is validated may have changed after it: T; at READ COMMITTED the oldest T of
                                       a statement that wrote, UINT64_MAX before one did */
    uint64_t tx_schema;             /* schema number at T; at READ COMMITTED at the first write */
    readset tx_reads;               /* at SERIALIZABLE */
    writeset *tx_writes;            /* NULL: nothing written */
    uint64_t tx_judged;             /* oldest root a unique entry was judged on; UINT64_MAX: none was */
    uint32_t tx_next_tree;          /* lowest id for the next new tree */
    int tx_broken;                  /* code that COMMIT must answer: a savepoint could not be noted */
    txn_ids *tx_ids;
    size_t tx_n_ids, tx_ids_room, tx_ids_hint;
    txn_unique *tx_unique;
    size_t tx_n_unique, tx_unique_room, tx_unique_hint;
    uint32_t *tx_agreed;            /* trees that have entries of WS_AGREES */
    size_t tx_n_agreed, tx_agreed_room;
    uint64_t tx_promised;           /* oldest moment a promise was judged at; UINT64_MAX: none was */
    bool tx_unmet;                  /* one did not hold when it was made */
    uint32_t tx_needs;              /* features that what it wrote needs; what was rolled back to a savepoint may be among them */
    uint64_t *tx_marks;             /* of savepoint i: write sequence number; marks below tx_n_marks are set */
    size_t tx_n_marks, tx_marks_room;
    pager_commit *tx_commit;        /* while prepared; NULL when there is nothing to publish */
    uint64_t tx_number;             /* of that commit */
} txn;

struct edb_conn {
    atomic_size_t cn_refs;          /* the handle, statements, modules that found it by id */
    int64_t cn_id;
    edb_conn *cn_next;              /* in the registry */
    edb *cn_db;
    pager *cn_pager;
    reader_slot *cn_slot;
    bool cn_closed;
    bool cn_outgrown;               /* conn_outgrown() was called since a statement ended */
    bool cn_tells;                  /* edb_conn_tells() was called */
    int cn_isolation;               /* of its next transaction */
    atomic_bool cn_interrupted;
    txn cn_txn;
    uint64_t cn_undone;             /* how often something of a transaction was undone, or one ended */
    edb_stmt *cn_stmts;             /* open statements */
    edb_stmt *cn_current;           /* the one entered */
    edb_stmt *cn_implicit;          /* the newest implicit one, if it still has users */
    edb_stmt *cn_spare;             /* a freed one, to be used again */
    writeset *cn_spare_writes;      /* an empty one, for the next transaction that writes; NULL: none */
    uint64_t cn_begun;              /* how many have begun */
    edb_outcome cn_outcome;         /* of the last edb_stmt_finish() */
    bool cn_is_declared;
    uint64_t cn_declared;           /* schema the declarations in SQLite were made from */
    int64_t cn_commit_ns;           /* time asked for the next commit; 0: the clock's */
    uint64_t cn_last_number;
    int64_t cn_last_ns;
    edb_conn *cn_host;              /* what it is attached to; NULL: to nothing */
    edb_conn *cn_attached, *cn_next_attached;   /* those attached to it; the next of its host's */
    int (*cn_may_write)(edb_conn *conn);    /* attached.c: may it write beside the other members? NULL: it never had any */
    char *cn_title;                 /* the schema's name in SQL; NULL: main */
    uint64_t cn_newest_number;      /* the newest commit of it or of an attached one */
    int64_t cn_newest_ns;
    int cn_lost_code;               /* publishing failed: the code edb_conn_wait must answer */
    bool cn_lost_known;             /* and nothing was done; else the outcome is unknown */
    char *cn_lost_message;
    hooks_data cn_data;             /* of the layers above */
    tree_change *cn_changes;        /* commit's buffer */
    size_t cn_changes_room;
};

#define STMT_TREES 4                /* tree states kept by a statement; a power of two */

struct edb_stmt {
    edb_conn *st_conn;              /* counted */
    uint64_t st_id;                 /* the connection has no other of this number, ever; from 1 */
    edb_stmt *st_next, **st_back;   /* among the connection's */
    snapshot st_root;               /* pinned */
    uint64_t st_moment;             /* T */
    uint64_t st_now;                /* what reading now reads: the root, at SERIALIZABLE T */
    readset *st_reads;              /* its transaction's, where what it reads is noted; NULL: not noted */
    int64_t st_moment_ns;           /* moment asked for, when st_past; one ahead of the clock as it was settled */
    int64_t st_asked_ns;            /* as it was given */
    uint64_t st_schema;             /* schema at T without own changes; UINT64_MAX: not found out yet */
    uint64_t st_serial;             /* the transaction it belongs to; 0: none */
    writeset *st_writes;            /* counted; NULL: none when it began */
    uint64_t st_seq;                /* sees writes up to it */
    ws_generation *st_held;
    size_t st_users;                /* cursors and writes in progress */
    bool st_past, st_writing, st_implicit, st_ended;
    bool st_repeats;                /* it is run again and again: see edb_stmt_repeat() */
    uint64_t st_runs, st_first_seq; /* then: how many runs have begun; what the first one saw */
    bool st_fixes;                  /* its transaction began with it */
    edb_stmt *st_target;            /* the one that writes: itself, or one of st_attached */
    edb_stmt *st_lists;             /* edb_stmt_list(): what it lists; NULL: it is no such statement */
    edb_stmt *st_attached, *st_next_attached;   /* those of attached databases, begun with it; the next of its host's */
    int st_failed;                  /* the code it answers when it is used; 0: it has begun */
    char *st_failed_message;
    int st_compares;                /* EDB_ROW_IN, ... */
    uint8_t *st_mask;               /* columns supplied; NULL: all */
    size_t st_columns;
    hooks_data st_data;             /* of the layers above */
    capture *st_capture;            /* owned; rows for RETURNING, NULL: not asked for */
    int64_t st_changes, st_last_id;
    bool st_has_last_id;
    bool st_now_open;               /* st_now_cursor is open, on tree st_now_tree, to read now */
    uint32_t st_now_tree;
    tree_cursor st_now_cursor;
    bool st_got;                    /* what follows is known: the last look at a row of the root */
    bool st_got_found;
    uint32_t st_got_tree;
    uint64_t st_got_moment, st_got_key;     /* the moment may be FOREVER: at all that it reads */
    tree_version st_got_version;
    uint64_t st_trees_number;       /* the root that what follows was read from: its commit number, */
    uint64_t st_trees_page;         /* and the page of its list of trees */
    uint32_t st_tree_known;         /* bit i: st_tree[i] is filled */
    bool st_tree_exists[STMT_TREES];
    tree_state st_tree[STMT_TREES];
};

/* ---- edb.c */
void db_unref(edb *db);
edb *db_ref(edb *db);
/* For what db_mutex guards. */
static inline void db_lock(edb *db) { pthread_mutex_lock(&db->db_mutex); }
static inline void db_unlock(edb *db) { pthread_mutex_unlock(&db->db_mutex); }

/* ---- conn.c */
int conn_check(const edb_conn *conn);               /* EDB_FORKED, EDB_MISUSE when closed */
void conn_announce(edb_conn *conn);                 /* tells the pager the oldest root and moment still in use */
int conn_isolation(edb_conn *conn, int level);
int conn_wait(edb_conn *conn);
/* Keeps this thread's message for conn_wait: SQLite ignores what its xCommit answers. known: nothing was done. */
void conn_commit_lost(edb_conn *conn, int rc, bool known);
void conn_close(edb_conn *conn);                    /* out of the registry; drops the handle's reference */
void conn_registry_lock(void);
void conn_registry_unlock(void);

/* ---- stmt_trees.c */
/* The statement has pinned its root: forgets tree states that its memory holds of another one. */
void stmt_trees_begin(edb_stmt *stmt);
/* State of a tree in the statement's root; *out NULL: the root does not know it. Valid until the next call. */
int stmt_tree(edb_stmt *stmt, uint32_t tree, const tree_state **out);

/* Whether the version has the bytes that the write leaves; one in a chain is not looked at. */
static inline bool version_has(const tree_version *version, const ws_entry *w)
{
    return !version->overflow && version->value_size == w->value_size
           && (!w->value_size || !memcmp(version->value, w->value, w->value_size));
}

/* Whether the write set's tree is a tree, and not what it holds beside rows. */
static inline bool tree_is_real(uint32_t tree) { return tree < TREE_AT_ONCE; }

static inline const uint8_t *meta_key(uint8_t key[META_KEY_SIZE], char what, uint32_t tree)
{
    key[0] = (uint8_t)what;
    store32(key + 1, __builtin_bswap32(tree));
    return key;
}

static inline uint32_t meta_tree(const uint8_t *key) { return __builtin_bswap32(load32(key + 1)); }

/* ---- read_watch.c: a cursor's watch is made when it opens, begun and ended around each walk */
void watch_new(edb_cursor *cu, uint32_t tree, bool fixed);
void watch_begin(edb_cursor *cu, bool forward, const void *key, size_t key_size);
void watch_end(edb_cursor *cu);                     /* before the cursor leaves where it stands */
void watch_free(edb_cursor *cu);
void watches_note(readset *rs);                     /* walks under way, up to here */
void watches_leave(readset *rs);                    /* the transaction ends */

/* ---- txn.c */
void txn_begin(edb_conn *conn, uint64_t moment, uint64_t schema);
void conn_writes_give(edb_conn *conn, writeset *writes);    /* gives a reference up; NULL is fine */
void txn_end(edb_conn *conn);                       /* forgets the transaction; its writes live on in statements */
void txn_settle(edb_conn *conn);                    /* ends it if nothing was written: SQLite calls nothing for it */
void txn_unprepare(edb_conn *conn);                 /* back from PREPARED to WRITING */
int txn_has_writes(edb_conn *conn, bool *out);      /* any that was not rolled back */
int txn_any_stands(writeset *ws, const uint32_t *trees, size_t n, bool *out);   /* the same, of these trees */

/* What every write asks first; makes the statement's transaction a writing one. */
static inline int txn_writable(edb_stmt *st)
{
    const txn *tx = &st->st_conn->cn_txn;

    if (tx->tx_state == TXN_WRITING && st->st_serial == tx->tx_serial && st->st_moment >= tx->tx_since
        && !st->st_past)
        return EDB_OK;
    return txn_begin_write(st);
}

/* ---- row_ids.c */
/* The largest id of a row that this transaction wrote to the tree and did not delete or roll back; 0: none positive. */
int txn_largest_id(txn *tx, uint32_t tree, uint64_t *id, uint64_t *seq);

/* ---- stmt.c */
int stmt_begin(edb_conn *conn, const edb_stmt_options *o, bool implicit, edb_stmt **out);
edb_stmt *stmt_new_failed(edb_conn *conn, int code);    /* with this thread's message; NULL: no memory */
void stmt_end(edb_stmt *stmt);

/* ---- promises.c */
int stmt_judge(edb_stmt *stmt);                     /* those to be judged at the statement's end; undoes it if one fails */
int txn_judge(edb_conn *conn);                      /* all, at the transaction's moment */

/* ---- unchanged.c */
/* Whether its writes, which are the trees', are what is there, so that nothing has to be committed. Where *out is false, nothing
 * is known. */
int txn_changes_nothing(edb_conn *conn, const uint32_t *trees, size_t n, bool *out);

/* ---- validate.c: steps 1 to 5 of a commit */
int txn_validate(edb_conn *conn, const snapshot *base, const uint32_t *trees, size_t n);
/* A statement that reads the base with all own writes: it pins nothing, the committer lock keeps the base where it is. */
int base_statement(edb_conn *conn, const snapshot *base, edb_stmt **out);
void base_statement_free(edb_stmt *st);

/* ---- commit.c */
int txn_prepare_alone(edb_conn *conn);
bool txn_publish_alone(edb_conn *conn);             /* ends the transaction; -> a commit was published */

#endif
