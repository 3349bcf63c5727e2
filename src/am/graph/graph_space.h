/*-------------------------------------------------------------------------
 *
 * graph_space.h
 *	  Points, their distances, and the rotated vectors that codes are made of.
 *
 * Each metric is navigated by squared l2 or by the negative inner product
 * ("nav", a float) and ranked by the value of its operator ("rank", a double,
 * vk_distance() to the bit).
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_GRAPH_SPACE_H
#define VK_GRAPH_SPACE_H

#include "am/graph/graph_code.h"

/*
 * A vector as slots store it: dense, its elements; sparse, an int32 count,
 * the indices and the values.  norm2: vk_space_norm2() of it.
 */
typedef struct VkPoint
{
	const char *data;
	double		norm2;
} VkPoint;

#define VK_NAV_FAR		3e38f	/* in place of infinity and NaN */

typedef struct VkSpace
{
	VkGraphLayout lay;
	const VkGraphKernels *codes;
	VkDenseKernels dense;
	VkDenseDistance dense_distance;
	VkSparseDistance sparse_distance;
	VkRotation	rotation;
	uint64		seed;
	float		alpha;			/* robust pruning; on squared distances */
	bool		centered;
	float	   *center;			/* nav_dim floats, not rotated; zero if
								 * !centered */
} VkSpace;

extern void vk_space_init(VkSpace *space, const VkGraphLayout *lay, uint64 seed);

/* The center as slots store it: elements of the index' dense type. */
extern void vk_space_set_center(VkSpace *space, const char *data);
extern void vk_space_pack_center(const VkSpace *space, const float *mean, char *data);

extern double vk_space_norm2(const VkSpace *space, const char *data);

/* Bytes of the stored form of a value, and its making from a varlena. */
extern uint32 vk_space_size(const VkSpace *space, const struct varlena *value);
extern void vk_space_store(const VkSpace *space, const struct varlena *value, char *data);

/* The vector that is navigated by, before centering and rotation. */
extern void vk_space_expand(const VkSpace *space, const VkPoint *point, float *out);

/* The same centered and rotated: what codes and tables are made of. */
extern void vk_space_rotate(const VkSpace *space, const VkPoint *point, float *out);

extern float vk_space_measure_slow(const VkSpace *space, const VkPoint *a, const VkPoint *b,
								   double *rank);

static inline VkSparse
vk_point_sparse(const VkPoint *point)
{
	VkSparse	view;

	view.nnz = *(const int32 *) point->data;
	view.indices = (const int32 *) (point->data + sizeof(int32));
	view.values = (const float *) (view.indices + view.nnz);
	return view;
}

static inline float
vk_nav_clamp(float nav)
{
	return nav < VK_NAV_FAR && nav > -VK_NAV_FAR ? nav : VK_NAV_FAR;
}

/* nav of two points; *rank too unless NULL. */
static inline float
vk_space_measure(const VkSpace *space, const VkPoint *a, const VkPoint *b, double *rank)
{
	int			dim = space->lay.dim;
	float		sum;

	if (space->lay.elem != VK_ELEM_SPARSE)
	{
		switch (space->lay.metric)
		{
			case VK_METRIC_L2:
				sum = space->dense.l2_squared(a->data, b->data, dim);
				if (unlikely(!vk_square_usable(sum)))
					break;
				if (rank)
					*rank = sqrt(sum);
				return sum;
			case VK_METRIC_IP:
				sum = space->dense.inner_product(a->data, b->data, dim);
				if (unlikely(!(fabsf(sum) < VK_NAV_FAR)))
					break;
				if (rank)
					*rank = -(double) sum;
				return -sum;
			case VK_METRIC_COSINE:
				sum = space->dense.inner_product(a->data, b->data, dim);
				if (unlikely(!vk_cosine_usable(sum, (float) a->norm2, (float) b->norm2)))
					break;
				{
					double		cosine = vk_cosine_from_parts(sum, a->norm2, b->norm2);

					if (rank)
						*rank = cosine;
					return (float) (2 * cosine);
				}
			default:
				if (rank)
					*rank = space->dense_distance(a->data, b->data, dim);
				return vk_nav_clamp(space->dense.l2_squared(a->data, b->data, dim));
		}
	}
	return vk_space_measure_slow(space, a, b, rank);
}

#endif							/* VK_GRAPH_SPACE_H */
