/*-------------------------------------------------------------------------
 *
 * graph_access.c
 *	  A graph on pages: opening it, its slots, and their allocation.
 *
 * Free slots: the root page leads to a chain of pages that may have some.  A
 * page whose last slot is taken leaves the chain when somebody next looks for
 * a slot; VACUUM puts pages back.  Locks of content are taken one at a time,
 * except root before slot page.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#include "am/graph/graph_private.h"
#include "compat/pgcompat.h"

/* Graphs a backend remembers. */
#define STATES		8

static VkGraphState *states[STATES];
static uint64 state_clock = 0;

void
vk_graph_layout(const VkIndexInfo *info, VkGraphLayout *lay)
{
	vk_graph_layout_init(lay, info->elem, info->metric, info->dim, info->m,
						 VK_GRAPH_PAGE_BYTES);
}

pg_noreturn static void
report_graph(VkGraph *graph, BlockNumber block, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("index \"%s\" contains a damaged graph at block %u",
					RelationGetRelationName(graph->index->rel), block),
			 errdetail("%s", what),
			 errhint("Please REINDEX it.")));
}

/* The head page, locked; InvalidBuffer if the split is gone. */
Buffer
vk_graph_lock_root(VkGraph *graph, int lock)
{
	Buffer		buffer = vk_page_try(graph->index, graph->ref.head, VK_PAGE_GRAPH_ROOT,
									 graph->ref.split_id, lock);
	VkGraphRoot *root;

	if (buffer == InvalidBuffer)
		return buffer;
	root = VkPageGetGraphRoot(BufferGetPage(buffer));
	if (root->magic != VK_GRAPH_MAGIC || root->version != VK_GRAPH_VERSION)
		report_graph(graph, graph->ref.head, "The root of the graph has a wrong magic number or version.");
	return buffer;
}

bool
vk_graph_read_root(VkGraph *graph)
{
	Buffer		buffer = vk_graph_lock_root(graph, BUFFER_LOCK_SHARE);

	if (buffer == InvalidBuffer)
		return false;
	graph->root = *VkPageGetGraphRoot(BufferGetPage(buffer));
	vk_page_release(buffer);
	return true;
}

/* Reads the center; the graph's layout is known already. */
static void
load_center(VkGraph *graph, VkSpace *space)
{
	const VkGraphLayout *lay = &space->lay;
	char	   *data = palloc(vk_graph_dense_size(lay));
	VkNodeId	id = graph->root.center;
	int			done = 0;

	while (done < vk_graph_dense_size(lay))
	{
		const VkGraphLink *link = id == VK_NODE_NONE ? NULL :
		(const VkGraphLink *) vk_graph_pin(graph, id);

		if (link == NULL || link->kind != VK_SLOT_CENTER || link->count == 0 ||
			link->count > VK_LINK_CAPACITY(lay) ||
			done + link->count > vk_graph_dense_size(lay))
			report_graph(graph, graph->ref.head, "The center of the graph is damaged.");
		memcpy(data + done, link->data, link->count);
		done += link->count;
		id = link->next;
		vk_graph_unpin(graph);
	}
	vk_space_set_center(space, data);
	pfree(data);
}

static VkGraphState *
make_state(VkGraph *graph)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "vektonn graph",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	VkGraphState *state = palloc0(sizeof(VkGraphState));
	VkGraphLayout lay;
	int			oldest = 0;

	vk_graph_layout(&graph->index->info, &lay);
	if (lay.max_edges != graph->root.max_edges || lay.code_bytes * 8 != graph->root.code_bits ||
		lay.slot_size != graph->root.slot_size ||
		lay.slots_per_page != graph->root.slots_per_page)
	{
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		report_graph(graph, graph->ref.head, "The layout of the graph is not that of the index.");
	}
	vk_space_init(&state->space, &lay, graph->root.seed);
	graph->lay = &state->space.lay;
	if (graph->root.center != VK_NODE_NONE)
		load_center(graph, &state->space);
	vk_search_init(&state->search, &state->space);
	state->context = context;
	state->seed = graph->root.seed;
	MemoryContextSwitchTo(old);

	for (int i = 0; i < STATES; i++)
	{
		if (states[i] == NULL)
		{
			oldest = i;
			break;
		}
		if (states[i]->last_used < states[oldest]->last_used)
			oldest = i;
	}
	if (states[oldest] != NULL)
		MemoryContextDelete(states[oldest]->context);
	states[oldest] = state;
	return state;
}

/*
 * Opens the graph of a split.  False if the split is gone.
 */
bool
vk_graph_open(VkGraph *graph, VkIndex *index, VkStoreRef ref)
{
	memset(graph, 0, sizeof(*graph));
	graph->index = index;
	graph->ref = ref;
	if (!vk_graph_read_root(graph))
		return false;
	for (int i = 0; i < STATES; i++)
	{
		/* the center may have come after the state */
		if (states[i] != NULL && states[i]->seed == graph->root.seed &&
			states[i]->space.centered == (graph->root.center != VK_NODE_NONE))
		{
			graph->state = states[i];
			break;
		}
	}
	if (graph->state == NULL)
		graph->state = make_state(graph);
	/* vektonn.kernel may have changed */
	graph->state->space.codes = vk_graph_kernels();
	if (index->info.elem != VK_ELEM_SPARSE)
		graph->state->space.dense = vk_kernels->dense[index->info.elem];
	graph->state->last_used = ++state_clock;
	graph->lay = &graph->state->space.lay;
	return true;
}

void
vk_graph_point(const VkSpace *space, const struct varlena *value, VkPoint *point)
{
	if (space->lay.elem == VK_ELEM_SPARSE)
	{
		char	   *data = palloc(vk_space_size(space, value));

		vk_space_store(space, value, data);
		point->data = data;
	}
	else
		point->data = (const char *) ((const VkVector *) value)->x;
	point->norm2 = vk_space_norm2(space, point->data);
}

/* ------------------------------------------------------------------------
 * Slots
 * ------------------------------------------------------------------------ */

/*
 * The page of a slot, locked, and the slot; InvalidBuffer if the page is no
 * longer this graph's or has no such slot.
 */
Buffer
vk_graph_lock_slot(VkGraph *graph, VkNodeId id, int lock, char **slot)
{
	const VkGraphLayout *lay = graph->lay;
	BlockNumber block = id / lay->slots_per_page;
	int			number = id % lay->slots_per_page;
	Buffer		buffer;
	Page		page;
	VkGraphPageHeader *header;

	if (id >= VK_NODE_LIMIT)
		report_graph(graph, block, psprintf("The number of a slot is %u.", id));
	buffer = vk_page_try(graph->index, block, VK_PAGE_GRAPH_SLOTS, graph->ref.split_id, lock);
	graph->pages++;
	if (buffer == InvalidBuffer)
		return InvalidBuffer;
	page = BufferGetPage(buffer);
	header = VkPageGetGraphHeader(page);
	if (unlikely(header->nused > lay->slots_per_page))
		report_graph(graph, block, "The page counts more slots than it can have.");
	if (number >= header->nused)
	{
		vk_page_release(buffer);
		return InvalidBuffer;
	}
	*slot = VkPageGetSlot(lay, page, number);
	return buffer;
}

/* Share-locks a slot for core_unpin(); NULL as above. */
const char *
vk_graph_pin(VkGraph *graph, VkNodeId id)
{
	char	   *slot;

	graph->pinned = vk_graph_lock_slot(graph, id, BUFFER_LOCK_SHARE, &slot);
	return graph->pinned == InvalidBuffer ? NULL : slot;
}

static int
find_free_slot(const VkGraphLayout *lay, Page page)
{
	VkGraphPageHeader *header = VkPageGetGraphHeader(page);

	for (int i = 0; i < header->nused; i++)
		if (((VkGraphNode *) VkPageGetSlot(lay, page, i))->kind == VK_SLOT_FREE)
			return i;
	return header->nused < lay->slots_per_page ? header->nused : -1;
}

/* Writes a slot of a locked page with a free one, and releases the page. */
static VkNodeId
write_slot(VkGraph *graph, Buffer buffer, int number, char *slot, Size size, uint8 *gen)
{
	const VkGraphLayout *lay = graph->lay;
	Page		page = BufferGetPage(buffer);
	VkGraphPageHeader *header = VkPageGetGraphHeader(page);
	VkGraphNode *old = (VkGraphNode *) VkPageGetSlot(lay, page, number);
	BlockNumber block = BufferGetBlockNumber(buffer);
	VkEdit		edit;
	int			target;

	vk_edit_start(&edit, graph->index);
	target = vk_edit_page(&edit, buffer);
	if (number == header->nused)
	{
		*gen = 0;
		vk_edit_put_uint16(&edit, target, &((PageHeader) page)->pd_lower,
						   VK_GRAPH_SLOTS_OFFSET + (number + 1) * lay->slot_size);
		vk_edit_put_uint16(&edit, target, &header->nused, number + 1);
	}
	else
		*gen = old->gen;
	((VkGraphNode *) slot)->gen = *gen;
	vk_edit_put(&edit, target, old, slot, size);
	vk_edit_commit_release(&edit);
	return block * lay->slots_per_page + number;
}

/*
 * Takes a page without free slots out of the chain, if it still leads it.
 */
static void
unlist_page(VkGraph *graph, BlockNumber block)
{
	Buffer		root_buffer = vk_graph_lock_root(graph, BUFFER_LOCK_EXCLUSIVE);
	Buffer		buffer = InvalidBuffer;
	VkGraphRoot *root;

	if (root_buffer == InvalidBuffer)
		return;
	root = VkPageGetGraphRoot(BufferGetPage(root_buffer));
	if (root->free_page == block)
		buffer = vk_page_try(graph->index, block, VK_PAGE_GRAPH_SLOTS, graph->ref.split_id,
							 BUFFER_LOCK_EXCLUSIVE);
	if (buffer != InvalidBuffer)
	{
		Page		page = BufferGetPage(buffer);
		VkGraphPageHeader *header = VkPageGetGraphHeader(page);

		if (find_free_slot(graph->lay, page) < 0)
		{
			VkEdit		edit;
			int			root_page;
			int			target;

			vk_edit_start(&edit, graph->index);
			root_page = vk_edit_page(&edit, root_buffer);
			target = vk_edit_page(&edit, buffer);
			vk_edit_put_uint32(&edit, root_page, &root->free_page, header->next_free);
			vk_edit_put_uint16(&edit, target, &header->flags,
							   header->flags & ~VK_GRAPH_PAGE_LISTED);
			vk_edit_put_uint32(&edit, target, &header->next_free, InvalidBlockNumber);
			vk_edit_commit(&edit);
		}
		vk_page_release(buffer);
	}
	vk_page_release(root_buffer);
}

/*
 * Writes a slot to a new page, unless there are pages with free slots by now
 * (false).
 */
static bool
write_new_page(VkGraph *graph, char *slot, Size size, VkNodeId *id)
{
	const VkGraphLayout *lay = graph->lay;
	Buffer		root_buffer = vk_graph_lock_root(graph, BUFFER_LOCK_EXCLUSIVE);
	VkGraphRoot *root;
	VkGraphPageHeader *header;
	Buffer		buffer;
	Page		page;
	VkEdit		edit;
	int			root_page;
	BlockNumber block;

	if (root_buffer == InvalidBuffer)
	{
		*id = VK_NODE_NONE;
		return true;
	}
	root = VkPageGetGraphRoot(BufferGetPage(root_buffer));
	if (root->free_page != InvalidBlockNumber)
	{
		vk_page_release(root_buffer);
		return false;
	}
	buffer = vk_page_allocate(graph->index);
	block = BufferGetBlockNumber(buffer);
	if ((uint64) block * lay->slots_per_page + lay->slots_per_page >= VK_NODE_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index \"%s\" is too large for a graph",
						RelationGetRelationName(graph->index->rel))));

	vk_edit_start(&edit, graph->index);
	root_page = vk_edit_page(&edit, root_buffer);
	page = vk_edit_new(&edit, buffer, VK_PAGE_GRAPH_SLOTS, graph->ref.split_id);
	header = VkPageGetGraphHeader(page);
	VkPageGetOpaque(page)->next = root->first_page;
	header->next_free = InvalidBlockNumber;
	header->nused = 1;
	((PageHeader) page)->pd_lower = VK_GRAPH_SLOTS_OFFSET + lay->slot_size;
	((VkGraphNode *) slot)->gen = 0;
	memcpy(VkPageGetSlot(lay, page, 0), slot, size);
	if (lay->slots_per_page > 1)
	{
		header->flags = VK_GRAPH_PAGE_LISTED;
		vk_edit_put_uint32(&edit, root_page, &root->free_page, block);
	}
	vk_edit_put_uint32(&edit, root_page, &root->first_page, block);
	vk_edit_put_uint32(&edit, root_page, &root->npages, root->npages + 1);
	vk_edit_commit_release(&edit);
	*id = block * lay->slots_per_page;
	return true;
}

/*
 * Writes a slot of size bytes to wherever there is room; sets its generation,
 * there and in *gen.  VK_NODE_NONE if the split is gone.
 */
VkNodeId
vk_graph_write_slot(VkGraph *graph, char *slot, Size size, uint8 *gen)
{
	for (;;)
	{
		VkNodeId	id;
		BlockNumber block;
		Buffer		buffer;

		CHECK_FOR_INTERRUPTS();
		if (!vk_graph_read_root(graph))
			return VK_NODE_NONE;
		block = graph->root.free_page;
		if (block == InvalidBlockNumber)
		{
			*gen = 0;
			if (write_new_page(graph, slot, size, &id))
				return id;
			continue;
		}
		buffer = vk_page_try(graph->index, block, VK_PAGE_GRAPH_SLOTS, graph->ref.split_id,
							 BUFFER_LOCK_EXCLUSIVE);
		if (buffer != InvalidBuffer)
		{
			int			number = find_free_slot(graph->lay, BufferGetPage(buffer));

			if (number >= 0)
				return write_slot(graph, buffer, number, slot, size, gen);
			vk_page_release(buffer);
		}
		unlist_page(graph, block);
	}
}

/*
 * Frees a slot nothing refers to, and lists its page.  Also frees what hangs
 * on it.
 */
void
vk_graph_free_slot(VkGraph *graph, VkNodeId id)
{
	while (id != VK_NODE_NONE)
	{
		Buffer		root_buffer = vk_graph_lock_root(graph, BUFFER_LOCK_EXCLUSIVE);
		VkNodeId	chains[2] = {VK_NODE_NONE, VK_NODE_NONE};
		VkGraphRoot *root;
		VkGraphPageHeader *header;
		Buffer		buffer;
		char	   *slot;
		VkGraphLink freed;
		VkEdit		edit;
		int			target;

		if (root_buffer == InvalidBuffer)
			return;
		root = VkPageGetGraphRoot(BufferGetPage(root_buffer));
		buffer = vk_graph_lock_slot(graph, id, BUFFER_LOCK_EXCLUSIVE, &slot);
		if (buffer == InvalidBuffer)
		{
			vk_page_release(root_buffer);
			return;
		}
		if (((VkGraphNode *) slot)->kind == VK_SLOT_NODE)
		{
			chains[0] = ((VkGraphNode *) slot)->more;
			chains[1] = ((VkGraphNode *) slot)->rest;
		}
		else
			chains[0] = ((VkGraphLink *) slot)->next;
		memset(&freed, 0, sizeof(freed));
		freed.kind = VK_SLOT_FREE;
		freed.gen = ((VkGraphNode *) slot)->gen + 1;
		header = VkPageGetGraphHeader(BufferGetPage(buffer));

		vk_edit_start(&edit, graph->index);
		target = vk_edit_page(&edit, buffer);
		vk_edit_put(&edit, target, slot, &freed, VK_LINK_HEADER);
		if ((header->flags & VK_GRAPH_PAGE_LISTED) == 0)
		{
			int			root_page = vk_edit_page(&edit, root_buffer);

			vk_edit_put_uint16(&edit, target, &header->flags, header->flags | VK_GRAPH_PAGE_LISTED);
			vk_edit_put_uint32(&edit, target, &header->next_free, root->free_page);
			vk_edit_put_uint32(&edit, root_page, &root->free_page, BufferGetBlockNumber(buffer));
		}
		vk_edit_commit(&edit);
		vk_page_release(buffer);
		vk_page_release(root_buffer);
		if (chains[1] != VK_NODE_NONE)
			vk_graph_free_slot(graph, chains[1]);
		id = chains[0];
	}
}

/* Cuts a link that is not in use off the chain it points to. */
void
vk_graph_unchain(VkGraph *graph, VkNodeId id)
{
	char	   *slot;
	Buffer		buffer = vk_graph_lock_slot(graph, id, BUFFER_LOCK_EXCLUSIVE, &slot);
	VkEdit		edit;

	if (buffer == InvalidBuffer)
		return;
	vk_edit_start(&edit, graph->index);
	vk_edit_put_uint32(&edit, vk_edit_page(&edit, buffer), &((VkGraphLink *) slot)->next,
					   VK_NODE_NONE);
	vk_edit_commit_release(&edit);
}

/* ------------------------------------------------------------------------
 * Root and center
 * ------------------------------------------------------------------------ */

BlockNumber
vk_graph_create_root(VkIndex *index, uint32 split_id, uint64 seed)
{
	Buffer		buffer = vk_page_allocate(index);
	BlockNumber block = BufferGetBlockNumber(buffer);
	VkGraphLayout lay;
	VkGraphRoot *root;
	VkEdit		edit;
	Page		page;

	vk_graph_layout(&index->info, &lay);
	vk_edit_start(&edit, index);
	page = vk_edit_new(&edit, buffer, VK_PAGE_GRAPH_ROOT, split_id);
	root = VkPageGetGraphRoot(page);
	root->magic = VK_GRAPH_MAGIC;
	root->version = VK_GRAPH_VERSION;
	root->seed = seed;
	root->entry = VK_NODE_NONE;
	root->level = -1;
	root->center = VK_NODE_NONE;
	root->first_page = InvalidBlockNumber;
	root->free_page = InvalidBlockNumber;
	root->npages = 0;
	root->max_edges = lay.max_edges;
	root->code_bits = lay.code_bytes * 8;
	root->slot_size = lay.slot_size;
	root->slots_per_page = lay.slots_per_page;
	VkPageSetUsed(page, sizeof(VkGraphRoot));
	vk_edit_commit_release(&edit);
	return block;
}

/*
 * Stores the center of a graph that has no node yet.  mean: nav_dim floats.
 * The caller excludes others.
 */
void
vk_graph_write_center(VkGraph *graph, const float *mean)
{
	const VkGraphLayout *lay = graph->lay;
	int			size = vk_graph_dense_size(lay);
	char	   *data = palloc0(size + lay->slot_size);
	VkGraphLink *link = palloc0(lay->slot_size);
	VkNodeId	next = VK_NODE_NONE;
	uint8		gen;
	Buffer		buffer;
	VkGraphRoot *root;
	VkEdit		edit;

	vk_space_pack_center(&graph->state->space, mean, data);
	/* backwards, so that each link knows the next one */
	for (int from = (size - 1) / VK_LINK_CAPACITY(lay) * VK_LINK_CAPACITY(lay); from >= 0;
		 from -= VK_LINK_CAPACITY(lay))
	{
		memset(link, 0, VK_LINK_HEADER);
		link->kind = VK_SLOT_CENTER;
		link->count = Min(size - from, VK_LINK_CAPACITY(lay));
		link->owner = VK_NODE_NONE;
		link->next = next;
		memcpy(link->data, data + from, link->count);
		next = vk_graph_write_slot(graph, (char *) link, VK_LINK_HEADER + link->count, &gen);
	}
	buffer = vk_graph_lock_root(graph, BUFFER_LOCK_EXCLUSIVE);
	if (buffer != InvalidBuffer)
	{
		root = VkPageGetGraphRoot(BufferGetPage(buffer));
		vk_edit_start(&edit, graph->index);
		vk_edit_put_uint32(&edit, vk_edit_page(&edit, buffer), &root->center, next);
		vk_edit_commit_release(&edit);
	}
	pfree(link);
	pfree(data);
}

void
vk_graph_lock_inserts(VkGraph *graph, LOCKMODE mode)
{
	if (!graph->index->building)
		LockPage(graph->index->rel, graph->ref.head, mode);
}

void
vk_graph_unlock_inserts(VkGraph *graph, LOCKMODE mode)
{
	if (!graph->index->building)
		UnlockPage(graph->index->rel, graph->ref.head, mode);
}
