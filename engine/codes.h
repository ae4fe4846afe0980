/* The one table of result codes: number, name, SQLite result, meaning. Released numbers are never reused.
 *
 * Every fallible function returns one of these, 0 for success, and leaves its out-parameters alone on failure. The
 * sentence that says what happened, to what and what to do is kept per thread: edb_fail() sets it, edb_message()
 * reads it. "Not found" is a result, not an error. The driver reads this table through edb_code_*; a test compares.
 *
 * The SQLite column is what users are told. BUSY is an *extended* code, so that SQLite rolls back when xSync returns it
 * (a plain SQLITE_BUSY there would leave the transaction open). vtab_sqlite_code() says what SQLite itself is told. */
#ifndef EDB_CODES_H
#define EDB_CODES_H

/*        number  name             SQLite  Python class          meaning */
#define EDB_CODES(X)                                                                                            \
    X(      0,    OK,              0,      "",                   "success")                                     \
    X(      1,    NOMEM,           7,      "OperationalError",   "memory is exhausted")                         \
    X(      2,    IO,              10,     "OperationalError",   "the operating system refused to read or write") \
    X(      3,    FULL,            13,     "OperationalError",   "no space is left on the device")              \
    X(      4,    CORRUPT,         267,    "DamageError",        "the file is damaged")                         \
    X(      5,    NOTADB,          26,     "DatabaseError",      "the file is not an EntityDB database")        \
    X(      6,    VERSION,         26,     "DatabaseError",      "the file needs another version of EntityDB")  \
    X(      7,    READONLY,        8,      "OperationalError",   "the database can only be read")               \
    X(      8,    CANTOPEN,        14,     "OperationalError",   "the file cannot be opened")                   \
    X(      9,    BUSY,            261,    "OperationalError",   "somebody else holds what is needed")          \
    X(     10,    CONFLICT,        517,    "SerializationFailure", "another transaction changed the same data; retry") \
    X(     11,    UNIQUE,          2067,   "IntegrityError",     "a UNIQUE constraint failed")                  \
    X(     12,    PRIMARYKEY,      1555,   "IntegrityError",     "a PRIMARY KEY constraint failed")             \
    X(     13,    NOTNULL,         1299,   "IntegrityError",     "a NOT NULL constraint failed")                \
    X(     14,    DATATYPE,        3091,   "IntegrityError",     "a value does not fit the column's datatype")  \
    X(     15,    HORIZON,         1,      "HorizonError",       "the moment lies outside the kept history")    \
    X(     16,    PAST_WRITE,      8,      "PastWriteError",     "a write was asked for in the past")           \
    X(     17,    COMMIT_TIME,     1,      "OperationalError",   "the commit time is not later than the last")  \
    X(     18,    FORKED,          1,      "OperationalError",   "the handle was inherited through fork()")     \
    X(     19,    POISONED,        1034,   "OperationalError",   "an earlier sync failed; reopen to go on")     \
    X(     20,    SLOTS,           1,      "OperationalError",   "all reader slots are taken")                  \
    X(     21,    TOOBIG,          18,     "DataError",          "a value or key is too large")                 \
    X(     22,    SCHEMA,          17,     "OperationalError",   "the schema changed")                          \
    X(     23,    MISUSE,          21,     "ProgrammingError",   "the call is not allowed here")                \
    X(     24,    INTERRUPT,       9,      "OperationalError",   "the operation was interrupted")               \
    X(     25,    NOSUCH,          1,      "OperationalError",   "no such object at this moment")               \
    X(     26,    EXISTS,          1,      "OperationalError",   "the object exists already")                   \
    X(     27,    SETTING,         1,      "ProgrammingError",   "the setting differs from the one in force")   \
    X(     28,    CLOCK,           1,      "OperationalError",   "the clock is far from the last commit")       \
    X(     29,    CANNOT,          1,      "NotSupportedError",  "this is not supported")                       \
    X(     30,    MISMATCH,        20,     "IntegrityError",     "a row id is not an integer")                  \
    X(     31,    CHECK,           275,    "IntegrityError",     "a CHECK constraint failed")                   \
    X(     32,    FOREIGNKEY,      787,    "IntegrityError",     "a FOREIGN KEY constraint failed")             \
    X(     33,    FKMISMATCH,      1,      "OperationalError",   "a foreign key refers to nothing unique, or cascades too deep") \
    X(     34,    EXPRESSION,      1,      "OperationalError",   "an expression of the schema fails, or cannot be evaluated") \
    X(     35,    REPLACED,        1032,   "OperationalError",   "the file or its lock file was replaced; reopen to go on") \
    X(     36,    TAG,             1,      "DataError",          "a text is no tag")

enum edb_code {
#define EDB_CODE_NUMBER(number, name, sqlite, python, meaning) EDB_##name = number,
    EDB_CODES(EDB_CODE_NUMBER)
#undef EDB_CODE_NUMBER
};

/* Sets this thread's message (printf format). */
void edb_say(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, and is the code, so that callers write `return edb_fail(...)`. A macro, because the compiler and those who
 * analyse the code then see which code it is: that it is not 0 decides which variables are set. */
#define edb_fail(code, ...)                     \
    ({                                          \
        int code_ = (code);                     \
        edb_say(code_, __VA_ARGS__);            \
        code_;                                  \
    })

#endif
