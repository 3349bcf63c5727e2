/*
 * metric_test.c: distances made of kernel sums
 *
 * - agree with double precision to float accuracy, for values of any size a
 *   float has: where the float sums overflow or underflow too;
 * - are never NaN or infinite, and 0 between equal vectors;
 * - are symmetric, and the same with every kernel;
 * - of the zero vector: cosine distance exactly 1; of empty sets: Jaccard 0.
 *
 * LINKS: src/distance/kernel_choose.o src/distance/kernel_portable.o src/distance/kernel_sparse.o
 * LINKS: src/distance/kernel_avx2.o src/distance/kernel_avx512.o src/distance/kernel_neon.o
 * LINKS: src/distance/kernel_avx512vnni.o
 * LINKS: src/distance/wide.o src/distance/metric.o
 */
#include "postgres.h"

#include "check.h"
#include "distance/kernel.h"

#define DIM		100

static double
exact_distance(VkMetric metric, const float *a, const float *b, int dim)
{
	long double ip = 0;
	long double norm_a = 0;
	long double norm_b = 0;
	long double l1 = 0;
	long double l2 = 0;
	long double cosine;

	for (int i = 0; i < dim; i++)
	{
		long double x = a[i];
		long double y = b[i];

		ip += x * y;
		norm_a += x * x;
		norm_b += y * y;
		l1 += fabsl(x - y);
		l2 += (x - y) * (x - y);
	}
	switch (metric)
	{
		case VK_METRIC_L2:
			return sqrtl(l2);
		case VK_METRIC_IP:
			return -ip;
		case VK_METRIC_L1:
			return l1;
		default:
			if (norm_a == 0 || norm_b == 0)
				return 1;
			cosine = ip / (sqrtl(norm_a) * sqrtl(norm_b));
			return 1 - Max(-1, Min(1, cosine));
	}
}

/* What float rounding may do to the distance: n * epsilon * sum |terms|. */
static double
tolerance(VkMetric metric, const float *a, const float *b, int dim)
{
	double		epsilon = (dim + 4) * FLT_EPSILON;

	if (metric == VK_METRIC_L2 || metric == VK_METRIC_L1)
		return epsilon * exact_distance(metric, a, b, dim);
	if (metric == VK_METRIC_IP)
	{
		double		magnitude = 0;

		for (int i = 0; i < dim; i++)
			magnitude += fabs((double) a[i] * b[i]);
		/* and each product may lose what is below the smallest float */
		return epsilon * magnitude + dim * (double) FLT_TRUE_MIN;
	}
	return epsilon;
}

/* The same distance by the sparse path, zeros left out. */
static double
sparse_distance(VkMetric metric, const float *a, const float *b, int dim)
{
	int32		indices[2][DIM];
	float		values[2][DIM];
	VkSparse	view[2] = {{indices[0], values[0], 0}, {indices[1], values[1], 0}};

	for (int i = 0; i < dim; i++)
	{
		for (int which = 0; which < 2; which++)
		{
			float		value = which ? b[i] : a[i];
			int			at = view[which].nnz;

			if (value == 0)
				continue;
			indices[which][at] = i;
			values[which][at] = value;
			view[which].nnz++;
		}
	}
	return vk_sparse_distance(metric) (&view[0], &view[1]);
}

static void
check_vectors(const float *a, const float *b, int dim)
{
	for (VkMetric metric = VK_METRIC_L2; metric <= VK_METRIC_L1; metric++)
	{
		VkDenseDistance distance = vk_dense_distance(VK_ELEM_FLOAT4, metric);
		double		dense = distance(a, b, dim);
		double		sparse = sparse_distance(metric, a, b, dim);
		double		exact = exact_distance(metric, a, b, dim);
		double		bound = tolerance(metric, a, b, dim);
		const char *name = vk_metric_by_id(metric)->name;

		CHECK(isfinite(dense) && isfinite(sparse), "%s: %g %g", name, dense, sparse);
		CHECK(fabs(dense - exact) <= bound, "%s %s dim %d: %.17g, exact %.17g",
			  vk_kernels->name, name, dim, dense, exact);
		CHECK(fabs(sparse - exact) <= bound, "%s sparse %s dim %d: %.17g, exact %.17g",
			  vk_kernels->name, name, dim, sparse, exact);
		CHECK(distance(b, a, dim) == dense, "%s is not symmetric", name);
		CHECK(sparse_distance(metric, b, a, dim) == sparse, "%s is not symmetric", name);
		if (metric != VK_METRIC_IP)
		{
			bool		zero = exact_distance(VK_METRIC_IP, a, a, dim) == 0;
			double		self = metric == VK_METRIC_COSINE && zero ? 1 : 0;

			CHECK(distance(a, a, dim) == self, "%s of equal vectors", name);
			CHECK(sparse_distance(metric, a, a, dim) == self, "%s of equal sparse vectors", name);
		}
	}
}

/* Values of about 2^exponent, from denormal to the largest floats. */
static void
test_magnitudes(void)
{
	for (int exponent = -149; exponent <= 127; exponent++)
	{
		for (int round = 0; round < 20; round++)
		{
			float		a[DIM];
			float		b[DIM];
			int			dim = 1 + random_below(DIM);

			for (int i = 0; i < dim; i++)
			{
				a[i] = ldexp(random_unit(), exponent);
				b[i] = ldexp(random_unit(), round % 2 ? exponent : random_below(277) - 149);
			}
			check_vectors(a, b, dim);
		}
	}
}

static void
test_special(void)
{
	float		zero[DIM] = {0};
	float		huge[DIM];
	float		minus_huge[DIM];
	float		tiny[DIM];
	VkDenseDistance cosine = vk_dense_distance(VK_ELEM_FLOAT4, VK_METRIC_COSINE);

	for (int i = 0; i < DIM; i++)
	{
		huge[i] = FLT_MAX;
		minus_huge[i] = -FLT_MAX;
		tiny[i] = FLT_TRUE_MIN;
	}
	for (int dim = 1; dim <= DIM; dim++)
	{
		check_vectors(huge, minus_huge, dim);
		check_vectors(huge, tiny, dim);
		check_vectors(tiny, zero, dim);
		check_vectors(zero, zero, dim);
		CHECK(cosine(zero, huge, dim) == 1.0, "dim %d", dim);
		CHECK(cosine(tiny, zero, dim) == 1.0, "dim %d", dim);
		CHECK(cosine(zero, zero, dim) == 1.0, "dim %d", dim);
		CHECK(cosine(huge, minus_huge, dim) == 2.0, "dim %d", dim);
		CHECK(cosine(huge, tiny, dim) < 1e-6, "dim %d", dim);
	}
}

/* Inner products whose partial sums overflow in both directions. */
static void
test_overflow_cancels(void)
{
	float		a[DIM];
	float		b[DIM];

	for (int i = 0; i < DIM; i++)
	{
		a[i] = 1e30f;
		b[i] = i % 2 ? 1e30f : -1e30f;
	}
	CHECK(vk_dense_distance(VK_ELEM_FLOAT4, VK_METRIC_IP) (a, b, DIM) == 0, "sum is not zero");
	CHECK(vk_dense_distance(VK_ELEM_FLOAT4, VK_METRIC_COSINE) (a, b, DIM) == 1, "not a right angle");
}

static void
test_jaccard(void)
{
	int32		indices[] = {3, 5, 9, 11};
	float		values[] = {1, -2, 3, 4};
	VkSparse	none = {indices, values, 0};
	VkSparse	front = {indices, values, 3};
	VkSparse	back = {indices + 1, values + 1, 3};
	VkSparseDistance jaccard = vk_sparse_distance(VK_METRIC_JACCARD);

	CHECK(jaccard(&none, &none) == 0, "two empty sets");
	CHECK(jaccard(&none, &front) == 1, "an empty set");
	CHECK(jaccard(&front, &front) == 0, "equal sets");
	CHECK(jaccard(&front, &back) == 0.5, "two of four");
}

static void
test_registry(void)
{
	for (VkMetric metric = VK_METRIC_L2; metric < VK_NUM_METRICS; metric++)
	{
		const VkMetricInfo *info = vk_metric_by_id(metric);

		CHECK(info->metric == metric && vk_metric_by_name(info->name) == info, "metric %d", metric);
		CHECK(!info->sparse || vk_sparse_distance(metric) != NULL, "%s", info->name);
		for (VkElem elem = VK_ELEM_FLOAT4; elem < VK_NUM_DENSE_ELEMS; elem++)
			CHECK(!info->dense || vk_dense_distance(elem, metric) != NULL, "%s", info->name);
	}
	CHECK(vk_metric_by_name("chebyshev") == NULL, "a metric that is not there");
}

int
main(void)
{
	test_registry();
	for (int choice = VK_KERNEL_PORTABLE; choice < VK_NUM_KERNEL_CHOICES; choice++)
	{
		vk_kernels = vk_kernels_get(choice);
		if (vk_kernels == NULL)
			continue;
		random_state = 1;
		test_magnitudes();
		test_special();
		test_overflow_cancels();
		test_jaccard();
	}
	return 0;
}
