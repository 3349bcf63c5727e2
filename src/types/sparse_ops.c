/*-------------------------------------------------------------------------
 *
 * sparse_ops.c
 *	  Functions of sparsevec.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "types/report.h"

static double
norm(const VkSparsevec *vec)
{
	const float *values = VK_SPARSEVEC_VALUES(vec);
	double		sum = 0;

	for (int i = 0; i < vec->nnz; i++)
		sum += (double) values[i] * values[i];
	return sqrt(sum);
}

PG_FUNCTION_INFO_V1(vk_sparsevec_norm);
Datum
vk_sparsevec_norm(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(norm(PG_GETARG_VKSPARSEVEC_P(0)));
}

/*
 * The vector of length 1 in the same direction; of an empty vector an empty
 * one.  What becomes zero by rounding is left out.
 */
PG_FUNCTION_INFO_V1(vk_sparsevec_normalize);
Datum
vk_sparsevec_normalize(PG_FUNCTION_ARGS)
{
	VkSparsevec *vec = PG_GETARG_VKSPARSEVEC_P(0);
	const float *values = VK_SPARSEVEC_VALUES(vec);
	double		length = norm(vec);
	VkSparsevec *result;
	int			nnz = 0;
	int			next = 0;

	for (int i = 0; i < vec->nnz; i++)
	{
		float		value = (float) (values[i] / length);

		if (!vk_float_is_finite(value))
			vk_report_overflow(vec->indices[i]);
		nnz += value != 0;
	}
	result = vk_sparsevec_alloc(vec->dim, nnz);
	for (int i = 0; i < vec->nnz; i++)
	{
		float		value = (float) (values[i] / length);

		if (value == 0)
			continue;
		result->indices[next] = vec->indices[i];
		VK_SPARSEVEC_VALUES(result)[next] = value;
		next++;
	}
	PG_RETURN_POINTER(result);
}
