/* Transactions: a fixed moment T, a private write set, validation and one record at commit.
 *
 * States of a connection's transaction (README.md of this folder has the table):
 *
 *     NONE --first statement of a SQLite transaction--> OPEN(T) --first write--> WRITING --xSync--> PREPARED
 *       ^------------- end of it, nothing written --------'            |                          | xCommit
 *       ^------------- rollback ---------------------------------------'--------------------------' publishes
 *
 * T is a commit number. A statement pins the newest root and reads at T in it, so only statements pin pages. A write
 * transaction's T is the newest published commit, a reading one's the newest durable commit (at synchronous full). At
 * READ COMMITTED each statement has its own T; at SERIALIZABLE what was read at T is noted (reads.h), and COMMIT asks
 * whether it still holds.
 * "Now" is the root pinned when the statement began plus own writes; UNIQUE is judged there and again, as a predicate,
 * inside COMMIT against the newest root. Validation at commit alone makes transactions correct; nothing is locked
 * before COMMIT. */
#ifndef EDB_TXN_H
#define EDB_TXN_H

#include "engine/edb.h"
#include "engine/tree/tree.h"
#include "engine/txn/private_entries.h"

#define TREE_CATALOG 0              /* the tree that holds the catalog, keyed by table id */

typedef struct {                    /* an entry a cursor or lookup found; valid while the statement is open */
    const uint8_t *key, *value;
    uint32_t key_size, value_size;
    uint64_t from;                  /* commit number; 0 for an own, uncommitted write */
    uint64_t seen_from;             /* what txn_put wants: version visible at T, 0 if none */
    bool overflow;                  /* value is a pointer to a chain: entry_load() */
} edb_entry;

typedef struct {
    edb_entry at;                   /* while valid */
    bool valid;
    bool cu_own;                    /* the write set has to be merged in */
    bool cu_base;                   /* the tree exists in the pinned root */
    bool cu_forward, cu_at_base, cu_at_own;
    edb_stmt *cu_stmt;
    struct read_watch *cu_watch;    /* owned; SERIALIZABLE: notes what is walked; NULL: nobody wants to know */
    tree_cursor cu_tree;
    ws_cursor *cu_writes;
    private_entries *cu_private;    /* counted; in memory, walked instead of all; NULL: none are */
    size_t cu_place;                /* among them */
} edb_cursor;

/* ---- statements, for the virtual table ---- */

edb_conn *conn_by_id(int64_t id);                   /* NULL: no such connection; counted, conn_unref() it */
void conn_unref(edb_conn *conn);
edb *conn_db(edb_conn *conn);
edb_stmt *conn_current(edb_conn *conn);             /* the statement entered, NULL if none */
edb_conn *conn_member(edb_conn *host, int64_t id);  /* attached to it; NULL: none of this id */
const char *conn_title(const edb_conn *conn);       /* the schema's name in SQL */
edb_stmt *stmt_target(edb_stmt *stmt);              /* the statement of the database written to */
/* The statement entered, else the implicit one (begun if need be), with one user more. Every open cursor and every
 * write is a user. in_transaction: SQLite is not in autocommit. An implicit statement that only reads does not fix
 * the moment of a transaction: nothing would tell when that transaction ends. */
int stmt_acquire(edb_conn *conn, bool writes, bool in_transaction, edb_stmt **out);
/* The last user ends an implicit statement; one the driver has ended keeps pin and memory up to its last user. */
void stmt_release(edb_stmt *stmt);
void stmt_use(edb_stmt *stmt);                      /* one user more */
/* A statement of its own that reads as of a moment, with one user; the connection goes on with the one it has. */
int stmt_at(edb_stmt *stmt, int64_t moment_ns, edb_stmt **out);
int64_t stmt_asked_ns(const edb_stmt *stmt);        /* the moment asked for, as it was given */
/* The newest commit that the statement sees at or before a time; 0: none. */
int stmt_commit_upto(edb_stmt *stmt, int64_t ns, uint64_t *number);
edb_conn *stmt_conn(edb_stmt *stmt);
bool stmt_is_past(const edb_stmt *stmt);            /* as of: reads only */
int64_t stmt_moment_ns(const edb_stmt *stmt);       /* the moment asked for (as of), else commit time of T */
const snapshot *stmt_snapshot(const edb_stmt *stmt);    /* the root pinned */
/* Names the catalog the statement sees: the commit number of its newest change; with own uncommitted DDL a number
 * with bit 63 set, unique in the process. Equal numbers, equal catalogs (of one `edb`). */
uint64_t stmt_schema(edb_stmt *stmt);
bool stmt_supplied(const edb_stmt *stmt, size_t column);
/* Names which own writes the statement sees; equal numbers, equal answers. STMT_SEES_ALL: all of them, while more come. */
#define STMT_SEES_ALL UINT64_MAX
uint64_t stmt_sees(const edb_stmt *stmt);
bool stmt_notes_reads(const edb_stmt *stmt);        /* SERIALIZABLE: what is read must still hold at COMMIT */
/* What edb_stmt_compares() has told: a row value is on the left of an IN; rows are changed where they are found; no bound, and
 * nothing by an equality, is compared with what has an affinity. */
bool stmt_row_in(const edb_stmt *stmt);
bool stmt_sets_rows(const edb_stmt *stmt);
bool stmt_plain_bounds(const edb_stmt *stmt);
bool stmt_plain_equalities(const edb_stmt *stmt);
/* Tells it apart from all others of its connection, those that ended included; never 0. */
uint64_t stmt_id(const edb_stmt *stmt);
/* Whether stmt_acquire() would give this statement, which is in use. */
bool stmt_goes_on(edb_conn *conn, const edb_stmt *stmt);
void stmt_count(edb_stmt *stmt, int64_t changes);   /* adds */
void stmt_last_id(edb_stmt *stmt, int64_t id);
bool conn_interrupted(edb_conn *conn);
/* A table is about to be read for the connection's current statement: begins the next run of one that repeats. */
int stmt_run_begins(edb_conn *conn);

/* ---- reading at the statement's moment, own earlier writes included (not as of) ---- */

int cursor_open(edb_stmt *stmt, uint32_t tree, edb_cursor *out);    /* a tree unknown at T is empty */
int private_new(edb_stmt *stmt, private_entries **out);     /* private_make(), with the database's spill_bytes */
int cursor_private(edb_stmt *stmt, private_entries *entries, edb_cursor *out);
/* Entries of the tree at the statement's moment; without own writes to it, no row is visited. */
int cursor_count(edb_stmt *stmt, uint32_t tree, uint64_t *out);
void cursor_close(edb_cursor *cu);
int cursor_seek(edb_cursor *cu, const void *key, size_t key_size);          /* first >= key; NULL: first */
int cursor_seek_last(edb_cursor *cu, const void *key, size_t key_size);     /* last <= key; NULL: last */
/* As cursor_seek(), to a key not before where the cursor stands, and cheaper where it is near. */
static inline int cursor_seek_on(edb_cursor *cu, const void *key, size_t key_size);
int cursor_next_merged(edb_cursor *cu);
int cursor_prev_merged(edb_cursor *cu);
/* Of the walk that the last seek began only low .. high (excluded) counts as read; NULL: no bound. */
void cursor_bounds(edb_cursor *cu, const void *low, size_t low_size, const void *high, size_t high_size);
static inline bool cursor_watched(const edb_cursor *cu) { return __builtin_expect(cu->cu_watch != NULL, 0); }
/* out->seen_from is set also when nothing is found. */
int cursor_get(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, edb_entry *out, bool *found);
/* As cursor_get(), for many keys of one tree, asked one after the other in one statement; near: all zero before the first. */
int cursor_get_near(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, tree_near *near, edb_entry *out,
                    bool *found);
/* Whether the key is there. At SERIALIZABLE what it holds may change. */
int cursor_has(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, bool *found);
/* The same of n keys of one size, ascending and at most WHICH_MOST (tree_which()). */
int cursor_which(edb_stmt *stmt, uint32_t tree, const uint8_t *keys, size_t key_size, size_t n, bool *found);
/* As cursor_get(), of a key that the tree is known not to have at any moment the statement reads: own writes alone are looked
 * at. At SERIALIZABLE the key counts as read. */
int cursor_get_absent(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, edb_entry *out, bool *found);
/* Whether that has anything to do for keys of the tree. */
bool cursor_may_have_own(edb_stmt *stmt, uint32_t tree);
/* The commit number that made the tree, or from which on it has all entries; FOREVER when the pinned root does not know it (own, or of another file). */
int stmt_tree_born(edb_stmt *stmt, uint32_t tree, uint64_t *out);
/* *there: the pinned root knows the tree. *unwritten: no commit up to the root has ever made a version in it. */
int stmt_tree_unwritten(edb_stmt *stmt, uint32_t tree, bool *there, bool *unwritten);
/* A look at the newest state of a tree that the connection can see, for plans. conn_look() -> false: there is no such
 * tree; else pages stay until conn_looked(). Looks do not nest. */
typedef struct {
    pager *lo_pager;
    tree_state lo_tree;
} tree_look;
bool conn_look(edb_conn *conn, uint32_t tree, tree_look *out);
void conn_looked(edb_conn *conn);
bool stmt_look(edb_stmt *stmt, uint32_t tree, tree_look *out);      /* in the statement's root, which is pinned anyway */
bool conn_usable(const edb_conn *conn);             /* neither closed nor of a process that this one was forked from */
int stmt_tree_rows(edb_stmt *stmt, uint32_t tree, uint64_t *out);   /* the same in the statement's root */
void conn_outgrown(edb_conn *conn);                 /* a plan was made for a table of another size: edb_stmt_end() tells */
uint64_t conn_tree_rows(edb_conn *conn, uint32_t tree);     /* living entries of the tree; 0: there is none */
int commit_time(edb_stmt *stmt, uint64_t number, int64_t *ns);     /* of a commit the statement can see */
uint64_t entry_size(const edb_entry *entry);        /* bytes of the value, chain included */
int entry_load(edb_stmt *stmt, const edb_entry *entry, void *out);          /* all bytes of it */

static inline void entry_from_version(const tree_version *v, edb_entry *out)
{
    *out = (edb_entry){ .key = v->key, .value = v->value, .key_size = v->key_size, .value_size = v->value_size,
                        .from = v->from, .seen_from = v->from, .overflow = v->overflow };
}

static inline void cursor_from_tree(edb_cursor *cu)
{
    cu->valid = cu->cu_tree.tc_valid;
    entry_from_version(&cu->cu_tree.tc_at, &cu->at);
}

static inline int cursor_seek_on(edb_cursor *cu, const void *key, size_t key_size)
{
    if (cu->cu_own || !cu->valid)
        return cursor_seek(cu, key, key_size);
    int rc = tree_cursor_seek_on(&cu->cu_tree, key, key_size);
    cursor_from_tree(cu);
    return rc;
}

static inline int cursor_next(edb_cursor *cu)
{
    if (cu->cu_own)
        return cursor_next_merged(cu);
    int rc = tree_cursor_next(&cu->cu_tree);
    cursor_from_tree(cu);
    return rc;
}

static inline int cursor_prev(edb_cursor *cu)
{
    if (cu->cu_own)
        return cursor_prev_merged(cu);
    int rc = tree_cursor_prev(&cu->cu_tree);
    cursor_from_tree(cu);
    return rc;
}

/* ---- reading now: the newest root known to the statement, plus all own writes; entries last until the next write ----
 *
 * In a SERIALIZABLE transaction "now" is T as well: what it does must follow from one state. Only newest_get() looks at
 * the newest root there too; nothing but a refusal may follow from that. */

/* out->seen_from is set also when nothing is found. */
int now_get(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, edb_entry *out, bool *found);
int newest_get(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, edb_entry *out, bool *found);
/* The tree is known not to have the row at any moment the statement reads, its root included: looks at it, as long as they
 * follow at once, are spared the way down. */
void stmt_row_absent(edb_stmt *stmt, uint32_t tree, const uint8_t key[8]);
/* Likewise of a row that a cursor of the statement stands on. */
void stmt_row_met(edb_stmt *stmt, uint32_t tree, const edb_entry *entry);
/* Whether a row that a cursor of the statement stands on is as the newest root that the statement knows has it, and the
 * transaction has not written it. */
bool stmt_row_stands(edb_stmt *stmt, uint32_t tree, const edb_entry *entry);
/* now_get() of what no answer depends on: it is not noted as read. */
int now_peek(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, edb_entry *out, bool *found);
/* now_peek() of a key that the tree is known not to have, likewise. */
int now_peek_absent(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, edb_entry *out, bool *found);
/* The first living entry whose key begins with the prefix. whole: the prefix is all of a unique key but for the row id,
 * and has no NULL in it. */
int now_prefix(edb_stmt *stmt, uint32_t tree, const void *prefix, size_t size, bool whole, edb_entry *out, bool *found);

/* ---- writing ---- */

/* EDB_PAST_WRITE as of; EDB_READONLY. Called by xBegin and by every write. */
int txn_begin_write(edb_stmt *stmt);
/* seen_from: of the version visible at T (edb_entry.seen_from), 0 if there is none (looked up here where the pinned
 * root is newer than T). value NULL: tombstone. */
int txn_put(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, const void *value, size_t value_size,
            uint64_t seen_from);
/* As txn_put, and a version even where the living one has the same value: the commit is what it says. */
int txn_put_always(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, const void *value,
                   size_t value_size);
/* As txn_put, of any tree; no conflict at COMMIT where the newest commit says the same of the key as this write. */
int txn_put_agreed(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, const void *value,
                   size_t value_size, uint64_t seen_from);
/* An entry of a unique index: at COMMIT no other living entry may have the same key but for its last 8 bytes (the row
 * id). `code` is EDB_UNIQUE or EDB_PRIMARYKEY, `what` names it in the error ("t.a, t.b"; copied once a tree). */
int txn_put_unique(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, const void *value,
                   size_t value_size, int code, const char *what);
/* Whether two of the transaction's own unique entries of a tree that it made collide. EDB_INTERRUPT. */
int txn_collides(edb_stmt *stmt, uint32_t tree, bool *out);
/* COMMIT fails if anybody else changed the tree after T: for the table whose rows fill a new index. */
int txn_expect_unchanged(edb_stmt *stmt, uint32_t tree);
/* Of a table or an index that the transaction drops: COMMIT does not judge what is in it. */
int txn_tree_dropped(edb_stmt *stmt, uint32_t tree);
/* A new tree, made at COMMIT: key_size 8 for row ids, 0 for keys that vary. */
int txn_tree_new(edb_stmt *stmt, uint8_t key_size, uint32_t *id);
/* A catalog entry was written in this transaction: COMMIT bumps the schema number. */
int txn_schema_changed(edb_stmt *stmt);
/* Row ids: the next one, EDB_FULL behind the largest; one drawn at random that no living row has, EDB_FULL when none
 * was found; and: this one is used. */
int txn_id_next(edb_stmt *stmt, uint32_t tree, int64_t *id);
int txn_id_random(edb_stmt *stmt, uint32_t tree, int64_t *id);
void txn_id_used(edb_stmt *stmt, uint32_t tree, int64_t id);

/* What the transaction has written to the catalog needs a feature of the file (pager_commit_needs()). */
void txn_needs(edb_stmt *stmt, uint32_t feature);
/* A promise: what COMMIT must find true in the newest root with all own writes, and, when `at_once`, what must be true
 * when the statement ends (edb_stmt_judge). Keyed, so the same one is judged once; undone by rollback like any write.
 * unmet: it does not hold now. hk_judge (hooks.h) says whether they hold. */
int txn_promise(edb_stmt *stmt, const void *key, size_t key_size, const void *value, size_t value_size, bool unmet,
                bool at_once);
/* Which own writes a statement sees. Widened: all of them, those of the running statement included, until it is restored. */
typedef struct {
    writeset *vi_writes;
    uint64_t vi_seq;
} stmt_view;
void stmt_view_widen(edb_stmt *stmt, stmt_view *before);
void stmt_view_restore(edb_stmt *stmt, const stmt_view *before);

uint64_t txn_mark(edb_conn *conn);                  /* 0 when nothing was written */
void txn_rollback_to(edb_conn *conn, uint64_t mark);
/* A number of the connection's that changes when anything of its transaction is undone, and when the transaction ends. */
uint64_t txn_stands(const edb_conn *conn);
/* SQLite's savepoint calls (ENGINE-proof): sets every unset mark 0..n / unsets >= n / undoes to mark n. Idempotent. */
void txn_savepoint(edb_conn *conn, int n);
void txn_release(edb_conn *conn, int n);
void txn_rollback_savepoint(edb_conn *conn, int n);
int txn_prepare(edb_conn *conn);                    /* xSync: validates, writes pages; idempotent */
void txn_publish(edb_conn *conn);                   /* xCommit: cannot fail; idempotent */
void txn_rollback(edb_conn *conn);                  /* xRollback, after txn_prepare too */

#endif
