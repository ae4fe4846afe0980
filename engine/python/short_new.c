/* Texts that are new: those that SQLite is given as they are become known here, without the driver's looking at them, and
 * those that differ in literals only from what it has looked at. */
#include "engine/python/short.h"

#include <stdlib.h>
#include <string.h>

#include "native/sqltokens.h"

enum {
    LONGEST = 16 * 1024,            /* bytes of a text; of longer ones it matters little who looks at them */
    MOST_KNOWN = 128,               /* texts of a connection: each keeps statements of SQLite's */
    /* What the driver has to look at. */
    LOOKED_AT = SQL_SEVERAL | SQL_ASKS_SCHEMA | SQL_DEFAULT_VALUES | SQL_OF_COMMIT | SQL_NAMES_MOMENT | SQL_MAY_SHORTEN
                | SQL_MAY_CHAIN | SQL_ORDERS_OTHERWISE | SQL_UPDATES_FROM | SQL_BOUNDS_ROW | SQL_SETS_ROWS,
};

static const sql_shape *read_shape(session *ps, const char *sql, size_t size)
{
    size_t room = sizeof(sql_shape) + 16 * size + template_room(size);

    if (room > ps->ses_room_size) {
        void *larger = realloc(ps->ses_room, room);
        if (!larger)
            return NULL;
        ps->ses_room = larger;
        ps->ses_room_size = room;
    }
    sql_read(sql, size, ps->ses_room);
    return (const sql_shape *)ps->ses_room;
}

/* What is behind the tokens: template_room(size) bytes. */
static char *room_behind(session *ps, size_t size)
{
    return (char *)ps->ses_room + sizeof(sql_shape) + 16 * size;
}

static bool writes(const sql_shape *shape)
{
    return shape->kind >= SQL_INSERT && shape->kind <= SQL_DELETE;
}

static bool inserts(const sql_shape *shape)
{
    return shape->kind == SQL_INSERT || shape->kind == SQL_REPLACE;
}

static bool has_word(const char *upper, size_t size, PyObject *word)
{
    return memmem(upper, size, PyBytes_AsString(word), (size_t)PyBytes_Size(word)) != NULL;
}

/* Has the text all words of one of the indexes that the driver uses for it? They may stand in quotes, in any case. */
static bool has_words_of_index(session *ps, const char *text, size_t size)
{
    char *upper = room_behind(ps, size);
    bool found = false;

    if (!PyTuple_Size(ps->ses_index_words))
        return false;
    for (size_t i = 0; i < size; i++)
        upper[i] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 'a' + 'A' : text[i]);
    for (Py_ssize_t i = 0; !found && i < PyTuple_Size(ps->ses_index_words); i++) {
        PyObject *words = PyTuple_GetItem(ps->ses_index_words, i);
        Py_ssize_t n = PyTuple_Size(words), had = 0;
        while (had < n && has_word(upper, size, PyTuple_GetItem(words, had)))
            had++;
        found = had == n;
    }
    return found;
}

/* Does the driver change nothing of it, in a schema without what ses_plain tells of? */
static bool is_plain(const sql_shape *shape)
{
    if (shape->flags & LOOKED_AT)
        return false;
    if (shape->kind == SQL_SELECT || shape->kind == SQL_VALUES)
        return true;
    return writes(shape) && shape->table >= 0 && shape->schema < 0 && shape->alias < 0;
}

/* What edb_stmt_supplied() is to be told of an INSERT, by its table and column list as they are written. -> whether that
 * is known */
static bool find_supplied(session *ps, PyObject *sql, const sql_shape *shape, edb_start *start)
{
    Py_ssize_t bits, columns;

    if (shape->columns < 0)
        return true;                /* all of them */
    if (shape->list_end <= shape->table_start)
        return false;
    PyObject *head = PyUnicode_Substring(sql, shape->table_start, shape->list_end);
    PyObject *found = head ? PyDict_GetItemWithError(ps->ses_supplied, head) : NULL;
    bool is_known = found && (found == Py_None || PyArg_ParseTuple(found, "nnO", &bits, &columns, &(PyObject *){ NULL }));
    Py_XDECREF(head);
    PyErr_Clear();
    if (is_known && found != Py_None) {
        start->supplied = (const uint8_t *)bits;
        start->columns = (size_t)columns;
    }
    return is_known;
}

/* How many parameters stand in front of a token, all of them bare ?; -1: there is one with a number or a name. */
static Py_ssize_t bare_before(const char *text, const sql_shape *shape, int32_t token)
{
    sql_token_arrays tk = sql_tokens_of(shape);
    Py_ssize_t found = 0;

    for (int32_t i = 0; i < token; i++) {
        uint8_t kind = tk.tka_kinds[i];
        if (kind == SQL_VARIABLE && tk.tka_ends[i] - tk.tka_starts[i] > 1)
            return -1;
        found += kind == SQL_VARIABLE;
        for (int32_t at = tk.tka_starts[i]; kind == SQL_LIST && at < tk.tka_ends[i]; at++)
            found += text[at] == '?';
    }
    return found;
}

/* A change with ON CONFLICT or RETURNING behind it: of these clauses the driver has found out before what is executed for
 * them, in front of which change whatever. */
static known *known_with_tail(session *ps, PyObject *sql, const char *text, const sql_shape *shape, edb_start *start)
{
    int32_t token = shape->on_conflict >= 0 ? shape->on_conflict : shape->returning;
    int32_t at = sql_tokens_of(shape).tka_starts[token];
    bool turned = shape->returning >= 0 && shape->returning < token;    /* RETURNING in front: no SQL, for the driver to say */
    Py_ssize_t before = turned ? -1 : bare_before(text, shape, token), uses;
    PyObject *key = before < 0 ? NULL : Py_BuildValue("(NN)", PyUnicode_Substring(sql, shape->table_start, shape->table_end),
                                                      PyUnicode_Substring(sql, at, PyUnicode_GetLength(sql)));
    PyObject *found = key ? PyDict_GetItemWithError(ps->ses_tails, key) : NULL, *parts, *head;
    known *pk = NULL;

    Py_XDECREF(key);
    if (found && PyArg_ParseTuple(found, "InO!", &start->captured, &uses, &PyTuple_Type, &parts)
        && (head = PyUnicode_Substring(sql, 0, at))) {
        pk = known_of_text(ps, head, parts, before, before + uses, start, inserts(shape));
        Py_DECREF(head);
    }
    return pk;
}

static int compares(const session *ps, const sql_shape *shape)
{
    return (shape->flags & SQL_ROW_IN ? EDB_ROW_IN : 0) | (shape->flags & SQL_BOUND_BY_COLUMN ? EDB_BOUND_BY_COLUMN : 0)
           | (shape->flags & SQL_EQUAL_BY_COLUMN ? EDB_EQUAL_BY_COLUMN : 0) | ps->ses_hidden_compares;
}

static known *known_of_shape(session *ps, PyObject *sql, const char *text, Py_ssize_t size, const sql_shape *shape)
{
    edb_start start = { .conn = ps->ses_engine, .options = { .in_transaction = true, .writes = writes(shape) },
                        .compares = compares(ps, shape) };

    if (inserts(shape) && !find_supplied(ps, sql, shape, &start))
        return NULL;
    bool has_tail = shape->on_conflict >= 0 || shape->returning >= 0;
    bool may_change = shape->flags & (SQL_MAY_FIND_ONE | SQL_BOUND_BY_COLUMN | SQL_LISTS_QUERY | SQL_IS_COLUMN
                                       | SQL_LIMITS_JOIN)
                      || (shape->flags & SQL_HAS_TERMS && has_words_of_index(ps, text, (size_t)size));
    if (!has_tail && !may_change)
        return known_of_text(ps, sql, NULL, 0, -1, &start, inserts(shape));
    /* Of other than ASCII texts the offsets of tokens are not those of bytes. */
    if ((has_tail && may_change) || PyUnicode_GetLength(sql) != size)
        return NULL;
    return has_tail ? known_with_tail(ps, sql, text, shape, &start)
                    : known_of_template(ps, sql, text, (size_t)size, shape, room_behind(ps, (size_t)size), &start, inserts(shape));
}

known *known_plain(session *ps, PyObject *sql)
{
    Py_ssize_t size;
    const char *text = ps->ses_plain ? PyUnicode_AsUTF8AndSize(sql, &size) : NULL;
    const sql_shape *shape = text && size <= LONGEST ? read_shape(ps, text, (size_t)size) : NULL;
    known *pk = NULL;

    if (shape && is_plain(shape) && session_allows(ps))
        pk = known_of_shape(ps, sql, text, size, shape);
    if (pk && known_keep(ps, sql, pk))
        Py_CLEAR(pk);
    PyErr_Clear();
    return pk;
}

/* Of too many texts the one goes that was not executed for longest, or nearly so. */
int known_keep(session *ps, PyObject *sql, known *pk)
{
    PyObject *eldest, *text;

    if (PyDict_Contains(ps->ses_known, sql))
        return 0;
    while (PyDict_Size(ps->ses_known) >= MOST_KNOWN) {
        Py_ssize_t at = 0;
        if (!PyDict_Next(ps->ses_known, &at, &eldest, &text))
            break;
        Py_INCREF(eldest);
        Py_INCREF(text);
        int failed = PyDict_DelItem(ps->ses_known, eldest);
        if (!failed && ((known *)text)->kt_used) {
            ((known *)text)->kt_used = false;
            failed = PyDict_SetItem(ps->ses_known, eldest, text);
        }
        Py_DECREF(eldest);
        Py_DECREF(text);
        if (failed)
            return -1;
    }
    return PyDict_SetItem(ps->ses_known, sql, (PyObject *)pk);
}
