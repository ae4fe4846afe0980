/* EntityDB: the public interface of the engine, and its manual.
 *
 * Read this first:
 * - A handle inherited through fork() answers EDB_FORKED everywhere; open anew in the child.
 * - A database may be open in many processes and many times in one; one process shares one map and one lock area.
 * - An edb_conn serves one thread at a time (any thread). Different connections are independent.
 * - A statement that stays open (a half-fetched cursor) keeps pages from being reused; a long transaction does not.
 * - Network file systems are refused: shared memory and locks do not work on them.
 * - Moments are commit numbers inside (dense, from 1) and int64 nanoseconds since 1970 UTC outside. "As of m" includes
 *   everything committed at or before m.
 * - Every function returns a code of codes.h; edb_message() is the sentence for this thread's last failure.
 *
 * The virtual tables (vtab.c) and the driver use the same connection: the driver opens it here, then says
 * `SELECT entitydb_bind(edb_conn_id(conn))` on the SQLite connection that loaded the extension.
 *
 * A SQLite connection used without the driver's statement contexts works too: the virtual table then opens an
 * implicit statement with its first cursor or write and ends it with the last cursor. */
#ifndef EDB_H
#define EDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/codes.h"

/* cffi: begin */
typedef struct edb edb;             /* an open database */
typedef struct edb_conn edb_conn;   /* a session: one transaction at a time */
typedef struct edb_stmt edb_stmt;   /* a running statement: its moment, its pin, the columns it supplies */

/* ---- results ---- */

const char *edb_message(void);                      /* this thread's last failure; never NULL */
int edb_last_code(void);                            /* the code that sentence was set with; 0 before any */
const char *edb_code_name(int code);                /* "CORRUPT"; NULL past the table */
const char *edb_code_python(int code);              /* "DamageError" */
const char *edb_code_meaning(int code);
int edb_code_sqlite(int code);                      /* the SQLite result for it */
int edb_code_count(void);
bool edb_is_test_build(void);
/* A shared library that exports the C functions of zstd, which packed history needs (cold/zstd.h). It is opened at first need.
 * NULL, or where it does not have them: the system's libzstd.so.1. */
void edb_zstd_library(const char *path);
/* The most bytes of unpacked history that this process keeps, for all databases that it has open (cache/page_cache.h). What is being
 * read stays, and may go beyond it. */
void edb_pool_limit(uint64_t bytes);

/* ---- databases ---- */

typedef struct {
    uint32_t page_size;             /* bytes, power of two 512..32768; 0: default; counts only at creation */
    int synchronous;                /* 1 normal, 2 full, -1: what is in force (full if nothing is) */
    bool read_only;
    bool create;                    /* make the file if missing */
    int64_t busy_ms;                /* wait for the committer lock; -1: 5,000 */
    uint64_t spill_bytes;           /* write set held in memory; 0: 64 MiB */
    bool unpacked, unpruned;        /* not in the background (upkeep/background.c); who commits first in a process decides */
} edb_options;

/* path: UTF-8, NULL for a memory database that lives as long as this handle. Opening the same file again in one
 * process shares it (same options required where given: EDB_SETTING). */
int edb_open(const char *path, const edb_options *options, edb **out);
void edb_close(edb *db);            /* connections still open keep the file open; closing twice is the caller's bug */

typedef struct {
    uint64_t published, durable, pages, free_pages, file_bytes, page_size, syncs, pages_read, pages_written, oldest_pin;
    int64_t last_commit_ns;
    uint64_t interned, intern_bytes, intern_hits, intern_misses;    /* tags kept by this process: entity/tag_known.h */
    /* Filters of keys of this process (filters/filters.h): how many there are, and their bytes; keys asked for, of these denied,
     * and of these neither denied nor there; how often one was made, learned what others had written, was given up. */
    uint64_t filters, filter_bytes, filter_asked, filter_denied, filter_wrong, filters_made, filters_caught_up,
             filters_given_up;
    /* What this process has done in the background (upkeep/background.c): strips written, pages of history packed, pages freed, and how
     * often it failed. */
    uint64_t pack_windows, pack_pages, pruned_pages, upkeep_failures;
    /* Unpacked history in this process, whatever database it is of: the bound, bytes kept, pages found, pages that had to be unpacked. */
    uint64_t pool_limit, pool_bytes, pool_hits, pool_misses;
} edb_stats;
int edb_get_stats(edb *db, edb_stats *out);

/* Walks the whole file; report is called with "I12", page, sentence for each breach. *breaches counts them. */
typedef void (*edb_report_fn)(void *arg, const char *invariant, uint64_t page, const char *sentence);
typedef struct {
    uint64_t pages_live, pages_history, pages_free, pages_other, versions, breaches;
} edb_check_result;
int edb_check(edb *db, edb_report_fn report, void *arg, edb_check_result *out);

/* Lets history go: afterwards moments before commit `horizon` are not kept, and reading as of one fails with EDB_HORIZON. The horizon
 * is at most the newest durable commit, and no transaction's or reader's moment is before it: out->horizon says what it became.
 * Pages are freed in steps, each a commit, of about step_pages pages (0: 4,096). Readers go on, and keep what they have begun to read; writers
 * wait for a step at the most. A nonzero answer of `progress` (may be NULL), called behind each step, ends it with EDB_INTERRUPT;
 * then, and when it is killed, the next call goes on with what is left. dry_run: only says what would go.
 * History of files made before there were cold ids (docs/format.md) stays. EDB_HORIZON: there is no such commit. */
typedef struct {
    uint64_t horizon;               /* of the database, then */
    uint64_t pages, bytes;          /* freed; or that would be */
    uint64_t entries;               /* entries of table and index leaves in them, copies of versions included */
    uint64_t left;                  /* what is still to be freed: pages, and large values */
    uint64_t steps;                 /* commits made */
} edb_prune_result;
typedef int (*edb_prune_fn)(void *arg, const edb_prune_result *so_far);
int edb_prune(edb *db, uint64_t horizon, bool dry_run, uint64_t step_pages, edb_prune_fn progress, void *arg,
              edb_prune_result *out);

/* Packs history that is not packed yet, in steps beside readers and writers (upkeep/pack.c). In a file with columns without history that is
 * what no open transaction can read any more; all commits are made durable before. EDB_CANNOT: there is no zstd. progress,
 * which may be NULL, is called after each step with the cold ids looked at and how many there are; nonzero ends it. */
typedef int (*edb_pack_progress)(void *arg, uint64_t done, uint64_t total);
typedef struct {
    uint64_t windows;               /* strips written, those that were merged included */
    uint64_t pages;                 /* pages of history in them */
    bool stopped;                   /* by progress */
} edb_pack_result;
int edb_pack(edb *db, edb_pack_progress progress, void *arg, edb_pack_result *out);

/* Moves what is in use to the front of the file and gives the end back, in steps beside readers and writers (upkeep/compact.c).
 * EDB_BUSY: another process does. progress, which may be NULL, is called after each step; nonzero ends it, which leaves
 * the file sound. */
typedef int (*edb_compact_progress)(void *arg, uint64_t done, uint64_t total);
typedef struct {
    uint64_t bytes_before, bytes_after;     /* of the file */
    uint64_t bytes_needed;          /* of pages that are not free */
    uint64_t held;                  /* free pages that somebody may still need; all others are zeros */
    bool stopped;                   /* by progress */
} edb_compact_result;
int edb_compact(edb *db, edb_compact_progress progress, void *arg, edb_compact_result *out);

/* Proves that what commits wrote, and when, is what they wrote then: upkeep/README.md, "Tamper evidence". */
typedef struct {
    uint64_t since;                 /* contents of later commits alone are looked at; 0: of all */
    uint64_t expected;              /* a commit whose seal is known from elsewhere; 0: none */
    uint8_t expected_seal[32];
} edb_verify_options;
typedef struct {
    uint64_t first, last;           /* commits with links; 0, 0: none */
    uint64_t proved_after;          /* what later ones wrote was compared; of the others the seal alone was */
    uint64_t reduced;               /* of these, so many were reduced on purpose */
    uint64_t breaks;
    uint8_t seal[32];               /* of `last`, computed anew */
} edb_verify_result;
/* number 0: no commit can be named; table NULL: none can. */
typedef void (*edb_break_fn)(void *arg, uint64_t number, int64_t ns, const char *table, const char *sentence);
typedef int (*edb_progress_fn)(void *arg, uint64_t done, uint64_t of);     /* nonzero: stop, with EDB_INTERRUPT */
int edb_verify(edb *db, const edb_verify_options *options, edb_break_fn broken, edb_progress_fn progress, void *arg,
               edb_verify_result *out);
/* Number and seal of the newest commit, which is durable then. *number 0: no commit has a seal yet. */
int edb_newest_seal(edb *db, uint64_t *number, uint8_t *seal);

/* The commit number whose state a moment names (the newest commit at or before it) and that commit's time. The answer
 * is settled: it never changes, unless the moment is later than the clock (*settled false: "now"). *resolved_ns is
 * the moment to ask again with. */
int edb_resolve(edb *db, int64_t moment_ns, uint64_t *number, int64_t *commit_ns, int64_t *resolved_ns, bool *settled);
/* The number of the newest commit, whoever made it, that a statement which reads and begins now sees: at full one that
 * is not durable yet does not count. Looks at shared memory alone. */
uint64_t edb_newest(edb *db);
/* Commit time of a commit number; EDB_HORIZON when there is no such commit. */
int edb_commit_time(edb *db, uint64_t number, int64_t *ns);

/* ---- connections ---- */

int edb_conn_open(edb *db, edb_conn **out);
/* Rolls back what is open. Statements still open keep their memory until they are ended. */
void edb_conn_close(edb_conn *conn);
void edb_conn_tells(edb_conn *conn);                /* edb_stmt_compares() is called wherever there is something to tell */
int64_t edb_conn_id(edb_conn *conn);                /* for entitydb_bind(); 0 is never an id */

/* The next commit of this connection gets this time (nanoseconds) instead of the clock's: later than the last commit
 * and not later than the clock, checked at COMMIT (EDB_COMMIT_TIME names the last time). 0 takes it back. */
int edb_conn_commit_time(edb_conn *conn, int64_t ns);
typedef struct {                    /* texts in UTF-8; NULL: none */
    const char *actor, *reason, *metadata;      /* metadata: a JSON object */
    size_t actor_size, reason_size, metadata_size;
} edb_info;

/* What is said of the connection's commits from now on, and of those of what is attached to it; NULL: nothing. A commit has
 * it when the transaction has changed something. EDB_MISUSE, EDB_TOOBIG: what was said before stays. */
int edb_conn_info(edb_conn *conn, const edb_info *info);
/* Number and time of the last commit made by this connection or an attached one; number 0: none yet. */
void edb_conn_last_commit(edb_conn *conn, uint64_t *number, int64_t *ns);
/* To be called after every statement, with SQLite's autocommit flag: when no SQLite transaction is open and no write
 * is pending, the engine's transaction (its fixed moment) ends too. */
void edb_conn_settle(edb_conn *conn, bool autocommit);
/* Waits until the last commit of this connection is as durable as `synchronous` promises. Call it after COMMIT or an
 * autocommit write has returned, without the GIL. EDB_POISONED, EDB_IO: outcome unknown until reopened. */
int edb_conn_wait(edb_conn *conn);
/* How this connection's next transactions are isolated; EDB_REPEATABLE_READ unless said. EDB_MISUSE while one is open.
 * READ COMMITTED: each statement reads the newest commit. REPEATABLE READ: the transaction reads one state. SERIALIZABLE:
 * and COMMIT fails with EDB_CONFLICT if what it read has changed since, when it has written anything. */
enum { EDB_READ_COMMITTED = 1, EDB_REPEATABLE_READ = 2, EDB_SERIALIZABLE = 3 };
int edb_conn_isolation(edb_conn *conn, int level);
/* Makes a running call of this connection return EDB_INTERRUPT soon (waiting for locks included). Any thread. */
void edb_conn_interrupt(edb_conn *conn);
/* `attached`, a connection to an attached database, follows `host` from now on. Statements begun on the host cover it (a
 * moment and a pin of its own, fixed together); edb_conn_settle, _judge, _wait, _interrupt and _commit_time are said to the
 * host. A transaction writes to at most one file of them (EDB_CANNOT). Not within a transaction; title: its name in
 * messages. It ends when either is closed. */
int edb_conn_attach(edb_conn *host, edb_conn *attached, const char *title);
/* To be called when COMMIT has failed with the transaction still open, because another database refused it: what was
 * prepared is taken back. */
void edb_conn_unprepare(edb_conn *conn);
/* Has the open transaction of the connection or of an attached one written to a file? */
bool edb_conn_writes_file(edb_conn *conn);
/* What the schema declared to SQLite was made from: statements begun at another one answer EDB_SCHEMA first. */
void edb_conn_declared(edb_conn *conn, uint64_t schema);
/* The schema number a statement begun now would see (own DDL excluded). */
int edb_conn_schema(edb_conn *conn, uint64_t *schema);
/* Pages touched by tree reads of this connection's thread since the last call: an engine counter. */
uint64_t edb_pages_touched(void);

/* ---- statements ---- */

typedef struct {
    bool in_transaction;            /* a SQLite transaction is open (not autocommit) */
    bool writes;                    /* the statement is INSERT, UPDATE, DELETE or DDL */
    bool has_moment;                /* read as of moment_ns; never sees own uncommitted writes; writes fail */
    int64_t moment_ns;
    int64_t target;                 /* edb_conn_id() of the attached one that is written to; 0: the connection itself */
} edb_stmt_options;

/* Fixes the statement's moment and pins a root. EDB_SCHEMA: declare anew (catalog of edb_conn_schema), then retry. */
int edb_stmt_begin(edb_conn *conn, const edb_stmt_options *options, edb_stmt **out);
/* Makes it the one that virtual-table calls belong to; -> the one before (NULL: none), to be given back to
 * edb_stmt_restore. Around every step of its cursor; nested steps nest. */
edb_stmt *edb_stmt_enter(edb_stmt *stmt);
void edb_stmt_restore(edb_conn *conn, edb_stmt *before);
/* Which columns the INSERT names: bit i of mask[i / 8] is column i in declared order. Omitted ones get their DEFAULT;
 * without this call all count as supplied. */
int edb_stmt_supplied(edb_stmt *stmt, const uint8_t *mask, size_t columns);
/* Keeps each row of the table that the statement itself inserts, changes (the new one) or deletes (the old one). */
int edb_stmt_capture(edb_stmt *stmt, uint32_t table);
/* Hands what `from` has kept to `stmt`, which reads it as the rows WHERE "entitydb returned" = 1, a hidden column. */
void edb_stmt_returned(edb_stmt *stmt, edb_stmt *from);
/* The statement is an UPDATE or DELETE that is run again and again in its context. Each run begins when a table is opened
 * while none is: foreign keys of the run before are judged (edb_stmt_judge), and from then on it counts as the
 * statement, which sees what was written before it and can be undone alone. */
void edb_stmt_repeat(edb_stmt *stmt);
uint64_t edb_stmt_runs(edb_stmt *stmt);             /* how many have begun */
void edb_stmt_undo_runs(edb_stmt *stmt);            /* undoes all of them */
/* Undoes what was written since the statement began; its transaction goes on. */
void edb_stmt_undo(edb_stmt *stmt);
/* What a statement compares, told before it is prepared; of statements of a connection that tells (edb_conn_tells) nothing
 * is supposed beyond it.
 *   EDB_ROW_IN           `(a, b) IN ...`. SQLite loops over such a list itself and compares the rows found once more,
 *                        without the affinity of the list's columns; so texts must not be looked up by it.
 *   EDB_BOUND_BY_COLUMN  <, <=, >, >= or BETWEEN between a column and something that has an affinity. A text is then
 *                        perhaps compared as a number, so that keys do not decide an upper bound of texts.
 *   EDB_EQUAL_BY_COLUMN  The same of =, IS and IN. A number is then perhaps equal to texts that look like it.
 *   EDB_SETS_ROWS        Nothing, but that rows are changed where they are found (vtab/vtab_set.c): an index does not do instead
 *                        of the rows. */
enum { EDB_ROW_IN = 1, EDB_BOUND_BY_COLUMN = 2, EDB_EQUAL_BY_COLUMN = 4, EDB_SETS_ROWS = 8 };
void edb_stmt_compares(edb_stmt *stmt, int what);
/* To be called when a statement that writes is over, with its context still open: whether the foreign keys it touched
 * hold now. EDB_FOREIGNKEY: no; what the statement wrote is undone. Without this call COMMIT asks. */
int edb_stmt_judge(edb_stmt *stmt);
/* The same of all promises of the transaction, deferred ones included, before COMMIT; nothing is undone. */
int edb_conn_judge(edb_conn *conn);
/* Rows changed and the last row id given by this statement. */
void edb_stmt_counts(edb_stmt *stmt, int64_t *changes, int64_t *last_id, bool *has_last_id);
/* The commit number it reads at. */
uint64_t edb_stmt_moment(edb_stmt *stmt);
/* -> whether a plan was run that was made for a table of an eighth, or eight times, the rows: prepare anew. */
bool edb_stmt_end(edb_stmt *stmt);

/* ---- the same in fewer calls, for a text that is executed again and again ---- */

typedef struct {                    /* what is said of each of its statements */
    edb_conn *conn;
    edb_stmt_options options;
    int compares;                   /* edb_stmt_compares(); 0: it is not called */
    const uint8_t *supplied;        /* edb_stmt_supplied(), with columns; NULL: it is not called */
    size_t columns;
    uint32_t captured;              /* edb_stmt_capture(); 0: it is not called */
} edb_start;
/* edb_stmt_begin(), what `start` says of the statement, and edb_stmt_enter(). NULL: nothing was begun (edb_last_code()). */
edb_stmt *edb_stmt_start(const edb_start *start);

typedef struct {
    int64_t changes;                /* edb_stmt_counts() */
    int64_t has_last_id, last_id;
    int64_t outgrown;               /* of edb_stmt_end() */
} edb_outcome;
/* Where edb_stmt_finish() of the connection's statements puts its results; the same until edb_conn_close(). */
const edb_outcome *edb_conn_outcome(edb_conn *conn);
/* Of a statement that writes, entered while none was: edb_stmt_restore(NULL), edb_stmt_judge(), edb_stmt_counts() and
 * edb_stmt_end(). A code is what edb_stmt_judge() says; then the statement is not ended. */
int edb_stmt_finish(edb_stmt *stmt);
/* The same of one that captures, up to its end. -> the statement begun behind it, which reads what it captured
 * (edb_stmt_returned()) and has been entered. NULL: none was begun (edb_last_code()). */
edb_stmt *edb_stmt_list(edb_stmt *stmt);
/* edb_stmt_restore(NULL), and edb_stmt_end() of the statement that edb_stmt_list() has begun and of the one it lists. */
void edb_stmt_finish_list(edb_stmt *list);

/* ---- many rows without SQL ----
 *
 * Rows pass as bytes of Python's marshal format (native/marshal.h). */

typedef struct {
    const char *table;
    const char *const *columns;     /* of the values of a row */
    uint32_t n_columns;
    const uint8_t *rows;            /* a list of tuples of n_columns values */
    size_t rows_size;
    const uint8_t *tags;            /* NULL: none; a list of texts, or, if tags_apart, a list of such lists, one a row */
    size_t tags_size;
    bool tags_apart;
    int64_t *ids;                   /* -> the row id of each row */
    size_t ids_room;                /* at least the number of rows */
    uint64_t inserted, changed;     /* -> how many rows */
    bool deletes;                   /* rows with these ids are deleted instead, and counted as changed; of the fields above
                                       table, ids and ids_room count */
} edb_put;

/* INSERT INTO entitydb_put(op) VALUES ('put'), run on the bound SQLite connection, does it: so it is a statement like
 * any other, with its transaction and what follows from it. The connection forgets it when that statement is over; NULL takes
 * it back. */
void edb_conn_put(edb_conn *conn, edb_put *put);

typedef struct {
    const uint8_t *payload;         /* the table's entry in the catalog of now, whose columns are shown */
    size_t payload_size;
    const uint32_t *columns;        /* which of them, by position */
    uint32_t n_columns;
    const int64_t *ids;             /* any order, any number of times */
    size_t n_ids;
    bool dicts;                     /* rows are to be dictionaries, else tuples */
    uint8_t *out;                   /* -> a tuple of the columns' names and a list with, for each id, its row, or None;
                                       edb_bytes_free() it */
    size_t out_size;
} edb_get;

/* At the statement's moment. EDB_NOSUCH: the table did not exist then. */
int edb_stmt_get(edb_stmt *stmt, edb_get *get);
void edb_bytes_free(void *bytes);

typedef struct {
    uint32_t table;                 /* its id */
    int64_t id;
    uint64_t most;                  /* versions wanted */
    int64_t *times;                 /* -> of each version, the newest first: valid_from and valid_to (nanoseconds, not included;
                                       INT64_MAX: it is current); edb_bytes_free() it */
    size_t n_versions;
} edb_history;

/* The committed versions of a row up to the statement's moment. A version ends where the next begins or the row was deleted;
 * those that differ in columns without history alone are one. */
int edb_stmt_history(edb_stmt *stmt, edb_history *history);

/* At most `most` row ids of the table behind `after` (NULL: from the first), ascending, at the statement's moment. */
int edb_stmt_ids(edb_stmt *stmt, uint32_t table, const int64_t *after, size_t most, int64_t *ids, size_t *n);

typedef struct {
    uint32_t table;                 /* its id */
    const char *expression;
    size_t expression_size;
    int64_t *ids;                   /* -> the entities that are meant, ascending; edb_bytes_free() it */
    size_t n_ids;
} edb_tagged;

/* The entities that a tag expression means (entity/tag_expression.h), at the statement's moment. */
int edb_stmt_tagged(edb_stmt *stmt, edb_tagged *tagged);

typedef struct {
    const char *bytes;              /* UTF-8 */
    size_t size;                    /* bytes */
} edb_text;

typedef struct {
    uint32_t table;                 /* its id */
    const edb_text *expressions;    /* n of them */
    size_t n;
    size_t *ends;                   /* n of them, the caller's: -> how many ids there are up to the last of this expression */
    int64_t *ids;                   /* -> what the first expression means, ascending, then what the second means, ...;
                                       NULL: none; edb_bytes_free() it */
} edb_tagged_many;

/* The same for many expressions. */
int edb_stmt_tagged_many(edb_stmt *stmt, edb_tagged_many *tagged);
/* cffi: end */

/* The loadable extension's entry (sqlite3.h's types, kept out of here). */
struct sqlite3;
struct sqlite3_api_routines;
__attribute__((visibility("default")))
int sqlite3_entitydb_init(struct sqlite3 *db, char **error, const struct sqlite3_api_routines *api);

#endif
