/*-------------------------------------------------------------------------
 *
 * graph_vacuum.c
 *	  VACUUM of a graph: dead nodes are marked, edges around them repaired,
 *	  then their slots freed.
 *
 *	1. All pages: dead TIDs are removed; a node without TIDs is marked dead.
 *	   Nodes with links wait: with all insertions locked out for a moment,
 *	   those still without TIDs are marked as well.
 *	2. Nodes of upper levels above dead ones are marked dead too.
 *	3. The insertion lock is taken exclusively and released: from here on
 *	   nobody chooses a dead node as neighbour any more.
 *	4. The entry point is replaced if it is dead, read again under its lock.
 *	5. Every node with an edge to a dead one gets new edges.
 *	6. Nothing leads to dead nodes now except searches under way, which take a
 *	   freed or reused slot for what it is: the slots are freed.
 *
 * Then graph_mend.c looks for nodes that no edge leads to.
 *
 * An interrupted VACUUM leaves nodes marked dead, which the next one finds.
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

/* A set of slots: open hash of id + 1; 0 is an empty place. */
typedef struct IdSet
{
	uint32	   *ids;
	uint32		mask;
	uint32		count;
} IdSet;

typedef struct UpperNode
{
	VkNodeId	id;
	VkNodeId	down;
	int			level;
	bool		dead;
} UpperNode;

typedef struct GraphVacuum
{
	VkVacuum   *vacuum;
	VkGraph		graph;
	IdSet		dead;
	VkNodeId   *linked;			/* nodes without own TIDs, but with links */
	int			nlinked;
	int			linked_allocated;
	UpperNode  *upper;
	int			nupper;
	int			upper_allocated;
	VkNodeId	alive;			/* some living node of level 0 */
	int64		tids;
} GraphVacuum;

static void
set_init(IdSet *set, uint32 size)
{
	set->mask = size - 1;
	set->count = 0;
	set->ids = palloc_extended(sizeof(uint32) * (Size) size, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

static bool
set_has(const IdSet *set, VkNodeId id)
{
	for (uint32 at = vk_seen_hash(id);; at++)
	{
		uint32		found = set->ids[at & set->mask];

		if (found == id + 1)
			return true;
		if (found == 0)
			return false;
	}
}

static void
set_add(IdSet *set, VkNodeId id)
{
	uint32		at = vk_seen_hash(id);

	if (set_has(set, id))
		return;
	if (set->count * 2 >= set->mask)
	{
		IdSet		old = *set;

		set_init(set, (old.mask + 1) * 2);
		for (uint32 i = 0; i <= old.mask; i++)
			if (old.ids[i] != 0)
				set_add(set, old.ids[i] - 1);
		pfree(old.ids);
	}
	while (set->ids[at & set->mask] != 0)
		at++;
	set->ids[at & set->mask] = id + 1;
	set->count++;
}

static bool
is_dead(void *arg, VkNodeId id)
{
	return set_has(arg, id);
}

static void
remember_linked(GraphVacuum *gv, VkNodeId id)
{
	if (gv->nlinked == gv->linked_allocated)
	{
		gv->linked_allocated = Max(64, gv->linked_allocated * 2);
		gv->linked = gv->linked == NULL ? palloc(sizeof(VkNodeId) * gv->linked_allocated) :
			repalloc_huge(gv->linked, sizeof(VkNodeId) * gv->linked_allocated);
	}
	gv->linked[gv->nlinked++] = id;
}

static void
remember_upper(GraphVacuum *gv, VkNodeId id, const VkGraphNode *node)
{
	UpperNode  *upper;

	if (gv->nupper == gv->upper_allocated)
	{
		gv->upper_allocated = Max(64, gv->upper_allocated * 2);
		gv->upper = gv->upper == NULL ? palloc(sizeof(UpperNode) * gv->upper_allocated) :
			repalloc_huge(gv->upper, sizeof(UpperNode) * gv->upper_allocated);
	}
	upper = &gv->upper[gv->nupper++];
	upper->id = id;
	upper->down = node->down;
	upper->level = node->level;
	upper->dead = (node->flags & VK_NODE_DEAD) != 0;
}

/* Removes dead TIDs from an array; returns how many are left. */
static int
filter_tids(GraphVacuum *gv, ItemPointer tids, int count)
{
	int			kept = 0;

	for (int i = 0; i < count; i++)
	{
		if (gv->vacuum->callback(&tids[i], gv->vacuum->callback_state))
			gv->vacuum->stats->tuples_removed++;
		else
			tids[kept++] = tids[i];
	}
	gv->tids += kept;
	return kept;
}

/*
 * One node on a page held exclusively.  Puts what changes into the edit, whose
 * page is added when first needed; scratch must stay as it is until commit.
 */
static bool
vacuum_node(GraphVacuum *gv, VkNodeId id, VkGraphNode *node, VkGraphNode *scratch)
{
	*scratch = *node;
	if (node->flags & VK_NODE_DEAD)
	{
		set_add(&gv->dead, id);
		return false;
	}
	scratch->ntids = filter_tids(gv, scratch->tids, Min(node->ntids, VK_NODE_INLINE_TIDS));
	if (scratch->ntids == 0 && node->more != VK_NODE_NONE)
		remember_linked(gv, id);
	if (scratch->ntids == 0 && node->more == VK_NODE_NONE)
	{
		scratch->flags |= VK_NODE_DEAD;
		set_add(&gv->dead, id);
	}
	else
		gv->alive = id;
	return scratch->ntids != node->ntids;
}

static bool
vacuum_link(GraphVacuum *gv, VkGraphLink *link, char *scratch)
{
	int			count = Min(link->count, VK_LINK_TIDS(gv->graph.lay));
	VkGraphLink *copy = (VkGraphLink *) scratch;

	memcpy(scratch, link, VK_LINK_HEADER + count * sizeof(ItemPointerData));
	copy->count = filter_tids(gv, (ItemPointer) copy->data, count);
	return copy->count != link->count;
}

/* Pass 1 over one page; returns the next one. */
static BlockNumber
vacuum_page(GraphVacuum *gv, BlockNumber block)
{
	VkGraph    *graph = &gv->graph;
	const VkGraphLayout *lay = graph->lay;
	Buffer		buffer = vk_page_try(graph->index, block, VK_PAGE_GRAPH_SLOTS,
									 graph->ref.split_id, BUFFER_LOCK_EXCLUSIVE);
	Page		page;
	VkEdit		edit;
	int			target = -1;
	BlockNumber next;
	char	   *scratch;
	int			nused;

	if (buffer == InvalidBuffer)
		return InvalidBlockNumber;
	page = BufferGetPage(buffer);
	next = VkPageGetOpaque(page)->next;
	nused = Min(VkPageGetGraphHeader(page)->nused, lay->slots_per_page);
	scratch = palloc((Size) nused * lay->slot_size + 1);
	vk_edit_start(&edit, graph->index);
	for (int i = 0; i < nused; i++)
	{
		VkNodeId	id = block * lay->slots_per_page + i;
		char	   *slot = VkPageGetSlot(lay, page, i);
		char	   *copy = scratch + (Size) i * lay->slot_size;
		Size		changed = 0;

		switch (((VkGraphNode *) slot)->kind)
		{
			case VK_SLOT_NODE:
				if (((VkGraphNode *) slot)->level > 0)
					remember_upper(gv, id, (VkGraphNode *) slot);
				else if (vacuum_node(gv, id, (VkGraphNode *) slot, (VkGraphNode *) copy))
					changed = VK_NODE_HEADER;
				break;
			case VK_SLOT_TIDS:
				if (vacuum_link(gv, (VkGraphLink *) slot, copy))
					changed = VK_LINK_HEADER +
						((VkGraphLink *) copy)->count * sizeof(ItemPointerData);
				break;
		}
		if (changed == 0)
			continue;
		if (target < 0)
			target = vk_edit_page(&edit, buffer);
		vk_edit_put(&edit, target, slot, copy, changed);
	}
	if (target >= 0)
		vk_edit_commit(&edit);
	vk_page_release(buffer);
	pfree(scratch);
	return next;
}

static void
mark_dead(GraphVacuum *gv, VkNodeId id)
{
	char	   *slot;
	Buffer		buffer = vk_graph_lock_slot(&gv->graph, id, BUFFER_LOCK_EXCLUSIVE, &slot);
	VkGraphNode *node = (VkGraphNode *) slot;

	if (buffer == InvalidBuffer)
		return;
	if (node->kind == VK_SLOT_NODE)
	{
		uint8		flags = node->flags | VK_NODE_DEAD;

		if (flags != node->flags)
		{
			VkEdit		edit;

			vk_edit_start(&edit, gv->graph.index);
			vk_edit_put(&edit, vk_edit_page(&edit, buffer), &node->flags, &flags, sizeof(flags));
			vk_edit_commit(&edit);
		}
		set_add(&gv->dead, id);
	}
	vk_page_release(buffer);
}

/* Whether a node has no TID, its links included.  Nobody inserts meanwhile. */
static bool
node_is_empty(GraphVacuum *gv, VkNodeId id)
{
	const VkGraphNode *node = (const VkGraphNode *) vk_graph_pin(&gv->graph, id);
	VkNodeId	next;
	bool		empty;

	if (node == NULL)
		return false;
	empty = node->kind == VK_SLOT_NODE && node->ntids == 0;
	next = node->more;
	vk_graph_unpin(&gv->graph);
	while (empty && next != VK_NODE_NONE)
	{
		const VkGraphLink *link = (const VkGraphLink *) vk_graph_pin(&gv->graph, next);

		if (link == NULL)
			return false;
		empty = link->kind == VK_SLOT_TIDS && link->count == 0;
		next = link->next;
		vk_graph_unpin(&gv->graph);
	}
	return empty;
}

/* Steps 1 (nodes with links), 2 and 3. */
static void
mark_rest(GraphVacuum *gv)
{
	int			marked;

	if (gv->nlinked > 0)
	{
		vk_graph_lock_inserts(&gv->graph, ExclusiveLock);
		for (int i = 0; i < gv->nlinked; i++)
			if (node_is_empty(gv, gv->linked[i]))
				mark_dead(gv, gv->linked[i]);
		vk_graph_unlock_inserts(&gv->graph, ExclusiveLock);
	}
	/* a node may be seen before the one below it: until nothing changes */
	do
	{
		marked = 0;
		for (int i = 0; i < gv->nupper; i++)
		{
			UpperNode  *upper = &gv->upper[i];

			if (set_has(&gv->dead, upper->id) || !(upper->dead || set_has(&gv->dead, upper->down)))
				continue;
			mark_dead(gv, upper->id);
			upper->dead = true;
			marked++;
		}
	} while (marked > 0);
	if (gv->dead.count > 0)
	{
		vk_graph_lock_inserts(&gv->graph, ExclusiveLock);
		vk_graph_unlock_inserts(&gv->graph, ExclusiveLock);
	}
}

/* A living node of the highest level there is; reads all pages. */
static VkNodeId
find_living(GraphVacuum *gv, int *level)
{
	const VkGraphLayout *lay = gv->graph.lay;
	VkNodeId	found = VK_NODE_NONE;
	BlockNumber block;

	*level = -1;
	vk_graph_read_root(&gv->graph);
	for (block = gv->graph.root.first_page; block != InvalidBlockNumber;)
	{
		Buffer		buffer = vk_page_try(gv->graph.index, block, VK_PAGE_GRAPH_SLOTS,
										 gv->graph.ref.split_id, BUFFER_LOCK_SHARE);
		Page		page;

		if (buffer == InvalidBuffer)
			break;
		page = BufferGetPage(buffer);
		for (int i = 0; i < Min(VkPageGetGraphHeader(page)->nused, lay->slots_per_page); i++)
		{
			VkGraphNode *node = (VkGraphNode *) VkPageGetSlot(lay, page, i);

			if (node->kind == VK_SLOT_NODE && (node->flags & VK_NODE_DEAD) == 0 &&
				node->level > *level)
			{
				*level = node->level;
				found = block * lay->slots_per_page + i;
			}
		}
		block = VkPageGetOpaque(page)->next;
		vk_page_release(buffer);
	}
	return found;
}

/* Makes a node the entry unless the present one, read again here, is alive. */
static void
set_entry(GraphVacuum *gv, VkNodeId id, int level)
{
	Buffer		buffer = vk_graph_lock_root(&gv->graph, BUFFER_LOCK_EXCLUSIVE);
	VkGraphRoot *root;

	if (buffer == InvalidBuffer)
		return;
	root = VkPageGetGraphRoot(BufferGetPage(buffer));
	if (root->entry != VK_NODE_NONE && set_has(&gv->dead, root->entry))
	{
		VkEdit		edit;
		int			page;

		vk_edit_start(&edit, gv->graph.index);
		page = vk_edit_page(&edit, buffer);
		vk_edit_put_uint32(&edit, page, &root->entry, id);
		vk_edit_put_uint32(&edit, page, &root->level, (uint32) level);
		vk_edit_commit(&edit);
	}
	vk_page_release(buffer);
}

/*
 * Step 4.  Insertions are locked out when no living node is known, for then
 * the graph may have to become empty, and a new node must not be lost.
 */
static void
replace_entry(GraphVacuum *gv)
{
	UpperNode  *best = NULL;

	if (!vk_graph_read_root(&gv->graph) || gv->graph.root.entry == VK_NODE_NONE ||
		!set_has(&gv->dead, gv->graph.root.entry))
		return;
	for (int i = 0; i < gv->nupper; i++)
		if (!gv->upper[i].dead && (best == NULL || gv->upper[i].level > best->level))
			best = &gv->upper[i];
	if (best != NULL)
		set_entry(gv, best->id, best->level);
	else
	{
		int			level;
		VkNodeId	living;

		vk_graph_lock_inserts(&gv->graph, ExclusiveLock);
		living = find_living(gv, &level);
		set_entry(gv, living, level);
		vk_graph_unlock_inserts(&gv->graph, ExclusiveLock);
	}
}

/* Step 5, one page: which nodes have edges to dead ones. */
static BlockNumber
repair_page(GraphVacuum *gv, BlockNumber block)
{
	VkGraph    *graph = &gv->graph;
	const VkGraphLayout *lay = graph->lay;
	Buffer		buffer = vk_page_try(graph->index, block, VK_PAGE_GRAPH_SLOTS,
									 graph->ref.split_id, BUFFER_LOCK_SHARE);
	VkNodeId	doomed[BLCKSZ / 64];
	int			ndoomed = 0;
	BlockNumber next;
	Page		page;

	if (buffer == InvalidBuffer)
		return InvalidBlockNumber;
	page = BufferGetPage(buffer);
	next = VkPageGetOpaque(page)->next;
	for (int i = 0; i < Min(VkPageGetGraphHeader(page)->nused, lay->slots_per_page); i++)
	{
		char	   *slot = VkPageGetSlot(lay, page, i);
		VkGraphNode *node = (VkGraphNode *) slot;

		if (node->kind != VK_SLOT_NODE || (node->flags & VK_NODE_DEAD))
			continue;
		for (int e = 0; e < Min(node->nedges, lay->max_edges); e++)
		{
			if (set_has(&gv->dead, VK_EDGE_IDS(lay, slot)[e]))
			{
				doomed[ndoomed++] = block * lay->slots_per_page + i;
				break;
			}
		}
	}
	vk_page_release(buffer);
	for (int i = 0; i < ndoomed; i++)
		(void) vk_graph_repair_node(graph, doomed[i], is_dead, &gv->dead);
	return next;
}

/* Step 6. */
static void
free_dead(GraphVacuum *gv)
{
	for (uint32 i = 0; i <= gv->dead.mask; i++)
	{
		if (gv->dead.ids[i] == 0)
			continue;
		vacuum_delay_point_compat();
		vk_graph_free_slot(&gv->graph, gv->dead.ids[i] - 1);
	}
}

void
vk_graph_vacuum(VkVacuum *vacuum, VkStoreRef ref)
{
	GraphVacuum *gv = palloc0(sizeof(GraphVacuum));
	BlockNumber block;

	gv->vacuum = vacuum;
	gv->alive = VK_NODE_NONE;
	if (vacuum->callback == NULL || !vk_graph_open(&gv->graph, vacuum->index, ref))
		return;
	set_init(&gv->dead, 1024);
	for (block = gv->graph.root.first_page; block != InvalidBlockNumber;)
	{
		vacuum_delay_point_compat();
		block = vacuum_page(gv, block);
	}
	vacuum->stats->num_index_tuples += gv->tids;
	mark_rest(gv);
	if (gv->dead.count > 0 && vk_graph_open(&gv->graph, vacuum->index, ref))
	{
		replace_entry(gv);
		/* pages that insertions added meanwhile have no edges to dead nodes */
		for (block = gv->graph.root.first_page; block != InvalidBlockNumber;)
		{
			vacuum_delay_point_compat();
			block = repair_page(gv, block);
		}
		free_dead(gv);
	}
	pfree(gv->dead.ids);
	pfree(gv);
	vk_graph_mend(vacuum->index, ref);
}

/*
 * Whether the split may go: it has no entry, hence no row.  Insertions hold
 * their lock from before they look at the root, so with the lock, even if
 * only until the root's page is locked, none is under way.
 */
bool
vk_graph_retire(VkIndex *index, VkStoreRef ref, VkEdit *edit, VkBlockList *blocks)
{
	VkGraph		graph;
	Buffer		buffer;
	BlockNumber block;

	memset(&graph, 0, sizeof(graph));
	graph.index = index;
	graph.ref = ref;
	if (!ConditionalLockPage(index->rel, ref.head, ExclusiveLock))
		return false;
	buffer = vk_graph_lock_root(&graph, BUFFER_LOCK_EXCLUSIVE);
	UnlockPage(index->rel, ref.head, ExclusiveLock);
	if (buffer == InvalidBuffer)
		return false;
	graph.root = *VkPageGetGraphRoot(BufferGetPage(buffer));
	if (graph.root.entry != VK_NODE_NONE)
	{
		vk_page_release(buffer);
		return false;
	}
	for (block = graph.root.first_page; block != InvalidBlockNumber;)
	{
		Buffer		slots = vk_page_try(index, block, VK_PAGE_GRAPH_SLOTS, ref.split_id,
										BUFFER_LOCK_SHARE);

		if (slots == InvalidBuffer)
			break;
		vk_blocks_add(blocks, block);
		block = VkPageGetOpaque(BufferGetPage(slots))->next;
		vk_page_release(slots);
	}
	vk_edit_free(edit, buffer);
	return true;
}
