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

/* A list this many times longer than the other is skipped through. */
#define SKIP_RATIO	4
#define SKIP_BLOCK	16

/*
 * The indices both lists have: their number, and the sum of the products of
 * the values there.  The compiler drops the one that is not used.
 */
static pg_attribute_always_inline int
merge_common(const VkSparse *a, const VkSparse *b, double *sum)
{
	int			count = 0;
	int			i = 0;
	int			j = 0;

	while (i < a->nnz && j < b->nnz)
	{
		int32		index_a = a->indices[i];
		int32		index_b = b->indices[j];

		if (index_a == index_b)
		{
			*sum += (double) a->values[i] * b->values[j];
			count++;
		}
		i += index_a <= index_b;
		j += index_b <= index_a;
	}
	return count;
}

/* The same, looking up each index of a short list in a long one. */
static pg_attribute_always_inline int
skip_common(const VkSparse *few, const VkSparse *many, double *sum)
{
	int			count = 0;
	int			at = 0;

	for (int i = 0; i < few->nnz; i++)
	{
		int32		index = few->indices[i];

		while (at + SKIP_BLOCK <= many->nnz && many->indices[at + SKIP_BLOCK - 1] < index)
			at += SKIP_BLOCK;
		while (at < many->nnz && many->indices[at] < index)
			at++;
		if (at == many->nnz)
			break;
		if (many->indices[at] == index)
		{
			*sum += (double) few->values[i] * many->values[at];
			count++;
		}
	}
	return count;
}

static pg_attribute_always_inline int
find_common(const VkSparse *a, const VkSparse *b, double *sum)
{
	if (a->nnz / SKIP_RATIO > b->nnz)
		return skip_common(b, a, sum);
	if (b->nnz / SKIP_RATIO > a->nnz)
		return skip_common(a, b, sum);
	return merge_common(a, b, sum);
}

double
vk_sparse_inner_product(const VkSparse *a, const VkSparse *b)
{
	double		sum = 0;

	find_common(a, b, &sum);
	return sum;
}

int
vk_sparse_intersection(const VkSparse *a, const VkSparse *b)
{
	double		unused = 0;

	return find_common(a, b, &unused);
}

void
vk_sparse_norms_squared(const VkSparse *a, const VkSparse *b, double *norm_a, double *norm_b)
{
	int			both = Min(a->nnz, b->nnz);
	const VkSparse *longer = a->nnz > b->nnz ? a : b;
	double		sum_a = 0;
	double		sum_b = 0;

	/*
	 * Side by side, the latency of one addition hides behind that of the
	 * other.
	 */
	for (int i = 0; i < both; i++)
	{
		sum_a += (double) a->values[i] * a->values[i];
		sum_b += (double) b->values[i] * b->values[i];
	}
	for (int i = both; i < longer->nnz; i++)
	{
		double	   *sum = longer == a ? &sum_a : &sum_b;

		*sum += (double) longer->values[i] * longer->values[i];
	}
	*norm_a = sum_a;
	*norm_b = sum_b;
}
