/* Results: the code table as functions, and the message of this thread's last failure.
 *
 * The message belongs to the thread, so that two connections failing at once do not read each other's; it stays until
 * the thread's next failure. Reporting must work when memory is exhausted, hence the fixed buffer. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/codes.h"
#include "engine/edb.h"

enum { MESSAGE_SIZE = 1024 };
static _Thread_local char message[MESSAGE_SIZE];
static _Thread_local int last_code;     /* what message was set with */

typedef struct {
    int sqlite;
    const char *name, *python, *meaning;
} code_row;

static const code_row table[] = {
#define CODE_ROW(number, name, sqlite, python, meaning) [number] = { sqlite, #name, python, meaning },
    EDB_CODES(CODE_ROW)
#undef CODE_ROW
};
enum { TABLE_SIZE = sizeof table / sizeof table[0] };

static const code_row *find(int code)
{
    return code >= 0 && code < TABLE_SIZE && table[code].name ? &table[code] : NULL;
}

void edb_say(int code, const char *format, ...)
{
    char text[MESSAGE_SIZE];        /* the arguments may contain the message before */
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(message, text, strlen(text) + 1);
    last_code = code;
}

const char *edb_message(void)
{
    return message;
}

int edb_last_code(void)
{
    return last_code;
}

int edb_code_count(void)
{
    return TABLE_SIZE;
}

const char *edb_code_name(int code)
{
    const code_row *row = find(code);

    return row ? row->name : NULL;
}

const char *edb_code_python(int code)
{
    const code_row *row = find(code);

    return row ? row->python : NULL;
}

const char *edb_code_meaning(int code)
{
    const code_row *row = find(code);

    return row ? row->meaning : NULL;
}

int edb_code_sqlite(int code)
{
    const code_row *row = find(code);

    return row ? row->sqlite : 1;   /* SQLITE_ERROR */
}
