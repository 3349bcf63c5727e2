/*-------------------------------------------------------------------------
 *
 * flat_recode.c
 *	  Gives an index a codec: in a build, or once a split has enough rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#include "am/flat/flat_codec.h"
#include "am/flat/flat_private.h"

/* A split of this many rows is worth a codec, and enough to find one. */
#define TRAIN_ROWS		1024

/* The sample's size. */
#define SAMPLE_ROWS		1024
#define SAMPLE_BYTES	(32 * 1024 * 1024)

typedef struct Sampling
{
	VkFlatCodec *as_floats;		/* for the conversion alone */
	float	   *rows;
	int			count;
	int			wanted;
} Sampling;

static void
sampling_start(Sampling *sampling, const VkIndexInfo *info)
{
	sampling->as_floats = vk_flat_codec_make(info, VK_FLAT_IDENTITY, info->dim);
	sampling->count = 0;
	sampling->wanted = vk_flat_sample_rows(info);
	sampling->rows = palloc_extended(sizeof(float) * sampling->wanted * info->dim,
									 MCXT_ALLOC_HUGE);
}

static void
sample_row(void *arg, int slot, const char *elements)
{
	Sampling   *sampling = arg;

	if (sampling->count < sampling->wanted &&
		vk_flat_to_floats(sampling->as_floats, elements,
						  sampling->rows + (Size) sampling->count * sampling->as_floats->dim))
		sampling->count++;
}

/* Calls visit for every group of the split, exclusively locked. */
static void
for_each_group(VkIndex *index, VkStoreRef ref,
			   void (*visit) (VkIndex *index, VkStoreRef ref, Buffer buffer, VkFlatGroup *group,
							  VkFlatLayout *layout, void *arg),
			   void *arg)
{
	Buffer		buffer = vk_page_try(index, ref.head, VK_PAGE_FLAT_HEAD, ref.split_id,
									 BUFFER_LOCK_SHARE);
	VkFlatLayout layout = {0};
	BlockNumber block;

	if (buffer == InvalidBuffer)
		return;
	block = VkPageGetFlatHead(BufferGetPage(buffer))->first;
	vk_page_release(buffer);
	while (block != InvalidBlockNumber)
	{
		CHECK_FOR_INTERRUPTS();
		buffer = vk_page_try(index, block, VK_PAGE_FLAT_GROUP, ref.split_id,
							 BUFFER_LOCK_EXCLUSIVE);
		if (buffer == InvalidBuffer)
			return;
		visit(index, ref, buffer, vk_flat_group(index, buffer, &layout), &layout, arg);
		block = VkPageGetOpaque(BufferGetPage(buffer))->next;
		vk_page_release(buffer);
	}
}

static void
sample_group(VkIndex *index, VkStoreRef ref, Buffer buffer, VkFlatGroup *group,
			 VkFlatLayout *layout, void *arg)
{
	char	   *row = palloc(index->info.row_bytes);

	(void) vk_flat_visit_rows(index, ref.split_id, VkFlatBlocks(group, layout), group->nslots,
							  row, sample_row, arg);
	pfree(row);
}

typedef struct Recoding
{
	VkFlatCodec *codec;
	VkFlatCode *code;
	VkFlatGroup *group;			/* the copy to write to */
	VkFlatLayout *layout;
} Recoding;

static void
recode_row(void *arg, int slot, const char *elements)
{
	Recoding   *recoding = arg;
	VkFlatGroup *group = recoding->group;
	VkFlatLayout *layout = recoding->layout;
	VkFlatCode *code = recoding->code;

	vk_flat_encode(recoding->codec, elements, code);
	VkFlatFloats(group, layout->scale)[slot] = code->scale;
	VkFlatSquares(group, layout)[slot] = code->square;
	VkFlatFloats(group, layout->error)[slot] = code->error;
	VkFlatFloats(group, layout->rest_low)[slot] = code->rest_low;
	VkFlatFloats(group, layout->rest_high)[slot] = code->rest_high;
	memcpy(VkFlatCodeBytes(group, layout) + slot * layout->code_bytes, code->bytes,
		   layout->code_bytes);
}

/* Writes the codes of a group that left room for them. */
static void
recode_group(VkIndex *index, VkStoreRef ref, Buffer buffer, VkFlatGroup *group,
			 VkFlatLayout *layout, void *arg)
{
	Recoding   *recoding = arg;
	VkEdit		edit;
	char	   *row;

	if (group->codec != 0 || group->code_bytes != recoding->codec->code_bytes)
		return;
	row = palloc(index->info.row_bytes);
	vk_edit_start(&edit, index);
	recoding->group = VkPageGetFlatGroup(vk_edit_copy(&edit, buffer));
	recoding->layout = layout;
	if (vk_flat_visit_rows(index, ref.split_id, VkFlatBlocks(group, layout), group->nslots, row,
						   recode_row, recoding))
	{
		recoding->group->codec = recoding->codec->codec;
		vk_edit_commit(&edit);
	}
	pfree(row);
}

static void
train_from_split(VkIndex *index, VkStoreRef ref)
{
	Sampling	sampling;
	Recoding	recoding;
	VkFlatCodec *codec;

	sampling_start(&sampling, &index->info);
	for_each_group(index, ref, sample_group, &sampling);
	codec = vk_flat_train(&index->info, sampling.rows, sampling.count);
	vk_flat_codec_store(index, codec);
	if (codec == NULL)
		return;
	recoding.codec = vk_flat_codec_get(index, codec->codec);
	recoding.code = palloc(offsetof(VkFlatCode, bytes) + codec->code_bytes);
	for_each_group(index, ref, recode_group, &recoding);
}

/*
 * Called when a split got another group.  Trains the index' codec once this
 * split is large enough, unless somebody else is at it.  One insertion pays
 * for it, a fraction of a second, once in the life of an index.
 */
void
vk_flat_maybe_train(VkIndex *index, VkStoreRef ref)
{
	uint16		codec;
	int			code_bytes;
	VkFlatLayout layout;
	Buffer		buffer;
	uint32		ngroups;
	MemoryContext context;
	MemoryContext old;

	vk_flat_codec_current(index, &codec, &code_bytes);
	if (codec != 0 || code_bytes == 0)
		return;
	buffer = vk_page_try(index, ref.head, VK_PAGE_FLAT_HEAD, ref.split_id, BUFFER_LOCK_SHARE);
	if (buffer == InvalidBuffer)
		return;
	ngroups = VkPageGetFlatHead(BufferGetPage(buffer))->ngroups;
	vk_page_release(buffer);
	vk_flat_layout(index->info.row_bytes, code_bytes, &layout);
	if ((int64) (ngroups - 1) * layout.capacity < TRAIN_ROWS)
		return;
	if (!ConditionalLockPage(index->rel, VK_META_BLOCK, ExclusiveLock))
		return;
	vk_flat_codec_current(index, &codec, &code_bytes);
	if (codec == 0 && code_bytes != 0)
	{
		context = AllocSetContextCreate(CurrentMemoryContext, "vektonn training",
										ALLOCSET_DEFAULT_SIZES);
		old = MemoryContextSwitchTo(context);
		train_from_split(index, ref);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
	}
	UnlockPage(index->rel, VK_META_BLOCK, ExclusiveLock);
}

/* How many rows of a table a build should give to vk_flat_learn. */
int
vk_flat_sample_rows(const VkIndexInfo *info)
{
	if (vk_flat_planned_bytes(info) == 0)
		return 0;
	return Max(64, Min(SAMPLE_ROWS, SAMPLE_BYTES / (int) (sizeof(float) * info->dim)));
}

/* In a build: trains the codec before the first row comes, if there are enough. */
void
vk_flat_learn(VkIndex *index, struct varlena **sample, int nsample)
{
	Sampling	sampling;

	sampling_start(&sampling, &index->info);
	if (nsample < sampling.wanted)
		return;
	for (int i = 0; i < nsample; i++)
		sample_row(&sampling, i, (const char *) ((VkVector *) sample[i])->x);
	vk_flat_codec_store(index, vk_flat_train(&index->info, sampling.rows, sampling.count));
}
