/*-------------------------------------------------------------------------
 *
 * am_build.h
 *	  What the files am_build*.c share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_AM_BUILD_H
#define VK_AM_BUILD_H

#include "am/am_private.h"
#include "executor/tuptable.h"
#include "port/atomics.h"
#include "storage/dsm.h"

typedef struct VkSplitLoad VkSplitLoad;
typedef struct VkSplitSort VkSplitSort;
typedef struct VkSplitTeam VkSplitTeam;

/* CREATE INDEX, in one of its processes. */
typedef struct VkBuild
{
	VkIndex    *index;
	MemoryContext context;		/* per row */
	double		rows;
	VkSplitKey	key;			/* of the one split that is loaded in bulk */
	void	   *bulk;			/* state of the store's bulk load, or NULL */
	VkSplitSort *sort;			/* rows by split, or NULL */
	VkSplitTeam *team;			/* the same, several processes; or NULL */
	pg_atomic_uint64 *shared_rows;	/* added by all processes, if there are
									 * several */
} VkBuild;

/* Some rows of a table, of those whose vector is not NULL. */
typedef struct VkBuildSample
{
	int			count;
	struct varlena **values;
	VkSplitKey *keys;			/* NULL without split columns */
} VkBuildSample;

/* am_build.c */
extern void vk_build_init(VkBuild *build, VkIndex *index);
extern void vk_build_row(VkBuild *build, ItemPointer tid, Datum *values, bool *isnull);
extern void vk_build_sample(VkIndex *index, Relation heap, struct IndexInfo *info, int wanted,
							VkBuildSample *sample);
extern uint32 vk_build_only_split(VkBuild *build);

/*
 * am_build_load.c: rows in an order in which those of one split follow each other
 */
enum
{
	VK_SPLIT_ROW_ORDER = 1,		/* see vk_split_order() */
	VK_SPLIT_ROW_TID,
	VK_SPLIT_ROW_KEY,			/* index tuple of the split columns */
	VK_SPLIT_ROW_VALUE,			/* the vector, or NULL */
	VK_SPLIT_ROW_COLUMNS = VK_SPLIT_ROW_VALUE
};

/* A row in memory. */
typedef struct VkSplitRow
{
	uint64		order;
	ItemPointerData tid;
	VkSplitKey	key;
	struct varlena *value;		/* NULL for a NULL vector */
} VkSplitRow;

/* Bytes a vector takes on shared pages. */
static inline Size
vk_split_row_bytes(const struct varlena *value)
{
	return offsetof(VkSharedRow, value) + VARSIZE(value);
}

extern int64 vk_split_order(uint64 hash);
extern TupleDesc vk_split_row_desc(void);
extern struct varlena *vk_split_row_form(VkIndex *index, TupleTableSlot *slot, Datum *values,
										 bool *isnull, ItemPointer tid);
extern void vk_split_row_read(TupleTableSlot *slot, VkSplitRow *row);
extern VkSplitEntry *vk_split_key_entry(const VkSplitKey *key);

extern VkSplitLoad *vk_split_load_begin(VkIndex *index, int work_mem_kb);
extern void vk_split_load_add(VkSplitLoad *load, TupleTableSlot *slot);
extern void vk_split_load_end(VkSplitLoad *load);

/* am_build_sort.c */
extern VkSplitSort *vk_split_sort_begin(VkIndex *index, int sort_kb, int store_kb);
extern void vk_split_sort_add(VkSplitSort *sort, Datum *values, bool *isnull, ItemPointer tid);
extern void vk_split_sort_put(VkSplitSort *sort, TupleTableSlot *slot);
extern void vk_split_sort_load(VkSplitSort *sort, void (*loaded) (void *arg), void *arg);

/* am_build_team.c */
typedef struct VkSplitPlan VkSplitPlan;

extern VkSplitPlan *vk_split_plan(VkIndex *index, const VkBuildSample *sample, double rows,
								  int nprocesses);
extern Size vk_split_plan_size(const VkSplitPlan *plan);
extern void vk_split_team_create(const VkSplitPlan *plan, dsm_segment *segment);
extern VkSplitTeam *vk_split_team_attach(VkIndex *index, dsm_segment *segment, int process);
extern void vk_split_team_add(VkSplitTeam *team, Datum *values, bool *isnull, ItemPointer tid);
extern void vk_split_team_absent(VkSplitTeam *team, int nprocesses);
extern void vk_split_team_load(VkSplitTeam *team);
extern pg_atomic_uint64 *vk_split_team_loaded(VkSplitTeam *team);

/* am_build_parallel.c */
extern bool vk_build_parallel(VkBuild *build, Relation heap, struct IndexInfo *info,
							  double *heap_rows);

#endif							/* VK_AM_BUILD_H */
