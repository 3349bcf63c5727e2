/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  Defines the settings, alphabetically, and reserves their prefix.
 *
 * The variables themselves live in the subsystem that reads them; this file
 * is the one place where their names, ranges and descriptions stand.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "am/am.h"
#include "catalog/partial.h"
#include "distance/distance.h"
#include "guc.h"
#include "kafka_bgworker/launcher.h"

void
vk_guc_init(void)
{
	/*
	 * What sizes shared memory is fixed at the start, and without it means
	 * nothing.
	 */
	bool		preloaded = process_shared_preload_libraries_in_progress;

	DefineCustomIntVariable("vektonn.ef_search",
							"Sets how many candidates a search of an index with algorithm = hnsw follows.",
							"More find more of the nearest rows, and take longer; 0 means the option of the index.",
							&vk_graph_ef_search,
							0, 0, 10000,
							PGC_USERSET, 0,
							NULL, NULL, NULL);

	DefineCustomEnumVariable("vektonn.kernel",
							 "Selects the instruction set of the distance functions.",
							 "Results do not depend on it.",
							 &vk_kernel_setting,
							 vk_kernel_setting,
							 vk_kernel_options,
							 PGC_USERSET,
							 GUC_NOT_IN_SAMPLE,
							 vk_kernel_check, vk_kernel_assign, NULL);

	DefineCustomIntVariable("vektonn.max_stream_workers",
							"Sets how many workers of streams there can be, in all databases together.",
							"Each also takes one of max_worker_processes while it runs.",
							&vk_max_stream_workers,
							32, 1, 1024,
							preloaded ? PGC_POSTMASTER : PGC_SIGHUP, 0,
							NULL, NULL, NULL);

	DefineCustomBoolVariable("vektonn.partial_results",
							 "Lets vektonn.search answer without the shards on nodes that are away.",
							 "Each is the subject of a warning. Otherwise it is an error.",
							 &vk_partial_results,
							 false,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("vektonn.sparse_log_limit",
							"Sets how much of an index of sparse vectors may wait to be sorted in.",
							"Inserts are cheap while they wait, but each search compares them one by one. "
							"Counts per split; VACUUM starts at a quarter of it.",
							&vk_sparse_log_limit,
							256, 8, 64 * 1024,
							PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);

	DefineCustomBoolVariable("vektonn.streams",
							 "Lets streams run.",
							 "Turn it off on a copy of a server that must not consume.",
							 &vk_streams_enabled,
							 true,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("vektonn.strict_order",
							 "Leaves out rows that an index with algorithm = hnsw finds too late for their place.",
							 "Otherwise they come as soon as they are found, after rows farther away.",
							 &vk_strict_order,
							 false,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	MarkGUCPrefixReserved("vektonn");
}
