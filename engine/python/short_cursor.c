/* A cursor: executes known texts, and fetches their rows, one or all. Everything else is in the derived class. */
#include "engine/python/short.h"

#include <stddef.h>
#include <structmember.h>

#include "engine/txn/txn.h"

/* What running a text came to. */
enum run { RUN_FAILED = -1, RUN_NOT, RUN_DONE };

/* ---- which cursors have rows to fetch --------------------------------------------------------------------------- */

static void fetching_begin(cursor *pc)
{
    session *ps = pc->cur_session;

    if (pc->cur_back)
        return;
    if ((pc->cur_next = ps->ses_fetching))
        pc->cur_next->cur_back = &pc->cur_next;
    pc->cur_back = &ps->ses_fetching;
    ps->ses_fetching = pc;
}

static void fetching_end(cursor *pc)
{
    if (!pc->cur_back)
        return;
    if ((*pc->cur_back = pc->cur_next))
        pc->cur_next->cur_back = pc->cur_back;
    pc->cur_back = NULL;
}

/* ---- the rows of a known text ----------------------------------------------------------------------------------- */

static void step_begins(session *ps, edb_stmt *st)
{
    context_set(&ps->ses_running, NULL);
    ps->ses_running.px_stmt = st;
}

static void step_ends(session *ps)
{
    edb_stmt_restore(ps->ses_engine, NULL);
    context_set(&ps->ses_running, NULL);
    member_set(&ps->ses_current, counted(Py_None));
}

/* The rows are over, or given up: lets go of the text and of the engine's pin. -> 0, or -1: an exception */
static int rows_end(cursor *pc)
{
    edb_stmt *st = pc->cur_context.px_stmt;
    PyObject *text = pc->cur_source;
    bool outgrown;

    fetching_end(pc);
    pc->cur_source = counted(pc->cur_raw);
    context_set(&pc->cur_context, NULL);
    known_reset((known *)text);
    outgrown = edb_stmt_end(st);
    Py_DECREF(text);
    return session_ended(pc->cur_session, outgrown);
}

/* Fetches the rows of the known text that are left, at most `most`, into a list. *over: there are no others. */
static PyObject *rows_fetch(cursor *pc, Py_ssize_t most, bool *over)
{
    session *ps = pc->cur_session;
    known *pk = (known *)pc->cur_source;
    PyObject *rows = PyList_New(0), *row;
    int code = SQLITE_ROW;

    if (!rows)
        return NULL;
    step_begins(ps, pc->cur_context.px_stmt);
    edb_stmt_enter(pc->cur_context.px_stmt);
    while (most-- > 0 && (code = known_advance(pk)) == SQLITE_ROW && !PyErr_Occurred()) {
        pk->kt_at = AT_GIVEN_ROW;
        row = known_row(pk);
        if (row)
            PyList_Append(rows, row);
        Py_XDECREF(row);
        if (PyErr_Occurred())
            break;
    }
    step_ends(ps);
    *over = code == SQLITE_DONE;
    if (stepped(code))
        return *over && rows_end(pc) ? (Py_DECREF(rows), NULL) : rows;
    Py_DECREF(rows);
    PyObject *error = known_error(ps, code);
    return error ? PyObject_CallMethod((PyObject *)pc, "_fail_step", "(N)", error) : NULL;
}

/* ---- running a known text --------------------------------------------------------------------------------------- */

/* What went wrong is said by the derived class, which ends the contexts. error: counted, NULL: an exception. */
static enum run run_failed(cursor *pc, known *pk, context *change, context *list, PyObject *error, PyObject *parameters)
{
    PyObject *stmt = error ? context_get(change, pc->cur_session) : NULL;
    PyObject *reader = stmt ? context_get(list, pc->cur_session) : NULL;
    PyObject *done = reader ? PyObject_CallMethod((PyObject *)pc, "_fail_known", "OOOOO", pk, stmt, reader, error, parameters) : NULL;

    Py_XDECREF(done);
    Py_XDECREF(reader);
    Py_XDECREF(stmt);
    Py_XDECREF(error);
    context_set(change, NULL);
    context_set(list, NULL);
    return RUN_FAILED;
}

static enum run run_query(cursor *pc, known *pk, PyObject *parameters, const edb_start *start)
{
    session *ps = pc->cur_session;
    edb_stmt *st;
    int code = SQLITE_OK;

    Py_BEGIN_ALLOW_THREADS
    if ((st = edb_stmt_start(start))) {
        ps->ses_running.px_stmt = st;
        code = sqlite3_step(pk->kt_parts[0].pp_stmt);
    }
    Py_END_ALLOW_THREADS
    if (!st)
        return RUN_NOT;
    step_ends(ps);
    pc->cur_context.px_stmt = st;
    member_set(&pc->cur_source, counted((PyObject *)pk));
    pk->kt_busy = true;
    pk->kt_at = code == SQLITE_ROW ? AT_ROW : AT_END;
    if (!stepped(code)) {
        context none = { NULL, NULL };
        return run_failed(pc, pk, &none, &none, known_error(ps, code), parameters);
    }
    if (!ps->ses_read_committed && !start->options.has_moment)
        ps->ses_can_restart = false;
    member_set(&pc->cur_description, counted(pk->kt_description));
    pc->cur_row_count = -1;
    if (code == SQLITE_DONE)
        return rows_end(pc) ? RUN_FAILED : RUN_DONE;
    fetching_begin(pc);
    return RUN_DONE;
}

/* The ON CONFLICT clauses, then the change. -> SQLite's result of the first that fails, or of the change. */
static int step_change(known *pk)
{
    int last = pk->kt_n_parts - pk->kt_returns;

    for (int i = 1; i < last; i++) {
        int code = sqlite3_step(pk->kt_parts[i].pp_stmt);
        if (code != SQLITE_DONE)
            return code;
        sqlite3_reset(pk->kt_parts[i].pp_stmt);
    }
    int code = sqlite3_step(pk->kt_parts[0].pp_stmt);
    if (code == SQLITE_DONE)
        sqlite3_reset(pk->kt_parts[0].pp_stmt);
    return code;
}

/* The rows of RETURNING. NULL: an exception, or *code is the error. */
static PyObject *list_rows(sqlite3_stmt *stmt, int *code)
{
    PyObject *rows = PyList_New(0), *row;
    row_texts texts = { .rtx_last = NULL };

    while (rows) {
        Py_BEGIN_ALLOW_THREADS
        *code = sqlite3_step(stmt);
        Py_END_ALLOW_THREADS
        if (*code != SQLITE_ROW || PyErr_Occurred())
            break;
        if ((row = row_of(stmt, &texts)))
            PyList_Append(rows, row);
        Py_XDECREF(row);
        if (PyErr_Occurred())
            break;
    }
    row_texts_clear(&texts);
    if (!stepped(*code))
        Py_CLEAR(rows);
    return rows;
}

/* The list of RETURNING is read in the transaction of its change: one that is a transaction by itself is not done here. */
static enum run run_change(cursor *pc, known *pk, PyObject *parameters, const edb_start *start)
{
    session *ps = pc->cur_session;
    bool alone = !start->options.in_transaction;
    sqlite3_stmt *listing = pk->kt_returns ? pk->kt_parts[pk->kt_n_parts - 1].pp_stmt : NULL;
    const edb_outcome *outcome = edb_conn_outcome(ps->ses_engine);
    context change = { NULL, NULL }, list = { NULL, NULL };
    edb_stmt *st;
    PyObject *rows = NULL;
    int code = SQLITE_OK, refused = 0;

    Py_BEGIN_ALLOW_THREADS
    if ((st = edb_stmt_start(start))) {
        ps->ses_running.px_stmt = st;
        code = step_change(pk);
        if (code == SQLITE_DONE && listing && !(list.px_stmt = edb_stmt_list(st)))
            refused = edb_last_code();
    }
    Py_END_ALLOW_THREADS
    if (!st)
        return RUN_NOT;
    change.px_stmt = st;
    if (list.px_stmt) {
        step_begins(ps, list.px_stmt);  /* functions that the list calls come back to its context */
        rows = stepped(code) ? list_rows(listing, &code) : NULL;
    }
    step_ends(ps);
    if (!refused && stepped(code) && (rows || !listing)) {
        known_reset(pk);
        if (listing)
            edb_stmt_finish_list(list.px_stmt);
        else
            refused = edb_stmt_finish(st);
    }
    if (refused || !stepped(code) || (listing && !rows)) {
        PyObject *error = refused ? PyLong_FromLong(refused) : known_error(ps, code);
        known_reset(pk);
        Py_XDECREF(rows);
        run_failed(pc, pk, &change, &list, error, parameters);
        return alone && session_tries_again(ps) ? RUN_NOT : RUN_FAILED;
    }
    ps->ses_can_restart = false;
    if (outcome->has_last_id && pk->kt_gives_id) {
        PyObject *id = PyLong_FromLongLong(outcome->last_id);
        if (!id)
            return RUN_FAILED;
        member_set(&pc->cur_last_id, id);
    }
    member_set(&pc->cur_description, counted(pk->kt_description));
    if (rows) {
        PyObject *left = PyObject_GetIter(rows);
        Py_DECREF(rows);
        if (!left)
            return RUN_FAILED;
        member_set(&pc->cur_rows, left);
    }
    pc->cur_row_count = outcome->changes;
    ps->ses_total_changes += outcome->changes;
    if (session_ended(ps, outcome->outgrown) || (alone && session_commits_alone(ps)))
        return RUN_FAILED;
    return RUN_DONE;
}

static enum run run_known(cursor *pc, known *text, PyObject *parameters)
{
    session *ps = pc->cur_session;
    bool past = pc->cur_as_of && pc->cur_as_of != Py_None;
    known *pk = known_chosen(text, parameters);
    int bound;

    if (!pk)
        return PyErr_Occurred() ? RUN_FAILED : RUN_NOT;
    edb_start start = pk->kt_start;
    if (pk->kt_busy || !pk->kt_session || !conn_usable(ps->ses_engine) || (pk->kt_writes && past)
        || !session_allows(ps))
        return RUN_NOT;
    if (past) {
        if (pc->cur_schema_then)
            return RUN_NOT;
        start.options.has_moment = true;
        start.options.moment_ns = PyLong_AsLongLong(pc->cur_as_of);
        if (PyErr_Occurred()) {
            PyErr_Clear();
            return RUN_NOT;
        }
        if (start.options.moment_ns < ps->ses_names_settled)
            return RUN_NOT;
    }
    start.options.in_transaction = !sqlite3_get_autocommit(ps->ses_sqlite);
    if (pk->kt_writes && !start.options.in_transaction) {
        if (pk->kt_returns)
            return RUN_NOT;
        if (session_begins_alone(ps))
            return RUN_FAILED;
    }
    if ((bound = known_bind(pk, parameters, &start)) <= 0)
        return bound ? RUN_FAILED : RUN_NOT;
    enum run run = pk->kt_writes ? run_change(pc, pk, parameters, &start) : run_query(pc, pk, parameters, &start);
    if (run == RUN_NOT)
        known_reset(pk);
    return run;
}

/* ---- methods ---------------------------------------------------------------------------------------------------- */

/* Whether the short way may be gone at all: nothing runs, nothing is closed, nothing waits to be done first. */
static bool is_idle(const cursor *pc)
{
    const session *ps = pc->cur_session;

    return ps && ps->ses_engine && !ps->ses_holds && !pc->cur_executing && !pc->cur_closed && !ps->ses_closed && !ps->ses_names_stale
           && ps->ses_lost == Py_None && !ps->ses_running.px_stmt && !ps->ses_running.px_object
           && PyObject_Size(ps->ses_orphans) == 0;
}

static void work_begins(cursor *pc)
{
    session_hold(pc->cur_session);
    pc->cur_executing = true;
}

static void work_ends(cursor *pc)
{
    pc->cur_executing = false;
    session_let_go(pc->cur_session);
}

/* Lets go of the result before. -> 0, or -1: an exception */
static int give_up_rows(cursor *pc)
{
    member_set(&pc->cur_rows, counted(Py_None));
    if (!pc->cur_context.px_object)
        return pc->cur_context.px_stmt ? rows_end(pc) : 0;
    PyObject *done = PyObject_CallMethod((PyObject *)pc, "_ready", NULL);   /* the driver's own fetching has begun */
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* The text that is known, or becomes known here, with a count of it; NULL: neither. */
static known *find_text(session *ps, PyObject *sql)
{
    known *pk = (known *)PyDict_GetItemWithError(ps->ses_known, sql);

    if (pk) {
        pk->kt_used = true;
        return (known *)counted((PyObject *)pk);
    }
    return session_allows(ps) ? known_plain(ps, sql) : NULL;
}

/* -> RUN_NOT: the long way has to execute it. */
static enum run execute_known(cursor *pc, PyObject *sql, PyObject *parameters)
{
    known *pk = find_text(pc->cur_session, sql);
    enum run run;

    if (!pk)
        return RUN_NOT;
    work_begins(pc);
    run = give_up_rows(pc) ? RUN_FAILED : run_known(pc, pk, parameters);
    work_ends(pc);
    Py_DECREF((PyObject *)pk);
    return run;
}

/* For the long way, which has let go of the result before: makes a text known, and executes it. */
static PyObject *cursor_run(PyObject *self, PyObject *args)
{
    cursor *pc = (cursor *)self;
    PyObject *sql, *pk, *parameters;

    if (!PyArg_ParseTuple(args, "UO!O", &sql, known_type, &pk, &parameters) || known_keep(pc->cur_session, sql, (known *)pk))
        return NULL;
    enum run run = run_known(pc, (known *)pk, parameters);
    return run == RUN_FAILED ? NULL : PyBool_FromLong(run == RUN_DONE);
}

static PyObject *execute_long(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names)
{
    PyObject *method = PyObject_GetAttrString(self, "_execute"), *positional = PyTuple_New(n);
    PyObject *named = names ? PyDict_New() : NULL, *result = NULL;
    bool failed = !method || !positional || (names && !named);

    for (Py_ssize_t i = 0; !failed && i < n; i++)
        PyTuple_SetItem(positional, i, counted(args[i]));
    for (Py_ssize_t i = 0; !failed && names && i < PyTuple_Size(names); i++)
        failed = PyDict_SetItem(named, PyTuple_GetItem(names, i), args[n + i]);
    if (!failed)
        result = PyObject_Call(method, positional, named);
    Py_XDECREF(method);
    Py_XDECREF(positional);
    Py_XDECREF(named);
    return result;
}

static PyObject *cursor_execute(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names)
{
    cursor *pc = (cursor *)self;

    if (!names && (n == 1 || n == 2) && PyUnicode_CheckExact(args[0]) && is_idle(pc)) {
        PyObject *parameters = n == 2 ? counted(args[1]) : PyTuple_New(0);
        enum run run = parameters ? execute_known(pc, args[0], parameters) : RUN_FAILED;
        Py_XDECREF(parameters);
        if (run != RUN_NOT)
            return run == RUN_DONE ? counted(self) : NULL;
    }
    return execute_long(self, args, n, names);
}

/* Whether there are rows of a known text, and the driver's own fetching has not begun. */
static bool has_known_rows(const cursor *pc)
{
    return pc->cur_context.px_stmt && !pc->cur_context.px_object && pc->cur_next_rows == 1 && pc->cur_error == Py_None;
}

static PyObject *cursor_fetchone(PyObject *self, PyObject *unused)
{
    cursor *pc = (cursor *)self;
    PyObject *rows, *row;
    bool over;

    (void)unused;
    if (!is_idle(pc) || !has_known_rows(pc) || !conn_usable(pc->cur_session->ses_engine))
        return PyObject_CallMethod(self, "_fetch_one", NULL);
    work_begins(pc);
    rows = rows_fetch(pc, 1, &over);
    work_ends(pc);
    if (!rows)
        return NULL;
    row = counted(over ? Py_None : PyList_GetItem(rows, 0));
    Py_DECREF(rows);
    return row;
}

static PyObject *cursor_fetchall(PyObject *self, PyObject *unused)
{
    cursor *pc = (cursor *)self;
    bool is_over = !pc->cur_context.px_stmt && !pc->cur_context.px_object, over;
    PyObject *rows;

    (void)unused;
    if (!is_idle(pc) || (!is_over && !has_known_rows(pc)) || !conn_usable(pc->cur_session->ses_engine))
        return PyObject_CallMethod(self, "_fetch_rest", NULL);
    if (is_over && pc->cur_rows == Py_None)
        return PyList_New(0);
    work_begins(pc);
    if (is_over) {
        PyObject *kept = pc->cur_rows;
        pc->cur_rows = counted(Py_None);
        rows = PySequence_List(kept);
        Py_DECREF(kept);
    } else {
        rows = rows_fetch(pc, PY_SSIZE_T_MAX, &over);
    }
    work_ends(pc);
    return rows;
}

/* ---- the type --------------------------------------------------------------------------------------------------- */

static PyObject *context_getter(PyObject *self, void *unused)
{
    cursor *pc = (cursor *)self;
    (void)unused;
    return context_get(&pc->cur_context, pc->cur_session);
}

static int context_setter(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    return context_set(&((cursor *)self)->cur_context, value);
}

static PyObject *fetching_getter(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((cursor *)self)->cur_back != NULL);
}

static int fetching_setter(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    if (value == Py_True)
        fetching_begin((cursor *)self);
    else
        fetching_end((cursor *)self);
    return 0;
}

static PyObject *session_getter(PyObject *self, void *unused)
{
    session *ps = ((cursor *)self)->cur_session;
    (void)unused;
    if (!ps)
        return PyErr_Format(PyExc_AttributeError, "the cursor has no session");
    return counted((PyObject *)ps);
}

static int session_setter(PyObject *self, PyObject *value, void *unused)
{
    cursor *pc = (cursor *)self;
    (void)unused;
    if (!value || pc->cur_session || !PyObject_TypeCheck(value, session_type)) {
        PyErr_SetString(PyExc_TypeError, "a cursor gets one session");
        return -1;
    }
    pc->cur_session = (session *)counted(value);
    return 0;
}

#define OBJECTS(pc) \
    { &(pc)->cur_raw, &(pc)->cur_source, &(pc)->cur_context.px_object, &(pc)->cur_rows, &(pc)->cur_error, \
      &(pc)->cur_description, &(pc)->cur_last_id, &(pc)->cur_as_of }

static int cursor_traverse(PyObject *self, visitproc visit, void *arg)
{
    cursor *pc = (cursor *)self;
    PyObject **const objects[] = OBJECTS(pc);

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(pc->cur_session);
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        Py_VISIT(*objects[i]);
    return 0;
}

static int cursor_clear(PyObject *self)
{
    cursor *pc = (cursor *)self;
    PyObject **const objects[] = OBJECTS(pc);

    fetching_end(pc);
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        Py_CLEAR(*objects[i]);
    Py_CLEAR(pc->cur_session);
    return 0;
}

static void cursor_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    cursor_clear(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef cursor_methods[] = {
    { "execute", (PyCFunction)(void (*)(void))cursor_execute, METH_FASTCALL | METH_KEYWORDS,
      "execute($self, sql, parameters=(), /)\n--\n\nRun one statement." },
    { "_run", cursor_run, METH_VARARGS, "Make a text known and execute it, from within execute(). -> whether that was done" },
    { "fetchone", cursor_fetchone, METH_NOARGS, "The next row, or None." },
    { "fetchall", cursor_fetchall, METH_NOARGS, "All rows that are left." },
    { NULL, NULL, 0, NULL },
};

static PyGetSetDef cursor_getset[] = {
    { "_stmt", context_getter, context_setter, "The context of the rows being fetched; None: none.", NULL },
    { "_fetching", fetching_getter, fetching_setter, "Whether it is among its session's fetching().", NULL },
    { "_session", session_getter, session_setter, "Its connection's session.", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

#define MEMBER(name, type, field) { name, type, offsetof(cursor, field), 0, NULL }
static PyMemberDef cursor_members[] = {
    MEMBER("_raw", T_OBJECT_EX, cur_raw),
    MEMBER("_source", T_OBJECT_EX, cur_source),
    MEMBER("_rows", T_OBJECT_EX, cur_rows),
    MEMBER("_error", T_OBJECT_EX, cur_error),
    MEMBER("_next_rows", T_LONG, cur_next_rows),
    MEMBER("_closed", T_BOOL, cur_closed),
    MEMBER("_executing", T_BOOL, cur_executing),
    MEMBER("description", T_OBJECT_EX, cur_description),
    MEMBER("rowcount", T_LONGLONG, cur_row_count),
    MEMBER("lastrowid", T_OBJECT_EX, cur_last_id),
    MEMBER("as_of", T_OBJECT_EX, cur_as_of),
    MEMBER("schema_then", T_BOOL, cur_schema_then),
    { NULL, 0, 0, 0, NULL },
};
#undef MEMBER

static PyType_Slot cursor_slots[] = {
    { Py_tp_doc, "What a cursor is for the short way." },
    { Py_tp_traverse, (void *)cursor_traverse },
    { Py_tp_clear, (void *)cursor_clear },
    { Py_tp_dealloc, (void *)cursor_dealloc },
    { Py_tp_methods, cursor_methods },
    { Py_tp_getset, cursor_getset },
    { Py_tp_members, cursor_members },
    { 0, NULL },
};

PyTypeObject *cursor_type;

PyType_Spec cursor_spec = {
    .name = "entitydb_dialect._short.Cursor",
    .basicsize = sizeof(cursor),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = cursor_slots,
};
