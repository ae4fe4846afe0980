/* A known text: its statements, their parameters, where its rows are.
 *
 * Its statements are prepared when it is first run. Parameters are bound where Python has them, because a tuple with
 * texts, bytes and numbers stays as it is while the statement runs; others are left to the long way. */
#include "engine/python/short.h"

#include <limits.h>
#include <stddef.h>
#include <structmember.h>

#include "engine/txn/txn.h"

/* ---- parameters ------------------------------------------------------------------------------------------------ */

typedef struct {                    /* a value as SQLite is given it; its bytes are the Python object's */
    int pv_type, pv_size;
    union {
        long long pv_integer;
        double pv_real;
        const char *pv_bytes;
    };
} plain_value;

/* false: it is not for the short way. */
static bool read_value(PyObject *value, plain_value *out)
{
    Py_ssize_t size = 0;

    if (value == Py_None) {
        out->pv_type = SQLITE_NULL;
    } else if (PyUnicode_Check(value)) {
        out->pv_type = SQLITE_TEXT;
        out->pv_bytes = PyUnicode_AsUTF8AndSize(value, &size);
        if (!out->pv_bytes)
            return false;
    } else if (PyLong_Check(value)) {
        out->pv_type = SQLITE_INTEGER;
        out->pv_integer = PyLong_AsLongLong(value);
        if (out->pv_integer == -1 && PyErr_Occurred())
            return false;
    } else if (PyFloat_Check(value)) {
        out->pv_type = SQLITE_FLOAT;
        out->pv_real = PyFloat_AsDouble(value);
    } else if (PyBytes_CheckExact(value)) {
        out->pv_type = SQLITE_BLOB;
        size = PyBytes_Size(value);
        out->pv_bytes = PyBytes_AsString(value);
    } else {
        return false;
    }
    out->pv_size = (int)size;
    return size <= INT_MAX;
}

static int bind_plain(sqlite3_stmt *stmt, int at, const plain_value *value)
{
    switch (value->pv_type) {
    case SQLITE_TEXT:
        return sqlite3_bind_text(stmt, at, value->pv_bytes, value->pv_size, SQLITE_STATIC);
    case SQLITE_INTEGER:
        return sqlite3_bind_int64(stmt, at, value->pv_integer);
    case SQLITE_FLOAT:
        return sqlite3_bind_double(stmt, at, value->pv_real);
    case SQLITE_BLOB:
        return sqlite3_bind_blob(stmt, at, value->pv_bytes, value->pv_size, SQLITE_STATIC);
    default:
        return sqlite3_bind_null(stmt, at);
    }
}

/* -> SQLite's result; -1: the value is not for the short way. */
static int bind_value(sqlite3_stmt *stmt, int at, PyObject *value)
{
    plain_value plain;

    return read_value(value, &plain) ? bind_plain(stmt, at, &plain) : -1;
}

/* How many parameters of a set are bound, and which: its i-th. */
static Py_ssize_t part_count(const part *pp)
{
    return pp->pp_uses == Py_None ? sqlite3_bind_parameter_count(pp->pp_stmt) : PyTuple_Size(pp->pp_uses);
}

static PyObject *part_value(const part *pp, PyObject *parameters, Py_ssize_t i)
{
    Py_ssize_t which = pp->pp_uses == Py_None ? i : PyLong_AsSsize_t(PyTuple_GetItem(pp->pp_uses, i));

    return PyTuple_GetItem(parameters, pp->pp_first + which);
}

static bool bind_part(part *pp, PyObject *parameters)
{
    int at = (int)PyTuple_Size(pp->pp_always);
    Py_ssize_t n = part_count(pp);

    for (Py_ssize_t i = 0; i < n; i++)
        if (bind_value(pp->pp_stmt, ++at, part_value(pp, parameters, i))) {
            PyErr_Clear();
            return false;
        }
    return true;
}

/* ---- statements ------------------------------------------------------------------------------------------------ */

static bool prepare_part(part *pp, sqlite3 *db)
{
    Py_ssize_t size, n = PyTuple_Size(pp->pp_always);
    const char *sql = PyUnicode_AsUTF8AndSize(pp->pp_sql, &size), *behind = NULL;

    if (!sql || size >= INT_MAX || sqlite3_prepare_v3(db, sql, (int)size + 1, SQLITE_PREPARE_PERSISTENT, &pp->pp_stmt, &behind)) {
        PyErr_Clear();
        return false;
    }
    if (!pp->pp_stmt || behind != sql + size) {     /* another statement behind it, a NUL in it, or but a comment */
        sqlite3_finalize(pp->pp_stmt);
        pp->pp_stmt = NULL;
        return false;
    }
    for (Py_ssize_t i = 0; i < n; i++)  /* the tuple keeps what is bound */
        if (bind_value(pp->pp_stmt, (int)i + 1, PyTuple_GetItem(pp->pp_always, i))) {
            PyErr_Clear();
            sqlite3_finalize(pp->pp_stmt);
            pp->pp_stmt = NULL;
            return false;
        }
    return true;
}

/* The columns of a statement's rows, as PEP 249 has them; None: it has none. NULL: an exception. */
static PyObject *describe(sqlite3_stmt *stmt)
{
    int n = sqlite3_column_count(stmt);
    PyObject *columns = n ? PyTuple_New(n) : counted(Py_None);

    for (int i = 0; columns && i < n; i++) {
        PyObject *column = Py_BuildValue("zzOOOOO", sqlite3_column_name(stmt, i), sqlite3_column_decltype(stmt, i), Py_None,
                                         Py_None, Py_None, Py_None, Py_None);
        if (column)
            PyTuple_SetItem(columns, i, column);
        else
            Py_CLEAR(columns);
    }
    return columns;
}

/* Prepares what is not prepared yet, in a context: the planner asks it what the statement compares. */
static bool prepare_parts(known *pk, const edb_start *start)
{
    session *ps = pk->kt_session;
    const edb_start plans = { .conn = start->conn, .options = start->options, .compares = start->compares };
    edb_stmt *st = NULL;
    bool done = true;

    for (int i = 0; done && i < pk->kt_n_parts; i++)
        if (!pk->kt_parts[i].pp_stmt)
            done = (st || (st = edb_stmt_start(&plans))) && prepare_part(&pk->kt_parts[i], ps->ses_sqlite);
    if (st) {
        edb_stmt_restore(ps->ses_engine, NULL);
        ps->ses_outgrown |= edb_stmt_end(st);
    }
    if (done && !pk->kt_description) {
        pk->kt_description = describe(pk->kt_parts[pk->kt_returns ? pk->kt_n_parts - 1 : 0].pp_stmt);
        PyErr_Clear();
    }
    return done && pk->kt_description;
}

/* The values of a dict in the order of the statement's names; None: something is missing. */
static PyObject *by_name(sqlite3_stmt *stmt, PyObject *parameters)
{
    int n = sqlite3_bind_parameter_count(stmt);
    PyObject *values = PyDict_CheckExact(parameters) ? PyTuple_New(n) : counted(Py_None);

    for (int i = 0; values && values != Py_None && i < n; i++) {
        const char *name = sqlite3_bind_parameter_name(stmt, i + 1);
        PyObject *value = name && *name != '?' ? PyDict_GetItemString(parameters, name + 1) : NULL;
        if (value)
            PyTuple_SetItem(values, i, counted(value));
        else
            member_set(&values, counted(Py_None));
    }
    return values;
}

static PyObject *in_order(known *pk, PyObject *parameters)
{
    if (PyTuple_CheckExact(parameters))
        return counted(parameters);
    if (PyList_CheckExact(parameters))
        return PyList_AsTuple(parameters);
    if (pk->kt_in_order != Py_None)
        return PyObject_CallFunction(pk->kt_in_order, "(O)", parameters);
    return by_name(pk->kt_parts[0].pp_stmt, parameters);
}

/* All parameters as a tuple in their order; None: they are not as simple as the short way wants them, or not as many as
 * the text has. NULL: an exception */
static PyObject *whole_set(known *pk, PyObject *parameters)
{
    Py_ssize_t total = pk->kt_total < 0 ? sqlite3_bind_parameter_count(pk->kt_parts[0].pp_stmt) : pk->kt_total;
    PyObject *set = in_order(pk, parameters);

    if (set && set != Py_None && PyTuple_Size(set) != total)
        member_set(&set, counted(Py_None));
    return set;
}

int known_bind(known *pk, PyObject *parameters, const edb_start *start)
{
    if (!prepare_parts(pk, start))
        return 0;
    PyObject *bound = whole_set(pk, parameters);
    bool done = bound != Py_None;

    if (!bound)
        return -1;
    for (int i = 0; done && i < pk->kt_n_parts; i++)
        done = bind_part(&pk->kt_parts[i], bound);
    if (done)
        member_set(&pk->kt_bound, bound);
    else
        Py_DECREF(bound);
    return done;
}

void known_reset(known *pk)
{
    for (int i = 0; i < pk->kt_n_parts; i++)
        if (pk->kt_parts[i].pp_stmt)
            sqlite3_reset(pk->kt_parts[i].pp_stmt);
    pk->kt_busy = false;
    pk->kt_at = AT_END;
    Py_CLEAR(pk->kt_bound);
    row_texts_clear(&pk->kt_texts);
}

static void known_finalize(known *pk)
{
    session *ps = pk->kt_session;

    if (!ps)
        return;
    if ((*pk->kt_back = pk->kt_next))
        pk->kt_next->kt_back = pk->kt_back;
    pk->kt_session = NULL;
    pk->kt_busy = false;
    pk->kt_at = AT_END;
    /* Handles that came through a fork are never freed. */
    for (int i = 0; ps->ses_engine && conn_usable(ps->ses_engine) && i < pk->kt_n_parts; i++)
        sqlite3_finalize(pk->kt_parts[i].pp_stmt);
    for (int i = 0; i < pk->kt_n_parts; i++)
        pk->kt_parts[i].pp_stmt = NULL;
}

/* ---- rows and errors ------------------------------------------------------------------------------------------- */

int known_advance(known *pk)
{
    if (pk->kt_at == AT_GIVEN_ROW) {
        int code;
        Py_BEGIN_ALLOW_THREADS
        code = sqlite3_step(pk->kt_parts[0].pp_stmt);
        Py_END_ALLOW_THREADS
        pk->kt_at = code == SQLITE_ROW ? AT_ROW : AT_END;
        return code;
    }
    return pk->kt_at == AT_ROW ? SQLITE_ROW : SQLITE_DONE;
}

PyObject *known_row(known *pk)
{
    return row_of(pk->kt_parts[0].pp_stmt, &pk->kt_texts);
}

PyObject *known_error(session *ps, int code)
{
    if (PyErr_Occurred()) {
        PyObject *type, *error, *trace;
        PyErr_Fetch(&type, &error, &trace);
        PyErr_NormalizeException(&type, &error, &trace);
        if (trace)
            PyException_SetTraceback(error, trace);
        Py_XDECREF(type);
        Py_XDECREF(trace);
        return error;
    }
    if ((sqlite3_errcode(ps->ses_sqlite) & 0xff) != (code & 0xff))  /* the connection was not told, as of a misuse */
        return Py_BuildValue("is", code, sqlite3_errstr(code));
    return Py_BuildValue("is", sqlite3_extended_errcode(ps->ses_sqlite), sqlite3_errmsg(ps->ses_sqlite));
}

/* Raises what known_error() found; takes it over. */
static void raise_found(session *ps, PyObject *error)
{
    PyObject *raised = error ? PyObject_CallFunction(ps->ses_as_error, "(N)", error) : NULL;

    if (raised)
        PyErr_SetObject((PyObject *)Py_TYPE(raised), raised);
    Py_XDECREF(raised);
}

/* ---- one execution for each set of parameters ------------------------------------------------------------------- */

/* Python's global lock is given up once for several executions, since giving it up and taking it costs a tenth of a short one; so
 * their values are read before. */
enum { SETS_TOGETHER = 32, VALUES_TOGETHER = 256, BATCHES_BETWEEN_SIGNALS = 8 };

typedef struct {
    PyObject *bt_sets[SETS_TOGETHER];   /* tuples; they keep what the values point to */
    Py_ssize_t bt_n, bt_room;       /* sets; how many there may be */
    Py_ssize_t bt_each;             /* values of a set */
    plain_value *bt_values;         /* of all, owned */
} batch;

static bool batch_init(batch *bt, const part *pp)
{
    bt->bt_n = 0;
    bt->bt_each = part_count(pp);
    bt->bt_room = bt->bt_each * SETS_TOGETHER <= VALUES_TOGETHER ? SETS_TOGETHER : VALUES_TOGETHER / bt->bt_each;
    if (!bt->bt_room)
        bt->bt_room = 1;
    bt->bt_values = PyMem_Malloc((size_t)(bt->bt_room * bt->bt_each + 1) * sizeof *bt->bt_values);
    return bt->bt_values || PyErr_NoMemory();
}

static void batch_clear(batch *bt)
{
    while (bt->bt_n)
        Py_DECREF(bt->bt_sets[--bt->bt_n]);
}

/* Adds a set. false: it is not for the short way, or an exception. */
static bool batch_add(batch *bt, part *pp, known *pk, PyObject *set)
{
    plain_value *to = bt->bt_values + bt->bt_n * bt->bt_each;
    PyObject *bound = whole_set(pk, set);

    if (!bound)
        return false;
    bool plain = bound != Py_None;
    for (Py_ssize_t i = 0; plain && i < bt->bt_each; i++)
        plain = read_value(part_value(pp, bound, i), &to[i]);
    if (plain) {
        bt->bt_sets[bt->bt_n++] = bound;
        return true;
    }
    PyErr_Clear();
    Py_DECREF(bound);
    return false;
}

/* Sets from one on. What hinders one that is not the first is found again when it is. */
static void batch_read(batch *bt, part *pp, known *pk, PyObject *sets, Py_ssize_t from)
{
    bool more = true;

    while (more && bt->bt_n < bt->bt_room && from + bt->bt_n < PySequence_Size(sets)) {
        PyObject *set = PySequence_GetItem(sets, from + bt->bt_n);
        more = set && batch_add(bt, pp, pk, set);
        Py_XDECREF(set);
    }
    if (bt->bt_n)
        PyErr_Clear();
}

/* Without the global lock. *ran: how many came to their end. -> SQLite's result of the last step; -1: it does not take a value. */
static int batch_run(const batch *bt, part *pp, int always, Py_ssize_t *ran)
{
    for (*ran = 0; *ran < bt->bt_n; ++*ran) {
        const plain_value *values = bt->bt_values + *ran * bt->bt_each;
        int code = SQLITE_OK;
        for (Py_ssize_t i = 0; !code && i < bt->bt_each; i++)
            code = bind_plain(pp->pp_stmt, always + (int)i + 1, &values[i]);
        if (code)
            return -1;
        while (!code || code == SQLITE_ROW)
            code = sqlite3_step(pp->pp_stmt);
        if (code != SQLITE_DONE)
            return code;
        sqlite3_reset(pp->pp_stmt);
    }
    return SQLITE_DONE;
}

/* *done: how many sets came to their end; kt_taken: how many were begun. -> SQLite's result of the last step; -1: the next set is
 * not for the short way, or an exception. */
static int run_batches(known *pk, PyObject *sets, batch *bt, Py_ssize_t *done)
{
    part *pp = pk->kt_parts;
    int code = SQLITE_DONE, always = (int)PyTuple_Size(pp->pp_always);

    for (unsigned batches = 1; code == SQLITE_DONE && !PyErr_Occurred() && *done < PySequence_Size(sets); batches++) {
        Py_ssize_t ran;
        batch_read(bt, pp, pk, sets, *done);
        if (!bt->bt_n) {
            pk->kt_taken = *done + 1;
            return -1;
        }
        Py_BEGIN_ALLOW_THREADS
        code = batch_run(bt, pp, always, &ran);
        Py_END_ALLOW_THREADS
        *done += ran;
        pk->kt_taken = *done + (code != SQLITE_DONE);
        batch_clear(bt);            /* what is bound is read no more: the statement is over, or has failed */
        if (batches % BATCHES_BETWEEN_SIGNALS == 0)
            PyErr_CheckSignals();   /* no code of Python's runs meanwhile, which would do it */
    }
    return code;
}

static PyObject *known_each(PyObject *self, PyObject *sets)
{
    known *pk = (known *)self;
    part *pp = pk->kt_parts;
    PyObject *error = NULL;
    Py_ssize_t done = 0;
    batch bt;

    pk->kt_taken = 0;
    if (!pk->kt_session || pk->kt_busy || (!pp->pp_stmt && !prepare_part(pp, pk->kt_session->ses_sqlite)))
        return PyLong_FromLong(0);
    if (!batch_init(&bt, pp))
        return NULL;
    pk->kt_busy = true;
    int code = run_batches(pk, sets, &bt, &done);
    if (PyErr_Occurred() || (code != SQLITE_DONE && code != -1))
        error = known_error(pk->kt_session, code);
    known_reset(pk);
    sqlite3_clear_bindings(pp->pp_stmt);
    PyMem_Free(bt.bt_values);
    if (!error)
        return PyLong_FromSsize_t(done);
    raise_found(pk->kt_session, error);
    return NULL;
}

/* ---- as a source of rows, for the driver's own fetching: what apsw's cursors have ------------------------------- */

/* The next row; NULL without an exception: they are over. */
static PyObject *known_next(PyObject *self)
{
    known *pk = (known *)self;
    int code = known_advance(pk);

    if (!stepped(code)) {
        raise_found(pk->kt_session, known_error(pk->kt_session, code));
        return NULL;
    }
    if (code == SQLITE_DONE)
        return NULL;
    pk->kt_at = AT_GIVEN_ROW;
    return known_row(pk);
}

static PyObject *known_iter(PyObject *self)
{
    return counted(self);
}

static PyObject *known_fetchone(PyObject *self, PyObject *unused)
{
    PyObject *row = known_next(self);

    (void)unused;
    return row || PyErr_Occurred() ? row : counted(Py_None);
}

static PyObject *known_fetchall(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PySequence_List(self);
}

static PyObject *known_close(PyObject *self, PyObject *args)
{
    (void)args;
    if (((known *)self)->kt_session)
        known_reset((known *)self);
    return counted(Py_None);
}

/* ---- the type -------------------------------------------------------------------------------------------------- */

static int make_room(known *pk, Py_ssize_t parts)
{
    if ((pk->kt_parts = PyMem_Calloc((size_t)parts, sizeof *pk->kt_parts)))
        return 0;
    PyErr_NoMemory();
    return -1;
}

static int read_parts(known *pk, PyObject *parts, Py_ssize_t first)
{
    for (Py_ssize_t i = 0; i < PyTuple_Size(parts); i++, pk->kt_n_parts++) {
        part *pp = &pk->kt_parts[pk->kt_n_parts];
        if (!PyArg_ParseTuple(PyTuple_GetItem(parts, i), "UO!O", &pp->pp_sql, &PyTuple_Type, &pp->pp_always, &pp->pp_uses))
            return -1;
        pp->pp_first = first;
        Py_INCREF(pp->pp_sql);
        Py_INCREF(pp->pp_always);
        Py_INCREF(pp->pp_uses);
    }
    return 0;
}

static void known_set(known *pk, session *ps, const edb_start *start, bool gives_id)
{
    pk->kt_start = *start;
    pk->kt_writes = start->options.writes;
    pk->kt_gives_id = gives_id;
    pk->kt_session = ps;
    pk->kt_finalize = known_finalize;
    if ((pk->kt_next = ps->ses_texts))
        pk->kt_next->kt_back = &pk->kt_next;
    pk->kt_back = &ps->ses_texts;
    ps->ses_texts = pk;
}

static int known_init(PyObject *self, PyObject *args, PyObject *names)
{
    known *pk = (known *)self;
    session *ps;
    PyObject *parts;
    Py_ssize_t supplied, columns;
    int writes, gives_id, returns;
    unsigned captured;
    int compares;

    (void)names;
    if (pk->kt_parts || !PyArg_ParseTuple(args, "O!OOpppinnInO!", session_type, &ps, &pk->kt_prepared, &pk->kt_in_order, &writes,
                                          &gives_id, &returns, &compares, &supplied, &columns, &captured, &pk->kt_total,
                                          &PyTuple_Type, &parts))
        return -1;
    Py_INCREF(pk->kt_prepared);
    Py_INCREF(pk->kt_in_order);
    if (make_room(pk, PyTuple_Size(parts)) || read_parts(pk, parts, 0))
        return -1;
    pk->kt_returns = returns;
    known_set(pk, ps, &(edb_start){ .conn = ps->ses_engine, .options = { .in_transaction = true, .writes = writes },
                                    .compares = compares, .supplied = (const uint8_t *)supplied, .columns = (size_t)columns,
                                    .captured = captured }, gives_id);
    return 0;
}

known *known_of_text(session *ps, PyObject *sql, PyObject *tail, Py_ssize_t first, Py_ssize_t total, const edb_start *start,
                     bool gives_id)
{
    known *pk = (known *)((allocfunc)PyType_GetSlot(known_type, Py_tp_alloc))(known_type, 0);
    PyObject *parts = pk ? Py_BuildValue("((O()O))", sql, Py_None) : NULL;

    if (!pk)
        return NULL;
    pk->kt_prepared = counted(Py_None);
    pk->kt_in_order = counted(Py_None);
    pk->kt_total = total;
    pk->kt_returns = start->captured != 0;
    bool failed = !parts || make_room(pk, 1 + (tail ? PyTuple_Size(tail) : 0)) || read_parts(pk, parts, 0)
                  || (tail && read_parts(pk, tail, first));
    Py_XDECREF(parts);
    if (failed) {
        Py_DECREF((PyObject *)pk);
        return NULL;
    }
    known_set(pk, ps, start, gives_id);
    return pk;
}

static void known_dealloc(PyObject *self)
{
    known *pk = (known *)self;
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    known_finalize(pk);
    row_texts_clear(&pk->kt_texts);
    for (int i = 0; i < pk->kt_n_parts; i++) {
        Py_DECREF(pk->kt_parts[i].pp_sql);
        Py_DECREF(pk->kt_parts[i].pp_always);
        Py_DECREF(pk->kt_parts[i].pp_uses);
    }
    PyMem_Free(pk->kt_parts);
    Py_CLEAR(pk->kt_prepared);
    Py_CLEAR(pk->kt_in_order);
    Py_CLEAR(pk->kt_choices);
    Py_CLEAR(pk->kt_literals);
    Py_CLEAR(pk->kt_variants);
    Py_CLEAR(pk->kt_description);
    Py_CLEAR(pk->kt_bound);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* What it holds is texts, numbers and values, and what the driver knows of them: nothing that leads back to it. */
static int known_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static PyObject *sql_getter(PyObject *self, void *unused)
{
    known *pk = (known *)self;

    (void)unused;
    return counted(pk->kt_n_parts ? pk->kt_parts->pp_sql : Py_None);
}

static PyGetSetDef known_getset[] = {
    { "sql", sql_getter, NULL, "What SQLite gets.", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef known_methods[] = {
    { "fetchone", known_fetchone, METH_NOARGS, "The next row, or None." },
    { "fetchall", known_fetchall, METH_NOARGS, "The rows that are left." },
    { "each", known_each, METH_O,
      "Execute it once for each set of parameters of a list or tuple, in the context that is current.\n\n"
      "-> how many were executed; for the next one the short way will not do." },
    { "close", known_close, METH_VARARGS, "Gives up the rows." },
    { NULL, NULL, 0, NULL },
};

static PyMemberDef known_members[] = {
    { "returns", T_BOOL, offsetof(known, kt_returns), READONLY, "Whether it has RETURNING." },
    { "variants", T_OBJECT, offsetof(known, kt_variants), READONLY, "By what parameters fulfil, the texts that are run; None: it is run itself." },
    { "taken", T_PYSSIZET, offsetof(known, kt_taken), READONLY, "How many sets the last each() has begun to execute." },
    { "prepared", T_OBJECT, offsetof(known, kt_prepared), READONLY, "What the driver knows of it; None: it never looked." },
    { NULL, 0, 0, 0, NULL },
};

static PyType_Slot known_slots[] = {
    { Py_tp_doc, "What a known text is for the short way." },
    { Py_tp_init, (void *)known_init },
    { Py_tp_dealloc, (void *)known_dealloc },
    { Py_tp_traverse, (void *)known_traverse },
    { Py_tp_methods, known_methods },
    { Py_tp_members, known_members },
    { Py_tp_getset, known_getset },
    { Py_tp_iter, (void *)known_iter },
    { Py_tp_iternext, (void *)known_next },
    { 0, NULL },
};

PyTypeObject *known_type;

PyType_Spec known_spec = {
    .name = "entitydb_dialect._short.Known",
    .basicsize = sizeof(known),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = known_slots,
};
