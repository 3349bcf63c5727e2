/*-------------------------------------------------------------------------
 *
 * batch_filter.c
 *	  The loops over products: what they exclude, and what is the most
 *	  promising.
 *
 * They run once per query and row, so the compiler should make vectors of
 * them (Makefile: -O3).  Comparisons are written so that a NaN, from sums that
 * overflowed, excludes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "batch/batch_private.h"

/* Rows looked at together, before each of them. */
#define CHUNK	64

/*
 * On x86-64 the loops are compiled for several instruction sets, and the
 * loader chooses: they bound, so their rounding need not be the same everywhere.
 */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define FOR_EACH_CPU	__attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

FOR_EACH_CPU void
vk_filter_values(const float *restrict products, const float *restrict norms,
				 const float *restrict errors, const float *restrict offsets,
				 const VkFilter *filter, int count, float *restrict values)
{
	const float of_norm = filter->of_norm;
	const float of_error = filter->of_error;

	for (int i = 0; i < count; i++)
		values[i] = products[i] + of_norm * norms[i] + of_error * errors[i] - offsets[i];
}

/* The values of count rows, and which of them are not below the limit: how many. */
FOR_EACH_CPU int
vk_filter_select(const float *restrict products, const float *restrict norms,
				 const float *restrict errors, const float *restrict offsets,
				 const VkFilter *filter, int count, float *restrict values,
				 int *restrict selected)
{
	const float of_norm = filter->of_norm;
	const float of_error = filter->of_error;
	const float limit = filter->limit;
	int			nselected = 0;
	int			from = 0;

	for (; from + CHUNK <= count; from += CHUNK)
	{
		int			below = 0;

		for (int i = from; i < from + CHUNK; i++)
		{
			values[i] = products[i] + of_norm * norms[i] + of_error * errors[i] - offsets[i];
			below += values[i] < limit;
		}
		if (below == CHUNK)
			continue;
		for (int i = from; i < from + CHUNK; i++)
			if (!(values[i] < limit))
				selected[nselected++] = i;
	}
	for (int i = from; i < count; i++)
	{
		values[i] = products[i] + of_norm * norms[i] + of_error * errors[i] - offsets[i];
		if (!(values[i] < limit))
			selected[nselected++] = i;
	}
	return nselected;
}

/* The wanted-th greatest value, of at least so many; disorders them. */
float
vk_filter_greatest(float *values, int count, int wanted)
{
	int			low = 0;
	int			high = count - 1;
	int			at = wanted - 1;

	/* quickselect needs a total order */
	for (int i = 0; i < count; i++)
		if (isnan(values[i]))
			values[i] = INFINITY;
	while (low < high)
	{
		float		pivot = values[low + (high - low) / 2];
		int			left = low;
		int			right = high;

		while (left <= right)
		{
			while (values[left] > pivot)
				left++;
			while (values[right] < pivot)
				right--;
			if (left <= right)
			{
				float		value = values[left];

				values[left++] = values[right];
				values[right--] = value;
			}
		}
		if (at <= right)
			high = right;
		else if (at >= left)
			low = left;
		else
			break;
	}
	return values[at];
}
