/*-------------------------------------------------------------------------
 *
 * flat_vacuum.c
 *	  VACUUM of a flat split, its removal, statistics and checks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "miscadmin.h"

#include "am/flat/flat_codec.h"
#include "am/flat/flat_private.h"
#include "compat/pgcompat.h"

/*
 * Groups with at least this share of free slots are offered to new rows: the
 * rest stays until more have died, for each costs a visit to the head page.
 */
#define OFFER_SHARE	8

static BlockNumber
first_group(VkIndex *index, VkStoreRef ref, VkFlatHead *head)
{
	Buffer		buffer = vk_page_try(index, ref.head, VK_PAGE_FLAT_HEAD, ref.split_id,
									 BUFFER_LOCK_SHARE);

	if (buffer == InvalidBuffer)
		return InvalidBlockNumber;
	*head = *VkPageGetFlatHead(BufferGetPage(buffer));
	vk_page_release(buffer);
	return head->first;
}

/* Puts a group on the free stack; the caller holds no lock. */
static void
offer_group(VkIndex *index, VkStoreRef ref, BlockNumber block)
{
	Buffer		head_buffer = vk_page_try(index, ref.head, VK_PAGE_FLAT_HEAD, ref.split_id,
										  BUFFER_LOCK_EXCLUSIVE);
	VkFlatHead *head;
	Buffer		buffer;
	VkFlatGroup *group;

	if (head_buffer == InvalidBuffer)
		return;
	head = VkPageGetFlatHead(BufferGetPage(head_buffer));
	buffer = vk_page_read(index, block, VK_PAGE_FLAT_GROUP, ref.split_id,
						  BUFFER_LOCK_EXCLUSIVE);
	group = VkPageGetFlatGroup(BufferGetPage(buffer));
	if (head->insert != block && !(group->flags & VK_FLAT_ON_FREE_STACK))
	{
		VkEdit		edit;
		int			page;

		vk_edit_start(&edit, index);
		page = vk_edit_page(&edit, head_buffer);
		vk_edit_put_uint32(&edit, page, &head->free, block);
		page = vk_edit_page(&edit, buffer);
		vk_edit_put_uint16(&edit, page, &group->flags, group->flags | VK_FLAT_ON_FREE_STACK);
		vk_edit_put_uint32(&edit, page, &group->free_next, head->free);
		vk_edit_commit(&edit);
	}
	vk_page_release(buffer);
	vk_page_release(head_buffer);
}

/* Marks the dead slots of a copy of the group; returns how many rows live. */
static int
clear_dead(VkVacuum *vacuum, VkFlatGroup *group, const VkFlatLayout *layout, int *ndead)
{
	ItemPointer tids = VkFlatTids(group, layout);
	int			live = 0;

	*ndead = 0;
	for (int slot = 0; slot < group->nslots; slot++)
	{
		if (!ItemPointerIsValid(&tids[slot]))
			continue;
		if (vacuum->callback != NULL &&
			vacuum->callback(&tids[slot], vacuum->callback_state))
		{
			ItemPointerSetInvalid(&tids[slot]);
			group->nfree++;
			(*ndead)++;
		}
		else
			live++;
	}
	return live;
}

/* Vacuums one group and returns the next one's block. */
static BlockNumber
vacuum_group(VkVacuum *vacuum, VkStoreRef ref, BlockNumber block, VkFlatLayout *layout)
{
	VkIndex    *index = vacuum->index;
	Buffer		buffer = vk_page_try(index, block, VK_PAGE_FLAT_GROUP, ref.split_id,
									 BUFFER_LOCK_EXCLUSIVE);
	VkBlockList rows = {0};
	VkFlatGroup *group;
	BlockNumber next;
	VkEdit		edit;
	int			live;
	int			ndead;
	bool		offer;

	if (buffer == InvalidBuffer)
		return InvalidBlockNumber;
	(void) vk_flat_group(index, buffer, layout);
	vk_edit_start(&edit, index);
	group = VkPageGetFlatGroup(vk_edit_copy(&edit, buffer));
	live = clear_dead(vacuum, group, layout, &ndead);
	if (live == 0 && group->nslots > 0)
	{
		/* scans that have the old list of row pages find other pages there */
		for (int i = 0; i < group->nblocks; i++)
			vk_blocks_add(&rows, VkFlatBlocks(group, layout)[i]);
		group->nslots = group->nfree = group->nblocks = 0;
		memset(VkFlatBlocks(group, layout), 0, layout->nblocks * sizeof(BlockNumber));
		ndead++;
	}
	offer = !(group->flags & VK_FLAT_ON_FREE_STACK) &&
		group->nfree + (group->capacity - group->nslots) >=
		(group->capacity + OFFER_SHARE - 1) / OFFER_SHARE;
	next = VkPageGetOpaque(BufferGetPage(buffer))->next;
	if (ndead > 0)
		vk_edit_commit(&edit);
	vk_page_release(buffer);
	vacuum->stats->tuples_removed += ndead - (rows.count > 0 ? 1 : 0);
	vacuum->stats->num_index_tuples += live;
	vacuum->stats->pages_newly_deleted += rows.count;
	vk_pages_free(index, &rows);
	if (offer)
		offer_group(index, ref, block);
	return next;
}

void
vk_flat_vacuum(VkVacuum *vacuum, VkStoreRef ref)
{
	VkFlatHead	head;
	VkFlatLayout layout = {0};
	BlockNumber block = first_group(vacuum->index, ref, &head);

	for (BlockNumber visited = 1; block != InvalidBlockNumber; visited++)
	{
		vacuum_delay_point_compat();
		block = vacuum_group(vacuum, ref, block, &layout);
		vk_page_check_chain(vacuum->index, visited, block);
	}
}

/*
 * The head's exclusive lock keeps insertions out, so that a split seen empty
 * stays so.
 */
bool
vk_flat_retire(VkIndex *index, VkStoreRef ref, VkEdit *edit, VkBlockList *blocks)
{
	Buffer		head_buffer = vk_page_try(index, ref.head, VK_PAGE_FLAT_HEAD, ref.split_id,
										  BUFFER_LOCK_EXCLUSIVE);
	VkFlatLayout layout = {0};
	BlockNumber block;

	if (head_buffer == InvalidBuffer)
		return false;
	block = VkPageGetFlatHead(BufferGetPage(head_buffer))->first;
	while (block != InvalidBlockNumber)
	{
		Buffer		buffer = vk_page_read(index, block, VK_PAGE_FLAT_GROUP, ref.split_id,
										  BUFFER_LOCK_SHARE);
		VkFlatGroup *group = vk_flat_group(index, buffer, &layout);
		bool		empty = group->nslots == group->nfree;

		vk_blocks_add(blocks, block);
		for (int i = 0; i < group->nblocks; i++)
			vk_blocks_add(blocks, VkFlatBlocks(group, &layout)[i]);
		block = VkPageGetOpaque(BufferGetPage(buffer))->next;
		vk_page_release(buffer);
		if (!empty)
		{
			blocks->count = 0;
			vk_page_release(head_buffer);
			return false;
		}
	}
	vk_edit_free(edit, head_buffer);
	return true;
}

void
vk_flat_stats(VkIndex *index, VkStoreRef ref, VkStoreStats *stats)
{
	VkFlatHead	head;
	VkFlatLayout layout = {0};
	BlockNumber block = first_group(index, ref, &head);

	memset(stats, 0, sizeof(*stats));
	stats->pages = 1;
	while (block != InvalidBlockNumber)
	{
		Buffer		buffer = vk_page_try(index, block, VK_PAGE_FLAT_GROUP, ref.split_id,
										 BUFFER_LOCK_SHARE);
		VkFlatGroup *group;

		CHECK_FOR_INTERRUPTS();
		if (buffer == InvalidBuffer)
			break;
		group = vk_flat_group(index, buffer, &layout);
		stats->rows += group->nslots - group->nfree;
		stats->pages += 1 + group->nblocks;
		block = VkPageGetOpaque(BufferGetPage(buffer))->next;
		vk_page_release(buffer);
	}
}

typedef struct CodeCheck
{
	VkIndex    *index;
	BlockNumber block;
	VkFlatGroup *group;
	VkFlatLayout *layout;
	VkFlatCodec *codec;
	VkFlatCode *code;
} CodeCheck;

static void
check_code(void *arg, int slot, const char *elements)
{
	CodeCheck  *check = arg;
	VkFlatGroup *group = check->group;
	VkFlatLayout *layout = check->layout;
	VkFlatCode *code = check->code;

	if (!ItemPointerIsValid(&VkFlatTids(group, layout)[slot]))
		return;
	code->scale = VkFlatFloats(group, layout->scale)[slot];
	code->square = VkFlatSquares(group, layout)[slot];
	code->error = VkFlatFloats(group, layout->error)[slot];
	code->rest_low = VkFlatFloats(group, layout->rest_low)[slot];
	code->rest_high = VkFlatFloats(group, layout->rest_high)[slot];
	memcpy(code->bytes, VkFlatCodeBytes(group, layout) + slot * layout->code_bytes,
		   layout->code_bytes);
	if (!vk_flat_code_fits(check->codec, elements, code))
		vk_report_corruption(check->index->rel, check->block,
							 "The vector of slot %d is not the one its code was made of.", slot);
}

/* Codes and vectors were written together: either shows damage of the other. */
static void
check_codes(VkIndex *index, VkStoreRef ref, BlockNumber block, VkFlatGroup *group,
			VkFlatLayout *layout)
{
	CodeCheck	check = {index, block, group, layout};
	char	   *row = palloc(index->info.row_bytes);

	check.codec = vk_flat_codec_get(index, group->codec);
	if (check.codec->code_bytes != layout->code_bytes)
		vk_report_corruption(index->rel, block, "A group has codes of %d bytes, its codec makes %d.",
							 layout->code_bytes, check.codec->code_bytes);
	check.code = palloc(offsetof(VkFlatCode, bytes) + layout->code_bytes);
	(void) vk_flat_visit_rows(index, ref.split_id, VkFlatBlocks(group, layout), group->nslots,
							  row, check_code, &check);
	pfree(check.code);
	pfree(row);
}

/* Checks one group and returns the next one's block. */
static BlockNumber
check_group(VkIndex *index, VkStoreRef ref, VkCheck *check, BlockNumber block)
{
	VkFlatLayout layout = {0};
	Buffer		buffer = vk_page_read(index, block, VK_PAGE_FLAT_GROUP, ref.split_id,
									  BUFFER_LOCK_SHARE);
	VkFlatGroup *group = vk_flat_group(index, buffer, &layout);
	BlockNumber next = VkPageGetOpaque(BufferGetPage(buffer))->next;
	int			nfree = 0;

	vk_check_page_seen(check, block);
	for (int slot = 0; slot < group->nslots; slot++)
	{
		ItemPointer tid = &VkFlatTids(group, &layout)[slot];

		if (ItemPointerIsValid(tid))
			vk_check_row_seen(check, tid, block);
		else
			nfree++;
	}
	if (nfree != group->nfree)
		vk_report_corruption(index->rel, block, "A group has %d free slots and says %d.",
							 nfree, group->nfree);
	for (int number = 0; number < group->nblocks; number++)
	{
		BlockNumber rows = VkFlatBlocks(group, &layout)[number];
		int64		expected = Min((int64) VK_PAGE_SPACE,
								   (int64) group->nslots * index->info.row_bytes -
								   (int64) number * VK_PAGE_SPACE);
		Buffer		row_buffer = vk_page_read(index, rows, VK_PAGE_FLAT_ROWS, ref.split_id,
											  BUFFER_LOCK_SHARE);

		if (((PageHeader) BufferGetPage(row_buffer))->pd_lower <
			(int64) MAXALIGN(SizeOfPageHeaderData) + expected)
			vk_report_corruption(index->rel, rows, "A row page is shorter than its rows.");
		vk_page_release(row_buffer);
		vk_check_page_seen(check, rows);
	}
	if (group->codec != 0)
		check_codes(index, ref, block, group, &layout);
	vk_page_release(buffer);
	return next;
}

/* The caller keeps writers out. */
void
vk_flat_check(VkIndex *index, VkStoreRef ref, VkCheck *check)
{
	Buffer		buffer = vk_page_read(index, ref.head, VK_PAGE_FLAT_HEAD, ref.split_id,
									  BUFFER_LOCK_SHARE);
	VkFlatHead	head = *VkPageGetFlatHead(BufferGetPage(buffer));
	BlockNumber block = head.first;
	BlockNumber last = InvalidBlockNumber;
	uint32		ngroups = 0;

	vk_page_release(buffer);
	vk_check_page_seen(check, ref.head);
	while (block != InvalidBlockNumber)
	{
		CHECK_FOR_INTERRUPTS();
		last = block;
		block = check_group(index, ref, check, block);
		ngroups++;
	}
	if (ngroups != head.ngroups || last != head.last)
		vk_report_corruption(index->rel, ref.head,
							 "The split has %u groups up to block %u and says %u up to block %u.",
							 ngroups, last, head.ngroups, head.last);
}
