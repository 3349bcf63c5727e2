/*-------------------------------------------------------------------------
 *
 * sparse_bulk.c
 *	  CREATE INDEX: rows go straight to segments, one being built per split.
 *
 * The first rows of a split wait in memory: one that stays small is left as a
 * log, which a search reads faster than it would look up terms.  When the
 * splits under construction take too much memory together, all of them are
 * finished, and begun anew by their next row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "am/sparse/sparse.h"

/* Bytes of vectors that still make a log rather than a segment. */
#define SMALL_BYTES		(4 * BLCKSZ)

/* Rows between two looks at how much memory is in use. */
#define LOOK_EVERY		256

/* A split under construction. */
typedef struct BulkSplit
{
	uint32		split_id;		/* hash key */
	BlockNumber head;
	VkSparseBuilder *builder;	/* NULL while the split is small */
	int			waiting;
	int			allocated;
	ItemPointerData *tids;
	VkSparsevec **vectors;		/* copies */
	Size		bytes;
} BulkSplit;

/* A CREATE INDEX; index->store_build. */
typedef struct BulkState
{
	MemoryContext context;
	HTAB	   *splits;
	int64		rows;
} BulkState;

static Size
memory_limit(void)
{
	return (Size) maintenance_work_mem * 1024;
}

static BulkState *
begin_state(VkIndex *index)
{
	MemoryContext context = AllocSetContextCreate(GetMemoryChunkContext(index),
												  "vektonn sparse bulk", ALLOCSET_DEFAULT_SIZES);
	BulkState  *state = MemoryContextAllocZero(context, sizeof(BulkState));
	HASHCTL		control = {0};

	control.keysize = sizeof(uint32);
	control.entrysize = sizeof(BulkSplit);
	control.hcxt = context;
	state->context = context;
	state->splits = hash_create("vektonn sparse bulk", 64, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	index->store_build = state;
	return state;
}

static VkStoreRef
split_ref(const BulkSplit *split)
{
	VkStoreRef	ref = {split->split_id, split->head};

	return ref;
}

static void
finish_segment(VkIndex *index, BulkSplit *split)
{
	VkSparseSegment segment;

	vk_sparse_builder_finish(split->builder, &segment);
	vk_sparse_segment_update(index, split_ref(split), &segment);
	split->builder = NULL;
}

static void
add_to_segment(VkIndex *index, BulkSplit *split, ItemPointer tid, const VkSparsevec *vec)
{
	VkSparse	view = vk_sparse_view(vec);

	if (split->builder != NULL && vk_sparse_builder_full(split->builder))
		finish_segment(index, split);
	if (split->builder == NULL)
	{
		vk_sparse_make_room(index, split_ref(split));
		split->builder = vk_sparse_builder_begin(index, split_ref(split), memory_limit());
	}
	vk_sparse_builder_add(split->builder, tid, &view);
}

static void
keep_waiting(BulkSplit *split, ItemPointer tid, const VkSparsevec *vec)
{
	VkSparsevec *copy = palloc(VARSIZE(vec));

	if (split->waiting == split->allocated)
	{
		split->allocated = Max(16, split->allocated * 2);
		split->tids = split->waiting == 0 ? palloc(sizeof(ItemPointerData) * split->allocated) :
			repalloc(split->tids, sizeof(ItemPointerData) * split->allocated);
		split->vectors = split->waiting == 0 ? palloc(sizeof(VkSparsevec *) * split->allocated) :
			repalloc(split->vectors, sizeof(VkSparsevec *) * split->allocated);
	}
	memcpy(copy, vec, VARSIZE(vec));
	split->tids[split->waiting] = *tid;
	split->vectors[split->waiting++] = copy;
	split->bytes += VARSIZE(vec);
}

/* Writes the rows that waited to the segment, or to the log. */
static void
flush_waiting(VkIndex *index, BulkSplit *split)
{
	for (int i = 0; i < split->waiting; i++)
	{
		if (split->bytes > SMALL_BYTES)
			add_to_segment(index, split, &split->tids[i], split->vectors[i]);
		else
			vk_sparse_append(index, split_ref(split), &split->tids[i], split->vectors[i]);
		pfree(split->vectors[i]);
	}
	if (split->allocated > 0)
	{
		pfree(split->tids);
		pfree(split->vectors);
	}
	split->waiting = split->allocated = 0;
}

/* Finishes all splits under construction. */
static void
finish_all(VkIndex *index, BulkState *state)
{
	HASH_SEQ_STATUS status;
	BulkSplit  *split;

	hash_seq_init(&status, state->splits);
	while ((split = hash_seq_search(&status)) != NULL)
	{
		flush_waiting(index, split);
		if (split->builder != NULL)
			finish_segment(index, split);
		hash_search(state->splits, &split->split_id, HASH_REMOVE, NULL);
	}
}

/* Adds a row to an index that is being created. */
void
vk_sparse_bulk_insert(VkIndex *index, VkStoreRef ref, ItemPointer tid, const VkSparsevec *vec)
{
	BulkState  *state = index->store_build != NULL ? index->store_build : begin_state(index);
	MemoryContext old = MemoryContextSwitchTo(state->context);
	BulkSplit  *split;
	bool		found;

	/* Finishing takes about as much memory again. */
	if (++state->rows % LOOK_EVERY == 0 &&
		MemoryContextMemAllocated(state->context, true) > memory_limit() / 2)
		finish_all(index, state);
	split = hash_search(state->splits, &ref.split_id, HASH_ENTER, &found);
	if (!found)
	{
		memset(split, 0, sizeof(*split));
		split->split_id = ref.split_id;
		split->head = ref.head;
	}
	if (split->bytes <= SMALL_BYTES)
		keep_waiting(split, tid, vec);
	else
	{
		flush_waiting(index, split);
		add_to_segment(index, split, tid, vec);
	}
	MemoryContextSwitchTo(old);
}

/* All rows have been inserted. */
void
vk_sparse_build_done(VkIndex *index)
{
	BulkState  *state = index->store_build;

	if (state == NULL)
		return;
	finish_all(index, state);
	MemoryContextDelete(state->context);
	index->store_build = NULL;
}
