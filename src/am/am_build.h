/*-------------------------------------------------------------------------
 *
 * am_build.h
 *	  What am_build.c, am_build_sort.c and am_build_parallel.c share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_AM_BUILD_H
#define VK_AM_BUILD_H

#include "am/am_private.h"
#include "port/atomics.h"

/* CREATE INDEX, in one of its processes. */
typedef struct VkBuild
{
	VkIndex    *index;
	MemoryContext context;		/* per row */
	double		rows;
	VkSplitKey	key;			/* of the one split that is loaded in bulk */
	void	   *bulk;			/* state of the store's bulk load, or NULL */
	struct VkSplitSort *sort;	/* rows by split, or NULL */
	pg_atomic_uint64 *shared_rows;	/* added by all processes, if there are
									 * several */
} VkBuild;

/* am_build.c */
extern void vk_build_init(VkBuild *build, VkIndex *index);
extern void vk_build_row(VkBuild *build, ItemPointer tid, Datum *values, bool *isnull);
extern int	vk_build_sample(VkIndex *index, Relation heap, struct IndexInfo *info, int wanted,
							struct varlena ***sample);

/* am_build_sort.c */
typedef struct VkSplitSort VkSplitSort;

extern VkSplitSort *vk_split_sort_begin(VkIndex *index, int work_mem_kb);
extern void vk_split_sort_add(VkSplitSort *sort, Datum *values, bool *isnull, ItemPointer tid);
extern void vk_split_sort_load(VkSplitSort *sort);

/* am_build_parallel.c */
extern bool vk_build_parallel(VkBuild *build, Relation heap, struct IndexInfo *info,
							  uint32 split_id, double *heap_rows);

#endif							/* VK_AM_BUILD_H */
