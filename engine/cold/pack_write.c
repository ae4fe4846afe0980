/* Pages into a pack. See pack.h and pack_parts.h. */
#include "engine/cold/pack_parts.h"

#include <stdlib.h>

typedef struct {                    /* the newest row of a key so far: what the next one is compared with */
    room rwb_columns[2];             /* of row_part: the row's, and those of the row at hand */
    uint32_t rwb_n;                  /* columns of the first; 0: there is none */
} row_before;

struct pack_writer {
    section pkw_sections[PACK_PAGES_MOST];
    unsigned pkw_n;                              /* sections in use */
    int pkw_of[PACK_PAGES_MOST];                 /* of each page: its section; -1: it is no node */
    stream_out pkw_pages;                        /* the first stream */
    stream_out pkw_streams[SN_FIXED + 2 * COLUMN_STREAMS];
    row_before pkw_before;
    squeezer pkw_squeeze;
    const tree_masks *pkw_masks;
};

int pack_writer_new(pack_writer **out)
{
    const zstd_functions *zstd;
    int rc = zstd_find(&zstd);

    if (rc != EDB_OK)
        return rc;
    pack_writer *pw = calloc(1, sizeof *pw);
    if (!pw)
        return edb_fail(EDB_NOMEM, "memory is exhausted");
    pw->pkw_squeeze.sqz_zstd = zstd;
    pw->pkw_squeeze.sqz_cctx = zstd->zs_new_cctx();
    if (!pw->pkw_squeeze.sqz_cctx) {
        free(pw);
        return edb_fail(EDB_NOMEM, "memory is exhausted");
    }
    *out = pw;
    return EDB_OK;
}

void pack_writer_free(pack_writer *pw)
{
    if (!pw)
        return;
    for (unsigned i = 0; i < PACK_PAGES_MOST; i++) {
        room_end(&pw->pkw_sections[i].sec_entries);
        room_end(&pw->pkw_sections[i].sec_table);
        room_end(&pw->pkw_sections[i].sec_numbers);
        room_end(&pw->pkw_sections[i].sec_masked);
    }
    for (unsigned i = 0; i < SN_FIXED + 2 * COLUMN_STREAMS; i++)
        room_end(&pw->pkw_streams[i].sot_room);
    room_end(&pw->pkw_pages.sot_room);
    room_end(&pw->pkw_before.rwb_columns[0]);
    room_end(&pw->pkw_before.rwb_columns[1]);
    room_end(&pw->pkw_squeeze.sqz_body.sot_room);
    room_end(&pw->pkw_squeeze.sqz_sizes.sot_room);
    room_end(&pw->pkw_squeeze.sqz_plain.sot_room);
    pw->pkw_squeeze.sqz_zstd->zs_free_cctx(pw->pkw_squeeze.sqz_cctx);
    free(pw);
}

void pack_writer_masks(pack_writer *pw, const tree_masks *masks)
{
    pw->pkw_masks = masks;
}

size_t pack_bound(unsigned n, uint32_t page_size)
{
    /* zstd adds less than a byte in 128, and three bytes and a few for each block; no two blocks that follow upon each other
     * are both shorter than BLOCK_LEAST. */
    size_t plain = PACK_PLAIN_MOST(n, page_size);

    return PACK_HEADER + plain + plain / 64 + 1024;
}

/* ---- which pages belong together --------------------------------------------------------------------------------- */

static bool same_section(const node_kind *a, const node_kind *b)
{
    return a->ndk_leaf == b->ndk_leaf && a->ndk_owner == b->ndk_owner && a->ndk_fixed == b->ndk_fixed;
}

static int section_for(pack_writer *pw, const node_kind *kind)
{
    for (unsigned i = 0; i < pw->pkw_n; i++)
        if (same_section(&pw->pkw_sections[i].sec_kind, kind))
            return (int)i;
    section *se = &pw->pkw_sections[pw->pkw_n];
    se->sec_kind = *kind;
    se->sec_mask = kind->ndk_leaf ? tree_masks_find(pw->pkw_masks, kind->ndk_owner) : NULL;
    se->sec_n = 0;
    return (int)pw->pkw_n++;
}

static void sort_out(pack_writer *pw, const uint8_t *const *pages, unsigned n)
{
    pw->pkw_n = 0;
    for (unsigned i = 0; i < n; i++) {
        pw->pkw_of[i] = -1;
        if (!node_is(pages[i]))
            continue;
        node_kind kind = node_kind_of(pages[i]);
        pw->pkw_of[i] = section_for(pw, &kind);
        section *se = &pw->pkw_sections[pw->pkw_of[i]];
        se->sec_pages[se->sec_n++] = i;
    }
}

/* ---- the streams of a section ------------------------------------------------------------------------------------ */

static void write_times(pack_writer *pw, const section *se)
{
    const table_version *table = section_versions(se);
    const uint64_t *numbers = section_commits(se);
    uint32_t n = 0;

    for (size_t i = 0; i < se->sec_commits; i++)
        out_varint(&pw->pkw_streams[SN_COMMITS], i ? numbers[i] - numbers[i - 1] - 1 : numbers[0]);
    for (size_t i = 0; i < se->sec_versions; i++) {
        bool first = i == 0 || table[i].ve_key != table[i - 1].ve_key;
        out_varint(&pw->pkw_streams[SN_BEGUN],
                   (first ? (uint32_t)se->sec_commits - 1 : table[i - 1].ve_begun) - table[i].ve_begun);
        n = first ? 1 : n + 1;
        if (i + 1 == se->sec_versions || table[i + 1].ve_key != table[i].ve_key)
            out_varint(&pw->pkw_streams[SN_COUNTS], n - 1);
    }
}

static void write_holders(pack_writer *pw, const section *se)
{
    const table_version *table = section_versions(se);

    for (size_t i = 0; i < se->sec_versions; i++) {
        uint16_t expected = 0;
        for (unsigned j = 0; j < se->sec_n; j++)
            if (range_holds(&se->sec_ranges[j], table[i].ve_key, table[i].ve_begun, table[i].ve_until))
                expected |= (uint16_t)(1u << se->sec_pages[j]);
        out_varint(&pw->pkw_streams[SN_HOLDERS], expected ^ table[i].ve_holders);
    }
}

static void write_children(pack_writer *pw, const section *se)
{
    const table_version *table = section_versions(se);
    uint64_t before = 0;

    for (size_t i = 0; i < se->sec_versions; i++) {
        page_ref child = table[i].ve_entry.child;
        out_varint(&pw->pkw_streams[SN_CHILDREN], zigzag((int64_t)(child.page - before)) << 1 | (child.tag != 0));
        if (child.tag)
            out_bytes(&pw->pkw_streams[SN_TAGS], &child.tag, sizeof child.tag);
        before = child.page;
    }
}

static void write_whole(pack_writer *pw, const page_entry *e)
{
    out_varint(&pw->pkw_streams[SN_FORMS], e->overflow ? FORM_OVERFLOW : FORM_VALUE);
    if (!e->overflow)
        out_varint(&pw->pkw_streams[SN_SIZES], e->value_size);
    out_bytes(&pw->pkw_streams[SN_VALUES], e->value, e->value_size);
}

static bool part_equal(const row_part *a, const row_part *b)
{
    return a->cop_type == b->cop_type && a->cop_size == b->cop_size
           && (!a->cop_size || memcmp(a->cop_bytes, b->cop_bytes, a->cop_size) == 0);
}

/* A row of n columns, which stand in rwb_columns[1]; they are what the next row is compared with. */
static void write_row(pack_writer *pw, uint32_t n, unsigned *used)
{
    row_before *rb = &pw->pkw_before;
    const row_part *now = rb->rwb_columns[1].rom_at, *before = rb->rwb_n == n ? rb->rwb_columns[0].rom_at : NULL;
    uint8_t mask = 0;

    out_varint(&pw->pkw_streams[SN_FORMS], (uint64_t)FORM_ROW + n);
    for (uint32_t i = 0; i < n; i++) {
        bool changed = !before || !part_equal(&now[i], &before[i]);
        mask |= (uint8_t)(changed << i % 8);
        if (before && (i % 8 == 7 || i + 1 == n)) {
            out_bytes(&pw->pkw_streams[SN_CHANGED], &mask, 1);
            mask = 0;
        }
        uint32_t at = column_stream(i);
        if (changed)
            column_write(&now[i], &pw->pkw_streams[SN_FIXED + at], &pw->pkw_streams[SN_FIXED + COLUMN_STREAMS + at]);
        *used = at >= *used ? at + 1 : *used;
    }
    room swap = rb->rwb_columns[0];
    rb->rwb_columns[0] = rb->rwb_columns[1];
    rb->rwb_columns[1] = swap;
    rb->rwb_n = n;
}

/* -> streams of columns in use, of either kind; -1: no memory. */
static int write_values(pack_writer *pw, const section *se, uint32_t page_size)
{
    const table_version *table = section_versions(se);
    row_before *rb = &pw->pkw_before;
    uint32_t most = ROW_COLUMNS_MOST(page_size);
    unsigned used = 0;

    for (size_t i = 0; i < se->sec_versions; i++) {
        const page_entry *e = &table[i].ve_entry;
        if (i == 0 || table[i].ve_key != table[i - 1].ve_key)
            rb->rwb_n = 0;
        if (e->tombstone) {
            out_varint(&pw->pkw_streams[SN_FORMS], FORM_TOMBSTONE);
            continue;
        }
        /* As many columns as the value could have, so that a narrow table needs little. */
        uint32_t could = e->value_size / 2 < most ? e->value_size / 2 : most;
        if (!room_for(&rb->rwb_columns[1], could * sizeof(row_part), 0))
            return -1;
        uint32_t n = e->overflow ? 0 : row_split(e->value, e->value_size, rb->rwb_columns[1].rom_at, could);
        if (n)
            write_row(pw, n, &used);
        else
            write_whole(pw, e);
    }
    return (int)used;
}

static int write_section(pack_writer *pw, const section *se, uint32_t page_size)
{
    int columns = 0;
    stream_out *streams = pw->pkw_streams;

    for (unsigned i = 0; i < SN_FIXED + 2 * COLUMN_STREAMS; i++) {
        streams[i].sot_size = 0;
        streams[i].sot_failed = false;
    }
    keys_write(se, &streams[SN_KEY_FORMS], &streams[SN_KEY_BYTES]);
    write_times(pw, se);
    write_holders(pw, se);
    if (se->sec_kind.ndk_leaf)
        columns = write_values(pw, se, page_size);
    else
        write_children(pw, se);
    for (unsigned i = 0; i < SN_FIXED + 2 * COLUMN_STREAMS; i++)
        if (streams[i].sot_failed || columns < 0)
            return edb_fail(EDB_NOMEM, "memory is exhausted");
    for (unsigned i = 0; i < SN_FIXED + (unsigned)columns; i++)
        squeeze_stream(&pw->pkw_squeeze, streams[i].sot_room.rom_at, streams[i].sot_size);
    for (unsigned i = 0; i < (unsigned)columns; i++) {
        const stream_out *data = &streams[SN_FIXED + COLUMN_STREAMS + i];
        squeeze_stream(&pw->pkw_squeeze, data->sot_room.rom_at, data->sot_size);
    }
    out_varint(&pw->pkw_pages, se->sec_kind.ndk_leaf ? PAGE_LEAF : PAGE_INTERIOR);
    out_varint(&pw->pkw_pages, se->sec_kind.ndk_owner);
    out_varint(&pw->pkw_pages, se->sec_kind.ndk_fixed);
    out_varint(&pw->pkw_pages, se->sec_keys);
    out_varint(&pw->pkw_pages, se->sec_versions);
    out_varint(&pw->pkw_pages, se->sec_commits);
    out_varint(&pw->pkw_pages, (uint64_t)columns);
    return EDB_OK;
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

static void write_node(pack_writer *pw, unsigned page, const uint8_t *bytes)
{
    const section *se = &pw->pkw_sections[pw->pkw_of[page]];
    unsigned i = 0;

    while (se->sec_pages[i] != page)
        i++;
    out_varint(&pw->pkw_pages, (uint64_t)pw->pkw_of[page] + 1);
    out_varint(&pw->pkw_pages, load64(bytes + PH_WRITER));
    out_varint(&pw->pkw_pages, page_level(bytes));
    out_varint(&pw->pkw_pages, se->sec_ranges[i].first_key);
    out_varint(&pw->pkw_pages, se->sec_ranges[i].keys);
    out_varint(&pw->pkw_pages, se->sec_ranges[i].low);
    out_varint(&pw->pkw_pages, se->sec_ranges[i].high);
}

/* A page that is no node: the bytes behind its writer, up to the last that is not 0. */
static void write_other(pack_writer *pw, const uint8_t *bytes)
{
    out_varint(&pw->pkw_pages, 0);
    out_varint(&pw->pkw_pages, load64(bytes + PH_WRITER));
    out_varint(&pw->pkw_pages, bytes[PH_KIND]);
    out_varint(&pw->pkw_pages, bytes[PH_LEVEL]);
    out_varint(&pw->pkw_pages, load16(bytes + PH_FLAGS));
}

static size_t other_size(const uint8_t *bytes, uint32_t page_size)
{
    size_t size = page_size;

    while (size > PH_OWNER && bytes[size - 1] == 0)
        size--;
    return size - PH_OWNER;
}

/* The streams follow in the order of the sections, and then of the other pages; what says how many there are of each comes
 * first, and is made last. */
static int write_streams(pack_writer *pw, const uint8_t *const *pages, unsigned n, uint32_t page_size)
{
    int rc = EDB_OK;

    out_varint(&pw->pkw_pages, pw->pkw_n);
    for (unsigned i = 0; i < pw->pkw_n && rc == EDB_OK; i++)
        rc = write_section(pw, &pw->pkw_sections[i], page_size);
    for (unsigned i = 0; i < n && rc == EDB_OK; i++) {
        if (pw->pkw_of[i] >= 0) {
            write_node(pw, i, pages[i]);
        } else {
            write_other(pw, pages[i]);
            squeeze_stream(&pw->pkw_squeeze, pages[i] + PH_OWNER, other_size(pages[i], page_size));
        }
    }
    squeeze_stream(&pw->pkw_squeeze, pw->pkw_pages.sot_room.rom_at, pw->pkw_pages.sot_size);
    return rc == EDB_OK && pw->pkw_pages.sot_failed ? edb_fail(EDB_NOMEM, "memory is exhausted") : rc;
}

int pack_pages(pack_writer *pw, const uint8_t *const *pages, unsigned n, uint32_t page_size, int level, uint8_t *out,
               size_t *size)
{
    int rc = EDB_OK;

    assert(n >= 1 && n <= PACK_PAGES_MOST);
    sort_out(pw, pages, n);
    for (unsigned i = 0; i < pw->pkw_n && rc == EDB_OK; i++)
        rc = section_table(&pw->pkw_sections[i], pages);
    if (rc != EDB_OK)
        return rc;
    squeeze_begin(&pw->pkw_squeeze);
    pw->pkw_pages.sot_size = 0;
    pw->pkw_pages.sot_failed = false;
    rc = write_streams(pw, pages, n, page_size);
    if (rc == EDB_OK)
        rc = squeeze_end(&pw->pkw_squeeze, n, page_size, level, out, pack_bound(n, page_size), size);
    return rc;
}
