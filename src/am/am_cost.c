/*-------------------------------------------------------------------------
 *
 * am_cost.c
 *	  The planner's cost of an index scan.
 *
 * A scan pays for its first pass before it returns anything, then little per
 * row, then for further passes.  How many rows will be asked for follows from
 * LIMIT and the selectivity of the conditions the index does not answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "access/genam.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"

#include "am/am_private.h"
#include "compat/pgcompat.h"

/*
 * Planner cost units per second of CPU time.  By default a row of a
 * sequential scan costs 0.0125 and takes some 100 ns.
 */
#define COST_PER_SECOND		100000.0

/* A pass that asks for everything also sorts it. */
#define SECONDS_PER_SORTED_ROW	2e-7

/* Without LIMIT, or under a join, this many rows are assumed to be wanted first. */
#define DEFAULT_FIRST_ROWS	10.0

/* A page of rows of small splits. */
#define SECONDS_PER_SHARED_PAGE	4e-6

/* Looking up a split, and starting a scan. */
#define SECONDS_PER_SCAN	5e-6

/*
 * More than any other path costs, switched off or not.  (Infinity would give
 * NaN where the planner subtracts costs.)
 */
#define IMPOSSIBLE_COST		1e30

/*
 * Paths the access method cannot serve: the planner takes any index for an
 * index-only scan of no columns, count(*), but TIDs are only good with a
 * visit to the heap, see am_scan.c.  Nor is there anything to read of an index
 * that does not exist.
 */
static bool
path_is_impossible(const IndexPath *path)
{
	return path->path.pathtype == T_IndexOnlyScan || path->indexinfo->hypothetical ||
		(path->indexorderbys == NIL && path->indexclauses == NIL);
}

/* Whether the average split's rows are on shared pages: one page tells. */
static bool
are_splits_small(VkIndex *index, const IndexOptInfo *opt)
{
	double		splits;

	if (index->info.nsplit_columns == 0)
		return false;
	splits = vk_meta_splits_made(index);
	return (double) opt->pages * BLCKSZ / Max(splits, 1) <= VK_TINY_MAX_BYTES;
}

/* Longer values of a condition are not looked up: no key may be so long. */
#define MAX_LOOKED_UP	(VK_MAX_KEY_SIZE / 4)

/* The value a clause of the index asks for, if it is known and of the column's type. */
static bool
clause_value(PlannerInfo *root, const IndexOptInfo *opt, IndexClause *clause, Datum *value,
			 bool *isnull)
{
	int			column = clause->indexcol;
	Expr	   *expr = linitial_node(RestrictInfo, clause->indexquals)->clause;
	Node	   *right;
	Const	   *constant;

	if (list_length(clause->indexquals) != 1)
		return false;
	*isnull = IsA(expr, NullTest) && ((NullTest *) expr)->nulltesttype == IS_NULL;
	if (*isnull)
		return true;
	if (!IsA(expr, OpExpr) || list_length(((OpExpr *) expr)->args) != 2)
		return false;
	right = estimate_expression_value(root, lsecond(((OpExpr *) expr)->args));
	if (!IsA(right, Const))
		return false;
	constant = (Const *) right;
	if (constant->constisnull || constant->consttype != opt->opcintype[column] ||
		(constant->constlen == -1 && toast_raw_datum_size(constant->constvalue) > MAX_LOOKED_UP))
		return false;
	*value = constant->constvalue;
	return true;
}

/*
 * The number of rows of the one split that the conditions name, by the split
 * directory; negative if they do not, or it cannot be told.  pages receives,
 * for a small split, its shared pages.
 */
static double
known_rows(PlannerInfo *root, IndexPath *path, VkIndex *index, double *pages)
{
	Datum		values[INDEX_MAX_KEYS] = {0};
	bool		isnull[INDEX_MAX_KEYS];
	bool		found[INDEX_MAX_KEYS] = {false};
	VkSplitKey	key;
	VkStoreRef	ref = {0, InvalidBlockNumber};
	OffsetNumber offset;
	Buffer		leaf;
	double		rows = 0;
	ListCell   *cell;

	*pages = 0;
	if (index->info.nsplit_columns == 0)
		return -1;
	foreach(cell, path->indexclauses)
	{
		IndexClause *clause = lfirst_node(IndexClause, cell);
		int			column = clause->indexcol;

		if (column > 0 && !found[column])
			found[column] = clause_value(root, path->indexinfo, clause, &values[column],
										 &isnull[column]);
	}
	for (int column = 1; column <= index->info.nsplit_columns; column++)
		if (!found[column])
			return -1;
	isnull[0] = true;
	vk_key_form(index, values, isnull, &key);
	leaf = vk_dir_leaf(index, key.hash, BUFFER_LOCK_SHARE);
	offset = vk_dir_find(index, leaf, &key);
	if (offset != InvalidOffsetNumber)
	{
		VkSplitEntry *entry = vk_dir_entry(index, leaf, offset);

		ref.split_id = entry->split_id;
		ref.head = entry->head;
		*pages = entry->nshared;
		rows = entry->tiny_bytes /
			(offsetof(VkSharedRow, value) + VARHDRSZ + (double) Max(index->info.row_bytes, 16));
	}
	vk_page_release(leaf);
	if (ref.head == InvalidBlockNumber)
		return rows;
	return index->store->rows != NULL ? index->store->rows(index, ref) : -1;
}

/* Rows that will be asked of the index. */
static double
rows_wanted(PlannerInfo *root, IndexPath *path, double index_rows)
{
	RelOptInfo *rel = path->path.parent;
	double		wanted = root->limit_tuples > 0 ? root->limit_tuples : DEFAULT_FIRST_ROWS;
	double		passing = rel->rows / Max(index_rows, 1);

	/* each row wanted costs 1 / passing rows of the index */
	if (passing > 0 && passing < 1)
		wanted /= passing;
	return Min(wanted, Max(index_rows, 1));
}

/* I/O: pages a warm cache is not expected to have. */
static double
page_cost(IndexPath *path, double pages)
{
	double		random_cost;
	double		seq_cost;
	double		cached = Min(1.0, (double) effective_cache_size /
							 Max(path->indexinfo->pages, 1));

	get_tablespace_page_costs(path->indexinfo->reltablespace, &random_cost, &seq_cost);
	return pages * seq_cost * (1.0 - cached);
}

void
vk_cost_estimate(PlannerInfo *root, IndexPath *path, double loop_count,
				 Cost *startup_cost, Cost *total_cost, Selectivity *selectivity,
				 double *correlation, double *pages)
{
	IndexOptInfo *opt = path->indexinfo;
	List	   *quals = get_quals_from_indexclauses(path->indexclauses);
	Relation	rel;
	VkIndex    *index;
	double		rows;
	double		seconds;
	double		wanted;
	double		passes;
	double		known;
	double		shared_pages;

	if (path_is_impossible(path))
	{
		*startup_cost = *total_cost = IMPOSSIBLE_COST;
		vk_path_disable_compat(&path->path);
		*selectivity = 1;
		*correlation = 0;
		*pages = opt->pages;
		return;
	}
	rel = index_open(opt->indexoid, NoLock);
	index = vk_index_open(rel);

	*selectivity = clauselist_selectivity(root, add_predicate_to_index_quals(opt, quals),
										  opt->rel->relid, JOIN_INNER, NULL);
	rows = clamp_row_est(*selectivity * opt->tuples);
	wanted = path->indexorderbys == NIL ? rows : rows_wanted(root, path, rows);

	/*
	 * Never more than the statistics say: other paths are judged by these,
	 * and an honest cost beside costs that are too low would lose.
	 */
	known = known_rows(root, path, index, &shared_pages);
	if (known >= 0 && known < rows)
	{
		rows = Max(known, 1);
		*selectivity = Min(*selectivity, rows / Max(opt->tuples, 1));
	}
	wanted = Min(wanted, rows);
	index->store->cost(&index->info, rows, wanted, &seconds, pages);

	/* small splits are read row by row, whatever the store would do */
	if (known >= 0 && shared_pages > 0)
	{
		*pages = shared_pages;
		seconds = shared_pages * SECONDS_PER_SHARED_PAGE;
	}
	else if (known < 0 && are_splits_small(index, opt))
	{
		*pages = Max(*pages, opt->pages * *selectivity);
		seconds = Max(seconds, *pages * SECONDS_PER_SHARED_PAGE);
	}
	index_close(rel, NoLock);

	/* reading all of it: passes with growing k, the last one sorts */
	passes = rows > wanted ? log(rows / wanted) / log(4.0) : 0;
	*startup_cost = (seconds + SECONDS_PER_SCAN) * COST_PER_SECOND + page_cost(path, *pages);
	*total_cost = *startup_cost + rows * cpu_index_tuple_cost +
		(passes * seconds + rows * SECONDS_PER_SORTED_ROW) * COST_PER_SECOND;
	*correlation = 0;
}
