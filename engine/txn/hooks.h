/* Hooks: what the layers above transactions give to them, and hang on them.
 *
 * The transaction layer includes nothing of the layers above, but it needs two answers from them (what a tree is
 * called, whether a promise holds), and they need places to keep what belongs to a statement or a connection. Each
 * feature above defines one constant `txn_hooks` with the functions it has (NULL: none) and registers it once. The
 * address of that struct is also the feature's key: under it the feature keeps one pointer on each statement and one
 * on each connection, so that several features can keep something on the same one.
 *
 *   H1  Registration happens while the library is loaded, in a constructor of the feature's file. Afterwards the list
 *       never changes, so it is read without a lock from any thread. At most HOOKS_MAX features register.
 *   H2  A callback runs in the thread that uses the connection, inside a call of that connection, and never under the
 *       mutex of the registry of connections.
 *   H3  Data belongs to the statement or the connection from the moment it is set. Its free function is called exactly
 *       once: when other data (or NULL) replaces it, or at the end of the statement or connection. Setting the data that
 *       is there already frees nothing. Without a free function the data stays the feature's own, which must take it
 *       back (set NULL) before it goes.
 *   H4  A statement ends when the driver has ended it and its last user has released it. Its data is freed then, before
 *       the next statement that gets the same memory begins. The free function may not use the statement.
 *   H5  A connection ends with its last reference (conn_unref), in the thread that drops it; its statements have ended
 *       by then. The free function may not use the connection.
 *   H6  Data of a database is made when it is first asked for, once in a process, whoever has the file open there. When the last of
 *       them closes it, it is told to stop, while everything can still be used, and then freed. Several threads get the same: it
 *       guards itself.
 *   H7  In a forked child nothing is freed and no callback runs: the memory goes with the child. */
#ifndef EDB_HOOKS_H
#define EDB_HOOKS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/edb.h"
#include "engine/tree/tree.h"
#include "engine/txn/masks.h"
#include "engine/txn/writeset.h"

enum { HOOKS_MAX = 24 };

struct commit;                      /* commit.c */

typedef struct {
    const char *hk_name;            /* of the feature, for a debugger */
    uint32_t hk_place;              /* among the registered ones: hooks_register() sets it */
    /* How an error names the tree: "table t". Called while COMMIT makes a sentence; stmt reads the newest commit with
     * all own writes. EDB_NOSUCH: the feature does not know the tree. */
    int (*hk_name_tree)(edb_stmt *stmt, uint32_t tree, char *out, size_t room);
    /* Likewise how it names an entry of a tree that belongs to no table: "the tag x of row 3 of t". */
    int (*hk_name_entry)(edb_stmt *stmt, uint32_t tree, const uint8_t *key, size_t key_size, char *out, size_t room);
    /* Whether every promise (txn_promise) at the cursor holds in what `stmt` reads. Called at the end of a statement, before
     * COMMIT, and inside COMMIT under the committer lock (at_commit). A promise's key begins with four bytes: a table's id,
     * big-endian, for a foreign key, else PROMISE_OF_TAGS. Each feature judges its own. */
    int (*hk_judge)(edb_stmt *stmt, ws_cursor *promises, bool at_commit);
    /* Called inside COMMIT, under the committer lock, of a transaction that has changed something and will be published:
     * what belongs to its commit is added by commit_add(). */
    int (*hk_commit)(edb_conn *conn, struct commit *cm);
    /* Adds what an entry of the catalog says of columns without history. Pure: any thread may call it, with no connection. */
    int (*hk_masks)(const uint8_t *payload, size_t size, tree_masks *masks);
    void (*hk_stmt_free)(void *data);   /* of data kept on a statement (H4) */
    void (*hk_conn_free)(void *data);   /* of data kept on a connection (H5) */
    /* Inside COMMIT, under the committer lock: a commit that will be `number` puts these into a tree, which commit `changed`
     * was the last to change; in portions, the first of which `begins`. It may still fail. With the data of the database,
     * if there is any. */
    void (*hk_applied)(void *data, uint32_t tree, uint64_t changed, uint64_t number, bool begins,
                       const tree_change *changes, size_t n);
    void (*hk_published)(void *data, uint64_t number);  /* it is; others may have committed since */
    void *(*hk_db_make)(void);          /* of data kept on a database (H6); NULL: no memory */
    void (*hk_db_stop)(void *data);     /* threads of it end */
    void (*hk_db_free)(void *data);
    /* Adds what it counts to the figures of the database whose data it is. */
    void (*hk_db_count)(void *data, edb_stats *out);
} txn_hooks;

#define PROMISE_OF_TAGS UINT32_MAX

/* For hk_commit. A statement that reads the newest commit with all own writes; base_statement_free() it. */
int commit_statement(struct commit *cm, edb_stmt **out);
/* A version of a key, made even where the living one has the same value. The transaction's own writes do not
 * go to that tree, or only to smaller keys. */
int commit_add(struct commit *cm, uint32_t tree, const void *key, size_t key_size, const void *value, size_t value_size);
int commit_add_tree(struct commit *cm, uint8_t key_size, uint32_t *tree);  /* a tree; whoever adds it enters it in the catalog */

void hooks_register(txn_hooks *hooks);

/* The feature's data on a statement; NULL: none. It has registered. */
void *stmt_data(const edb_stmt *stmt, const txn_hooks *key);
void stmt_data_set(edb_stmt *stmt, const txn_hooks *key, void *data);
void *conn_data(const edb_conn *conn, const txn_hooks *key);
void conn_data_set(edb_conn *conn, const txn_hooks *key, void *data);

/* The feature's data on a connection's database, one for all of this process that have it open; NULL: no memory. */
void *db_data(const edb_conn *conn, const txn_hooks *key);

/* ---- for the transaction layer ---- */

typedef struct {
    void *hd_of[HOOKS_MAX];         /* by the order of registration */
} hooks_data;

void hooks_stmt_free(hooks_data *data);
void hooks_conn_free(hooks_data *data);
/* Where the data of a database is kept: the pager's guest. */
typedef struct hooks_home hooks_home;
hooks_home *hooks_home_of(pager *pg);               /* NULL: no memory */
void *hooks_home_data(hooks_home *home, const txn_hooks *key);      /* the feature's; NULL: none was made */
void hooks_db_count(hooks_home *home, edb_stats *out);     /* of the data there is */
void hooks_applied(hooks_home *home, uint32_t tree, uint64_t changed, uint64_t number, bool begins,
                   const tree_change *changes, size_t n);
void hooks_published(hooks_home *home, uint64_t number);
int hooks_name_tree(edb_stmt *stmt, uint32_t tree, char *out, size_t room);     /* EDB_NOSUCH: nobody knows it */
int hooks_name_entry(edb_stmt *stmt, uint32_t tree, const uint8_t *key, size_t key_size, char *out, size_t room);
int hooks_judge(edb_stmt *stmt, ws_cursor *promises, bool at_commit);
int hooks_commit(edb_conn *conn, struct commit *cm);
int hooks_masks(const uint8_t *payload, size_t size, tree_masks *masks);
/* What this process knows of columns without history, for a commit: under the committer lock. */
masks_known *hooks_home_masks(hooks_home *home);

#endif
