/* The short way of the driver: what a statement whose text is known needs of a session, of a cursor and of the text.
 *
 * Python's classes Session and Cursor are derived from two of the three here. A known text is executed and its rows
 * fetched without Python code, by the calls of the engine and of SQLite that the long way makes; whatever the short way
 * does not do, it leaves to the methods of the derived classes before it has done anything.
 *
 * Who owns what: a session has a list of its known texts, so that their statements can be finalized before SQLite's
 * connection is closed; and one of its cursors that have rows to fetch. Neither list counts.
 *
 * Threads: a session is used by one thread at a time, which holds it (ses_holds). It holds Python's global lock too, but
 * for while SQLite or the engine works. A function of the program's that is called meanwhile finds the session held, and
 * so goes the long way. */
#ifndef EDB_SHORT_H
#define EDB_SHORT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "engine/edb.h"
#include "engine/vtab/vtab.h"
#include "native/sqlstatement.h"

typedef struct known known;
typedef struct cursor cursor;

/* A context of a statement, for both worlds: Python has it as an object of cffi's, made when it is asked for. */
typedef struct {
    edb_stmt *px_stmt;              /* NULL: none that was begun here */
    PyObject *px_object;            /* NULL: none, or not asked for yet */
} context;

typedef struct session {
    PyObject_HEAD
    edb_conn *ses_engine;            /* NULL before attach() and behind finalize() */
    sqlite3 *ses_sqlite;
    PyObject *ses_as_context;        /* a function: the address of an edb_stmt -> what Python has of it */
    PyObject *ses_as_error;         /* a function: what known_error() gives -> the exception */
    unsigned long ses_holder;        /* thread that holds it, or did last */
    int ses_holds;
    bool ses_ending;                 /* it is held only to end a statement, soon: others wait */
    context ses_running;
    PyObject *ses_current;           /* the context that the engine has as current, or None; Python's side only */
    PyObject *ses_known, *ses_orphans, *ses_lost;
    PyObject *ses_supplied;         /* of INSERTs: table and column list as written -> None, or bits' address, columns, bits */
    PyObject *ses_tails;            /* by table and text as written: what known_with_tail() makes of ON CONFLICT and RETURNING */
    PyObject *ses_index_words;      /* a tuple of tuples of upper-case words: of indexes that the driver uses, what a text must have */
    PyObject *ses_templates;        /* by text without literals: what the driver made of such a text; see short_template.c */
    PyObject *ses_constants;        /* a set of the literals in indexes that the driver uses, as they are written */
    void *ses_room;                 /* for sql_read(); owned */
    size_t ses_room_size;
    int ses_hidden_compares;        /* of what a query uses without its text's showing it */
    known *ses_texts;
    cursor *ses_fetching;
    long long ses_total_changes;
    long long ses_names_settled;     /* as of earlier moments (nanoseconds) a table's name may mean another table: the long way */
    char ses_closed, ses_names_stale, ses_outgrown, ses_can_restart, ses_read_committed, ses_autocommit;
    char ses_plain;                 /* nothing is attached, no table is TEMP or has generated columns */
} session;

typedef struct {                    /* a text of SQLite's */
    PyObject *pp_sql;
    PyObject *pp_always;            /* values bound when it is prepared, before the others; a tuple */
    PyObject *pp_uses;              /* which parameters are bound, by number; None: the first ones, in their order */
    Py_ssize_t pp_first;            /* what is added to those numbers */
    sqlite3_stmt *pp_stmt;          /* NULL: not prepared yet */
} part;

enum known_at { AT_END, AT_ROW, AT_GIVEN_ROW };    /* no row; one to fetch; one that was fetched: the next has to be found */

typedef struct last_text last_text;
typedef struct {                    /* the texts of the rows made last (short_row.c); all 0: none yet */
    last_text *rtx_last;             /* owned, rtx_n of them, one for each column */
    int rtx_n, rtx_rows;              /* how many rows were made before they were remembered */
} row_texts;

struct known {
    PyObject_HEAD
    session *kt_session;            /* NULL: its statements are finalized and it cannot be run any more */
    known *kt_next, **kt_back;      /* among the session's */
    void (*kt_finalize)(known *pk); /* for the session, whose file stands below */
    PyObject *kt_prepared;          /* what the driver knows of it, and keeps what kt_start points to; None: it never looked */
    PyObject *kt_in_order;          /* a function: parameters -> a tuple of them by number; None: they are so */
    PyObject *kt_choices, *kt_literals, *kt_variants;   /* which text is run depends on parameters; NULL: it does not */
    edb_start kt_start;
    PyObject *kt_description;       /* NULL: not prepared yet */
    PyObject *kt_bound;             /* the parameters, which SQLite reads where they are; NULL: it is not running */
    Py_ssize_t kt_total;            /* parameters of the whole text; -1: as many as kt_parts[0] has */
    Py_ssize_t kt_taken;            /* how many sets the last known_each() has begun */
    bool kt_busy;                   /* a cursor has rows of it to fetch */
    bool kt_used;                   /* it was executed again */
    enum known_at kt_at;
    row_texts kt_texts;             /* of its rows, until it is reset */
    bool kt_writes, kt_gives_id;
    bool kt_returns;                /* its last part lists what RETURNING shows */
    int kt_n_parts;                 /* the statement; what tells ON CONFLICT; the list of RETURNING */
    part *kt_parts;
};

struct cursor {
    PyObject_HEAD
    session *cur_session;            /* counted */
    PyObject *cur_raw, *cur_source;   /* apsw's cursor; what rows come from, that or a known text */
    context cur_context;             /* of the rows being fetched */
    PyObject *cur_rows, *cur_error, *cur_description, *cur_last_id, *cur_as_of;
    long long cur_row_count;
    long cur_next_rows;
    char cur_closed, cur_executing, cur_schema_then;    /* as of earlier moments under the schema of then: the long way */
    cursor *cur_next, **cur_back;     /* among the session's that have rows to fetch; cur_back NULL: it is not */
};

extern PyTypeObject *session_type, *known_type, *cursor_type;
extern PyType_Spec session_spec, known_spec, cursor_spec;
PyObject *uncollected(PyObject *self, PyObject *const *arguments, Py_ssize_t n);     /* uncollected.c */
PyObject *tagged_many(PyObject *self, PyObject *const *arguments, Py_ssize_t n);     /* tagged_many.c */

/* ---- short_session.c */
PyObject *context_get(context *px, session *ps);            /* new reference; None: none. NULL: failed */
int context_set(context *px, PyObject *value);              /* NULL: none */
/* Is a transaction open, or the statement one by itself? */
static inline bool session_allows(const session *ps)
{
    return !sqlite3_get_autocommit(ps->ses_sqlite) || ps->ses_autocommit;
}
bool session_hold(session *ps);                             /* false: another thread has it */
void session_let_go(session *ps);
/* Behind the end of a statement. outgrown: what edb_stmt_end() said. -> 0, or -1: an exception */
int session_ended(session *ps, bool outgrown);
/* Around a change that is a transaction by itself: what is to be known of its commit, and waiting until it is durable.
 * -> 0, or -1: an exception */
int session_begins_alone(session *ps);
int session_commits_alone(session *ps);
/* Is the exception one after which such a change is tried again? Then it is cleared. */
bool session_tries_again(session *ps);
/* Sets a member, which may be NULL, to a counted value. */
static inline void member_set(PyObject **member, PyObject *value)
{
    PyObject *before = *member;
    *member = value;
    Py_XDECREF(before);
}
static inline PyObject *counted(PyObject *o) { Py_INCREF(o); return o; }

/* ---- short_new.c */
/* Makes a text known, if it is one that SQLite is given as it is. NULL: it is not, or nobody knows yet; the driver finds out. */
known *known_plain(session *ps, PyObject *sql);
/* Puts it among the session's known texts. -> 0, or -1: an exception */
int known_keep(session *ps, PyObject *sql, known *pk);

/* ---- short_template.c */
/* The bytes that such a text may have room for; see known_of_template(). */
static inline size_t template_room(size_t size) { return 2 * size; }
/* A text that differs in literals only from one that the driver has looked at. room: template_room(size) bytes.
 * NULL: there is none, or an exception */
known *known_of_template(session *ps, PyObject *sql, const char *text, size_t size, const sql_shape *shape, char *room,
                         const edb_start *start, bool gives_id);
/* The known text to run with these parameters; borrowed. NULL: the driver has to choose, or an exception */
known *known_chosen(known *pk, PyObject *parameters);

/* ---- short_row.c */
PyObject *row_of(sqlite3_stmt *stmt, row_texts *rtx);        /* the row it stands on; NULL: an exception */
void row_texts_clear(row_texts *rtx);

/* ---- short_known.c */
/* A text that SQLite is given as it is, and the parts behind it, with parameters from number `first` on; total: of all of
 * them, or -1. NULL: an exception */
known *known_of_text(session *ps, PyObject *sql, PyObject *tail, Py_ssize_t first, Py_ssize_t total, const edb_start *start,
                     bool gives_id);
/* Prepares it, in a context as `start` begins, and binds the parameters.
 * -> 1: done; 0: it or they are not as simple as the short way wants them; -1: an exception */
int known_bind(known *pk, PyObject *parameters, const edb_start *start);
/* Finds the row to fetch, if that is not done. -> SQLite's result: SQLITE_ROW, SQLITE_DONE, or an error (stepped()) */
int known_advance(known *pk);
PyObject *known_row(known *pk);                             /* NULL: an exception */
/* Is SQLite's result that of a step that went well? */
static inline bool stepped(int code) { return (code == SQLITE_ROW || code == SQLITE_DONE) && !PyErr_Occurred(); }
/* What SQLite's result means, for Python: the exception that a function of the program's left, or (code, message). */
PyObject *known_error(session *ps, int code);
void known_reset(known *pk);                                /* its statements are not running, and nobody has its rows */

#endif
