/*-------------------------------------------------------------------------
 *
 * am_options.c
 *	  Options of CREATE INDEX ... WITH (...).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"

#include "am/am_private.h"

static relopt_kind options_kind;

/* A value appears here once its store does: see vk_store_for(). */
static relopt_enum_elt_def algorithm_values[] = {
	{"flat", VK_ALGORITHM_FLAT},
	{"hnsw", VK_ALGORITHM_HNSW},
	{NULL}
};

void
vk_am_init(void)
{
	vk_planner_init();
	vk_explain_init();
	options_kind = add_reloption_kind();
	add_enum_reloption(options_kind, "algorithm", "How vectors are searched.",
					   algorithm_values, VK_ALGORITHM_FLAT,
					   "Valid values are \"flat\" and \"hnsw\".",
					   AccessExclusiveLock);

	/* 0, that is, not given: the default is chosen in vk_index_describe() */
	add_int_reloption(options_kind, "m", "Edges a vector gets in a graph, of each level.",
					  0, VK_MIN_M, VK_MAX_M, AccessExclusiveLock);
	add_int_reloption(options_kind, "ef_construction",
					  "Candidates among which a graph chooses the neighbours of a vector.",
					  0, VK_MIN_EF_CONSTRUCTION, VK_MAX_EF_CONSTRUCTION, AccessExclusiveLock);
	add_int_reloption(options_kind, "ef_search", "Candidates a search of a graph follows.",
					  0, VK_MIN_EF_SEARCH, VK_MAX_EF_SEARCH, AccessExclusiveLock);
}

bytea *
vk_options_parse(Datum reloptions, bool validate)
{
	static const relopt_parse_elt table[] = {
		{"algorithm", RELOPT_TYPE_ENUM, offsetof(VkOptions, algorithm)},
		{"m", RELOPT_TYPE_INT, offsetof(VkOptions, m)},
		{"ef_construction", RELOPT_TYPE_INT, offsetof(VkOptions, ef_construction)},
		{"ef_search", RELOPT_TYPE_INT, offsetof(VkOptions, ef_search)},
	};

	return (bytea *) build_reloptions(reloptions, validate, options_kind, sizeof(VkOptions),
									  table, lengthof(table));
}
