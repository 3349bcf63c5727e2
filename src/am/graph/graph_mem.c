/*-------------------------------------------------------------------------
 *
 * graph_mem.c
 *	  A graph in memory: the core over plain pointers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/graph/graph_mem.h"

typedef VkMemGraph CoreAccess;

#define CORE_INSERT
#define CORE(name)	mem_##name

static inline bool
core_root(CoreAccess *graph, VkNodeId *entry, int *level)
{
	*entry = graph->entry;
	*level = graph->level;
	return graph->entry != VK_NODE_NONE;
}

static inline const char *
core_pin(CoreAccess *graph, VkNodeId id)
{
	Assert(id < graph->nslots);
	return vk_mem_slot(graph, id);
}

static inline void
core_unpin(CoreAccess *graph)
{
}

static inline void
core_prefetch(CoreAccess *graph, VkNodeId id)
{
	const char *slot = vk_mem_slot(graph, id);

	for (int line = 0; line < 1024; line += 64)
		__builtin_prefetch(slot + line);
}

static inline const char *
core_keep(CoreAccess *graph, VkGraphSearch *search, const char *data, uint32 size)
{
	return data;				/* slots never move */
}

static VkNodeId
new_slot(CoreAccess *graph)
{
	VkNodeId	id = graph->nslots;
	uint32		page = id / graph->space->lay.slots_per_page;

	if (page / VK_MEM_CHUNK_PAGES >= (uint32) graph->nchunks)
	{
		int			n = graph->nchunks;

		if ((n & (n - 1)) == 0)
		{
			Size		size = sizeof(char *) * Max(n * 2, 1);

			graph->chunks = n == 0 ? palloc(size) : repalloc(graph->chunks, size);
			graph->blocks = n == 0 ? palloc(size) : repalloc(graph->blocks, size);
		}
		graph->blocks[n] = palloc0(graph->page_size * VK_MEM_CHUNK_PAGES + 64);
		graph->chunks[n] = (char *) TYPEALIGN(64, (uintptr_t) graph->blocks[n]);
		graph->nchunks++;
	}
	graph->nslots++;
	return id;
}

static VkNodeId
core_write_node(CoreAccess *graph, char *rec, const char *data, uint8 *gen)
{
	const VkGraphLayout *lay = &graph->space->lay;
	VkGraphNode *node = (VkGraphNode *) rec;
	VkNodeId	id = new_slot(graph);
	uint32		done = Min(node->payload_size, (uint32) lay->payload_inline);
	VkNodeId   *next = &node->rest;

	memcpy(VK_NODE_PAYLOAD(lay, rec), data, done);
	while (done < node->payload_size)
	{
		uint32		count = Min(node->payload_size - done, (uint32) VK_LINK_CAPACITY(lay));
		VkGraphLink *link;

		*next = new_slot(graph);
		link = (VkGraphLink *) vk_mem_slot(graph, *next);
		link->kind = VK_SLOT_PAYLOAD;
		link->count = count;
		link->owner = VK_NODE_NONE;
		link->next = VK_NODE_NONE;
		memcpy(link->data, data + done, count);
		next = &link->next;
		done += count;
	}
	memcpy(vk_mem_slot(graph, id), rec, lay->slot_size);
	*gen = 0;
	return id;
}

static bool
core_read_node(CoreAccess *graph, VkNodeId id, char *rec)
{
	memcpy(rec, vk_mem_slot(graph, id), graph->space->lay.slot_size);
	return true;
}

static VkAddEdge
core_add_edge(CoreAccess *graph, VkNodeId id, int level, const VkNewEdge *edge)
{
	const VkGraphLayout *lay = &graph->space->lay;
	char	   *rec = vk_mem_slot(graph, id);
	VkGraphNode *node = (VkGraphNode *) rec;

	if (node->nedges >= lay->max_edges)
		return VK_ADD_FULL;
	vk_edge_put(lay, rec, node->nedges, edge->id, edge->gen, &edge->code);
	node->nedges++;
	return VK_ADD_DONE;
}

static bool
core_replace_edges(CoreAccess *graph, VkNodeId id, const char *rec)
{
	memcpy(vk_mem_slot(graph, id), rec, graph->space->lay.payload_off);
	return true;
}

/* More TIDs than fit the slot go to a chain, newest link first. */
static bool
core_add_tid(CoreAccess *graph, VkNodeId id, const VkPoint *point, uint32 size, ItemPointer tid)
{
	const VkGraphLayout *lay = &graph->space->lay;
	VkGraphNode *node = (VkGraphNode *) vk_mem_slot(graph, id);
	VkGraphLink *link = NULL;

	if (node->ntids < VK_NODE_INLINE_TIDS)
	{
		node->tids[node->ntids++] = *tid;
		return true;
	}
	if (node->more != VK_NODE_NONE)
		link = (VkGraphLink *) vk_mem_slot(graph, node->more);
	if (link == NULL || link->count >= VK_LINK_TIDS(lay))
	{
		VkNodeId	new_link = new_slot(graph);

		link = (VkGraphLink *) vk_mem_slot(graph, new_link);
		link->kind = VK_SLOT_TIDS;
		link->owner = id;
		link->next = node->more;
		node->more = new_link;
	}
	((ItemPointer) link->data)[link->count++] = *tid;
	return true;
}

static bool
core_set_entry(CoreAccess *graph, VkNodeId id, int level)
{
	graph->entry = id;
	graph->level = level;
	return true;
}

#include "am/graph/graph_core.h"

void
vk_mem_free_chunk(VkMemGraph *graph, int chunk)
{
	pfree(graph->blocks[chunk]);
}

void
vk_mem_init(VkMemGraph *graph, VkSpace *space)
{
	memset(graph, 0, sizeof(*graph));
	graph->space = space;
	graph->page_size = (Size) space->lay.slots_per_page * space->lay.slot_size;
	graph->entry = VK_NODE_NONE;
	graph->level = -1;
	graph->random = space->seed;
	vk_search_init(&graph->search, space);
}

bool
vk_mem_insert(VkMemGraph *graph, const char *data, uint32 size, ItemPointer tid, int ef)
{
	VkPoint		point = {data, vk_space_norm2(graph->space, data)};

	graph->random = graph->random * UINT64CONST(6364136223846793005) + UINT64CONST(1442695040888963407);
	graph->search.keep_points = true;
	graph->search.want_rank = false;
	vk_search_set(&graph->search, &point);
	return mem_insert(graph, &graph->search, size, tid, vk_random_level(graph->random >> 24), ef);
}

int
vk_mem_search(VkMemGraph *graph, const VkPoint *query, int ef)
{
	VkNodeId	entry;
	int			top;

	graph->search.keep_points = false;
	graph->search.want_rank = true;
	vk_search_set(&graph->search, query);
	entry = mem_descend(graph, &graph->search, 0, &top);
	if (entry == VK_NODE_NONE)
		return 0;
	return mem_search_level(graph, &graph->search, entry, 0, ef);
}
