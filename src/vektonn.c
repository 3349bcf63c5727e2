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
