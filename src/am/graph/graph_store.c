/*-------------------------------------------------------------------------
 *
 * graph_store.c
 *	  The graph as a store of the access method: algorithm = hnsw.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"

#include "am/graph/graph_private.h"

static BlockNumber
graph_create(VkIndex *index, uint32 split_id)
{
	return vk_graph_create_root(index, split_id, pg_prng_uint64(&pg_global_prng_state));
}

/*
 * Per visited node: its page, then 32 edges and one distance, both linear in
 * the bytes of the slot.
 */
#define SECONDS_PER_HOP		2e-7
#define SECONDS_PER_BYTE	8e-11
#define DESCEND_HOPS		12

static void
graph_cost(const VkIndexInfo *info, double rows, double k, double *seconds, double *pages)
{
	VkGraphLayout lay;
	double		hops;

	vk_graph_layout(info, &lay);
	hops = Max(k, vk_graph_ef(info)) + DESCEND_HOPS;
	if (vk_graph_is_exact(&lay, rows, hops))
		hops = rows;
	hops = Min(hops, Max(rows, 1));
	*seconds = hops * (SECONDS_PER_HOP + SECONDS_PER_BYTE * lay.slot_size);
	*pages = hops;
}

const VkStoreOps vk_graph_store = {
	.name = "graph",
	.approximate = true,
	.create = graph_create,
	.insert = vk_graph_insert,
	.build_begin = vk_graph_build_begin,
	.build_add = vk_graph_build_add,
	.build_end = vk_graph_build_end,
	.collect = vk_graph_collect,
	.vacuum = vk_graph_vacuum,
	.retire = vk_graph_retire,
	.stats = vk_graph_stats,
	.check = vk_graph_check,
	.cost = graph_cost,
};
