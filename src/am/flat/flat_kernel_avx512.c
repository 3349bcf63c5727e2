/*-------------------------------------------------------------------------
 *
 * flat_kernel_avx512.c
 *	  The flat store's loops for AVX-512.
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>

#include "am/flat/flat_kernel.h"

#ifdef __AVX512BW__
#include <immintrin.h>

static int32_t
dot_code(const int8_t *code, const int16_t *query, int length)
{
	__m512i		wide = _mm512_setzero_si512();
	__m256i		half;
	__m128i		sum;

	for (int i = 0; i < length; i += VK_CODE_STEP)
		wide = _mm512_add_epi32(wide,
								_mm512_madd_epi16(_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *) (code + i))),
												  _mm512_loadu_si512(query + i)));
	half = _mm256_add_epi32(_mm512_castsi512_si256(wide), _mm512_extracti64x4_epi64(wide, 1));
	sum = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
	return _mm_cvtsi128_si32(sum);
}

/* Four sums at once: their lanes are added up together. */
#define KERNEL_DOT_FOUR

#define STEP(sum, at) \
	sum = _mm512_add_epi32(sum, \
						   _mm512_madd_epi16(_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *) (at))), part))

static void
dot_four_codes(const int8_t *code, const int16_t *query, int length, int32_t *dots)
{
	__m512i		a = _mm512_setzero_si512();
	__m512i		b = a;
	__m512i		c = a;
	__m512i		d = a;
	__m256i		half;

	for (int i = 0; i < length; i += VK_CODE_STEP)
	{
		__m512i		part = _mm512_loadu_si512(query + i);

		STEP(a, code + i);
		STEP(b, code + length + i);
		STEP(c, code + 2 * length + i);
		STEP(d, code + 3 * length + i);
	}
	a = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
	c = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
	a = _mm512_add_epi32(_mm512_unpacklo_epi64(a, c), _mm512_unpackhi_epi64(a, c));
	half = _mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
	_mm_storeu_si128((__m128i *) dots,
					 _mm_add_epi32(_mm256_castsi256_si128(half),
								   _mm256_extracti128_si256(half, 1)));
}

#define KERNEL_LANES_SET

typedef int32_t Int16 __attribute__((vector_size(64)));

static inline uint32_t
lanes_set(const Int16 *comparison)
{
	return _mm512_movepi32_mask((__m512i) *comparison);
}

#define KERNEL_NAME		vk_flat_kernels_avx512
#define KERNEL_TITLE	"avx512"
#include "am/flat/flat_kernel_template.h"

#endif							/* __AVX512BW__ */
