/*-------------------------------------------------------------------------
 *
 * graph_check.c
 *	  Proves the invariants of a graph that README.md numbers.
 *
 * The caller's lock keeps insertions and VACUUM away.  Slots are first all
 * read once to know the kind, level and generation of each, then each is
 * checked against that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/graph/graph_disk.h"

#define CORE_GATHER_ONLY
#define CORE(name)	check_##name
#include "am/graph/graph_core.h"

/* What is known of a slot from the first reading. */
typedef struct SlotInfo
{
	VkNodeId	id;				/* key */
	uint8		kind;
	uint8		level;
	uint8		gen;
	uint8		flags;
	bool		owned;			/* a link: in some chain */
	bool		reached;		/* a node: from the entry point */
} SlotInfo;

typedef struct GraphCheck
{
	VkIndex    *index;
	VkCheck    *check;
	VkGraph		graph;
	HTAB	   *slots;
	int64		rows;
	int64		nodes;
} GraphCheck;

#define REPORT(gc, block, ...) vk_report_corruption((gc)->index->rel, block, __VA_ARGS__)

static BlockNumber
block_of(const GraphCheck *gc, VkNodeId id)
{
	return id / gc->graph.lay->slots_per_page;
}

static SlotInfo *
find_slot(GraphCheck *gc, VkNodeId id)
{
	return hash_search(gc->slots, &id, HASH_FIND, NULL);
}

/* Invariants 1 and 2: the chain of pages, and what pages say of themselves. */
static void
read_slots(GraphCheck *gc)
{
	VkGraph    *graph = &gc->graph;
	const VkGraphLayout *lay = graph->lay;
	BlockNumber block = graph->root.first_page;
	uint32		npages = 0;

	while (block != InvalidBlockNumber)
	{
		Buffer		buffer = vk_page_read(gc->index, block, VK_PAGE_GRAPH_SLOTS,
										  graph->ref.split_id, BUFFER_LOCK_SHARE);
		Page		page = BufferGetPage(buffer);
		VkGraphPageHeader *header = VkPageGetGraphHeader(page);

		CHECK_FOR_INTERRUPTS();
		vk_check_page_seen(gc->check, block);
		npages++;
		if (header->nused > lay->slots_per_page ||
			((PageHeader) page)->pd_lower != VK_GRAPH_SLOTS_OFFSET + header->nused * lay->slot_size)
			REPORT(gc, block, "The page counts %u slots, and says it is used up to %u.",
				   header->nused, ((PageHeader) page)->pd_lower);
		for (int i = 0; i < header->nused; i++)
		{
			VkGraphNode *node = (VkGraphNode *) VkPageGetSlot(lay, page, i);
			VkNodeId	id = block * lay->slots_per_page + i;
			SlotInfo   *info = hash_search(gc->slots, &id, HASH_ENTER, NULL);

			if (node->kind > VK_SLOT_CENTER)
				REPORT(gc, block, "Slot %d is of the unknown kind %d.", i, node->kind);
			info->kind = node->kind;
			info->level = node->level;
			info->gen = node->gen;
			info->flags = node->flags;
			info->owned = info->reached = false;
		}
		block = VkPageGetOpaque(page)->next;
		vk_page_release(buffer);
	}
	if (npages != graph->root.npages)
		REPORT(gc, graph->ref.head, "The graph has %u pages, but counts %u.", npages,
			   graph->root.npages);
}

/* Invariant 3: the chain of pages with free slots. */
static void
check_free_pages(GraphCheck *gc)
{
	VkGraph    *graph = &gc->graph;
	BlockNumber block = graph->root.free_page;
	uint32		steps = 0;

	while (block != InvalidBlockNumber)
	{
		Buffer		buffer = vk_page_read(gc->index, block, VK_PAGE_GRAPH_SLOTS,
										  graph->ref.split_id, BUFFER_LOCK_SHARE);
		VkGraphPageHeader *header = VkPageGetGraphHeader(BufferGetPage(buffer));

		if ((header->flags & VK_GRAPH_PAGE_LISTED) == 0 || ++steps > graph->root.npages)
			REPORT(gc, block, "The chain of pages with free slots is damaged.");
		block = header->next_free;
		vk_page_release(buffer);
	}
}

/* Invariant 6: a chain of links; its slots belong to nobody else. */
static void
check_chain(GraphCheck *gc, VkNodeId owner, VkNodeId first, int kind)
{
	VkNodeId	id = first;

	while (id != VK_NODE_NONE)
	{
		SlotInfo   *info = find_slot(gc, id);
		const VkGraphLink *link;
		BlockNumber block = block_of(gc, id);
		VkNodeId	next;

		if (info == NULL || info->kind != kind || info->owned)
			REPORT(gc, block_of(gc, owner), "A chain of node %u leads to slot %u, which is not its.",
				   owner, id);
		info->owned = true;
		link = (const VkGraphLink *) vk_graph_pin(&gc->graph, id);
		if (link == NULL || (kind == VK_SLOT_TIDS && link->owner != owner) ||
			link->count > (kind == VK_SLOT_TIDS ? VK_LINK_TIDS(gc->graph.lay) :
						   VK_LINK_CAPACITY(gc->graph.lay)))
			REPORT(gc, block, "Slot %u of node %u is damaged.", id, owner);
		for (int i = 0; kind == VK_SLOT_TIDS && i < link->count; i++)
		{
			vk_check_row_seen(gc->check, (ItemPointer) link->data + i, block);
			gc->rows++;
		}
		next = link->next;
		vk_graph_unpin(&gc->graph);
		id = next;
	}
}

/* Reads a node and its vector; both copies are the caller's. */
static bool
load_node(GraphCheck *gc, VkNodeId id, char *rec, char *data, VkPoint *point)
{
	const VkGraphLayout *lay = gc->graph.lay;
	const char *slot = vk_graph_pin(&gc->graph, id);
	VkGraphNode *node = (VkGraphNode *) rec;

	if (slot == NULL)
		return false;
	memcpy(rec, slot, lay->slot_size);
	vk_graph_unpin(&gc->graph);
	if (node->payload_size > gc->graph.state->search.payload_max ||
		!check_gather(&gc->graph, lay, id, node, data))
		return false;
	point->data = data;
	point->norm2 = node->norm2;
	return true;
}

/* Invariants 4, 5, 7 and 8 of one node. */
static void
check_node(GraphCheck *gc, VkNodeId id, char *rec, char *data)
{
	VkGraph    *graph = &gc->graph;
	const VkGraphLayout *lay = graph->lay;
	const VkSpace *space = &graph->state->space;
	VkGraphNode *node = (VkGraphNode *) rec;
	BlockNumber block = block_of(gc, id);
	float	   *rotated = palloc(sizeof(float) * lay->nav_dim);
	float	   *nbr_rotated = palloc(sizeof(float) * lay->nav_dim);
	char	   *nbr_rec = palloc(lay->slot_size);
	char	   *nbr_data = palloc(graph->state->search.payload_max);
	VkPoint		point;
	VkPoint		nbr_point;

	if (!load_node(gc, id, rec, data, &point))
		REPORT(gc, block, "The vector of node %u is damaged.", id);
	if (point.norm2 != vk_space_norm2(space, data))
		REPORT(gc, block, "The norm of node %u is not that of its vector.", id);
	if (node->nedges > lay->max_edges || node->ntids > VK_NODE_INLINE_TIDS ||
		(node->level > 0 && (node->ntids > 0 || node->more != VK_NODE_NONE)) ||
		((node->flags & VK_NODE_DEAD) && node->ntids > 0))
		REPORT(gc, block, "The header of node %u is damaged.", id);
	for (int i = 0; i < node->ntids; i++)
	{
		vk_check_row_seen(gc->check, &node->tids[i], block);
		gc->rows++;
	}
	check_chain(gc, id, node->more, VK_SLOT_TIDS);
	check_chain(gc, id, node->rest, VK_SLOT_PAYLOAD);
	if (node->flags & VK_NODE_DEAD)
		return;					/* VACUUM was interrupted: no longer looked
								 * after */
	gc->nodes++;

	if (node->level > 0)
	{
		SlotInfo   *down = find_slot(gc, node->down);

		if (down == NULL || down->kind != VK_SLOT_NODE || down->level != node->level - 1 ||
			!load_node(gc, node->down, nbr_rec, nbr_data, &nbr_point) ||
			((VkGraphNode *) nbr_rec)->payload_size != node->payload_size ||
			memcmp(data, nbr_data, node->payload_size) != 0)
			REPORT(gc, block, "Node %u of level %d stands above slot %u, which is another vector.",
				   id, node->level, node->down);
	}

	if (lay->elem != VK_ELEM_SPARSE)
		vk_space_rotate(space, &point, rotated);
	for (int e = 0; e < node->nedges; e++)
	{
		VkNodeId	to = VK_EDGE_IDS(lay, rec)[e];
		SlotInfo   *info = find_slot(gc, to);
		VkEdgeCode	stored = {0};
		VkEdgeCode	computed = {0};

		if (to == id || info == NULL || info->kind != VK_SLOT_NODE ||
			info->level != node->level || info->gen != VK_EDGE_GEN(lay, rec)[e])
			REPORT(gc, block, "Edge %d of node %u leads to slot %u, which is not a node of its level and generation.",
				   e, id, to);
		for (int other = 0; other < e; other++)
			if (VK_EDGE_IDS(lay, rec)[other] == to)
				REPORT(gc, block, "Node %u has two edges to node %u.", id, to);
		if (!load_node(gc, to, nbr_rec, nbr_data, &nbr_point))
			REPORT(gc, block_of(gc, to), "The vector of node %u is damaged.", to);
		if (lay->elem == VK_ELEM_SPARSE)
			vk_sparse_encode(space, &nbr_point, &computed);
		else
		{
			vk_space_rotate(space, &nbr_point, nbr_rotated);
			vk_edge_encode(space->codes, lay, rotated, nbr_rotated, &computed);
		}
		vk_edge_get(lay, rec, e, &stored);
		if (memcmp(&stored, &computed, sizeof(stored)) != 0)
			REPORT(gc, block, "The code of edge %d of node %u is not that of its vectors.", e, id);
	}
	pfree(rotated);
	pfree(nbr_rotated);
	pfree(nbr_rec);
	pfree(nbr_data);
}

/*
 * How many living nodes of level 0 the edges lead to.  Pruning may cut a node
 * off, and so may a crash during its insertion: no damage, but only the
 * exhaustive pass finds it until VACUUM gives it an edge.
 */
static int64
count_reached(GraphCheck *gc)
{
	VkGraph    *graph = &gc->graph;
	const VkGraphLayout *lay = graph->lay;
	int64		allocated = hash_get_num_entries(gc->slots) + 1;
	VkNodeId   *stack = palloc_extended(sizeof(VkNodeId) * allocated, MCXT_ALLOC_HUGE);
	int64		depth = 0;
	int64		reached = 0;
	SlotInfo   *info = find_slot(gc, graph->root.entry);

	info->reached = true;
	stack[depth++] = graph->root.entry;
	while (depth > 0)
	{
		VkNodeId	id = stack[--depth];
		const char *rec;
		const VkGraphNode *node;

		CHECK_FOR_INTERRUPTS();
		rec = vk_graph_pin(graph, id);
		if (rec == NULL)
			continue;
		node = (const VkGraphNode *) rec;
		reached += node->level == 0 && (node->flags & VK_NODE_DEAD) == 0;
		for (int e = -1; e < node->nedges; e++)
		{
			VkNodeId	to = e < 0 ? node->down : VK_EDGE_IDS(lay, rec)[e];

			info = to == VK_NODE_NONE ? NULL : find_slot(gc, to);
			if (info == NULL || info->reached || info->kind != VK_SLOT_NODE)
				continue;
			info->reached = true;
			stack[depth++] = to;
		}
		vk_graph_unpin(graph);
	}
	pfree(stack);
	return reached;
}

/* Nodes that no edge leads to are normal in small number. */
#define LOST_SHARE	100

static void
check_reachability(GraphCheck *gc)
{
	VkGraph    *graph = &gc->graph;
	SlotInfo   *entry;
	HASH_SEQ_STATUS seq;
	SlotInfo   *info;
	int64		level0 = 0;
	int64		reached;

	hash_seq_init(&seq, gc->slots);
	while ((info = hash_seq_search(&seq)) != NULL)
	{
		level0 += info->kind == VK_SLOT_NODE && info->level == 0 &&
			(info->flags & VK_NODE_DEAD) == 0;
		if (info->kind == VK_SLOT_NODE && (info->flags & VK_NODE_DEAD) == 0 &&
			info->level > graph->root.level)
			ereport(DEBUG1, (errmsg("node %u is above the entry point", info->id)));
	}
	if (graph->root.entry == VK_NODE_NONE)
	{
		if (level0 > 0)
			REPORT(gc, graph->ref.head, "The graph has nodes but no entry point.");
		return;
	}
	entry = find_slot(gc, graph->root.entry);
	if (entry == NULL || entry->kind != VK_SLOT_NODE || entry->level != graph->root.level)
		REPORT(gc, graph->ref.head, "The entry point, slot %u, is not a node of level %d.",
			   graph->root.entry, graph->root.level);
	reached = count_reached(gc);
	if (level0 > reached)
		ereport(level0 - reached > level0 / LOST_SHARE + 1 ? WARNING : DEBUG1,
				(errmsg("of %lld vectors in a graph of index \"%s\", %lld are not reached by a search",
						(long long) level0, RelationGetRelationName(gc->index->rel),
						(long long) (level0 - reached)),
				 errdetail("A scan returns them only when it is read far enough."),
				 errhint("VACUUM the table.")));
}

void
vk_graph_check(VkIndex *index, VkStoreRef ref, VkCheck *check)
{
	GraphCheck	gc = {.index = index,.check = check};
	HASHCTL		control = {0};
	HASH_SEQ_STATUS seq;
	SlotInfo   *info;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "vektonn graph check",
												  ALLOCSET_DEFAULT_SIZES);
	char	   *rec;
	char	   *data;

	if (!vk_graph_open(&gc.graph, index, ref))
		vk_report_corruption(index->rel, ref.head, "The directory names a graph that is not there.");
	vk_check_page_seen(check, ref.head);
	control.keysize = sizeof(VkNodeId);
	control.entrysize = sizeof(SlotInfo);
	control.hcxt = context;
	gc.slots = hash_create("vektonn graph check", 1024, &control,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	rec = MemoryContextAlloc(context, gc.graph.lay->slot_size);
	data = MemoryContextAlloc(context, gc.graph.state->search.payload_max);

	read_slots(&gc);
	check_free_pages(&gc);
	check_chain(&gc, VK_NODE_NONE, gc.graph.root.center, VK_SLOT_CENTER);
	hash_seq_init(&seq, gc.slots);
	while ((info = hash_seq_search(&seq)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (info->kind == VK_SLOT_NODE)
			check_node(&gc, info->id, rec, data);
	}
	check_reachability(&gc);
	MemoryContextDelete(context);
}

void
vk_graph_stats(VkIndex *index, VkStoreRef ref, VkStoreStats *stats)
{
	VkGraph		graph;
	const VkGraphLayout *lay;
	BlockNumber block;

	if (!vk_graph_open(&graph, index, ref))
		return;
	lay = graph.lay;
	stats->levels = Max(stats->levels, graph.root.level + 1);
	stats->pages += graph.root.npages + 1;
	for (block = graph.root.first_page; block != InvalidBlockNumber;)
	{
		Buffer		buffer = vk_page_try(index, block, VK_PAGE_GRAPH_SLOTS, ref.split_id,
										 BUFFER_LOCK_SHARE);
		Page		page;

		CHECK_FOR_INTERRUPTS();
		if (buffer == InvalidBuffer)
			break;
		page = BufferGetPage(buffer);
		for (int i = 0; i < Min(VkPageGetGraphHeader(page)->nused, lay->slots_per_page); i++)
		{
			const VkGraphNode *node = (const VkGraphNode *) VkPageGetSlot(lay, page, i);

			if (node->kind == VK_SLOT_NODE)
				stats->rows += node->ntids;
			else if (node->kind == VK_SLOT_TIDS)
				stats->rows += ((const VkGraphLink *) node)->count;
		}
		block = VkPageGetOpaque(page)->next;
		vk_page_release(buffer);
	}
}
