/*-------------------------------------------------------------------------
 *
 * flat_codec.h
 *	  Compact codes of dense vectors, and bounds of distances from them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_FLAT_CODEC_H
#define VK_FLAT_CODEC_H

#include "am/flat/flat_kernel.h"
#include "am/flat/flat_page.h"

/* A codec in memory. */
typedef struct VkFlatCodec
{
	uint16		codec;
	VkFlatCodecKind kind;
	int			code_bytes;
	int			nrows;
	int			dim;
	VkElem		elem;
	VkMetric	metric;
	float	   *mean;			/* [dim] */
	float	   *basis;			/* [nrows][dim]; NULL for identity */
	double		mean_norm;
	double		skew;			/* |basis basis' - 1|, at most */
	float	   *work;			/* [dim] */
	float	   *projected;		/* [code_bytes] */
} VkFlatCodec;

/* The code of one row. */
typedef struct VkFlatCode
{
	float		scale;
	uint32		square;
	float		error;
	float		rest_low;
	float		rest_high;
	int8		bytes[FLEXIBLE_ARRAY_MEMBER];
} VkFlatCode;

/* The code of a query. */
typedef struct VkFlatQuery
{
	VkFlatBound bound;
	bool		usable;
	int			code_bytes;
	int16		code[FLEXIBLE_ARRAY_MEMBER];
} VkFlatQuery;

/* flat_codec.c */
extern const VkFlatKernels *vk_flat_kernels(void);
extern bool vk_flat_metric_has_codes(VkMetric metric);
extern int	vk_flat_planned_bytes(const VkIndexInfo *info);
extern VkFlatCodec *vk_flat_codec_make(const VkIndexInfo *info, VkFlatCodecKind kind, int nrows);
extern bool vk_flat_codec_finish(VkFlatCodec *codec);
extern VkFlatCodec *vk_flat_codec_get(VkIndex *index, uint16 codec);
extern void vk_flat_codec_store(VkIndex *index, VkFlatCodec *codec);
extern void vk_flat_codec_current(VkIndex *index, uint16 *codec, int *code_bytes);
extern void vk_flat_encode(VkFlatCodec *codec, const void *elements, VkFlatCode *code);
extern bool vk_flat_code_fits(VkFlatCodec *codec, const void *elements, const VkFlatCode *code);
extern VkFlatQuery *vk_flat_encode_query(VkFlatCodec *codec, const void *elements);
extern double vk_flat_prune_limit(const VkIndexInfo *info, double threshold);
extern double vk_flat_float_error(int dim);
extern bool vk_flat_to_floats(VkFlatCodec *codec, const void *elements, float *to);

/* flat_train.c */
extern VkFlatCodec *vk_flat_train(const VkIndexInfo *info, float *sample, int nsample);

#endif							/* VK_FLAT_CODEC_H */
