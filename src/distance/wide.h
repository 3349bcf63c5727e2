/*-------------------------------------------------------------------------
 *
 * wide.h
 *	  Private to src/distance: dense sums in double precision.
 *
 * For the rare vectors whose sums do not fit a float; slow and simple.
 * The squares of floats, and 16,000 of them, always fit a double.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_WIDE_H
#define VK_WIDE_H

#include "distance/distance.h"

extern double vk_wide_l2_squared(VkElem elem, const void *a, const void *b, int dim);
extern double vk_wide_inner_product(VkElem elem, const void *a, const void *b, int dim);
extern double vk_wide_l1(VkElem elem, const void *a, const void *b, int dim);
extern double vk_wide_cosine(VkElem elem, const void *a, const void *b, int dim);

#endif							/* VK_WIDE_H */
