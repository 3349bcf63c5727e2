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
	{NULL}
};

void
vk_am_init(void)
{
	vk_planner_init();
	options_kind = add_reloption_kind();
	add_enum_reloption(options_kind, "algorithm", "How vectors are searched.",
					   algorithm_values, VK_ALGORITHM_FLAT,
					   "Valid values are \"flat\".",
					   AccessExclusiveLock);
}

bytea *
vk_options_parse(Datum reloptions, bool validate)
{
	static const relopt_parse_elt table[] = {
		{"algorithm", RELOPT_TYPE_ENUM, offsetof(VkOptions, algorithm)},
	};

	return (bytea *) build_reloptions(reloptions, validate, options_kind, sizeof(VkOptions),
									  table, lengthof(table));
}
