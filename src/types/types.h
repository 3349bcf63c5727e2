/*-------------------------------------------------------------------------
 *
 * types.h
 *	  The vector types: varlena layouts, limits, and datum macros.
 *
 * PUBLIC header of src/types.  Layouts are those README.md in this folder
 * describes; they are on disk in tables, so they never change.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_TYPES_H
#define VK_TYPES_H

#include "fmgr.h"

/* Limits, the same in text, binary and typmod. */
#define VK_MAX_DIM			16000	/* vector, halfvec */
#define VK_SPARSE_MAX_DIM	1000000000
#define VK_SPARSE_MAX_NNZ	16000

/* IEEE 754 binary16, stored as its bits. */
typedef uint16 VkHalf;

/* One value per element type; the order is that of elem.def. */
typedef enum VkElem
{
	VK_ELEM_FLOAT4 = 0,			/* vector */
	VK_ELEM_FLOAT2 = 1,			/* halfvec */
	VK_ELEM_SPARSE = 2			/* sparsevec */
} VkElem;

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

#endif							/* VK_TYPES_H */
