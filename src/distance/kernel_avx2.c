/*
 * kernel_avx2.c: kernels for x86-64 with AVX2 and F16C (Makefile sets the flags).
 */
#include "postgres.h"

#include "distance/kernel.h"

#ifdef VK_HAVE_X86_KERNELS
#include <immintrin.h>

#define WORDS				16	/* in a register; bytes are widened to words
								 * and multiplied in pairs */

#define AVX2_DOT(name, type_a, widen_a) \
static int32 \
name(const type_a *a, const int8 *b, int n) \
{ \
	__m256i		even = _mm256_setzero_si256(); \
	__m256i		odd = _mm256_setzero_si256(); \
	__m128i		fold; \
	int32		sum; \
	int			i = 0; \
\
	for (; i + 2 * WORDS <= n; i += 2 * WORDS) \
	{ \
		even = _mm256_add_epi32(even, _mm256_madd_epi16(LOAD_WORDS(widen_a, a + i), \
														LOAD_WORDS(_mm256_cvtepi8_epi16, b + i))); \
		odd = _mm256_add_epi32(odd, _mm256_madd_epi16(LOAD_WORDS(widen_a, a + i + WORDS), \
													  LOAD_WORDS(_mm256_cvtepi8_epi16, b + i + WORDS))); \
	} \
	if (i + WORDS <= n) \
	{ \
		even = _mm256_add_epi32(even, _mm256_madd_epi16(LOAD_WORDS(widen_a, a + i), \
														LOAD_WORDS(_mm256_cvtepi8_epi16, b + i))); \
		i += WORDS; \
	} \
	even = _mm256_add_epi32(even, odd); \
	fold = _mm_add_epi32(_mm256_castsi256_si128(even), _mm256_extracti128_si256(even, 1)); \
	fold = _mm_hadd_epi32(fold, fold); \
	sum = _mm_cvtsi128_si32(_mm_hadd_epi32(fold, fold)); \
	for (; i < n; i++) \
		sum += a[i] * b[i]; \
	return sum; \
}

#define LOAD_WORDS(widen, p)	widen(_mm_loadu_si128((const __m128i *) (p)))
AVX2_DOT(avx2_dot_i8, int8, _mm256_cvtepi8_epi16)
AVX2_DOT(avx2_dot_u8i8, uint8, _mm256_cvtepu8_epi16)

#define VK_DOT_I8			avx2_dot_i8
#define VK_DOT_U8I8			avx2_dot_u8i8
#define VK_ISA				avx2
#define VK_WIDTH			8
#define VK_FOLD(reg) \
	(_mm256_castps256_ps128(reg) + _mm256_extractf128_ps(reg, 1))
#define VK_LOAD_HALF(p)		_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (p)))
#define VK_MATCH_INDEX(p, index) \
	_mm256_movemask_ps(_mm256_castsi256_ps( \
		_mm256_cmpeq_epi32(_mm256_loadu_si256((const __m256i *) (p)), _mm256_set1_epi32(index))))
#include "distance/kernel_isa.h"
#endif
