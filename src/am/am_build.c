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

	vk_insert_values(state->index, values, isnull, tid);
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->context);
	state->rows++;
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, (int64) state->rows);
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
	state.index = describe_index(rel);
	state.index->building = true;
	state.context = AllocSetContextCreate(CurrentMemoryContext, "vektonn build",
										  ALLOCSET_DEFAULT_SIZES);
	vk_meta_create(state.index, MAIN_FORKNUM);
	vk_dir_create(state.index, MAIN_FORKNUM);

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, VK_PHASE_LOAD);
	result->heap_tuples = table_index_build_scan(heap, rel, info, true, true, build_row,
												 &state, NULL);
	result->index_tuples = state.rows;

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
