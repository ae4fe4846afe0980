/* What many tag expressions mean (edb_stmt_tagged_many()), from Python's texts to Python's lists. No part of the short way.
 *
 * Nearly all time of such a question goes into Python's objects, so none is made but the answer's: the engine reads the
 * texts where they are. The tuple that holds them cannot be changed while the global lock is given up. */
#include "engine/python/short.h"

/* false: an exception; a text is none, or has no UTF-8. */
static bool find_texts(PyObject *expressions, edb_text *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        Py_ssize_t size;
        texts[i].bytes = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(expressions, (Py_ssize_t)i), &size);
        if (!texts[i].bytes)
            return false;
        texts[i].size = (size_t)size;
    }
    return true;
}

static PyObject *list_of(const int64_t *ids, size_t n)
{
    PyObject *made = PyList_New((Py_ssize_t)n), *id;

    for (size_t i = 0; made && i < n; i++) {
        if (!(id = PyLong_FromLongLong(ids[i])))
            Py_CLEAR(made);
        else
            PyList_SetItem(made, (Py_ssize_t)i, id);
    }
    return made;
}

static PyObject *lists_of(const edb_tagged_many *tagged)
{
    int collects = PyGC_Disable();      /* see uncollected.c */
    PyObject *made = PyList_New((Py_ssize_t)tagged->n), *one;
    size_t begin = 0;

    for (size_t i = 0; made && i < tagged->n; begin = tagged->ends[i++]) {
        if (!(one = list_of(tagged->ids + begin, tagged->ends[i] - begin)))
            Py_CLEAR(made);
        else
            PyList_SetItem(made, (Py_ssize_t)i, one);
    }
    if (collects)
        PyGC_Enable();
    return made;
}

static PyObject *ask(edb_stmt *stmt, edb_tagged_many *tagged)
{
    int rc;

    Py_BEGIN_ALLOW_THREADS
    rc = edb_stmt_tagged_many(stmt, tagged);
    Py_END_ALLOW_THREADS
    if (rc)
        return PyLong_FromLong(rc);
    PyObject *made = lists_of(tagged);
    edb_bytes_free(tagged->ids);
    return made;
}

PyObject *tagged_many(PyObject *self, PyObject *const *arguments, Py_ssize_t n)
{
    edb_tagged_many tagged = { 0 };
    edb_text *texts = NULL;
    PyObject *made = NULL;

    (void)self;
    if (n != 3 || !PyTuple_Check(arguments[2])) {
        PyErr_SetString(PyExc_TypeError, "tagged_many() takes the address of a context, the id of a table and a tuple of texts");
        return NULL;
    }
    edb_stmt *stmt = PyLong_AsVoidPtr(arguments[0]);
    tagged.table = (uint32_t)PyLong_AsUnsignedLong(arguments[1]);
    if (PyErr_Occurred())
        return NULL;
    tagged.n = (size_t)PyTuple_Size(arguments[2]);
    texts = PyMem_Malloc(tagged.n * sizeof *texts + 1);
    tagged.ends = PyMem_Malloc(tagged.n * sizeof *tagged.ends + 1);
    tagged.expressions = texts;
    if (!texts || !tagged.ends)
        PyErr_NoMemory();
    else if (find_texts(arguments[2], texts, tagged.n))
        made = ask(stmt, &tagged);
    PyMem_Free(texts);
    PyMem_Free(tagged.ends);
    return made;
}
