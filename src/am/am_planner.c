/*-------------------------------------------------------------------------
 *
 * am_planner.c
 *	  What the planner does not do by itself.
 *
 * A distance that a query orders by and does not return is a hidden column of
 * its plan, computed for each row although the index has put the rows in order
 * and nothing looks at it.  Where the vector is TOASTed this costs as much as
 * the search.  So it is taken out of finished plans.
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
#include "optimizer/planner.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"

#include "am/am_private.h"

static set_rel_pathlist_hook_type next_hook;
static planner_hook_type next_planner_hook;

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

/* ------------------------------------------------------------------------
 * Hidden distances
 * ------------------------------------------------------------------------ */

static bool
is_ours(Oid indexid)
{
	Relation	rel = RelationIdGetRelation(indexid);
	bool		ours;

	if (rel == NULL)
		return false;
	ours = rel->rd_indam != NULL && rel->rd_indam->ambuild == vk_build;
	RelationClose(rel);
	return ours;
}

/* The scan whose hidden columns are those of the plan, or NULL. */
static IndexScan *
ordered_scan(Plan *plan)
{
	IndexScan  *scan;

	/* LIMIT ... WITH TIES compares them */
	if (plan != NULL && IsA(plan, Limit) && ((Limit *) plan)->limitOption == LIMIT_OPTION_COUNT)
		plan = plan->lefttree;
	if (plan == NULL || !IsA(plan, IndexScan))
		return NULL;
	scan = (IndexScan *) plan;
	return scan->indexorderbyorig != NIL && is_ours(scan->indexid) ? scan : NULL;
}

/* plan is that of a whole query, or of a subquery. */
static void
drop_hidden_distances(Plan *plan)
{
	IndexScan  *scan = ordered_scan(plan);
	ListCell   *cell;

	if (scan == NULL)
		return;
	foreach(cell, scan->scan.plan.targetlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (entry->resjunk && list_member(scan->indexorderbyorig, entry->expr))
			entry->expr = (Expr *) makeNullConst(exprType((Node *) entry->expr), -1,
												 exprCollation((Node *) entry->expr));
	}
}

static void
walk_plan(Plan *plan)
{
	if (plan == NULL)
		return;
	walk_plan(plan->lefttree);
	walk_plan(plan->righttree);

	/*
	 * LIMIT is the last step of a query: a subquery that has become part of
	 * another
	 */
	if (IsA(plan, Limit))
		drop_hidden_distances(plan);
	if (IsA(plan, SubqueryScan))
	{
		drop_hidden_distances(((SubqueryScan *) plan)->subplan);
		walk_plan(((SubqueryScan *) plan)->subplan);
	}
}

static PlannedStmt *
plan_query(Query *query, const char *text, int options, ParamListInfo params)
{
	PlannedStmt *result = next_planner_hook != NULL ?
	next_planner_hook(query, text, options, params) :
	standard_planner(query, text, options, params);
	ListCell   *cell;

	if (result->commandType == CMD_SELECT)
		drop_hidden_distances(result->planTree);
	walk_plan(result->planTree);
	foreach(cell, result->subplans)
	{
		drop_hidden_distances((Plan *) lfirst(cell));
		walk_plan((Plan *) lfirst(cell));
	}
	return result;
}

void
vk_planner_init(void)
{
	next_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = add_any_paths;
	next_planner_hook = planner_hook;
	planner_hook = plan_query;
}
