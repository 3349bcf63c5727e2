/*-------------------------------------------------------------------------
 *
 * am_explain.c
 *	  What scans did, in EXPLAIN (ANALYZE), where the server lets extensions
 *	  add to a plan node; elsewhere there is the view vektonn.scan_stats.
 *
 * Numbers are totals over all executions of the node in this process: a
 * parallel worker's are not among them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am_private.h"
#include "compat/pgcompat.h"

#ifdef VK_HAVE_EXPLAIN_PER_NODE

#include "access/relscan.h"
#include "commands/explain.h"
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#include "nodes/execnodes.h"

static explain_per_node_hook_type next_hook;

/* The scan of a node that uses one of our indexes; NULL if it never ran. */
static IndexScanDesc
node_scan(PlanState *node)
{
	IndexScanDesc scan = NULL;

	if (IsA(node, IndexScanState))
		scan = ((IndexScanState *) node)->iss_ScanDesc;
	else if (IsA(node, BitmapIndexScanState))
		scan = ((BitmapIndexScanState *) node)->biss_ScanDesc;
	if (scan == NULL || scan->indexRelation->rd_indam->ambuild != vk_build)
		return NULL;
	return scan;
}

static void
explain_node(PlanState *node, List *ancestors, const char *relationship, const char *plan_name,
			 ExplainState *es)
{
	IndexScanDesc scan = es->analyze ? node_scan(node) : NULL;

	if (next_hook != NULL)
		next_hook(node, ancestors, relationship, plan_name, es);
	if (scan != NULL)
	{
		const VkScanStats *stats = vk_scan_totals(scan);

		ExplainPropertyInteger("Index Passes", NULL, stats->passes, es);
		ExplainPropertyInteger("Splits Searched", NULL, stats->splits, es);
		ExplainPropertyInteger("Codes Read", NULL, stats->codes, es);
		ExplainPropertyInteger("Codes Not Excluded", NULL, stats->survivors, es);
		ExplainPropertyInteger("Rows Compared", NULL, stats->rows, es);
		ExplainPropertyInteger("Index Pages", NULL, stats->pages, es);
	}
}

void
vk_explain_init(void)
{
	next_hook = explain_per_node_hook;
	explain_per_node_hook = explain_node;
}

#else

void
vk_explain_init(void)
{
}

#endif
