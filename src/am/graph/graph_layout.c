/*-------------------------------------------------------------------------
 *
 * graph_layout.c
 *	  Chooses the size and the parts of a slot for a type, dimension and m.
 *
 * A node wants its whole vector and long codes in one slot, and many slots on
 * a page.  In this order: the vector inline if it fits beside codes of
 * VK_CODE_MIN_DIM; as many slots a page as codes of 5/8 of the dimensions
 * leave; the longest codes that keep this number; but two bits a dimension where
 * dimensions are few.  Vectors that do not fit, and sparse ones, which have any
 * length, have a page and go on in further slots.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/graph/graph_layout.h"

#define ROUND_UP(x, to)		(((x) + (to) - 1) / (to) * (to))
#define ROUND_DOWN(x, to)	((x) / (to) * (to))

/* id, bias, scale, gen */
#define EDGE_BYTES			13


static int
edges_size(int edges, int code_dim)
{
	return VK_NODE_HEADER + edges * EDGE_BYTES + edges * (code_dim / 8);
}

/* Codes below this are not worth a higher number of slots a page. */
static int
code_wanted(int nav_dim)
{
	int			wanted = ROUND_DOWN(nav_dim * 5 / 8, 32);

	wanted = Max(wanted, VK_CODE_MIN_DIM);
	wanted = Min(wanted, VK_CODE_WANTED_DIM);
	return Min(wanted, nav_dim);
}

/* Longest codes with which slots_per_page slots with this payload fit. */
static int
code_fitting(const VkGraphLayout *lay, int payload, int page_bytes)
{
	int			slot = ROUND_DOWN(page_bytes / lay->slots_per_page, 32);
	int			left = slot - payload - edges_size(lay->max_edges, 0);
	int			code_dim = ROUND_DOWN(left * 8 / lay->max_edges, 32);

	return Min(code_dim, Min(lay->nav_dim, VK_CODE_MAX_DIM));
}

/* The vector inline, with fewer edges than asked for if need be. */
static bool
layout_inline(VkGraphLayout *lay, int edges, int page_bytes)
{
	int			payload = ROUND_UP(vk_graph_dense_size(lay), 4);
	int			code_min = Min(lay->nav_dim, VK_CODE_MIN_DIM);

	if (lay->elem == VK_ELEM_SPARSE)
		return false;
	while (edges > VK_EDGE_GROUP && edges_size(edges, code_min) + payload > page_bytes)
		edges -= VK_EDGE_GROUP;
	if (edges_size(edges, code_min) + payload > page_bytes)
		return false;

	lay->max_edges = edges;
	lay->slots_per_page = page_bytes /
		ROUND_UP(edges_size(edges, code_wanted(lay->nav_dim)) + payload, 32);
	lay->slots_per_page = Max(lay->slots_per_page, 1);
	lay->code_dim = code_fitting(lay, payload, page_bytes);
	lay->payload_inline = payload;
	lay->spans = false;
	return true;
}

/*
 * Codes of two bits a dimension, which halve the error of estimates, where that
 * leaves two slots a page and two thirds of what there were.
 */
static void
layout_planes(VkGraphLayout *lay, int page_bytes)
{
	int			slots = page_bytes /
	ROUND_UP(edges_size(lay->max_edges, lay->nav_dim * VK_CODE_PLANES) + lay->payload_inline, 32);

	if (lay->nav_dim > VK_CODE_PLANES_DIM || slots < 2 || 3 * slots < 2 * lay->slots_per_page)
		return;
	lay->planes = VK_CODE_PLANES;
	lay->code_dim = lay->nav_dim;
	lay->slots_per_page = slots;
}

/* The vector begins in the slot and goes on elsewhere. */
static void
layout_spanning(VkGraphLayout *lay, int edges, int page_bytes)
{
	lay->code_dim = lay->elem == VK_ELEM_SPARSE ? VK_SPARSE_CODE_BITS :
		Min(lay->nav_dim, VK_CODE_WANTED_DIM);
	while (edges > VK_EDGE_GROUP && edges_size(edges, lay->code_dim) > page_bytes * 3 / 4)
		edges -= VK_EDGE_GROUP;
	lay->max_edges = edges;
	lay->slots_per_page = 1;
	if (lay->elem == VK_ELEM_SPARSE &&
		edges_size(edges, lay->code_dim) + VK_SPARSE_INLINE <= page_bytes / 2)
		lay->slots_per_page = 2;
	lay->payload_inline = ROUND_DOWN(page_bytes / lay->slots_per_page, 32) -
		edges_size(edges, lay->code_dim);
	lay->spans = true;
}

void
vk_graph_layout_init(VkGraphLayout *lay, VkElem elem, VkMetric metric, int dim, int m,
					 int page_bytes)
{
	int			edges = ROUND_UP(2 * m, VK_EDGE_GROUP);
	int			slot;

	memset(lay, 0, sizeof(*lay));
	lay->elem = elem;
	lay->metric = metric;
	lay->dim = dim;
	lay->ip = metric == VK_METRIC_IP;
	lay->nav_dim = elem == VK_ELEM_SPARSE ? VK_NAV_MIN_DIM :
		Max(ROUND_UP(dim, 32), VK_NAV_MIN_DIM);
	edges = Min(edges, VK_GRAPH_MAX_EDGES);

	lay->planes = 1;
	if (!layout_inline(lay, edges, page_bytes))
		layout_spanning(lay, edges, page_bytes);
	else
		layout_planes(lay, page_bytes);
	lay->forward = Min(m, lay->max_edges / 2);
	lay->prune_to = lay->max_edges * 3 / 4;

	/* Codes come first: cache lines of them are read whole. */
	lay->code_off = VK_NODE_HEADER;
	lay->code_bytes = lay->code_dim / 8 * lay->planes;
	lay->id_off = lay->code_off + lay->max_edges * lay->code_bytes;
	lay->bias_off = lay->id_off + lay->max_edges * sizeof(VkNodeId);
	lay->scale_off = lay->bias_off + lay->max_edges * sizeof(float);
	lay->gen_off = lay->scale_off + lay->max_edges * sizeof(float);
	lay->payload_off = lay->gen_off + lay->max_edges;
	slot = lay->payload_off + lay->payload_inline;
	lay->slot_size = ROUND_UP(slot, 64);
	if (lay->slot_size * lay->slots_per_page > page_bytes)
		lay->slot_size = ROUND_UP(slot, 32);
	Assert(lay->slot_size * lay->slots_per_page <= page_bytes);
	Assert(lay->code_dim >= 32 && lay->code_dim % 32 == 0);
}
