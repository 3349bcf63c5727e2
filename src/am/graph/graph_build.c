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
 * Several processes work on a graph in shared memory, a segment no larger than
 * maintenance_work_mem, made before the first worker is started: should there be
 * no room for it, one process builds in its own memory.  The center is that of
 * a sample.  When the memory is full, all finish what they are at, one writes
 * the pages, and all go on on pages.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/dsm.h"
#include "storage/lmgr.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "am/graph/graph_batch.h"
#include "am/graph/graph_mem.h"
#include "am/graph/graph_private.h"
#include "util/subtransaction.h"

/* The center is the mean of so many rows. */
#define CENTER_ROWS		1000

/* Batches of all processes: at most this share of the memory, and so much each. */
#define BATCH_SHARE		8
#define BATCH_BYTES		((Size) 16 * 1024 * 1024)

/* Room in shared memory over what the number of rows is estimated to need. */
#define SHARED_SLACK	1.25

/* Where a build by several processes is. */
typedef enum BuildPhase
{
	BUILD_MEMORY,
	BUILD_WRITING,				/* somebody waits until nobody inserts any
								 * more, then writes the pages */
	BUILD_PAGES
} BuildPhase;

/* The begin of the segment of a build by several processes. */
typedef struct SharedBuild
{
	uint64		seed;
	uint32		split_id;
	int			nprocesses;		/* at most */
	Size		graph_offset;	/* from here */
	Size		graph_size;
	Size		batch_size;		/* of each process */
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
	dsm_segment *segment;

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

/* Memory of a process for rows that wait. */
static Size
batch_size(Size memory, int nprocesses)
{
	return Min(memory / BATCH_SHARE / nprocesses, BATCH_BYTES);
}

void *
vk_graph_build_begin(VkIndex *index, uint32 split_id, int maintenance_work_mem_kb)
{
	VkGraphBuild *build = make_build(index, split_id, pg_prng_uint64(&pg_global_prng_state));
	MemoryContext old = MemoryContextSwitchTo(build->context);

	build->memory = (Size) maintenance_work_mem_kb * 1024;
	vk_batch_init(&build->batch, &build->space, batch_size(build->memory, 1));
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

typedef struct SegmentRequest
{
	Size		size;
	dsm_segment *segment;		/* NULL if there are too many */
} SegmentRequest;

static void
create_segment(void *arg)
{
	SegmentRequest *request = arg;

	request->segment = dsm_create(request->size, DSM_CREATE_NULL_IF_MAXSEGMENTS);
	/* It outlives the subtransaction. */
	if (request->segment != NULL)
		dsm_pin_mapping(request->segment);
}

/*
 * A segment of shared memory that lives until the end of the transaction; NULL,
 * after a NOTICE, if it is not to be had: /dev/shm of a container may be small.
 */
static dsm_segment *
try_segment(VkIndex *index, Size size)
{
	SegmentRequest request = {size, NULL};
	ErrorData  *error = vk_in_subtransaction(create_segment, &request);

	if (error != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		ereport(NOTICE,
				(errmsg("index \"%s\" is built by one process",
						RelationGetRelationName(index->rel)),
				 errdetail("There is no shared memory for several: %s.", error->message),
				 errhint("They need as much as the index will take, at most maintenance_work_mem.")));
		return NULL;
	}
	if (request.segment != NULL)
		dsm_unpin_mapping(request.segment);
	return request.segment;
}

/* Bytes of one row, with its share of upper levels. */
static double
row_bytes(VkGraphBuild *build, struct varlena **sample, int nsample)
{
	const VkGraphLayout *lay = &build->space.lay;
	double		slots = 0;

	for (int i = 0; i < nsample; i++)
		slots += vk_graph_slots(lay, vk_space_size(&build->space, sample[i]));
	return slots / nsample * lay->slot_size * (VK_LEVEL_FANOUT + 1) / VK_LEVEL_FANOUT;
}

int
vk_graph_build_sample(const VkIndexInfo *info)
{
	return CENTER_ROWS;
}

/* In a process, leader or worker, once the segment is filled in. */
static void
attach(VkGraphBuild *build, dsm_segment *segment, int process)
{
	SharedBuild *shared = dsm_segment_address(segment);
	MemoryContext old = MemoryContextSwitchTo(build->context);

	build->segment = segment;
	build->shared = shared;
	build->started = true;
	if (shared->centered)
		vk_space_set_center(&build->space, shared->center);
	vk_batch_init(&build->batch, &build->space, shared->batch_size);
	(void) lock_tranche();
	vk_mem_shared_attach(&build->graph, &build->space, (char *) shared + shared->graph_offset,
						 shared->graph_size, process);
	MemoryContextSwitchTo(old);
}

void *
vk_graph_build_share(VkIndex *index, uint32 split_id, int maintenance_work_mem_kb,
					 double rows, struct varlena **sample, int nsample, int nprocesses)
{
	VkGraphBuild *build;
	const VkGraphLayout *lay;
	Size		header;
	double		wanted;
	Size		memory;
	Size		batch;
	Size		size;
	dsm_segment *segment;
	SharedBuild *shared;

	if (nsample == 0)
		return NULL;
	build = make_build(index, split_id, pg_prng_uint64(&pg_global_prng_state));
	lay = &build->space.lay;
	header = offsetof(SharedBuild, center);
	if (vk_graph_wants_center(lay))
		header += vk_graph_dense_size(lay);
	header = TYPEALIGN(64, header);
	wanted = Max(rows, nsample) * row_bytes(build, sample, nsample) * SHARED_SLACK;
	memory = (Size) maintenance_work_mem_kb * 1024;
	batch = batch_size(memory, nprocesses);
	size = (Size) Min(wanted, (double) (memory - batch * nprocesses));
	size = Max(size, header) + vk_mem_shared_least(lay);
	segment = try_segment(index, size);
	if (segment == NULL)
	{
		MemoryContextDelete(build->context);
		return NULL;
	}

	shared = dsm_segment_address(segment);
	shared->seed = build->seed;
	shared->split_id = split_id;
	shared->nprocesses = nprocesses;
	shared->graph_offset = header;
	shared->graph_size = size - header;
	shared->batch_size = batch;
	SpinLockInit(&shared->mutex);
	shared->phase = BUILD_MEMORY;
	shared->active = 0;
	shared->head = InvalidBlockNumber;
	ConditionVariableInit(&shared->changed);
	shared->centered = vk_graph_wants_center(lay);
	if (shared->centered)
	{
		const char **points = palloc(sizeof(char *) * nsample);

		for (int i = 0; i < nsample; i++)
		{
			char	   *point = palloc(vk_graph_dense_size(lay));

			vk_space_store(&build->space, sample[i], point);
			points[i] = point;
		}
		pack_mean(&build->space, points, nsample, shared->center);
	}
	vk_mem_shared_init((char *) shared + header, lock_tranche());
	attach(build, segment, 0);
	return build;
}

uint32
vk_graph_build_handle(void *state)
{
	return dsm_segment_handle(((VkGraphBuild *) state)->segment);
}

void *
vk_graph_build_attach(VkIndex *index, uint32 handle, int process)
{
	dsm_segment *segment = dsm_attach(handle);
	SharedBuild *shared;
	VkGraphBuild *build;

	if (segment == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not map dynamic shared memory segment")));
	shared = dsm_segment_address(segment);
	build = make_build(index, shared->split_id, shared->seed);
	attach(build, segment, process);
	return build;
}

/* Ends the part of a process, after its last rows; the graph stays. */
void
vk_graph_build_detach(void *state)
{
	VkGraphBuild *build = state;

	flush(build);
	if (build->segment != NULL)
		dsm_detach(build->segment);
	MemoryContextDelete(build->context);
}
