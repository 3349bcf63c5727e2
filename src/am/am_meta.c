/*-------------------------------------------------------------------------
 *
 * am_meta.c
 *	  The metapage: what an index is, checked on every first read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_attribute.h"
#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "am/am_private.h"
#include "compat/pgcompat.h"

/* The opclass' element type: what its first support function says. */
static VkElem
opclass_elem(Relation rel)
{
	FmgrInfo   *proc = index_getprocinfo(rel, 1, VK_PROC_ELEM);

	return (VkElem) DatumGetInt32(FunctionCall1(proc, PointerGetDatum(NULL)));
}

/* The opclass' metric: which of the ordering strategies its family has. */
static VkMetric
opclass_metric(Relation rel)
{
	Oid			family = rel->rd_opfamily[0];
	Oid			type = rel->rd_opcintype[0];

	for (int metric = 0; metric < VK_NUM_METRICS; metric++)
		if (OidIsValid(get_opfamily_member(family, type, type, metric + 1)))
			return (VkMetric) metric;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("operator class of index \"%s\" has no distance operator",
					RelationGetRelationName(rel))));
}

static int32
column_dim(Relation rel)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), 0);

	if (att->atttypmod < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" does not have dimensions", NameStr(att->attname)),
				 errdetail("All vectors of an index have the same number of dimensions."),
				 errhint("Declare the column with them, as in vector(128), or index an expression like ((column::vector(128))).")));
	return att->atttypmod;
}

static void
check_options(Relation rel, const VkOptions *options)
{
	if (options == NULL || options->algorithm == VK_ALGORITHM_HNSW)
		return;
	if (options->m != 0 || options->ef_construction != 0 || options->ef_search != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" needs algorithm = hnsw",
						options->m != 0 ? "m" :
						options->ef_construction != 0 ? "ef_construction" : "ef_search"),
				 errhint("An index with algorithm = flat has no further options.")));
}

/* What an index about to be built will be, from its definition. */
void
vk_index_describe(Relation rel, VkIndexInfo *info)
{
	VkOptions  *options = (VkOptions *) rel->rd_options;

	memset(info, 0, sizeof(*info));
	if (!OidIsValid(index_getprocid(rel, 1, VK_PROC_ELEM)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("first column of index \"%s\" is not a vector",
						RelationGetRelationName(rel)),
				 errhint("A vektonn index has one vector column, then split columns.")));
	info->elem = opclass_elem(rel);
	info->metric = opclass_metric(rel);
	info->dim = column_dim(rel);
	info->nsplit_columns = IndexRelationGetNumberOfKeyAttributes(rel) - 1;
	check_options(rel, options);
	if (options != NULL)
	{
		info->algorithm = options->algorithm;
		info->m = options->m;
		info->ef_construction = options->ef_construction;
		info->ef_search = options->ef_search;
	}
	if (info->algorithm == VK_ALGORITHM_HNSW)
	{
		info->m = info->m > 0 ? info->m : VK_DEFAULT_M;
		info->ef_construction = info->ef_construction > 0 ? info->ef_construction :
			VK_DEFAULT_EF_CONSTRUCTION;
		info->ef_search = info->ef_search > 0 ? info->ef_search : VK_DEFAULT_EF_SEARCH;
	}
	if (info->elem == VK_ELEM_FLOAT4)
		info->row_bytes = info->dim * sizeof(float);
	else if (info->elem == VK_ELEM_FLOAT2)
		info->row_bytes = info->dim * sizeof(VkHalf);
	for (int i = 1; i <= info->nsplit_columns; i++)
		if (OidIsValid(index_getprocid(rel, i + 1, VK_PROC_ELEM)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("index \"%s\" has a vector column that is not the first",
							RelationGetRelationName(rel)),
					 errhint("A vektonn index has one vector column, then split columns.")));
}

/* Writes the metapage into an empty fork. */
void
vk_meta_create(VkIndex *index, ForkNumber fork)
{
	Buffer		buffer;
	Page		page;
	VkEdit		edit;
	VkMetaPage *meta;

	buffer = fork == INIT_FORKNUM ? vk_extend_init_fork_compat(index->rel) :
		vk_extend_relation_compat(index->rel);
	Assert(BufferGetBlockNumber(buffer) == VK_META_BLOCK);
	vk_edit_start(&edit, index);
	page = vk_edit_new(&edit, buffer, VK_PAGE_META, 0);
	meta = VkPageGetMeta(page);
	memset(meta, 0, sizeof(*meta));
	meta->magic = VK_META_MAGIC;
	meta->version = VK_META_VERSION;
	meta->elem = index->info.elem;
	meta->metric = index->info.metric;
	meta->algorithm = index->info.algorithm;
	meta->dim = index->info.dim;
	meta->m = index->info.m;
	meta->ef_construction = index->info.ef_construction;
	meta->ef_search = index->info.ef_search;
	meta->nsplit_columns = index->info.nsplit_columns;
	meta->root = VK_DIR_ROOT_BLOCK;
	meta->next_split_id = 1;
	VkPageSetUsed(page, sizeof(*meta));
	vk_edit_commit_release(&edit);
}

static const char *
meta_fault(Relation rel, const VkMetaPage *meta)
{
	if (meta->magic != VK_META_MAGIC)
		return "The metapage does not bear the mark of a vektonn index.";
	if (meta->version != VK_META_VERSION)
		return psprintf("The index is of version %u, this library reads version %u.",
						meta->version, VK_META_VERSION);
	if (meta->elem > VK_ELEM_SPARSE || meta->metric >= VK_NUM_METRICS ||
		meta->algorithm > VK_ALGORITHM_HNSW || meta->dim < 1 ||
		meta->dim > (meta->elem == VK_ELEM_SPARSE ? VK_SPARSE_MAX_DIM : VK_MAX_DIM) ||
		meta->nsplit_columns != IndexRelationGetNumberOfKeyAttributes(rel) - 1 ||
		meta->root != VK_DIR_ROOT_BLOCK)
		return "The metapage holds values out of range.";
	return NULL;
}

static void
read_meta(VkIndex *index)
{
	VkIndexInfo *info = &index->info;
	Buffer		buffer = vk_page_read(index, VK_META_BLOCK, VK_PAGE_META, 0, BUFFER_LOCK_SHARE);
	VkMetaPage	meta = *VkPageGetMeta(BufferGetPage(buffer));
	const char *fault;

	vk_page_release(buffer);
	fault = meta_fault(index->rel, &meta);
	if (fault != NULL)
		vk_report_corruption(index->rel, VK_META_BLOCK, "%s", fault);
	memset(info, 0, sizeof(*info));
	info->elem = meta.elem;
	info->metric = meta.metric;
	info->algorithm = meta.algorithm;
	info->dim = meta.dim;
	info->m = meta.m;
	info->ef_construction = meta.ef_construction;
	info->ef_search = meta.ef_search;
	info->nsplit_columns = meta.nsplit_columns;
	if (info->elem == VK_ELEM_FLOAT4)
		info->row_bytes = info->dim * sizeof(float);
	else if (info->elem == VK_ELEM_FLOAT2)
		info->row_bytes = info->dim * sizeof(VkHalf);
}

/*
 * Opens an index for access.  The result lives in the current context and
 * needs no closing.
 */
VkIndex *
vk_index_open(Relation rel)
{
	VkIndex    *index = palloc0(sizeof(VkIndex));

	index->rel = rel;
	if (rel->rd_amcache == NULL)
	{
		VkIndexInfo *cached;

		read_meta(index);
		cached = MemoryContextAlloc(rel->rd_indexcxt, sizeof(VkIndexInfo));
		*cached = index->info;
		rel->rd_amcache = cached;
	}
	index->info = *(VkIndexInfo *) rel->rd_amcache;
	index->store = vk_store_for(index->info.elem, index->info.algorithm);
	vk_index_init_key(index);
	return index;
}

/* Takes a new split id; ids of failed transactions are lost. */
uint32
vk_meta_new_split_id(VkIndex *index)
{
	Buffer		buffer = vk_page_read(index, VK_META_BLOCK, VK_PAGE_META, 0, BUFFER_LOCK_EXCLUSIVE);
	VkMetaPage *meta = VkPageGetMeta(BufferGetPage(buffer));
	uint32		id = meta->next_split_id;
	VkEdit		edit;
	int			page;

	if (id == PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index \"%s\" has used all its split numbers",
						RelationGetRelationName(index->rel)),
				 errhint("REINDEX starts from the first again.")));
	vk_edit_start(&edit, index);
	page = vk_edit_page(&edit, buffer);
	vk_edit_put_uint32(&edit, page, &meta->next_split_id, id + 1);
	vk_edit_commit_release(&edit);
	return id;
}

/* How many splits have been made: not fewer than there are. */
uint32
vk_meta_splits_made(VkIndex *index)
{
	Buffer		buffer = vk_page_read(index, VK_META_BLOCK, VK_PAGE_META, 0, BUFFER_LOCK_SHARE);
	uint32		next = VkPageGetMeta(BufferGetPage(buffer))->next_split_id;

	vk_page_release(buffer);
	return next - 1;
}

/* VkMetaPage.searched */
int64
vk_meta_searched(VkIndex *index)
{
	Buffer		buffer = vk_page_read(index, VK_META_BLOCK, VK_PAGE_META, 0, BUFFER_LOCK_SHARE);
	int64		searched = VkPageGetMeta(BufferGetPage(buffer))->searched;

	vk_page_release(buffer);
	return searched;
}

void
vk_meta_set_searched(VkIndex *index, int64 searched)
{
	Buffer		buffer = vk_page_read(index, VK_META_BLOCK, VK_PAGE_META, 0, BUFFER_LOCK_EXCLUSIVE);
	VkEdit		edit;

	vk_edit_start(&edit, index);
	vk_edit_put(&edit, vk_edit_page(&edit, buffer),
				&VkPageGetMeta(BufferGetPage(buffer))->searched, &searched, sizeof(searched));
	vk_edit_commit_release(&edit);
}
