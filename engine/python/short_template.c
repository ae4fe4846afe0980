/* Texts that may use an index that SQLite cannot use by itself, those whose ORDER BY may be taken away, and those that compare
 * columns: the driver changes them (driver/rewrite/choices.py and one_row.py), or sees that it changes nothing.
 *
 * What it makes of one text it makes of all that have the same template: the text with %s in the place of literals, but
 * for those that an index has too. Of a template the session keeps a tuple:
 *
 *   needs   a tuple of (number of a parameter, value that it has to have); which of them are fulfilled is a number, with
 *           a bit for each
 *   texts   a dict: for such a number the template of what SQLite is given
 *   make    a function: the number -> that template; None where the one text is there
 *   compares    what the engine is told of the texts (driver/rewrite/bounds.py)
 *
 * Without needs the text becomes a known one. With needs it gets one known text for each number that comes up. */
#include "engine/python/short.h"

#include <string.h>

#include "native/sqltokens.h"

/* A decimal number, or a text behind a comparison: elsewhere it may be a name. choices.py says the same. */
static bool may_be_left_out(const char *text, const sql_token_arrays *tk, int32_t i)
{
    if (tk->tka_kinds[i] == SQL_STRING)
        return i && tk->tka_kinds[i - 1] == SQL_OPERATOR && memchr("=<>", text[tk->tka_ends[i - 1] - 1], 3);
    for (int32_t at = tk->tka_starts[i]; at < tk->tka_ends[i]; at++)
        if (!memchr("0123456789.", text[at], 11))
            return false;
    return tk->tka_kinds[i] == SQL_NUMBER;
}

/* Copies, with %% for %. -> behind what was written */
static char *put_escaped(char *to, const char *from, const char *end)
{
    for (; from < end; from++) {
        if (*from == '%')
            *to++ = '%';
        *to++ = *from;
    }
    return to;
}

/* The template of a text, and a list of the literals that it leaves out. NULL: an exception */
static PyObject *template_of(session *ps, PyObject *sql, const char *text, size_t size, const sql_shape *shape, char *room,
                             PyObject *literals)
{
    sql_token_arrays tk = sql_tokens_of(shape);
    const char *from = text;
    char *to = room;

    for (int32_t i = 0; i < shape->tokens; i++) {
        if ((tk.tka_kinds[i] != SQL_NUMBER && tk.tka_kinds[i] != SQL_STRING) || !may_be_left_out(text, &tk, i))
            continue;
        PyObject *literal = PyUnicode_Substring(sql, tk.tka_starts[i], tk.tka_ends[i]);
        int decides = literal ? PySet_Contains(ps->ses_constants, literal) : -1;
        bool failed = decides < 0 || (!decides && PyList_Append(literals, literal));
        Py_XDECREF(literal);
        if (failed)
            return NULL;
        if (decides)
            continue;
        to = put_escaped(to, from, text + tk.tka_starts[i]);
        to = (char *)memcpy(to, "%s", 2) + 2;
        from = text + tk.tka_ends[i];
    }
    to = put_escaped(to, from, text + size);
    return PyUnicode_FromStringAndSize(room, to - room);
}

/* The text for what is fulfilled, with its literals. choices: needs, texts, make. NULL: an exception */
static PyObject *text_for(PyObject *choices, PyObject *fulfilled, PyObject *literals)
{
    PyObject *texts = PyTuple_GetItem(choices, 1), *found = PyDict_GetItemWithError(texts, fulfilled), *made;

    if (found)
        return PyUnicode_Format(found, literals);
    if (PyErr_Occurred() || !(made = PyObject_CallFunction(PyTuple_GetItem(choices, 2), "(O)", fulfilled)))
        return NULL;
    PyObject *text = PyDict_SetItem(texts, fulfilled, made) ? NULL : PyUnicode_Format(made, literals);
    Py_DECREF(made);
    return text;
}

static known *known_for(session *ps, PyObject *choices, PyObject *fulfilled, PyObject *literals, const edb_start *start,
                        bool gives_id)
{
    PyObject *text = text_for(choices, fulfilled, literals);
    known *pk = text ? known_of_text(ps, text, NULL, 0, -1, start, gives_id) : NULL;

    Py_XDECREF(text);
    return pk;
}

known *known_of_template(session *ps, PyObject *sql, const char *text, size_t size, const sql_shape *shape, char *room,
                         const edb_start *start, bool gives_id)
{
    PyObject *list = PyList_New(0);
    PyObject *key = list ? template_of(ps, sql, text, size, shape, room, list) : NULL;
    PyObject *choices = key ? PyDict_GetItemWithError(ps->ses_templates, key) : NULL;
    PyObject *literals = choices ? PyList_AsTuple(list) : NULL, *none = literals ? PyLong_FromLong(0) : NULL;
    known *pk = NULL;
    edb_start told = *start;

    Py_XDECREF(list);
    Py_XDECREF(key);
    if (none)
        told.compares = (int)PyLong_AsLong(PyTuple_GetItem(choices, 3)) | ps->ses_hidden_compares;
    start = &told;
    if (none && !PyTuple_Size(PyTuple_GetItem(choices, 0))) {
        pk = known_for(ps, choices, none, literals, start, gives_id);
    } else if (none && (pk = known_of_text(ps, sql, NULL, 0, -1, start, gives_id))) {
        pk->kt_choices = counted(choices);
        pk->kt_literals = counted(literals);
        if (!(pk->kt_variants = PyDict_New()))
            Py_CLEAR(pk);
    }
    Py_XDECREF(literals);
    Py_XDECREF(none);
    return pk;
}

/* is_value() of choices.py. -1: an exception */
static int is_value(PyObject *value, PyObject *wanted)
{
    bool comparable = PyUnicode_Check(wanted) ? PyUnicode_CheckExact(value)
                      : PyLong_Check(wanted)  ? PyLong_Check(value)
                                              : PyFloat_CheckExact(value);

    return comparable ? PyObject_RichCompareBool(value, wanted, Py_EQ) : 0;
}

/* Which needs the parameters, a tuple or a list, fulfil. NULL: an exception */
static PyObject *fulfilled_by(PyObject *needs, PyObject *parameters)
{
    bool is_tuple = PyTuple_CheckExact(parameters);
    Py_ssize_t given = is_tuple ? PyTuple_Size(parameters) : PyList_Size(parameters);
    unsigned long long found = 0;

    for (Py_ssize_t i = 0; i < PyTuple_Size(needs); i++) {
        PyObject *need = PyTuple_GetItem(needs, i);
        Py_ssize_t number = PyLong_AsSsize_t(PyTuple_GetItem(need, 0));
        PyObject *value = number >= given ? Py_None : is_tuple ? PyTuple_GetItem(parameters, number) : PyList_GetItem(parameters, number);
        int is_wanted = is_value(value, PyTuple_GetItem(need, 1));
        if (is_wanted < 0)
            return NULL;
        found |= (unsigned long long)is_wanted << i;
    }
    return PyLong_FromUnsignedLongLong(found);
}

known *known_chosen(known *pk, PyObject *parameters)
{
    if (!pk->kt_choices)
        return pk;
    if (!pk->kt_session || (!PyTuple_CheckExact(parameters) && !PyList_CheckExact(parameters)))
        return NULL;
    PyObject *fulfilled = fulfilled_by(PyTuple_GetItem(pk->kt_choices, 0), parameters);
    known *chosen = fulfilled ? (known *)PyDict_GetItemWithError(pk->kt_variants, fulfilled) : NULL;
    if (fulfilled && !chosen && !PyErr_Occurred()) {
        known *made = known_for(pk->kt_session, pk->kt_choices, fulfilled, pk->kt_literals, &pk->kt_start, pk->kt_gives_id);
        if (made && !PyDict_SetItem(pk->kt_variants, fulfilled, (PyObject *)made))
            chosen = made;      /* the dict keeps it */
        Py_XDECREF((PyObject *)made);
    }
    Py_XDECREF(fulfilled);
    return chosen;
}
