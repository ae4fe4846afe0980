/* What the files of packs share; nobody else includes it.
 *
 *   pack_nodes.c     nodes taken apart into versions, and made of them: the only file that knows pages
 *   pack_table.c     the versions of several nodes, each once, and which node holds which
 *   pack_keys.c      keys as bytes, and back
 *   pack_columns.c   rows as columns that differ, and back
 *   pack_squeeze.c   streams put together, and zstd
 *   pack_write.c     pages into a pack
 *   pack_read.c      a page out of a pack
 *
 * Each uses only what stands above it in this list.
 *
 * The pages of a pack that are nodes of one kind, of one tree and with keys of one size are a *section*. Its *table* has their
 * versions, each once, by key and from the newest to the oldest. The sections' and the other pages' streams follow upon
 * each other in the order of the numbers below. */
#ifndef EDB_PACK_PARTS_H
#define EDB_PACK_PARTS_H

#include "native/rowcode.h"
#include "engine/cold/pack.h"
#include "engine/cold/streams.h"
#include "engine/cold/zstd.h"
#include "engine/tree/page.h"

#define PACK_FORMAT 1
#define PACK_HEADER 8               /* u8 format, u8 pages, u8 log2 of the page size, u8 zero, u32 bytes of the plain content */
/* Bytes of plain content that a pack of n pages may have, and of keys that a page taken out of it may have. */
#define PACK_PLAIN_MOST(n, page_size) ((size_t)2 * (n) * (page_size) + 1024)
#define PACK_KEYS_MOST ((size_t)32 << 20)
/* An entry of a page has at least a word in a directory and a byte of a cell. */
#define PAGE_ENTRIES_MOST(page_size) ((page_size) / 9)
/* A column of a row has at least a type and an end. */
#define ROW_COLUMNS_MOST(page_size) ((page_size) / 2)
#define COLUMN_STREAMS 128          /* columns from the last on share that one's streams */

/* The streams of a section. Behind those of all sections stands one of each page that is no node, and then the one that says how
 * many there are. */
enum {
    SN_COMMITS,     /* numbers of the commits that its versions are of, ascending */
    SN_KEY_FORMS,   /* keys: pack_keys.c */
    SN_KEY_BYTES,
    SN_COUNTS,      /* of each key: how many versions */
    SN_BEGUN,       /* of each version: its commit */
    SN_HOLDERS,     /* of each version: where the rule about which page holds it is wrong */
    SN_FORMS,       /* of each version, in a leaf: what its value is */
    SN_SIZES,       /* of each value that is no row: its bytes */
    SN_CHANGED,     /* of each row behind another one of its key: which columns differ */
    SN_CHILDREN,    /* of each version, in an interior node: the child, as the difference to the one before */
    SN_TAGS,        /* of each child that has one: its tag */
    SN_VALUES,      /* of each value that is no row: the value */
    SN_FIXED,
    /* then for each column i: its heads (type, size), SN_FIXED + i; then for each its data */
};

enum { FORM_TOMBSTONE = 0, FORM_VALUE = 1, FORM_OVERFLOW = 2, FORM_ROW = 2 };      /* a row of n columns: FORM_ROW + n */

/* ---- which page holds which version ----
 *
 * Whether a page holds a version is nearly always said by four numbers of the page: its keys, from and how many, and its
 * time, from `low` to before `high` as places in SN_COMMITS. A version holds from its commit up to that of the next of its key
 * in the table, a tombstone for one commit. */
typedef struct {
    uint32_t first_key, keys, low, high;
} node_range;

static inline bool range_holds(const node_range *r, uint32_t key, uint32_t begun, uint32_t until)
{
    return key - r->first_key < r->keys && begun < r->high && until >= r->low;
}

/* ---- pack_nodes.c ---- */

typedef struct {                    /* what a node is, besides its entries */
    bool ndk_leaf;
    unsigned ndk_level;
    uint32_t ndk_owner;
    unsigned ndk_fixed;              /* size of its keys; 0: they vary */
    uint64_t ndk_writer;
} node_kind;

bool node_is(const uint8_t *page);                  /* a leaf or an interior node */
node_kind node_kind_of(const uint8_t *page);
/* Entries of the page behind the first `used` of `entries`; the keys live as long as the page. -> how many; -1: no memory. */
int64_t node_take(const uint8_t *page, room *entries, size_t used);
/* Sorted entries, all of whose bytes fit a page of this size: node_fits(). */
void node_build(uint8_t *page, uint32_t page_size, const node_kind *kind, page_entry *e, size_t n);
bool node_fits(uint32_t page_size, const node_kind *kind, page_entry *e, size_t n);

/* ---- pack_table.c ---- */

typedef struct {                    /* a version of the table */
    page_entry ve_entry;
    uint32_t ve_key;                /* which key of the section */
    uint32_t ve_begun;              /* its commit, as a place among those of the section */
    uint32_t ve_until;
    uint16_t ve_holders;            /* bit i: page i of the pack holds it */
} table_version;

typedef struct {
    unsigned sec_pages[PACK_PAGES_MOST], sec_n;       /* which pages of the pack */
    node_range sec_ranges[PACK_PAGES_MOST];          /* of each */
    node_kind sec_kind;
    room sec_entries, sec_table, sec_numbers;          /* page_entry, table_version, uint64_t */
    const row_mask *sec_mask;                        /* columns of its rows that are left out; NULL: none */
    room sec_masked;                                 /* the values without them */
    size_t sec_versions, sec_keys, sec_commits;
} section;

/* Fills the table of a section whose pages and kind are set. EDB_CORRUPT, EDB_NOMEM. */
int section_table(section *se, const uint8_t *const *pages);
static inline table_version *section_versions(const section *se) { return se->sec_table.rom_at; }
static inline const uint64_t *section_commits(const section *se) { return se->sec_numbers.rom_at; }

/* ---- pack_keys.c ---- */

/* The keys of the section into two streams. */
void keys_write(const section *se, stream_out *forms, stream_out *bytes);

typedef struct {                    /* the keys, one after the other */
    stream_in *kyr_forms, *kyr_bytes;
    const uint8_t *kyr_planes, *kyr_differs;          /* bytes i of all keys, for each i; whether as differences. NULL: no planes */
    uint32_t kyr_size, kyr_planes_keys;               /* bytes of a key, and keys, in planes */
    uint32_t kyr_done, kyr_most;                      /* keys so far; the largest size */
    bool kyr_first_empty;
    uint8_t *kyr_key;                                /* the key at hand; PACK_KEY_ROOM(page size) bytes */
    uint32_t kyr_key_size;
} key_reader;
#define PACK_KEY_ROOM(page_size) ((page_size) / 2)
bool keys_open(key_reader *kr, stream_in *forms, stream_in *bytes, uint8_t *key, uint32_t most, uint32_t keys);
/* To the first, the next key. -> false: damaged, or it does not ascend. */
bool keys_next(key_reader *kr);

/* ---- pack_columns.c ---- */

typedef struct {
    const uint8_t *cop_bytes;
    uint32_t cop_size;
    uint8_t cop_type;
} row_part;

/* The columns of a value that is exactly what row_encode() makes of them; -> how many, at most `most`; 0: it is no such row. */
uint32_t row_split(const uint8_t *value, uint32_t size, row_part *columns, uint32_t most);
/* The size of a row of these columns; 0: more than `most`. */
uint32_t row_joined_size(const row_part *columns, uint32_t n, uint32_t most);
void row_join(uint8_t *out, const row_part *columns, uint32_t n);
static inline uint32_t column_stream(uint32_t column)
{
    return column < COLUMN_STREAMS ? column : COLUMN_STREAMS - 1;
}
/* One column to its two streams, and back. false: damaged. */
void column_write(const row_part *column, stream_out *head, stream_out *data);
bool column_read(row_part *column, stream_in *head, stream_in *data);

/* ---- pack_squeeze.c ---- */

typedef struct {
    stream_out sqz_body;             /* the streams put together */
    stream_out sqz_sizes;            /* size_t of each */
    stream_out sqz_plain;            /* all of the plain content */
    const zstd_functions *sqz_zstd;
    zstd_cctx *sqz_cctx;
    int sqz_level;                   /* that sqz_cctx is set to; 0: none */
} squeezer;

void squeeze_begin(squeezer *sq);
void squeeze_stream(squeezer *sq, const void *bytes, size_t size);
/* The pack, of at most `room` bytes. */
int squeeze_end(squeezer *sq, unsigned n, uint32_t page_size, int level, uint8_t *out, size_t room, size_t *size);

#endif
