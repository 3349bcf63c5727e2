/*-------------------------------------------------------------------------
 *
 * am_private.h
 *	  What the files of src/am share and stores need not know: metapage,
 *	  split directory, small splits, NULL vectors, conditions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_AM_PRIVATE_H
#define VK_AM_PRIVATE_H

#include "access/amapi.h"
#include "am/am_page.h"
#include "nodes/pathnodes.h"

/* ------------------------------------------------------------------------
 * Metapage, block 0
 * ------------------------------------------------------------------------ */

#define VK_META_MAGIC		0x766B746EU /* "vktn" */
#define VK_META_VERSION		1	/* 1: the first */
#define VK_META_STORE_WORDS	16

typedef struct VkMetaPage
{
	uint32		magic;
	uint16		version;
	uint8		elem;			/* VkElem */
	uint8		metric;			/* VkMetric */
	uint8		algorithm;		/* VkAlgorithm */
	uint8		unused[3];
	int32		dim;
	int32		m;
	int32		ef_construction;
	int32		ef_search;
	int32		nsplit_columns;
	BlockNumber root;			/* of the split directory; never changes */
	uint32		next_split_id;	/* ids from here on are unused */
	uint32		store[VK_META_STORE_WORDS]; /* index-wide state of the store */
	int64		searched;		/* start of the server that last looked for
								 * free pages: vk_space_find_lost() */
} VkMetaPage;

StaticAssertDecl(sizeof(VkMetaPage) == 48 + 4 * VK_META_STORE_WORDS, "VkMetaPage is on disk");

#define VkPageGetMeta(page)		((VkMetaPage *) VkPageData(page))

/* The split directory's root follows the metapage. */
#define VK_DIR_ROOT_BLOCK	1

/* ------------------------------------------------------------------------
 * Split directory
 * ------------------------------------------------------------------------ */

/* Inner pages choose a child by this many bits of the hash. */
#define VK_DIR_BITS		10
#define VK_DIR_SLOTS	(1 << VK_DIR_BITS)
#define VK_DIR_MAX_DEPTH	60

typedef struct VkDirInner
{
	uint32		level;			/* uses hash bits level * VK_DIR_BITS ... */
	uint32		unused;
	BlockNumber children[VK_DIR_SLOTS];
} VkDirInner;

#define VkPageGetInner(page)	((VkDirInner *) VkPageData(page))

/* First item of a leaf. */
typedef struct VkDirLeaf
{
	uint64		prefix;			/* the low depth bits of all hashes here */
	uint32		depth;			/* 0..VK_DIR_MAX_DEPTH */
	BlockNumber fill;			/* shared page that gets the leaf's new small
								 * rows, or invalid */
} VkDirLeaf;

/* A small split's rows lie on at most this many shared pages. */
#define VK_TINY_BLOCKS		12

/* A split of more bytes than this gets a store of its own... */
#define VK_TINY_MAX_BYTES	24000

/* ... and so does one with a row larger than this. */
#define VK_TINY_MAX_ROW		4000

/* Further items of a leaf: one per split. */
typedef struct VkSplitEntry
{
	uint64		hash;
	uint32		split_id;
	BlockNumber head;			/* of the store; invalid while the split is
								 * small */
	BlockNumber nulls;			/* chain of TIDs of NULL vectors, or invalid */
	uint16		nshared;		/* entries of shared in use */
	uint16		tiny_bytes;		/* of rows on shared pages, not less than
								 * there are */
	BlockNumber shared[VK_TINY_BLOCKS];
	uint16		key_size;
	uint16		unused[3];
	char		key[FLEXIBLE_ARRAY_MEMBER]; /* an IndexTuple of the split
											 * columns */
} VkSplitEntry;

StaticAssertDecl(offsetof(VkSplitEntry, key) == 80, "VkSplitEntry is on disk");
#define VK_ENTRY_SIZE(key_size)	(offsetof(VkSplitEntry, key) + (key_size))

/* A leaf must be able to hold several entries. */
#define VK_MAX_KEY_SIZE		2000

/* An item of a shared page. */
typedef struct VkSharedRow
{
	uint32		split_id;
	ItemPointerData tid;
	uint16		unused1;
	uint32		unused2;
	char		value[FLEXIBLE_ARRAY_MEMBER];	/* a varlena with a 4-byte
												 * header */
} VkSharedRow;

StaticAssertDecl(offsetof(VkSharedRow, value) == 16, "VkSharedRow is on disk");

/* A split's key in memory. */
typedef struct VkSplitKey
{
	uint64		hash;
	IndexTuple	tuple;			/* NULL without split columns */
	Size		size;
} VkSplitKey;

/* ------------------------------------------------------------------------
 * Conditions on split columns
 * ------------------------------------------------------------------------ */

typedef struct VkColumnCondition
{
	bool		is_null;		/* IS NULL asked for */
	bool		is_not_null;
	bool		by_value;		/* values holds what is asked for */
	int			nvalues;
	Datum	   *values;
	uint64	   *hashes;
	FmgrInfo	equal;			/* column value = values[i] */
	Oid			collation;
} VkColumnCondition;

/* Of a whole scan: a conjunction over columns, of a conjunction per column. */
typedef struct VkConditions
{
	bool		impossible;		/* nothing can match */
	bool		vector_null;	/* only rows whose vector is NULL */
	bool		vector_not_null;	/* only others */
	int			ncolumns;		/* split columns */
	int			nconditions[INDEX_MAX_KEYS];
	VkColumnCondition *conditions[INDEX_MAX_KEYS];
} VkConditions;

/* A split that matches. */
typedef struct VkSplitMatch
{
	uint32		split_id;
	BlockNumber head;
	BlockNumber nulls;
	uint16		nshared;
	BlockNumber shared[VK_TINY_BLOCKS];
} VkSplitMatch;

typedef struct VkMatches
{
	VkSplitMatch *items;
	int64		count;
	int64		allocated;
	int64		nshared;		/* sum over items */
} VkMatches;

/* am_meta.c */
extern void vk_meta_create(VkIndex *index, ForkNumber fork);
extern uint32 vk_meta_new_split_id(VkIndex *index);
extern uint32 vk_meta_splits_made(VkIndex *index);
extern int64 vk_meta_searched(VkIndex *index);
extern void vk_meta_set_searched(VkIndex *index, int64 searched);
extern void vk_index_describe(Relation rel, VkIndexInfo *info);

/* am_options.c; the options of algorithm = hnsw, and what they are if not given */
#define VK_MIN_M				2
#define VK_MAX_M				100
#define VK_DEFAULT_M			16
#define VK_MIN_EF_CONSTRUCTION	4
#define VK_MAX_EF_CONSTRUCTION	1000
#define VK_DEFAULT_EF_CONSTRUCTION 100
#define VK_MIN_EF_SEARCH		1
#define VK_MAX_EF_SEARCH		10000
#define VK_DEFAULT_EF_SEARCH	100

typedef struct VkOptions
{
	int32		vl_len_;
	int			algorithm;
	int			m;
	int			ef_construction;
	int			ef_search;
} VkOptions;

extern bytea *vk_options_parse(Datum reloptions, bool validate);

/* am_key.c */
extern void vk_index_init_key(VkIndex *index);
extern void vk_key_form(VkIndex *index, Datum *values, bool *isnull, VkSplitKey *key);
extern bool vk_key_equal(VkIndex *index, const VkSplitKey *key, const VkSplitEntry *entry);
extern void vk_conditions_build(VkIndex *index, ScanKey keys, int nkeys,
								VkConditions *conditions);
extern bool vk_conditions_match(VkIndex *index, const VkConditions *conditions,
								const VkSplitEntry *entry);
extern bool vk_conditions_none(const VkConditions *conditions);
extern double vk_conditions_keys(const VkConditions *conditions);
extern uint64 vk_conditions_hash(const VkConditions *conditions, int64 number);

/* am_dir.c */
typedef void (*VkLeafVisitor) (VkIndex *index, Buffer leaf, void *arg);

extern void vk_dir_create(VkIndex *index, ForkNumber fork);
extern Buffer vk_dir_leaf(VkIndex *index, uint64 hash, int lock);
extern VkDirLeaf *vk_dir_header(VkIndex *index, Buffer leaf);
extern VkSplitEntry *vk_dir_entry(VkIndex *index, Buffer leaf, OffsetNumber offset);
extern OffsetNumber vk_dir_find(VkIndex *index, Buffer leaf, const VkSplitKey *key);
extern void vk_dir_split_leaf(VkIndex *index, uint64 hash);
extern void vk_dir_walk(VkIndex *index, int lock, VkLeafVisitor visit, void *arg);
extern void vk_dir_match(VkIndex *index, const VkConditions *conditions, VkMatches *matches);

/* am_insert.c */
extern void vk_insert_row(VkIndex *index, const VkSplitKey *key, ItemPointer tid,
						  const struct varlena *value);
extern void vk_insert_values(VkIndex *index, Datum *values, bool *isnull, ItemPointer tid);

extern uint32 vk_split_reserve(VkIndex *index, const VkSplitKey *key);
extern void vk_split_set_head(VkIndex *index, const VkSplitKey *key, BlockNumber head);

/* am_tiny.c: rows of small splits */
extern VkSharedRow *vk_tiny_row(VkIndex *index, Buffer buffer, OffsetNumber offset);
extern void vk_tiny_collect(VkScan *scan, const VkMatches *matches, bool all);
extern bool vk_tiny_insert(VkIndex *index, Buffer leaf, OffsetNumber offset,
						   ItemPointer tid, const struct varlena *value);
extern void vk_tiny_promote(VkIndex *index, Buffer leaf, OffsetNumber offset);
extern void vk_tiny_vacuum_page(VkVacuum *vacuum, BlockNumber block);
extern int64 vk_tiny_rows_on(VkIndex *index, BlockNumber block, uint32 split_id);
extern Size vk_tiny_bytes_on(VkIndex *index, BlockNumber block, uint32 split_id);

/* am_nulls.c: rows whose vector is NULL */
extern bool vk_nulls_collect(VkScan *scan, const VkMatches *matches);
extern void vk_nulls_insert(VkIndex *index, Buffer leaf, OffsetNumber offset,
							ItemPointer tid);
extern void vk_nulls_vacuum(VkVacuum *vacuum, Buffer leaf, OffsetNumber offset);

/* am_value.c */
extern const char *vk_value_fault(const VkIndexInfo *info, const struct varlena *value,
								  Size size);

/* am_space.c */
extern void vk_space_forget(Relation rel);
extern void vk_space_find_lost(VkIndex *index, BufferAccessStrategy strategy);

/* am_planner.c */
extern void vk_planner_init(void);

/* am_explain.c */
extern void vk_explain_init(void);

/* am_heap.c */
extern void vk_heap_learn(IndexScanDesc desc);
extern void vk_heap_pin(IndexScanDesc desc);
extern void vk_heap_prefetch(IndexScanDesc desc, const VkCandidate *rows, int64 count);

/* am_scan.c */
extern const VkScanStats *vk_scan_totals(IndexScanDesc desc);

/* the access method's functions */
extern IndexBuildResult *vk_build(Relation heap, Relation rel, struct IndexInfo *info);
extern void vk_build_empty(Relation rel);
extern bool vk_aminsert(Relation rel, Datum *values, bool *isnull, ItemPointer tid,
						Relation heap, IndexUniqueCheck check_unique, bool index_unchanged,
						struct IndexInfo *info);
extern IndexBulkDeleteResult *vk_bulk_delete(IndexVacuumInfo *info,
											 IndexBulkDeleteResult *stats,
											 IndexBulkDeleteCallback callback,
											 void *callback_state);
extern IndexBulkDeleteResult *vk_vacuum_cleanup(IndexVacuumInfo *info,
												IndexBulkDeleteResult *stats);
extern void vk_cost_estimate(PlannerInfo *root, IndexPath *path, double loop_count,
							 Cost *startup_cost, Cost *total_cost,
							 Selectivity *selectivity, double *correlation, double *pages);
extern IndexScanDesc vk_begin_scan(Relation rel, int nkeys, int norderbys);
extern void vk_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys,
					  int norderbys);
extern bool vk_get_tuple(IndexScanDesc scan, ScanDirection direction);
extern int64 vk_get_bitmap(IndexScanDesc scan, TIDBitmap *bitmap);
extern void vk_end_scan(IndexScanDesc scan);
extern bool vk_validate(Oid opclass);
extern char *vk_build_phase(int64 phase);

/* Build phases; 1 is PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE. */
#define VK_PHASE_LOAD	2
#define VK_PHASE_WAL	3
#define VK_PHASE_SPLITS	4



#endif							/* VK_AM_PRIVATE_H */
