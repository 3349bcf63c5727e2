/*-------------------------------------------------------------------------
 *
 * graph_code.h
 *	  One-bit codes of edges: rotation, encoding, and estimates of distances.
 *
 * After RaBitQ (arXiv 2405.12497) and SymphonyQG (arXiv 2411.12229).  An edge
 * from v to n is coded by the signs of r = R(n - v), R a random rotation, and
 * two numbers; for any query the distance to n then follows from the exact
 * distance to v and a sum of rotated query coordinates with these signs.  All
 * sums of VK_EDGE_GROUP edges come from table look-ups at once (FastScan).
 *
 * Every kernel gives the same bits; the portable one is the oracle.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_GRAPH_CODE_H
#define VK_GRAPH_CODE_H

#include "am/graph/graph_layout.h"

#define VK_ROTATION_ROUNDS	4

/* The random rotation of an index: signs of each round, from a seed. */
typedef struct VkRotation
{
	int			dim;			/* multiple of 32 */
	int			window;			/* largest power of two <= dim */
	uint32	   *signs;			/* VK_ROTATION_ROUNDS x dim sign bits */
} VkRotation;

/* Look-up tables of a query: 16 bytes for every 4 dimensions. */
typedef struct VkCodeTable
{
	int			code_dim;
	int			planes;
	float		unit;			/* sum of signed coordinates = unit * sum +
								 * offset */
	float		offset;
	uint8	   *tables;			/* code_dim * 4 bytes, 64-byte aligned */
} VkCodeTable;

typedef struct VkGraphKernels
{
	const char *name;			/* as in vektonn.kernel */

	/* Rotates x in place. */
	void		(*rotate) (const VkRotation *rotation, float *x);

	/* Integer coordinates (bytes, modulo 256) to look-up tables. */
	void		(*fill_tables) (const uint8 *coords, const uint8 *negatives,
								int code_dim, uint8 *tables);

	/*
	 * Estimates for one group of edges: est[i] = dv + bias[i] - scale[i] * S.
	 * Returns a bit for each that is below limit.
	 */
	uint32		(*estimate) (const VkCodeTable *table, const uint8 *codes,
							 const float *bias, const float *scale,
							 float dv, float limit, float *est);

	/*
	 * nbr - owner to bits: signs, and with two planes behind them whether a
	 * coordinate exceeds the root mean square, negated where it is negative,
	 * so that twice a sign plus the other is 3, 1, -1, -3.  And the sums a
	 * code needs: squared norm of the difference over dim, its product with
	 * the code and that of owner with the code over code_dim.
	 */
	void		(*encode) (const float *owner, const float *nbr, int dim, int code_dim,
						   int planes, uint8 *bits, float *norm2, float *diff_code,
						   float *owner_code);
} VkGraphKernels;

extern const VkGraphKernels vk_graph_kernels_portable;
#ifdef __x86_64__
extern const VkGraphKernels vk_graph_kernels_avx2;
extern const VkGraphKernels vk_graph_kernels_avx512;
#endif
#ifdef __aarch64__
extern const VkGraphKernels vk_graph_kernels_neon;
#endif

/* The kernels that go with vk_kernels, that is, with vektonn.kernel. */
extern const VkGraphKernels *vk_graph_kernels(void);

/* Bytes of memory for the signs of a rotation. */
#define VK_ROTATION_SIZE(dim)	(sizeof(uint32) * VK_ROTATION_ROUNDS * (dim))

/* signs: VK_ROTATION_SIZE(dim) bytes of the caller's. */
extern void vk_rotation_init(VkRotation *rotation, int dim, uint64 seed, uint32 *signs);

/* tables: code_dim * 4 bytes of the caller's, 64-byte aligned. */
extern void vk_code_table_build(const VkGraphKernels *kernels, VkCodeTable *table,
								const float *query, int code_dim, int planes, uint8 *tables);

/* One edge, outside of a slot. */
typedef struct VkEdgeCode
{
	float		bias;
	float		scale;
	uint8		bits[VK_CODE_MAX_DIM / 8];
} VkEdgeCode;

/*
 * Whether codes estimate the inner product: of ip, and of cosine, whose vectors
 * are units; else the squared distance.
 */
static inline bool
vk_codes_inner(const VkGraphLayout *lay)
{
	return lay->elem != VK_ELEM_SPARSE &&
		(lay->metric == VK_METRIC_IP || lay->metric == VK_METRIC_COSINE);
}

/*
 * The biases of VK_EDGE_GROUP inner product codes for a query that is at nav of
 * the owner, whose squared norm is norm2.  The bias of an edge is what its code is
 * wrong by for the owner itself, and counts as often as the owner is in the query:
 * so codes are only wrong about the part of the query across the owner.
 */
extern const float *vk_inner_bias(const VkGraphLayout *lay, const float *bias, float nav,
								  double norm2, float *scaled);

/* owner, nbr: rotated, relative to the center. */
extern void vk_edge_encode(const VkGraphKernels *kernels, const VkGraphLayout *lay,
						   const float *owner, const float *nbr, VkEdgeCode *code);

/* Bytes of an edge's code lie in pieces of 4, VK_CODE_STRIDE apart. */
#define VK_CODE_PIECE		4
#define VK_CODE_STRIDE		128

/* Offset in a slot of the first piece of the code of edge e. */
static inline int
vk_edge_code_offset(const VkGraphLayout *lay, int edge)
{
	int			group = edge / VK_EDGE_GROUP;
	int			within = edge % VK_EDGE_GROUP;

	return lay->code_off + group * VK_EDGE_GROUP * lay->code_bytes + within * VK_CODE_PIECE;
}

/* Writes the edge e of a slot; the caller counts edges and versions. */
extern void vk_edge_put(const VkGraphLayout *lay, char *rec, int edge, VkNodeId id,
						uint8 gen, const VkEdgeCode *code);
extern void vk_edge_get(const VkGraphLayout *lay, const char *rec, int edge, VkEdgeCode *code);

#endif							/* VK_GRAPH_CODE_H */
