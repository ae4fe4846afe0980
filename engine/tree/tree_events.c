/* What commits did to a range of keys: every change of every key between two moments.
 *
 * Keys and commits span a plane, and each page that was ever reached answers for one part of it: from its separator up to
 * the next, and from the `from` of its parent's entry until the next entry of that key. The walk goes through these parts,
 * each once: a child that two parents enter, or that outlives a parent split by time, is clipped to the part of each. In a leaf
 * the changes are the entries whose `from` lies in its part; an older entry was carried over, and is what the key was before.
 *
 * Of the commit that began a leaf the leaf tells only what lived on: a key that it deleted is not there, and has no
 * tombstone, because a split by time keeps the living. So the keys of the moment before are walked beside it. The same is done
 * for a range in which nothing lived on, which has no page at all; and where a part begins because a node above it does, since
 * a node that is split by time leaves separators of empty ranges behind, and what stands before them answers for these too.
 * Of a walk over one key the part before mostly ends where the next begins: then what the key was is known from there.
 *
 * Changes up to the horizon are not told, since what was before them may be gone. Passed over is what lies outside the moments: parts that ended before them or began after them, and pages that no commit has
 * written since, for nothing below a page is younger than the page. */
#include <stdlib.h>
#include <string.h>

#include "engine/tree/page.h"
#include "engine/tree/tree_events.h"


typedef struct {                    /* what a page answers for */
    const uint8_t *pt_low, *pt_high;    /* keys; high NULL: no upper end */
    uint32_t pt_low_size, pt_high_size;
    uint64_t pt_since, pt_until;    /* commits, until excluded */
} part;

struct events_node {                /* an interior node on the way down */
    part no_part;
    unsigned no_level;
    size_t no_n, no_group, no_end, no_i;    /* entries; those of the key at hand, [group, end); the next of them is no_i - 1 */
    page_entry *no_entries;         /* owned, kept for the next node on this level */
};

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory to walk the changes of a tree");
}

static bool starts_before(const uint8_t *key, size_t size, const uint8_t *high, size_t high_size)
{
    return !high || key_compare(key, size, high, high_size) < 0;
}

static bool wanted_moment(const tree_events *tes, uint64_t at)
{
    return at > tes->tes_after && at <= tes->tes_upto;
}

/* Whether a part has a change that is wanted, as far as its ends tell. */
static bool wanted_part(const tree_events *tes, const part *pt)
{
    return pt->pt_since < pt->pt_until && pt->pt_until - 1 > tes->tes_after && pt->pt_since <= tes->tes_upto
           && starts_before(pt->pt_low, pt->pt_low_size, pt->pt_high, pt->pt_high_size)
           && starts_before(pt->pt_low, pt->pt_low_size, tes->tes_high, tes->tes_high_size)
           && starts_before(tes->tes_low, tes->tes_low_size, pt->pt_high, pt->pt_high_size);
}

static size_t group_end(const page_entry *e, size_t n, size_t from)
{
    size_t end = from + 1;

    while (end < n && !e[end].newest)
        end++;
    return end;
}

/* ---- one leaf, or a range without one -------------------------------------------------------------------------- */

/* Whether keys from low to high are one key, in a tree whose keys have one size: high is low, cut behind its last byte below 255, which
 * is one more. */
static bool is_one_key(const tree_state *state, const uint8_t *low, size_t low_size, const uint8_t *high, size_t high_size)
{
    size_t same = high_size;

    if (!state->ts_key_size || low_size != state->ts_key_size || !high || !high_size || high_size > low_size)
        return false;
    while (same < low_size && low[same] == 0xff)
        same++;
    return same == low_size && high[high_size - 1] == low[high_size - 1] + 1 && !memcmp(low, high, high_size - 1);
}

/* What the key was before a part that begins at `since`; and of the part, so far, that the key is not in it. */
static void one_key_enter(tree_events *tes, const part *pt)
{
    tes->tes_knows = tes->tes_one_key && tes->tes_seen_until == pt->pt_since;
    tes->tes_before = tes->tes_seen;
    tes->tes_before_had = tes->tes_seen_had;
    tes->tes_seen_until = pt->pt_until;
    tes->tes_seen_had = false;
}

/* Begins the walk of a part: tes_entries, of which there are n, and beside them the keys of the moment before. */
static int part_enter(tree_events *tes, const part *pt, size_t n)
{
    const uint8_t *low = pt->pt_low;
    size_t low_size = pt->pt_low_size;
    int rc = EDB_OK;

    tes->tes_high_here = pt->pt_high;
    tes->tes_high_here_size = pt->pt_high_size;
    if (key_compare(tes->tes_low, tes->tes_low_size, low, low_size) > 0) {
        low = tes->tes_low;
        low_size = tes->tes_low_size;
    }
    if (tes->tes_high && !(pt->pt_high && key_compare(pt->pt_high, pt->pt_high_size, tes->tes_high, tes->tes_high_size) < 0)) {
        tes->tes_high_here = tes->tes_high;
        tes->tes_high_here_size = tes->tes_high_size;
    }
    tes->tes_since = pt->pt_since;
    tes->tes_until = pt->pt_until;
    tes->tes_n = n;
    for (tes->tes_group = 0; tes->tes_group < n; tes->tes_group = group_end(tes->tes_entries, n, tes->tes_group))
        if (key_compare(tes->tes_entries[tes->tes_group].key, tes->tes_entries[tes->tes_group].key_size, low, low_size) >= 0)
            break;
    tes->tes_compares = pt->pt_since > tes->tes_state.ts_born && wanted_moment(tes, pt->pt_since);
    one_key_enter(tes, pt);
    if (tes->tes_compares && !tes->tes_knows) {
        tree_cursor_move(&tes->tes_then, pt->pt_since - 1);
        rc = tree_cursor_seek(&tes->tes_then, low, low_size);
    }
    tes->tes_inside = true;
    return rc;
}

static void version_of(const page_entry *e, tree_version *out)
{
    *out = (tree_version){ .key = e->key, .key_size = e->key_size, .value = e->value, .value_size = e->value_size,
                           .from = e->from, .overflow = e->overflow };
}

static void put_event(tree_events *tes, uint64_t at, const tree_version *was, const tree_version *is)
{
    if (!wanted_moment(tes, at) || (!was && !is))
        return;
    tree_event *out = &tes->tes_made[tes->tes_n_made++];
    *out = (tree_event){ .at = at, .had = was != NULL, .has = is != NULL };
    if (was)
        out->was = *was;
    if (is)
        out->is = *is;
    out->key = is ? is->key : was->key;
    out->key_size = is ? is->key_size : was->key_size;
}

static bool same_version(const tree_version *a, const tree_version *b, const row_mask *mask)
{
    if (a->from != b->from || a->overflow != b->overflow)
        return false;
    if (mask && !a->overflow)
        return row_masked_same(mask, a->value, a->value_size, b->value, b->value_size);
    return a->value_size == b->value_size && (!a->value_size || memcmp(a->value, b->value, a->value_size) == 0);  /* copies share a chain */
}

/* Whether what the part has of a key from before it began is what was there then; named is the commit that wrote that. */
static void prove_carried(tree_events *tes, size_t group, size_t end, const tree_version *then)
{
    const page_entry *e = tes->tes_entries;
    tree_version carried;

    if (!tes->tes_proves || !wanted_moment(tes, tes->tes_since))
        return;
    while (group < end && e[group].from >= tes->tes_since)
        group++;
    if (group == end)
        return;                     /* nothing: if there was something then, it ended here, which is a change */
    version_of(&e[group], &carried);
    if (e[group].tombstone ? !then : then && same_version(then, &carried, tes->tes_mask))
        return;
    tes->tes_made[tes->tes_n_made++] = (tree_event){ .at = then ? then->from : carried.from, .key = carried.key,
                                                     .key_size = carried.key_size, .differs = true };
}

/* The changes of one key, oldest first. `then`: what it was before the leaf began; NULL: nothing, or nothing that matters. */
static void group_events(tree_events *tes, size_t group, size_t end, const tree_version *then)
{
    const page_entry *e = tes->tes_entries;
    tree_version was = { 0 }, is = { 0 };
    bool had = false;

    prove_carried(tes, group, end, then);
    if (then) {
        was = *then;
        had = true;
        if (e[end - 1].from > tes->tes_since) {
            put_event(tes, tes->tes_since, &was, NULL);    /* deleted by the commit that began the leaf, and come back */
            had = false;
        }
    }
    for (size_t i = end; i-- > group;) {
        if (e[i].from >= tes->tes_until)
            break;
        version_of(&e[i], &is);
        if (e[i].from >= tes->tes_since)
            put_event(tes, e[i].from, had ? &was : NULL, e[i].tombstone ? NULL : &is);
        was = is;
        had = !e[i].tombstone;
    }
    tes->tes_seen = was;
    tes->tes_seen_had = had;
}

static bool then_inside(const tree_events *tes)
{
    const tree_cursor *then = &tes->tes_then;

    if (!tes->tes_compares || tes->tes_knows)
        return tes->tes_compares && tes->tes_before_had;
    return then->tc_valid && starts_before(then->tc_at.key, then->tc_at.key_size, tes->tes_high_here, tes->tes_high_here_size);
}

static int then_next(tree_events *tes)
{
    if (!tes->tes_knows)
        return tree_cursor_next(&tes->tes_then);
    tes->tes_before_had = false;
    return EDB_OK;
}

/* The changes of the next key of the part into tes_made; perhaps none. -> *over: there is no further key. */
static int part_next(tree_events *tes, bool *over)
{
    const page_entry *e = &tes->tes_entries[tes->tes_group];
    bool here = tes->tes_group < tes->tes_n && starts_before(e->key, e->key_size, tes->tes_high_here, tes->tes_high_here_size);
    bool then = then_inside(tes);
    tree_version before;
    int order = 0;

    tes->tes_n_made = tes->tes_made_at = 0;
    *over = !here && !then;
    if (*over)
        return EDB_OK;
    if (then) {
        before = tes->tes_knows ? tes->tes_before : tes->tes_then.tc_at;
        order = here ? key_compare(before.key, before.key_size, e->key, e->key_size) : -1;
    }
    if (then && order < 0) {
        put_event(tes, tes->tes_since, &before, NULL);
        return then_next(tes);
    }
    size_t group = tes->tes_group;
    tes->tes_group = group_end(tes->tes_entries, tes->tes_n, group);
    then = then && order == 0;
    group_events(tes, group, tes->tes_group, then ? &before : NULL);
    return then ? then_next(tes) : EDB_OK;
}

/* ---- the way through the parts ------------------------------------------------------------------------------------ */

/* Not beyond the end of the node's key at hand when the part begins: the next separator that is there then. */
static void clip_to_next(const struct events_node *no, part *pt)
{
    const page_entry *e = no->no_entries;

    for (size_t at = no->no_end; at < no->no_n;) {
        size_t end = group_end(e, no->no_n, at);
        if (e[end - 1].from <= pt->pt_since) {
            if (starts_before(e[at].key, e[at].key_size, pt->pt_high, pt->pt_high_size)) {
                pt->pt_high = e[at].key;
                pt->pt_high_size = e[at].key_size;
            }
            return;
        }
        at = end;
    }
}

/* Where a part ends depends on when it begins, in all nodes above it: the right half of a node that was split by key is entered
 * beside the left one from its oldest entry on. */
static void clip_high(const tree_events *tes, part *pt)
{
    pt->pt_high = NULL;
    for (int above = 0; above < tes->tes_depth; above++)
        clip_to_next(&tes->tes_path[above], pt);
}

/* The part of entry i of the node at the bottom of the way. */
static void child_part(const tree_events *tes, size_t i, part *out)
{
    const struct events_node *no = &tes->tes_path[tes->tes_depth - 1];
    const page_entry *e = &no->no_entries[i];

    *out = no->no_part;
    if (key_compare(e->key, e->key_size, out->pt_low, out->pt_low_size) > 0) {
        out->pt_low = e->key;
        out->pt_low_size = e->key_size;
    }
    if (e->from > out->pt_since)
        out->pt_since = e->from;
    if (i > no->no_group && e[-1].from < out->pt_until)
        out->pt_until = e[-1].from;
    clip_high(tes, out);
}

/* Keys of a new node before its first separator: where that came later than the node, they have no page until then. */
static int node_head(tree_events *tes, const part *pt)
{
    const struct events_node *no = &tes->tes_path[tes->tes_depth - 1];
    part head = *pt;

    if (no->no_entries[group_end(no->no_entries, no->no_n, 0) - 1].from <= pt->pt_since)
        return EDB_OK;
    clip_high(tes, &head);
    return wanted_part(tes, &head) ? part_enter(tes, &head, 0) : EDB_OK;
}

/* Enters what a part has: a leaf, a node, or nothing. */
static int part_open(tree_events *tes, page_ref ref, unsigned above, const part *pt)
{
    const uint8_t *page;
    int rc;

    if (!wanted_part(tes, pt))
        return EDB_OK;
    if (!ref.page)
        return part_enter(tes, pt, 0);
    if ((rc = node_open(tes->tes_pager, tes->tes_view, &tes->tes_state, ref, above, &page)))
        return rc;
    if (pt->pt_since <= tes->tes_after && load64(page + PH_WRITER) <= tes->tes_after) {
        tes->tes_seen_until = 0;    /* a part before may have claimed the key, which a later separator gave to this one */
        return EDB_OK;
    }
    if (page_is_leaf(page))
        return part_enter(tes, pt, page_entries_within(page, tes->tes_low, tes->tes_low_size, tes->tes_high,
                                                       tes->tes_high_size, tes->tes_entries));
    if (tes->tes_depth == TREE_DEPTH)
        return edb_fail(EDB_CORRUPT, "%s: the tree above page %llu is too deep", pager_name(tes->tes_pager),
                        (unsigned long long)ref.page);
    struct events_node *no = &tes->tes_path[tes->tes_depth];
    if (!no->no_entries && !(no->no_entries = malloc(tes->tes_room * sizeof *no->no_entries)))
        return no_memory();
    no->no_part = *pt;
    no->no_level = page_level(page);
    no->no_n = page_entries(page, no->no_entries);
    no->no_group = no->no_end = no->no_i = 0;
    tes->tes_depth++;
    return node_head(tes, pt);
}

/* The next child of the node at the bottom of the way, those of a key oldest first; the node is left behind its last. */
static int node_next(tree_events *tes)
{
    struct events_node *no = &tes->tes_path[tes->tes_depth - 1];
    part pt;

    if (no->no_i == no->no_group) {
        if (no->no_end >= no->no_n) {
            tes->tes_depth--;
            return EDB_OK;
        }
        no->no_group = no->no_end;
        no->no_end = no->no_i = group_end(no->no_entries, no->no_n, no->no_group);
    }
    size_t i = --no->no_i;
    child_part(tes, i, &pt);
    return part_open(tes, no->no_entries[i].child, no->no_level, &pt);
}

static int root_number(const tree_events *tes, uint64_t i, tree_root *out)
{
    const tree_state *state = &tes->tes_state;
    const uint8_t *element;

    if (i == state->ts_roots.ar_count + state->ts_n_recent) {
        *out = (tree_root){ state->ts_since, state->ts_root };
    } else if (i >= state->ts_roots.ar_count) {
        *out = state->ts_recent[i - state->ts_roots.ar_count];
    } else {
        int rc = array_get(tes->tes_pager, &state->ts_roots, TREE_ROOT_SIZE, i, &element);
        if (rc)
            return rc;
        *out = (tree_root){ load64(element), { load64(element + 8), load32(element + 16) } };
    }
    return EDB_OK;
}

/* The next root of the tree; *over: that was the last. */
static int root_next(tree_events *tes, bool *over)
{
    uint64_t roots = tes->tes_state.ts_roots.ar_count + tes->tes_state.ts_n_recent + 1;
    tree_root root = { 0 }, after = { 0 };
    int rc;

    *over = tes->tes_root >= roots;
    if (*over)
        return EDB_OK;
    if ((rc = root_number(tes, tes->tes_root, &root)))
        return rc;
    tes->tes_root++;
    if (tes->tes_root < roots && (rc = root_number(tes, tes->tes_root, &after)))
        return rc;
    const part pt = { .pt_low = (const uint8_t *)"", .pt_since = root.since,
                      .pt_until = tes->tes_root < roots ? after.since : FOREVER };
    return part_open(tes, root.root, LEVEL_ANY, &pt);
}

/* ---- for callers -------------------------------------------------------------------------------------------------- */

int tree_events_open(tree_events *tes, pager *pg, const tree_state *state, uint64_t after, uint64_t upto)
{
    int rc;

    *tes = (tree_events){ .tes_pager = pg, .tes_view = pager_get_view(pg), .tes_state = *state, .tes_after = after > state->ts_horizon ? after : state->ts_horizon,
                          .tes_upto = upto, .tes_room = pager_page_size(pg) / SLOT_LIVE + 1, .tes_root = UINT64_MAX };
    if ((rc = tree_cursor_open(&tes->tes_then, pg, state, 0)))
        return rc;
    tes->tes_path = calloc(TREE_DEPTH, sizeof *tes->tes_path);
    tes->tes_entries = malloc(tes->tes_room * sizeof *tes->tes_entries);
    tes->tes_made = malloc((tes->tes_room + 2) * sizeof *tes->tes_made);
    if (tes->tes_path && tes->tes_entries && tes->tes_made)
        return EDB_OK;
    tree_events_close(tes);
    return no_memory();
}

int tree_events_start(tree_events *tes, const void *low, size_t low_size, const void *high, size_t high_size)
{
    const tree_state *state = &tes->tes_state;
    int rc = EDB_OK;

    tes->tes_low = low ? low : (const uint8_t *)"";
    tes->tes_low_size = low ? low_size : 0;
    tes->tes_high = high;
    tes->tes_high_size = high_size;
    tes->tes_one_key = is_one_key(state, tes->tes_low, tes->tes_low_size, high, high_size);
    tes->tes_seen_until = 0;
    tes->tes_seen_had = false;
    tes->tes_depth = 0;
    tes->tes_inside = false;
    tes->tes_n_made = tes->tes_made_at = 0;
    tes->tes_root = 0;
    if (state->ts_roots.ar_count)
        rc = array_bisect(tes->tes_pager, &state->ts_roots, TREE_ROOT_SIZE, (int64_t)tes->tes_after, &tes->tes_root);
    tes->tes_root -= tes->tes_root > 0;
    return rc;
}

void tree_events_close(tree_events *tes)
{
    tree_cursor_close(&tes->tes_then);
    for (int i = 0; tes->tes_path && i < TREE_DEPTH; i++)
        free(tes->tes_path[i].no_entries);
    free(tes->tes_path);
    free(tes->tes_entries);
    free(tes->tes_made);
    tes->tes_path = NULL;
    tes->tes_entries = NULL;
    tes->tes_made = NULL;
}

int tree_events_next(tree_events *tes, const tree_event **out)
{
    bool over = false;
    int rc = EDB_OK;

    while (!rc) {
        if (tes->tes_made_at < tes->tes_n_made) {
            *out = &tes->tes_made[tes->tes_made_at++];
            return EDB_OK;
        }
        if (tes->tes_inside) {
            if (!(rc = part_next(tes, &over)))
                tes->tes_inside = !over;
        } else if (tes->tes_depth) {
            rc = node_next(tes);
        } else if (!(rc = root_next(tes, &over)) && over) {
            break;
        }
    }
    *out = NULL;
    return rc;
}
