/*-------------------------------------------------------------------------
 *
 * graph_build.c
 *	  CREATE INDEX of a graph: in memory first, then page by page.
 *
 * The graph grows in memory in the very form of its pages.  When it is done,
 * or when it outgrows its memory, its pages are written out in order.  From
 * then on rows are inserted as into any graph, only without WAL: this costs
 * buffer accesses instead of pointers, not another order of magnitude.
 *
 * The first rows wait until there are enough to know the center.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/graph/graph_mem.h"
#include "am/graph/graph_private.h"

/* The center is the mean of so many rows. */
#define CENTER_ROWS		1000

typedef struct VkGraphBuild
{
	VkIndex    *index;
	uint32		split_id;
	Size		memory;			/* bytes for the graph */
	MemoryContext context;
	MemoryContext row_context;	/* reset after each row */
	VkSpace		space;
	VkMemGraph	graph;
	uint64		seed;
	BlockNumber head;			/* valid once pages are written */

	/* rows that wait for the center */
	int			nwaiting;
	ItemPointerData waiting_tids[CENTER_ROWS];
	char	   *waiting[CENTER_ROWS];
	uint32		waiting_size[CENTER_ROWS];
	Size		waiting_bytes;
	bool		started;
} VkGraphBuild;

void *
vk_graph_build_begin(VkIndex *index, uint32 split_id, int maintenance_work_mem_kb)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "vektonn graph build",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	VkGraphBuild *build = palloc0(sizeof(VkGraphBuild));
	VkGraphLayout lay;

	build->context = context;
	build->row_context = AllocSetContextCreate(context, "vektonn graph row",
											   ALLOCSET_DEFAULT_SIZES);
	build->index = index;
	build->split_id = split_id;
	build->memory = (Size) maintenance_work_mem_kb * 1024;
	build->head = InvalidBlockNumber;
	build->seed = pg_prng_uint64(&pg_global_prng_state);
	vk_graph_layout(&index->info, &lay);
	vk_space_init(&build->space, &lay, build->seed);
	vk_mem_init(&build->graph, &build->space);
	MemoryContextSwitchTo(old);
	return build;
}

/* Turns the ids of a slot from those in memory to those on pages. */
static void
renumber_slot(const VkGraphLayout *lay, char *slot, VkNodeId offset)
{
	VkGraphNode *node = (VkGraphNode *) slot;
	VkGraphLink *link = (VkGraphLink *) slot;

#define RENUMBER(id)	do { if ((id) != VK_NODE_NONE) (id) += offset; } while (0)
	switch (node->kind)
	{
		case VK_SLOT_NODE:
			RENUMBER(node->down);
			RENUMBER(node->more);
			RENUMBER(node->rest);
			for (int e = 0; e < node->nedges; e++)
				VK_EDGE_IDS(lay, slot)[e] += offset;
			break;
		case VK_SLOT_TIDS:
			RENUMBER(link->owner);
			RENUMBER(link->next);
			break;
		default:
			RENUMBER(link->next);
			break;
	}
#undef RENUMBER
}

static void
write_page(VkGraphBuild *build, uint32 number, BlockNumber first, BlockNumber expected)
{
	VkMemGraph *graph = &build->graph;
	const VkGraphLayout *lay = &build->space.lay;
	int			nused = Min((int) (graph->nslots - number * lay->slots_per_page), lay->slots_per_page);
	Buffer		buffer = vk_page_allocate(build->index);
	VkGraphPageHeader *header;
	VkEdit		edit;
	Page		page;

	if (BufferGetBlockNumber(buffer) != expected)
		elog(ERROR, "page %u of a new index came where %u was expected",
			 BufferGetBlockNumber(buffer), expected);
	vk_edit_start(&edit, build->index);
	page = vk_edit_new(&edit, buffer, VK_PAGE_GRAPH_SLOTS, build->split_id);
	header = VkPageGetGraphHeader(page);
	header->next_free = InvalidBlockNumber;
	header->nused = nused;
	header->flags = nused < lay->slots_per_page ? VK_GRAPH_PAGE_LISTED : 0;
	VkPageGetOpaque(page)->next = number == 0 ? InvalidBlockNumber : expected - 1;
	((PageHeader) page)->pd_lower = VK_GRAPH_SLOTS_OFFSET + nused * lay->slot_size;
	memcpy(VkPageGetSlot(lay, page, 0), vk_mem_page(graph, number), (Size) nused * lay->slot_size);
	for (int i = 0; i < nused; i++)
		renumber_slot(lay, VkPageGetSlot(lay, page, i), first * lay->slots_per_page);
	vk_edit_commit_release(&edit);
}

/* Writes the graph in memory to pages behind its head, and frees it. */
static void
write_pages(VkGraphBuild *build)
{
	VkMemGraph *graph = &build->graph;
	const VkGraphLayout *lay = &build->space.lay;
	uint32		npages = vk_mem_pages(graph);
	BlockNumber first;
	VkGraph		target;
	VkGraphRoot *root;
	Buffer		buffer;
	VkEdit		edit;
	Page		page;

	build->head = vk_graph_create_root(build->index, build->split_id, build->seed);
	first = RelationGetNumberOfBlocks(build->index->rel);
	if (((uint64) first + npages + 1) * lay->slots_per_page >= VK_NODE_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index \"%s\" is too large for a graph",
						RelationGetRelationName(build->index->rel))));
	for (uint32 i = 0; i < npages; i++)
	{
		CHECK_FOR_INTERRUPTS();
		write_page(build, i, first, first + i);
	}

	memset(&target, 0, sizeof(target));
	target.index = build->index;
	target.ref.split_id = build->split_id;
	target.ref.head = build->head;
	buffer = vk_graph_lock_root(&target, BUFFER_LOCK_EXCLUSIVE);
	vk_edit_start(&edit, build->index);
	page = vk_edit_copy(&edit, buffer);
	root = VkPageGetGraphRoot(page);
	if (graph->entry != VK_NODE_NONE)
		root->entry = graph->entry + first * lay->slots_per_page;
	root->level = graph->level;
	root->npages = npages;
	if (npages > 0)
	{
		root->first_page = first + npages - 1;
		if (graph->nslots % lay->slots_per_page != 0)
			root->free_page = root->first_page;
	}
	vk_edit_commit_release(&edit);

	if (build->space.centered && vk_graph_open(&target, build->index, target.ref))
		vk_graph_write_center(&target, build->space.center);
	for (int i = 0; i < graph->nchunks; i++)
		vk_mem_free_chunk(graph, i);
	graph->nchunks = 0;
}

static void
add_point(VkGraphBuild *build, ItemPointer tid, const char *data, uint32 size)
{
	if (build->head == InvalidBlockNumber)
	{
		if (vk_mem_bytes(&build->graph) <= build->memory)
		{
			MemoryContext old = MemoryContextSwitchTo(build->context);

			vk_mem_insert(&build->graph, data, size, tid, vk_graph_beam(&build->index->info));
			MemoryContextSwitchTo(old);
			return;
		}
		write_pages(build);
		ereport(DEBUG1, (errmsg("graph of index \"%s\" exceeds maintenance_work_mem, going on on pages",
								RelationGetRelationName(build->index->rel))));
	}
	{
		VkGraph		graph;
		VkStoreRef	ref = {build->split_id, build->head};
		VkPoint		point = {data, vk_space_norm2(&build->space, data)};

		if (!vk_graph_open(&graph, build->index, ref) ||
			!vk_graph_insert_point(&graph, &point, size, tid))
			elog(ERROR, "a graph vanished while it was built");
	}
}

/* The rows that waited determine the center, then come first. */
static void
start(VkGraphBuild *build)
{
	VkSpace    *space = &build->space;
	const VkGraphLayout *lay = &space->lay;

	build->started = true;
	if (vk_graph_wants_center(lay) && build->nwaiting > 0)
	{
		MemoryContext old = MemoryContextSwitchTo(build->context);
		float	   *mean = palloc0(sizeof(float) * lay->nav_dim);
		float	   *expanded = palloc(sizeof(float) * lay->nav_dim);
		char	   *packed = palloc(vk_graph_dense_size(lay));

		for (int i = 0; i < build->nwaiting; i++)
		{
			VkPoint		point = {build->waiting[i], vk_space_norm2(space, build->waiting[i])};

			vk_space_expand(space, &point, expanded);
			for (int j = 0; j < lay->dim; j++)
				mean[j] += expanded[j] / build->nwaiting;
		}
		/* the center is what can be read again from the index */
		vk_space_pack_center(space, mean, packed);
		vk_space_set_center(space, packed);
		MemoryContextSwitchTo(old);
	}
	for (int i = 0; i < build->nwaiting; i++)
	{
		CHECK_FOR_INTERRUPTS();
		add_point(build, &build->waiting_tids[i], build->waiting[i], build->waiting_size[i]);
		pfree(build->waiting[i]);
	}
	build->nwaiting = 0;
}

void
vk_graph_build_add(void *state, ItemPointer tid, const struct varlena *value)
{
	VkGraphBuild *build = state;
	MemoryContext old;
	VkPoint		point;

	CHECK_FOR_INTERRUPTS();
	if (!build->started)
	{
		uint32		size = vk_space_size(&build->space, value);
		int			n = build->nwaiting++;

		build->waiting[n] = MemoryContextAlloc(build->context, size);
		vk_space_store(&build->space, value, build->waiting[n]);
		build->waiting_size[n] = size;
		build->waiting_bytes += size;
		build->waiting_tids[n] = *tid;
		if (build->nwaiting == CENTER_ROWS || build->waiting_bytes > build->memory / 4)
			start(build);
		return;
	}
	MemoryContextReset(build->row_context);
	old = MemoryContextSwitchTo(build->row_context);
	vk_graph_point(&build->space, value, &point);
	add_point(build, tid, point.data, vk_space_size(&build->space, value));
	MemoryContextSwitchTo(old);
}

BlockNumber
vk_graph_build_end(void *state)
{
	VkGraphBuild *build = state;
	BlockNumber head;

	if (!build->started)
		start(build);
	if (build->head == InvalidBlockNumber)
		write_pages(build);
	head = build->head;
	MemoryContextDelete(build->context);
	return head;
}
