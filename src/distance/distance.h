/*-------------------------------------------------------------------------
 *
 * distance.h
 *	  Distances between vectors: metrics, kernels, and vk_distance().
 *
 * PUBLIC header of src/distance.  Three levels, each built on the next:
 *
 *	vk_distance()		two varlena values -> what the SQL operator returns, but finite
 *	vk_dense_distance()	the same on two raw arrays: resolve once per scan, call per
 *						row; vk_sparse_distance() likewise
 *	vk_kernels			raw sums, for code that keeps norms or partial results
 *
 * Every level gives the same bits for the same vectors whatever the CPU, the
 * chosen kernel and the alignment, because all kernels add up in the same
 * order; see README.md.  An index may therefore order by these values.
 *
 * No result is ever NaN, and none is infinite.  SQL shows distances beyond the
 * range of float as infinity (vk_operator_value), but they are ordered by what
 * they are, so that infinity is free to mean "no distance" in index code.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_DISTANCE_H
#define VK_DISTANCE_H

#include <float.h>
#include <math.h>

#include "types/types.h"
#include "utils/guc.h"

/* Stored in index metapages: never renumber. */
typedef enum VkMetric
{
	VK_METRIC_L2 = 0,			/* <-> */
	VK_METRIC_IP = 1,			/* <#>, the negative inner product */
	VK_METRIC_COSINE = 2,		/* <=> */
	VK_METRIC_L1 = 3,			/* <+> */
	VK_METRIC_JACCARD = 4		/* <%>, sparsevec only */
} VkMetric;

#define VK_NUM_METRICS	5

/* Dense element types are VK_ELEM_FLOAT4 and VK_ELEM_FLOAT2. */
#define VK_NUM_DENSE_ELEMS	2

/* What one pass over two vectors yields for the cosine; norms are squared. */
typedef struct VkCosineParts
{
	float		ip;
	float		norm_a;
	float		norm_b;
} VkCosineParts;

/*
 * Sums over two arrays of dim elements, at any alignment.
 *
 * inner_product(a, a) has the same bits as norm_a and norm_b of cosine(), and
 * inner_product(a, b) those of ip: norms may be computed once and kept.
 * Sums may overflow to infinity or NaN, or underflow; vk_*_usable() tells.
 */
typedef struct VkDenseKernels
{
	float		(*l2_squared) (const void *a, const void *b, int dim);
	float		(*inner_product) (const void *a, const void *b, int dim);
	float		(*l1) (const void *a, const void *b, int dim);
	void		(*cosine) (const void *a, const void *b, int dim,
						   VkCosineParts *parts);
} VkDenseKernels;

/* A sparse vector wherever it lies; indices strictly ascending. */
typedef struct VkSparse
{
	const int32 *indices;
	const float *values;
	int			nnz;
} VkSparse;

/*
 * Sums over two sparse vectors.  They are added up in double precision, one
 * term after the other in ascending order of index, so that any algorithm
 * that meets the terms in this order gets the same bits.
 */
typedef struct VkSparseKernels
{
	double		(*l2_squared) (const VkSparse *a, const VkSparse *b);
	double		(*inner_product) (const VkSparse *a, const VkSparse *b);
	double		(*l1) (const VkSparse *a, const VkSparse *b);
	int			(*intersection) (const VkSparse *a, const VkSparse *b); /* common indices */
} VkSparseKernels;

/*
 * Integer sums for quantised codes.  Exact for n up to 32,768 (dot_u8i8 and
 * squared differences of u8 reach 2^31 only beyond that).
 */
typedef struct VkInt8Kernels
{
	int32		(*dot_i8) (const int8 *a, const int8 *b, int n);
	int32		(*dot_u8i8) (const uint8 *a, const int8 *b, int n);
	int32		(*l1_u8) (const uint8 *a, const uint8 *b, int n);	/* sum |a-b| */
	int32		(*l2_squared_u8) (const uint8 *a, const uint8 *b, int n);
} VkInt8Kernels;

typedef struct VkKernels
{
	const char *name;			/* as in vektonn.kernel */
	VkDenseKernels dense[VK_NUM_DENSE_ELEMS];	/* by VkElem */
	VkSparseKernels sparse;
	VkInt8Kernels int8;
} VkKernels;

/*
 * The kernels in use: the best the CPU has, unless vektonn.kernel forces
 * others.  Copying a function pointer out of it for the time of a scan is fine.
 */
extern PGDLLIMPORT const VkKernels *vk_kernels;

/*
 * Scanning rows that lie one behind the other at full speed of memory: keep the
 * query at an address that is a multiple of VK_LINE, and while one row is
 * compared, prefetch as many bytes VK_PREFETCH_AHEAD further on.  Measured by
 * 'make bench-kernels', this is worth up to a factor of three, because the
 * kernels outrun the hardware's own prefetching.  Prefetching never faults.
 */
#define VK_LINE				64
#define VK_PREFETCH_AHEAD	8192

static inline void
vk_prefetch(const void *from, size_t size)
{
	for (size_t at = 0; at < size; at += VK_LINE)
		__builtin_prefetch((const char *) from + at);
}

/*
 * Squared sums below this lost bits to underflow: 16,000 terms rounded to the
 * smallest float make an error of 2^-24 of it.
 */
#define VK_SQUARE_MIN	1e-33f

/* Whether a sum of squares came out of a float kernel unharmed. */
static inline bool
vk_square_usable(float sum)
{
	return sum >= VK_SQUARE_MIN && sum <= FLT_MAX;
}

static inline bool
vk_cosine_usable(float ip, float norm_a, float norm_b)
{
	return vk_square_usable(norm_a) && vk_square_usable(norm_b) &&
		fabsf(ip) <= FLT_MAX;
}

/* Cosine distance from the inner product and the squared norms, both > 0. */
static inline double
vk_cosine_from_parts(double ip, double norm_a, double norm_b)
{
	double		cosine = ip / sqrt(norm_a * norm_b);

	if (cosine > 1.0)
		cosine = 1.0;
	if (cosine < -1.0)
		cosine = -1.0;
	return 1.0 - cosine;
}

/* Jaccard distance of two index sets; that of two empty ones is 0. */
static inline double
vk_jaccard_from_counts(int common, int nnz_a, int nnz_b)
{
	int			together = nnz_a + nnz_b - common;

	return together == 0 ? 0.0 : 1.0 - (double) common / together;
}

/* Same bits as the inner product of a with itself. */
static inline double
vk_sparse_norm_squared(const VkSparse *a)
{
	double		sum = 0;

	for (int i = 0; i < a->nnz; i++)
		sum += (double) a->values[i] * a->values[i];
	return sum;
}

/* metric.c */

/* One row of the registry, metric.def. */
typedef struct VkMetricInfo
{
	VkMetric	metric;
	const char *name;			/* "l2": in operator class names */
	const char *op;				/* operator, "<->" */
	const char *title;
	bool		dense;			/* defined on vector and halfvec */
	bool		sparse;			/* defined on sparsevec */
} VkMetricInfo;

extern const VkMetricInfo *vk_metric_by_id(VkMetric metric);

/* NULL if there is no such metric. */
extern const VkMetricInfo *vk_metric_by_name(const char *name);

typedef double (*VkDenseDistance) (const void *a, const void *b, int dim);
typedef double (*VkSparseDistance) (const VkSparse *a, const VkSparse *b);

/* Never NULL for a metric that is defined on the type. */
extern VkDenseDistance vk_dense_distance(VkElem elem, VkMetric metric);
extern VkSparseDistance vk_sparse_distance(VkMetric metric);

/* The square of the Euclidean distance, before the root is taken. */
extern double vk_dense_l2_squared(VkElem elem, const void *a, const void *b, int dim);

/* What SQL shows for a distance or a sum: infinity beyond the range of float. */
static inline double
vk_operator_value(double distance)
{
	if (distance > FLT_MAX)
		return HUGE_VAL;
	if (distance < -FLT_MAX)
		return -HUGE_VAL;
	return distance;
}

/*
 * The value of the SQL operator, before vk_operator_value(), for two detoasted
 * values of the type elem.  The caller has checked that their dimensions are equal.
 */
extern double vk_distance(VkElem elem, VkMetric metric, const void *a, const void *b);

static inline VkSparse
vk_sparse_view(const VkSparsevec *vec)
{
	VkSparse	view;

	view.indices = vec->indices;
	view.values = (const float *) (vec->indices + vec->nnz);
	view.nnz = vec->nnz;
	return view;
}

/* kernel_setting.c: the setting vektonn.kernel and its hooks, for guc.c */
struct config_enum_entry;

extern int	vk_kernel_setting;
extern const struct config_enum_entry vk_kernel_options[];
extern bool vk_kernel_check(int *newval, void **extra, GucSource source);
extern void vk_kernel_assign(int newval, void *extra);

#endif							/* VK_DISTANCE_H */
