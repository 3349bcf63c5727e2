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
 * Rows are inserted in batches, in an order of their own; see graph_batch.h.
 * The first ones, whose mean is the center, come as they are: from all over
 * the data, they are what later ones are linked to.
 *
 * Several processes work on a graph in shared memory that is given.  The center
 * is that of a sample.  When the memory is full, all finish what they are at,
 * one writes the pages, and all go on on pages.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/lmgr.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "am/graph/graph_batch.h"
#include "am/graph/graph_mem.h"
#include "am/graph/graph_private.h"

/* The center is the mean of so many rows. */
#define CENTER_ROWS		1000

/* A batch: at most this share of the memory, and so much. */
#define BATCH_SHARE		8
#define BATCH_BYTES		((Size) 16 * 1024 * 1024)

/*
 * A batch of several processes is at most one of so many that each inserts:
 * when there are no more rows, those that wait are not shared out any more.
 */
#define SHARED_BATCHES	8

/* Where a build by several processes is. */
typedef enum BuildPhase
{
	BUILD_MEMORY,
	BUILD_WRITING,				/* somebody waits until nobody inserts any
								 * more, then writes the pages */
	BUILD_PAGES
} BuildPhase;

/* The begin of the memory of a build by several processes. */
typedef struct SharedBuild
{
	uint64		seed;
	uint32		split_id;
	int			nprocesses;		/* at most */
	Size		graph_offset;	/* from here */
	Size		graph_size;
	Size		batch_size;		/* of each process */
	int			batch_rows;
	bool		centered;
	slock_t		mutex;			/* protects the following */
	BuildPhase	phase;
	int			active;			/* processes that insert in memory now */
	BlockNumber head;			/* valid in BUILD_PAGES */
	ConditionVariable changed;	/* phase, or active is 0 */
	char		center[FLEXIBLE_ARRAY_MEMBER];	/* as slots store it */
} SharedBuild;

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
	SharedBuild *shared;		/* NULL: one process */

	VkGraphBatch batch;			/* rows that wait */
	bool		started;		/* the center is known */
} VkGraphBuild;

static VkGraphBuild *
make_build(VkIndex *index, uint32 split_id, uint64 seed)
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
	build->head = InvalidBlockNumber;
	build->seed = seed;
	vk_graph_layout(&index->info, &lay);
	vk_space_init(&build->space, &lay, seed);
	MemoryContextSwitchTo(old);
	return build;
}

void *
vk_graph_build_begin(VkIndex *index, uint32 split_id, int maintenance_work_mem_kb)
{
	VkGraphBuild *build = make_build(index, split_id, pg_prng_uint64(&pg_global_prng_state));
	MemoryContext old = MemoryContextSwitchTo(build->context);

	build->memory = (Size) maintenance_work_mem_kb * 1024;
	vk_batch_init(&build->batch, &build->space, Min(build->memory / BATCH_SHARE, BATCH_BYTES));
	build->memory -= build->batch.size;
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
	int			nused = Min((int) (vk_mem_nslots(graph) - number * lay->slots_per_page), lay->slots_per_page);
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

/*
 * Writes the graph in memory to pages behind its head, and frees it.  The pages
 * must lie one after the other: nobody else may extend the index meanwhile.
 */
static void
write_pages(VkGraphBuild *build)
{
	VkMemGraph *graph = &build->graph;
	const VkGraphLayout *lay = &build->space.lay;
	uint32		npages = vk_mem_pages(graph);
	BlockNumber first;
	VkGraph		target;
	VkGraphRoot *root;
	VkNodeId	entry;
	int			level;
	Buffer		buffer;
	VkEdit		edit;
	Page		page;

	LockRelationForExtension(build->index->rel, ExclusiveLock);
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
	UnlockRelationForExtension(build->index->rel, ExclusiveLock);

	memset(&target, 0, sizeof(target));
	target.index = build->index;
	target.ref.split_id = build->split_id;
	target.ref.head = build->head;
	buffer = vk_graph_lock_root(&target, BUFFER_LOCK_EXCLUSIVE);
	vk_edit_start(&edit, build->index);
	page = vk_edit_copy(&edit, buffer);
	root = VkPageGetGraphRoot(page);
	if (vk_mem_root(graph, &entry, &level))
		root->entry = entry + first * lay->slots_per_page;
	root->level = level;
	root->npages = npages;
	if (npages > 0)
	{
		root->first_page = first + npages - 1;
		if (vk_mem_nslots(graph) % lay->slots_per_page != 0)
			root->free_page = root->first_page;
	}
	vk_edit_commit_release(&edit);

	if (build->space.centered && vk_graph_open(&target, build->index, target.ref))
		vk_graph_write_center(&target, build->space.center);
	if (build->shared == NULL)
	{
		for (int i = 0; i < graph->nchunks; i++)
			vk_mem_free_chunk(graph, i);
		graph->nchunks = 0;
	}
}

static void
report_full(VkGraphBuild *build)
{
	ereport(DEBUG1,
			(errmsg("graph of index \"%s\" exceeds maintenance_work_mem, going on on pages",
					RelationGetRelationName(build->index->rel))));
}

static void
add_in_memory(VkGraphBuild *build, ItemPointer tid, const char *data, uint32 size)
{
	MemoryContext old = MemoryContextSwitchTo(build->context);

	vk_mem_insert(&build->graph, data, size, tid, build->index->info.ef_construction);
	MemoryContextSwitchTo(old);
}

static bool
share_phase_is(SharedBuild *shared, BuildPhase phase, bool nobody_active)
{
	bool		result;

	SpinLockAcquire(&shared->mutex);
	result = shared->phase == phase && (!nobody_active || shared->active == 0);
	SpinLockRelease(&shared->mutex);
	return result;
}

static void
wait_for_phase(SharedBuild *shared, BuildPhase phase, bool nobody_active)
{
	ConditionVariablePrepareToSleep(&shared->changed);
	while (!share_phase_is(shared, phase, nobody_active))
		ConditionVariableSleep(&shared->changed, PG_WAIT_EXTENSION);
	ConditionVariableCancelSleep();
}

/* This process inserts in memory; false: the phase is another by now. */
static bool
enter_memory(SharedBuild *shared)
{
	bool		entered;

	SpinLockAcquire(&shared->mutex);
	entered = shared->phase == BUILD_MEMORY;
	if (entered)
		shared->active++;
	SpinLockRelease(&shared->mutex);
	return entered;
}

/* It does no more; full: there was no room.  True: the caller is to write the pages. */
static bool
leave_memory(SharedBuild *shared, bool full)
{
	bool		writer = false;
	bool		wake;

	SpinLockAcquire(&shared->mutex);
	shared->active--;
	wake = shared->phase == BUILD_WRITING && shared->active == 0;
	if (full && shared->phase == BUILD_MEMORY)
	{
		shared->phase = BUILD_WRITING;
		writer = true;
	}
	SpinLockRelease(&shared->mutex);
	if (wake)
		ConditionVariableBroadcast(&shared->changed);
	return writer;
}

/* Adds the point in shared memory; false: there is no room, the graph is on pages now. */
static bool
add_in_shared_memory(VkGraphBuild *build, ItemPointer tid, const char *data, uint32 size)
{
	SharedBuild *shared = build->shared;

	if (enter_memory(shared))
	{
		bool		room = vk_mem_has_room(&build->graph, size, shared->nprocesses);

		if (room)
			add_in_memory(build, tid, data, size);
		if (leave_memory(shared, !room))
		{
			wait_for_phase(shared, BUILD_WRITING, true);
			write_pages(build);
			report_full(build);
			SpinLockAcquire(&shared->mutex);
			shared->head = build->head;
			shared->phase = BUILD_PAGES;
			SpinLockRelease(&shared->mutex);
			ConditionVariableBroadcast(&shared->changed);
		}
		if (room)
			return true;
	}
	wait_for_phase(shared, BUILD_PAGES, false);
	build->head = shared->head;
	return false;
}

static void
add_on_pages(VkGraphBuild *build, ItemPointer tid, const char *data, uint32 size)
{
	VkGraph		graph;
	VkStoreRef	ref = {build->split_id, build->head};
	VkPoint		point = {data, vk_space_norm2(&build->space, data)};

	if (!vk_graph_open(&graph, build->index, ref) ||
		!vk_graph_insert_point(&graph, &point, size, tid))
		elog(ERROR, "a graph vanished while it was built");
}

static void
add_point(VkGraphBuild *build, ItemPointer tid, const char *data, uint32 size)
{
	if (build->head == InvalidBlockNumber)
	{
		if (build->shared != NULL)
		{
			if (add_in_shared_memory(build, tid, data, size))
				return;
		}
		else if (vk_mem_bytes(&build->graph) <= build->memory)
		{
			add_in_memory(build, tid, data, size);
			return;
		}
		else
		{
			write_pages(build);
			report_full(build);
		}
	}
	add_on_pages(build, tid, data, size);
}

/*
 * The mean of the points as slots store it: the center is what can be read
 * again from the index.
 */
static void
pack_mean(const VkSpace *space, const char **points, int npoints, char *packed)
{
	const VkGraphLayout *lay = &space->lay;
	float	   *mean = palloc0(sizeof(float) * lay->nav_dim);
	float	   *expanded = palloc(sizeof(float) * lay->nav_dim);

	for (int i = 0; i < npoints; i++)
	{
		VkPoint		point = {points[i], vk_space_norm2(space, points[i])};

		vk_space_expand(space, &point, expanded);
		for (int j = 0; j < lay->dim; j++)
			mean[j] += expanded[j] / npoints;
	}
	vk_space_pack_center(space, mean, packed);
	pfree(expanded);
	pfree(mean);
}

/* The first rows determine the center. */
static void
start(VkGraphBuild *build)
{
	VkSpace    *space = &build->space;
	const VkGraphLayout *lay = &space->lay;
	const char *points[CENTER_ROWS];
	char	   *packed;
	int			npoints = Min(build->batch.nrows, CENTER_ROWS);

	build->started = true;
	if (!vk_graph_wants_center(lay) || npoints == 0)
		return;
	for (int i = 0; i < npoints; i++)
		points[i] = build->batch.rows[i]->data;
	packed = MemoryContextAlloc(build->context, vk_graph_dense_size(lay));
	pack_mean(space, points, npoints, packed);
	vk_space_set_center(space, packed);
}

/* Inserts the rows that wait. */
static void
flush(VkGraphBuild *build)
{
	VkGraphBatch *batch = &build->batch;
	MemoryContext old;

	if (!build->started)
		start(build);
	if (vk_mem_nslots(&build->graph) >= CENTER_ROWS)
		vk_batch_sort(batch);
	old = MemoryContextSwitchTo(build->row_context);
	for (int i = 0; i < batch->nrows; i++)
	{
		VkBatchRow *row = batch->rows[i];

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(build->row_context);
		add_point(build, &row->tid, row->data, row->size);
	}
	MemoryContextSwitchTo(old);
	vk_batch_clear(batch);
}

void
vk_graph_build_add(void *state, ItemPointer tid, const struct varlena *value)
{
	VkGraphBuild *build = state;

	CHECK_FOR_INTERRUPTS();
	if (!vk_batch_add(&build->batch, tid, value))
	{
		flush(build);
		(void) vk_batch_add(&build->batch, tid, value);
	}
	/* so that the second batch finds a graph */
	if (!build->started && build->batch.nrows == CENTER_ROWS)
		flush(build);
}

/* Waits until the caller is the only one. */
BlockNumber
vk_graph_build_end(void *state)
{
	VkGraphBuild *build = state;
	VkStoreRef	ref;
	BlockNumber head;

	flush(build);
	if (build->shared != NULL && build->shared->phase == BUILD_PAGES)
		build->head = build->shared->head;
	if (build->head == InvalidBlockNumber)
		write_pages(build);
	head = build->head;
	ref.head = head;
	ref.split_id = build->split_id;
	vk_graph_mend(build->index, ref);
	vk_graph_build_detach(build);
	return head;
}

/* ------------------------------------------------------------------------
 * Several processes
 * ------------------------------------------------------------------------ */

/* One for all builds: there are not many numbers of tranches. */
static int
lock_tranche(void)
{
	bool		found;
	int		   *tranche;
	int			result;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	tranche = ShmemInitStruct("vektonn graph build", sizeof(int), &found);
	if (!found)
		*tranche = LWLockNewTrancheId();
	result = *tranche;
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(result, "VektonnGraphBuild");
	return result;
}

/* Bytes of one row, with its share of upper levels. */
double
vk_graph_build_row_bytes(VkIndex *index, struct varlena **sample, int nsample)
{
	VkGraphBuild *build = make_build(index, 0, 0);
	const VkGraphLayout *lay = &build->space.lay;
	double		slots = 0;
	double		bytes;

	for (int i = 0; i < nsample; i++)
		slots += vk_graph_slots(lay, vk_space_size(&build->space, sample[i]));
	bytes = slots / nsample * lay->slot_size * (VK_LEVEL_FANOUT + 1) / VK_LEVEL_FANOUT;
	MemoryContextDelete(build->context);
	return bytes;
}

int
vk_graph_build_sample(const VkIndexInfo *info)
{
	return CENTER_ROWS;
}

/* What comes before the graph. */
static Size
share_header(const VkGraphLayout *lay)
{
	Size		size = offsetof(SharedBuild, center);

	if (vk_graph_wants_center(lay))
		size += vk_graph_dense_size(lay);
	return TYPEALIGN(64, size);
}

Size
vk_graph_build_share_least(VkIndex *index)
{
	VkGraphLayout lay;

	vk_graph_layout(&index->info, &lay);
	return share_header(&lay) + vk_mem_shared_least(&lay);
}

void *
vk_graph_build_attach(VkIndex *index, void *memory, int process)
{
	SharedBuild *shared = memory;
	VkGraphBuild *build = make_build(index, shared->split_id, shared->seed);
	MemoryContext old = MemoryContextSwitchTo(build->context);

	build->shared = shared;
	build->started = true;
	if (shared->centered)
		vk_space_set_center(&build->space, shared->center);
	vk_batch_init(&build->batch, &build->space, shared->batch_size);
	build->batch.limit = shared->batch_rows;
	(void) lock_tranche();
	vk_mem_shared_attach(&build->graph, &build->space, (char *) shared + shared->graph_offset,
						 shared->graph_size, process);
	MemoryContextSwitchTo(old);
	return build;
}

/* The mean of the sample becomes the center. */
static void
share_center(VkIndex *index, SharedBuild *shared, struct varlena **sample, int nsample)
{
	VkGraphBuild *build = make_build(index, shared->split_id, shared->seed);
	MemoryContext old = MemoryContextSwitchTo(build->context);
	const char **points = palloc(sizeof(char *) * nsample);

	for (int i = 0; i < nsample; i++)
	{
		char	   *point = palloc(vk_graph_dense_size(&build->space.lay));

		vk_space_store(&build->space, sample[i], point);
		points[i] = point;
	}
	pack_mean(&build->space, points, nsample, shared->center);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(build->context);
}

void
vk_graph_build_share(VkIndex *index, uint32 split_id, const VkShareArea *area,
					 struct varlena **sample, int nsample)
{
	SharedBuild *shared = area->memory;
	double		batch_rows = area->rows / area->nprocesses / SHARED_BATCHES;
	VkGraphLayout lay;

	vk_graph_layout(&index->info, &lay);
	shared->seed = pg_prng_uint64(&pg_global_prng_state);
	shared->split_id = split_id;
	shared->nprocesses = area->nprocesses;
	shared->graph_offset = share_header(&lay);
	shared->graph_size = area->size - shared->graph_offset;
	shared->batch_size = Min(area->process_memory, BATCH_BYTES);
	shared->batch_rows = (int) Max(Min(batch_rows, VK_BATCH_ROWS), 1);
	SpinLockInit(&shared->mutex);
	shared->phase = BUILD_MEMORY;
	shared->active = 0;
	shared->head = InvalidBlockNumber;
	ConditionVariableInit(&shared->changed);
	shared->centered = vk_graph_wants_center(&lay);
	if (shared->centered)
		share_center(index, shared, sample, nsample);
	vk_mem_shared_init((char *) shared + shared->graph_offset, lock_tranche());
}

/* Ends the part of a process, after its last rows; the graph stays. */
void
vk_graph_build_detach(void *state)
{
	VkGraphBuild *build = state;

	flush(build);
	MemoryContextDelete(build->context);
}
