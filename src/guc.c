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

#include "guc.h"

void
vk_guc_init(void)
{
	MarkGUCPrefixReserved("vektonn");
}
