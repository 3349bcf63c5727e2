/*-------------------------------------------------------------------------
 *
 * vektonn.c
 *	  Module entry point: calls the init function of each subsystem once.
 *
 * Loading the library does nothing but define settings.  Only when it is
 * loaded by shared_preload_libraries does it ask for shared memory and
 * register the launcher of the background workers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/regproc.h"

#include "am/am.h"
#include "compat/pgcompat.h"
#include "guc.h"
#include "kafka_bgworker/launcher.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	vk_guc_init();
	vk_am_init();
	if (process_shared_preload_libraries_in_progress)
		vk_launcher_init();
}

PG_FUNCTION_INFO_V1(vk_not_built);

/* What a function of a companion module is in a build without that module. */
Datum
vk_not_built(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("function %s is not part of this build of vektonn",
					format_procedure(fcinfo->flinfo->fn_oid)),
			 errhint("Its library was left out; build vektonn without WITHOUT_KAFKA, WITHOUT_BLAS and WITHOUT_YAML.")));
}
