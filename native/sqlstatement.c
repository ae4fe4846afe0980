#include "native/sqlstatement.h"

#include "native/sqltokens.h"
#include "native/sqlwords.h"

#include <stdbool.h>
#include <string.h>

/* The tokens, and how far they are read. Nothing here runs off their end. */
typedef struct {
    const uint8_t *kinds, *codes;
    const char *words, *words_end;      /* see sql_read() */
    const int32_t *partners;
    int32_t n, at;
} reader;

static uint8_t code(const reader *r, int32_t at)
{
    return at >= 0 && at < r->n ? r->codes[at] : SQL_W_NONE;
}

static bool is_name(const reader *r, int32_t at)
{
    return at < r->n && (r->kinds[at] == SQL_WORD || r->kinds[at] == SQL_QUOTED || r->kinds[at] == SQL_STRING);
}

static bool take(reader *r, uint8_t wanted)
{
    bool there = code(r, r->at) == wanted;
    r->at += there;
    return there;
}

/* A name, and past it; -1: there is none. */
static int32_t take_name(reader *r)
{
    return is_name(r, r->at) ? r->at++ : -1;
}

static int32_t closing(const reader *r, int32_t opening)
{
    return r->partners[opening] < 0 ? r->n : r->partners[opening];
}

static void take_group(reader *r)
{
    if (code(r, r->at) == '(')
        r->at = closing(r, r->at) + 1;
}

/* The first such word outside of parentheses that open behind r->at; -1: none. */
static int32_t find(const reader *r, uint8_t wanted)
{
    int32_t level = 0;
    for (int32_t i = r->at; i < r->n; i++) {
        uint8_t here = r->codes[i];
        if (here == '(')
            level++;
        else if (here == ')')
            level--;
        else if (level == 0 && here == wanted)
            return i;
    }
    return -1;
}

/* ---- whatever the statement is ---- */

static bool is_several(const reader *r)
{
    int32_t i = r->at;
    for (int32_t ahead = 0; ahead < 3; ahead++)
        if (code(r, i + ahead) == SQL_W_TRIGGER)
            return false;
    while (i < r->n && r->codes[i] != ';')
        i++;
    while (i < r->n && r->codes[i] == ';')
        i++;
    return i < r->n;
}

/* Is there a comma in the group that opens here, not counting inner groups? */
static bool has_comma(const reader *r, int32_t opening)
{
    int32_t end = closing(r, opening);
    for (int32_t i = opening + 1; i < end; i++) {
        if (r->codes[i] == ',' || r->kinds[i] == SQL_LIST)
            return true;
        if (r->codes[i] == '(')
            i = closing(r, i);
    }
    return false;
}

/* Is there a row value on the left of the IN at this place? */
static bool is_row_in(const reader *r, int32_t at)
{
    int32_t end = code(r, at - 1) == SQL_W_NOT ? at - 2 : at - 1;
    if (end < 0)
        return false;
    if (r->kinds[end] == SQL_LIST)
        return true;
    if (r->codes[end] != ')' || r->partners[end] < 0)
        return false;
    int32_t start = r->partners[end];
    bool calls = start > 0 && is_name(r, start - 1) && r->codes[start - 1] < SQL_W_BEFORE_EXPRESSION;
    return !calls && has_comma(r, start);
}

static bool is_constant(const reader *r, int32_t at)
{
    return at >= 0 && at < r->n
           && (r->kinds[at] == SQL_STRING || r->kinds[at] == SQL_NUMBER || r->kinds[at] == SQL_BLOB
               || r->kinds[at] == SQL_VARIABLE);
}

/* Does an expression without affinity begin here: a constant, a parameter, a call? -> the token behind it; -1: it may have
 * one. */
static int32_t behind_plain(const reader *r, int32_t at)
{
    if (code(r, at) == '-' || code(r, at) == '+')
        return is_constant(r, at + 1) ? at + 2 : -1;
    if (is_constant(r, at))
        return at + 1;
    bool calls = is_name(r, at) && code(r, at) < SQL_W_BEFORE_EXPRESSION && code(r, at) != SQL_W_CAST
                 && code(r, at + 1) == '(';
    return calls ? closing(r, at + 1) + 1 : -1;
}

/* Is what the comparison at this place compares perhaps a column with something that has an affinity? */
static bool is_bound_by_column(const reader *r, int32_t at)
{
    uint8_t here = r->codes[at];
    if (here != '<' && here != '>' && here != SQL_W_AT_MOST && here != SQL_W_AT_LEAST && here != SQL_W_BETWEEN)
        return false;
    if (is_constant(r, at - 1))
        return false;
    int32_t behind = behind_plain(r, at + 1);
    if (here != SQL_W_BETWEEN || behind < 0)
        return behind < 0;
    return code(r, behind) != SQL_W_AND || behind_plain(r, behind + 1) < 0;
}

/* Does the list that opens here hold something that may have an affinity? */
static bool is_list_of_columns(const reader *r, int32_t opening)
{
    int32_t end = closing(r, opening), at = opening + 1;
    while (at < end) {
        at = code(r, at) == SQL_W_VALUES ? -1 : behind_plain(r, at);
        if (at < 0 || (at < end && r->codes[at] != ','))
            return true;
        at++;
    }
    return false;
}

/* The same of equalities. What SET assigns is none. */
static bool is_equal_by_column(const reader *r, int32_t at, bool assigns)
{
    int32_t right = at + 1;
    switch (r->codes[at]) {
    case '=':
        return !assigns && !is_constant(r, at - 1) && behind_plain(r, right) < 0;
    case SQL_W_IS:
        right += code(r, right) == SQL_W_NOT;
        if (code(r, right) == SQL_W_NULL)
            return false;
        right += code(r, right) == SQL_W_DISTINCT ? 2 : 0;      /* FROM */
        return !is_constant(r, at - 1) && behind_plain(r, right) < 0;
    case SQL_W_IN:
        return !(right < r->n && r->kinds[right] == SQL_LIST) && (code(r, right) != '(' || is_list_of_columns(r, right));
    default:
        return false;
    }
}

static bool lists_query(const reader *r, int32_t at)
{
    return r->codes[at] == SQL_W_IN && code(r, at - 1) != SQL_W_NOT && code(r, at + 1) == '('
           && code(r, at + 2) == SQL_W_SELECT;
}

static bool bounds_row(const reader *r, int32_t at)
{
    uint8_t here = r->codes[at];
    if ((here != '<' && here != '>' && here != SQL_W_AT_MOST && here != SQL_W_AT_LEAST) || code(r, at - 1) != ')'
        || code(r, at + 1) != '(')
        return false;
    int32_t first = at + 2 + (code(r, at + 2) == '-');
    return is_constant(r, first) && r->kinds[first] != SQL_VARIABLE && code(r, first + 1) == ',';
}

/* Words that may follow IS are none: NOT, DISTINCT and NULL. */
static bool is_is_column(const reader *r, int32_t at)
{
    uint8_t next = code(r, at + 1);
    return r->codes[at] == SQL_W_IS && at > 0 && at + 1 < r->n && next != SQL_W_NOT && next != SQL_W_DISTINCT
           && next != SQL_W_NULL && (r->kinds[at - 1] == SQL_WORD || r->kinds[at - 1] == SQL_QUOTED)
           && (r->kinds[at + 1] == SQL_WORD || r->kinds[at + 1] == SQL_QUOTED);
}

/* Where the walk over a statement is: a bit for each level of parentheses, the innermost lowest, set in FROM. */
typedef uint64_t from_levels;

/* Can what is read from stand behind the token? */
static bool is_before_source(const reader *r, int32_t at)
{
    uint8_t here = code(r, at);
    return here == SQL_W_FROM || here == SQL_W_JOIN || here == ',' || here == '(';
}

static bool is_source_call(const reader *r, int32_t opening, from_levels levels)
{
    int32_t name = opening - 1;
    if (!(levels & 1) || name < 1 || !is_name(r, name) || r->codes[name] >= SQL_W_AT_MOST)
        return false;
    return is_before_source(r, code(r, name - 1) == '.' ? name - 3 : name - 1);
}

static from_levels next_levels(const reader *r, int32_t at, from_levels levels)
{
    switch (r->codes[at]) {
    case '(':
        return levels << 1 | ((levels & 1) && is_before_source(r, at - 1));
    case ')':
        return levels >> 1;
    case SQL_W_FROM:
        return code(r, at - 1) == SQL_W_DISTINCT ? levels : levels | 1;
    case SQL_W_SELECT:
    case SQL_W_WHERE:
    case SQL_W_BY:
    case SQL_W_HAVING:
    case SQL_W_LIMIT:
    case SQL_W_RETURNING:
    case SQL_W_SET:
    case SQL_W_VALUES:
        return levels & ~(from_levels)1;
    default:
        return levels;
    }
}

enum { MOST_SIDES = 32 };               /* of equalities, looked at; where there are more, they may lead anywhere */

/* What rewrites look for, counted. */
typedef struct {
    int joined, n_sides;
    int fixed, equated;                 /* equalities of a name with a constant, and of two names */
    int32_t sides[MOST_SIDES];          /* the names on both sides of equalities: their first tokens */
    int selects;
    int chooses;                     /* =, IN and IS, but IS NULL, outside of what SET assigns */
    bool orders, limits, otherwise, terms, assigns;     /* assigns: behind SET */
} term_words;

static bool is_column_name(const reader *r, int32_t at)
{
    return at >= 0 && at < r->n && (r->kinds[at] == SQL_WORD || r->kinds[at] == SQL_QUOTED);
}

/* The first token of a name that ends here: [table.]column */
static int32_t name_start(const reader *r, int32_t end)
{
    return code(r, end - 1) == '.' && is_column_name(r, end - 2) ? end - 2 : end;
}

/* Does a constant begin here, perhaps with a sign? */
static bool is_signed_constant(const reader *r, int32_t at)
{
    return is_constant(r, code(r, at) == '-' || code(r, at) == '+' ? at + 1 : at);
}

static void count_equality(const reader *r, int32_t at, term_words *counted)
{
    bool left = is_column_name(r, at - 1), right = is_column_name(r, at + 1);
    counted->equated += left && right;
    counted->fixed += (left && is_signed_constant(r, at + 1)) || (right && is_constant(r, at - 1));
    if (!left || !right || counted->n_sides + 2 > MOST_SIDES)
        return;
    counted->sides[counted->n_sides++] = name_start(r, at - 1);
    counted->sides[counted->n_sides++] = at + 1;
}

/* A name of one or two words; a quoted one has no word, and may be any. */
typedef struct {
    const char *words[2];
    size_t sizes[2];
    int n;
} written_name;

/* The names that begin at tokens, which are in their order; one may come twice, of a = b = c. */
static void read_names(const reader *r, const int32_t *tokens, int n, written_name *names)
{
    const char *at = r->words;
    int32_t token = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && tokens[i] == tokens[i - 1]) {
            names[i] = names[i - 1];
            continue;
        }
        names[i] = (written_name){ .n = code(r, tokens[i] + 1) == '.' ? 2 : 1 };
        for (int part = 0; part < names[i].n && tokens[i] + 2 * part < r->n; part++) {
            for (; token < tokens[i] + 2 * part; token++)
                at = (const char *)memchr(at, '\n', (size_t)(r->words_end - at)) + 1;
            const char *end = memchr(at, '\n', (size_t)(r->words_end - at));
            names[i].words[part] = at;
            names[i].sizes[part] = (size_t)((end ? end : r->words_end) - at);
        }
    }
}

/* Are the names perhaps the same, as they are written? */
static bool names_alike(const written_name *one, const written_name *other)
{
    if (one->n != other->n)
        return false;
    for (int i = 0; i < one->n; i++)
        if (one->sizes[i] && other->sizes[i]
            && (one->sizes[i] != other->sizes[i] || memcmp(one->words[i], other->words[i], one->sizes[i]) != 0))
            return false;
    return true;
}

/* Do the equalities seem to compare one column with two others? */
static bool may_chain(const reader *r, const term_words *counted)
{
    written_name names[MOST_SIDES];
    if (counted->joined < 2 || counted->n_sides < 4)
        return false;
    read_names(r, counted->sides, counted->n_sides, names);
    for (int i = 0; i < counted->n_sides; i++)
        for (int j = 0; j < i; j++)
            if (names_alike(&names[i], &names[j]))
                return true;
    return counted->n_sides == MOST_SIDES;
}

/* Do the equalities suffice for one row of each table to be found by a key? */
static bool may_find_one(const term_words *counted)
{
    return counted->orders && counted->joined && counted->fixed && counted->fixed + counted->equated > counted->joined;
}

static void count_term_words(const reader *r, int32_t at, from_levels levels, term_words *counted)
{
    switch (r->codes[at]) {
    case '=':
        count_equality(r, at, counted);
        counted->chooses += !counted->assigns;
        break;
    case SQL_W_IN:
        counted->chooses++;
        break;
    case SQL_W_IS:
        counted->chooses += code(r, at + 1) != SQL_W_NULL && code(r, at + 1) != SQL_W_NOT;
        break;
    case ',':
        counted->joined += levels & 1;
        break;
    case SQL_W_JOIN:
        counted->joined++;
        break;
    case SQL_W_SELECT:
        counted->selects++;
        break;
    case SQL_W_SET:
        counted->assigns = true;
        break;
    case SQL_W_ORDER:
        counted->orders = counted->terms = true;
        break;
    case SQL_W_LIMIT:
        counted->limits = true;
        break;
    case SQL_W_NULLS:
    case SQL_W_COLLATE:
        counted->otherwise = true;
        break;
    case SQL_W_WHERE:
    case SQL_W_ON:
    case SQL_W_GROUP:
        counted->terms = true;
        counted->assigns = false;
        break;
    default:
        break;
    }
}

static int32_t flags_of_terms(const reader *r, const term_words *counted)
{
    return (may_chain(r, counted) ? SQL_MAY_CHAIN : 0) | (may_find_one(counted) ? SQL_MAY_FIND_ONE : 0)
           | (counted->orders && counted->otherwise ? SQL_ORDERS_OTHERWISE : 0) | (counted->terms ? SQL_HAS_TERMS : 0)
           | (!counted->selects && !counted->chooses ? SQL_SETS_ROWS : 0)       /* if it is an UPDATE */
           | (counted->orders && counted->limits && counted->joined ? SQL_LIMITS_JOIN : 0)
           /* USING and NATURAL are equalities, too; and a query around this one has its own columns. */
           | (counted->joined || counted->selects > 1 ? SQL_EQUAL_BY_COLUMN : 0);
}

static int32_t flags_of_words(const reader *r)
{
    int32_t flags = 0;
    from_levels levels = 0;
    term_words counted = { 0 };
    for (int32_t i = r->at; i < r->n; i++) {
        if (r->codes[i] == SQL_W_SYSTEM_TIME || r->codes[i] == SQL_W_HISTORY
            || (r->codes[i] == '(' && is_source_call(r, i, levels)))
            flags |= SQL_NAMES_MOMENT;
        levels = next_levels(r, i, levels);
        count_term_words(r, i, levels, &counted);
        if (r->codes[i] == SQL_W_SCHEMA)
            flags |= SQL_ASKS_SCHEMA;
        else if (r->codes[i] == SQL_W_IN && is_row_in(r, i))
            flags |= SQL_ROW_IN;
        else if (is_bound_by_column(r, i))
            flags |= SQL_BOUND_BY_COLUMN;
        if (is_equal_by_column(r, i, counted.assigns))
            flags |= SQL_EQUAL_BY_COLUMN;
        if (lists_query(r, i))
            flags |= SQL_LISTS_QUERY;
        if (bounds_row(r, i))
            flags |= SQL_BOUNDS_ROW;
        if (is_is_column(r, i))
            flags |= SQL_IS_COLUMN;
    }
    return flags | flags_of_terms(r, &counted);
}

/* [RECURSIVE] name [(...)] AS [[NOT] MATERIALIZED] (...), ..., behind WITH. */
static void take_with(reader *r)
{
    take(r, SQL_W_RECURSIVE);
    while (take_name(r) >= 0) {
        take_group(r);
        if (!take(r, SQL_W_AS))
            return;
        take(r, SQL_W_NOT);
        take(r, SQL_W_MATERIALIZED);
        take_group(r);
        if (!take(r, ','))
            return;
    }
}

/* ---- changes ---- */

/* [OR ...] [INTO or FROM] [schema.]table [AS alias], and where RETURNING is. */
static void target(reader *r, sql_shape *shape, uint8_t word)
{
    if (take(r, SQL_W_OR))
        shape->conflict = r->at++;
    if (word)
        take(r, word);
    shape->table = take_name(r);
    if (shape->table >= 0 && take(r, '.')) {
        shape->schema = shape->table;
        shape->table = take_name(r);
    }
    if (take(r, SQL_W_AS))
        shape->alias = take_name(r);
    if (!(shape->flags & SQL_SEVERAL))
        shape->returning = find(r, SQL_W_RETURNING);
}

/* The first ON CONFLICT with a DO behind it: the condition of a join may look like it, but for that. */
static int32_t on_conflict(const reader *r)
{
    int32_t level = 0, last = 0, found = -1;
    for (int32_t i = r->at; i < r->n; i++) {
        uint8_t here = r->codes[i];
        level += (here == '(') - (here == ')');
        if (level != 0)
            continue;
        if (here == SQL_W_DO)
            last = i;
        else if (here == SQL_W_ON && found < 0 && code(r, i + 1) == SQL_W_CONFLICT
                 && (code(r, i + 2) == '(' || code(r, i + 2) == SQL_W_DO))
            found = i;
    }
    return last >= found + 2 ? found : -1;
}

static bool has_word(const reader *r, uint8_t wanted)
{
    return r->at < r->n && memchr(r->codes + r->at, wanted, (size_t)(r->n - r->at)) != NULL;
}

static bool is_plain_list(const reader *r, int32_t first, int32_t end)
{
    for (int32_t i = first; i < end; i++)
        if ((i - first) % 2 ? r->codes[i] != ',' : r->kinds[i] != SQL_WORD)
            return false;
    return (end - first) % 2 == 1;
}

static void insert(reader *r, sql_shape *shape)
{
    target(r, shape, SQL_W_INTO);
    if (code(r, r->at) == '(') {
        int32_t end = closing(r, r->at);
        shape->columns = r->at + 1;
        shape->columns_end = end;
        if (is_plain_list(r, r->at + 1, end))
            shape->flags |= SQL_PLAIN_LIST;
        r->at = end + 1;
    } else {
        shape->list_behind = (r->at < r->n ? r->at : r->n) - 1;
    }
    if (r->at >= r->n)
        return;
    if (r->codes[r->at] == SQL_W_DEFAULT)
        shape->flags |= SQL_DEFAULT_VALUES | SQL_PLAIN_VALUES;
    else if (r->codes[r->at] == SQL_W_VALUES && !has_word(r, SQL_W_SELECT))
        shape->flags |= SQL_PLAIN_VALUES;
    shape->on_conflict = on_conflict(r);
}

/* ---- all kinds ---- */

static void by_verb(reader *r, sql_shape *shape)
{
    switch (r->codes[r->at++]) {
    case SQL_W_SELECT:
        shape->kind = SQL_SELECT;
        if (code(r, r->at) == SQL_W_ENTITYDB_LABEL || code(r, r->at) == SQL_W_ENTITYDB_TRANSACTION_INFO)
            shape->flags |= SQL_OF_COMMIT;
        if (code(r, r->at) == SQL_W_COUNT || code(r, r->at) == SQL_W_MIN)
            shape->flags |= SQL_MAY_SHORTEN;
        break;
    case SQL_W_VALUES:
        shape->kind = SQL_VALUES;
        break;
    case SQL_W_EXPLAIN:
        shape->kind = SQL_EXPLAIN;
        if (has_word(r, SQL_W_COUNT) || has_word(r, SQL_W_MIN))
            shape->flags |= SQL_MAY_SHORTEN;
        break;
    case SQL_W_INSERT:
        shape->kind = SQL_INSERT;
        insert(r, shape);
        break;
    case SQL_W_REPLACE:
        shape->kind = SQL_REPLACE;
        insert(r, shape);
        break;
    case SQL_W_UPDATE:
        shape->kind = SQL_UPDATE;
        target(r, shape, 0);
        shape->set = find(r, SQL_W_SET);
        if (has_word(r, SQL_W_FROM))
            shape->flags |= SQL_UPDATES_FROM;
        break;
    case SQL_W_DELETE:
        shape->kind = SQL_DELETE;
        target(r, shape, SQL_W_FROM);
        break;
    default:
        break;
    }
}

static void look(reader *r, sql_shape *shape)
{
    while (take(r, ';'))
        ;
    shape->kind = SQL_OTHER;
    if (r->at == r->n)
        shape->kind = SQL_NOTHING;
    else if (is_several(r))
        shape->flags |= SQL_SEVERAL;
    shape->flags |= flags_of_words(r);
    if (take(r, SQL_W_WITH))
        take_with(r);
    shape->verb = r->at < r->n ? r->at : r->n;
    if (r->at < r->n)
        by_verb(r, shape);
    if (shape->kind != SQL_UPDATE || shape->conflict >= 0 || shape->returning >= 0
        || shape->flags & (SQL_UPDATES_FROM | SQL_SEVERAL))
        shape->flags &= ~SQL_SETS_ROWS;
}

/* ---- tokens ---- */

/* Partners of parentheses: those that are open are a list, each pointing to the one around it. */
static void pair(const uint8_t *codes, size_t n, int32_t *partners)
{
    int32_t innermost = -1;
    for (size_t i = 0; i < n; i++) {
        int32_t opening = innermost;
        partners[i] = -1;
        if (codes[i] == '(') {
            partners[i] = innermost;
            innermost = (int32_t)i;
        } else if (codes[i] == ')' && opening >= 0) {
            innermost = partners[opening];
            partners[opening] = (int32_t)i;
            partners[i] = opening;
        }
    }
    while (innermost >= 0) {            /* what nothing closes */
        int32_t outer = partners[innermost];
        partners[innermost] = -1;
        innermost = outer;
    }
}

void sql_read_tokens(const uint8_t *kinds, const uint8_t *codes, const int32_t *starts, const int32_t *ends, size_t n,
                     const char *words, size_t words_size, int32_t *room)
{
    sql_shape *shape = (sql_shape *)room;
    int32_t *partners = (int32_t *)(shape + 1);
    *shape = (sql_shape){
        .tokens = (int32_t)n, .words = (int32_t)words_size, .conflict = -1, .schema = -1, .table = -1, .alias = -1,
        .columns = -1, .columns_end = -1,
        .list_behind = -1, .set = -1, .on_conflict = -1, .returning = -1,
    };
    pair(codes, n, partners);
    look(&(reader){ .kinds = kinds, .codes = codes, .words = words, .words_end = words + words_size,
                    .partners = partners, .n = (int32_t)n }, shape);
    if (shape->table >= 0) {
        shape->table_start = starts[shape->table];
        shape->table_end = ends[shape->table];
    }
    if (shape->columns < shape->columns_end) {
        shape->list_start = starts[shape->columns];
        shape->list_end = ends[shape->columns_end - 1];
    }
}

size_t sql_read(const char *sql, size_t size, int32_t *room)
{
    sql_shape *shape = (sql_shape *)room;
    int32_t *partners = (int32_t *)(shape + 1), *starts = partners + size, *ends = starts + size;
    uint8_t *kinds = (uint8_t *)(ends + size), *codes = kinds + size;
    char *words = (char *)(codes + size);
    size_t words_size, n = sql_tokens(sql, size, starts, ends, kinds, codes, words, &words_size);
    sql_read_tokens(kinds, codes, starts, ends, n, words, words_size, room);

    /* Together, since the arrays had room for as many tokens as there are bytes. */
    char *to = (char *)(partners + n);
    struct { const void *from; size_t size; } parts[] = {
        { starts, n * sizeof *starts }, { ends, n * sizeof *ends }, { kinds, n }, { codes, n }, { words, words_size },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        memmove(to, parts[i].from, parts[i].size);
        to += parts[i].size;
    }
    return (size_t)(to - (char *)room);
}
