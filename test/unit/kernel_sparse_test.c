/*
 * kernel_sparse_test.c: every sparse kernel this CPU has gives the bits of a
 * loop over all indices in ascending order in double precision, for lists of
 * any two lengths and any overlap, and reads nothing behind the lists.
 *
 * LINKS: src/distance/kernel_choose.o src/distance/kernel_portable.o src/distance/kernel_sparse.o
 * LINKS: src/distance/kernel_avx2.o src/distance/kernel_avx512.o src/distance/kernel_neon.o
 * LINKS: src/distance/kernel_avx512vnni.o
 */
#include "postgres.h"

#include "check.h"
#include "distance/kernel.h"

#define MAX_NNZ		3000

/* How the indices of a list lie in 0 .. INT32_MAX. */
typedef enum Spread
{
	SPREAD_DENSE,				/* 0, 1, 2, ... with few gaps */
	SPREAD_HALF,				/* every second one, by chance */
	SPREAD_WIDE,				/* far apart */
	NUM_SPREADS
} Spread;

static int32 *index_space[2];	/* each ends at a guard page */
static float *value_space[2];

/* A list of nnz random indices; equal spreads meet each other often. */
static VkSparse
make_list(int which, int nnz, Spread spread, int32 start)
{
	int32	   *indices = index_space[which] + MAX_NNZ - nnz;
	float	   *values = value_space[which] + MAX_NNZ - nnz;
	VkSparse	list = {indices, values, nnz};
	int			max_step = spread == SPREAD_DENSE ? 1 : spread == SPREAD_HALF ? 3 : 300000;
	int64		index = start;

	for (int i = 0; i < nnz; i++)
	{
		if (spread == SPREAD_DENSE)
			index += 1 + (random_below(16) == 0);
		else
			index += 1 + random_below(max_step);
		indices[i] = index;
		values[i] = random_unit();
		if (random_below(50) == 0)
			values[i] *= 1e38f;
	}
	return list;
}

typedef struct Sums
{
	double		l2_squared;
	double		ip;
	double		l1;
	int			common;
} Sums;

/* Term by term, in ascending order of index. */
static Sums
plain_sums(const VkSparse *a, const VkSparse *b)
{
	Sums		sums = {0};
	int			i = 0;
	int			j = 0;

	while (i < a->nnz || j < b->nnz)
	{
		bool		take_a = j == b->nnz || (i < a->nnz && a->indices[i] <= b->indices[j]);
		bool		take_b = i == a->nnz || (j < b->nnz && b->indices[j] <= a->indices[i]);
		double		x = take_a ? a->values[i++] : 0;
		double		y = take_b ? b->values[j++] : 0;

		sums.l2_squared += (x - y) * (x - y);
		sums.l1 += fabs(x - y);
		if (take_a && take_b)
		{
			sums.ip += x * y;
			sums.common++;
		}
	}
	return sums;
}

static void
check_lists(const VkKernels *kernels, const VkSparse *a, const VkSparse *b)
{
	Sums		expected = plain_sums(a, b);
	const VkSparseKernels *sparse = &kernels->sparse;

	CHECK(sparse->l2_squared(a, b) == expected.l2_squared, "%s %d %d: %.17g, not %.17g",
		  kernels->name, a->nnz, b->nnz, sparse->l2_squared(a, b), expected.l2_squared);
	CHECK(sparse->l1(a, b) == expected.l1, "%s %d %d: %.17g, not %.17g",
		  kernels->name, a->nnz, b->nnz, sparse->l1(a, b), expected.l1);
	CHECK(sparse->inner_product(a, b) == expected.ip, "%s %d %d: %.17g, not %.17g",
		  kernels->name, a->nnz, b->nnz, sparse->inner_product(a, b), expected.ip);
	CHECK(sparse->intersection(a, b) == expected.common, "%s %d %d: %d, not %d",
		  kernels->name, a->nnz, b->nnz, sparse->intersection(a, b), expected.common);
}

static void
test_lists(const VkKernels *kernels)
{
	static const int limits[] = {1, 5, 40, 200, MAX_NNZ};

	for (int round = 0; round < 8000; round++)
	{
		int			max_a = limits[random_below(5)];
		int			max_b = limits[random_below(5)];
		VkSparse	a = make_list(0, random_below(max_a + 1), random_below(NUM_SPREADS),
								  random_below(100));
		VkSparse	b = make_list(1, random_below(max_b + 1), random_below(NUM_SPREADS),
								  random_below(100));

		check_lists(kernels, &a, &b);
		check_lists(kernels, &b, &a);
		check_lists(kernels, &a, &a);
	}
}

/* The norm an index may keep is the product the kernels compute. */
static void
test_norm(const VkKernels *kernels)
{
	for (int nnz = 0; nnz < 300; nnz++)
	{
		VkSparse	a = make_list(0, nnz, SPREAD_HALF, 0);

		CHECK(vk_sparse_norm_squared(&a) == kernels->sparse.inner_product(&a, &a),
			  "%s %d", kernels->name, nnz);
	}
}

/* The largest index there is, and lists that do not meet. */
static void
test_edges(const VkKernels *kernels)
{
	int32		last[] = {VK_SPARSE_MAX_DIM - 2, VK_SPARSE_MAX_DIM - 1};
	int32		first[] = {0, 1};
	float		ones[] = {1, 1};
	VkSparse	high = {last, ones, 2};
	VkSparse	low = {first, ones, 2};
	VkSparse	none = {NULL, NULL, 0};

	check_lists(kernels, &high, &low);
	check_lists(kernels, &high, &high);
	check_lists(kernels, &none, &low);
	check_lists(kernels, &none, &none);
}

int
main(void)
{
	for (int which = 0; which < 2; which++)
	{
		index_space[which] = (int32 *) guarded_alloc(MAX_NNZ * sizeof(int32));
		value_space[which] = (float *) guarded_alloc(MAX_NNZ * sizeof(float));
	}
	for (int choice = VK_KERNEL_PORTABLE; choice < VK_NUM_KERNEL_CHOICES; choice++)
	{
		const VkKernels *kernels = vk_kernels_get(choice);

		if (kernels == NULL)
			continue;
		test_edges(kernels);
		test_norm(kernels);
		test_lists(kernels);
	}
	return 0;
}
