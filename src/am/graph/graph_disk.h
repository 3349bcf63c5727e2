/*-------------------------------------------------------------------------
 *
 * graph_disk.h
 *	  The reading half of graph_core.h's access to a graph on pages.
 *
 * Included by the files that instantiate the core for pages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_GRAPH_DISK_H
#define VK_GRAPH_DISK_H

#include "am/graph/graph_private.h"

typedef VkGraph CoreAccess;

static inline bool
core_root(CoreAccess *graph, VkNodeId *entry, int *level)
{
	if (!vk_graph_read_root(graph))
		return false;
	*entry = graph->root.entry;
	*level = graph->root.level;
	return graph->root.entry != VK_NODE_NONE;
}

static inline const char *
core_pin(CoreAccess *graph, VkNodeId id)
{
	return vk_graph_pin(graph, id);
}

static inline void
core_unpin(CoreAccess *graph)
{
	vk_graph_unpin(graph);
}

static inline bool
core_prefetch(CoreAccess *graph, VkNodeId id)
{
	const VkGraphLayout *lay = graph->lay;

	return vk_page_prefetch_part(graph->index, id / lay->slots_per_page,
								 VK_GRAPH_SLOTS_OFFSET + id % lay->slots_per_page * lay->slot_size,
								 lay->slot_size);
}

static inline void
core_hint(CoreAccess *graph, VkNodeId id)
{
	vk_page_hint_soon(graph->index, id / graph->lay->slots_per_page);
}

static inline const char *
core_keep(CoreAccess *graph, VkGraphSearch *search, const char *data, uint32 size)
{
	return memcpy(vk_arena_alloc(&search->arena, size), data, size);
}

#endif							/* VK_GRAPH_DISK_H */
