/*-------------------------------------------------------------------------
 *
 * graph_mend.c
 *	  What VACUUM and the end of a build put right in a graph.
 *
 * Pruning takes edges away, and some node may lose the last one that leads to
 * it; so may a node whose insertion a crash ended before its neighbours knew
 * of it.  Searches find such nodes only in their last, exhaustive pass.  Here
 * they are found, by following all edges from the entry point, and get an edge
 * from a node near them.  A crash may also leave slots of a vector or of TIDs
 * that belong to no node: they are freed.
 *
 * Insertions go on meanwhile.  What is looked at is what there was at first;
 * the insertions under way then are waited for, so that a node or slot of
 * theirs is not taken for a lost one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#include "am/graph/graph_private.h"
#include "compat/pgcompat.h"

/* Marks of slots. */
#define MEND_LIVING		0x01	/* a node of level 0 that is not dead */
#define MEND_REACHED	0x02	/* a node some edge leads to */
#define MEND_LINK		0x04	/* TIDs or payload */
#define MEND_OWNED		0x08	/* a link in the chain of some node */

#define MEND_ROUNDS		4

/* A node with so many edges to it can do with one less. */
#define MEND_MANY		8

/*
 * All edges are followed only where the graph is likely to be in shared
 * buffers: each node is a page at a random place.
 */
#define MEND_BUFFERS	((uint32) NBuffers / 4 * 3)

typedef struct Mend
{
	VkGraph    *graph;
	BlockNumber *blocks;		/* slot pages */
	uint32		nblocks;
	uint8	   *marks;			/* per slot of the index */
	uint8	   *edges;			/* to it from reached nodes, at most MEND_MANY */
	VkNodeId	nslots;
	VkNodeId   *stack;			/* reached nodes whose edges are to be
								 * followed */
	Size		depth;
	Size		allocated;
	bool		links;			/* there are some */
} Mend;

static inline bool
has_mark(const Mend *mend, VkNodeId id, uint8 mark)
{
	return id < mend->nslots && (mend->marks[id] & mark) != 0;
}

static void
reach(Mend *mend, VkNodeId id)
{
	if (id >= mend->nslots || has_mark(mend, id, MEND_REACHED))
		return;
	mend->marks[id] |= MEND_REACHED;
	if (mend->depth == mend->allocated)
	{
		mend->allocated *= 2;
		mend->stack = repalloc_huge(mend->stack, sizeof(VkNodeId) * mend->allocated);
	}
	mend->stack[mend->depth++] = id;
}

/* Calls visit for the slots of each page; the page is locked. */
static void
for_slots(Mend *mend, void (*visit) (Mend *mend, VkNodeId id, const char *slot))
{
	const VkGraphLayout *lay = mend->graph->lay;

	for (uint32 i = 0; i < mend->nblocks; i++)
	{
		Buffer		buffer;
		Page		page;
		int			nused;

		vacuum_delay_point_compat();
		buffer = vk_page_try(mend->graph->index, mend->blocks[i], VK_PAGE_GRAPH_SLOTS,
							 mend->graph->ref.split_id, BUFFER_LOCK_SHARE);
		if (buffer == InvalidBuffer)
			continue;
		page = BufferGetPage(buffer);
		nused = Min(VkPageGetGraphHeader(page)->nused, lay->slots_per_page);
		for (int slot = 0; slot < nused; slot++)
		{
			VkNodeId	id = mend->blocks[i] * lay->slots_per_page + slot;

			if (id < mend->nslots)
				visit(mend, id, VkPageGetSlot(lay, page, slot));
		}
		vk_page_release(buffer);
	}
}

static void
list_pages(Mend *mend)
{
	VkGraph    *graph = mend->graph;
	BlockNumber block = graph->root.first_page;

	mend->blocks = palloc_extended(sizeof(BlockNumber) * (graph->root.npages + 1), MCXT_ALLOC_HUGE);
	while (block != InvalidBlockNumber && mend->nblocks < graph->root.npages)
	{
		Buffer		buffer;

		vacuum_delay_point_compat();
		buffer = vk_page_try(graph->index, block, VK_PAGE_GRAPH_SLOTS, graph->ref.split_id,
							 BUFFER_LOCK_SHARE);
		if (buffer == InvalidBuffer)
			break;
		mend->blocks[mend->nblocks++] = block;
		block = VkPageGetOpaque(BufferGetPage(buffer))->next;
		vk_page_release(buffer);
	}
}

static void
note_slot(Mend *mend, VkNodeId id, const char *slot)
{
	const VkGraphNode *node = (const VkGraphNode *) slot;

	if (node->kind == VK_SLOT_NODE && node->level == 0 && (node->flags & VK_NODE_DEAD) == 0)
		mend->marks[id] |= MEND_LIVING;
	if (node->kind == VK_SLOT_TIDS || node->kind == VK_SLOT_PAYLOAD)
	{
		mend->marks[id] |= MEND_LINK;
		mend->links = true;
	}
}

/* ------------------------------------------------------------------------
 * Nodes no edge leads to
 * ------------------------------------------------------------------------ */

/* Marks all that is reached from the nodes on the stack. */
static void
follow_edges(Mend *mend)
{
	const VkGraphLayout *lay = mend->graph->lay;

	while (mend->depth > 0)
	{
		const char *slot = vk_graph_pin(mend->graph, mend->stack[--mend->depth]);
		const VkGraphNode *node = (const VkGraphNode *) slot;

		if (slot == NULL)
			continue;
		if (node->kind == VK_SLOT_NODE)
		{
			reach(mend, node->down);
			for (int e = 0; e < Min(node->nedges, lay->max_edges); e++)
			{
				VkNodeId	to = VK_EDGE_IDS(lay, slot)[e];

				reach(mend, to);
				if (to < mend->nslots && mend->edges[to] < MEND_MANY)
					mend->edges[to]++;
			}
		}
		vk_graph_unpin(mend->graph);
		vacuum_delay_point_compat();
	}
}

static bool
is_reached(void *arg, VkNodeId id)
{
	return has_mark(arg, id, MEND_REACHED);
}

/* Gives one edge away, of a node that has many. */
static bool
spare_edge(void *arg, VkNodeId id)
{
	Mend	   *mend = arg;

	if (id >= mend->nslots || mend->edges[id] < MEND_MANY)
		return false;
	mend->edges[id]--;
	return true;
}

/* Returns how many nodes have got an edge. */
static int
join_lost_nodes(Mend *mend)
{
	VkGraph    *graph = mend->graph;
	int			joined = 0;

	if (!vk_graph_read_root(graph) || graph->root.entry == VK_NODE_NONE ||
		graph->root.npages > MEND_BUFFERS)
		return 0;
	for (VkNodeId id = 0; id < mend->nslots; id++)
		mend->marks[id] &= ~MEND_REACHED;
	memset(mend->edges, 0, mend->nslots);
	reach(mend, graph->root.entry);
	follow_edges(mend);
	for (VkNodeId id = 0; id < mend->nslots; id++)
	{
		if (!has_mark(mend, id, MEND_LIVING) || has_mark(mend, id, MEND_REACHED))
			continue;
		vacuum_delay_point_compat();
		if (vk_graph_adopt_node(graph, id, is_reached, spare_edge, mend))
		{
			/* and those that could be reached only from it */
			reach(mend, id);
			follow_edges(mend);
			joined++;
		}
	}
	return joined;
}

/* ------------------------------------------------------------------------
 * Links no node leads to
 * ------------------------------------------------------------------------ */

/*
 * The node's page is locked, those of its links are not: they belong to it,
 * and only VACUUM takes links away.
 */
static void
note_owner(Mend *mend, VkNodeId id, const char *slot)
{
	const VkGraphNode *node = (const VkGraphNode *) slot;

	if (node->kind != VK_SLOT_NODE)
		return;
	for (int chain = 0; chain < 2; chain++)
	{
		VkNodeId	first = chain == 0 ? node->more : node->rest;

		if (first < mend->nslots)
			mend->marks[first] |= MEND_OWNED;
	}
}

/* A link leads to the next one; one that is owned owns that. */
static void
note_next(Mend *mend)
{
	for (VkNodeId id = 0; id < mend->nslots; id++)
	{
		VkNodeId	at = id;

		if (!has_mark(mend, id, MEND_OWNED))
			continue;
		for (;;)
		{
			const VkGraphLink *link;
			VkNodeId	next = VK_NODE_NONE;

			vacuum_delay_point_compat();
			link = (const VkGraphLink *) vk_graph_pin(mend->graph, at);
			if (link == NULL)
				break;
			if (link->kind == VK_SLOT_TIDS || link->kind == VK_SLOT_PAYLOAD)
				next = link->next;
			vk_graph_unpin(mend->graph);
			if (next >= mend->nslots || has_mark(mend, next, MEND_OWNED))
				break;
			mend->marks[next] |= MEND_OWNED;
			at = next;
		}
	}
}

static void
free_lost_links(Mend *mend)
{
	if (!mend->links)
		return;
	for_slots(mend, note_owner);
	note_next(mend);
	for (VkNodeId id = 0; id < mend->nslots; id++)
	{
		const VkGraphLink *link;
		bool		lost;

		if (!has_mark(mend, id, MEND_LINK) || has_mark(mend, id, MEND_OWNED))
			continue;
		link = (const VkGraphLink *) vk_graph_pin(mend->graph, id);
		if (link == NULL)
			continue;
		/* it may have been freed with the one before it in its chain */
		lost = link->kind == VK_SLOT_TIDS || link->kind == VK_SLOT_PAYLOAD;
		vk_graph_unpin(mend->graph);
		vacuum_delay_point_compat();
		if (lost)
			vk_graph_free_slot(mend->graph, id);
	}
}

/*
 * Mends a graph.  Only one process at a time: VACUUM, or the end of a build.
 */
void
vk_graph_mend(VkIndex *index, VkStoreRef ref)
{
	VkGraph		graph;
	Mend		mend = {.graph = &graph};
	MemoryContext context;
	MemoryContext old;

	if (!vk_graph_open(&graph, index, ref))
		return;
	context = AllocSetContextCreate(CurrentMemoryContext, "vektonn graph mend",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	mend.nslots = RelationGetNumberOfBlocks(index->rel) * graph.lay->slots_per_page;
	mend.marks = palloc_extended(mend.nslots, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	mend.edges = palloc_extended(mend.nslots, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	mend.allocated = 1024;
	mend.stack = palloc(sizeof(VkNodeId) * mend.allocated);
	list_pages(&mend);
	for_slots(&mend, note_slot);
	vk_graph_lock_inserts(&graph, ExclusiveLock);
	vk_graph_unlock_inserts(&graph, ExclusiveLock);
	/* an edge given away may have been the last one in the end */
	for (int round = 0; round < MEND_ROUNDS && join_lost_nodes(&mend) > 0; round++)
		;
	free_lost_links(&mend);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
