/*-------------------------------------------------------------------------
 *
 * blas.h
 *	  What vektonn_blas.so offers to vektonn.so, which loads it by name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_BLAS_H
#define VK_BLAS_H

#define VK_BLAS_MODULE		"vektonn_blas"
#define VK_BLAS_PRODUCTS	"vk_blas_products"

/*
 * Rows of floats, length floats each, one every stride floats:
 * products[i * rows.count + j] = factor * <queries[i], rows[j]>.
 */
typedef struct VkBlasMatrix
{
	const float *data;
	int			count;
	int			stride;
} VkBlasMatrix;

typedef void (*VkBlasProducts) (const VkBlasMatrix *queries, const VkBlasMatrix *rows,
								int length, float factor, float *products);

extern PGDLLEXPORT void vk_blas_products(const VkBlasMatrix *queries, const VkBlasMatrix *rows,
										 int length, float factor, float *products);

#endif							/* VK_BLAS_H */
