/*-------------------------------------------------------------------------
 *
 * graph_insert.c
 *	  Insertion into a graph on pages, and the repair of a node's edges.
 *
 * The core does the work; here are its writes, each one WAL record of one
 * page.  A new node is complete before the first edge leads to it.  A crash in
 * between leaves a node that searches find only in their last, exhaustive
 * pass; VACUUM counts it like any other.
 *
 * Insertions hold a lock in share mode that VACUUM takes exclusively for a
 * moment, to be sure that no insertion is under way that chose its
 * neighbours before they were marked dead.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/graph/graph_disk.h"

#define CORE_INSERT
#define CORE(name)	disk_##name

/* Header fields that change with the edges: nedges, ntids, version. */
#define HEADER_EDGES_OFFSET offsetof(VkGraphNode, nedges)
#define HEADER_EDGES_SIZE	(offsetof(VkGraphNode, down) - HEADER_EDGES_OFFSET)

/* An edge is a put for each piece of its code and 5 others. */
StaticAssertDecl(VK_CODE_MAX_DIM / (8 * VK_CODE_PIECE) + 5 <= VK_EDIT_MAX_PUTS,
				 "an edge is one change of a page");

/* The part of a vector that has no place in its node's slot; last link first. */
static bool
write_rest(CoreAccess *graph, const VkGraphNode *node, const char *data, VkNodeId *first)
{
	const VkGraphLayout *lay = graph->lay;
	int			capacity = VK_LINK_CAPACITY(lay);
	int			total = (int) node->payload_size - lay->payload_inline;
	VkGraphLink *link;
	uint8		gen;

	*first = VK_NODE_NONE;
	if (total <= 0)
		return true;
	link = palloc0(lay->slot_size);
	for (int from = (total - 1) / capacity * capacity; from >= 0; from -= capacity)
	{
		memset(link, 0, VK_LINK_HEADER);
		link->kind = VK_SLOT_PAYLOAD;
		link->count = Min(total - from, capacity);
		link->owner = VK_NODE_NONE;
		link->next = *first;
		memcpy(link->data, data + lay->payload_inline + from, link->count);
		*first = vk_graph_write_slot(graph, (char *) link, VK_LINK_HEADER + link->count, &gen);
		if (*first == VK_NODE_NONE)
			return false;
	}
	pfree(link);
	return true;
}

static VkNodeId
core_write_node(CoreAccess *graph, char *rec, const char *data, uint8 *gen)
{
	const VkGraphLayout *lay = graph->lay;
	VkGraphNode *node = (VkGraphNode *) rec;
	uint32		inside = Min(node->payload_size, (uint32) lay->payload_inline);

	if (!write_rest(graph, node, data, &node->rest))
		return VK_NODE_NONE;
	memcpy(VK_NODE_PAYLOAD(lay, rec), data, inside);
	return vk_graph_write_slot(graph, rec, lay->payload_off + inside, gen);
}

static bool
core_read_node(CoreAccess *graph, VkNodeId id, char *rec)
{
	const char *slot = vk_graph_pin(graph, id);

	if (slot == NULL)
		return false;
	memcpy(rec, slot, graph->lay->slot_size);
	vk_graph_unpin(graph);
	return ((VkGraphNode *) rec)->kind == VK_SLOT_NODE &&
		((VkGraphNode *) rec)->nedges <= graph->lay->max_edges;
}

static void
put_edge_counts(VkEdit *edit, int page, VkGraphNode *node, int nedges)
{
	VkGraphNode changed = *node;

	changed.nedges = nedges;
	changed.version++;
	vk_edit_put(edit, page, &node->nedges, &changed.nedges, HEADER_EDGES_SIZE);
}

static VkAddEdge
core_add_edge(CoreAccess *graph, VkNodeId id, int level, const VkNewEdge *edge)
{
	const VkGraphLayout *lay = graph->lay;
	char	   *slot;
	Buffer		buffer = vk_graph_lock_slot(graph, id, BUFFER_LOCK_EXCLUSIVE, &slot);
	VkGraphNode *node = (VkGraphNode *) slot;
	VkAddEdge	result = VK_ADD_SKIP;

	if (buffer == InvalidBuffer)
		return VK_ADD_SKIP;
	if (node->kind == VK_SLOT_NODE && node->level == level && (node->flags & VK_NODE_DEAD) == 0)
	{
		bool		present = false;

		for (int e = 0; e < node->nedges && !present; e++)
			present = VK_EDGE_IDS(lay, slot)[e] == edge->id;
		if (!present && node->nedges >= lay->max_edges)
			result = VK_ADD_FULL;
		else if (!present)
		{
			int			e = node->nedges;
			char	   *to = slot + vk_edge_code_offset(lay, e);
			VkEdit		edit;
			int			page;

			vk_edit_start(&edit, graph->index);
			page = vk_edit_page(&edit, buffer);
			for (int byte = 0; byte < lay->code_bytes; byte += VK_CODE_PIECE)
			{
				vk_edit_put(&edit, page, to, edge->code.bits + byte, VK_CODE_PIECE);
				to += VK_CODE_STRIDE;
			}
			vk_edit_put(&edit, page, &VK_EDGE_IDS(lay, slot)[e], &edge->id, sizeof(VkNodeId));
			vk_edit_put(&edit, page, &VK_EDGE_BIAS(lay, slot)[e], &edge->code.bias, sizeof(float));
			vk_edit_put(&edit, page, &VK_EDGE_SCALE(lay, slot)[e], &edge->code.scale, sizeof(float));
			vk_edit_put(&edit, page, &VK_EDGE_GEN(lay, slot)[e], &edge->gen, sizeof(uint8));
			put_edge_counts(&edit, page, node, e + 1);
			vk_edit_commit(&edit);
			result = VK_ADD_DONE;
		}
	}
	vk_page_release(buffer);
	return result;
}

/* All edges of the copy rec, unless somebody changed them since it was made. */
static bool
core_replace_edges(CoreAccess *graph, VkNodeId id, const char *rec)
{
	const VkGraphLayout *lay = graph->lay;
	const VkGraphNode *copy = (const VkGraphNode *) rec;
	char	   *slot;
	Buffer		buffer = vk_graph_lock_slot(graph, id, BUFFER_LOCK_EXCLUSIVE, &slot);
	VkGraphNode *node = (VkGraphNode *) slot;
	bool		same;

	if (buffer == InvalidBuffer)
		return false;
	same = node->kind == VK_SLOT_NODE && node->gen == copy->gen &&
		node->level == copy->level && node->version == copy->version;
	if (same)
	{
		VkEdit		edit;
		int			page;

		vk_edit_start(&edit, graph->index);
		page = vk_edit_page(&edit, buffer);
		vk_edit_put(&edit, page, slot + lay->code_off, rec + lay->code_off,
					lay->payload_off - lay->code_off);
		put_edge_counts(&edit, page, node, copy->nedges);
		vk_edit_commit(&edit);
	}
	vk_page_release(buffer);
	return same;
}

/* Adds a TID to the chain of links of a node; false if there is no room. */
static bool
add_tid_to_link(CoreAccess *graph, VkNodeId owner, VkNodeId link_id, ItemPointer tid)
{
	const VkGraphLayout *lay = graph->lay;
	char	   *slot;
	Buffer		buffer = vk_graph_lock_slot(graph, link_id, BUFFER_LOCK_EXCLUSIVE, &slot);
	VkGraphLink *link = (VkGraphLink *) slot;
	bool		fits;

	if (buffer == InvalidBuffer)
		return false;
	fits = link->kind == VK_SLOT_TIDS && link->owner == owner && link->count < VK_LINK_TIDS(lay);
	if (fits)
	{
		VkEdit		edit;
		int			page;

		vk_edit_start(&edit, graph->index);
		page = vk_edit_page(&edit, buffer);
		vk_edit_put(&edit, page, link->data + link->count * sizeof(ItemPointerData), tid,
					sizeof(ItemPointerData));
		vk_edit_put_uint16(&edit, page, &link->count, link->count + 1);
		vk_edit_commit(&edit);
	}
	vk_page_release(buffer);
	return fits;
}

/*
 * Adds a heap TID to a node with this very vector.
 *
 * A node that has links is marked dead only while no insertion is under way
 * (graph_vacuum.c), so a TID that went to a link is safe; a node without is
 * marked dead under its page's lock, which is held here.
 */
static bool
core_add_tid(CoreAccess *graph, VkNodeId id, const VkPoint *point, uint32 size, ItemPointer tid)
{
	const VkGraphLayout *lay = graph->lay;
	VkNodeId	new_link = VK_NODE_NONE;
	VkNodeId	known_more = VK_NODE_NONE;

	for (;;)
	{
		char	   *slot;
		Buffer		buffer = vk_graph_lock_slot(graph, id, BUFFER_LOCK_EXCLUSIVE, &slot);
		VkGraphNode *node = (VkGraphNode *) slot;
		VkGraphLink *link;
		VkEdit		edit;
		int			page;
		VkNodeId	more;
		uint8		gen;

		if (buffer == InvalidBuffer)
			break;
		if (node->kind != VK_SLOT_NODE || node->level != 0 || (node->flags & VK_NODE_DEAD) ||
			node->payload_size != size ||
			memcmp(VK_NODE_PAYLOAD(lay, slot), point->data, Min(size, (uint32) lay->payload_inline)) != 0)
		{
			vk_page_release(buffer);
			break;
		}
		more = node->more;
		vk_edit_start(&edit, graph->index);
		page = vk_edit_page(&edit, buffer);
		if (node->ntids < VK_NODE_INLINE_TIDS)
		{
			uint8		ntids = node->ntids + 1;

			vk_edit_put(&edit, page, &node->tids[node->ntids], tid, sizeof(ItemPointerData));
			vk_edit_put(&edit, page, &node->ntids, &ntids, sizeof(ntids));
			vk_edit_commit_release(&edit);
			if (new_link != VK_NODE_NONE)
			{
				vk_graph_unchain(graph, new_link);
				vk_graph_free_slot(graph, new_link);
			}
			return true;
		}
		if (new_link != VK_NODE_NONE && more == known_more)
		{
			vk_edit_put_uint32(&edit, page, &node->more, new_link);
			vk_edit_commit_release(&edit);
			return true;
		}
		vk_page_release(buffer);
		if (new_link != VK_NODE_NONE)
		{
			/* somebody else was faster; free_slot would free its chain too */
			vk_graph_unchain(graph, new_link);
			vk_graph_free_slot(graph, new_link);
			new_link = VK_NODE_NONE;
		}
		if (more != VK_NODE_NONE && add_tid_to_link(graph, id, more, tid))
			return true;

		link = palloc0(lay->slot_size);
		link->kind = VK_SLOT_TIDS;
		link->count = 1;
		link->owner = id;
		link->next = more;
		memcpy(link->data, tid, sizeof(ItemPointerData));
		known_more = more;
		new_link = vk_graph_write_slot(graph, (char *) link,
									   VK_LINK_HEADER + sizeof(ItemPointerData), &gen);
		pfree(link);
		if (new_link == VK_NODE_NONE)
			return false;
	}
	if (new_link != VK_NODE_NONE)
	{
		vk_graph_unchain(graph, new_link);
		vk_graph_free_slot(graph, new_link);
	}
	return false;
}

/*
 * Makes the node the entry point if it is on a higher level than the present
 * one, which is read again under the lock.
 */
static bool
core_set_entry(CoreAccess *graph, VkNodeId id, int level)
{
	Buffer		buffer = vk_graph_lock_root(graph, BUFFER_LOCK_EXCLUSIVE);
	VkGraphRoot *root;
	bool		higher;

	if (buffer == InvalidBuffer)
		return false;
	root = VkPageGetGraphRoot(BufferGetPage(buffer));
	higher = root->entry == VK_NODE_NONE || root->level < level;
	if (higher)
	{
		VkEdit		edit;
		int			page;

		vk_edit_start(&edit, graph->index);
		page = vk_edit_page(&edit, buffer);
		vk_edit_put_uint32(&edit, page, &root->entry, id);
		vk_edit_put_uint32(&edit, page, &root->level, level);
		vk_edit_commit(&edit);
	}
	vk_page_release(buffer);
	return higher;
}

#include "am/graph/graph_core.h"

/*
 * Adds a row to an open graph.  The caller holds the insertion lock.  False if
 * the split is gone.
 */
bool
vk_graph_insert_point(VkGraph *graph, const VkPoint *point, uint32 size, ItemPointer tid)
{
	VkGraphSearch *search = &graph->state->search;
	MemoryContext old = MemoryContextSwitchTo(graph->state->context);
	int			level = vk_random_level(pg_prng_uint64(&pg_global_prng_state));
	bool		done;

	search->keep_points = true;
	search->want_rank = false;
	vk_search_set(search, point);
	done = disk_insert(graph, search, size, tid, level, graph->index->info.ef_construction);
	MemoryContextSwitchTo(old);
	return done;
}

/* The first vector of a graph that grows row by row is its center. */
static void
write_first_center(VkGraph *graph, const VkPoint *point)
{
	float	   *mean;

	if (graph->root.center != VK_NODE_NONE || !vk_graph_wants_center(graph->lay))
		return;
	mean = palloc(sizeof(float) * graph->lay->nav_dim);
	vk_space_expand(&graph->state->space, point, mean);
	vk_graph_write_center(graph, mean);
	pfree(mean);
}

bool
vk_graph_insert(VkIndex *index, VkStoreRef ref, ItemPointer tid, const struct varlena *value)
{
	VkGraph		graph;
	VkPoint		point;
	uint32		size;
	LOCKMODE	mode = ShareLock;
	bool		done;

	graph.index = index;
	graph.ref = ref;
	vk_graph_lock_inserts(&graph, mode);
	if (!vk_graph_open(&graph, index, ref))
	{
		vk_graph_unlock_inserts(&graph, mode);
		return false;
	}
	if (graph.root.entry == VK_NODE_NONE)
	{
		/* Two first nodes would never be joined: one at a time. */
		vk_graph_unlock_inserts(&graph, mode);
		mode = ExclusiveLock;
		vk_graph_lock_inserts(&graph, mode);
		done = vk_graph_open(&graph, index, ref);
		if (done && graph.root.entry == VK_NODE_NONE)
		{
			vk_graph_point(&graph.state->space, value, &point);
			write_first_center(&graph, &point);
			done = vk_graph_open(&graph, index, ref);
		}
		if (!done)
		{
			vk_graph_unlock_inserts(&graph, mode);
			return false;
		}
	}
	vk_graph_point(&graph.state->space, value, &point);
	size = vk_space_size(&graph.state->space, value);
	done = vk_graph_insert_point(&graph, &point, size, tid);
	vk_graph_unlock_inserts(&graph, mode);
	return done;
}

/* ------------------------------------------------------------------------
 * Repair
 * ------------------------------------------------------------------------ */

/* More candidates than this do not make better edges. */
#define REPAIR_CANDIDATES	96

/*
 * Repaired nodes keep near neighbours that a new node would leave out, as in
 * FreshDiskANN.  In one run of six rounds of deleting and inserting 10 % of a
 * set of texts recall was 0.001 below a fresh build's; with 1, 0.007.
 */
#define REPAIR_ALPHA		1.2f

/* A candidate by its id, if it is new and alive; its distance from self. */
static int
add_candidate(VkGraph *graph, VkCandidateNode *candidates, int ncandidates, VkNodeId id, int edge,
			  const VkCandidateNode *self, int level)
{
	VkGraphSearch *search = &graph->state->search;
	VkCandidateNode *candidate = &candidates[ncandidates];

	if (id == self->id || ncandidates == REPAIR_CANDIDATES)
		return ncandidates;
	for (int i = 0; i < ncandidates; i++)
		if (candidates[i].id == id)
			return ncandidates;
	candidate->id = id;
	candidate->edge = edge;
	if (!disk_load(graph, search, candidate, level))
		return ncandidates;
	candidate->nav = vk_space_measure(&graph->state->space, &self->point, &candidate->point, NULL);
	return ncandidates + 1;
}

/* Writes the kept candidates as the edges of a slot's copy. */
static void
encode_edges(VkGraph *graph, VkCandidateNode *self, VkCandidateNode *kept, int nkept, char *rec)
{
	const VkSpace *space = &graph->state->space;
	const VkGraphLayout *lay = graph->lay;
	VkNewEdge  *edges = palloc(sizeof(VkNewEdge) * Max(nkept, 1));

	for (int i = 0; i < nkept; i++)
	{
		edges[i].id = kept[i].id;
		edges[i].gen = kept[i].gen;
		if (kept[i].edge >= 0)
			vk_edge_get(lay, rec, kept[i].edge, &edges[i].code);
		else
			vk_candidate_encode(space, self, &kept[i], &edges[i].code);
	}
	memset(rec + lay->code_off, 0, lay->payload_off - lay->code_off);
	for (int i = 0; i < nkept; i++)
		vk_edge_put(lay, rec, i, edges[i].id, edges[i].gen, &edges[i].code);
	((VkGraphNode *) rec)->nedges = nkept;
	pfree(edges);
}

/*
 * Replaces the edges of a node that lead to dead nodes: candidates are its
 * living neighbours and those of its dead ones (FreshDiskANN, algorithm 4).
 * False if nothing was to be done.
 */
bool
vk_graph_repair_node(VkGraph *graph, VkNodeId id, bool (*is_dead) (void *arg, VkNodeId id),
					 void *arg)
{
	VkGraphSearch *search = &graph->state->search;
	VkSpace		repair_space = graph->state->space;
	const VkSpace *space = &repair_space;
	const VkGraphLayout *lay = graph->lay;
	VkGraphNode *node = (VkGraphNode *) search->node_copy;
	VkCandidateNode candidates[REPAIR_CANDIDATES + 1];
	char	   *dead_copy = palloc(lay->slot_size);
	MemoryContext old = MemoryContextSwitchTo(graph->state->context);
	bool		repaired = false;

	repair_space.alpha = REPAIR_ALPHA;

	while (!repaired)
	{
		VkCandidateNode self = {.id = id};
		int			ncandidates = 0;
		int			kept;
		bool		any = false;

		CHECK_FOR_INTERRUPTS();
		vk_arena_reset(&search->arena);
		if (!core_read_node(graph, id, search->node_copy) || (node->flags & VK_NODE_DEAD) ||
			!disk_load(graph, search, &self, node->level))
			break;
		for (int e = 0; e < node->nedges; e++)
		{
			if (is_dead(arg, VK_EDGE_IDS(lay, node)[e]))
				any = true;
			else
			{
				int			before = ncandidates;

				ncandidates = add_candidate(graph, candidates, ncandidates,
											VK_EDGE_IDS(lay, node)[e], e, &self, node->level);
				/* the code is of what was in the slot before */
				if (ncandidates > before && candidates[before].gen != VK_EDGE_GEN(lay, node)[e])
				{
					candidates[before].edge = -1;
					any = true;
				}
			}
		}
		if (!any)
			break;
		for (int e = 0; e < node->nedges; e++)
		{
			VkNodeId	dead = VK_EDGE_IDS(lay, node)[e];
			VkGraphNode *dead_node = (VkGraphNode *) dead_copy;

			if (!is_dead(arg, dead) || !core_read_node(graph, dead, dead_copy) ||
				dead_node->level != node->level)
				continue;
			for (int i = 0; i < dead_node->nedges; i++)
				if (!is_dead(arg, VK_EDGE_IDS(lay, dead_node)[i]))
					ncandidates = add_candidate(graph, candidates, ncandidates,
												VK_EDGE_IDS(lay, dead_node)[i], -1, &self,
												node->level);
		}
		kept = vk_prune(space, candidates, ncandidates, lay->max_edges * 7 / 8);
		encode_edges(graph, &self, candidates, kept, search->node_copy);
		/* if an insertion was faster: once more */
		repaired = core_replace_edges(graph, id, search->node_copy);
	}
	MemoryContextSwitchTo(old);
	pfree(dead_copy);
	return repaired;
}

/* A node that has no room is no neighbour for a lost one: so many are tried. */
#define ADOPT_BEAM	64

/* Puts the edge in the place of one that can be spared; false: there is none. */
static bool
exchange_edge(VkGraph *graph, VkNodeId from, const VkNewEdge *edge,
			  bool (*spare) (void *arg, VkNodeId id), void *arg)
{
	char	   *copy = graph->state->search.node_copy;
	VkGraphNode *node = (VkGraphNode *) copy;

	if (!core_read_node(graph, from, copy) || node->level != 0 || (node->flags & VK_NODE_DEAD))
		return false;
	for (int e = node->nedges - 1; e >= 0; e--)
	{
		if (!spare(arg, VK_EDGE_IDS(graph->lay, copy)[e]))
			continue;
		vk_edge_put(graph->lay, copy, e, edge->id, edge->gen, &edge->code);
		return core_replace_edges(graph, from, copy);
	}
	return false;
}

/*
 * Adds the edge from -> to, where there is room for it, or, unless spare is
 * NULL, in the place of another.
 */
static bool
add_edge_between(VkGraph *graph, VkNodeId from, VkCandidateNode *to,
				 bool (*spare) (void *arg, VkNodeId id), void *arg)
{
	VkGraphSearch *search = &graph->state->search;
	const VkSpace *space = &graph->state->space;
	VkCandidateNode owner = {.id = from};
	VkNewEdge	edge;

	if (from == to->id || !disk_load(graph, search, &owner, 0))
		return false;
	edge.id = to->id;
	edge.gen = to->gen;
	vk_candidate_encode(space, &owner, to, &edge.code);
	switch (core_add_edge(graph, from, 0, &edge))
	{
		case VK_ADD_DONE:
			return true;
		case VK_ADD_FULL:
			return spare != NULL && exchange_edge(graph, from, &edge, spare, arg);
		default:
			return false;
	}
}

/* The ids of the nodes that a search for the point visits, nearest first. */
static int
search_around(VkGraph *graph, const VkPoint *point, VkNodeId *ids)
{
	VkGraphSearch *search = &graph->state->search;
	VkNodeId	entry;
	int			count;
	int			top;

	search->keep_points = false;
	search->want_rank = false;
	vk_search_set(search, point);
	entry = disk_descend(graph, search, 0, &top);
	if (entry == VK_NODE_NONE || disk_search_level(graph, search, entry, 0, ADOPT_BEAM) == 0)
		return 0;
	count = vk_search_nearest(search, ADOPT_BEAM);
	for (int i = 0; i < count; i++)
		ids[i] = search->sorted[i].id;
	return count;
}

bool
vk_graph_adopt_node(VkGraph *graph, VkNodeId id, bool (*may) (void *arg, VkNodeId id),
					bool (*spare) (void *arg, VkNodeId id), void *arg)
{
	VkGraphSearch *search = &graph->state->search;
	const VkGraphNode *node = (const VkGraphNode *) search->node_copy;
	VkNodeId	ids[VK_GRAPH_MAX_EDGES + ADOPT_BEAM];
	VkCandidateNode self = {.id = id};
	MemoryContext old = MemoryContextSwitchTo(graph->state->context);
	bool		done = false;
	int			count;

	/* first those it leads to, then those a search finds near it, then either */
	for (int attempt = 0; attempt < 3 && !done; attempt++)
	{
		vk_arena_reset(&search->arena);
		if (!core_read_node(graph, id, search->node_copy) || !disk_load(graph, search, &self, 0))
			break;
		if (attempt % 2 == 0)
		{
			count = node->nedges;
			memcpy(ids, VK_EDGE_IDS(graph->lay, node), sizeof(VkNodeId) * count);
		}
		else
		{
			VkPoint		point = self.point;
			char	   *data = palloc(node->payload_size);

			point.data = memcpy(data, self.point.data, node->payload_size);
			count = search_around(graph, &point, ids);
			pfree(data);
			vk_arena_reset(&search->arena);
			if (!disk_load(graph, search, &self, 0))
				break;
		}
		for (int i = 0; i < count && !done; i++)
			done = may(arg, ids[i]) &&
				add_edge_between(graph, ids[i], &self, attempt == 2 ? spare : NULL, arg);
	}
	MemoryContextSwitchTo(old);
	return done;
}
