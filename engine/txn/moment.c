/* Moments to commit numbers; see moment.h.
 *
 * Commit times ascend with commit numbers (they are drawn as max(clock, last + 1)). The newest RECORD_STAMPS or fewer
 * stand in the record itself, which the pin has copied; the rest in a list that is searched by bisection. */
#include "engine/txn/moment.h"

#include <stdio.h>
#include <time.h>

#include "engine/pager/array.h"
#include "engine/shared/os.h"

#define STAMP_SIZE 8                /* bytes of a commit time in its list */

const char *moment_text(int64_t ns, char text[MOMENT_TEXT])
{
    int64_t nanos = ns % 1000000000;
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm parts;

    if (nanos < 0) {
        nanos += 1000000000;
        seconds--;
    }
    if (!gmtime_r(&seconds, &parts) || !strftime(text, MOMENT_TEXT - 16, "%Y-%m-%d %H:%M:%S", &parts))
        snprintf(text, MOMENT_TEXT, "%lld ns", (long long)ns);
    else
        snprintf(text + strlen(text), 16, ".%09u UTC", (unsigned)nanos);
    return text;
}

int moment_of(pager *pg, const snapshot *root, uint64_t number, int64_t *ns)
{
    const uint8_t *element;
    int rc;

    if (number > root->sn_number)
        return edb_fail(EDB_HORIZON, "there is no commit %llu; the newest is %llu", (unsigned long long)number,
                        (unsigned long long)root->sn_number);
    if (number >= root->sn_stamps.ar_count) {
        *ns = root->sn_tail_ns[number - root->sn_stamps.ar_count];
        return EDB_OK;
    }
    if ((rc = array_get(pg, &root->sn_stamps, STAMP_SIZE, number, &element)))
        return rc;
    *ns = (int64_t)load64(element);
    return EDB_OK;
}

/* How many commits, commit 0 included, have a time at or before ns. */
static int count_upto(pager *pg, const snapshot *root, int64_t ns, uint64_t *out)
{
    uint32_t low = 0, high = root->sn_tail;

    if (root->sn_tail == 0 || ns < root->sn_tail_ns[0])
        return array_bisect(pg, &root->sn_stamps, STAMP_SIZE, ns, out);
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (root->sn_tail_ns[middle] <= ns)
            low = middle + 1;
        else
            high = middle;
    }
    *out = root->sn_stamps.ar_count + low;
    return EDB_OK;
}

int moment_upto(pager *pg, const snapshot *root, int64_t ns, uint64_t *number)
{
    int rc = count_upto(pg, root, ns, number);

    if (!rc && *number)
        --*number;                  /* commit 0 counts */
    return rc;
}

/* The error for a moment before anything that can be read. */
static int too_early(pager *pg, const snapshot *root, int64_t ns)
{
    char asked[MOMENT_TEXT], first[MOMENT_TEXT];
    uint64_t oldest = root->sn_horizon > 1 ? root->sn_horizon : 1;
    int64_t oldest_ns;
    int rc;

    if (root->sn_number == 0)
        return edb_fail(EDB_HORIZON, "nothing has been committed to %s yet, so there is no past to read",
                        pager_name(pg));
    if ((rc = moment_of(pg, root, oldest, &oldest_ns)))
        return rc;
    return edb_fail(EDB_HORIZON, "%s is before the %s commit, which was made at %s (%lld ns); ask for that moment or a "
                    "later one", moment_text(ns, asked), root->sn_horizon > 1 ? "oldest kept" : "first",
                    moment_text(oldest_ns, first), (long long)oldest_ns);
}

/* The end of the clock's present microsecond: what Python's clock calls now is not beyond it. */
static int64_t clock_end(void)
{
    int64_t now = os_clock_ns();

    return now - now % 1000 + 999;
}

int moment_resolve(pager *pg, reader_slot *slot, int64_t ns, snapshot *root, moment *out)
{
    moment mo = { .mo_resolved_ns = ns, .mo_settled = true };
    int64_t limit = clock_end();
    uint64_t count, until;
    int rc;

    if (ns > limit) {
        /* The clock may have been set back since the last commit: now is never before that. */
        if ((rc = pager_pin(pg, slot, PIN_PUBLISHED, root)))
            return rc;
        if (root->sn_time_ns > limit)
            limit = root->sn_time_ns;
        if (ns > limit) {
            mo.mo_resolved_ns = limit;
            mo.mo_settled = false;
        }
    }
    if ((rc = pager_settle(pg, mo.mo_resolved_ns, &until)))
        return rc;
    /* Pinned after settling: the root has every commit at or before the moment. */
    if ((rc = pager_pin(pg, slot, PIN_PUBLISHED, root)) || (rc = count_upto(pg, root, mo.mo_resolved_ns, &count)))
        return rc;
    if (count <= 1 || count - 1 < root->sn_horizon)
        return too_early(pg, root, ns);
    mo.mo_number = count - 1;
    if (until < mo.mo_number)
        until = mo.mo_number;
    if (pager_synchronous(pg) == SYNC_FULL && until > pager_durable(pg)
        && (rc = pager_wait_durable(pg, until, false)))
        return rc;
    if ((rc = moment_of(pg, root, mo.mo_number, &mo.mo_commit_ns)))
        return rc;
    *out = mo;
    return EDB_OK;
}
