/* Rows of SQLite's as tuples of Python's.
 *
 * A text that is the same as in the row before is the same object. Rows that come together often repeat themselves: the versions of
 * a row, the state of an order. Comparing costs less than a tenth of what making a text does, and a column whose texts keep
 * differing is soon left alone. */
#include "engine/python/short.h"

#include <stdlib.h>
#include <string.h>

enum { REPEATED_MOST = 64 };        /* bytes; longer texts are made each time */
enum { ROWS_BEFORE = 4 };           /* rows after which texts are remembered: most results have fewer */
enum { MISSES_MOST = 16 };          /* texts that differ, one after the other, after which a column is left alone */

struct last_text {
    PyObject *lt_object;            /* NULL: none */
    int lt_size, lt_misses;
    char lt_bytes[REPEATED_MOST];
};

static PyObject *text_of(sqlite3_value *value, last_text *last)
{
    const char *text = (const char *)sqlite3_value_text(value);
    int size = sqlite3_value_bytes(value);
    PyObject *made, *before;

    if (!text)
        return PyErr_NoMemory();
    if (!last || size > REPEATED_MOST || last->lt_misses == MISSES_MOST)
        return PyUnicode_FromStringAndSize(text, size);
    if (last->lt_object && last->lt_size == size && !memcmp(last->lt_bytes, text, (size_t)size)) {
        last->lt_misses = 0;
        return counted(last->lt_object);
    }
    if ((made = PyUnicode_FromStringAndSize(text, size))) {
        memcpy(last->lt_bytes, text, (size_t)size);
        last->lt_size = size;
        last->lt_misses++;
        before = last->lt_object;
        last->lt_object = counted(made);
        Py_XDECREF(before);
    }
    return made;
}

static PyObject *column(sqlite3_stmt *stmt, int i, last_text *last)
{
    sqlite3_value *value = sqlite3_column_value(stmt, i);   /* one thread uses the connection: the value is safe */

    switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
        return PyLong_FromLongLong(sqlite3_value_int64(value));
    case SQLITE_FLOAT:
        return PyFloat_FromDouble(sqlite3_value_double(value));
    case SQLITE_TEXT:
        return text_of(value, last);
    case SQLITE_BLOB: {
        const char *bytes = sqlite3_value_blob(value);
        return PyBytes_FromStringAndSize(bytes, sqlite3_value_bytes(value));
    }
    default:
        return counted(Py_None);
    }
}

/* Memory for the texts of n columns; NULL: there are few rows so far, or no memory, and none are remembered. */
static last_text *remembered(row_texts *rtx, int n)
{
    if (rtx->rtx_last || ++rtx->rtx_rows <= ROWS_BEFORE)
        return rtx->rtx_last;
    if ((rtx->rtx_last = calloc((size_t)n, sizeof *rtx->rtx_last)))
        rtx->rtx_n = n;
    return rtx->rtx_last;
}

PyObject *row_of(sqlite3_stmt *stmt, row_texts *rtx)
{
    int n = sqlite3_data_count(stmt);
    last_text *last = remembered(rtx, n);
    PyObject *row = PyTuple_New(n);

    for (int i = 0; row && i < n; i++) {
        PyObject *value = column(stmt, i, last ? &last[i] : NULL);
        if (value)
            PyTuple_SetItem(row, i, value);
        else
            Py_CLEAR(row);
    }
    return row;
}

void row_texts_clear(row_texts *rtx)
{
    for (int i = 0; i < rtx->rtx_n; i++)
        Py_XDECREF(rtx->rtx_last[i].lt_object);
    free(rtx->rtx_last);
    *rtx = (row_texts){ .rtx_last = NULL };
}
