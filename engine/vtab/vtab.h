/* The virtual tables: what their files share. Internal to vtab*.c.
 *
 *   vtab_init.c     the extension's entry, entitydb_bind()
 *   binding.c       the binding; results and statements for all of them
 *   vtab_module.c   connect; the module `entitydb`
 *   vtab.c          which table a statement means; transactions and savepoints
 *   vtab_plan.c     best-index; with the files of planner.h
 *   plan_switch.c   the function entitydb_planner()
 *   partial_plan.c  which queries may use a partial index (partial_plan.h)
 *   vtab_range.c    plan and values to ranges of keys (vtab_range.h)
 *   vtab_scan.c     filter and next; with the files of scan.h
 *   vtab_list.c     sorted lists of index entries, for an order that keys do not have
 *   index_entries.c the entries of an index, computed from the table's rows
 *   kept_entries.c  such entries that a statement keeps: automatic indexes, and indexes made after its moment
 *   vtab_history.c  the function entitydb_history(): a table at a moment of its own, and its versions (history.h)
 *   history_plan.c  its best-index
 *   history_scan.c  its scans
 *   commit_list.c   functions that tell what commits did (commit_list.h)
 *   vtab_names.c    the function entitydb_names(): what tables were called
 *   vtab_update.c   INSERT, UPDATE, DELETE
 *   vtab_set.c      the eponymous table entitydb_set: UPDATE of the row that a scan stands on; with set_course.c (vtab_set.h)
 *   vtab_upsert.c   ON CONFLICT clauses
 *   conflict_clause.c  what such a clause says (conflict_clause.h)
 *   control_table.c what the eponymous tables have in common (control_table.h)
 *   vtab_catalog.c  the eponymous table entitydb_catalog
 *   vtab_ddl.c      the eponymous table entitydb_ddl
 *   vtab_label.c    the eponymous table entitydb_labels
 *   vtab_erasures.c  the eponymous table entitydb_erasures: rows erased
 *   vtab_schema_changes.c  the function entitydb_schema_changes(): when the catalog changed
 *   type_names.c    tables by name, for those over tags and entities (type_names.h)
 *   vtab_entities.c the eponymous table entitydb_entities
 *   vtab_tags.c     the eponymous table entitydb_tags
 *   vtab_tagged.c   the table-valued function entitydb_tagged()
 *   rows_ever.c     what tables over the past of all rows share (rows_ever.h)
 *   vtab_versions.c the eponymous table entitydb_versions
 *   vtab_changes.c  the eponymous table entitydb_changes
 *   vtab_transactions.c  the eponymous table entitydb_transactions
 *   vtab_put.c      the eponymous table entitydb_put
 *   vtab_count.c    the function entitydb_count()
 *   vtab_visited.c  the function entitydb_visited()
 *   vtab_fork.c     SQLite's own locks across fork()
 *
 * A binding belongs to one database of one SQLite connection and is used by its thread alone. It holds a counted
 * reference to the engine connection, so that a connection closed too early answers EDB_MISUSE instead of being read
 * after its end. README.md beside this file says how a plan, a write and an ON CONFLICT clause go. */
#ifndef EDB_VTAB_H
#define EDB_VTAB_H

#include <string.h>

#include "engine/eval/declare.h"
#include "engine/eval/sqlite_evaluator.h"
#include "engine/table/constraints.h"
#include "engine/vtab/conflict_clause.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

typedef struct vtab_binding {
    int bd_refs;                    /* modules, functions and virtual tables that use it */
    struct vtab_binding *bd_main;   /* counted; of the database that this one is attached to; NULL: it is that */
    struct vtab_binding *bd_next;   /* the attached ones, from main's on */
    sqlite3 *bd_db;
    edb_conn *bd_conn;              /* counted; NULL until entitydb_bind() */
    row_scratch bd_row;
    value_scratch bd_values;        /* what bd_row's values point into */
    bool bd_writing;                /* an xUpdate is at work, and the two scratches in use: a write inside a write (a
                                     * function in a DEFAULT) has its own */
    uint32_t bd_tables;             /* tables connected */
    struct scan *bd_stands;         /* a scan that was asked for where it stands; NULL: none. See vtab_set.c */
    struct set_course *bd_course;   /* owned; see vtab_set.h */
    uint64_t bd_visited;            /* entries visited: entitydb_visited() */
    unsigned bd_paths_off;          /* PATH_...: entitydb_planner() */
    constraints bd_constraints;
    conflict_clause *bd_clauses;    /* the ON CONFLICT clauses that were said last; owned */
    sqlite_evaluator bd_evaluator;  /* lent to bd_conn */
} vtab_binding;

void binding_unref(vtab_binding *bd);
/* Main's binding, or that of an attached database, by edb_conn_id(); NULL: none. */
vtab_binding *binding_of(vtab_binding *main, int64_t conn);
void binding_lend(vtab_binding *bd);        /* once bd_conn is there: evaluates for the layers below */
/* What is prepared on the connection ends when no table is connected: SQLite would not close it. */
void binding_forget(vtab_binding *bd);

typedef struct {                    /* every virtual table of ours begins like this */
    sqlite3_vtab ay_base;
    vtab_binding *ay_binding;       /* counted */
} vtab_any;

typedef struct {
    vtab_any vt_any;
    edb_table *vt_table;            /* counted; as the last statement saw it */
    uint64_t vt_schema;             /* the stmt_schema() it was found at */
    edb_table *vt_then;             /* counted; vt_then_of at vt_then_moment; see vtab_table() */
    const edb_table *vt_then_of;
    uint64_t vt_then_moment;
    uint32_t vt_writing;            /* calls that hold on to vt_table */
    bool vt_history;                /* it is one of entitydb_history: see history.h */
    bool vt_fixed;                  /* likewise, of a table as it was at the last moment it had a name, vt_last_ns */
    int64_t vt_last_ns;
    size_t vt_scan_size;            /* bytes of its cursors, which begin like a scan */
    uint64_t vt_born;               /* commit that made its tree; 0: not known yet */
    bool *vt_whole;                 /* index i is as old as the table, by position; see vtab_plan.c */
    struct upsert_prepared *vt_upserts;     /* owned; see vtab_upsert.c */
    order_columns vt_orders;        /* columns to sort by that SQLite was told of */
    struct scan *vt_spare;          /* owned; a cursor that was closed, for the next one: vtab_scan.c */
} vtab_entity;

/* ---- binding.c ---- */

/* What SQLite is told of a code. */
int vtab_sqlite_code(int rc);
/* SQLITE_OK for EDB_OK; else the message goes to the table and what SQLite is told comes back. */
int vtab_result(sqlite3_vtab *base, int rc);
int vtab_no_cursor(sqlite3_vtab *base);     /* likewise, when an xOpen has no memory */
/* xOpen: a cursor of so many bytes, all zero, which begin with its sqlite3_vtab_cursor. */
int vtab_any_open(sqlite3_vtab *base, size_t size, sqlite3_vtab_cursor **out);
/* xConnect: a table of so many bytes, which begin with its vtab_any; the others are zero. */
int vtab_any_connect(sqlite3 *db, vtab_binding *bd, const char *declaration, size_t size, sqlite3_vtab **out);
int vtab_any_disconnect(sqlite3_vtab *base);    /* xDisconnect of one that owns nothing else */
/* The moment that a value says; *nothing: it is NULL. Fails with EDB_MISUSE, the sentence beginning with `what`. */
int vtab_moment(const char *what, sqlite3_value *value, int64_t *ns, bool *nothing);
/* The same, and unless it is NULL, one of that moment in the place of *stmt, whose user goes. */
int vtab_as_of(const char *what, sqlite3_value *value, edb_stmt **stmt, int64_t *ns, bool *nothing);
/* The statement a call belongs to, with one user more (stmt_release). */
int vtab_acquire(vtab_binding *bd, bool writes, edb_stmt **out);
/* The same for what is no step of the statement, like reading the catalog. */
int vtab_acquire_aside(vtab_binding *bd, bool writes, edb_stmt **out);
/* ---- vtab.c ---- */

/* vt_table as the statement has to see it. EDB_SCHEMA: what SQLite was told does not hold any more. EDB_NOSUCH: as of
 * a moment before the table. */
int vtab_current(vtab_entity *vt, edb_stmt *stmt);
/* The columns a statement reads by, after vtab_current(): not counted, valid until the next call. */
int vtab_table(vtab_entity *vt, edb_stmt *stmt, const edb_table **out);
/* Makes vt_whole. An index as old as its table can be used, and its uniqueness held, at every moment. */
int vtab_find_whole(vtab_entity *vt, edb_stmt *stmt);
/* Fails with EDB_NOSUCH: its last moment, vt_last_ns, is earlier than `ns`. */
int vtab_no_more(const vtab_entity *vt, int64_t ns);
/* Fails with EDB_NOSUCH: the table was made by commit `born`, later than the statement's moment. */
int vtab_not_yet(edb_stmt *stmt, const char *name, uint64_t born);
int vtab_begin(sqlite3_vtab *base);
int vtab_sync(sqlite3_vtab *base);
int vtab_commit(sqlite3_vtab *base);
int vtab_rollback(sqlite3_vtab *base);
int vtab_savepoint(sqlite3_vtab *base, int n);
int vtab_release(sqlite3_vtab *base, int n);
int vtab_rollback_to(sqlite3_vtab *base, int n);

/* ---- vtab_module.c ---- */

extern const sqlite3_module vtab_entity_module;
void entity_init(vtab_entity *vt, vtab_binding *bd);    /* vt is zeroed */
void entity_free(vtab_entity *vt);          /* all but vt itself */
/* The table of an id, as the statement sees it. */
int entity_find(vtab_entity *vt, edb_stmt *stmt, uint32_t id);

/* ---- vtab_history.c ---- */

void function_history(sqlite3_context *context, int argc, sqlite3_value **argv);

/* ---- vtab_names.c ---- */

void function_names(sqlite3_context *context, int argc, sqlite3_value **argv);

/* ---- vtab_schema_changes.c ---- */

void function_schema_changes(sqlite3_context *context, int argc, sqlite3_value **argv);

/* ---- vtab_fork.c ---- */

/* From now on a child of this process can open connections, whatever other threads were doing when it was forked. */
void vtab_fork_guard(void);

/* ---- vtab_count.c ---- */

/* entitydb_count(table id, name [, connection]): what SELECT count(*) FROM the table says, without visiting its rows. */
void function_count(sqlite3_context *context, int argc, sqlite3_value **argv);

/* ---- vtab_visited.c ---- */

void function_visited(sqlite3_context *context, int argc, sqlite3_value **argv);

/* ---- vtab_plan.c ----
 *
 * The plan. idxNum is the tree to walk: an index's or the table's own. idxStr has two characters, three more for
 * each argument of xFilter, and a tail:
 *
 *     1    direction      'f' forward, 'r' reverse
 *     2    promised       'o' rows come in the order of the keys, equal parts left out; 'm' so, ranges of lists merged;
 *                         '-' in any order; 'n' no row fulfils the conditions, and nothing is read
 *     then operator       '=' equals     'i' one of a list     's' IS (NULL equals NULL)     'n' IS NULL
 *                         'a' 'A' equals, IS: of a column that the tree does not lead to, for an automatic index
 *                         '>' 'g' greater, or equal            '<' 'l' less, or equal        'N' IS NOT NULL
 *          right side     'p' plain: it has no affinity; 'k' a constant of the statement, which CAST may have given one;
 *                         '-' anything
 *          role           'c' an equality whose part has no place in the promised order, '-' any other
 *     tail                what is there of: "/sPP" one entry of each value of the first PP parts is enough
 *                         "/gPP" and terms: entries equal in the first PP parts are sorted by them
 *                         "/l" NULLs of the part behind the equalities come last, "/f" first, else as they lie
 *                         "/t" the table is walked instead where most of the index lies between the bounds
 *                         "/a" and columns: those of 'a' and 'A'
 *                         "/w" and conditions: those of 'w', a column and its operator
 *                         PP: two digits; a term: column, four digits, and 'a' ascending, 'd' descending; a column:
 *                         four digits, and its collation, one digit. Hexadecimal; PLAN_ROWID is the row id.
 *     at the end          '|' and a letter: how many rows the table had, 'a' one, 'b' two, 'c' four, ... 'z'
 *
 * The operators '=', 'i', 's' and 'n' come first, one for each part of the key from the first on; then 'a' and 'A'; the
 * others bound the part behind them. Last stand 'p', a term of the driver's or a condition that
 * SQLite judges, 'P', which asks for the rows that a partial index has, and 'w', a condition that SQLite judges and that
 * lets a walk of the table pass rows over: they take an argument and say nothing of keys. */
/* Of WHERE "entitydb returned" = 1 (eval/declare.h): the rows of the statement's capture. */
#define PLAN_RETURNED (-1)
#define PLAN_ROWID 0xffffu
enum { PLAN_DIRECTION, PLAN_ORDERED, PLAN_HEAD };           /* characters of the plan */
enum { STEP_OP, STEP_SIDE, STEP_ROLE, PLAN_STEP };          /* characters of a step */
/* Paths that tests switch off, and one that is taken at once: entitydb_planner(). */
enum {
    PATH_STATISTICS = 1, PATH_AUTOMATIC = 2, PATH_GROUPS = 4, PATH_MERGE = 8, PATH_SKIP = 16, PATH_EAGER = 32, PATH_SIEVE = 64,
    PATH_NOTHING = 128
};
int vtab_best_index(sqlite3_vtab *base, sqlite3_index_info *info);
/* The same without the paths of `off`; lasting: by no index that is younger than the table. */
int plan_scan(vtab_entity *vt, sqlite3_index_info *info, unsigned off, bool lasting);
void function_planner(sqlite3_context *context, int argc, sqlite3_value **argv);
void function_bloom(sqlite3_context *context, int argc, sqlite3_value **argv);
static inline uint32_t plan_number(const char *at, int digits)
{
    uint32_t number = 0;
    for (int i = 0; i < digits; i++)
        number = 16 * number + (uint32_t)(at[i] <= '9' ? at[i] - '0' : at[i] - 'a' + 10);
    return number;
}
static inline char plan_rows_letter(uint64_t rows)
{
    int power = rows ? 63 - __builtin_clzll(rows) : 0;
    return (char)('a' + (power < 25 ? power : 25));
}
/* The section of the tail that begins with `name`, behind it; NULL: there is none. */
static inline const char *plan_section(const char *plan, int arguments, const char *name)
{
    const char *tail = plan + PLAN_HEAD + PLAN_STEP * arguments;
    const char *found = *tail == '/' ? strstr(tail, name) : NULL;
    return found ? found + strlen(name) : NULL;
}
static inline bool plan_is_aside(char op) { return op == 'p' || op == 'P' || op == 'w'; }
static inline bool plan_is_automatic(char op) { return op == 'a' || op == 'A'; }
/* Whether keys decide every comparison with the column as SQLite does. */
static inline bool column_exact(const edb_column *column)
{
    return column->affinity >= AFFINITY_NUMERIC || (column->hidden && column->affinity == AFFINITY_BLOB);
}
static inline bool plan_is_equality(char op) { return op == '=' || op == 'i' || op == 's' || op == 'n'; }

/* ---- vtab_list.c ---- */

typedef struct {
    const uint8_t *li_sort, *li_key, *li_value;     /* in the list's arena */
    uint32_t li_sort_size, li_key_size, li_value_size;
    uint64_t li_first;              /* the first bytes of li_sort, big-endian; list_sort() sets it */
} list_item;

typedef struct entry_list entry_list;
int list_new(entry_list **out);
void list_free(entry_list *list);
void list_clear(entry_list *list);
/* Sorted by its key, until list_sort_by() says otherwise. */
int list_add(entry_list *list, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size);
int list_sort_by(entry_list *list, size_t i, const uint8_t *key, size_t size);
void list_sort(entry_list *list);
size_t list_count(const entry_list *list);
const list_item *list_at(const entry_list *list, size_t i);
/* The number of items whose sort key is smaller than the key. */
size_t list_rank(const entry_list *list, const uint8_t *key, size_t key_size);
/* ---- index_entries.c ---- */

/* The index as it would have been at the statement's moment, from the table's rows: private entries (txn.h). */
int entries_from_table(edb_stmt *stmt, const edb_table *table, const edb_index *index, private_entries **out);

/* ---- kept_entries.c: what belongs to a statement, since its cursors come and go ---- */

typedef struct kept_entries kept_entries;
#define SIEVE_MOST 4                /* conditions by which a walk of the table passes rows over */
#define AUTOMATIC_COLUMNS 8         /* the most columns that an automatic index has beside those of the walk it spares */
/* The entries of an index at the statement's moment; computed when they are first asked for. */
int kept_late(edb_stmt *stmt, const edb_table *table, const edb_index *index, private_entries **out);
/* The automatic index of a plan over a table: parts are the equalities of the plan (base: the index it walks, NULL: the
 * table), then the columns of its tail. NULL in *out: it must not be made. */
int kept_automatic(edb_stmt *stmt, const edb_table *table, const edb_index *base, const char *plan, int arguments,
                   kept_entries **out);
/* Called before a walk that the automatic index would spare. *entries NULL: the walk is the better way, or nobody knows
 * yet. eager: the index is made and used in any case. */
int kept_wanted(kept_entries *kept, edb_stmt *stmt, bool eager, private_entries **entries, const edb_index **index);
/* What came of it: how many entries were visited, with the index or without it. */
void kept_walked(kept_entries *kept, bool with_index, uint64_t visited);

/* ---- vtab_scan.c ---- */

int vtab_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out);
int vtab_close(sqlite3_vtab_cursor *base);
int vtab_filter(sqlite3_vtab_cursor *base, int tree, const char *plan, int argc, sqlite3_value **argv);
int vtab_next(sqlite3_vtab_cursor *base);
int vtab_eof(sqlite3_vtab_cursor *base);
void scan_forget(vtab_entity *vt);          /* the spare cursor, with its table */

/* ---- scan_column.c ---- */

int vtab_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column);
int vtab_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid);

/* ---- vtab_update.c ---- */

int vtab_update(sqlite3_vtab *base, int argc, sqlite3_value **argv, sqlite3_int64 *rowid);

/* ---- vtab_upsert.c ---- */

/* ON CONFLICT clauses, attached to a statement by the function entitydb_on_conflict(); see there. */
typedef struct upsert upsert;
typedef struct upsert_clause upsert_clause;
void function_on_conflict(sqlite3_context *context, int argc, sqlite3_value **argv);
const upsert *upsert_of(edb_stmt *stmt, const edb_table *table);     /* NULL: no clauses */
/* The first clause whose constraint the row would hurt, and the row in the way; *clause NULL: none. */
int upsert_find(const upsert *us, row_scratch *sw, edb_stmt *stmt, const edb_table *table, int64_t rowid, bool fresh,
                edb_value *values, upsert_clause **clause, int64_t *other);
bool upsert_updates(const upsert_clause *clause);                   /* false: DO NOTHING */
uint32_t upsert_sets(const upsert_clause *clause, const uint32_t **columns);     /* how many columns it sets, and which */
/* DO UPDATE over an existing row and the one that was to be inserted. *applies false: its WHERE does not hold. Else the
 * i-th of the columns that it sets gets results[i], which has the column's affinity and lies in `memory`. */
int upsert_evaluate(vtab_entity *vt, value_scratch *vs, arena *memory, upsert_clause *clause, const edb_value *old,
                    int64_t old_rowid, const edb_value *excluded, int64_t excluded_rowid, bool *applies,
                    edb_value *results);
void upsert_forget(vtab_entity *vt);                                /* what was prepared for its table */

/* ---- vtab_catalog.c, vtab_ddl.c, vtab_label.c, vtab_erasures.c ---- */

extern const sqlite3_module vtab_catalog_module, vtab_ddl_module, vtab_labels_module, vtab_erasures_module;

/* ---- vtab_entities.c, vtab_tags.c, vtab_tagged.c, vtab_transactions.c, vtab_put.c ---- */

extern const sqlite3_module vtab_versions_module, vtab_changes_module;
extern const sqlite3_module vtab_entities_module, vtab_tags_module, vtab_tagged_module, vtab_transactions_module,
    vtab_put_module, vtab_set_module;

/* entitydb_label(): refuses, since the driver runs the statement that consists of it. */
void function_label(sqlite3_context *context, int argc, sqlite3_value **argv);
/* entitydb_transaction_info(): likewise. */
void function_transaction_info(sqlite3_context *context, int argc, sqlite3_value **argv);

#endif
