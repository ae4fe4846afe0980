/* Which columns have no history. See masks.h. */
#include "engine/txn/masks.h"

#include <stdlib.h>

#include "engine/tree/tree_events.h"
#include "engine/txn/txn_internal.h"

static int add_version(tree_masks *masks, pager *pg, const tree_version *version)
{
    uint64_t size = tree_overflow_size(version);
    uint8_t *payload;
    int rc;

    if (!version->overflow)
        return hooks_masks(version->value, version->value_size, masks);
    if (!(payload = malloc(size)))
        return edb_fail(EDB_NOMEM, "no memory to read a catalog entry of %llu bytes", (unsigned long long)size);
    if (!(rc = tree_overflow_read(pg, version, 0, payload, size)))
        rc = hooks_masks(payload, size, masks);
    free(payload);
    return rc;
}

/* What commits wrote, and what they ended: among it is all that was there at the horizon and is not there any more. */
static int add_history(tree_masks *masks, pager *pg, const tree_state *catalog, uint64_t upto)
{
    const tree_event *change;
    tree_events changes;
    int rc = tree_events_open(&changes, pg, catalog, 0, upto);

    if (rc)
        return rc;
    rc = tree_events_start(&changes, NULL, 0, NULL, 0);
    while (!rc && !(rc = tree_events_next(&changes, &change)) && change) {
        if (change->had)
            rc = add_version(masks, pg, &change->was);
        if (!rc && change->has)
            rc = add_version(masks, pg, &change->is);
    }
    tree_events_close(&changes);
    return rc;
}

static int add_living(tree_masks *masks, pager *pg, const tree_state *catalog, uint64_t at)
{
    tree_cursor tc;
    int rc = tree_cursor_open(&tc, pg, catalog, at);

    if (rc)
        return rc;
    for (rc = tree_cursor_seek(&tc, NULL, 0); !rc && tc.tc_valid; rc = rc ? rc : tree_cursor_next(&tc))
        rc = add_version(masks, pg, &tc.tc_at);
    tree_cursor_close(&tc);
    return rc;
}

int masks_of(pager *pg, const snapshot *sn, tree_masks *out)
{
    tree_state catalog;
    int rc;

    *out = (tree_masks){ .tms_n = 0 };
    if (!pager_has(pg, PAGER_UNVERSIONED))
        return EDB_OK;
    if ((rc = tree_state_get(pg, sn, TREE_CATALOG, &catalog)))
        return rc == EDB_NOSUCH ? EDB_OK : rc;
    rc = add_living(out, pg, &catalog, sn->sn_number);
    if (!rc)
        rc = add_history(out, pg, &catalog, sn->sn_number);
    if (rc)
        tree_masks_free(out);
    return rc;
}

int masks_refresh(masks_known *known, pager *pg, const snapshot *base)
{
    if (known->mkn_known && known->mkn_schema == base->sn_schema)
        return EDB_OK;
    known->mkn_known = false;
    tree_masks_free(&known->mkn_masks);
    int rc = masks_of(pg, base, &known->mkn_masks);
    known->mkn_known = !rc;
    known->mkn_schema = base->sn_schema;
    return rc;
}
