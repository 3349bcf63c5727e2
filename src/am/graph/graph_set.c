/*-------------------------------------------------------------------------
 *
 * graph_set.c
 *	  Memory of a set of nodes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/graph/graph_set.h"

void
vk_set_begin(VkNodeSet *set, uint32 places)
{
	uint32		wanted = 64;

	while (wanted < places)
		wanted *= 2;
	if (wanted > set->allocated)
	{
		if (set->places != NULL)
			pfree(set->places);
		set->places = palloc(sizeof(uint32) * wanted);
		set->allocated = wanted;
	}
	set->mask = wanted - 1;
	set->count = 0;
	memset(set->places, 0, sizeof(uint32) * wanted);
}

void
vk_set_grow(VkNodeSet *set)
{
	uint32	   *old = set->places;
	uint32		old_size = set->mask + 1;

	set->allocated = old_size * 2;
	set->mask = set->allocated - 1;
	set->places = palloc0(sizeof(uint32) * set->allocated);
	for (uint32 i = 0; i < old_size; i++)
	{
		uint32		at;

		if (old[i] == 0)
			continue;
		at = vk_seen_hash(old[i] - 1);
		while (set->places[at & set->mask] != 0)
			at++;
		set->places[at & set->mask] = old[i];
	}
	pfree(old);
}

void
vk_set_free(VkNodeSet *set)
{
	if (set->places != NULL)
		pfree(set->places);
	memset(set, 0, sizeof(*set));
}
