/*-------------------------------------------------------------------------
 *
 * am_build.c
 *	  CREATE INDEX.
 *
 * Nobody else sees the index until it is committed, so its pages are written
 * without WAL, and logged as whole pages at the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xloginsert.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/backend_progress.h"
#include "utils/memutils.h"

#include "am/am_build.h"
#include "am/am_private.h"
#include "compat/pgcompat.h"

char *
vk_build_phase(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
			return "initializing";
		case VK_PHASE_LOAD:
			return "reading table and loading rows";
		case VK_PHASE_SPLITS:
			return "loading splits";
		case VK_PHASE_WAL:
			return "writing WAL";
		default:
			return NULL;
	}
}

void
vk_build_init(VkBuild *build, VkIndex *index)
{
	build->index = index;
	build->index->building = true;
	build->context = AllocSetContextCreate(CurrentMemoryContext, "vektonn build",
										   ALLOCSET_DEFAULT_SIZES);
}

void
vk_build_row(VkBuild *build, ItemPointer tid, Datum *values, bool *isnull)
{
	MemoryContext old = MemoryContextSwitchTo(build->context);

	if (build->team != NULL)
		vk_split_team_add(build->team, values, isnull, tid);
	else if (build->sort != NULL)
		vk_split_sort_add(build->sort, values, isnull, tid);
	else if (build->bulk != NULL && !isnull[0])
		build->index->store->build_add(build->bulk, tid, PG_DETOAST_DATUM(values[0]));
	else
		vk_insert_values(build->index, values, isnull, tid);
	MemoryContextSwitchTo(old);
	MemoryContextReset(build->context);
}

static void
build_row(Relation rel, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	VkBuild    *build = arg;

	vk_build_row(build, tid, values, isnull);
	build->rows++;
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, (int64) build->rows);
}

/* ------------------------------------------------------------------------
 * A sample for the store to learn from
 * ------------------------------------------------------------------------ */

/* The sample is taken from this many places of the table. */
#define SAMPLE_PLACES	64

typedef struct SampleState
{
	VkIndex    *index;
	VkBuildSample *sample;
	int			wanted;			/* up to the end of this place */
} SampleState;

static void
sample_row(Relation rel, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	SampleState *state = arg;
	VkBuildSample *sample = state->sample;

	if (isnull[0] || sample->count >= state->wanted)
		return;
	if (sample->keys != NULL)
		vk_key_form(state->index, values, isnull, &sample->keys[sample->count]);
	sample->values[sample->count++] = PG_DETOAST_DATUM_COPY(values[0]);
}

/* Up to `wanted` rows from all over the table, in the current context. */
void
vk_build_sample(VkIndex *index, Relation heap, struct IndexInfo *info, int wanted,
				VkBuildSample *sample)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(heap);
	BlockNumber places = Min(nblocks, SAMPLE_PLACES);
	SampleState state = {index, sample, 0};

	sample->count = 0;
	sample->values = palloc(sizeof(struct varlena *) * Max(wanted, 1));
	sample->keys = index->info.nsplit_columns == 0 ? NULL :
		palloc(sizeof(VkSplitKey) * Max(wanted, 1));
	for (BlockNumber place = 0; place < places; place++)
	{
		BlockNumber from = (BlockNumber) ((uint64) place * nblocks / places);
		BlockNumber to = (BlockNumber) ((uint64) (place + 1) * nblocks / places);

		/* a place that has few rows leaves its share to the next ones */
		state.wanted = (int) ((int64) wanted * (place + 1) / places);
		for (BlockNumber block = from; block < to && sample->count < state.wanted; block++)
			(void) table_index_build_range_scan(heap, index->rel, info, false, false, false,
												block, 1, sample_row, &state, NULL);
	}
}

static void
learn_from_sample(VkIndex *index, Relation heap, struct IndexInfo *info)
{
	int			wanted = index->store->sample_rows(&index->info);
	VkBuildSample sample;
	MemoryContext context;
	MemoryContext old;

	if (wanted == 0 || RelationGetNumberOfBlocks(heap) == 0)
		return;
	context = AllocSetContextCreate(CurrentMemoryContext, "vektonn sample",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	vk_build_sample(index, heap, info, wanted, &sample);
	index->store->learn(index, sample.values, sample.count);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Enters the only split of an index without split columns in the directory: its id. */
uint32
vk_build_only_split(VkBuild *build)
{
	bool		isnull = true;
	Datum		value = (Datum) 0;

	vk_key_form(build->index, &value, &isnull, &build->key);
	return vk_split_reserve(build->index, &build->key);
}

static void
count_loaded(void *arg)
{
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, ++*(int64 *) arg);
}

/* Rows are sorted by split first. */
static double
load_splits(VkBuild *build, Relation heap, struct IndexInfo *info)
{
	int			half = maintenance_work_mem / 2;
	int64		loaded = 0;
	double		rows;

	build->sort = vk_split_sort_begin(build->index, half, Max(64, half));
	rows = table_index_build_scan(heap, build->index->rel, info, true, true, build_row, build,
								  NULL);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, VK_PHASE_SPLITS);
	vk_split_sort_load(build->sort, count_loaded, &loaded);
	return rows;
}

/*
 * Reads the table into the index, in one process or several; returns the
 * number of its rows.  One split, and a store that can: then rows go straight
 * to its bulk load.
 */
static double
load(VkBuild *build, Relation heap, struct IndexInfo *info)
{
	VkIndex    *index = build->index;
	const VkStoreOps *store = index->store;
	double		rows;

	if (vk_build_parallel(build, heap, info, &rows))
		return rows;
	if (index->info.nsplit_columns > 0)
		return load_splits(build, heap, info);
	if (store->build_begin != NULL)
		build->bulk = store->build_begin(index, vk_build_only_split(build), maintenance_work_mem);
	rows = table_index_build_scan(heap, index->rel, info, true, true, build_row, build, NULL);
	if (build->bulk != NULL)
		vk_split_set_head(index, &build->key, store->build_end(build->bulk));
	return rows;
}

static VkIndex *
describe_index(Relation rel)
{
	VkIndex    *index = palloc0(sizeof(VkIndex));

	index->rel = rel;
	vk_index_describe(rel, &index->info);
	index->store = vk_store_for(index->info.elem, index->info.algorithm);
	vk_index_init_key(index);
	return index;
}

IndexBuildResult *
vk_build(Relation heap, Relation rel, struct IndexInfo *info)
{
	IndexBuildResult *result = palloc0(sizeof(IndexBuildResult));
	VkBuild		build = {0};

	if (RelationGetNumberOfBlocks(rel) != 0)
		elog(ERROR, "index \"%s\" already contains data", RelationGetRelationName(rel));
	vk_space_forget(rel);
	vk_build_init(&build, describe_index(rel));
	vk_meta_create(build.index, MAIN_FORKNUM);
	vk_dir_create(build.index, MAIN_FORKNUM);

	if (build.index->store->learn != NULL)
		learn_from_sample(build.index, heap, info);

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, VK_PHASE_LOAD);
	result->heap_tuples = load(&build, heap, info);
	result->index_tuples = build.rows;

	if (build.index->store->build_done != NULL)
		build.index->store->build_done(build.index);

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, VK_PHASE_WAL);
	if (RelationNeedsWAL(rel))
		log_newpage_range(rel, MAIN_FORKNUM, 0, RelationGetNumberOfBlocks(rel), true);
	MemoryContextDelete(build.context);
	return result;
}

/* The init fork of an unlogged index, which a crash copies over the main one. */
void
vk_build_empty(Relation rel)
{
	VkIndex    *index = describe_index(rel);

	index->building = true;
	vk_meta_create(index, INIT_FORKNUM);
	vk_dir_create(index, INIT_FORKNUM);
	log_newpage_range(rel, INIT_FORKNUM, 0, 2, true);
}
