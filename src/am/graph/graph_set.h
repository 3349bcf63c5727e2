/*-------------------------------------------------------------------------
 *
 * graph_set.h
 *	  A set of nodes that is made anew for each search.
 *
 * An open hash of at most half of its places; memory is kept from one search
 * to the next.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_GRAPH_SET_H
#define VK_GRAPH_SET_H

#include "am/graph/graph_layout.h"

typedef struct VkNodeSet
{
	uint32	   *places;			/* 0: empty, else id + 1 */
	uint32		mask;
	uint32		count;
	uint32		allocated;
} VkNodeSet;

/* Empties the set, with so many places or up to twice as many. */
extern void vk_set_begin(VkNodeSet *set, uint32 places);
extern void vk_set_grow(VkNodeSet *set);

/* Gives the memory back; vk_set_begin() may follow. */
extern void vk_set_free(VkNodeSet *set);

static inline uint32
vk_seen_hash(VkNodeId id)
{
	return (id * 2654435761U) >> 7;
}

/* False if the node is in the set already. */
static inline bool
vk_set_add(VkNodeSet *set, VkNodeId id)
{
	for (uint32 at = vk_seen_hash(id);; at++)
	{
		uint32	   *place = &set->places[at & set->mask];

		if (*place == id + 1)
			return false;
		if (*place == 0)
		{
			*place = id + 1;
			if (unlikely(++set->count * 2 > set->mask))
				vk_set_grow(set);
			return true;
		}
	}
}

/*
 * Whether the node is in the set.  Looks at two places and nowhere else: says
 * no of a few that are, of which vk_set_add() will say so.
 */
static inline bool
vk_set_has(const VkNodeSet *set, VkNodeId id)
{
	uint32		at = vk_seen_hash(id);

	return (set->places[at & set->mask] == id + 1) |
		(set->places[(at + 1) & set->mask] == id + 1);
}

#endif							/* VK_GRAPH_SET_H */
