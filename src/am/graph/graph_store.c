/*-------------------------------------------------------------------------
 *
 * graph_store.c
 *	  The graph as a store of the access method: algorithm = hnsw.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "fmgr.h"

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
	hops = vk_graph_search_beam(info, k) + DESCEND_HOPS;
	if (vk_graph_is_exact(&lay, rows, hops))
		hops = rows;
	hops = Min(hops, Max(rows, 1));
	*seconds = hops * (SECONDS_PER_HOP + SECONDS_PER_BYTE * lay.slot_size);
	*pages = hops;
}

PG_FUNCTION_INFO_V1(vk_graph_row_bytes);

/*
 * Bytes of a graph per row, for vektonn.build_memory(): element type, dimension
 * (sparse: non-zeros), m.
 */
Datum
vk_graph_row_bytes(PG_FUNCTION_ARGS)
{
	int32		elem = PG_GETARG_INT32(0);
	int32		dim = PG_GETARG_INT32(1);
	int32		m = PG_GETARG_INT32(2);
	VkGraphLayout lay;
	int			slots = 1;

	if (elem < VK_ELEM_FLOAT4 || elem > VK_ELEM_SPARSE || dim < 1 ||
		dim > VK_MAX_DIM || m < 2 || m > 100)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no graph of dimension %d with m = %d", dim, m),
				 errdetail("Valid dimensions are 1 to %d, valid values of m are 2 to 100.",
						   VK_MAX_DIM)));
	vk_graph_layout_init(&lay, (VkElem) elem, VK_METRIC_L2, dim, m, VK_GRAPH_PAGE_BYTES);
	if (lay.spans)
		slots = vk_graph_slots(&lay, elem == VK_ELEM_SPARSE ? (int) sizeof(int32) + 8 * dim :
							   vk_graph_dense_size(&lay));
	PG_RETURN_FLOAT8((double) slots * lay.slot_size * (VK_LEVEL_FANOUT + 1) / VK_LEVEL_FANOUT);
}

const VkStoreOps vk_graph_store = {
	.name = "graph",
	.approximate = true,
	.create = graph_create,
	.insert = vk_graph_insert,
	.build_begin = vk_graph_build_begin,
	.build_add = vk_graph_build_add,
	.build_end = vk_graph_build_end,
	.share_sample = vk_graph_build_sample,
	.share_row_bytes = vk_graph_build_row_bytes,
	.share_least = vk_graph_build_share_least,
	.share_begin = vk_graph_build_share,
	.share_attach = vk_graph_build_attach,
	.share_detach = vk_graph_build_detach,
	.collect = vk_graph_collect,
	.vacuum = vk_graph_vacuum,
	.tidy = vk_graph_mend,
	.retire = vk_graph_retire,
	.stats = vk_graph_stats,
	.check = vk_graph_check,
	.cost = graph_cost,
};
