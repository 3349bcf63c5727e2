/*-------------------------------------------------------------------------
 *
 * graph_mem.c
 *	  A graph in memory: the core over plain pointers.
 *
 * When several processes share it, they hold one lock at a time, and what was
 * read before is checked again by the version of its slot, as on pages.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/graph/graph_mem.h"

typedef VkMemGraph CoreAccess;

#define CORE_INSERT
#define CORE(name)	mem_##name

static inline LWLock *
slot_lock(CoreAccess *graph, VkNodeId id)
{
	return &graph->shared->locks[id & (VK_MEM_LOCKS - 1)].lock;
}

/* Locks the slot, if others work on the graph. */
static inline char *
lock_slot(CoreAccess *graph, VkNodeId id, LWLockMode mode)
{
	if (graph->locking)
	{
		graph->held = slot_lock(graph, id);
		LWLockAcquire(graph->held, mode);
	}
	return vk_mem_slot(graph, id);
}

static inline void
unlock_slot(CoreAccess *graph)
{
	if (graph->locking)
		LWLockRelease(graph->held);
}

static inline bool
core_root(CoreAccess *graph, VkNodeId *entry, int *level)
{
	return vk_mem_root(graph, entry, level);
}

static inline const char *
core_pin(CoreAccess *graph, VkNodeId id)
{
	Assert(id < vk_mem_nslots(graph));
	return lock_slot(graph, id, LW_SHARED);
}

static inline void
core_unpin(CoreAccess *graph)
{
	unlock_slot(graph);
}

static inline bool
core_prefetch(CoreAccess *graph, VkNodeId id)
{
	const char *slot = vk_mem_slot(graph, id);

	for (int line = 0; line < graph->space->lay.slot_size; line += 64)
		__builtin_prefetch(slot + line);
	return false;
}

static inline void
core_hint(CoreAccess *graph, VkNodeId id)
{
}

static inline const char *
core_keep(CoreAccess *graph, VkGraphSearch *search, const char *data, uint32 size)
{
	return data;				/* slots never move, vectors never change */
}

/* A slot nobody else has, zeroed. */
static VkNodeId
new_slot(CoreAccess *graph)
{
	VkNodeId	id = pg_atomic_fetch_add_u32(&graph->shared->nslots, 1);
	uint32		page = id / graph->space->lay.slots_per_page;

	if (graph->locking)
	{
		Assert(id < graph->capacity);
		memset(vk_mem_slot(graph, id), 0, graph->space->lay.slot_size);
	}
	else if (page / VK_MEM_CHUNK_PAGES >= (uint32) graph->nchunks)
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
	return id;
}

/* Nobody else knows of the node until it is linked. */
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
	memcpy(rec, lock_slot(graph, id, LW_SHARED), graph->space->lay.slot_size);
	unlock_slot(graph);
	return true;
}

static VkAddEdge
core_add_edge(CoreAccess *graph, VkNodeId id, int level, const VkNewEdge *edge)
{
	const VkGraphLayout *lay = &graph->space->lay;
	char	   *rec = lock_slot(graph, id, LW_EXCLUSIVE);
	VkGraphNode *node = (VkGraphNode *) rec;
	VkAddEdge	result = VK_ADD_FULL;

	if (node->nedges < lay->max_edges)
	{
		vk_edge_put(lay, rec, node->nedges, edge->id, edge->gen, &edge->code);
		node->nedges++;
		node->version++;
		result = VK_ADD_DONE;
	}
	unlock_slot(graph);
	return result;
}

/* All edges of the copy rec, unless somebody changed them since it was made. */
static bool
core_replace_edges(CoreAccess *graph, VkNodeId id, const char *rec)
{
	const VkGraphLayout *lay = &graph->space->lay;
	char	   *slot = lock_slot(graph, id, LW_EXCLUSIVE);
	VkGraphNode *node = (VkGraphNode *) slot;
	const VkGraphNode *copy = (const VkGraphNode *) rec;
	bool		same = node->version == copy->version;

	if (same)
	{
		memcpy(slot + lay->code_off, rec + lay->code_off, lay->payload_off - lay->code_off);
		node->nedges = copy->nedges;
		node->version++;
	}
	unlock_slot(graph);
	return same;
}

/*
 * More TIDs than fit the slot go to a chain, newest link first, under the
 * node's lock.
 */
static bool
core_add_tid(CoreAccess *graph, VkNodeId id, const VkPoint *point, uint32 size, ItemPointer tid)
{
	const VkGraphLayout *lay = &graph->space->lay;
	VkGraphNode *node = (VkGraphNode *) lock_slot(graph, id, LW_EXCLUSIVE);
	VkGraphLink *link = NULL;

	if (node->ntids < VK_NODE_INLINE_TIDS)
		node->tids[node->ntids++] = *tid;
	else
	{
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
	}
	unlock_slot(graph);
	return true;
}

static bool
core_set_entry(CoreAccess *graph, VkNodeId id, int level)
{
	uint64		wanted = ((uint64) (level + 1) << 32) | id;
	uint64		root = pg_atomic_read_u64(&graph->shared->root);

	do
	{
		if ((int) (root >> 32) - 1 >= level)
			return false;
	} while (!pg_atomic_compare_exchange_u64(&graph->shared->root, &root, wanted));
	return true;
}

#include "am/graph/graph_core.h"

void
vk_mem_free_chunk(VkMemGraph *graph, int chunk)
{
	pfree(graph->blocks[chunk]);
}

static void
init_graph(VkMemGraph *graph, VkSpace *space)
{
	memset(graph, 0, sizeof(*graph));
	graph->space = space;
	graph->page_size = (Size) space->lay.slots_per_page * space->lay.slot_size;
	graph->random = space->seed;
	vk_search_init(&graph->search, space);
}

void
vk_mem_init(VkMemGraph *graph, VkSpace *space)
{
	init_graph(graph, space);
	graph->shared = palloc(offsetof(VkMemShared, locks));
	pg_atomic_init_u32(&graph->shared->nslots, 0);
	pg_atomic_init_u64(&graph->shared->root, VK_NODE_NONE);
}

/* What comes before the slots of a shared graph. */
static Size
shared_header(void)
{
	return TYPEALIGN(64, offsetof(VkMemShared, locks) + sizeof(LWLockPadded) * VK_MEM_LOCKS);
}

/* Slots one vector may take: itself on all levels, and a link of TIDs. */
static uint32
slots_needed(const VkGraphLayout *lay, uint32 size)
{
	return (VK_MAX_LEVEL + 1) * vk_graph_slots(lay, size) + 1;
}

Size
vk_mem_shared_least(const VkGraphLayout *lay)
{
	return shared_header() +
		(Size) VK_MEM_CHUNK_PAGES * lay->slots_per_page * lay->slot_size;
}

void
vk_mem_shared_init(char *memory, int tranche)
{
	VkMemShared *shared = (VkMemShared *) memory;

	pg_atomic_init_u32(&shared->nslots, 0);
	pg_atomic_init_u64(&shared->root, VK_NODE_NONE);
	LWLockInitialize(&shared->first, tranche);
	for (int i = 0; i < VK_MEM_LOCKS; i++)
		LWLockInitialize(&shared->locks[i].lock, tranche);
}

void
vk_mem_shared_attach(VkMemGraph *graph, VkSpace *space, char *memory, Size size, int process)
{
	Size		chunk;
	Size		room;

	init_graph(graph, space);
	graph->random += process * UINT64CONST(0x9E3779B97F4A7C15);
	graph->shared = (VkMemShared *) memory;
	graph->locking = true;
	chunk = graph->page_size * VK_MEM_CHUNK_PAGES;
	room = (size - shared_header()) / chunk;
	room = Min(room, VK_NODE_LIMIT / (VK_MEM_CHUNK_PAGES * space->lay.slots_per_page));
	graph->nchunks = (int) room;
	graph->capacity = graph->nchunks * VK_MEM_CHUNK_PAGES * space->lay.slots_per_page;
	graph->chunks = palloc(sizeof(char *) * Max(graph->nchunks, 1));
	for (int i = 0; i < graph->nchunks; i++)
		graph->chunks[i] = memory + shared_header() + chunk * i;
}

bool
vk_mem_has_room(const VkMemGraph *graph, uint32 size, int nprocesses)
{
	uint64		needed = slots_needed(&graph->space->lay, size);
	uint64		others = slots_needed(&graph->space->lay, graph->search.payload_max);

	return vk_mem_nslots(graph) + needed + others * (nprocesses - 1) <= graph->capacity;
}

static bool
insert_point(VkMemGraph *graph, uint32 size, ItemPointer tid, int ef)
{
	int			level = vk_random_level(graph->random >> 24);

	return mem_insert(graph, &graph->search, size, tid, level, ef);
}

bool
vk_mem_insert(VkMemGraph *graph, const char *data, uint32 size, ItemPointer tid, int ef)
{
	VkPoint		point = {data, vk_space_norm2(graph->space, data)};
	VkNodeId	entry;
	int			level;
	bool		done;

	graph->random = graph->random * UINT64CONST(6364136223846793005) + UINT64CONST(1442695040888963407);
	graph->search.keep_points = true;
	graph->search.want_rank = false;
	vk_search_set(&graph->search, &point);
	if (!graph->locking || vk_mem_root(graph, &entry, &level))
		return insert_point(graph, size, tid, ef);

	/* Two first nodes would never be joined: one at a time. */
	LWLockAcquire(&graph->shared->first, LW_EXCLUSIVE);
	done = insert_point(graph, size, tid, ef);
	LWLockRelease(&graph->shared->first);
	return done;
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
