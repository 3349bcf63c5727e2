/*-------------------------------------------------------------------------
 *
 * flat_kernel.h
 *	  The loops of the flat store that are compiled per instruction set.
 *
 * Unlike the distances of src/distance, their results need not be the same on
 * every CPU: they steer which rows are compared exactly, within proven error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_FLAT_KERNEL_H
#define VK_FLAT_KERNEL_H

/* Lengths of codes are multiples of this. */
#define VK_CODE_STEP	32

/* Sums of floats have this many lanes; see the bound in flat_codec.c. */
#define VK_FLOAT_LANES	32

/* Everything of a query that a group's bounds need; see flat_codec.c. */
typedef struct VkFlatBound
{
	double		query_scale;	/* of the query's code */
	double		query_square;	/* |code of the query|^2, scaled */
	double		query_norm;		/* |projected query|, at least */
	double		query_error;
	double		rest_low;
	double		rest_high;
	double		shrink;			/* 1 / (largest singular value of the basis)^2 */
	double		skew;			/* how far the basis is from orthonormal */
	double		constant;		/* inner product: of the query and the mean */
	double		float_error;	/* inner product: relative, times |query| */
	double		mean_norm;
} VkFlatBound;

/* The arrays of one group page. */
typedef struct VkFlatCodes
{
	int			count;
	int			code_bytes;
	const int8_t *codes;
	const float *scale;
	const uint32_t *square;
	const float *error;
	const float *rest_low;
	const float *rest_high;
	const char *ahead;			/* VK_FLAT_AHEAD bytes needed next, or NULL */
} VkFlatCodes;

#define VK_FLAT_AHEAD	8192

/* Rows whose bounds are tested at once. */
#define VK_FLAT_LANES	16

typedef struct VkFlatKernels
{
	const char *name;

	/* dots[i] = <codes of row i, query>; exact */
	void		(*dots) (const VkFlatCodes *codes, const int16_t *query, int32_t *dots);

	/*
	 * Slots whose lower bound of the distance does not exceed limit, and
	 * these bounds (-infinity: there is none).  Returns how many.  The arrays
	 * of codes and dots are read to the next multiple of VK_FLAT_LANES.
	 */
	int			(*select_l2) (const VkFlatCodes *codes, const int32_t *dots,
							  const VkFlatBound *bound, double limit, uint16_t *slots,
							  double *lower);

	/* the same of the negative inner product */
	int			(*select_ip) (const VkFlatCodes *codes, const int32_t *dots,
							  const VkFlatBound *bound, double limit, uint16_t *slots,
							  double *lower);

	/* y[k] = <row k of basis, x> */
	void		(*project) (const float *basis, const float *x, int nrows, int dim, float *y);

	/* y += factor * x */
	void		(*add_scaled) (float *y, const float *x, float factor, int dim);

	/* <a, b> in double */
	double		(*dot) (const float *a, const float *b, int dim);

	void		(*divide) (float *row, double divisor, int dim);
	void		(*halves) (const uint16_t *halves, float *to, int dim);

	/*
	 * Bytes whose products with scale are nearest to the values, the sum of
	 * their squares, and of the squares of what they miss.  No value may
	 * exceed 127 scale; scale must be a normal number; length: of a code.
	 */
	void		(*quantise) (const float *values, int length, float scale, int8_t *bytes,
							 uint32_t *square, double *error_square);
} VkFlatKernels;

extern const VkFlatKernels vk_flat_kernels_portable;
extern const VkFlatKernels vk_flat_kernels_avx2;
extern const VkFlatKernels vk_flat_kernels_avx512;

#endif							/* VK_FLAT_KERNEL_H */
