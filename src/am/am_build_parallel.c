/*-------------------------------------------------------------------------
 *
 * am_build_parallel.c
 *	  CREATE INDEX by several processes.
 *
 * The leader makes what the store's processes share (share_begin), starts
 * workers, and then all of them, itself included, take blocks of one parallel
 * scan of the table and add their rows.  Rows whose vector is NULL go where
 * an insertion would put them.  When all are done, the leader ends the build
 * alone, as if it had built alone.
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

/* Keys in the shared memory of the parallel context. */
#define KEY_SHARED		UINT64CONST(0x766B000000000001)
#define KEY_SCAN		UINT64CONST(0x766B000000000002)
#define KEY_QUERY		UINT64CONST(0x766B000000000003)

/* While it waits, the leader reports progress this often. */
#define PROGRESS_MS		500

/* A table three times as large as what is worth a worker is worth one more. */
#define BLOCKS_FACTOR	3

typedef struct ParallelBuild
{
	Oid			heap;
	Oid			rel;
	bool		concurrent;
	uint32		store_handle;
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

/* The part of one process; leader as worker. */
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

void
vk_build_worker(dsm_segment *segment, shm_toc *toc)
{
	ParallelBuild *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	Relation	heap;
	Relation	rel;
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
	build.bulk = build.index->store->share_attach(build.index, shared->store_handle, process);
	scan_part(&build, shared, toc, heap, info);
	build.index->store->share_detach(build.bulk);

	SpinLockAcquire(&shared->mutex);
	shared->running--;
	SpinLockRelease(&shared->mutex);
	ConditionVariableBroadcast(&shared->changed);
	index_close(rel, NoLock);
	table_close(heap, NoLock);
}

/* Makes and starts the workers; NULL if there cannot be any. */
static ParallelContext *
launch(VkBuild *build, Relation heap, struct IndexInfo *info, int workers, Snapshot snapshot)
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
	shared->store_handle = build->index->store->share_handle(build->bulk);
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
	WaitForParallelWorkersToAttach(context);
	return context;
}

/* Until the last worker has finished; errors of workers are raised here. */
static void
wait_for_workers(ParallelBuild *shared)
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
									 (int64) pg_atomic_read_u64(&shared->rows));
	}
	ConditionVariableCancelSleep();
}

/* Leader and workers; false, with nothing done: no worker could be had. */
static bool
run(VkBuild *build, Relation heap, struct IndexInfo *info, int workers, double *heap_rows)
{
	ParallelContext *context;
	Snapshot	snapshot = info->ii_Concurrent ?
	RegisterSnapshot(GetTransactionSnapshot()) : SnapshotAny;

	EnterParallelMode();
	context = launch(build, heap, info, workers, snapshot);
	if (context != NULL)
	{
		ParallelBuild *shared = shm_toc_lookup(context->toc, KEY_SHARED, false);

		ereport(DEBUG1,
				(errmsg_plural("index \"%s\" is built by %d process",
							   "index \"%s\" is built by %d processes",
							   context->nworkers_launched + 1,
							   RelationGetRelationName(build->index->rel),
							   context->nworkers_launched + 1)));
		scan_part(build, shared, context->toc, heap, info);
		wait_for_workers(shared);
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

/*
 * Begins the bulk load of the split for several processes, if that pays and can
 * be; then loads all rows.  False: nothing done.
 */
bool
vk_build_parallel(VkBuild *build, Relation heap, struct IndexInfo *info, uint32 split_id,
				  double *heap_rows)
{
	const VkStoreOps *store = build->index->store;
	MemoryContext context;
	MemoryContext old;
	struct varlena **sample;
	int			nsample;
	int			workers;
	BlockNumber blocks;
	double		rows;
	double		all_visible;

	if (store->share_begin == NULL || (workers = choose_workers(heap, build->index->rel, info)) == 0)
		return false;
	context = AllocSetContextCreate(CurrentMemoryContext, "vektonn sample",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	nsample = vk_build_sample(build->index, heap, info, store->share_sample(&build->index->info),
							  &sample);
	MemoryContextSwitchTo(old);
	estimate_rel_size(heap, NULL, &blocks, &rows, &all_visible);
	build->bulk = store->share_begin(build->index, split_id, maintenance_work_mem, rows, sample,
									 nsample, workers + 1);
	MemoryContextDelete(context);
	if (build->bulk == NULL)
		return false;
	if (run(build, heap, info, workers, heap_rows))
		return true;
	store->share_detach(build->bulk);
	build->bulk = NULL;
	return false;
}
