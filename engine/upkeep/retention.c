/* What the catalog says of retention.
 *
 * A table says it in what the layers above keep with it, JSON that they alone read (docs/format.md, "Catalog"): "retention":"90 days". Inside
 * a text of JSON a quote follows a backslash, so these bytes, without spaces as they are written, are that key and nothing else. */
#include "engine/upkeep/retention.h"

#include <stdlib.h>
#include <string.h>

#include "engine/catalog/catalog.h"
#include "engine/shared/os.h"
#include "engine/tree/tree.h"
#include "engine/txn/moment.h"

#define SECOND_NS INT64_C(1000000000)

int64_t retention_span_ns(const char *text)
{
    static const struct {
        const char *unit;
        int64_t seconds;
    } units[] = { { "second", 1 }, { "minute", 60 }, { "hour", 3600 }, { "day", 86400 }, { "week", 7 * 86400 },
                  { "month", 30 * 86400 }, { "year", 365 * 86400 } };
    char *unit;
    long long number = strtoll(text, &unit, 10);

    for (size_t i = 0; number > 0 && i < sizeof units / sizeof *units; i++)
        if (unit[0] == ' ' && strncmp(unit + 1, units[i].unit, strlen(units[i].unit)) == 0)
            return number < INT64_MAX / SECOND_NS / units[i].seconds ? number * units[i].seconds * SECOND_NS : 0;
    return 0;
}

static int64_t asked_for(const edb_table *table)
{
    static const char key[] = "\"retention\":\"";
    const char *at = strstr(table->et_extra, key);

    return at ? retention_span_ns(at + sizeof key - 1) : 0;
}

/* One entry of the catalog. *span: the longest so far, 0: a table asks for nothing, -1: there was no table yet. */
static int entry(pager *pg, const tree_version *version, int64_t *span)
{
    size_t size = version->overflow ? tree_overflow_size(version) : version->value_size;
    uint8_t *payload = malloc(size + 1);
    edb_table *table = NULL;
    int rc = payload ? EDB_OK : edb_fail(EDB_NOMEM, "no memory to read the catalog");

    if (!rc && version->overflow)
        rc = tree_overflow_read(pg, version, 0, payload, size);
    else if (!rc)
        memcpy(payload, version->value, size);
    if (!rc)
        rc = table_decode(payload, size, &table);
    free(payload);
    if (rc)
        return rc;
    if (table->et_kind == CATALOG_TABLE) {
        int64_t asks = asked_for(table);
        *span = asks && *span ? (asks > *span ? asks : *span) : 0;
    }
    table_unref(table);
    return EDB_OK;
}

static int longest(pager *pg, const snapshot *sn, int64_t *span)
{
    tree_cursor tc;
    tree_state state;
    int rc = tree_state_get(pg, sn, TREE_CATALOG, &state);

    *span = -1;
    if (!rc)
        rc = tree_cursor_open(&tc, pg, &state, FOREVER);
    if (rc)
        return rc == EDB_NOSUCH ? EDB_OK : rc;
    for (rc = tree_cursor_seek(&tc, NULL, 0); !rc && tc.tc_valid && *span; rc = tree_cursor_next(&tc))
        rc = entry(pg, &tc.tc_at, span);
    tree_cursor_close(&tc);
    return rc;
}

int retention_horizon(pager *pg, int64_t *span, uint64_t *horizon)
{
    reader_slot *slot;
    snapshot root;
    int rc = pager_slot_take(pg, &slot);

    *span = 0;
    *horizon = 0;
    if (rc)
        return rc;
    if (!(rc = pager_pin(pg, slot, PIN_PUBLISHED, &root)) && !(rc = longest(pg, &root, span)) && *span > 0)
        rc = moment_upto(pg, &root, os_clock_ns() - *span, horizon);
    if (*span < 0)
        *span = 0;
    pager_pin_move(pg, slot, UINT64_MAX);
    pager_slot_give(pg, slot);
    return rc;
}
