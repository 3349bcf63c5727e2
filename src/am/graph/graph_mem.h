/*-------------------------------------------------------------------------
 *
 * graph_mem.h
 *	  A graph in memory: what CREATE INDEX builds before it writes pages.
 *
 * Slots are numbered as on pages, only from page 0 on.  A graph that outgrows
 * its memory is written out and goes on on pages; see graph_build.c.
 *
 * The memory is the backend's own, in chunks allocated as needed; or one piece
 * shared by several processes, which all have a VkMemGraph of their own over it.
 * Then each slot is read and written under one of a number of locks, one at a
 * time, as pages are under their content locks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_GRAPH_MEM_H
#define VK_GRAPH_MEM_H

#include "port/atomics.h"
#include "storage/lwlock.h"

#include "am/graph/graph_search.h"

/* Pages are allocated in pieces of this many. */
#define VK_MEM_CHUNK_PAGES	16

/* Locks of a shared graph: slots are spread over them.  A power of two. */
#define VK_MEM_LOCKS		1024

/* What all processes see of a graph. */
typedef struct VkMemShared
{
	pg_atomic_uint32 nslots;	/* slots handed out */
	pg_atomic_uint64 root;		/* level and entry point: vk_mem_root() */
	LWLock		first;			/* exclusive: the first node is being inserted */
	LWLockPadded locks[FLEXIBLE_ARRAY_MEMBER];	/* VK_MEM_LOCKS if shared,
												 * else none */
} VkMemShared;

typedef struct VkMemGraph
{
	VkSpace    *space;
	VkGraphSearch search;
	char	  **chunks;			/* aligned to cache lines */
	char	  **blocks;			/* as allocated; NULL if shared */
	int			nchunks;
	Size		page_size;		/* slots only */
	uint64		random;
	VkMemShared *shared;
	bool		locking;		/* others work on it */
	uint32		capacity;		/* slots, if locking */
	LWLock	   *held;			/* of core_pin() */
} VkMemGraph;

extern void vk_mem_init(VkMemGraph *graph, VkSpace *space);

/*
 * The same in memory of `size` bytes at `memory`, aligned to cache lines, which
 * one process has initialised and others attach to.  vk_mem_shared_least() is
 * the smallest size.
 */
extern Size vk_mem_shared_least(const VkGraphLayout *lay);
extern void vk_mem_shared_init(char *memory, int tranche);
extern void vk_mem_shared_attach(VkMemGraph *graph, VkSpace *space, char *memory, Size size,
								 int process);

/* Is there room for one more vector in each of so many processes? */
extern bool vk_mem_has_room(const VkMemGraph *graph, uint32 size, int nprocesses);

extern void vk_mem_free_chunk(VkMemGraph *graph, int chunk);
extern bool vk_mem_insert(VkMemGraph *graph, const char *data, uint32 size,
						  ItemPointer tid, int ef);

/* Level 0 search; results are in graph->search.visited. */
extern int	vk_mem_search(VkMemGraph *graph, const VkPoint *query, int ef);

static inline uint32
vk_mem_nslots(const VkMemGraph *graph)
{
	return pg_atomic_read_u32(&graph->shared->nslots);
}

/* False: the graph is empty. */
static inline bool
vk_mem_root(const VkMemGraph *graph, VkNodeId *entry, int *level)
{
	uint64		root = pg_atomic_read_u64(&graph->shared->root);

	*entry = (VkNodeId) root;
	*level = (int) (root >> 32) - 1;
	return *level >= 0;
}

static inline char *
vk_mem_page(const VkMemGraph *graph, uint32 page)
{
	return graph->chunks[page / VK_MEM_CHUNK_PAGES] +
		graph->page_size * (page % VK_MEM_CHUNK_PAGES);
}

static inline char *
vk_mem_slot(const VkMemGraph *graph, VkNodeId id)
{
	const VkGraphLayout *lay = &graph->space->lay;

	return vk_mem_page(graph, id / lay->slots_per_page) +
		(id % lay->slots_per_page) * lay->slot_size;
}

static inline uint32
vk_mem_pages(const VkMemGraph *graph)
{
	int			per_page = graph->space->lay.slots_per_page;

	return (vk_mem_nslots(graph) + per_page - 1) / per_page;
}

static inline Size
vk_mem_bytes(const VkMemGraph *graph)
{
	return (Size) graph->nchunks * VK_MEM_CHUNK_PAGES * graph->page_size;
}

#endif							/* VK_GRAPH_MEM_H */
