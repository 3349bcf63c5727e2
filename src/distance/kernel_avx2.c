/*
 * kernel_avx2.c: kernels for x86-64 with AVX2 and F16C (Makefile sets the flags).
 */
#include "postgres.h"

#include "distance/kernel.h"

#ifdef VK_HAVE_X86_KERNELS
#include <immintrin.h>

#define VK_ISA				avx2
#define VK_WIDTH			8
#define VK_FOLD(reg) \
	(_mm256_castps256_ps128(reg) + _mm256_extractf128_ps(reg, 1))
#define VK_LOAD_HALF(p)		_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (p)))
#include "distance/kernel_isa.h"
#endif
