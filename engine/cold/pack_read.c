/* A page out of a pack. See pack.h and pack_parts.h.
 *
 * pack_open() gives the plain content and what it says of itself; pack_page() goes through the section of the page once, from
 * key to key and version to version, and keeps what the page holds. Nothing is believed: each count is held against what
 * pages of this size can have, streams are never left, and what is collected for a page has at most its size, but for
 * keys, which have at most PACK_KEYS_MOST bytes. */
#include "engine/cold/pack_parts.h"

#include <pthread.h>
#include <stdlib.h>

#include "native/arena.h"

#define READERS_KEPT 8
#define LEVEL_MOST 255

typedef struct {                    /* a section, as its description says */
    bool scd_leaf;
    uint32_t scd_owner, scd_fixed, scd_keys, scd_versions, scd_commits, scd_columns;
    uint32_t scd_stream;             /* its first */
} section_said;

typedef struct {                    /* a page */
    int pgd_section;                 /* -1: it is no node */
    uint32_t pgd_stream;             /* then: its bytes */
    uint64_t pgd_writer;
    uint32_t pgd_level, pgd_kind, pgd_flags;
    node_range pgd_range;
} page_said;

typedef struct {                    /* the section that a page is taken from, while it is gone through */
    const section_said *go_section;
    const page_said *go_page;
    unsigned go_bit;                /* of the page in what SN_HOLDERS says */
    stream_in go_in[SN_FIXED + 2 * COLUMN_STREAMS];
    key_reader go_keys;
    uint32_t go_key, go_begun, go_until;
    const uint8_t *go_key_kept;     /* the key at hand, where it stays; NULL: it was not needed yet */
    uint64_t go_child;              /* number of the child before */
    uint32_t go_row;                /* columns of the row before, of this key; 0: there is none */
    size_t go_entries, go_values, go_key_bytes;     /* of the page so far; bytes */
} going;

struct pack_reader {
    pack_reader *pkr_next;           /* of those that wait */
    const zstd_functions *pkr_zstd;
    zstd_dctx *pkr_dctx;
    pack_name pkr_name;
    uint32_t pkr_page_size;
    unsigned pkr_n, pkr_n_sections;
    room pkr_plain;
    room pkr_streams;                /* of stream_in */
    section_said pkr_sections[PACK_PAGES_MOST];
    page_said pkr_pages[PACK_PAGES_MOST];
    room pkr_commits, pkr_columns, pkr_entries, pkr_key;        /* uint64_t, row_part, page_entry, bytes */
    arena pkr_kept;                  /* keys and rows of the page */
    going pkr_going;
};

/* ---- readers ----------------------------------------------------------------------------------------------------- */

/* A forked child begins with none: another thread may have been changing the list. */
static struct {
    pthread_mutex_t wai_mutex;
    pack_reader *wai_first;
    unsigned wai_n;
} waiting = { .wai_mutex = PTHREAD_MUTEX_INITIALIZER };

static void fork_child(void)
{
    pthread_mutex_init(&waiting.wai_mutex, NULL);
    waiting.wai_first = NULL;
    waiting.wai_n = 0;
}

__attribute__((constructor)) static void readers_register(void)
{
    pthread_atfork(NULL, NULL, fork_child);
}

static int reader_new(pack_reader **out)
{
    const zstd_functions *zstd;
    int rc = zstd_find(&zstd);

    if (rc != EDB_OK)
        return rc;
    pack_reader *pr = calloc(1, sizeof *pr);
    if (!pr)
        return edb_fail(EDB_NOMEM, "memory is exhausted");
    pr->pkr_zstd = zstd;
    pr->pkr_dctx = zstd->zs_new_dctx();
    if (!pr->pkr_dctx) {
        free(pr);
        return edb_fail(EDB_NOMEM, "memory is exhausted");
    }
    arena_init(&pr->pkr_kept);
    *out = pr;
    return EDB_OK;
}

static void reader_free(pack_reader *pr)
{
    room_end(&pr->pkr_plain);
    room_end(&pr->pkr_streams);
    room_end(&pr->pkr_commits);
    room_end(&pr->pkr_columns);
    room_end(&pr->pkr_entries);
    room_end(&pr->pkr_key);
    arena_free(&pr->pkr_kept);
    pr->pkr_zstd->zs_free_dctx(pr->pkr_dctx);
    free(pr);
}

/* One that waits; NULL: none does. */
static pack_reader *waiting_take(void)
{
    pthread_mutex_lock(&waiting.wai_mutex);
    pack_reader *pr = waiting.wai_first;
    if (pr) {
        waiting.wai_first = pr->pkr_next;
        waiting.wai_n--;
    }
    pthread_mutex_unlock(&waiting.wai_mutex);
    return pr;
}

int pack_reader_take(pack_reader **out)
{
    pack_reader *pr = waiting_take();

    if (!pr)
        return reader_new(out);
    *out = pr;
    return EDB_OK;
}

void pack_reader_give(pack_reader *pr)
{
    if (!pr)
        return;
    pthread_mutex_lock(&waiting.wai_mutex);
    bool kept = waiting.wai_n < READERS_KEPT;
    if (kept) {
        pr->pkr_next = waiting.wai_first;
        waiting.wai_first = pr;
        waiting.wai_n++;
    }
    pthread_mutex_unlock(&waiting.wai_mutex);
    if (!kept)
        reader_free(pr);
}

void pack_readers_forget(void)
{
    for (pack_reader *pr; (pr = waiting_take());)
        reader_free(pr);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int damaged(const pack_reader *pr, const char *how)
{
    return edb_fail(EDB_CORRUPT, "%s: the pack at page %llu is damaged (%s)", pr->pkr_name.file,
                    (unsigned long long)pr->pkr_name.place, how);
}

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "memory is exhausted");
}

static int plain_load(pack_reader *pr, const uint8_t *pack, size_t size, size_t *plain)
{
    if (size < PACK_HEADER || pack[0] != PACK_FORMAT || pack[1] < 1 || pack[1] > PACK_PAGES_MOST || pack[3] != 0)
        return damaged(pr, "it does not begin as packs do");
    if (pack[2] >= 32 || 1u << pack[2] != pr->pkr_page_size)
        return damaged(pr, "its pages have another size");
    pr->pkr_n = pack[1];
    *plain = load32(pack + 4);
    if (*plain > PACK_PLAIN_MOST(pr->pkr_n, pr->pkr_page_size))
        return damaged(pr, "it says that it holds more than packs may");
    if (!room_for(&pr->pkr_plain, *plain + 1, 0))
        return no_memory();
    size_t got = pr->pkr_zstd->zs_decompress(pr->pkr_dctx, pr->pkr_plain.rom_at, *plain, pack + PACK_HEADER,
                                            size - PACK_HEADER);
    if (pr->pkr_zstd->zs_is_error(got))
        return damaged(pr, pr->pkr_zstd->zs_error_name(got));
    return got == *plain ? EDB_OK : damaged(pr, "it holds less than it says");
}

/* Where each stream lies. The last is left in *said. */
static int streams_load(pack_reader *pr, size_t plain, uint32_t *n, stream_in *said)
{
    const uint8_t *at = pr->pkr_plain.rom_at;
    stream_in in = { at, at + plain, false };
    uint32_t most = PACK_PAGES_MOST * (SN_FIXED + 2 * COLUMN_STREAMS) + PACK_PAGES_MOST + 1;

    *n = in_most(&in, most);
    if (in.in_bad || *n == 0)
        return damaged(pr, "its number of streams");
    if (!room_for(&pr->pkr_streams, *n * sizeof(stream_in), 0))
        return no_memory();
    stream_in *streams = pr->pkr_streams.rom_at;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < *n; i++) {
        uint32_t size = in_most(&in, (uint32_t)plain);
        sum += size;
        streams[i] = (stream_in){ at, at + size, false };       /* the size is right, the place comes below */
    }
    if (in.in_bad || sum != in_left(&in))
        return damaged(pr, "the sizes of its streams");
    for (uint32_t i = 0; i < *n; i++) {
        size_t size = (size_t)(streams[i].in_end - streams[i].in_at);
        streams[i] = (stream_in){ in.in_at, in.in_at + size, false };
        in.in_at += size;
    }
    *said = streams[*n - 1];
    return EDB_OK;
}

static bool section_load(const pack_reader *pr, section_said *sd, stream_in *said)
{
    uint32_t kind = in_most(said, PAGE_INTERIOR), versions = pr->pkr_n * PAGE_ENTRIES_MOST(pr->pkr_page_size);

    sd->scd_leaf = kind == PAGE_LEAF;
    sd->scd_owner = in_most(said, UINT32_MAX);
    sd->scd_fixed = in_most(said, 8);
    sd->scd_keys = in_most(said, versions);
    sd->scd_versions = in_most(said, versions);
    sd->scd_commits = in_most(said, versions);
    sd->scd_columns = in_most(said, COLUMN_STREAMS);
    return !said->in_bad && kind != 0 && (sd->scd_fixed == 0 || sd->scd_fixed == 8) && sd->scd_keys <= sd->scd_versions
           && sd->scd_commits <= sd->scd_versions && (sd->scd_leaf || sd->scd_columns == 0);
}

static bool page_load(const pack_reader *pr, page_said *pd, stream_in *said)
{
    pd->pgd_section = (int)in_most(said, pr->pkr_n_sections) - 1;
    pd->pgd_writer = in_varint(said);
    if (pd->pgd_section >= 0) {
        pd->pgd_level = in_most(said, LEVEL_MOST);
        pd->pgd_range.first_key = in_most(said, UINT32_MAX);
        pd->pgd_range.keys = in_most(said, UINT32_MAX);
        pd->pgd_range.low = in_most(said, UINT32_MAX);
        pd->pgd_range.high = in_most(said, UINT32_MAX);
    } else {
        pd->pgd_kind = in_most(said, UINT8_MAX);
        pd->pgd_level = in_most(said, UINT8_MAX);
        pd->pgd_flags = in_most(said, UINT16_MAX);
        if (pd->pgd_kind == PAGE_LEAF || pd->pgd_kind == PAGE_INTERIOR)
            return false;
    }
    return !said->in_bad;
}

static int content_load(pack_reader *pr, uint32_t streams, stream_in *said)
{
    uint32_t next = 0;

    pr->pkr_n_sections = in_most(said, pr->pkr_n);
    for (unsigned i = 0; i < pr->pkr_n_sections; i++) {
        section_said *sd = &pr->pkr_sections[i];
        if (!section_load(pr, sd, said))
            return damaged(pr, "a section");
        sd->scd_stream = next;
        next += SN_FIXED + 2 * sd->scd_columns;
    }
    for (unsigned i = 0; i < pr->pkr_n; i++) {
        page_said *pd = &pr->pkr_pages[i];
        if (!page_load(pr, pd, said))
            return damaged(pr, "a page");
        if (pd->pgd_section < 0)
            pd->pgd_stream = next++;
    }
    if (said->in_bad || in_left(said) || next + 1 != streams)
        return damaged(pr, "its streams are not as many as its sections and pages need");
    return EDB_OK;
}

int pack_open(pack_reader *pr, pack_name name, const uint8_t *pack, size_t size, uint32_t page_size, unsigned *n)
{
    size_t plain;
    uint32_t streams;
    stream_in said;

    pr->pkr_name = name;
    pr->pkr_page_size = page_size;
    int rc = plain_load(pr, pack, size, &plain);
    if (rc == EDB_OK)
        rc = streams_load(pr, plain, &streams, &said);
    if (rc == EDB_OK)
        rc = content_load(pr, streams, &said);
    if (rc != EDB_OK) {
        pr->pkr_n = 0;
        return rc;
    }
    *n = pr->pkr_n;
    return EDB_OK;
}

/* ---- going through a section ------------------------------------------------------------------------------------- */

static int commits_load(pack_reader *pr, going *go)
{
    uint32_t n = go->go_section->scd_commits;
    stream_in *in = &go->go_in[SN_COMMITS];
    uint64_t number = 0;

    if (!room_for(&pr->pkr_commits, (n + 1) * sizeof(uint64_t), 0))
        return no_memory();
    for (uint32_t i = 0; i < n; i++) {
        uint64_t more = in_varint(in);
        if (more >= TO_NONE || in->in_bad)
            return damaged(pr, "a commit number");
        number += more + (i > 0);
        if (number >= TO_NONE)
            return damaged(pr, "a commit number");
        ((uint64_t *)pr->pkr_commits.rom_at)[i] = number;
    }
    return EDB_OK;
}

static int go_begin(pack_reader *pr, unsigned page)
{
    going *go = &pr->pkr_going;
    uint32_t size = pr->pkr_page_size;

    go->go_page = &pr->pkr_pages[page];
    go->go_section = &pr->pkr_sections[go->go_page->pgd_section];
    go->go_bit = page;
    go->go_key = go->go_row = 0;
    go->go_child = 0;
    go->go_entries = go->go_values = go->go_key_bytes = 0;
    const stream_in *streams = (const stream_in *)pr->pkr_streams.rom_at + go->go_section->scd_stream;
    uint32_t columns = go->go_section->scd_columns;
    memcpy(go->go_in, streams, (SN_FIXED + columns) * sizeof *streams);
    memcpy(&go->go_in[SN_FIXED + COLUMN_STREAMS], streams + SN_FIXED + columns, columns * sizeof *streams);
    arena_reset(&pr->pkr_kept);
    if (!room_for(&pr->pkr_key, PACK_KEY_ROOM(size), 0)
        || !room_for(&pr->pkr_entries, PAGE_ENTRIES_MOST(size) * sizeof(page_entry), 0))
        return no_memory();
    if (!keys_open(&go->go_keys, &go->go_in[SN_KEY_FORMS], &go->go_in[SN_KEY_BYTES], pr->pkr_key.rom_at,
                   PACK_KEY_ROOM(size), go->go_section->scd_keys))
        return damaged(pr, "its keys");
    return commits_load(pr, go);
}

/* One row, of which the columns that differ from the row before are read. Its columns stand in pkr_columns. */
static int row_read(pack_reader *pr, going *go, uint32_t n)
{
    uint32_t columns = go->go_section->scd_columns;

    if (n > ROW_COLUMNS_MOST(pr->pkr_page_size) || column_stream(n - 1) >= columns)
        return damaged(pr, "the columns of a row");
    if (!room_for(&pr->pkr_columns, n * sizeof(row_part), go->go_row * sizeof(row_part)))
        return no_memory();
    row_part *parts = pr->pkr_columns.rom_at;
    const uint8_t *changed = NULL;
    if (go->go_row == n && !(changed = in_bytes(&go->go_in[SN_CHANGED], (n + 7) / 8)))
        return damaged(pr, "which columns differ");
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = SN_FIXED + column_stream(i);
        if (changed && !(changed[i / 8] >> i % 8 & 1))
            continue;
        if (!column_read(&parts[i], &go->go_in[at], &go->go_in[at + COLUMN_STREAMS]))
            return damaged(pr, "a column");
    }
    go->go_row = n;
    return EDB_OK;
}

/* Whether so many bytes more still fit the page; counted. */
static bool values_fit(const pack_reader *pr, going *go, size_t size)
{
    go->go_values += size;
    return go->go_values <= pr->pkr_page_size;
}

static int row_keep(pack_reader *pr, going *go, uint32_t n, page_entry *e)
{
    uint32_t size = row_joined_size(pr->pkr_columns.rom_at, n, pr->pkr_page_size);

    if (size == 0 || !values_fit(pr, go, size))
        return damaged(pr, "a row is larger than a page");
    uint8_t *value = arena_alloc(&pr->pkr_kept, size);
    if (!value)
        return no_memory();
    row_join(value, pr->pkr_columns.rom_at, n);
    e->value = value;
    e->value_size = size;
    return EDB_OK;
}

/* The value of a version in a leaf. */
static int value_read(pack_reader *pr, going *go, bool kept, uint32_t form, page_entry *e)
{
    if (form == FORM_TOMBSTONE) {
        e->tombstone = true;
        return EDB_OK;
    }
    if (form > FORM_ROW) {
        uint32_t n = form - FORM_ROW;
        int rc = row_read(pr, go, n);
        return rc == EDB_OK && kept ? row_keep(pr, go, n, e) : rc;
    }
    e->overflow = form == FORM_OVERFLOW;
    e->value_size = e->overflow ? OVERFLOW_SIZE : in_most(&go->go_in[SN_SIZES], pr->pkr_page_size);
    e->value = in_bytes(&go->go_in[SN_VALUES], e->value_size);
    if (go->go_in[SN_SIZES].in_bad || !e->value || (kept && !values_fit(pr, go, e->value_size)))
        return damaged(pr, "a value");
    return EDB_OK;
}

static int child_read(pack_reader *pr, going *go, page_entry *e)
{
    uint64_t said = in_varint(&go->go_in[SN_CHILDREN]);

    go->go_child += (uint64_t)unzigzag(said >> 1);
    e->child.page = go->go_child;
    e->child.tag = 0;
    if (said & 1) {
        const uint8_t *tag = in_bytes(&go->go_in[SN_TAGS], 4);
        if (!tag)
            return damaged(pr, "the tag of a child");
        e->child.tag = load32(tag);
    }
    if (go->go_in[SN_CHILDREN].in_bad || e->child.page >> 40)
        return damaged(pr, "the number of a child");
    return EDB_OK;
}

static int entry_keep(pack_reader *pr, going *go, page_entry *e)
{
    page_entry *entries = pr->pkr_entries.rom_at;
    const key_reader *kr = &go->go_keys;

    if (go->go_entries == PAGE_ENTRIES_MOST(pr->pkr_page_size))
        return damaged(pr, "a page holds too much");
    if (!go->go_key_kept) {
        go->go_key_bytes += kr->kyr_key_size;
        if (go->go_key_bytes > PACK_KEYS_MOST || (go->go_section->scd_fixed && kr->kyr_key_size != go->go_section->scd_fixed))
            return damaged(pr, "a key");
        uint8_t *key = arena_alloc(&pr->pkr_kept, kr->kyr_key_size + 1);     /* it may be empty */
        if (!key)
            return no_memory();
        memcpy(key, kr->kyr_key, kr->kyr_key_size);
        go->go_key_kept = key;
    } else if (entries[go->go_entries - 1].from == e->from) {
        return damaged(pr, "two versions of one commit in a page");
    }
    e->key = go->go_key_kept;
    e->key_size = kr->kyr_key_size;
    entries[go->go_entries++] = *e;
    return EDB_OK;
}

/* The next version of the key at hand; the first of it: `first`. */
static int version_read(pack_reader *pr, going *go, bool first)
{
    uint32_t commits = go->go_section->scd_commits, before = first ? commits - 1 : go->go_begun;
    page_entry e = { 0 };
    uint32_t form = 0;

    if (commits == 0)
        return damaged(pr, "a version of no commit");
    uint32_t back = in_most(&go->go_in[SN_BEGUN], before);
    uint32_t wrong = in_most(&go->go_in[SN_HOLDERS], UINT16_MAX);
    if (go->go_section->scd_leaf)
        form = in_most(&go->go_in[SN_FORMS], UINT32_MAX);
    if (go->go_in[SN_BEGUN].in_bad || go->go_in[SN_HOLDERS].in_bad || go->go_in[SN_FORMS].in_bad)
        return damaged(pr, "a version");
    go->go_until = first ? commits : go->go_begun;
    go->go_begun = before - back;
    if (go->go_section->scd_leaf && form == FORM_TOMBSTONE)
        go->go_until = go->go_begun + 1;
    e.from = ((const uint64_t *)pr->pkr_commits.rom_at)[go->go_begun];
    bool kept = range_holds(&go->go_page->pgd_range, go->go_key, go->go_begun, go->go_until) != (wrong >> go->go_bit & 1)
                && go->go_key - go->go_page->pgd_range.first_key < go->go_page->pgd_range.keys;
    int rc = go->go_section->scd_leaf ? value_read(pr, go, kept, form, &e) : child_read(pr, go, &e);
    return rc == EDB_OK && kept ? entry_keep(pr, go, &e) : rc;
}

/* All keys up to the last that the page has. */
static int go_through(pack_reader *pr, going *go)
{
    const node_range *range = &go->go_page->pgd_range;
    uint64_t end = (uint64_t)range->first_key + range->keys;
    uint32_t left = go->go_section->scd_versions;

    if (end > go->go_section->scd_keys)
        return damaged(pr, "the keys of a page");
    for (; go->go_key < end; go->go_key++) {
        uint32_t n = in_most(&go->go_in[SN_COUNTS], left);
        if (!keys_next(&go->go_keys) || go->go_in[SN_COUNTS].in_bad || n >= left)
            return damaged(pr, "a key");
        left -= ++n;
        go->go_key_kept = NULL;
        go->go_row = 0;
        for (uint32_t i = 0; i < n; i++) {
            int rc = version_read(pr, go, i == 0);
            if (rc != EDB_OK)
                return rc;
        }
    }
    return EDB_OK;
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

static int node_unpack(pack_reader *pr, unsigned i, uint8_t *out)
{
    going *go = &pr->pkr_going;
    int rc = go_begin(pr, i);
    if (rc == EDB_OK)
        rc = go_through(pr, go);
    if (rc != EDB_OK)
        return rc;
    node_kind kind = {
        .ndk_leaf = go->go_section->scd_leaf,
        .ndk_level = go->go_page->pgd_level,
        .ndk_owner = go->go_section->scd_owner,
        .ndk_fixed = go->go_section->scd_fixed,
        .ndk_writer = go->go_page->pgd_writer,
    };
    if (!node_fits(pr->pkr_page_size, &kind, pr->pkr_entries.rom_at, go->go_entries))
        return damaged(pr, "a page holds more than fits it");
    node_build(out, pr->pkr_page_size, &kind, pr->pkr_entries.rom_at, go->go_entries);
    return EDB_OK;
}

static int other_unpack(const pack_reader *pr, unsigned i, uint8_t *out)
{
    const page_said *pd = &pr->pkr_pages[i];
    const stream_in *bytes = (const stream_in *)pr->pkr_streams.rom_at + pd->pgd_stream;

    if (in_left(bytes) > pr->pkr_page_size - PH_OWNER)
        return damaged(pr, "a page holds more than fits it");
    memset(out, 0, pr->pkr_page_size);
    out[PH_KIND] = (uint8_t)pd->pgd_kind;
    out[PH_LEVEL] = (uint8_t)pd->pgd_level;
    store16(out + PH_FLAGS, (uint16_t)pd->pgd_flags);
    store64(out + PH_WRITER, pd->pgd_writer);
    memcpy(out + PH_OWNER, bytes->in_at, in_left(bytes));
    return EDB_OK;
}

int pack_page(pack_reader *pr, unsigned i, uint64_t number, uint8_t *out)
{
    if (i >= pr->pkr_n)
        return damaged(pr, "it does not have that page");
    int rc = pr->pkr_pages[i].pgd_section >= 0 ? node_unpack(pr, i, out) : other_unpack(pr, i, out);
    if (rc != EDB_OK)
        return rc;
    store64(out + PH_PAGE, number);
    store32(out + PH_CHECKSUM, page_checksum(out, pr->pkr_page_size));
    pager_validator valid = out[PH_KIND] < sizeof pager_validators / sizeof pager_validators[0]
                            ? pager_validators[out[PH_KIND]] : NULL;
    if (valid && !valid(out, pr->pkr_page_size))
        return damaged(pr, "a page of it is impossible");
    return EDB_OK;
}

int pack_unpack(pack_name name, const uint8_t *pack, size_t size, uint32_t page_size, unsigned i, uint64_t number,
                uint8_t *out)
{
    pack_reader *pr;
    unsigned n;
    int rc = pack_reader_take(&pr);

    if (rc != EDB_OK)
        return rc;
    rc = pack_open(pr, name, pack, size, page_size, &n);
    if (rc == EDB_OK)
        rc = pack_page(pr, i, number, out);
    pack_reader_give(pr);
    return rc;
}

/* ---- for the pager ---------------------------------------------------------------------------------------------------- */

static size_t pack_most(uint32_t page_size)
{
    return pack_bound(PACK_PAGES_MOST, page_size);
}

static int unpack_for_pager(const char *file, uint64_t place, const uint8_t *pack, size_t size, uint32_t page_size, unsigned i,
                            uint64_t number, uint8_t *out)
{
    return pack_unpack((pack_name){ file, place }, pack, size, page_size, i, number, out);
}

__attribute__((constructor)) static void unpacker_register(void)
{
    static const pager_unpacker unpacker = { pack_most, unpack_for_pager };

    pager_unpack = &unpacker;
}
