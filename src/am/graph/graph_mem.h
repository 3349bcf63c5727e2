/*-------------------------------------------------------------------------
 *
 * graph_mem.h
 *	  A graph in memory: what CREATE INDEX builds before it writes pages.
 *
 * Slots are numbered as on pages, only from page 0 on.  A graph that outgrows
 * its memory is written out and goes on on pages; see graph_build.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_GRAPH_MEM_H
#define VK_GRAPH_MEM_H

#include "am/graph/graph_search.h"

/* Pages are allocated in pieces of this many. */
#define VK_MEM_CHUNK_PAGES	64

typedef struct VkMemGraph
{
	VkSpace    *space;
	VkGraphSearch search;
	char	  **chunks;			/* aligned to cache lines */
	char	  **blocks;			/* as allocated */
	int			nchunks;
	Size		page_size;		/* slots only */
	uint32		nslots;			/* slots handed out */
	VkNodeId	entry;			/* VK_NODE_NONE: empty */
	int			level;
	uint64		random;
} VkMemGraph;

extern void vk_mem_init(VkMemGraph *graph, VkSpace *space);
extern void vk_mem_free_chunk(VkMemGraph *graph, int chunk);
extern bool vk_mem_insert(VkMemGraph *graph, const char *data, uint32 size,
						  ItemPointer tid, int ef);

/* Level 0 search; results are in graph->search.visited. */
extern int	vk_mem_search(VkMemGraph *graph, const VkPoint *query, int ef);

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

	return (graph->nslots + per_page - 1) / per_page;
}

static inline Size
vk_mem_bytes(const VkMemGraph *graph)
{
	return (Size) graph->nchunks * VK_MEM_CHUNK_PAGES * graph->page_size;
}

#endif							/* VK_GRAPH_MEM_H */
