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

#include "utils/guc.h"

#include "distance/distance.h"
#include "guc.h"

void
vk_guc_init(void)
{
	DefineCustomEnumVariable("vektonn.kernel",
							 "Selects the instruction set of the distance functions.",
							 "Results do not depend on it.",
							 &vk_kernel_setting,
							 vk_kernel_setting,
							 vk_kernel_options,
							 PGC_USERSET,
							 GUC_NOT_IN_SAMPLE,
							 vk_kernel_check, vk_kernel_assign, NULL);

	MarkGUCPrefixReserved("vektonn");
}
