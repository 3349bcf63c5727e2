/*-------------------------------------------------------------------------
 *
 * graph_core.h
 *	  Search and insertion, written once for graphs in memory and on pages.
 *
 * Include it after defining, for the place where the graph lives:
 *
 *	CORE(name)		the function name with a prefix of one's own
 *	CoreAccess		a type; core passes a pointer to one to all of these:
 *
 *	core_root(access, &entry, &level)	false: the graph is empty
 *	core_pin(access, id)				the slot, shared-locked, or NULL if it is
 *										no longer a slot of this graph
 *	core_unpin(access)					of the one slot that is pinned
 *	core_prefetch(access, id)			it will be pinned soon; true: it comes from disk
 *	core_hint(access, id)				it may be prefetched later
 *	core_keep(access, search, data, size)	a pointer that stays valid: data or a copy
 *
 * (for CORE_GATHER_ONLY pin and unpin are enough) and, to get insertion as well, CORE_INSERT and
 *
 *	core_write_node(access, rec, data, &gen)	writes a new slot; VK_NODE_NONE: gone
 *	core_read_node(access, id, rec)		copies a slot; false: no longer a node
 *	core_add_edge(access, id, level, edge)	VK_ADD_*
 *	core_replace_edges(access, id, rec)	writes all edges unless the version changed
 *	core_add_tid(access, id, point, size, tid)	false: not this vector any more
 *	core_set_entry(access, id, level)	false: another entry is as high
 *
 * The search is a beam search over edges' estimates; the distance of a visited
 * node itself is exact.  On level 0 the next node is chosen, and on its way to
 * the CPU's cache, before the neighbours of this one are known.  A node may be
 * in the beam several times with different estimates: it is visited at its
 * first pop, later ones are dropped.
 * (Keeping only the first estimate was measured to lose recall.)
 *
 *-------------------------------------------------------------------------
 */

/*
 * Copies the vector of a spanning slot together, after unpinning it.  rec is
 * a private copy of the slot.  False: it vanished meanwhile.
 */
static bool
CORE(gather) (CoreAccess *access, const VkGraphLayout *lay, VkNodeId id,
			  const VkGraphNode *node, char *to)
{
	uint32		done = Min(node->payload_size, (uint32) lay->payload_inline);
	VkNodeId	next = node->rest;

	memcpy(to, VK_NODE_PAYLOAD(lay, node), done);
	while (done < node->payload_size)
	{
		const VkGraphLink *link = next == VK_NODE_NONE ? NULL :
		(const VkGraphLink *) core_pin(access, next);

		if (link == NULL)
			return false;
		if (link->kind != VK_SLOT_PAYLOAD || link->count == 0 ||
			link->count > VK_LINK_CAPACITY(lay) || link->count > node->payload_size - done)
		{
			core_unpin(access);
			return false;
		}
		memcpy(to + done, link->data, link->count);
		done += link->count;
		next = link->next;
		core_unpin(access);
	}
	return true;
}

#ifndef CORE_GATHER_ONLY

/*
 * Searches one level from entry with a beam of ef; fills search->visited.
 * Returns the number of nodes visited: 0 if entry is not a node of the level
 * any more.
 */
static int
CORE(search_level) (CoreAccess *access, VkGraphSearch *search, VkNodeId entry, int level, int ef)
{
	const VkSpace *space = search->space;
	const VkGraphLayout *lay = &space->lay;
	VkNodeId	ahead[VK_LOOK_AHEAD_DISK];
	int			look_ahead = level == 0 ? VK_LOOK_AHEAD : 1;
	int			nahead = 0;
	int			current = 0;

	vk_search_begin(search, ef);
	vk_beam_insert(search, vk_beam_entry(entry, -VK_NAV_FAR), 0, ef);
	for (;;)
	{
		VkNodeId	id;
		const char *rec;
		const VkGraphNode *node;
		VkPoint		point;
		VkVisited  *visited;
		int			improved;
		bool		whole;

		while (nahead < look_ahead && vk_beam_next(search, &current, &ahead[nahead]))
			if (core_prefetch(access, ahead[nahead++]))
				look_ahead = VK_LOOK_AHEAD_DISK;
		if (nahead == 0)
			break;
		id = ahead[0];
		nahead--;
		memmove(&ahead[0], &ahead[1], sizeof(VkNodeId) * nahead);
		rec = core_pin(access, id);
		if (rec == NULL)
			continue;
		search->hops++;
		node = (const VkGraphNode *) rec;
		if (unlikely(node->kind != VK_SLOT_NODE || node->level != level ||
					 node->nedges > lay->max_edges || node->payload_size > search->payload_max))
		{
			core_unpin(access);
			continue;
		}
		whole = node->payload_size <= (uint32) lay->payload_inline;
		if (!whole)
		{
			memcpy(search->slot_copy, rec, lay->slot_size);
			core_unpin(access);
			rec = search->slot_copy;
			node = (const VkGraphNode *) rec;
			if (!CORE(gather) (access, lay, id, node, search->payload_copy))
				continue;
			point.data = search->payload_copy;
		}
		else
			point.data = VK_NODE_PAYLOAD(lay, rec);
		point.norm2 = node->norm2;

		visited = vk_search_visit(search);
		visited->id = id;
		visited->gen = node->gen;
		visited->flags = node->flags;
		visited->down = node->down;
		visited->nav = vk_space_measure(space, &search->query, &point,
										search->want_rank ? &visited->rank : NULL);
		visited->ntids = node->ntids;
		visited->more = node->more;
		memcpy(visited->tids, node->tids, sizeof(node->tids));
		if (search->keep_points)
		{
			visited->point.norm2 = node->norm2;
			visited->point.data = !whole ?
				memcpy(vk_arena_alloc(&search->arena, node->payload_size), point.data,
					   node->payload_size) :
				core_keep(access, search, point.data, node->payload_size);
			visited->payload_size = node->payload_size;
		}
		improved = vk_search_expand(search, rec, visited->nav, ef);
		if (whole)
			core_unpin(access);
		for (int i = 0; i < search->nfresh; i++)
			core_hint(access, search->fresh[i]);
		current = Min(improved, current);
	}
	return search->nvisited;
}

/*
 * From the entry point down to a node of the level, by a narrow beam.
 * VK_NODE_NONE if the graph is empty, or changed so much meanwhile that the
 * way was lost.  Levels of the graph above level: *top.
 */
static VkNodeId
CORE(descend) (CoreAccess *access, VkGraphSearch *search, int level, int *top)
{
	/* A vacuum may remove what the way led over: then start again. */
	for (int attempt = 0; attempt < VK_DESCEND_ATTEMPTS; attempt++)
	{
		VkNodeId	entry;
		int			at;
		bool		kept = search->keep_points;

		if (!core_root(access, &entry, &at))
			return VK_NODE_NONE;
		*top = at;
		search->keep_points = false;
		for (; at > level; at--)
		{
			const VkVisited *best;

			if (CORE(search_level) (access, search, entry, at, VK_EF_DESCEND) == 0)
				break;
			best = vk_search_best(search);
			entry = best->down;
		}
		search->keep_points = kept;
		if (at <= level)
			return entry;
	}
	return VK_NODE_NONE;
}

#endif							/* CORE_GATHER_ONLY */

#ifdef CORE_INSERT

/* The vector of a node of the level that is not dead, to be kept. */
static bool
CORE(load) (CoreAccess *access, VkGraphSearch *search, VkCandidateNode *candidate, int level)
{
	const VkGraphLayout *lay = &search->space->lay;
	const char *rec = core_pin(access, candidate->id);
	const VkGraphNode *node = (const VkGraphNode *) rec;

	if (rec == NULL)
		return false;
	if (node->kind != VK_SLOT_NODE || node->level != level || (node->flags & VK_NODE_DEAD) ||
		node->payload_size > search->payload_max)
	{
		core_unpin(access);
		return false;
	}
	candidate->gen = node->gen;
	candidate->rotated = NULL;
	candidate->code = NULL;
	candidate->arena = &search->arena;
	candidate->point.norm2 = node->norm2;
	if (node->payload_size > (uint32) lay->payload_inline)
	{
		uint32		size = node->payload_size;

		memcpy(search->slot_copy, rec, lay->slot_size);
		core_unpin(access);
		if (!CORE(gather) (access, lay, candidate->id, (VkGraphNode *) search->slot_copy,
						   search->payload_copy))
			return false;
		candidate->point.data = memcpy(vk_arena_alloc(&search->arena, size),
									   search->payload_copy, size);
	}
	else
	{
		candidate->point.data = core_keep(access, search, VK_NODE_PAYLOAD(lay, rec),
										  node->payload_size);
		core_unpin(access);
	}
	return true;
}

/*
 * Adds the edge from -> to at the level.  A node whose slots are full is
 * pruned, from copies made without any lock; if it changed meanwhile, once
 * more; if it changed again, the edge is left out.
 */
static void
CORE(connect) (CoreAccess *access, VkGraphSearch *search, VkCandidateNode *from, int level,
			   VkCandidateNode *to)
{
	const VkSpace *space = search->space;
	const VkGraphLayout *lay = &space->lay;
	VkNewEdge	edge;
	VkGraphNode *node = (VkGraphNode *) search->node_copy;

	edge.id = to->id;
	edge.gen = to->gen;
	vk_candidate_encode(space, from, to, &edge.code);

	for (int attempt = 0; attempt < VK_CONNECT_ATTEMPTS; attempt++)
	{
		int			ncandidates = 0;
		int			kept;

		switch (core_add_edge(access, from->id, level, &edge))
		{
			case VK_ADD_DONE:
			case VK_ADD_SKIP:
				return;
			case VK_ADD_FULL:
				break;
		}
		if (!core_read_node(access, from->id, search->node_copy))
			return;
		for (int e = 0; e < node->nedges; e++)
		{
			VkCandidateNode *nbr = &search->prune[ncandidates];

			nbr->id = VK_EDGE_IDS(lay, node)[e];
			if (nbr->id == to->id)
				return;
			if (!CORE(load) (access, search, nbr, level))
				continue;
			nbr->edge = e;
			nbr->nav = vk_space_measure(space, &from->point, &nbr->point, NULL);
			ncandidates++;
		}
		search->prune[ncandidates] = *to;
		search->prune[ncandidates].edge = -1;
		search->prune[ncandidates].nav = vk_space_measure(space, &from->point, &to->point, NULL);
		ncandidates++;
		kept = vk_prune(space, search->prune, ncandidates, lay->prune_to);
		vk_edges_keep(lay, search->node_copy, search->prune, kept, &edge);
		if (core_replace_edges(access, from->id, search->node_copy))
			return;
	}
}

/* Puts a node of the level into the graph: its edges are in chosen. */
static VkNodeId
CORE(link_node) (CoreAccess *access, VkGraphSearch *search, VkCandidateNode *self,
				 VkGraphNode *header, VkCandidateNode *chosen, int nchosen)
{
	const VkSpace *space = search->space;
	const VkGraphLayout *lay = &space->lay;

	memset(search->node_copy, 0, lay->slot_size);
	header->nedges = nchosen;
	memcpy(search->node_copy, header, sizeof(*header));
	for (int i = 0; i < nchosen; i++)
	{
		VkEdgeCode	code;

		vk_candidate_encode(space, self, &chosen[i], &code);
		vk_edge_put(lay, search->node_copy, i, chosen[i].id, chosen[i].gen, &code);
	}
	self->id = core_write_node(access, search->node_copy, self->point.data, &self->gen);
	if (self->id == VK_NODE_NONE)
		return VK_NODE_NONE;
	for (int i = 0; i < nchosen; i++)
		CORE(connect) (access, search, &chosen[i], header->level, self);
	return self->id;
}

/*
 * Inserts search->query with the heap TID, at levels up to level.  False if
 * the graph is gone.  The caller has set a search of points to keep.
 */
static bool
CORE(insert) (CoreAccess *access, VkGraphSearch *search, uint32 payload_size,
			  ItemPointer tid, int level, int ef)
{
	VkCandidateNode self = {.point = search->query,.arena = &search->arena};
	VkCandidateNode *chosen[VK_MAX_LEVEL + 1] = {0};
	int			nchosen[VK_MAX_LEVEL + 1] = {0};
	VkGraphNode header;
	VkNodeId	entry = VK_NODE_NONE;
	int			top = -1;

	self.rotated = search->query_rotated;
	entry = CORE(descend) (access, search, level, &top);
	level = Min(level, top + 1);
	for (int at = Min(level, top); entry != VK_NODE_NONE && at >= 0; at--)
	{
		const VkVisited *best;

		if (CORE(search_level) (access, search, entry, at, ef) == 0)
			break;
		best = vk_search_best(search);
		entry = best->down;
		if (at == 0)
		{
			const VkVisited *equal = vk_search_equal(search, payload_size);

			if (equal != NULL &&
				core_add_tid(access, equal->id, &search->query, payload_size, tid))
				return true;
		}
		nchosen[at] = vk_search_choose(search, &chosen[at]);
	}

	memset(&header, 0, sizeof(header));
	header.kind = VK_SLOT_NODE;
	header.down = header.more = header.rest = VK_NODE_NONE;
	header.payload_size = payload_size;
	header.norm2 = search->query.norm2;
	header.ntids = 1;
	header.tids[0] = *tid;
	for (int at = 0; at <= level; at++)
	{
		header.level = at;
		if (CORE(link_node) (access, search, &self, &header, chosen[at], nchosen[at]) == VK_NODE_NONE)
			return false;
		if (at > top && core_set_entry(access, self.id, at))
			top = at;
		header.down = self.id;
		/* above level 0 a node only shows the way */
		header.ntids = 0;
		memset(header.tids, 0, sizeof(header.tids));
	}
	return true;
}

#endif							/* CORE_INSERT */
