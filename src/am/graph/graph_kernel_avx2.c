/*-------------------------------------------------------------------------
 *
 * graph_kernel_avx2.c
 *	  Edge code kernels for AVX2.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef __x86_64__

#include <immintrin.h>
#include <math.h>

#include "am/graph/graph_code.h"

#define SIGN_MASK(v)	sign_mask((const float *) &(v))

static inline unsigned
sign_mask(const float *v)
{
	return _mm256_movemask_ps(_mm256_loadu_ps(v)) |
		_mm256_movemask_ps(_mm256_loadu_ps(v + 8)) << 8;
}

#include "am/graph/graph_kernel_template.h"

static void
fill_tables(const uint8 *coords, const uint8 *negatives, int code_dim, uint8 *tables)
{
	const __m128i value = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);

	for (int group = 0; group < code_dim / 4; group++)
	{
		const uint8 *n = negatives + group * 4;
		uint8	   *to = tables + (group / 8 * 8 + group % 2 * 4 + group % 8 / 2) * 16;
		__m128i		sum = _mm_set1_epi8((char) (n[0] + n[1] + n[2] + n[3]));

		for (int j = 0; j < 4; j++)
		{
			__m128i		bit = _mm_set1_epi8(1 << j);
			__m128i		set = _mm_cmpeq_epi8(_mm_and_si128(value, bit), bit);

			sum = _mm_add_epi8(sum, _mm_and_si128(set, _mm_set1_epi8((char) coords[group * 4 + j])));
		}
		_mm_storeu_si128((__m128i *) to, sum);
	}
}

/* Lanes: byte 0 and 2, or 1 and 3, of the same 16 edges. */
static inline __m128i
fold_low(__m256i even, __m256i odd, __m128i *high)
{
	__m128i		e;
	__m128i		o;

	even = _mm256_sub_epi16(even, _mm256_slli_epi16(odd, 8));
	e = _mm_add_epi16(_mm256_castsi256_si128(even), _mm256_extracti128_si256(even, 1));
	o = _mm_add_epi16(_mm256_castsi256_si128(odd), _mm256_extracti128_si256(odd, 1));
	*high = _mm_unpackhi_epi16(e, o);
	return _mm_unpacklo_epi16(e, o);
}

static inline uint32
finish(const VkCodeTable *table, __m128i sums, const float *bias, const float *scale,
	   float dv, float limit, float *est)
{
	__m256		sum = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(sums));
	__m256		value;

	sum = _mm256_add_ps(_mm256_mul_ps(sum, _mm256_set1_ps(table->unit)),
						_mm256_set1_ps(table->offset));
	value = _mm256_sub_ps(_mm256_add_ps(_mm256_set1_ps(dv), _mm256_loadu_ps(bias)),
						  _mm256_mul_ps(_mm256_loadu_ps(scale), sum));
	_mm256_storeu_ps(est, value);
	return _mm256_movemask_ps(_mm256_cmp_ps(value, _mm256_set1_ps(limit), _CMP_LT_OQ));
}

static inline __m256i
two_tables(const uint8 *tables, int first, int second)
{
	return _mm256_set_m128i(_mm_loadu_si128((const __m128i *) (tables + second * 16)),
							_mm_loadu_si128((const __m128i *) (tables + first * 16)));
}

/* 16 edges of the group, from codes on. */
static inline uint32
estimate_half(const VkCodeTable *table, const uint8 *codes, const float *bias,
			  const float *scale, float dv, float limit, float *est)
{
	const __m256i nibble = _mm256_set1_epi8(15);
	const __m256i by_byte = _mm256_broadcastsi128_si256(
														_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
	const __m256i by_lane = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	__m256i		even = _mm256_setzero_si256();
	__m256i		odd = even;
	int			words = table->code_dim / 32;
	__m128i		low;
	__m128i		high;
	uint32		below;

	for (int word = 0; word < words * table->planes; word++)
	{
		const uint8 *tables = table->tables + (word < words ? word : word - words) * 128;
		const uint8 *line = codes + word * VK_CODE_STRIDE;
		__m256i		a = _mm256_loadu_si256((const __m256i *) line);
		__m256i		b = _mm256_loadu_si256((const __m256i *) (line + 32));
		__m256i		x[2];

		if (word == words)
		{
			even = _mm256_add_epi16(even, even);
			odd = _mm256_add_epi16(odd, odd);
		}
		a = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(a, by_byte), by_lane);
		b = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(b, by_byte), by_lane);
		x[0] = _mm256_unpacklo_epi64(a, b); /* bytes 0 | 2 */
		x[1] = _mm256_unpackhi_epi64(a, b); /* bytes 1 | 3 */
		for (int k = 0; k < 2; k++)
		{
			__m256i		l = _mm256_shuffle_epi8(two_tables(tables, k, k + 2),
												_mm256_and_si256(x[k], nibble));
			__m256i		h = _mm256_shuffle_epi8(two_tables(tables, k + 4, k + 6),
												_mm256_and_si256(_mm256_srli_epi16(x[k], 4), nibble));

			even = _mm256_add_epi16(even, _mm256_add_epi16(l, h));
			odd = _mm256_add_epi16(odd, _mm256_add_epi16(_mm256_srli_epi16(l, 8),
														 _mm256_srli_epi16(h, 8)));
		}
	}
	low = fold_low(even, odd, &high);
	below = finish(table, low, bias, scale, dv, limit, est);
	return below | finish(table, high, bias + 8, scale + 8, dv, limit, est + 8) << 8;
}

static uint32
estimate(const VkCodeTable *table, const uint8 *codes, const float *bias, const float *scale,
		 float dv, float limit, float *est)
{
	uint32		below = estimate_half(table, codes, bias, scale, dv, limit, est);

	return below | estimate_half(table, codes + 64, bias + 16, scale + 16, dv, limit, est + 16) << 16;
}

const VkGraphKernels vk_graph_kernels_avx2 = {
	"avx2", rotate, fill_tables, estimate, encode
};

#endif							/* __x86_64__ */
