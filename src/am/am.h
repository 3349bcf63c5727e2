/*-------------------------------------------------------------------------
 *
 * am.h
 *	  The vektonn index access method: what stores and tools may use.
 *
 * PUBLIC header of src/am.  An index is a metapage, a directory of splits,
 * and per split one *store*, the structure that holds the split's vectors.
 * Stores plug in through VkStoreOps; README.md states the contract in full.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_AM_H
#define VK_AM_H

#include "access/genam.h"
#include "access/itup.h"
#include "access/tupdesc.h"
#include "distance/distance.h"
#include "storage/bufmgr.h"
#include "storage/lock.h"
#include "types/types.h"
#include "util/topk.h"
#include "utils/hsearch.h"
#include "utils/rel.h"

/* Stored in metapages: never renumber. */
typedef enum VkAlgorithm
{
	VK_ALGORITHM_FLAT = 0,
	VK_ALGORITHM_HNSW = 1
} VkAlgorithm;

/* Operator strategies: of vector classes 1 + VkMetric; of split classes this. */
#define VK_STRATEGY_EQUAL	6
#define VK_NUM_STRATEGIES	6

/* Support functions. */
#define VK_PROC_ELEM		1	/* vector classes: the element type */
#define VK_PROC_HASH		2	/* split classes: extended hash */
#define VK_NUM_PROCS		2

/*
 * What never changes in an index, from its metapage; cached with the relation.
 */
typedef struct VkIndexInfo
{
	VkElem		elem;
	VkMetric	metric;
	VkAlgorithm algorithm;
	int32		dim;
	int32		m;				/* graph options; 0 where not given */
	int32		ef_construction;
	int32		ef_search;
	int32		nsplit_columns; /* index columns after the vector */
	int32		row_bytes;		/* elements of one dense vector; 0 for sparse */
} VkIndexInfo;

typedef struct VkStoreOps VkStoreOps;
typedef struct VkBatchOps VkBatchOps;
struct VkRowSink;

/*
 * A split's store.  The head page is the store's root: allocated by create(),
 * it never moves and its page owner is split_id, which is never used twice in
 * an index.  A head page of another kind or owner means that the split was
 * removed meanwhile: see vk_page_try().
 */
typedef struct VkStoreRef
{
	uint32		split_id;
	BlockNumber head;
} VkStoreRef;

/* An open index.  Lives in the context it was opened in; holds no pin or lock. */
typedef struct VkIndex
{
	Relation	rel;
	VkIndexInfo info;
	const VkStoreOps *store;	/* all splits of one index use the same */
	bool		building;		/* CREATE INDEX: nothing is WAL-logged until
								 * its end */
	TupleDesc	key_desc;		/* of the split columns; NULL without */
	FmgrInfo   *key_equal;		/* per split column, or NULL until needed */
	void	   *store_build;	/* building: the store's own, NULL at first */
	BlockNumber build_fill;		/* building: shared page that may have room,
								 * or 0 */
	VkStoreRef	only;			/* hint: the one split of an index without
								 * split columns */
	uint16		store_hint;		/* the store's own, 0 at first */
} VkIndex;

/* What a scan did; see vektonn.scan_stats. */
typedef struct VkScanStats
{
	int64		passes;
	int64		splits;
	int64		codes;			/* compact codes read */
	int64		survivors;		/* of them not excluded by their bound */
	int64		rows;			/* vectors compared exactly */
	int64		pages;			/* index pages accessed */
} VkScanStats;

/* One pass of a scan. */
typedef struct VkScan
{
	VkIndex    *index;
	const struct varlena *query;	/* detoasted; NULL: every row has distance
									 * 0 */
	VkTopk	   *topk;			/* the pass' collector: see vk_scan_push */
	int64		k;				/* of this pass; INT64_MAX when everything is
								 * wanted */
	bool		last_pass;		/* approximate stores must now push every row
								 * beyond the cursor */
	VkScanStats *stats;
	MemoryContext query_context;	/* reset when the query changes */
	void	   *store_query;	/* the store's own, in query_context; NULL on
								 * a new query */
	double		rows_held;		/* an approximate store adds about how many
								 * rows it holds */
	HTAB	   *returned;		/* uint64 TIDs returned by earlier passes;
								 * only if ops->approximate, else NULL */
	struct VkRowSink *sink;		/* not NULL: takes the rows, unsearched; see
								 * am_batch.h */
} VkScan;

/* How stores push candidates. */
static inline void
vk_scan_push(VkScan *scan, double distance, uint64 tid)
{
	if (scan->returned != NULL && distance <= scan->topk->threshold &&
		hash_search(scan->returned, &tid, HASH_FIND, NULL) != NULL)
		return;
	vk_topk_push(scan->topk, distance, tid);
}

/* am_scan.c: vektonn.strict_order */
extern bool vk_strict_order;

/* A VACUUM under way. */
typedef struct VkVacuum
{
	VkIndex    *index;
	IndexVacuumInfo *info;
	IndexBulkDeleteResult *stats;
	IndexBulkDeleteCallback callback;	/* NULL in cleanup without deletes */
	void	   *callback_state;
} VkVacuum;

typedef struct VkStoreStats
{
	int64		rows;			/* live as far as the index knows */
	int64		pages;
	int64		levels;			/* of a graph; else 0 */
} VkStoreStats;

/* Blocks to give back to the free space map once nothing refers to them. */
typedef struct VkBlockList
{
	BlockNumber *blocks;
	int			count;
	int			allocated;
} VkBlockList;

/* am_space.c */
extern void vk_blocks_add(VkBlockList *list, BlockNumber block);
extern void vk_blocks_sort(VkBlockList *list);
extern bool vk_blocks_include(const VkBlockList *list, BlockNumber block);

struct VkEdit;
typedef struct VkCheck VkCheck;

/* Shared memory for a bulk load by several processes. */
typedef struct VkShareArea
{
	void	   *memory;			/* aligned to cache lines */
	Size		size;
	int			nprocesses;		/* at most */
	Size		process_memory; /* what each may use beside it */
	double		rows;			/* an estimate */
} VkShareArea;

/*
 * A store: how the vectors of one split are held and searched.
 *
 * value is a detoasted, non-NULL value of the index's element type whose
 * dimension is info.dim.  No function may return holding a pin or a lock,
 * except where it says so.  All are called in a short-lived memory context.
 */
struct VkStoreOps
{
	const char *name;			/* in index_info, "flat" */
	bool		approximate;	/* collect() may miss rows before the last
								 * pass */

	/* Makes an empty store; returns the block of its head page. */
	BlockNumber (*create) (VkIndex *index, uint32 split_id);

	/*
	 * Adds a row.  False, with nothing done, if the head page no longer
	 * belongs to ref.split_id: the caller looks the split up again.
	 */
	bool		(*insert) (VkIndex *index, VkStoreRef ref, ItemPointer tid,
						   const struct varlena *value);

	/*
	 * Optional: at the start of a build, some sample_rows(info) rows spread
	 * over the table, to learn from.
	 */
	int			(*sample_rows) (const VkIndexInfo *info);
	void		(*learn) (VkIndex *index, struct varlena **sample, int nsample);

	/*
	 * Bulk load into a new index; all three or none (then insert() is called
	 * per row).  Rows of one split come together; end() returns the head's
	 * block.  Memory between them: maintenance_work_mem_kb.
	 */
	void	   *(*build_begin) (VkIndex *index, uint32 split_id, int maintenance_work_mem_kb);
	void		(*build_add) (void *state, ItemPointer tid, const struct varlena *value);
	BlockNumber (*build_end) (void *state);

	/*
	 * Optional: bulk load of one split by several processes, all six or none.
	 * begin() makes what they share in memory that is given: of at least
	 * share_least(), with room beyond it for rows of share_row_bytes() each
	 * (what does not fit must go elsewhere).  sample: 1 to share_sample(info)
	 * rows of the split.  Then every process, numbered from 0, attach()es,
	 * build_add()s and detach()es.  When all have, one attaches again and
	 * calls build_end(); after that the memory may be used anew.
	 */
	int			(*share_sample) (const VkIndexInfo *info);
	double		(*share_row_bytes) (VkIndex *index, struct varlena **sample, int nsample);
	Size		(*share_least) (VkIndex *index);
	void		(*share_begin) (VkIndex *index, uint32 split_id, const VkShareArea *area,
								struct varlena **sample, int nsample);
	void	   *(*share_attach) (VkIndex *index, void *memory, int process);
	void		(*share_detach) (void *state);

	/*
	 * May be NULL.  CREATE INDEX: all rows have been inserted; what insert()
	 * kept in index->store_build must now be written.
	 */
	void		(*build_done) (VkIndex *index);

	/*
	 * Pushes into scan->topk every row that might be among its k best beyond
	 * the cursor; a row whose distance exceeds topk->threshold may be left
	 * out, and so may, by an approximate store, others before the last pass.
	 * The distance is vk_distance() to the bit; 0 if scan->query is NULL.
	 */
	void		(*collect) (VkScan *scan, VkStoreRef ref);

	/* Removes the rows vacuum->callback names; counts into vacuum->stats. */
	void		(*vacuum) (VkVacuum *vacuum, VkStoreRef ref);

	/*
	 * May be NULL.  VACUUM of a table without dead rows, after which vacuum()
	 * is not called: what inserts put off may be done.
	 */
	void		(*tidy) (VkIndex *index, VkStoreRef ref);

	/*
	 * If the store has no row: locks its head page exclusively, adds to edit
	 * the change that makes it a free page (vk_edit_free), lists all its
	 * other pages in blocks, and returns true; the caller commits and
	 * releases the head page (edit->buffers).  Else false, holding nothing.
	 * The caller holds the exclusive lock of a directory page.
	 */
	bool		(*retire) (VkIndex *index, VkStoreRef ref, struct VkEdit *edit,
						   VkBlockList *blocks);

	void		(*stats) (VkIndex *index, VkStoreRef ref, VkStoreStats *stats);

	/*
	 * Proves the store's invariants; reports the first violation by
	 * vk_report_corruption(), else adds its pages to seen (one bit per block,
	 * see vk_check_page_seen).
	 */
	void		(*check) (VkIndex *index, VkStoreRef ref, VkCheck *check);

	/*
	 * An estimate of finding the k best of one split's rows: CPU seconds on a
	 * typical core, and index pages accessed.
	 */
	void		(*cost) (const VkIndexInfo *info, double rows, double k,
						 double *seconds, double *pages);

	/*
	 * May be NULL.  About how many rows a split has, by looking at a page or
	 * two.
	 */
	double		(*rows) (VkIndex *index, VkStoreRef ref);

	const VkBatchOps *batch;	/* may be NULL: see am_batch.h */
};

/* am_check.c */
extern Relation vk_open_index(Oid oid, LOCKMODE lock);
extern void vk_check_page_seen(VkCheck *check, BlockNumber block);
extern void vk_check_row_seen(VkCheck *check, ItemPointer tid, BlockNumber block);
pg_noreturn extern void vk_report_corruption(Relation rel, BlockNumber block, const char *format,...)
			pg_attribute_printf(3, 4);

/* am_meta.c */
extern VkIndex *vk_index_open(Relation rel);

/* am_scan.c: of the last scan in this session */
extern VkScanStats vk_last_scan;

/* am_options.c: called once, when the library is loaded */
extern void vk_am_init(void);

/* am_store.c: the registry of stores */
extern const VkStoreOps *vk_store_for(VkElem elem, VkAlgorithm algorithm);

/* flat/flat_store.c */
extern const VkStoreOps vk_flat_store;

/* sparse/sparse_store.c */
extern const VkStoreOps vk_sparse_store;
extern int	vk_sparse_log_limit;	/* setting, in kB */

/* graph/graph_store.c, graph/graph_scan.c */
extern const VkStoreOps vk_graph_store;
extern int	vk_graph_ef_search; /* vektonn.ef_search */

#endif							/* VK_AM_H */
