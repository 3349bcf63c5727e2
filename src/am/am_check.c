/*-------------------------------------------------------------------------
 *
 * am_check.c
 *	  vektonn.check_index: proves the invariants of an index; and
 *	  vektonn.index_info, vektonn.scan_stats: what is in it, what a scan did.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/amapi.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "am/am_private.h"
#include "compat/pgcompat.h"

PG_FUNCTION_INFO_V1(vk_check_index);
PG_FUNCTION_INFO_V1(vk_index_info);
PG_FUNCTION_INFO_V1(vk_scan_stats);

struct VkCheck
{
	VkIndex    *index;
	BlockNumber nblocks;
	bits8	   *seen;			/* one bit per block */
	HTAB	   *tids;			/* rows of the index so far */
	int64		rows;
};

void
vk_report_corruption(Relation rel, BlockNumber block, const char *format,...)
{
	StringInfoData detail;

	initStringInfo(&detail);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&detail, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&detail, needed);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("index \"%s\" contains a damaged page at block %u",
					RelationGetRelationName(rel), block),
			 errdetail("%s", detail.data),
			 errhint("Please REINDEX it.")));
}

/* Every page belongs to one owner: seeing it twice is corruption. */
void
vk_check_page_seen(VkCheck *check, BlockNumber block)
{
	if (block >= check->nblocks)
		vk_report_corruption(check->index->rel, block, "The block is beyond the end of the index.");
	if (check->seen[block / 8] & (1 << (block % 8)))
		vk_report_corruption(check->index->rel, block, "The page has two owners.");
	check->seen[block / 8] |= 1 << (block % 8);
}

/* Every row is in the index once. */
void
vk_check_row_seen(VkCheck *check, ItemPointer tid, BlockNumber block)
{
	uint64		key = vk_tid_encode(tid);
	bool		found;

	(void) hash_search(check->tids, &key, HASH_ENTER, &found);
	if (found)
		vk_report_corruption(check->index->rel, block, "Row (%u,%u) is in the index twice.",
							 ItemPointerGetBlockNumberNoCheck(tid),
							 ItemPointerGetOffsetNumberNoCheck(tid));
	check->rows++;
}

/* ------------------------------------------------------------------------
 * check_index
 * ------------------------------------------------------------------------ */

/* Opens a vektonn index, or complains. */
Relation
vk_open_index(Oid oid, LOCKMODE lock)
{
	Relation	rel = relation_open(oid, lock);

	if (rel->rd_rel->relkind != RELKIND_INDEX ||
		rel->rd_indam->ambuild != vk_build)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a vektonn index", RelationGetRelationName(rel))));
	if (RELATION_IS_OTHER_TEMP(rel))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot access temporary indexes of other sessions")));
	return rel;
}

static bool
page_was_seen(VkCheck *check, BlockNumber block)
{
	return (check->seen[block / 8] & (1 << (block % 8))) != 0;
}

/* Checks the rows that a small split's entry names on a shared page. */
static void
check_shared_page(VkCheck *check, BlockNumber block, uint32 split_id, Size *bytes)
{
	VkIndex    *index = check->index;
	Buffer		buffer = vk_page_try(index, block, VK_PAGE_SHARED, 0, BUFFER_LOCK_SHARE);
	OffsetNumber last;

	if (buffer == InvalidBuffer)
		return;
	last = PageGetMaxOffsetNumber(BufferGetPage(buffer));
	for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++)
	{
		VkSharedRow *row = vk_tiny_row(index, buffer, offset);

		if (row == NULL || row->split_id != split_id)
			continue;
		vk_check_row_seen(check, &row->tid, block);
		*bytes += offsetof(VkSharedRow, value) + VARSIZE(row->value);
	}
	vk_page_release(buffer);
	if (!page_was_seen(check, block))
		vk_check_page_seen(check, block);
}

static void
check_nulls(VkCheck *check, const VkSplitEntry *entry)
{
	BlockNumber block = entry->nulls;

	while (block != InvalidBlockNumber)
	{
		Buffer		buffer = vk_page_read(check->index, block, VK_PAGE_NULLS, entry->split_id,
										  BUFFER_LOCK_SHARE);
		Page		page = BufferGetPage(buffer);
		int			count = (((PageHeader) page)->pd_lower - MAXALIGN(SizeOfPageHeaderData)) /
		sizeof(ItemPointerData);

		CHECK_FOR_INTERRUPTS();
		vk_check_page_seen(check, block);
		for (int i = 0; i < count; i++)
			vk_check_row_seen(check, &((ItemPointer) VkPageData(page))[i], block);
		block = VkPageGetOpaque(page)->next;
		vk_page_release(buffer);
	}
}

static void
check_leaf(VkIndex *index, Buffer leaf, void *arg)
{
	VkCheck    *check = arg;
	VkDirLeaf  *header = vk_dir_header(index, leaf);
	OffsetNumber last = PageGetMaxOffsetNumber(BufferGetPage(leaf));
	BlockNumber block = BufferGetBlockNumber(leaf);

	if (block != VK_DIR_ROOT_BLOCK)
		vk_check_page_seen(check, block);
	for (OffsetNumber offset = FirstOffsetNumber + 1; offset <= last; offset++)
	{
		VkSplitEntry *entry = vk_dir_entry(index, leaf, offset);
		Size		bytes = 0;

		if ((entry->hash & ((UINT64CONST(1) << header->depth) - 1)) != header->prefix)
			vk_report_corruption(index->rel, block, "Split %u is on the wrong directory leaf.",
								 entry->split_id);
		for (int i = 0; i < entry->nshared; i++)
			check_shared_page(check, entry->shared[i], entry->split_id, &bytes);
		if (bytes > entry->tiny_bytes)
			vk_report_corruption(index->rel, block, "Split %u has %zu bytes of rows and says %u.",
								 entry->split_id, bytes, entry->tiny_bytes);
		check_nulls(check, entry);
		if (entry->head != InvalidBlockNumber)
		{
			VkStoreRef	ref = {entry->split_id, entry->head};

			index->store->check(index, ref, check);
		}
	}
}

/*
 * vektonn.check_index(regclass): the number of rows, or an error.
 */
Datum
vk_check_index(PG_FUNCTION_ARGS)
{
	Oid			oid = PG_GETARG_OID(0);
	Relation	rel = vk_open_index(oid, ShareLock);
	VkCheck		check = {0};
	HASHCTL		control = {0};

	if (!vk_class_ownercheck_compat(oid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, RelationGetRelationName(rel));
	check.index = vk_index_open(rel);
	check.nblocks = RelationGetNumberOfBlocks(rel);
	check.seen = MemoryContextAllocExtended(CurrentMemoryContext, check.nblocks / 8 + 1,
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	control.keysize = control.entrysize = sizeof(uint64);
	control.hcxt = CurrentMemoryContext;
	check.tids = hash_create("vektonn check", 1024, &control,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	vk_check_page_seen(&check, VK_META_BLOCK);
	vk_check_page_seen(&check, VK_DIR_ROOT_BLOCK);
	vk_dir_walk(check.index, BUFFER_LOCK_SHARE, check_leaf, &check);
	hash_destroy(check.tids);
	relation_close(rel, ShareLock);
	PG_RETURN_INT64(check.rows);
}

/* ------------------------------------------------------------------------
 * index_info, scan_stats
 * ------------------------------------------------------------------------ */

typedef struct InfoState
{
	int64		rows;
	int64		splits;
	int64		small_splits;
	int64		levels;
} InfoState;

static void
count_nulls(VkIndex *index, const VkSplitEntry *entry, InfoState *info)
{
	BlockNumber block = entry->nulls;

	while (block != InvalidBlockNumber)
	{
		Buffer		buffer = vk_page_try(index, block, VK_PAGE_NULLS, entry->split_id,
										 BUFFER_LOCK_SHARE);

		if (buffer == InvalidBuffer)
			break;
		info->rows += (((PageHeader) BufferGetPage(buffer))->pd_lower -
					   MAXALIGN(SizeOfPageHeaderData)) / sizeof(ItemPointerData);
		block = VkPageGetOpaque(BufferGetPage(buffer))->next;
		vk_page_release(buffer);
	}
}

static void
count_leaf(VkIndex *index, Buffer leaf, void *arg)
{
	InfoState  *info = arg;
	OffsetNumber last = PageGetMaxOffsetNumber(BufferGetPage(leaf));

	for (OffsetNumber offset = FirstOffsetNumber + 1; offset <= last; offset++)
	{
		VkSplitEntry *entry = vk_dir_entry(index, leaf, offset);

		info->splits++;
		count_nulls(index, entry, info);
		if (entry->head == InvalidBlockNumber)
		{
			info->small_splits++;
			for (int i = 0; i < entry->nshared; i++)
				info->rows += vk_tiny_rows_on(index, entry->shared[i], entry->split_id);
		}
		else
		{
			VkStoreRef	ref = {entry->split_id, entry->head};
			VkStoreStats stats = {0};

			index->store->stats(index, ref, &stats);
			info->rows += stats.rows;
			info->levels = Max(info->levels, stats.levels);
		}
	}
}

static const char *
elem_name(VkElem elem)
{
	static const char *const names[] = {"vector", "halfvec", "sparsevec"};

	return names[elem];
}

/*
 * vektonn.index_info(regclass): one row.  Counts are exact while nobody writes.
 */
Datum
vk_index_info(PG_FUNCTION_ARGS)
{
	Relation	rel = vk_open_index(PG_GETARG_OID(0), AccessShareLock);
	VkIndex    *index = vk_index_open(rel);
	InfoState	info = {0};
	TupleDesc	desc;
	Datum		values[10];
	bool		nulls[10] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	vk_dir_walk(index, BUFFER_LOCK_SHARE, count_leaf, &info);
	values[0] = CStringGetTextDatum(index->info.algorithm == VK_ALGORITHM_HNSW ? "hnsw" : "flat");
	values[1] = CStringGetTextDatum(vk_metric_by_id(index->info.metric)->name);
	values[2] = CStringGetTextDatum(elem_name(index->info.elem));
	values[3] = Int32GetDatum(index->info.dim);
	values[4] = Int64GetDatum(info.rows);
	values[5] = Int64GetDatum(info.splits);
	values[6] = Int64GetDatum(info.small_splits);
	values[7] = Int64GetDatum((int64) RelationGetNumberOfBlocks(rel));
	values[8] = Int64GetDatum((int64) RelationGetNumberOfBlocks(rel) * BLCKSZ);
	values[9] = Int32GetDatum((int32) info.levels);
	relation_close(rel, AccessShareLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* Behind the view vektonn.scan_stats. */
Datum
vk_scan_stats(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[6];
	bool		nulls[6] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int64GetDatum(vk_last_scan.passes);
	values[1] = Int64GetDatum(vk_last_scan.splits);
	values[2] = Int64GetDatum(vk_last_scan.codes);
	values[3] = Int64GetDatum(vk_last_scan.survivors);
	values[4] = Int64GetDatum(vk_last_scan.rows);
	values[5] = Int64GetDatum(vk_last_scan.pages);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
