/* The part of the check that judges what is said of transactions: the two trees and each other.
 *
 *   I43  every version of the tree "transaction info" is of its one key and can be read
 *   I44  the versions of the tree "transactions of actors" are, key by key, the commits that are said to be the actor's */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/entity/transactions.h"
#include "engine/upkeep/check_internal.h"

/* Called with each version of a key, the newest first. */
typedef int (*version_fn)(check *ck, const tree_state *state, const tree_version *v);

static int each_version(check *ck, const tree_state *state, const uint8_t *key, size_t size, version_fn fn)
{
    uint64_t begun = 0;
    tree_version version;
    bool found;
    int rc = EDB_OK;

    for (uint64_t at = ck->ck_root.sn_number; !rc && at && at >= state->ts_born; at = begun - 1) {
        rc = tree_version_at(ck->ck_pager, state, at, key, size, &version, &found, &begun);
        if (rc || !begun)
            break;
        if (found && version.from >= state->ts_horizon)        /* of others one tree may know and not the other */
            rc = fn(ck, state, &version);
    }
    return check_damage(ck, rc);
}

/* *owned: free() it. */
static int read_info(check *ck, const tree_version *v, uint8_t **owned, edb_value values[INFO_COLUMNS], bool *valid)
{
    const uint8_t *value = v->value;
    size_t size = v->value_size;
    int rc;

    *owned = NULL;
    if (v->overflow) {
        size = tree_overflow_size(v);
        if (!(*owned = malloc(size ? size : 1)))
            return edb_fail(EDB_NOMEM, "no memory to check what is said of transactions");
        if ((rc = tree_overflow_read(ck->ck_pager, v, 0, *owned, size)))
            return rc;
        value = *owned;
    }
    *valid = info_read(value, size, values);
    return EDB_OK;
}

static bool has_commit(check *ck, const tree_state *actors, const edb_value *actor, uint64_t number)
{
    tree_version version;
    bool found;
    int rc = tree_get(ck->ck_pager, actors, number, actor->bytes, actor->size, &version, &found);

    return !rc && found && version.from == number;
}

static int judge_info(check *ck, const tree_state *state, const tree_version *v)
{
    edb_value values[INFO_COLUMNS];
    uint8_t *owned;
    bool valid = false;
    int rc = read_info(ck, v, &owned, values, &valid);

    if (!rc && !valid) {
        ck->ck_info.cki_unread++;
        check_breach(ck, "I43", state->ts_root.page, "what is said of transaction %" PRIu64 " cannot be read", v->from);
    } else if (!rc && values[INFO_ACTOR].type == VALUE_TEXT) {
        ck->ck_info.cki_due++;
        if (!ck->ck_info.cki_actors_there || !has_commit(ck, &ck->ck_info.cki_actors, &values[INFO_ACTOR], v->from))
            check_breach(ck, "I44", state->ts_root.page, "transaction %" PRIu64 " is not among those of its actor", v->from);
    }
    free(owned);
    return rc;
}

static int count_commit(check *ck, const tree_state *state, const tree_version *v)
{
    (void)state, (void)v;
    ck->ck_info.cki_met++;
    return EDB_OK;
}

static int each_key(check *ck, const tree_state *state, bool info, version_fn fn)
{
    tree_cursor tc;
    int rc = tree_cursor_open(&tc, ck->ck_pager, state, ck->ck_root.sn_number);

    if (rc)
        return rc;
    rc = tree_cursor_seek(&tc, NULL, 0);
    while (!rc && tc.tc_valid) {
        if (info && (tc.tc_at.key_size != sizeof INFO_KEY - 1 || memcmp(tc.tc_at.key, INFO_KEY, sizeof INFO_KEY - 1)))
            check_breach(ck, "I43", state->ts_root.page, "something is said under another key, by commit %" PRIu64,
                         tc.tc_at.from);
        else
            rc = each_version(ck, state, tc.tc_at.key, tc.tc_at.key_size, fn);
        if (!rc)
            rc = tree_cursor_next(&tc);
    }
    tree_cursor_close(&tc);
    return check_damage(ck, rc);
}

int check_transactions(check *ck)
{
    check_info *cki = &ck->ck_info;
    int rc = EDB_OK;

    if (cki->cki_info_there)
        rc = each_key(ck, &cki->cki_info, true, judge_info);
    if (!rc && cki->cki_actors_there)
        rc = each_key(ck, &cki->cki_actors, false, count_commit);
    if (!rc && cki->cki_met > cki->cki_due + cki->cki_unread)
        check_breach(ck, "I44", cki->cki_actors.ts_root.page, "%" PRIu64 " transactions are said to be an actor's, and %" PRIu64
                     " stand under actors", cki->cki_due, cki->cki_met);
    return rc;
}
