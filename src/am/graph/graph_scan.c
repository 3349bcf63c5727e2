/*-------------------------------------------------------------------------
 *
 * graph_scan.c
 *	  Searching a graph on pages.
 *
 * A pass of a scan is one beam search, its beam as wide as the setting asks or
 * as the rows wanted.  The last pass, a small graph, and a beam that would
 * visit much of the graph anyway read every node instead: then the result is
 * exact and nothing is left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/graph/graph_disk.h"

#define CORE(name)	scan_##name
#include "am/graph/graph_core.h"

int			vk_graph_ef_search = 0;

/*
 * Reading all pages in turn costs less than a search of a graph of up to this
 * many pages or rows, and is exact.
 */
#define EXACT_PAGES			128
#define EXACT_ROWS			1000

/* A beam of ef visits a little more than ef nodes, in random order. */
#define EXHAUSTIVE_PART		8

/*
 * The beam is ordered by estimates; others compare each neighbour exactly.  With
 * half as many entries again, and a few, ef_search finds what it does there.
 */
#define BEAM_FACTOR			1.5
#define BEAM_EXTRA			10

/* A beam takes some 150 bytes per entry, and inserting into a long one is slow. */
#define MAX_BEAM			200000

typedef struct GraphScan
{
	VkScan	   *scan;
	VkGraph		graph;
	VkPoint		query;
} GraphScan;

static inline void
offer(GraphScan *gs, double rank, const ItemPointerData * tid)
{
	vk_scan_push(gs->scan, rank, vk_tid_encode((ItemPointer) tid));
}

/* The TIDs of a node that did not fit its slot.  Holds no lock on entry. */
static void
offer_links(GraphScan *gs, VkNodeId owner, VkNodeId next, double rank)
{
	while (next != VK_NODE_NONE)
	{
		const VkGraphLink *link = (const VkGraphLink *) vk_graph_pin(&gs->graph, next);

		if (link == NULL)
			return;
		if (link->kind != VK_SLOT_TIDS || link->owner != owner ||
			link->count > VK_LINK_TIDS(gs->graph.lay))
		{
			/* the node died meanwhile: nobody sees its rows */
			vk_graph_unpin(&gs->graph);
			return;
		}
		for (int i = 0; i < link->count; i++)
			offer(gs, rank, (const ItemPointerData *) link->data + i);
		next = link->next;
		vk_graph_unpin(&gs->graph);
		CHECK_FOR_INTERRUPTS();
	}
}

/* One node of the exhaustive pass: slot is a private copy. */
static void
offer_copy(GraphScan *gs, VkNodeId id, const VkGraphNode *node)
{
	VkGraphSearch *search = &gs->graph.state->search;
	const VkGraphLayout *lay = gs->graph.lay;
	double		rank = 0;

	if (gs->scan->query != NULL)
	{
		VkPoint		point = {VK_NODE_PAYLOAD(lay, node), node->norm2};

		if (lay->spans)
		{
			if (node->payload_size > search->payload_max ||
				!scan_gather(&gs->graph, lay, id, node, search->payload_copy))
				return;
			point.data = search->payload_copy;
		}
		vk_space_measure(&gs->graph.state->space, &gs->query, &point, &rank);
		gs->scan->stats->rows++;
		if (rank > gs->scan->topk->threshold)
			return;
	}
	for (int i = 0; i < node->ntids; i++)
		offer(gs, rank, &node->tids[i]);
	offer_links(gs, id, node->more, rank);
}

static void
collect_all(GraphScan *gs)
{
	VkGraph    *graph = &gs->graph;
	const VkGraphLayout *lay = graph->lay;
	BlockNumber block = graph->root.first_page;
	char	   *copy = palloc(BLCKSZ);

	while (block != InvalidBlockNumber)
	{
		Buffer		buffer = vk_page_try(graph->index, block, VK_PAGE_GRAPH_SLOTS,
										 graph->ref.split_id, BUFFER_LOCK_SHARE);
		int			nused;
		BlockNumber next;

		CHECK_FOR_INTERRUPTS();
		if (buffer == InvalidBuffer)
			break;				/* the split is gone, and so are its rows */
		memcpy(copy, BufferGetPage(buffer), BLCKSZ);
		vk_page_release(buffer);
		gs->scan->stats->pages++;
		nused = VkPageGetGraphHeader(copy)->nused;
		next = VkPageGetOpaque(copy)->next;
		if (next != InvalidBlockNumber)
			vk_page_prefetch(graph->index, next);
		for (int i = 0; i < Min(nused, lay->slots_per_page); i++)
		{
			const VkGraphNode *node = (const VkGraphNode *) VkPageGetSlot(lay, copy, i);

			if (node->kind == VK_SLOT_NODE && node->level == 0 &&
				(node->flags & VK_NODE_DEAD) == 0 && node->ntids <= VK_NODE_INLINE_TIDS)
				offer_copy(gs, block * lay->slots_per_page + i, node);
		}
		block = next;
	}
	pfree(copy);
}

/* The beam for k rows with the ef_search of the session or the index. */
double
vk_graph_search_beam(const VkIndexInfo *info, double k)
{
	int			ef = vk_graph_ef_search > 0 ? vk_graph_ef_search : info->ef_search;

	return Max(BEAM_FACTOR * ef + BEAM_EXTRA, k);
}

/* Whether reading every node is better than a search with this beam. */
bool
vk_graph_is_exact(const VkGraphLayout *lay, double rows, double ef)
{
	return rows / lay->slots_per_page <= EXACT_PAGES || rows <= EXACT_ROWS ||
		ef > rows / EXHAUSTIVE_PART || ef > MAX_BEAM;
}

/* The beam of this pass, or 0 if everything is to be read. */
static int
choose_ef(const GraphScan *gs)
{
	double		rows = (double) gs->graph.root.npages * gs->graph.lay->slots_per_page;
	double		ef = vk_graph_search_beam(&gs->graph.index->info, (double) gs->scan->k);

	if (gs->scan->query == NULL || gs->scan->last_pass)
		return 0;
	return vk_graph_is_exact(gs->graph.lay, rows, ef) ? 0 : (int) ef;
}

/* False if the way into the graph was lost: then everything must be read. */
static bool
collect_search(GraphScan *gs, int ef)
{
	VkGraphSearch *search = &gs->graph.state->search;
	int64		hops = search->hops;
	MemoryContext old;
	VkNodeId	entry;
	int			nvisited = 0;
	int			top;

	old = MemoryContextSwitchTo(gs->graph.state->context);
	search->keep_points = false;
	search->want_rank = true;
	vk_search_set(search, &gs->query);
	entry = scan_descend(&gs->graph, search, 0, &top);
	if (entry != VK_NODE_NONE)
		nvisited = scan_search_level(&gs->graph, search, entry, 0, ef);
	MemoryContextSwitchTo(old);
	if (nvisited == 0)
		return gs->graph.root.entry == VK_NODE_NONE;
	for (int i = 0; i < nvisited; i++)
	{
		const VkVisited *visited = &search->visited[i];

		if ((visited->flags & VK_NODE_DEAD) || visited->rank > gs->scan->topk->threshold)
			continue;
		for (int t = 0; t < Min(visited->ntids, VK_NODE_INLINE_TIDS); t++)
			offer(gs, visited->rank, &visited->tids[t]);
		if (visited->more != VK_NODE_NONE)
			offer_links(gs, visited->id, visited->more, visited->rank);
	}
	vk_search_trim(search);
	gs->scan->stats->rows += search->hops - hops;
	gs->scan->stats->codes += (search->hops - hops) * gs->graph.lay->max_edges;
	gs->scan->stats->survivors += search->hops - hops;
	return true;
}

void
vk_graph_collect(VkScan *scan, VkStoreRef ref)
{
	GraphScan	gs;
	int			ef;

	memset(&gs, 0, sizeof(gs));
	gs.scan = scan;
	if (!vk_graph_open(&gs.graph, scan->index, ref))
		return;					/* the split is gone: it had no rows */
	if (scan->query != NULL)
		vk_graph_point(&gs.graph.state->space, scan->query, &gs.query);
	scan->rows_held += (double) gs.graph.root.npages * gs.graph.lay->slots_per_page;
	ef = choose_ef(&gs);
	if (ef == 0 || !collect_search(&gs, ef))
		collect_all(&gs);
	scan->stats->pages += gs.graph.pages + 1;
}
