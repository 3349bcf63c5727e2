/*-------------------------------------------------------------------------
 *
 * graph_space.c
 *	  Points, their distances, and the rotated vectors that codes are made of.
 *
 * l2 and l1 are navigated by squared l2; cosine by twice the cosine distance,
 * which is the squared l2 of unit vectors; ip by the negative inner product, for
 * a graph built by l2 answers it badly.  Jaccard is navigated by the cosine of
 * the sets, which orders nearly alike.  Sparse vectors are not rotated:
 * graph_sparse.c makes their codes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "am/graph/graph_space.h"
#include "types/types.h"

/* What every CPU here has; the compiler makes no use of it by itself at -O2. */
typedef float VkFloat4v __attribute__((vector_size(16), aligned(4), may_alias));

/*
 * A candidate is left out if one chosen is nearer to it, by this factor on
 * squared distances, than the node itself.  Measured: DiskANN's 1.2 loses 0.015
 * of recall on cosine of texts, and wins 0.003 on images; by inner product
 * only 1 works.
 */
#define PRUNE_ALPHA		1.0f

void
vk_space_init(VkSpace *space, const VkGraphLayout *lay, uint64 seed)
{
	memset(space, 0, sizeof(*space));
	space->lay = *lay;
	space->codes = vk_graph_kernels();
	if (lay->elem == VK_ELEM_SPARSE)
		space->sparse_distance = vk_sparse_distance(lay->metric);
	else
	{
		space->dense = vk_kernels->dense[lay->elem];
		space->dense_distance = vk_dense_distance(lay->elem, lay->metric);
	}
	space->seed = seed;
	vk_rotation_init(&space->rotation, lay->nav_dim, seed,
					 palloc(VK_ROTATION_SIZE(lay->nav_dim)));
	space->alpha = PRUNE_ALPHA;
	space->center = palloc0(sizeof(float) * lay->nav_dim);
}

void
vk_space_set_center(VkSpace *space, const char *data)
{
	for (int i = 0; i < space->lay.dim; i++)
		space->center[i] = space->lay.elem == VK_ELEM_FLOAT4 ?
			((const float *) data)[i] : vk_half_to_float(((const VkHalf *) data)[i]);
	space->centered = true;
}

void
vk_space_pack_center(const VkSpace *space, const float *mean, char *data)
{
	for (int i = 0; i < space->lay.dim; i++)
	{
		if (space->lay.elem == VK_ELEM_FLOAT4)
			((float *) data)[i] = mean[i];
		else
			((VkHalf *) data)[i] = vk_float_to_half(mean[i]);
	}
}

double
vk_space_norm2(const VkSpace *space, const char *data)
{
	if (space->lay.elem == VK_ELEM_SPARSE)
	{
		VkPoint		point = {data, 0};
		VkSparse	view = vk_point_sparse(&point);

		return vk_kernels->sparse.inner_product(&view, &view);
	}
	return space->dense.inner_product(data, data, space->lay.dim);
}

uint32
vk_space_size(const VkSpace *space, const struct varlena *value)
{
	if (space->lay.elem == VK_ELEM_SPARSE)
		return sizeof(int32) + 8 * ((const VkSparsevec *) value)->nnz;
	return vk_graph_dense_size(&space->lay);
}

void
vk_space_store(const VkSpace *space, const struct varlena *value, char *data)
{
	if (space->lay.elem == VK_ELEM_SPARSE)
	{
		const VkSparsevec *sparse = (const VkSparsevec *) value;

		memcpy(data, &sparse->nnz, sizeof(int32));
		memcpy(data + sizeof(int32), sparse->indices, 8 * (size_t) sparse->nnz);
	}
	else
		memcpy(data, ((const VkVector *) value)->x, vk_graph_dense_size(&space->lay));
}

void
vk_space_expand(const VkSpace *space, const VkPoint *point, float *out)
{
	int			dim = space->lay.dim;

	Assert(space->lay.elem != VK_ELEM_SPARSE);
	if (space->lay.elem == VK_ELEM_FLOAT4)
		memcpy(out, point->data, sizeof(float) * dim);
	else
	{
		for (int i = 0; i < dim; i++)
			out[i] = vk_half_to_float(((const VkHalf *) point->data)[i]);
	}
	memset(out + dim, 0, sizeof(float) * (space->lay.nav_dim - dim));
	if (space->lay.metric == VK_METRIC_COSINE && vk_square_usable((float) point->norm2))
	{
		float		scale = (float) (1.0 / sqrt(point->norm2));

		for (int i = 0; i < space->lay.nav_dim; i += 4)
			*(VkFloat4v *) (out + i) *= scale;
	}
}

void
vk_space_rotate(const VkSpace *space, const VkPoint *point, float *out)
{
	vk_space_expand(space, point, out);
	if (space->centered)
	{
		/* beyond the dimension both are 0 */
		for (int i = 0; i < space->lay.nav_dim; i += 4)
			*(VkFloat4v *) (out + i) -= *(const VkFloat4v *) (space->center + i);
	}
	space->codes->rotate(&space->rotation, out);
}

/* Twice the cosine distance of two sets of these sizes at Jaccard distance j. */
static double
nav_of_jaccard(double jaccard, int size_a, int size_b)
{
	double		common;

	if (size_a == 0 || size_b == 0)
		return size_a == size_b ? 0 : 2;
	common = (1 - jaccard) * ((double) size_a + size_b) / (2 - jaccard);
	return 2 - 2 * common / sqrt((double) size_a * size_b);
}

static float
measure_sparse(const VkSpace *space, const VkPoint *a, const VkPoint *b, double *rank)
{
	VkSparse	view_a = vk_point_sparse(a);
	VkSparse	view_b = vk_point_sparse(b);
	double		value;
	double		nav;

	switch (space->lay.metric)
	{
		case VK_METRIC_L2:
			nav = vk_kernels->sparse.l2_squared(&view_a, &view_b);
			value = sqrt(nav);
			break;
		case VK_METRIC_COSINE:
			value = view_a.nnz == 0 || view_b.nnz == 0 ? 1.0 :
				vk_cosine_from_parts(vk_kernels->sparse.inner_product(&view_a, &view_b),
									 a->norm2, b->norm2);
			nav = 2 * value;
			break;
		case VK_METRIC_L1:
			value = rank ? space->sparse_distance(&view_a, &view_b) : 0;
			nav = vk_kernels->sparse.l2_squared(&view_a, &view_b);
			break;
		case VK_METRIC_JACCARD:
			value = space->sparse_distance(&view_a, &view_b);
			nav = nav_of_jaccard(value, view_a.nnz, view_b.nnz);
			break;
		default:
			nav = value = space->sparse_distance(&view_a, &view_b);
			break;
	}
	if (rank)
		*rank = value;
	return vk_nav_clamp((float) nav);
}

/* Sparse vectors, and dense ones whose float sums overflowed or underflowed. */
float
vk_space_measure_slow(const VkSpace *space, const VkPoint *a, const VkPoint *b, double *rank)
{
	double		value;

	if (space->lay.elem == VK_ELEM_SPARSE)
		return measure_sparse(space, a, b, rank);

	value = space->dense_distance(a->data, b->data, space->lay.dim);
	if (rank)
		*rank = value;
	switch (space->lay.metric)
	{
		case VK_METRIC_L2:
			return vk_nav_clamp((float) (value * value));
		case VK_METRIC_COSINE:
			return (float) (2 * value);
		default:
			return vk_nav_clamp((float) value);
	}
}
