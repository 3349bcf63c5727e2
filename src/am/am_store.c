/*-------------------------------------------------------------------------
 *
 * am_store.c
 *	  The registry of stores: element type and algorithm choose one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am_private.h"

static const struct
{
	VkElem		elem;
	VkAlgorithm algorithm;
	const VkStoreOps *ops;
}			stores[] =

{
	{VK_ELEM_FLOAT4, VK_ALGORITHM_FLAT, &vk_flat_store},
	{VK_ELEM_FLOAT2, VK_ALGORITHM_FLAT, &vk_flat_store},
	{VK_ELEM_SPARSE, VK_ALGORITHM_FLAT, &vk_sparse_store},
	{VK_ELEM_FLOAT4, VK_ALGORITHM_HNSW, &vk_graph_store},
	{VK_ELEM_FLOAT2, VK_ALGORITHM_HNSW, &vk_graph_store},
	{VK_ELEM_SPARSE, VK_ALGORITHM_HNSW, &vk_graph_store},
};

const VkStoreOps *
vk_store_for(VkElem elem, VkAlgorithm algorithm)
{
	for (int i = 0; i < (int) lengthof(stores); i++)
		if (stores[i].elem == elem && stores[i].algorithm == algorithm)
			return stores[i].ops;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("this algorithm is not available for this type of vector")));
}
