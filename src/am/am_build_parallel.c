/*-------------------------------------------------------------------------
 *
 * am_build_parallel.c
 *	  CREATE INDEX by several processes.
 *
 * The leader makes what the processes share, a segment of dynamic shared memory,
 * starts workers, and then all of them, itself included, take blocks of one
 * parallel scan of the table.  Without split columns they add its rows to one
 * store; rows whose vector is NULL go where an insertion would put them.  With
 * split columns see am_build_team.c.
 *
 * If there is no memory to share, or no worker is free, one process builds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "pgstat.h"
#include "storage/condition_variable.h"
#include "storage/spin.h"
#include "tcop/tcopprot.h"
#include "utils/backend_progress.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "am/am_build.h"
#include "am/am_private.h"
#include "util/subtransaction.h"

/* Keys in the shared memory of the parallel context. */
#define KEY_SHARED		UINT64CONST(0x766B000000000001)
#define KEY_SCAN		UINT64CONST(0x766B000000000002)
#define KEY_QUERY		UINT64CONST(0x766B000000000003)

/* While it waits, the leader reports progress this often. */
#define PROGRESS_MS		500

/* A table three times as large as what is worth a worker is worth one more. */
#define BLOCKS_FACTOR	3

/* Rows on their way to one store have this share of maintenance_work_mem. */
#define PROCESS_SHARE	8

/* Room in shared memory over what the number of rows is estimated to need. */
#define SHARED_SLACK	1.25

typedef struct ParallelBuild
{
	Oid			heap;
	Oid			rel;
	bool		concurrent;
	dsm_handle	segment;		/* what the rows go to */
	pg_atomic_uint64 rows;		/* added by all */
	ConditionVariable changed;	/* running */
	slock_t		mutex;			/* protects the following */
	int			running;		/* workers that have not finished */
	int			started;		/* workers numbered so far */
	double		heap_rows;		/* seen by those that have finished */
	bool		broken_hot_chain;
} ParallelBuild;

PGDLLEXPORT void vk_build_worker(dsm_segment *segment, shm_toc *toc);

/* Workers for the size of the table, that of its large values included. */
static int
workers_for_size(Relation heap)
{
	uint64		blocks = RelationGetNumberOfBlocks(heap);
	uint64		least = Max(min_parallel_table_scan_size, 1);
	int			workers = 0;

	if (OidIsValid(heap->rd_rel->reltoastrelid))
	{
		Relation	toast = table_open(heap->rd_rel->reltoastrelid, AccessShareLock);

		blocks += RelationGetNumberOfBlocks(toast);
		table_close(toast, AccessShareLock);
	}
	for (; blocks >= least; blocks /= BLOCKS_FACTOR)
		workers++;
	return workers;
}

/*
 * How many workers to ask for.  The planner knows what is safe; but it counts
 * neither TOASTed vectors nor that our processes share maintenance_work_mem.
 */
static int
choose_workers(Relation heap, Relation rel, struct IndexInfo *info)
{
	int			option = RelationGetParallelWorkers(heap, -1);
	int			planned;

	if (max_parallel_maintenance_workers == 0 || RelationUsesLocalBuffers(heap) ||
		!IsNormalProcessingMode() || IsInParallelMode())
		return 0;
	planned = plan_create_index_workers(RelationGetRelid(heap), RelationGetRelid(rel));
	if (planned == 0 && (option >= 0 || info->ii_Expressions != NIL || info->ii_Predicate != NIL))
		return 0;
	if (option < 0)
		planned = Max(planned, workers_for_size(heap));
	return Min(planned, max_parallel_maintenance_workers);
}

static void
build_row(Relation rel, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	VkBuild    *build = arg;
	uint64		rows;

	vk_build_row(build, tid, values, isnull);
	rows = pg_atomic_add_fetch_u64(build->shared_rows, 1);
	if (!IsParallelWorker())
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, (int64) rows);
}

/* Reads a part of the table. */
static void
scan_part(VkBuild *build, ParallelBuild *shared, shm_toc *toc, Relation heap,
		  struct IndexInfo *info)
{
	ParallelTableScanDesc part = shm_toc_lookup(toc, KEY_SCAN, false);
	TableScanDesc scan = table_beginscan_parallel(heap, part);
	double		rows;

	build->shared_rows = &shared->rows;
	rows = table_index_build_scan(heap, build->index->rel, info, true, !IsParallelWorker(),
								  build_row, build, scan);
	SpinLockAcquire(&shared->mutex);
	shared->heap_rows += rows;
	shared->broken_hot_chain |= info->ii_BrokenHotChain;
	SpinLockRelease(&shared->mutex);
}

/* The part of one process; leader as worker. */
static void
load_part(VkBuild *build, ParallelBuild *shared, shm_toc *toc, Relation heap,
		  struct IndexInfo *info)
{
	scan_part(build, shared, toc, heap, info);
	if (build->team != NULL)
		vk_split_team_load(build->team);
	else
		build->index->store->share_detach(build->bulk);
}

/* Makes the process, numbered from 0, one of those that use the segment. */
static void
attach(VkBuild *build, dsm_segment *segment, int process)
{
	VkIndex    *index = build->index;

	if (index->info.nsplit_columns > 0)
		build->team = vk_split_team_attach(index, segment, process);
	else
		build->bulk = index->store->share_attach(index, dsm_segment_address(segment), process);
}

void
vk_build_worker(dsm_segment *segment, shm_toc *toc)
{
	ParallelBuild *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	Relation	heap;
	Relation	rel;
	dsm_segment *memory;
	VkBuild		build = {0};
	struct IndexInfo *info;
	int			process;

	debug_query_string = shm_toc_lookup(toc, KEY_QUERY, true);
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	heap = table_open(shared->heap, shared->concurrent ? ShareUpdateExclusiveLock : ShareLock);
	rel = index_open(shared->rel, shared->concurrent ? RowExclusiveLock : AccessExclusiveLock);
	info = BuildIndexInfo(rel);
	info->ii_Concurrent = shared->concurrent;
	SpinLockAcquire(&shared->mutex);
	process = ++shared->started;
	SpinLockRelease(&shared->mutex);

	vk_build_init(&build, vk_index_open(rel));
	memory = dsm_attach(shared->segment);
	if (memory == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not map dynamic shared memory segment")));
	attach(&build, memory, process);
	load_part(&build, shared, toc, heap, info);
	dsm_detach(memory);

	SpinLockAcquire(&shared->mutex);
	shared->running--;
	SpinLockRelease(&shared->mutex);
	ConditionVariableBroadcast(&shared->changed);
	index_close(rel, NoLock);
	table_close(heap, NoLock);
}

/* Makes and starts the workers; NULL if there cannot be any. */
static ParallelContext *
launch(VkBuild *build, Relation heap, struct IndexInfo *info, dsm_segment *segment, int workers,
	   Snapshot snapshot)
{
	ParallelContext *context = CreateParallelContext("vektonn", "vk_build_worker", workers);
	ParallelBuild *shared;
	ParallelTableScanDesc scan;
	Size		scan_size = table_parallelscan_estimate(heap, snapshot);
	Size		query_size = debug_query_string ? strlen(debug_query_string) + 1 : 0;

	shm_toc_estimate_chunk(&context->estimator, sizeof(ParallelBuild));
	shm_toc_estimate_chunk(&context->estimator, scan_size);
	shm_toc_estimate_chunk(&context->estimator, query_size);
	shm_toc_estimate_keys(&context->estimator, 3);
	InitializeParallelDSM(context);
	if (context->seg == NULL)
	{
		DestroyParallelContext(context);
		return NULL;
	}

	shared = shm_toc_allocate(context->toc, sizeof(ParallelBuild));
	memset(shared, 0, sizeof(*shared));
	shared->heap = RelationGetRelid(heap);
	shared->rel = RelationGetRelid(build->index->rel);
	shared->concurrent = info->ii_Concurrent;
	shared->segment = dsm_segment_handle(segment);
	pg_atomic_init_u64(&shared->rows, 0);
	ConditionVariableInit(&shared->changed);
	SpinLockInit(&shared->mutex);
	shared->running = workers;
	shm_toc_insert(context->toc, KEY_SHARED, shared);
	scan = shm_toc_allocate(context->toc, scan_size);
	table_parallelscan_initialize(heap, scan, snapshot);
	shm_toc_insert(context->toc, KEY_SCAN, scan);
	if (query_size > 0)
		shm_toc_insert(context->toc, KEY_QUERY,
					   memcpy(shm_toc_allocate(context->toc, query_size), debug_query_string,
							  query_size));
	LaunchParallelWorkers(context);

	/* those that could not be started have finished */
	SpinLockAcquire(&shared->mutex);
	shared->running -= workers - context->nworkers_launched;
	SpinLockRelease(&shared->mutex);
	if (build->team != NULL)
		vk_split_team_absent(build->team, workers - context->nworkers_launched);
	WaitForParallelWorkersToAttach(context);
	return context;
}

/* Until the last worker has finished; errors of workers are raised here. */
static void
wait_for_workers(ParallelBuild *shared, pg_atomic_uint64 *rows)
{
	for (;;)
	{
		int			running;

		SpinLockAcquire(&shared->mutex);
		running = shared->running;
		SpinLockRelease(&shared->mutex);
		if (running == 0)
			break;
		(void) ConditionVariableTimedSleep(&shared->changed, PROGRESS_MS,
										   WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE,
									 (int64) pg_atomic_read_u64(rows));
	}
	ConditionVariableCancelSleep();
}

/* Leader and workers; false, with nothing done: no worker could be had. */
static bool
run(VkBuild *build, Relation heap, struct IndexInfo *info, dsm_segment *segment, int workers,
	double *heap_rows)
{
	ParallelContext *context;
	Snapshot	snapshot = info->ii_Concurrent ?
	RegisterSnapshot(GetTransactionSnapshot()) : SnapshotAny;

	EnterParallelMode();
	context = launch(build, heap, info, segment, workers, snapshot);
	if (context != NULL)
	{
		ParallelBuild *shared = shm_toc_lookup(context->toc, KEY_SHARED, false);
		pg_atomic_uint64 *progress = &shared->rows;

		ereport(DEBUG1,
				(errmsg_plural("index \"%s\" is built by %d process",
							   "index \"%s\" is built by %d processes",
							   context->nworkers_launched + 1,
							   RelationGetRelationName(build->index->rel),
							   context->nworkers_launched + 1)));
		load_part(build, shared, context->toc, heap, info);
		if (build->team != NULL)
			progress = vk_split_team_loaded(build->team);
		wait_for_workers(shared, progress);
		WaitForParallelWorkersToFinish(context);
		*heap_rows = shared->heap_rows;
		build->rows += pg_atomic_read_u64(&shared->rows);
		info->ii_BrokenHotChain |= shared->broken_hot_chain;
		DestroyParallelContext(context);
	}
	if (IsMVCCSnapshot(snapshot))
		UnregisterSnapshot(snapshot);
	ExitParallelMode();
	return context != NULL;
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

/* For one store that all add to. */
static dsm_segment *
share_store(VkBuild *build, const VkBuildSample *sample, double rows, int nprocesses)
{
	VkIndex    *index = build->index;
	const VkStoreOps *store = index->store;
	Size		memory = (Size) maintenance_work_mem * 1024;
	double		wanted = rows * SHARED_SLACK *
	store->share_row_bytes(index, sample->values, sample->count);
	VkShareArea area;
	dsm_segment *segment;

	area.process_memory = memory / PROCESS_SHARE / nprocesses;
	area.size = (Size) Min(wanted, (double) (memory - memory / PROCESS_SHARE)) +
		store->share_least(index);
	area.nprocesses = nprocesses;
	area.rows = rows;
	segment = try_segment(index, area.size);
	if (segment == NULL)
		return NULL;
	area.memory = dsm_segment_address(segment);
	store->share_begin(index, vk_build_only_split(build), &area, sample->values, sample->count);
	return segment;
}

/* For the rows of all splits. */
static dsm_segment *
share_splits(VkBuild *build, const VkBuildSample *sample, double rows, int nprocesses)
{
	VkSplitPlan *plan = vk_split_plan(build->index, sample, rows, nprocesses);
	dsm_segment *segment = try_segment(build->index, vk_split_plan_size(plan));

	if (segment != NULL)
		vk_split_team_create(plan, segment);
	return segment;
}

/* What the processes share; NULL if that cannot be, or there is nothing to do. */
static dsm_segment *
share(VkBuild *build, Relation heap, struct IndexInfo *info, int nprocesses)
{
	VkIndex    *index = build->index;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "vektonn sample",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	dsm_segment *segment = NULL;
	VkBuildSample sample;
	BlockNumber blocks;
	double		rows;
	double		all_visible;

	vk_build_sample(index, heap, info, index->store->share_sample(&index->info), &sample);
	estimate_rel_size(heap, NULL, &blocks, &rows, &all_visible);
	rows = Max(rows, sample.count);
	if (sample.count > 0)
		segment = index->info.nsplit_columns > 0 ?
			share_splits(build, &sample, rows, nprocesses) :
			share_store(build, &sample, rows, nprocesses);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return segment;
}

/*
 * Loads all rows by several processes, if that pays and can be.  False: nothing
 * done.
 */
bool
vk_build_parallel(VkBuild *build, Relation heap, struct IndexInfo *info, double *heap_rows)
{
	VkIndex    *index = build->index;
	dsm_segment *segment;
	int			workers;
	bool		done;

	if (index->store->share_begin == NULL ||
		(workers = choose_workers(heap, index->rel, info)) == 0 ||
		(segment = share(build, heap, info, workers + 1)) == NULL)
		return false;
	attach(build, segment, 0);
	done = run(build, heap, info, segment, workers, heap_rows);
	if (done && build->bulk != NULL)
	{
		attach(build, segment, 0);
		vk_split_set_head(index, &build->key, index->store->build_end(build->bulk));
	}
	else if (build->bulk != NULL)
		index->store->share_detach(build->bulk);
	build->bulk = NULL;
	build->team = NULL;
	dsm_detach(segment);
	return done;
}
