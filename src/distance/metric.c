/*-------------------------------------------------------------------------
 *
 * metric.c
 *	  The registry of metrics, and the distances made of kernel sums.
 *
 * A distance is one kernel call and a few scalar operations.  When the float
 * sums overflowed or lost bits to underflow (values beyond about 1e19 or
 * below 1e-17), they are computed again in double precision, where neither
 * can happen: so no distance is infinite or NaN, and only equal vectors are at
 * Euclidean distance 0.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "distance/kernel.h"
#include "distance/wide.h"

#define VK_METRIC(id, name, op, dense, sparse, title) \
	[id] = {id, name, op, title, dense, sparse},
static const VkMetricInfo metrics[VK_NUM_METRICS] = {
#include "distance/metric.def"
};
#undef VK_METRIC

const VkMetricInfo *
vk_metric_by_id(VkMetric metric)
{
	Assert((int) metric >= 0 && metric < VK_NUM_METRICS);
	return &metrics[metric];
}

const VkMetricInfo *
vk_metric_by_name(const char *name)
{
	for (int i = 0; i < VK_NUM_METRICS; i++)
	{
		if (strcmp(metrics[i].name, name) == 0)
			return &metrics[i];
	}
	return NULL;
}

/*
 * The portable kernels are the oracle: builds with assertions compare every
 * sum, and to the bit, since the order of addition is the same.
 */
#ifdef USE_ASSERT_CHECKING
#define AssertPortable(sum, elem, function) \
	Assert(same_sum(sum, vk_kernels_portable.dense[elem].function(a, b, dim)))

static bool
same_sum(float x, float y)
{
	return x == y || (isnan(x) && isnan(y));
}
#else
#define AssertPortable(sum, elem, function)	((void) 0)
#endif

double
vk_dense_l2_squared(VkElem elem, const void *a, const void *b, int dim)
{
	float		sum = vk_kernels->dense[elem].l2_squared(a, b, dim);

	AssertPortable(sum, elem, l2_squared);
	if (likely(vk_square_usable(sum)))
		return sum;
	return vk_wide_l2_squared(elem, a, b, dim);
}

static pg_attribute_always_inline double
dense_l2(VkElem elem, const void *a, const void *b, int dim)
{
	return sqrt(vk_dense_l2_squared(elem, a, b, dim));
}

static pg_attribute_always_inline double
dense_ip(VkElem elem, const void *a, const void *b, int dim)
{
	float		sum = vk_kernels->dense[elem].inner_product(a, b, dim);

	AssertPortable(sum, elem, inner_product);
	if (likely(fabsf(sum) <= FLT_MAX))
		return -(double) sum;
	return -vk_wide_inner_product(elem, a, b, dim);
}

static pg_attribute_always_inline double
dense_l1(VkElem elem, const void *a, const void *b, int dim)
{
	float		sum = vk_kernels->dense[elem].l1(a, b, dim);

	AssertPortable(sum, elem, l1);
	if (likely(sum <= FLT_MAX))
		return sum;
	return vk_wide_l1(elem, a, b, dim);
}

static pg_attribute_always_inline double
dense_cosine(VkElem elem, const void *a, const void *b, int dim)
{
	VkCosineParts parts;

	vk_kernels->dense[elem].cosine(a, b, dim, &parts);
	AssertPortable(parts.ip, elem, inner_product);
	if (likely(vk_cosine_usable(parts.ip, parts.norm_a, parts.norm_b)))
		return vk_cosine_from_parts(parts.ip, parts.norm_a, parts.norm_b);
	return vk_wide_cosine(elem, a, b, dim);
}

#define DENSE_DISTANCES(prefix, elem) \
static double prefix##_l2(const void *a, const void *b, int dim) \
{ \
	return dense_l2(elem, a, b, dim); \
} \
static double prefix##_ip(const void *a, const void *b, int dim) \
{ \
	return dense_ip(elem, a, b, dim); \
} \
static double prefix##_cosine(const void *a, const void *b, int dim) \
{ \
	return dense_cosine(elem, a, b, dim); \
} \
static double prefix##_l1(const void *a, const void *b, int dim) \
{ \
	return dense_l1(elem, a, b, dim); \
}

DENSE_DISTANCES(float4, VK_ELEM_FLOAT4)
DENSE_DISTANCES(float2, VK_ELEM_FLOAT2)

static const VkDenseDistance dense_distances[VK_NUM_DENSE_ELEMS][VK_NUM_METRICS] = {
	[VK_ELEM_FLOAT4] = {float4_l2, float4_ip, float4_cosine, float4_l1, NULL},
	[VK_ELEM_FLOAT2] = {float2_l2, float2_ip, float2_cosine, float2_l1, NULL},
};

static double
sparse_l2(const VkSparse *a, const VkSparse *b)
{
	return sqrt(vk_kernels->sparse.l2_squared(a, b));
}

static double
sparse_ip(const VkSparse *a, const VkSparse *b)
{
	return -vk_kernels->sparse.inner_product(a, b);
}

static double
sparse_cosine(const VkSparse *a, const VkSparse *b)
{
	double		norm_a;
	double		norm_b;

	if (a->nnz == 0 || b->nnz == 0)
		return 1.0;
	vk_sparse_norms_squared(a, b, &norm_a, &norm_b);
	return vk_cosine_from_parts(vk_kernels->sparse.inner_product(a, b), norm_a, norm_b);
}

static double
sparse_l1(const VkSparse *a, const VkSparse *b)
{
	return vk_kernels->sparse.l1(a, b);
}

static double
sparse_jaccard(const VkSparse *a, const VkSparse *b)
{
	return vk_jaccard_from_counts(vk_kernels->sparse.intersection(a, b),
								  a->nnz, b->nnz);
}

static const VkSparseDistance sparse_distances[VK_NUM_METRICS] = {
	sparse_l2, sparse_ip, sparse_cosine, sparse_l1, sparse_jaccard
};

VkDenseDistance
vk_dense_distance(VkElem elem, VkMetric metric)
{
	Assert(elem < VK_NUM_DENSE_ELEMS && metrics[metric].dense);
	return dense_distances[elem][metric];
}

VkSparseDistance
vk_sparse_distance(VkMetric metric)
{
	return sparse_distances[metric];
}

double
vk_distance(VkElem elem, VkMetric metric, const void *a, const void *b)
{
	if (elem == VK_ELEM_SPARSE)
	{
		VkSparse	view_a = vk_sparse_view(a);
		VkSparse	view_b = vk_sparse_view(b);

		return vk_sparse_distance(metric) (&view_a, &view_b);
	}
	else
	{
		/* vector and halfvec differ in their elements only. */
		const VkVector *vec_a = a;
		const VkVector *vec_b = b;

		return vk_dense_distance(elem, metric) (vec_a->x, vec_b->x, vec_a->dim);
	}
}
