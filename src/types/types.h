/*-------------------------------------------------------------------------
 *
 * types.h
 *	  The vector types: varlena layouts, limits, and datum macros.
 *
 * PUBLIC header of src/types.  Layouts are those README.md in this folder
 * describes; they are on disk in tables, so they never change.  Element types
 * and limits are in elem.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_TYPES_H
#define VK_TYPES_H

#include "fmgr.h"

#include "compat/pgcompat.h"
#include "compat/pgcompat.h"
#include "types/elem.h"

/* vector and halfvec: a dense array of dim elements. */
typedef struct VkVector
{
	int32		vl_len_;		/* varlena header, do not touch directly */
	int16		dim;			/* 1..VK_MAX_DIM */
	int16		unused;			/* always 0 */
	float		x[FLEXIBLE_ARRAY_MEMBER];
} VkVector;

typedef struct VkHalfvec
{
	int32		vl_len_;
	int16		dim;
	int16		unused;
	VkHalf		x[FLEXIBLE_ARRAY_MEMBER];
} VkHalfvec;

/* sparsevec: nnz ascending 0-based indices, then nnz non-zero values. */
typedef struct VkSparsevec
{
	int32		vl_len_;
	int32		dim;			/* 1..VK_SPARSE_MAX_DIM */
	int32		nnz;			/* 0..VK_SPARSE_MAX_NNZ */
	int32		unused;			/* always 0 */
	int32		indices[FLEXIBLE_ARRAY_MEMBER];
} VkSparsevec;

#define VK_VECTOR_SIZE(dim)		(offsetof(VkVector, x) + sizeof(float) * (dim))
#define VK_HALFVEC_SIZE(dim)	(offsetof(VkHalfvec, x) + sizeof(VkHalf) * (dim))
#define VK_SPARSEVEC_SIZE(nnz) \
	(offsetof(VkSparsevec, indices) + (sizeof(int32) + sizeof(float)) * (nnz))
#define VK_SPARSEVEC_VALUES(sv)	((float *) ((sv)->indices + (sv)->nnz))

#define DatumGetVkVector(d)		((VkVector *) PG_DETOAST_DATUM(d))
#define DatumGetVkHalfvec(d)	((VkHalfvec *) PG_DETOAST_DATUM(d))
#define DatumGetVkSparsevec(d)	((VkSparsevec *) PG_DETOAST_DATUM(d))
#define PG_GETARG_VKVECTOR_P(n)		DatumGetVkVector(PG_GETARG_DATUM(n))
#define PG_GETARG_VKHALFVEC_P(n)	DatumGetVkHalfvec(PG_GETARG_DATUM(n))
#define PG_GETARG_VKSPARSEVEC_P(n)	DatumGetVkSparsevec(PG_GETARG_DATUM(n))

/* alloc.c: zeroed values with a valid header, in the current memory context */
extern VkVector *vk_dense_alloc(VkElem elem, int dim);
extern VkSparsevec *vk_sparsevec_alloc(int dim, int nnz);

/* report.c: errors that several subsystems raise, with pgvector's texts */
extern const char *vk_elem_name(VkElem elem);
pg_noreturn extern void vk_report_dims_differ(VkElem elem, int left, int right);
extern void vk_check_dim(VkElem elem, int dim);
extern void vk_check_typmod(VkElem elem, int dim, int32 typmod);

/* Both operands of a binary operator must have the same number of dimensions. */
static inline void
vk_check_same_dim(VkElem elem, int left, int right)
{
	if (unlikely(left != right))
		vk_report_dims_differ(elem, left, right);
}

#endif							/* VK_TYPES_H */
