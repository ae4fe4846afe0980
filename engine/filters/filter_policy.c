/* Whether a filter pays.
 *
 * It is the question of renting or buying: nobody knows how many looks are still to come. So a filter is made when the looks in
 * vain so far have cost as much as making it; whatever comes then, no more than twice the work of the best choice is done
 * (Karlin, Manasse, Rudolph and Sleator, "Competitive snoopy caching", Algorithmica 1988). Bringing one up to date is judged
 * alike. Looks that are known to come count with those that were.
 *
 * Once it is there, its balance is kept: what it spares, less what asking, learning and growing cost. When it has lost as
 * much as making it took, it is given up, and the next one needs twice the reason. */
#include <math.h>

#include "engine/filters/filters_internal.h"

enum { MEAN_LOOKS = 1024, GIVEN_UP_MOST = 20 };

static void mean(double *of, double is, uint64_t looks)
{
    *of += (is - *of) * (looks < MEAN_LOOKS ? (double)looks / MEAN_LOOKS : 1);
}

/* What a filter spares in so many looks, less what asking it costs. */
static double gain(const filter_policy *po, double looks)
{
    return looks * (po->po_missing * po->po_look - WORK_ASK);
}

void policy_looked(filter_policy *po, uint64_t looks, uint64_t missing, double work, bool filtered)
{
    if (!looks)
        return;
    double look = work / (double)looks;
    if (po->po_look > 0)
        mean(&po->po_look, look, looks);
    else
        po->po_look = look;
    if (filtered)
        return;
    mean(&po->po_missing, (double)missing / (double)looks, looks);
    po->po_lost = fmax(0, po->po_lost + (double)missing * look - (double)looks * WORK_ASK);
}

void policy_asked(filter_policy *po, uint64_t asked, uint64_t denied)
{
    if (!asked)
        return;
    mean(&po->po_missing, (double)denied / (double)asked, asked);
    po->po_balance += (double)denied * po->po_look - (double)asked * WORK_ASK;
    if (po->po_balance > po->po_build) {
        po->po_balance = po->po_build;      /* what was good long ago does not excuse what is bad now */
        po->po_given_up = 0;
    }
}

void policy_spent(filter_policy *po, double work)
{
    po->po_balance -= work;
}

void policy_made(filter_policy *po, double work)
{
    po->po_build = work;
    po->po_balance = 0;
    po->po_lost = 0;
    po->po_catch_up = fmin(work, 30 * WORK_PAGE);   /* a guess, until it was done once */
}

void policy_caught_up(filter_policy *po, double work)
{
    po->po_catch_up = work;
    po->po_lost = 0;
    policy_spent(po, work);
}

void policy_gave_up(filter_policy *po)
{
    po->po_given_up += po->po_given_up < GIVEN_UP_MOST;
    po->po_lost = po->po_balance = 0;
}

bool policy_makes(const filter_policy *po, uint64_t looks, double work)
{
    double per = gain(po, 1);

    return per > 0 && po->po_lost + per * (double)looks >= ldexp(work, (int)po->po_given_up);
}

bool policy_catches_up(const filter_policy *po, uint64_t looks)
{
    return po->po_lost + fmax(0, gain(po, (double)looks)) >= po->po_catch_up;
}

bool policy_gives_up(const filter_policy *po)
{
    return po->po_balance < -po->po_build;
}
