/*-------------------------------------------------------------------------
 *
 * flat_kernel_avx2.c
 *	  The flat store's loops for AVX2.
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <string.h>

#include "am/flat/flat_kernel.h"

#ifdef __AVX2__
#include <immintrin.h>

static int32_t
dot_code(const int8_t *code, const int16_t *query, int length)
{
	__m256i		even = _mm256_setzero_si256();
	__m256i		odd = _mm256_setzero_si256();
	__m128i		sum;

	for (int i = 0; i < length; i += VK_CODE_STEP)
	{
		__m256i		low = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *) (code + i)));
		__m256i		high = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *) (code + i + 16)));

		even = _mm256_add_epi32(even, _mm256_madd_epi16(low,
														_mm256_loadu_si256((const __m256i *) (query + i))));
		odd = _mm256_add_epi32(odd, _mm256_madd_epi16(high,
													  _mm256_loadu_si256((const __m256i *) (query + i + 16))));
	}
	even = _mm256_add_epi32(even, odd);
	sum = _mm_add_epi32(_mm256_castsi256_si128(even), _mm256_extracti128_si256(even, 1));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
	return _mm_cvtsi128_si32(sum);
}

#define KERNEL_LANES_SET

typedef int32_t Int16 __attribute__((vector_size(64)));

static inline uint32_t
lanes_set(const Int16 *comparison)
{
	__m256		halves[2];

	memcpy(halves, comparison, sizeof(halves));
	return (uint32_t) _mm256_movemask_ps(halves[0]) |
		(uint32_t) _mm256_movemask_ps(halves[1]) << 8;
}

#define KERNEL_NAME		vk_flat_kernels_avx2
#define KERNEL_TITLE	"avx2"
#include "am/flat/flat_kernel_template.h"

#endif							/* __AVX2__ */
