/*-------------------------------------------------------------------------
 *
 * kernel_sparse.c
 *	  Sums over two sparse vectors by merging their index lists.
 *
 * Terms are added in double precision in ascending order of index: products
 * of two floats are exact in double, nothing overflows, and every algorithm
 * that keeps the order gets the same bits.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "distance/kernel.h"

/*
 * Merges a and b: sum of term(x, y) over the indices of either, in ascending
 * order, with 0 for the value that is not there.
 */
static pg_attribute_always_inline double
sum_union(const VkSparse *a, const VkSparse *b, double (*term) (double x, double y))
{
	double		sum = 0;
	int			i = 0;
	int			j = 0;

	while (i < a->nnz && j < b->nnz)
	{
		int32		index_a = a->indices[i];
		int32		index_b = b->indices[j];
		double		x = index_a <= index_b ? a->values[i] : 0;
		double		y = index_b <= index_a ? b->values[j] : 0;

		sum += term(x, y);
		i += index_a <= index_b;
		j += index_b <= index_a;
	}
	for (; i < a->nnz; i++)
		sum += term(a->values[i], 0);
	for (; j < b->nnz; j++)
		sum += term(0, b->values[j]);
	return sum;
}

static pg_attribute_always_inline double
term_l2_squared(double x, double y)
{
	return (x - y) * (x - y);
}

static pg_attribute_always_inline double
term_l1(double x, double y)
{
	return fabs(x - y);
}

double
vk_sparse_l2_squared(const VkSparse *a, const VkSparse *b)
{
	return sum_union(a, b, term_l2_squared);
}

double
vk_sparse_l1(const VkSparse *a, const VkSparse *b)
{
	return sum_union(a, b, term_l1);
}

double
vk_sparse_inner_product(const VkSparse *a, const VkSparse *b)
{
	double		sum = 0;
	int			i = 0;
	int			j = 0;

	while (i < a->nnz && j < b->nnz)
	{
		int32		index_a = a->indices[i];
		int32		index_b = b->indices[j];

		if (index_a == index_b)
			sum += (double) a->values[i] * b->values[j];
		i += index_a <= index_b;
		j += index_b <= index_a;
	}
	return sum;
}

int
vk_sparse_intersection(const VkSparse *a, const VkSparse *b)
{
	int			count = 0;
	int			i = 0;
	int			j = 0;

	while (i < a->nnz && j < b->nnz)
	{
		int32		index_a = a->indices[i];
		int32		index_b = b->indices[j];

		count += index_a == index_b;
		i += index_a <= index_b;
		j += index_b <= index_a;
	}
	return count;
}
