/*-------------------------------------------------------------------------
 *
 * am_planner.c
 *	  Paths the planner does not make by itself.
 *
 * Up to PostgreSQL 16 the planner leaves = ANY on any index column but the
 * first out of an ordered index path (found_lower_saop_clause in indxpath.c:
 * a btree would return rows out of order).  Ours would not: this adds the same
 * path with the conditions.  Newer planners make it themselves; then there is
 * nothing to add.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "utils/lsyscache.h"

#include "am/am_private.h"

static set_rel_pathlist_hook_type next_hook;

/* The split column (0-based among index columns) that = ANY restricts, or 0. */
static int
any_column(IndexOptInfo *index, RestrictInfo *rinfo)
{
	ScalarArrayOpExpr *any = (ScalarArrayOpExpr *) rinfo->clause;
	Node	   *left;
	Node	   *right;

	if (rinfo->pseudoconstant || !IsA(any, ScalarArrayOpExpr) || !any->useOr)
		return 0;
	left = (Node *) linitial(any->args);
	right = (Node *) lsecond(any->args);
	if (bms_is_member(index->rel->relid, pull_varnos(NULL, right)) ||
		contain_volatile_functions(right))
		return 0;
	for (int column = 1; column < index->nkeycolumns; column++)
		if (match_index_to_operand(left, column, index) &&
			op_in_opfamily(any->opno, index->opfamily[column]) &&
			(!OidIsValid(index->indexcollations[column]) ||
			 index->indexcollations[column] == any->inputcollid))
			return column;
	return 0;
}

static bool
has_clause(List *clauses, RestrictInfo *rinfo)
{
	ListCell   *cell;

	foreach(cell, clauses)
		if (lfirst_node(IndexClause, cell)->rinfo == rinfo)
		return true;
	return false;
}

/* = ANY conditions on split columns that the path does not have. */
static List *
missing_clauses(IndexPath *path)
{
	IndexOptInfo *index = path->indexinfo;
	List	   *missing = NIL;
	ListCell   *cell;

	foreach(cell, index->indrestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);
		int			column = any_column(index, rinfo);
		IndexClause *clause;

		if (column == 0 || has_clause(path->indexclauses, rinfo))
			continue;
		clause = makeNode(IndexClause);
		clause->rinfo = rinfo;
		clause->indexquals = list_make1(rinfo);
		clause->indexcol = column;
		missing = lappend(missing, clause);
	}
	return missing;
}

static void
add_any_paths(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	List	   *added = NIL;
	ListCell   *cell;

	if (next_hook != NULL)
		next_hook(root, rel, rti, rte);
	foreach(cell, rel->pathlist)
	{
		IndexPath  *path = (IndexPath *) lfirst(cell);
		List	   *missing;

		if (!IsA(path, IndexPath) || path->indexorderbys == NIL ||
			path->path.param_info != NULL ||
			path->indexinfo->amcostestimate != (void (*) ()) vk_cost_estimate)
			continue;
		missing = missing_clauses(path);
		if (missing != NIL)
			added = lappend(added,
							create_index_path(root, path->indexinfo,
											  list_concat_copy(path->indexclauses, missing),
											  path->indexorderbys, path->indexorderbycols,
											  path->path.pathkeys, ForwardScanDirection, false,
											  NULL, 1.0, false));
	}
	foreach(cell, added)
		add_path(rel, (Path *) lfirst(cell));
}

void
vk_planner_init(void)
{
	next_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = add_any_paths;
}
