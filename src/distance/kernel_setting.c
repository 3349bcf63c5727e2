/*-------------------------------------------------------------------------
 *
 * kernel_setting.c
 *	  The developer setting vektonn.kernel.
 *
 * Results are the same with every kernel; the setting is there to test just
 * that, and to measure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "distance/kernel.h"
#include "lib/stringinfo.h"

int			vk_kernel_setting = VK_KERNEL_AUTO;

const struct config_enum_entry vk_kernel_options[] = {
	{"auto", VK_KERNEL_AUTO, false},
	{"portable", VK_KERNEL_PORTABLE, false},
	{"avx2", VK_KERNEL_AVX2, false},
	{"avx512", VK_KERNEL_AVX512, false},
	{"avx512vnni", VK_KERNEL_AVX512VNNI, false},
	{"neon", VK_KERNEL_NEON, false},
	{NULL, 0, false}
};

bool
vk_kernel_check(int *newval, void **extra, GucSource source)
{
	StringInfoData available;

	if (vk_kernels_get(*newval) != NULL)
		return true;

	initStringInfo(&available);
	for (const struct config_enum_entry *option = vk_kernel_options; option->name; option++)
	{
		if (vk_kernels_get(option->val) != NULL)
			appendStringInfo(&available, "%s%s", available.len > 0 ? ", " : "",
							 option->name);
	}
	GUC_check_errdetail("This CPU or this build of vektonn lacks these kernels.");
	GUC_check_errhint("Available kernels: %s.", available.data);
	return false;
}

void
vk_kernel_assign(int newval, void *extra)
{
	vk_kernels = vk_kernels_get(newval);
}
