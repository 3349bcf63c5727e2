/*-------------------------------------------------------------------------
 *
 * flat_store.c
 *	  The exact store of dense vectors: pages, and insertion.
 *
 * A split is a chain of groups.  A group is one page with the heap TIDs (and
 * codes) of some tens of rows, and the row pages that hold their elements:
 * slot i of a group lies at byte i * row_bytes of the concatenated data areas
 * of its row pages, so rows may span pages and none of them is wasted.
 *
 * An insertion holds the head page shared, which keeps the store from being
 * retired, and the group exclusively, which owns its slots and row pages.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "am/flat/flat_codec.h"
#include "am/flat/flat_private.h"

/*
 * A row on up to this many pages is written in one WAL record with its group;
 * a larger one page by page, and becomes visible with the group's record.
 */
#define ONE_RECORD_PAGES	(VK_EDIT_MAX_PAGES - 1)

/* Up to this share of a group's slots is given up to fill its last row page. */
#define LAYOUT_TRADE	8

static int
layout_blocks(int row_bytes, int capacity)
{
	return ((int64) capacity * row_bytes + VK_PAGE_SPACE - 1) / VK_PAGE_SPACE;
}

static void
layout_arrays(int row_bytes, int code_bytes, int capacity, VkFlatLayout *layout)
{
	int			code_array = code_bytes > 0 ? capacity * sizeof(float) : 0;

	layout->capacity = capacity;
	layout->code_bytes = code_bytes;
	layout->nblocks = layout_blocks(row_bytes, capacity);
	layout->blocks = sizeof(VkFlatGroup);
	layout->scale = layout->blocks + layout->nblocks * sizeof(BlockNumber);
	layout->square = layout->scale + code_array;
	layout->error = layout->square + code_array;
	layout->rest_low = layout->error + code_array;
	layout->rest_high = layout->rest_low + code_array;
	layout->codes = layout->rest_high + code_array;
	layout->tids = layout->codes + (capacity * code_bytes + 1) / 2 * 2;
	layout->used = layout->tids + capacity * sizeof(ItemPointerData);
}

/*
 * The layout of groups with codes of code_bytes.  Deterministic: it is not
 * stored.  Of the capacities close to the largest, the one that wastes the
 * least of its pages.
 */
static void
compute_layout(int row_bytes, int code_bytes, VkFlatLayout *layout)
{
	int			largest = 1;
	int			best = 1;
	double		best_pages = 0;

	for (;;)
	{
		layout_arrays(row_bytes, code_bytes, largest + 1, layout);
		if (layout->used > VK_PAGE_SPACE)
			break;
		largest++;
	}
	for (int capacity = largest; capacity > largest - 1 - largest / LAYOUT_TRADE; capacity--)
	{
		double		pages;

		if (capacity < 1)
			break;
		pages = (1.0 + layout_blocks(row_bytes, capacity)) / capacity;
		if (best_pages == 0 || pages < best_pages)
		{
			best = capacity;
			best_pages = pages;
		}
	}
	layout_arrays(row_bytes, code_bytes, best, layout);
}

/* The same, remembered: insertions ask for it again and again. */
void
vk_flat_layout(int row_bytes, int code_bytes, VkFlatLayout *layout)
{
	static VkFlatLayout last;
	static int	last_row_bytes;

	if (last_row_bytes != row_bytes || last.code_bytes != code_bytes)
	{
		compute_layout(row_bytes, code_bytes, &last);
		last_row_bytes = row_bytes;
	}
	*layout = last;
}

/* Whether the group has not had a row yet, and so its page's arrays are no part of it. */
static bool
group_is_fresh(Page page, const VkFlatLayout *layout)
{
	return VkPageGetFlatGroup(page)->nslots == 0 &&
		((PageHeader) page)->pd_lower == MAXALIGN(SizeOfPageHeaderData) + layout->scale;
}

/* The group on a locked page, checked, and its layout. */
VkFlatGroup *
vk_flat_group(VkIndex *index, Buffer buffer, VkFlatLayout *layout)
{
	Page		page = BufferGetPage(buffer);
	VkFlatGroup *group = VkPageGetFlatGroup(page);

	if (layout->capacity == 0 || layout->code_bytes != group->code_bytes)
	{
		if (group->code_bytes > VK_PAGE_SPACE / 2)
			vk_report_corruption(index->rel, BufferGetBlockNumber(buffer),
								 "A group has codes of %u bytes.", group->code_bytes);
		vk_flat_layout(index->info.row_bytes, group->code_bytes, layout);
	}
	if (group->capacity != layout->capacity || group->nslots > group->capacity ||
		group->nfree > group->nslots || group->nblocks > layout->nblocks ||
		group->nblocks < layout_blocks(index->info.row_bytes, group->nslots) ||
		(group->codec != 0 && group->code_bytes == 0) ||
		((PageHeader) page)->pd_lower != MAXALIGN(SizeOfPageHeaderData) +
		(group_is_fresh(page, layout) ? layout->scale : layout->used))
		vk_report_corruption(index->rel, BufferGetBlockNumber(buffer),
							 "The header of a group is inconsistent.");
	return group;
}

/*
 * Visits the rows of slots 0..nslots-1, page by page, each where it lies, but
 * for those that span pages: they are put together in row (row_bytes).  False
 * if a page changed hands meanwhile: the remaining rows are dead.
 */
bool
vk_flat_visit_rows(VkIndex *index, uint32 split_id, const BlockNumber *blocks, int nslots,
				   char *row, VkFlatRowVisitor visit, void *arg)
{
	int			row_bytes = index->info.row_bytes;
	int			have = 0;		/* bytes of the slot's row from earlier pages */

	for (int slot = 0, number = 0; slot < nslots; number++)
	{
		Buffer		buffer = vk_page_try(index, blocks[number], VK_PAGE_FLAT_ROWS, split_id,
										 BUFFER_LOCK_SHARE);
		const char *data;
		int			at = 0;

		if (buffer == InvalidBuffer)
			return false;
		if ((int64) (number + 1) * VK_PAGE_SPACE < (int64) nslots * row_bytes)
			vk_page_prefetch(index, blocks[number + 1]);
		data = VkPageData(BufferGetPage(buffer));
		while (slot < nslots && at < VK_PAGE_SPACE)
		{
			int			part = Min(row_bytes - have, VK_PAGE_SPACE - at);

			if (part == row_bytes)
				visit(arg, slot, data + at);
			else
			{
				memcpy(row + have, data + at, part);
				if (have + part == row_bytes)
					visit(arg, slot, row);
			}
			have += part;
			at += part;
			if (have == row_bytes)
			{
				slot++;
				have = 0;
			}
		}
		vk_page_release(buffer);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* ------------------------------------------------------------------------
 * Groups
 * ------------------------------------------------------------------------ */

static void
group_init(VkIndex *index, Page page, uint16 codec, int code_bytes)
{
	VkFlatLayout layout;
	VkFlatGroup *group = VkPageGetFlatGroup(page);

	vk_flat_layout(index->info.row_bytes, code_bytes, &layout);
	memset(group, 0, layout.used);
	group->capacity = layout.capacity;
	group->code_bytes = code_bytes;
	group->codec = codec;
	group->free_next = InvalidBlockNumber;
	/* the rest is zero, and no WAL is spent on it, until there is a row */
	VkPageSetUsed(page, layout.scale);
}

static BlockNumber
flat_create(VkIndex *index, uint32 split_id)
{
	Buffer		buffer = vk_page_allocate(index);
	BlockNumber block = BufferGetBlockNumber(buffer);
	VkEdit		edit;
	Page		page;
	VkFlatHead *head;

	vk_edit_start(&edit, index);
	page = vk_edit_new(&edit, buffer, VK_PAGE_FLAT_HEAD, split_id);
	head = VkPageGetFlatHead(page);
	head->ngroups = 0;
	head->first = head->last = head->insert = head->free = InvalidBlockNumber;
	head->unused = 0;
	VkPageSetUsed(page, sizeof(*head));
	vk_edit_commit_release(&edit);
	return block;
}

/* Makes the top of the free stack the group that takes rows. */
static void
pop_free_group(VkIndex *index, Buffer head_buffer, VkFlatHead *head, uint32 split_id)
{
	BlockNumber block = head->free;
	Buffer		buffer = vk_page_read(index, block, VK_PAGE_FLAT_GROUP, split_id,
									  BUFFER_LOCK_EXCLUSIVE);
	VkFlatGroup *group = VkPageGetFlatGroup(BufferGetPage(buffer));
	VkEdit		edit;
	int			page;

	vk_edit_start(&edit, index);
	page = vk_edit_page(&edit, head_buffer);
	vk_edit_put_uint32(&edit, page, &head->insert, block);
	vk_edit_put_uint32(&edit, page, &head->free, group->free_next);
	page = vk_edit_page(&edit, buffer);
	vk_edit_put_uint16(&edit, page, &group->flags, group->flags & ~VK_FLAT_ON_FREE_STACK);
	vk_edit_put_uint32(&edit, page, &group->free_next, InvalidBlockNumber);
	vk_edit_commit(&edit);
	vk_page_release(buffer);
}

/* Appends a new group to the chain and makes it the one that takes rows. */
static void
append_group(VkIndex *index, Buffer head_buffer, VkFlatHead *head, uint32 split_id)
{
	Buffer		last = InvalidBuffer;
	Buffer		new;
	BlockNumber block;
	VkEdit		edit;
	uint16		codec;
	int			code_bytes;
	int			page;

	vk_flat_codec_current(index, &codec, &code_bytes);
	if (head->last != InvalidBlockNumber)
		last = vk_page_read(index, head->last, VK_PAGE_FLAT_GROUP, split_id,
							BUFFER_LOCK_EXCLUSIVE);
	new = vk_page_allocate(index);
	block = BufferGetBlockNumber(new);
	vk_edit_start(&edit, index);
	page = vk_edit_page(&edit, head_buffer);
	vk_edit_put_uint32(&edit, page, &head->ngroups, head->ngroups + 1);
	vk_edit_put_uint32(&edit, page, &head->last, block);
	vk_edit_put_uint32(&edit, page, &head->insert, block);
	if (last != InvalidBuffer)
		vk_edit_put_uint32(&edit, vk_edit_page(&edit, last),
						   &VkPageGetOpaque(BufferGetPage(last))->next, block);
	else
		vk_edit_put_uint32(&edit, page, &head->first, block);
	group_init(index, vk_edit_new(&edit, new, VK_PAGE_FLAT_GROUP, split_id), codec, code_bytes);
	vk_edit_commit(&edit);
	vk_page_release(new);
	if (last != InvalidBuffer)
		vk_page_release(last);
}

/* Gives the split a group with room, unless somebody else just did. */
static void
next_group(VkIndex *index, VkStoreRef ref, BlockNumber full)
{
	Buffer		buffer = vk_page_try(index, ref.head, VK_PAGE_FLAT_HEAD, ref.split_id,
									 BUFFER_LOCK_EXCLUSIVE);
	VkFlatHead *head;
	bool		appended = false;

	if (buffer == InvalidBuffer)
		return;
	head = VkPageGetFlatHead(BufferGetPage(buffer));
	if (head->insert == full)
	{
		if (head->free != InvalidBlockNumber)
			pop_free_group(index, buffer, head, ref.split_id);
		else
		{
			append_group(index, buffer, head, ref.split_id);
			appended = true;
		}
	}
	vk_page_release(buffer);
	if (appended)
		vk_flat_maybe_train(index, ref);
}

/* ------------------------------------------------------------------------
 * Insertion
 * ------------------------------------------------------------------------ */

static int
choose_slot(const VkFlatGroup *group, const VkFlatLayout *layout)
{
	if (group->nfree > 0)
		for (int slot = 0; slot < group->nslots; slot++)
			if (!ItemPointerIsValid(&VkFlatTids(group, layout)[slot]))
				return slot;
	return group->nslots < group->capacity ? group->nslots : -1;
}

/* Bytes from..from+length of row page number of a group: part of the edit. */
static Buffer
edit_rows(VkEdit *edit, int group_page, VkFlatGroup *group, const VkFlatLayout *layout,
		  uint32 split_id, int number, int from, const char *data, int length)
{
	VkIndex    *index = edit->index;
	BlockNumber *blocks = VkFlatBlocks(group, layout);
	Buffer		buffer;
	Page		page;
	int			edit_page;

	if (number >= group->nblocks)
	{
		buffer = vk_page_allocate(index);
		page = vk_edit_new(edit, buffer, VK_PAGE_FLAT_ROWS, split_id);
		memset(VkPageData(page), 0, from);
		memcpy(VkPageData(page) + from, data, length);
		VkPageSetUsed(page, from + length);
		vk_edit_put_uint32(edit, group_page, &blocks[number], BufferGetBlockNumber(buffer));
		return buffer;
	}
	buffer = vk_page_read(index, blocks[number], VK_PAGE_FLAT_ROWS, split_id,
						  BUFFER_LOCK_EXCLUSIVE);
	page = BufferGetPage(buffer);
	edit_page = vk_edit_page(edit, buffer);
	vk_edit_put(edit, edit_page, VkPageData(page) + from, data, length);
	if (((PageHeader) page)->pd_lower < MAXALIGN(SizeOfPageHeaderData) + from + length)
		vk_edit_put_uint16(edit, edit_page, &((PageHeader) page)->pd_lower,
						   MAXALIGN(SizeOfPageHeaderData) + from + length);
	return buffer;
}

/* Writes pages first..last of a row whose group is on buffer, into one edit. */
static int
edit_row_pages(VkEdit *edit, int group_page, VkFlatGroup *group, const VkFlatLayout *layout,
			   uint32 split_id, int64 start, const char *elements, int first, int last,
			   Buffer *buffers)
{
	int64		end = start + edit->index->info.row_bytes;
	int			nbuffers = 0;

	for (int number = first; number <= last; number++)
	{
		int64		from = Max(start, (int64) number * (int64) VK_PAGE_SPACE);
		int64		to = Min(end, (int64) (number + 1) * (int64) VK_PAGE_SPACE);

		buffers[nbuffers++] = edit_rows(edit, group_page, group, layout, split_id, number,
										from - (int64) number * VK_PAGE_SPACE,
										elements + (from - start), to - from);
	}
	if (last >= group->nblocks)
		vk_edit_put_uint16(edit, group_page, &group->nblocks, last + 1);
	return nbuffers;
}

/* The row's code as part of the edit. */
static void
edit_code(VkEdit *edit, int page, VkFlatGroup *group, const VkFlatLayout *layout, int slot,
		  const VkFlatCode *code)
{
	vk_edit_put(edit, page, &VkFlatFloats(group, layout->scale)[slot],
				&code->scale, sizeof(float));
	vk_edit_put_uint32(edit, page, &VkFlatSquares(group, layout)[slot], code->square);
	vk_edit_put(edit, page, &VkFlatFloats(group, layout->error)[slot],
				&code->error, sizeof(float));
	vk_edit_put(edit, page, &VkFlatFloats(group, layout->rest_low)[slot],
				&code->rest_low, sizeof(float));
	vk_edit_put(edit, page, &VkFlatFloats(group, layout->rest_high)[slot],
				&code->rest_high, sizeof(float));
	vk_edit_put(edit, page, VkFlatCodeBytes(group, layout) + slot * layout->code_bytes,
				code->bytes, layout->code_bytes);
}

static void
edit_slot(VkEdit *edit, int page, VkFlatGroup *group, const VkFlatLayout *layout, int slot,
		  ItemPointer tid, const VkFlatCode *code)
{
	if (code != NULL)
		edit_code(edit, page, group, layout, slot, code);
	vk_edit_put(edit, page, &VkFlatTids(group, layout)[slot], tid, sizeof(*tid));
	if (slot == group->nslots)
		vk_edit_put_uint16(edit, page, &group->nslots, slot + 1);
	else
		vk_edit_put_uint16(edit, page, &group->nfree, group->nfree - 1);
}

static void
write_row(VkIndex *index, Buffer group_buffer, VkFlatGroup *group, const VkFlatLayout *layout,
		  uint32 split_id, int slot, ItemPointer tid, const char *elements,
		  const VkFlatCode *code)
{
	int64		start = (int64) slot * index->info.row_bytes;
	int			first = start / VK_PAGE_SPACE;
	int			last = (start + index->info.row_bytes - 1) / VK_PAGE_SPACE;
	Buffer		buffers[ONE_RECORD_PAGES];
	int			nbuffers;
	VkEdit		edit;
	int			page;

	/*
	 * all but the last pages on their own: nobody looks before the slot is
	 * taken
	 */
	while (last - first + 1 > ONE_RECORD_PAGES)
	{
		vk_edit_start(&edit, index);
		page = vk_edit_page(&edit, group_buffer);
		(void) edit_row_pages(&edit, page, group, layout, split_id, start, elements,
							  first, first, buffers);
		vk_edit_commit(&edit);
		vk_page_release(buffers[0]);
		first++;
	}
	vk_edit_start(&edit, index);
	page = vk_edit_page(&edit, group_buffer);
	nbuffers = edit_row_pages(&edit, page, group, layout, split_id, start, elements,
							  first, last, buffers);
	if (group_is_fresh(BufferGetPage(group_buffer), layout))
		vk_edit_put_uint16(&edit, page, &((PageHeader) BufferGetPage(group_buffer))->pd_lower,
						   MAXALIGN(SizeOfPageHeaderData) + layout->used);
	edit_slot(&edit, page, group, layout, slot, tid, code);
	vk_edit_commit(&edit);
	for (int i = 0; i < nbuffers; i++)
		vk_page_release(buffers[i]);
}

/*
 * The row's code for the codec of its group, or NULL.  It is mostly computed
 * before the group is locked, in the hope that its codec is the one seen last.
 */
static VkFlatCode *
make_code(VkIndex *index, uint16 number, const void *elements)
{
	VkFlatCodec *codec;
	VkFlatCode *code;

	if (number == 0)
		return NULL;
	codec = vk_flat_codec_get(index, number);
	code = palloc(offsetof(VkFlatCode, bytes) + codec->code_bytes);
	vk_flat_encode(codec, elements, code);
	return code;
}

static bool
flat_insert(VkIndex *index, VkStoreRef ref, ItemPointer tid, const struct varlena *value)
{
	const char *elements = (const char *) ((const VkVector *) value)->x;
	uint16		codec = index->store_hint;
	VkFlatCode *code = make_code(index, codec, elements);
	VkFlatLayout layout = {0};

	for (;;)
	{
		Buffer		head_buffer = vk_page_try(index, ref.head, VK_PAGE_FLAT_HEAD, ref.split_id,
											  BUFFER_LOCK_SHARE);
		BlockNumber block;

		CHECK_FOR_INTERRUPTS();
		if (head_buffer == InvalidBuffer)
			return false;
		block = VkPageGetFlatHead(BufferGetPage(head_buffer))->insert;
		if (block != InvalidBlockNumber)
		{
			Buffer		buffer = vk_page_read(index, block, VK_PAGE_FLAT_GROUP, ref.split_id,
											  BUFFER_LOCK_EXCLUSIVE);
			VkFlatGroup *group = vk_flat_group(index, buffer, &layout);
			int			slot = choose_slot(group, &layout);

			if (slot >= 0)
			{
				if (group->codec != codec)
				{
					codec = index->store_hint = group->codec;
					code = make_code(index, codec, elements);
				}
				write_row(index, buffer, group, &layout, ref.split_id, slot, tid, elements,
						  code);
				vk_page_release(buffer);
				vk_page_release(head_buffer);
				return true;
			}
			vk_page_release(buffer);
		}
		vk_page_release(head_buffer);
		next_group(index, ref, block);
	}
}

/* For the planner: a scan in sequence, and a row found at random. */
#define SECONDS_PER_BYTE	1e-10
#define SECONDS_PER_PAGE	3e-7
#define SECONDS_PER_RANDOM	1e-6

/* Bytes of a code's bounds and TID; rows that bounds leave, at least and per k. */
#define CODE_OVERHEAD		26
#define SURVIVING_SHARE		0.005
#define SURVIVORS_PER_K		10.0

static void
flat_cost(const VkIndexInfo *info, double rows, double k, double *seconds, double *pages)
{
	double		bytes = rows * (info->row_bytes + sizeof(ItemPointerData));
	int			code_bytes = vk_flat_planned_bytes(info);

	*pages = ceil(bytes / VK_PAGE_SPACE) + 1;
	*seconds = bytes * SECONDS_PER_BYTE + *pages * SECONDS_PER_PAGE;
	if (code_bytes > 0)
	{
		double		survivors = Min(rows, k * SURVIVORS_PER_K + rows * SURVIVING_SHARE);
		double		code_pages = ceil(rows * (code_bytes + CODE_OVERHEAD) / VK_PAGE_SPACE) + 1;
		double		code_seconds = code_pages * (SECONDS_PER_PAGE + VK_PAGE_SPACE * SECONDS_PER_BYTE) +
		survivors * SECONDS_PER_RANDOM;

		if (code_seconds < *seconds)
		{
			*seconds = code_seconds;
			*pages = Min(*pages, code_pages + survivors);
		}
	}
}

/* For the planner, from the head page: all groups but the last are full, if nothing was deleted. */
static double
flat_rows(VkIndex *index, VkStoreRef ref)
{
	Buffer		buffer = vk_page_try(index, ref.head, VK_PAGE_FLAT_HEAD, ref.split_id,
									 BUFFER_LOCK_SHARE);
	uint32		ngroups;
	uint16		codec;
	int			code_bytes;
	VkFlatLayout layout;

	if (buffer == InvalidBuffer)
		return 0;
	ngroups = VkPageGetFlatHead(BufferGetPage(buffer))->ngroups;
	vk_page_release(buffer);
	vk_flat_codec_current(index, &codec, &code_bytes);
	vk_flat_layout(index->info.row_bytes, code_bytes, &layout);
	return Max(0, ngroups - 0.5) * layout.capacity;
}

const VkStoreOps vk_flat_store = {
	.name = "flat",
	.approximate = false,
	.create = flat_create,
	.insert = flat_insert,
	.sample_rows = vk_flat_sample_rows,
	.learn = vk_flat_learn,
	.collect = vk_flat_collect,
	.vacuum = vk_flat_vacuum,
	.retire = vk_flat_retire,
	.stats = vk_flat_stats,
	.check = vk_flat_check,
	.cost = flat_cost,
	.rows = flat_rows,
	.batch = &vk_flat_batch,
};
