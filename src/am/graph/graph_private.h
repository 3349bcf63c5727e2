/*-------------------------------------------------------------------------
 *
 * graph_private.h
 *	  What the files of src/am/graph that work on pages share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_GRAPH_PRIVATE_H
#define VK_GRAPH_PRIVATE_H

#include "am/am_page.h"
#include "am/graph/graph_page.h"
#include "am/graph/graph_search.h"

#define VK_PAGE_GRAPH_ROOT	(VK_PAGE_GRAPH_FIRST + VK_GRAPH_ROOT_KIND)
#define VK_PAGE_GRAPH_SLOTS (VK_PAGE_GRAPH_FIRST + VK_GRAPH_SLOTS_KIND)

#define VkPageGetGraphRoot(page)	((VkGraphRoot *) VkPageData(page))

/*
 * What a backend remembers of a graph from one call to the next: the rotation,
 * the center, and working memory.  Found by the graph's seed.
 */
typedef struct VkGraphState
{
	uint64		seed;
	uint64		last_used;
	MemoryContext context;
	VkSpace		space;
	VkGraphSearch search;
} VkGraphState;

/* An open graph; on the caller's stack. */
typedef struct VkGraph
{
	VkIndex    *index;
	VkStoreRef	ref;
	VkGraphState *state;
	const VkGraphLayout *lay;
	VkGraphRoot root;			/* as it was when the graph was opened */
	Buffer		pinned;			/* of core_pin() */
	int64		pages;			/* slot pages read */
} VkGraph;

/* graph_access.c */
extern bool vk_graph_open(VkGraph *graph, VkIndex *index, VkStoreRef ref);
extern bool vk_graph_read_root(VkGraph *graph);
extern Buffer vk_graph_lock_root(VkGraph *graph, int lock);
extern const char *vk_graph_pin(VkGraph *graph, VkNodeId id);
extern Buffer vk_graph_lock_slot(VkGraph *graph, VkNodeId id, int lock, char **slot);
extern void vk_graph_layout(const VkIndexInfo *info, VkGraphLayout *lay);
extern VkNodeId vk_graph_write_slot(VkGraph *graph, char *slot, Size size, uint8 *gen);
extern void vk_graph_free_slot(VkGraph *graph, VkNodeId id);
extern void vk_graph_unchain(VkGraph *graph, VkNodeId id);
extern BlockNumber vk_graph_create_root(VkIndex *index, uint32 split_id, uint64 seed);
extern void vk_graph_write_center(VkGraph *graph, const float *mean);

/* Insertions hold this in share mode; exclusively, it waits for all of them. */
extern void vk_graph_lock_inserts(VkGraph *graph, LOCKMODE mode);
extern void vk_graph_unlock_inserts(VkGraph *graph, LOCKMODE mode);

static inline void
vk_graph_unpin(VkGraph *graph)
{
	vk_page_release(graph->pinned);
}

/* Codes of inner products, and sparse vectors, go without. */
static inline bool
vk_graph_wants_center(const VkGraphLayout *lay)
{
	return !vk_codes_inner(lay) && lay->elem != VK_ELEM_SPARSE;
}

/* The varlena as a point; allocates a copy for sparse vectors only. */
extern void vk_graph_point(const VkSpace *space, const struct varlena *value, VkPoint *point);

/* graph_insert.c */
extern bool vk_graph_insert(VkIndex *index, VkStoreRef ref, ItemPointer tid,
							const struct varlena *value);
extern bool vk_graph_insert_point(VkGraph *graph, const VkPoint *point, uint32 size,
								  ItemPointer tid);

/* Pruning candidates of a node anew, for repair. */
extern bool vk_graph_repair_node(VkGraph *graph, VkNodeId id, bool (*is_dead) (void *arg, VkNodeId id),
								 void *arg);

/*
 * Gives a node of level 0 an edge from one near it that `may` accepts, if need
 * be in place of one to a node that `spare` gives away.
 */
extern bool vk_graph_adopt_node(VkGraph *graph, VkNodeId id,
								bool (*may) (void *arg, VkNodeId id),
								bool (*spare) (void *arg, VkNodeId id), void *arg);

/* graph_mend.c */
extern void vk_graph_mend(VkIndex *index, VkStoreRef ref);

/* graph_scan.c */
extern double vk_graph_search_beam(const VkIndexInfo *info, double k);
extern bool vk_graph_is_exact(const VkGraphLayout *lay, double rows, double ef);
extern void vk_graph_collect(VkScan *scan, VkStoreRef ref);

/* graph_build.c */
extern void *vk_graph_build_begin(VkIndex *index, uint32 split_id, int maintenance_work_mem_kb);
extern void vk_graph_build_add(void *state, ItemPointer tid, const struct varlena *value);
extern BlockNumber vk_graph_build_end(void *state);
extern int	vk_graph_build_sample(const VkIndexInfo *info);
extern double vk_graph_build_row_bytes(VkIndex *index, struct varlena **sample, int nsample);
extern Size vk_graph_build_share_least(VkIndex *index);
extern void vk_graph_build_share(VkIndex *index, uint32 split_id, const VkShareArea *area,
								 struct varlena **sample, int nsample);
extern void *vk_graph_build_attach(VkIndex *index, void *memory, int process);
extern void vk_graph_build_detach(void *state);

/* graph_vacuum.c */
extern void vk_graph_vacuum(VkVacuum *vacuum, VkStoreRef ref);
extern bool vk_graph_retire(VkIndex *index, VkStoreRef ref, VkEdit *edit, VkBlockList *blocks);

/* graph_check.c */
extern void vk_graph_check(VkIndex *index, VkStoreRef ref, VkCheck *check);
extern void vk_graph_stats(VkIndex *index, VkStoreRef ref, VkStoreStats *stats);

#endif							/* VK_GRAPH_PRIVATE_H */
