/*-------------------------------------------------------------------------
 *
 * kernel.h
 *	  Private to src/distance: the kernel sets, and which of them this CPU has.
 *
 * Nothing here or in kernel_*.c, except the setting in kernel_setting.c, uses
 * a symbol of the server, so that unit tests and the micro-benchmark link them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_KERNEL_H
#define VK_KERNEL_H

#include "distance/distance.h"

#if defined(__x86_64__)
#define VK_HAVE_X86_KERNELS
extern const VkKernels vk_kernels_avx2;
extern const VkKernels vk_kernels_avx512;
extern const VkKernels vk_kernels_avx512vnni;
#endif
#if defined(__aarch64__)
#define VK_HAVE_NEON_KERNELS
extern const VkKernels vk_kernels_neon;
#endif
extern const VkKernels vk_kernels_portable;

/* kernel_choose.c */

/* The values of vektonn.kernel, best last; all names exist on every architecture. */
typedef enum VkKernelChoice
{
	VK_KERNEL_AUTO,
	VK_KERNEL_PORTABLE,
	VK_KERNEL_NEON,
	VK_KERNEL_AVX2,
	VK_KERNEL_AVX512,
	VK_KERNEL_AVX512VNNI
} VkKernelChoice;

#define VK_NUM_KERNEL_CHOICES	6

/* NULL if this CPU, its operating system or this build does not have it. */
extern const VkKernels *vk_kernels_get(VkKernelChoice choice);

/* kernel_sparse.c */
extern double vk_sparse_l2_squared(const VkSparse *a, const VkSparse *b);
extern double vk_sparse_inner_product(const VkSparse *a, const VkSparse *b);
extern double vk_sparse_l1(const VkSparse *a, const VkSparse *b);
extern int	vk_sparse_intersection(const VkSparse *a, const VkSparse *b);
extern void vk_sparse_norms_squared(const VkSparse *a, const VkSparse *b,
									double *norm_a, double *norm_b);

#endif							/* VK_KERNEL_H */
