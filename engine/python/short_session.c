/* A session: the handles, who holds it, and which of its cursors have rows to fetch. */
#include "engine/python/short.h"

#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <structmember.h>

#include "engine/txn/txn.h"

/* ---- contexts -------------------------------------------------------------------------------------------------- */

PyObject *context_get(context *px, session *ps)
{
    if (!px->px_object) {
        if (!px->px_stmt)
            return counted(Py_None);
        px->px_object = PyObject_CallFunction(ps->ses_as_context, "n", (Py_ssize_t)px->px_stmt);
        if (!px->px_object)
            return NULL;
    }
    return counted(px->px_object);
}

int context_set(context *px, PyObject *value)
{
    px->px_stmt = NULL;
    member_set(&px->px_object, value && value != Py_None ? counted(value) : NULL);
    return 0;
}

/* ---- one thread at a time -------------------------------------------------------------------------------------- */

bool session_hold(session *ps)
{
    unsigned long me = PyThread_get_thread_ident();

    while (ps->ses_holds && ps->ses_holder != me) {
        if (!ps->ses_ending)
            return false;
        Py_BEGIN_ALLOW_THREADS
        sched_yield();
        Py_END_ALLOW_THREADS
    }
    ps->ses_holder = me;
    ps->ses_holds++;
    return true;
}

void session_let_go(session *ps)
{
    if (!--ps->ses_holds)
        ps->ses_ending = false;
}

static PyObject *session_acquire(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(session_hold((session *)self));
}

static PyObject *session_acquire_to_end(PyObject *self, PyObject *unused)
{
    session *ps = (session *)self;
    bool ours = !ps->ses_holds && ps->ses_holder == PyThread_get_thread_ident();

    (void)unused;
    if (ours)
        ps->ses_ending = session_hold(ps);
    return PyBool_FromLong(ours);
}

static PyObject *session_release(PyObject *self, PyObject *unused)
{
    (void)unused;
    session_let_go((session *)self);
    return counted(Py_None);
}

/* ---- the handles ----------------------------------------------------------------------------------------------- */

static PyObject *session_attach(PyObject *self, PyObject *args)
{
    session *ps = (session *)self;
    Py_ssize_t engine, sqlite;
    PyObject *as_context, *as_error;

    if (!PyArg_ParseTuple(args, "nnOO", &engine, &sqlite, &as_context, &as_error))
        return NULL;
    ps->ses_engine = (edb_conn *)engine;
    ps->ses_sqlite = (sqlite3 *)sqlite;
    member_set(&ps->ses_as_context, counted(as_context));
    member_set(&ps->ses_as_error, counted(as_error));
    return counted(Py_None);
}

static PyObject *session_finalize(PyObject *self, PyObject *unused)
{
    session *ps = (session *)self;

    (void)unused;
    while (ps->ses_texts)
        ps->ses_texts->kt_finalize(ps->ses_texts);
    ps->ses_engine = NULL;
    ps->ses_sqlite = NULL;
    free(ps->ses_room);
    ps->ses_room = NULL;
    ps->ses_room_size = 0;
    return counted(Py_None);
}

int session_ended(session *ps, bool outgrown)
{
    if (sqlite3_get_autocommit(ps->ses_sqlite))
        edb_conn_settle(ps->ses_engine, true);
    if (outgrown || ps->ses_outgrown) {
        PyObject *done = PyObject_CallMethod((PyObject *)ps, "plan_anew", NULL);
        if (!done)
            return -1;
        Py_DECREF(done);
    }
    return 0;
}

int session_begins_alone(session *ps)
{
    PyObject *done = PyObject_CallMethod((PyObject *)ps, "begins_alone", NULL);

    Py_XDECREF(done);
    return done ? 0 : -1;
}

int session_commits_alone(session *ps)
{
    int refused;

    Py_BEGIN_ALLOW_THREADS
    refused = edb_conn_wait(ps->ses_engine);
    Py_END_ALLOW_THREADS
    PyObject *raised = refused ? PyObject_CallMethod((PyObject *)ps, "commit_refused", "i", refused) : counted(Py_None);
    Py_XDECREF(raised);
    return raised ? 0 : -1;
}

bool session_tries_again(session *ps)
{
    PyObject *type, *error, *trace, *lost_race;
    bool again;

    PyErr_Fetch(&type, &error, &trace);
    lost_race = PyObject_GetAttrString((PyObject *)ps, "lost_race");
    again = lost_race && sqlite3_get_autocommit(ps->ses_sqlite) && PyErr_GivenExceptionMatches(type, lost_race);
    Py_XDECREF(lost_race);
    if (!again) {
        PyErr_Restore(type, error, trace);
        return false;
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
    return true;
}

static PyObject *session_fetching(PyObject *self, PyObject *unused)
{
    PyObject *found = PyList_New(0);

    (void)unused;
    for (cursor *pc = ((session *)self)->ses_fetching; found && pc; pc = pc->cur_next)
        if (PyList_Append(found, (PyObject *)pc))
            Py_CLEAR(found);
    return found;
}

/* ---- the type -------------------------------------------------------------------------------------------------- */

static PyObject *running_get(PyObject *self, void *unused)
{
    (void)unused;
    return context_get(&((session *)self)->ses_running, (session *)self);
}

static int running_set(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    return context_set(&((session *)self)->ses_running, value);
}

#define OBJECTS(ps) \
    { &(ps)->ses_as_context, &(ps)->ses_as_error, &(ps)->ses_running.px_object, &(ps)->ses_current, &(ps)->ses_known, \
      &(ps)->ses_orphans, &(ps)->ses_lost, &(ps)->ses_supplied, &(ps)->ses_tails, \
      &(ps)->ses_index_words, &(ps)->ses_templates, &(ps)->ses_constants }

static int session_traverse(PyObject *self, visitproc visit, void *arg)
{
    session *ps = (session *)self;
    PyObject **const objects[] = OBJECTS(ps);

    Py_VISIT(Py_TYPE(self));
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        Py_VISIT(*objects[i]);
    return 0;
}

static int session_clear(PyObject *self)
{
    session *ps = (session *)self;
    PyObject **const objects[] = OBJECTS(ps);

    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        Py_CLEAR(*objects[i]);
    return 0;
}

static void session_dealloc(PyObject *self)
{
    session *ps = (session *)self;
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    session_clear(self);
    while (ps->ses_texts)            /* somebody keeps them, and nobody can run them */
        ps->ses_texts->kt_finalize(ps->ses_texts);
    free(ps->ses_room);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef session_methods[] = {
    { "acquire_to_end", session_acquire_to_end, METH_NOARGS,
      "Hold the session to end a statement, if nobody does and this thread did last. -> whether" },
    { "acquire", session_acquire, METH_NOARGS, "Hold the session, if no other thread does; as often as wanted. -> whether" },
    { "release", session_release, METH_NOARGS, "Let go of it, once." },
    { "attach", session_attach, METH_VARARGS, "The addresses of the handles, and what makes a context of an address and an exception of what was found." },
    { "finalize", session_finalize, METH_NOARGS, "Before the handles are freed: the known texts let go of them." },
    { "fetching", session_fetching, METH_NOARGS, "The cursors that have rows to fetch." },
    { NULL, NULL, 0, NULL },
};

static PyGetSetDef session_getset[] = {
    { "running", running_get, running_set, "The context being stepped now; None: none.", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

#define MEMBER(name, type, field) { name, type, offsetof(session, field), 0, NULL }
static PyMemberDef session_members[] = {
    MEMBER("current", T_OBJECT_EX, ses_current),
    MEMBER("known", T_OBJECT_EX, ses_known),
    MEMBER("orphans", T_OBJECT_EX, ses_orphans),
    MEMBER("lost", T_OBJECT_EX, ses_lost),
    MEMBER("supplied", T_OBJECT_EX, ses_supplied),
    MEMBER("hidden_compares", T_INT, ses_hidden_compares),
    MEMBER("plain", T_BOOL, ses_plain),
    MEMBER("tails", T_OBJECT_EX, ses_tails),
    MEMBER("index_words", T_OBJECT_EX, ses_index_words),
    MEMBER("templates", T_OBJECT_EX, ses_templates),
    MEMBER("constants", T_OBJECT_EX, ses_constants),
    MEMBER("total_changes", T_LONGLONG, ses_total_changes),
    MEMBER("names_settled", T_LONGLONG, ses_names_settled),
    MEMBER("closed", T_BOOL, ses_closed),
    MEMBER("temporary_names_stale", T_BOOL, ses_names_stale),
    MEMBER("outgrown", T_BOOL, ses_outgrown),
    MEMBER("can_restart", T_BOOL, ses_can_restart),
    MEMBER("read_committed", T_BOOL, ses_read_committed),
    MEMBER("autocommit", T_BOOL, ses_autocommit),
    { NULL, 0, 0, 0, NULL },
};
#undef MEMBER

static PyType_Slot session_slots[] = {
    { Py_tp_doc, "What a session is for the short way." },
    { Py_tp_traverse, (void *)session_traverse },
    { Py_tp_clear, (void *)session_clear },
    { Py_tp_dealloc, (void *)session_dealloc },
    { Py_tp_methods, session_methods },
    { Py_tp_getset, session_getset },
    { Py_tp_members, session_members },
    { 0, NULL },
};

PyTypeObject *session_type;

PyType_Spec session_spec = {
    .name = "entitydb_dialect._short.Session",
    .basicsize = sizeof(session),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = session_slots,
};
