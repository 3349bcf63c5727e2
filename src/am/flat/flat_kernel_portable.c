/*-------------------------------------------------------------------------
 *
 * flat_kernel_portable.c
 *	  The flat store's loops in plain C.
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>

#include "am/flat/flat_kernel.h"

static int32_t
dot_code(const int8_t *code, const int16_t *query, int length)
{
	int32_t		sum = 0;

	for (int i = 0; i < length; i++)
		sum += (int32_t) code[i] * query[i];
	return sum;
}

#define KERNEL_NAME		vk_flat_kernels_portable
#define KERNEL_TITLE	"portable"
#include "am/flat/flat_kernel_template.h"
