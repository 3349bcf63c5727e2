/*-------------------------------------------------------------------------
 *
 * am_space.c
 *	  Which pages of an index are free, and more of them.
 *
 * Freed pages are in the free space map.  Where it has none the file grows:
 * by one page, or, the more of them a transaction has needed, by up to
 * MAX_RESERVE at once, which is a good deal cheaper.  Nobody else knows of the
 * pages a backend has in reserve.  At commit it gives the rest to the map; if
 * it fails before, they stay empty.
 *
 * The map is not in WAL: a standby has none, a crash may damage it.  So the
 * first VACUUM after the start of a server looks at all pages.  An empty page
 * may be in somebody's reserve; whoever has one holds a lock (of the page
 * below, which nobody else locks) until the end of the transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "commands/vacuum.h"
#include "storage/freespace.h"
#include "storage/indexfsm.h"
#include "storage/lmgr.h"
#include "utils/timestamp.h"

#include "am/am_private.h"
#include "compat/pgcompat.h"

/* Pages by which an index grows at most. */
#define MAX_RESERVE		64

/* Page whose heavyweight lock says that there may be reserves. */
#define RESERVE_LOCK_BLOCK	VK_DIR_ROOT_BLOCK

/* Indexes of one transaction that may have a reserve. */
#define RESERVE_SLOTS	8

typedef struct Reserve
{
	Oid			index;			/* InvalidOid: unused */
	Oid			relation;		/* relfilenumber */
	BlockNumber next;			/* next..end-1: empty, known to nobody else */
	BlockNumber end;
	uint32		needed;			/* pages by which this transaction made the
								 * index grow */
	bool		locked;			/* holds the lock of RESERVE_LOCK_BLOCK */
} Reserve;

static Reserve reserves[RESERVE_SLOTS];
static bool callback_registered;

static bool
reserve_is_of(const Reserve *reserve, Relation rel)
{
	return reserve->index == RelationGetRelid(rel) &&
		reserve->relation == RelationGetRelNumber_compat(rel);
}

/* Gives what is left of a reserve to the map. */
static void
reserve_give_back(Reserve *reserve)
{
	Relation	rel;

	if (reserve->next == reserve->end ||
		!ConditionalLockRelationOid(reserve->index, RowExclusiveLock))
		return;
	rel = try_relation_open(reserve->index, NoLock);
	if (rel != NULL && reserve_is_of(reserve, rel))
	{
		for (BlockNumber block = reserve->next; block < reserve->end; block++)
			RecordFreeIndexPage(rel, block);
		FreeSpaceMapVacuumRange(rel, reserve->next, reserve->end);
	}
	if (rel != NULL)
		relation_close(rel, NoLock);
	UnlockRelationOid(reserve->index, RowExclusiveLock);
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	bool		commit = event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE;

	if (!commit && event != XACT_EVENT_ABORT)
		return;
	for (int i = 0; i < RESERVE_SLOTS; i++)
	{
		if (reserves[i].index == InvalidOid)
			continue;
		if (commit)
			reserve_give_back(&reserves[i]);
		reserves[i].index = InvalidOid;
	}
}

/* The lock goes with the subtransaction that took it, and so does the reserve. */
static void
end_of_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
					  void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	for (int i = 0; i < RESERVE_SLOTS; i++)
	{
		reserves[i].next = reserves[i].end;
		reserves[i].locked = false;
	}
}

/* The index' reserve in this transaction, if empty a new one; NULL if it cannot have one. */
static Reserve *
reserve_of(VkIndex *index)
{
	Reserve    *unused = NULL;

	if (RelationUsesLocalBuffers(index->rel))
		return NULL;
	for (int i = 0; i < RESERVE_SLOTS; i++)
	{
		if (reserve_is_of(&reserves[i], index->rel))
			return &reserves[i];
		if (reserves[i].index == InvalidOid)
			unused = &reserves[i];
	}
	if (unused == NULL)
		return NULL;
	if (!callback_registered)
	{
		RegisterXactCallback(end_of_transaction, NULL);
		RegisterSubXactCallback(end_of_subtransaction, NULL);
	}
	callback_registered = true;
	unused->index = RelationGetRelid(index->rel);
	unused->relation = RelationGetRelNumber_compat(index->rel);
	unused->next = unused->end = 0;
	unused->needed = 0;
	unused->locked = false;
	return unused;
}

/* The index is about to be built anew, perhaps in the same file. */
void
vk_space_forget(Relation rel)
{
	for (int i = 0; i < RESERVE_SLOTS; i++)
		if (reserves[i].index == RelationGetRelid(rel))
			reserves[i].index = InvalidOid;
}

/* A free page out of the map, locked; invalid if there is none. */
static Buffer
take_from_map(VkIndex *index)
{
	for (;;)
	{
		BlockNumber block = GetFreeIndexPage(index->rel);
		Buffer		buffer;

		if (block == InvalidBlockNumber)
			return InvalidBuffer;
		/* the map is not crash-safe and may know blocks that were lost */
		if (block >= RelationGetNumberOfBlocks(index->rel))
			continue;
		buffer = ReadBuffer(index->rel, block);

		/*
		 * The map is only a hint.  Whoever holds the lock may be using the
		 * page already, and waiting here, while holding locks, might
		 * deadlock.
		 */
		if (ConditionalLockBuffer(buffer))
		{
			if (vk_page_is_unused(BufferGetPage(buffer)))
				return buffer;
			LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		}
		ReleaseBuffer(buffer);
	}
}

/* A new page at the end of the file. */
static Buffer
take_from_end(VkIndex *index, Reserve *reserve)
{
	uint32		wanted = reserve == NULL ? 1 : Min(MAX_RESERVE, reserve->needed);

	if (wanted > 1 && !reserve->locked)
		reserve->locked = ConditionalLockPage(index->rel, RESERVE_LOCK_BLOCK, ShareLock);
	if (wanted > 1 && reserve->locked)
	{
		reserve->next = vk_extend_relation_by_compat(index->rel, wanted, &reserve->end);
		if (reserve->next < reserve->end)
			return vk_read_empty_page_compat(index->rel, reserve->next++);
	}
	for (;;)
	{
		Buffer		buffer = vk_extend_relation_compat(index->rel);

		/* somebody whom the map led here may have been faster */
		if (PageIsNew(BufferGetPage(buffer)))
			return buffer;
		UnlockReleaseBuffer(buffer);
	}
}

/*
 * Returns a page nobody uses, pinned and exclusively locked.  Its content is
 * undefined.  If the caller fails before it is initialised and linked, the
 * page is lost until VACUUM finds it free.
 */
Buffer
vk_page_allocate(VkIndex *index)
{
	Reserve    *reserve;
	Buffer		buffer;

	/* during a build nothing is ever freed, and there is no map yet */
	if (index->building)
		return take_from_end(index, NULL);
	reserve = reserve_of(index);
	if (reserve != NULL && reserve->next < reserve->end)
	{
		reserve->needed++;
		return vk_read_empty_page_compat(index->rel, reserve->next++);
	}
	buffer = take_from_map(index);
	if (buffer != InvalidBuffer)
		return buffer;
	if (reserve != NULL)
		reserve->needed++;
	return take_from_end(index, reserve);
}

/*
 * Puts all pages that nobody uses into the map, unless that has been done since
 * this server started.
 */
void
vk_space_find_lost(VkIndex *index, BufferAccessStrategy strategy)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(index->rel);

	if (vk_meta_searched(index) == PgStartTime)
		return;
	/* with reserves about, the next VACUUM will do */
	if (!ConditionalLockPage(index->rel, RESERVE_LOCK_BLOCK, ExclusiveLock))
		return;
	for (BlockNumber block = RESERVE_LOCK_BLOCK + 1; block < nblocks; block++)
	{
		Buffer		buffer;
		bool		unused;

		vacuum_delay_point_compat();
		buffer = ReadBufferExtended(index->rel, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		unused = vk_page_is_unused(BufferGetPage(buffer));
		UnlockReleaseBuffer(buffer);
		if (unused)
			RecordFreeIndexPage(index->rel, block);
	}
	UnlockPage(index->rel, RESERVE_LOCK_BLOCK, ExclusiveLock);
	vk_meta_set_searched(index, PgStartTime);
}

/*
 * Frees a page that nothing refers to any more.  Readers that learned of it
 * before may still look: they see another kind or owner, or, if it comes back
 * to the same use, rows their snapshot does not see.
 */
void
vk_page_free(VkIndex *index, BlockNumber block)
{
	VkEdit		edit;
	Buffer		buffer = vk_page_read_any(index, block, BUFFER_LOCK_EXCLUSIVE);

	vk_edit_start(&edit, index);
	vk_edit_free(&edit, buffer);
	vk_edit_commit_release(&edit);
	vk_page_freed(index, block);
}

void
vk_page_freed(VkIndex *index, BlockNumber block)
{
	RecordFreeIndexPage(index->rel, block);
}

void
vk_pages_free(VkIndex *index, VkBlockList *blocks)
{
	for (int i = 0; i < blocks->count; i++)
		vk_page_free(index, blocks->blocks[i]);
	if (blocks->blocks != NULL)
		pfree(blocks->blocks);
	memset(blocks, 0, sizeof(*blocks));
}

void
vk_blocks_add(VkBlockList *list, BlockNumber block)
{
	if (list->count == list->allocated)
	{
		list->allocated = Max(16, list->allocated * 2);
		if (list->blocks == NULL)
			list->blocks = palloc(sizeof(BlockNumber) * list->allocated);
		else
			list->blocks = repalloc_huge(list->blocks, sizeof(BlockNumber) * list->allocated);
	}
	list->blocks[list->count++] = block;
}

static int
compare_blocks(const void *a, const void *b)
{
	BlockNumber left = *(const BlockNumber *) a;
	BlockNumber right = *(const BlockNumber *) b;

	return left < right ? -1 : left > right;
}

void
vk_blocks_sort(VkBlockList *list)
{
	if (list->count > 0)
		qsort(list->blocks, list->count, sizeof(BlockNumber), compare_blocks);
}

/* Whether a sorted list has the block. */
bool
vk_blocks_include(const VkBlockList *list, BlockNumber block)
{
	return list->count > 0 &&
		bsearch(&block, list->blocks, list->count, sizeof(BlockNumber), compare_blocks) != NULL;
}
