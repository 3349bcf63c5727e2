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

#include "am/am_private.h"
#include "compat/pgcompat.h"

typedef struct BuildState
{
	VkIndex    *index;
	MemoryContext context;		/* per row */
	double		rows;
	VkSplitKey	key;			/* of the one split that is loaded in bulk */
	void	   *bulk;			/* state of the store's bulk load, or NULL */
} BuildState;

char *
vk_build_phase(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
			return "initializing";
		case VK_PHASE_LOAD:
			return "reading table and loading rows";
		case VK_PHASE_WAL:
			return "writing WAL";
		default:
			return NULL;
	}
}

static void
build_row(Relation rel, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	BuildState *state = arg;
	MemoryContext old = MemoryContextSwitchTo(state->context);

	if (state->bulk != NULL && !isnull[0])
		state->index->store->build_add(state->bulk, tid, PG_DETOAST_DATUM(values[0]));
	else
		vk_insert_values(state->index, values, isnull, tid);
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->context);
	state->rows++;
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, (int64) state->rows);
}

/* ------------------------------------------------------------------------
 * A sample for the store to learn from
 * ------------------------------------------------------------------------ */

/* The sample is taken from this many places of the table. */
#define SAMPLE_PLACES	64

typedef struct SampleState
{
	struct varlena **rows;
	int			count;
	int			wanted;			/* up to the end of this place */
} SampleState;

static void
sample_row(Relation rel, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	SampleState *state = arg;

	if (!isnull[0] && state->count < state->wanted)
		state->rows[state->count++] = PG_DETOAST_DATUM_COPY(values[0]);
}

static void
learn_from_sample(VkIndex *index, Relation heap, struct IndexInfo *info)
{
	const VkStoreOps *store = index->store;
	BlockNumber nblocks = RelationGetNumberOfBlocks(heap);
	BlockNumber places = Min(nblocks, SAMPLE_PLACES);
	int			wanted = store->sample_rows(&index->info);
	SampleState state = {0};
	MemoryContext context;
	MemoryContext old;

	if (wanted == 0 || nblocks == 0)
		return;
	context = AllocSetContextCreate(CurrentMemoryContext, "vektonn sample",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	state.rows = palloc(sizeof(struct varlena *) * wanted);
	for (BlockNumber place = 0; place < places; place++)
	{
		BlockNumber from = (BlockNumber) ((uint64) place * nblocks / places);
		BlockNumber to = (BlockNumber) ((uint64) (place + 1) * nblocks / places);

		/* a place that has few rows leaves its share to the next ones */
		state.wanted = (int) ((int64) wanted * (place + 1) / places);
		for (BlockNumber block = from; block < to && state.count < state.wanted; block++)
			(void) table_index_build_range_scan(heap, index->rel, info, false, false, false,
												block, 1, sample_row, &state, NULL);
	}
	store->learn(index, state.rows, state.count);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* One split, and a store that can: then rows go straight to its bulk load. */
static void
begin_bulk(BuildState *state)
{
	VkIndex    *index = state->index;
	bool		isnull = true;
	Datum		value = (Datum) 0;

	if (index->info.nsplit_columns > 0 || index->store->build_begin == NULL)
		return;
	vk_key_form(index, &value, &isnull, &state->key);
	state->bulk = index->store->build_begin(index, vk_split_reserve(index, &state->key),
											maintenance_work_mem);
}

static void
end_bulk(BuildState *state)
{
	if (state->bulk != NULL)
		vk_split_set_head(state->index, &state->key, state->index->store->build_end(state->bulk));
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
	BuildState	state = {0};

	if (RelationGetNumberOfBlocks(rel) != 0)
		elog(ERROR, "index \"%s\" already contains data", RelationGetRelationName(rel));
	vk_space_forget(rel);
	state.index = describe_index(rel);
	state.index->building = true;
	state.context = AllocSetContextCreate(CurrentMemoryContext, "vektonn build",
										  ALLOCSET_DEFAULT_SIZES);
	vk_meta_create(state.index, MAIN_FORKNUM);
	vk_dir_create(state.index, MAIN_FORKNUM);

	if (state.index->store->learn != NULL)
		learn_from_sample(state.index, heap, info);

	begin_bulk(&state);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, VK_PHASE_LOAD);
	result->heap_tuples = table_index_build_scan(heap, rel, info, true, true, build_row,
												 &state, NULL);
	end_bulk(&state);
	result->index_tuples = state.rows;

	if (state.index->store->build_done != NULL)
		state.index->store->build_done(state.index);

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, VK_PHASE_WAL);
	if (RelationNeedsWAL(rel))
		log_newpage_range(rel, MAIN_FORKNUM, 0, RelationGetNumberOfBlocks(rel), true);
	MemoryContextDelete(state.context);
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
