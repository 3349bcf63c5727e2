/*-------------------------------------------------------------------------
 *
 * kernel_choose.c
 *	  Which kernels the CPU has, and the pointer to those in use.
 *
 * The pointer starts at the portable kernels, so it is valid from the first
 * instruction on; loading the library (or a test) sets it once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "distance/kernel.h"

const VkKernels *vk_kernels = &vk_kernels_portable;

#ifdef VK_HAVE_X86_KERNELS

/* Bits of CPUID leaf 1 ECX, leaf 7 EBX and ECX, and of XCR0. */
#define LEAF1_OSXSAVE		(1U << 27)
#define LEAF1_F16C			(1U << 29)
#define LEAF7_AVX2			(1U << 5)
#define LEAF7_AVX512		(1U << 16 | 1U << 17 | 1U << 30 | 1U << 31) /* F DQ BW VL */
#define LEAF7_ECX_VNNI		(1U << 11)
#define XCR0_AVX			0x06	/* XMM and YMM state */
#define XCR0_AVX512			0xe6	/* and mask registers, ZMM, ZMM16..31 */

/* Which register state the operating system saves. */
static uint32
read_xcr0(void)
{
	uint32		low;
	uint32		high;

	__asm__ volatile ("xgetbv":"=a" (low), "=d"(high):"c"(0));

	return low;
}

/* The CPU may know instructions whose registers the operating system does not save. */
static bool
cpu_has(uint32 leaf7_bits, uint32 leaf7_ecx_bits, uint32 xcr0_bits)
{
	uint32		eax;
	uint32		ebx;
	uint32		ecx;
	uint32		edx;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) ||
		(ecx & (LEAF1_OSXSAVE | LEAF1_F16C)) != (LEAF1_OSXSAVE | LEAF1_F16C))
		return false;
	if ((read_xcr0() & xcr0_bits) != xcr0_bits)
		return false;
	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
		(ebx & leaf7_bits) == leaf7_bits && (ecx & leaf7_ecx_bits) == leaf7_ecx_bits;
}
#endif

const VkKernels *
vk_kernels_get(VkKernelChoice choice)
{
	switch (choice)
	{
		case VK_KERNEL_AUTO:
			for (int best = VK_NUM_KERNEL_CHOICES - 1; best > VK_KERNEL_AUTO; best--)
			{
				const VkKernels *kernels = vk_kernels_get(best);

				if (kernels != NULL)
					return kernels;
			}
			break;
		case VK_KERNEL_PORTABLE:
			return &vk_kernels_portable;
#ifdef VK_HAVE_NEON_KERNELS
		case VK_KERNEL_NEON:
			return &vk_kernels_neon;
#endif
#ifdef VK_HAVE_X86_KERNELS
		case VK_KERNEL_AVX2:
			return cpu_has(LEAF7_AVX2, 0, XCR0_AVX) ? &vk_kernels_avx2 : NULL;
		case VK_KERNEL_AVX512:
			return cpu_has(LEAF7_AVX2 | LEAF7_AVX512, 0, XCR0_AVX512) ?
				&vk_kernels_avx512 : NULL;
		case VK_KERNEL_AVX512VNNI:
			return cpu_has(LEAF7_AVX2 | LEAF7_AVX512, LEAF7_ECX_VNNI, XCR0_AVX512) ?
				&vk_kernels_avx512vnni : NULL;
#endif
		default:
			break;
	}
	return NULL;
}
