/*-------------------------------------------------------------------------
 *
 * wide.c
 *	  Dense sums in double precision, for sums that do not fit a float.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "distance/wide.h"

static inline double
element(VkElem elem, const void *array, int i)
{
	if (elem == VK_ELEM_FLOAT2)
		return vk_half_to_float(((const VkHalf *) array)[i]);
	return ((const float *) array)[i];
}

double
vk_wide_l2_squared(VkElem elem, const void *a, const void *b, int dim)
{
	double		sum = 0;

	for (int i = 0; i < dim; i++)
	{
		double		diff = element(elem, a, i) - element(elem, b, i);

		sum += diff * diff;
	}
	return sum;
}

double
vk_wide_inner_product(VkElem elem, const void *a, const void *b, int dim)
{
	double		sum = 0;

	for (int i = 0; i < dim; i++)
		sum += element(elem, a, i) * element(elem, b, i);
	return sum;
}

double
vk_wide_l1(VkElem elem, const void *a, const void *b, int dim)
{
	double		sum = 0;

	for (int i = 0; i < dim; i++)
		sum += fabs(element(elem, a, i) - element(elem, b, i));
	return sum;
}

double
vk_wide_cosine(VkElem elem, const void *a, const void *b, int dim)
{
	double		norm_a = vk_wide_inner_product(elem, a, a, dim);
	double		norm_b = vk_wide_inner_product(elem, b, b, dim);

	/*
	 * A zero vector has no direction: it is as far from all others as right
	 * angles are.
	 */
	if (norm_a == 0 || norm_b == 0)
		return 1.0;
	return vk_cosine_from_parts(vk_wide_inner_product(elem, a, b, dim), norm_a, norm_b);
}
