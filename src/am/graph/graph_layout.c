/*-------------------------------------------------------------------------
 *
 * graph_layout.c
 *	  Chooses the size and the parts of a slot for a type, dimension and m.
 *
 * A node wants its whole vector and long codes in one slot, and many slots on
 * a page.  In this order: the vector inline if it fits beside codes of 2/3 of the
 * dimensions; as many slots a page as codes of 7/8 of them leave; the longest
 * codes that keep this number; but two bits a dimension where dimensions are few.
 * Vectors that do not fit, and sparse ones, which have any length, have a page
 * and go on in further slots.
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

/*
 * Codes below this are not worth a higher number of slots a page.  A sign left out
 * costs more than its share: not only is its coordinate unknown, but the others
 * tell less of the whole.  On texts of 512 dimensions codes of 352 visit twice
 * as many nodes for the same recall as codes of all.
 */
static int
code_wanted(int nav_dim)
{
	int			wanted = ROUND_DOWN(nav_dim * 7 / 8, 32);

	return Min(Max(wanted, VK_CODE_MIN_DIM), nav_dim);
}

/* Codes below this are not worth having the vector inline. */
static int
code_least(int nav_dim)
{
	int			least = ROUND_DOWN(nav_dim * 2 / 3, 32);

	return Min(Max(least, VK_CODE_MIN_DIM), nav_dim);
}

/* Longest codes that leave a slot of this size so much for the vector. */
static int
code_fitting(const VkGraphLayout *lay, int slot, int payload)
{
	int			left = slot - payload - edges_size(lay->max_edges, 0);
	int			code_dim = ROUND_DOWN(left * 8 / lay->max_edges, 32);

	return Min(code_dim, Min(lay->nav_dim, VK_CODE_MAX_DIM));
}

/* The vector inline. */
static bool
layout_inline(VkGraphLayout *lay, int edges, int code_dim, int page_bytes)
{
	int			payload = ROUND_UP(vk_graph_dense_size(lay), 4);

	if (edges_size(edges, code_dim) + payload > page_bytes)
		return false;

	lay->max_edges = edges;
	lay->slots_per_page = page_bytes /
		ROUND_UP(edges_size(edges, code_wanted(lay->nav_dim)) + payload, 32);
	lay->slots_per_page = Max(lay->slots_per_page, 1);
	lay->code_dim = code_fitting(lay, ROUND_DOWN(page_bytes / lay->slots_per_page, 32), payload);
	lay->payload_inline = payload;
	lay->spans = false;
	return true;
}

/* Where m asks for many edges, short codes; and fewer of them if need be. */
static bool
layout_many_edges(VkGraphLayout *lay, int edges, int page_bytes)
{
	for (; edges > VK_EDGE_GROUP; edges -= VK_EDGE_GROUP)
		if (layout_inline(lay, edges, Min(lay->nav_dim, VK_CODE_MIN_DIM), page_bytes))
			return true;
	return layout_inline(lay, edges, code_least(lay->nav_dim), page_bytes);
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

/*
 * The longest codes of a slot of which a vector begins: so long that the vector
 * takes no more slots than with codes of VK_CODE_SPANNING_DIM.
 */
static int
code_spanning(const VkGraphLayout *lay, int slot)
{
	int			size = ROUND_UP(vk_graph_dense_size(lay), 4);
	int			link = slot - (int) VK_LINK_HEADER;
	int			code_dim = Min(code_fitting(lay, slot, 0) * 7 / 8, VK_CODE_SPANNING_DIM);
	int			beyond = Max(size - (slot - edges_size(lay->max_edges, code_dim)), 1);

	return code_fitting(lay, slot, Max(size - ROUND_UP(beyond, link), 0));
}

/* The vector begins in the slot and goes on elsewhere. */
static void
layout_spanning(VkGraphLayout *lay, int edges, int page_bytes)
{
	bool		sparse = lay->elem == VK_ELEM_SPARSE;
	int			slot;

	lay->code_dim = sparse ? VK_SPARSE_CODE_BITS : Min(lay->nav_dim, VK_CODE_WANTED_DIM);
	while (edges > VK_EDGE_GROUP && edges_size(edges, lay->code_dim) > page_bytes * 3 / 4)
		edges -= VK_EDGE_GROUP;
	lay->max_edges = edges;
	lay->slots_per_page = 1;
	if (sparse && edges_size(edges, lay->code_dim) + VK_SPARSE_INLINE <= page_bytes / 2)
		lay->slots_per_page = 2;
	slot = ROUND_DOWN(page_bytes / lay->slots_per_page, 32);
	if (!sparse)
		lay->code_dim = code_spanning(lay, slot);
	lay->payload_inline = slot - edges_size(edges, lay->code_dim);
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
	if (elem != VK_ELEM_SPARSE && layout_many_edges(lay, edges, page_bytes))
		layout_planes(lay, page_bytes);
	else
		layout_spanning(lay, edges, page_bytes);
	lay->forward = Min(m, lay->max_edges / 2);
	lay->prune_to = lay->max_edges * 3 / 4;
	if (elem == VK_ELEM_SPARSE)
		lay->forward = lay->forward * VK_SPARSE_FORWARD / 100;

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
