/*-------------------------------------------------------------------------
 *
 * flat_batch.c
 *	  Reading flat splits once for many queries.
 *
 * Codes become sketches: the code's bytes times their scale, and as one more
 * coordinate the norm of what the projection leaves, so that the distance of
 * two sketches bounds the distance of the vectors like the codes' bounds do
 * (README.md): with R and r that coordinate, |R - r| is at most the difference
 * of the true rests plus half the widths of the intervals they are known by,
 * which are part of the errors.  Groups without codes give their rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "am/am_batch.h"
#include "am/flat/flat_codec.h"
#include "am/flat/flat_private.h"

/* A sketch longer than this share of a row saves too little. */
#define MAX_SKETCH_SHARE	0.6

/* Rounding of a sketch's coordinates to floats, relative to its norm. */
#define POINT_ROUNDING		2e-7

typedef struct GroupRows
{
	VkFlatLayout layout;
	int			nslots;
	int			nblocks;
	BlockNumber blocks[BLCKSZ / sizeof(BlockNumber)];
	ItemPointerData tids[BLCKSZ / sizeof(ItemPointerData)];
} GroupRows;

static void
batch_describe(VkIndex *index, VkSketchRows *sketches)
{
	VkFlatCodec *codec;
	uint16		number;
	int			code_bytes;

	sketches->width = 0;
	vk_flat_codec_current(index, &number, &code_bytes);
	if (number == 0)
		return;
	codec = vk_flat_codec_get(index, number);
	if (codec->nrows + 1 > index->info.dim * MAX_SKETCH_SHARE)
		return;
	sketches->width = codec->nrows + 1;
	sketches->codec = number;
	sketches->shrink = 1 / (1 + codec->skew);
}

static void
batch_query(VkIndex *index, const VkSketchRows *sketches, const void *elements, float *point,
			VkSketchQuery *sketch)
{
	VkFlatQuery *query = vk_flat_encode_query(vk_flat_codec_get(index, sketches->codec), elements);
	const VkFlatBound *bound = &query->bound;
	int			last = sketches->width - 1;
	double		rounding = POINT_ROUNDING * (bound->query_norm + bound->rest_high);
	double		full = bound->query_norm + bound->query_error;

	memset(sketch, 0, sizeof(*sketch));
	memset(point, 0, sketches->width * sizeof(float));
	sketch->usable = query->usable;
	if (query->usable)
	{
		for (int i = 0; i < last; i++)
			point[i] = (float) (bound->query_scale * query->code[i]);
		if (index->info.metric == VK_METRIC_IP)
		{
			point[last] = (float) bound->rest_high;
			sketch->constant = bound->constant + bound->float_error * bound->mean_norm;
			sketch->of_error = (full + bound->skew * full + bound->float_error) *
				(1 + POINT_ROUNDING);
			sketch->of_norm = bound->query_error + bound->skew * full +
				1.5 * bound->float_error + 2 * rounding;
		}
		else
		{
			point[last] = (float) ((bound->rest_low + bound->rest_high) / 2);
			sketch->error = bound->query_error + (bound->rest_high - bound->rest_low) / 2 +
				rounding;
		}
	}
	pfree(query);
}

/* The rows of a locked group as sketches. */
static void
take_sketches(VkRowSink *sink, VkIndex *index, uint32 split_id, BlockNumber block,
			  VkFlatGroup *group, const VkFlatLayout *layout)
{
	VkSketchRows *to = &sink->sketches;
	bool		is_ip = index->info.metric == VK_METRIC_IP;
	int			last = to->width - 1;

	for (int slot = 0; slot < group->nslots; slot++)
	{
		ItemPointer tid = &VkFlatTids(group, layout)[slot];
		const int8 *code = VkFlatCodeBytes(group, layout) + slot * layout->code_bytes;
		float		scale = VkFlatFloats(group, layout->scale)[slot];
		double		low = VkFlatFloats(group, layout->rest_low)[slot];
		double		high = VkFlatFloats(group, layout->rest_high)[slot];
		double		norm = scale * sqrt((double) VkFlatSquares(group, layout)[slot]);
		float	   *point = to->points + (Size) to->count * to->width;
		VkRowPlace *place = &to->places[to->count];
		int			first = (int64) slot * index->info.row_bytes / VK_PAGE_SPACE;

		if (!ItemPointerIsValid(tid))
			continue;
		for (int i = 0; i < last; i++)
			point[i] = scale * code[i];
		point[last] = (float) (is_ip ? high : (low + high) / 2);
		to->errors[to->count] = (float)
			((VkFlatFloats(group, layout->error)[slot] + (is_ip ? 0 : (high - low) / 2) +
			  POINT_ROUNDING * (norm + high)) * (1 + POINT_ROUNDING));
		to->tids[to->count] = vk_tid_encode(tid);
		place->split_id = split_id;
		place->group = block;
		place->slot = slot;
		place->blocks[0] = VkFlatBlocks(group, layout)[first];
		place->blocks[1] = first + 1 < group->nblocks ?
			VkFlatBlocks(group, layout)[first + 1] : InvalidBlockNumber;
		to->count++;
	}
}

/* Makes room for what one page holds; a row read in part moves to the front. */
static void
reserve_raw(VkRowSink *sink, int row_bytes, int have)
{
	VkRawRows  *raw = &sink->raw;
	int			count = raw->count;

	if (count + VK_RAW_ROWS_MIN(row_bytes) <= raw->capacity)
		return;
	sink->flush_raw(sink);
	memmove(raw->elements, raw->elements + (Size) count * row_bytes, have);
}

/* The rows of a group with their elements, page after page. */
static void
take_rows(VkScan *scan, uint32 split_id, const GroupRows *rows)
{
	VkRawRows  *raw = &scan->sink->raw;
	int			row_bytes = scan->index->info.row_bytes;
	int			have = 0;		/* bytes of the slot's row from earlier pages */
	int			slot = 0;

	for (int number = 0; slot < rows->nslots; number++)
	{
		Buffer		buffer;
		int			at = 0;

		CHECK_FOR_INTERRUPTS();
		reserve_raw(scan->sink, row_bytes, have);
		buffer = vk_page_try(scan->index, rows->blocks[number], VK_PAGE_FLAT_ROWS, split_id,
							 BUFFER_LOCK_SHARE);
		if (buffer == InvalidBuffer)
			return;				/* all rows of the group were vacuumed */
		scan->stats->pages++;
		while (slot < rows->nslots && at < VK_PAGE_SPACE)
		{
			int			part = Min(row_bytes - have, VK_PAGE_SPACE - at);

			memcpy(raw->elements + (Size) raw->count * row_bytes + have,
				   VkPageData(BufferGetPage(buffer)) + at, part);
			have += part;
			at += part;
			if (have < row_bytes)
				continue;
			if (ItemPointerIsValid(&rows->tids[slot]))
				raw->tids[raw->count++] = vk_tid_encode((ItemPointer) &rows->tids[slot]);
			slot++;
			have = 0;
		}
		vk_page_release(buffer);
	}
}

/* Reads the group at block; returns the next one's, or an invalid one. */
static BlockNumber
read_group(VkScan *scan, VkStoreRef ref, BlockNumber block, GroupRows *rows)
{
	VkRowSink  *sink = scan->sink;
	VkSketchRows *sketches = &sink->sketches;
	VkIndex    *index = scan->index;
	Buffer		buffer;
	VkFlatGroup *group;
	BlockNumber next;

	if (sketches->width > 0 && sketches->count + VK_SKETCH_ROWS_MIN > sketches->capacity)
		sink->flush_sketches(sink);
	buffer = vk_page_try(index, block, VK_PAGE_FLAT_GROUP, ref.split_id, BUFFER_LOCK_SHARE);
	if (buffer == InvalidBuffer)
		return InvalidBlockNumber;
	scan->stats->pages++;
	group = vk_flat_group(index, buffer, &rows->layout);
	next = VkPageGetOpaque(BufferGetPage(buffer))->next;
	if (sketches->width > 0 && group->codec == sketches->codec &&
		group->code_bytes >= sketches->width - 1 &&
		group->nslots <= VK_SKETCH_ROWS_MIN)
	{
		take_sketches(sink, index, ref.split_id, block, group, &rows->layout);
		vk_page_release(buffer);
		return next;
	}
	rows->nslots = group->nslots;
	memcpy(rows->blocks, VkFlatBlocks(group, &rows->layout), group->nblocks * sizeof(BlockNumber));
	memcpy(rows->tids, VkFlatTids(group, &rows->layout), group->nslots * sizeof(ItemPointerData));
	vk_page_release(buffer);
	take_rows(scan, ref.split_id, rows);
	return next;
}

static void
batch_read(VkScan *scan, VkStoreRef ref, VkRowSink *sink)
{
	GroupRows  *rows;
	Buffer		buffer = vk_page_try(scan->index, ref.head, VK_PAGE_FLAT_HEAD, ref.split_id,
									 BUFFER_LOCK_SHARE);
	BlockNumber block;

	if (buffer == InvalidBuffer)
		return;
	scan->stats->pages++;
	block = VkPageGetFlatHead(BufferGetPage(buffer))->first;
	vk_page_release(buffer);
	rows = palloc(sizeof(GroupRows));
	memset(&rows->layout, 0, sizeof(rows->layout));
	for (BlockNumber visited = 1; block != InvalidBlockNumber; visited++)
	{
		block = read_group(scan, ref, block, rows);
		vk_page_check_chain(scan->index, visited, block);
		CHECK_FOR_INTERRUPTS();
	}
	pfree(rows);
}

static bool
batch_fetch(VkIndex *index, const VkRowPlace *place, uint64 tid, char *row)
{
	VkFlatRowRef ref = {place->split_id, place->group, place->slot, tid};
	int			row_bytes = index->info.row_bytes;
	int64		start = (int64) place->slot * row_bytes;
	int			first = start / VK_PAGE_SPACE;
	int			last = (start + row_bytes - 1) / VK_PAGE_SPACE;
	int			at = start - (int64) first * VK_PAGE_SPACE;
	int			have = 0;
	BlockNumber many[VK_MAX_DIM * sizeof(float) / VK_PAGE_SPACE + 2];
	const BlockNumber *blocks = place->blocks;

	if (last - first > 1)
	{
		if (!vk_flat_find_blocks(index, &ref, first, last - first + 1, many))
			return false;
		blocks = many;
	}
	for (int number = first; number <= last; number++)
	{
		int			part = Min(row_bytes - have, VK_PAGE_SPACE - at);
		Buffer		buffer = vk_page_try(index, blocks[number - first], VK_PAGE_FLAT_ROWS,
										 place->split_id, BUFFER_LOCK_SHARE);

		if (buffer == InvalidBuffer)
		{
			vk_flat_check_row_gone(index, &ref, number, blocks[number - first]);
			return false;
		}
		memcpy(row + have, VkPageData(BufferGetPage(buffer)) + at, part);
		vk_page_release(buffer);
		vk_last_scan.pages++;
		have += part;
		at = 0;
	}
	return true;
}

const VkBatchOps vk_flat_batch = {
	.has_bounds = vk_flat_metric_has_codes,
	.prune_limit = vk_flat_prune_limit,
	.float_error = vk_flat_float_error,
	.describe = batch_describe,
	.query = batch_query,
	.read = batch_read,
	.fetch = batch_fetch,
};
