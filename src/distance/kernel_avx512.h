/*
 * kernel_avx512.h: registers of AVX-512 F, BW, DQ, VL for the kernel sets
 * avx512 and avx512vnni, which differ in the integer sums.
 */
#include <immintrin.h>

#define VK_WIDTH			16
#define VK_FOLD(reg)		fold_512(reg)
#define VK_LOAD_HALF(p)		_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) (p)))
#define FIRST_LANES(n)		((__mmask16) ((1U << (n)) - 1))
#define VK_LOAD_PART_FLOAT(p, n)	_mm512_maskz_loadu_ps(FIRST_LANES(n), p)
#define VK_LOAD_PART_HALF(p, n) \
	_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(FIRST_LANES(n), p))
#define VK_MATCH_INDEX(p, index) \
	_mm512_cmpeq_epi32_mask(_mm512_loadu_si512(p), _mm512_set1_epi32(index))

static inline __m128
fold_512(__m512 reg)
{
	__m256		fold = _mm512_castps512_ps256(reg) + _mm512_extractf32x8_ps(reg, 1);

	return _mm256_castps256_ps128(fold) + _mm256_extractf128_ps(fold, 1);
}

#include "distance/kernel_isa.h"
