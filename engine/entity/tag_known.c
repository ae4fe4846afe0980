/* Tags that the process has met (tag_known.h). */
#include "engine/entity/tag_known.h"

#include <stdlib.h>
#include <strings.h>

#include "engine/txn/hooks.h"

enum { BYTES = 64 << 20 };

typedef struct {
    intern *kw_table;               /* NULL: off, or no memory */
} known_tags;

static bool is_off(const char *setting)
{
    return setting && (!strcasecmp(setting, "off") || !strcasecmp(setting, "false") || !strcasecmp(setting, "no")
                       || !strcasecmp(setting, "0"));
}

static void *known_make(void)
{
    known_tags *known = calloc(1, sizeof *known);
    const char *size = getenv("ENTITYDB_INTERN_CACHE_SIZE");
    char *end;
    size_t bytes = size ? strtoull(size, &end, 10) : 0;

    if (known && !is_off(getenv("ENTITYDB_STRING_INTERN")))
        known->kw_table = intern_new(size && end != size ? bytes : BYTES);
    return known;
}

static void known_free(void *data)
{
    known_tags *known = data;

    intern_free(known->kw_table);
    free(known);
}

static void known_count(void *data, edb_stats *out)
{
    const known_tags *known = data;
    intern_counts counts = { 0 };

    if (known->kw_table)
        intern_count(known->kw_table, &counts);
    out->interned = counts.entries;
    out->intern_bytes = counts.bytes;
    out->intern_hits = counts.hits;
    out->intern_misses = counts.misses;
}

static txn_hooks known_hooks = {
    .hk_name = "known tags", .hk_db_make = known_make, .hk_db_free = known_free, .hk_db_count = known_count
};

__attribute__((constructor)) static void known_register(void)
{
    hooks_register(&known_hooks);
}

intern *tags_known(edb_conn *conn)
{
    const known_tags *known = conn_usable(conn) ? db_data(conn, &known_hooks) : NULL;

    return known ? known->kw_table : NULL;
}
