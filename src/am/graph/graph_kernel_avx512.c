/*-------------------------------------------------------------------------
 *
 * graph_kernel_avx512.c
 *	  Edge code kernels for AVX-512 (F, BW, VL, DQ).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef __x86_64__

#include <immintrin.h>
#include <math.h>

#include "am/graph/graph_code.h"

#define SIGN_MASK(v)	((unsigned) _mm512_movepi32_mask((__m512i) (v)))

#include "am/graph/graph_kernel_template.h"

/* Four tables at once: the groups of the low, then of the high nibbles. */
static void
fill_tables(const uint8 *coords, const uint8 *negatives, int code_dim, uint8 *tables)
{
	const __m512i value = _mm512_broadcast_i32x4(
												 _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));

	for (int word = 0; word < code_dim / 32; word++)
	{
		/* Each lane gets the 8 coordinates of its byte, twice. */
		__m512i		source = _mm512_permutexvar_epi64(
													  _mm512_set_epi64(3, 3, 2, 2, 1, 1, 0, 0),
													  _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *) (coords + word * 32))));
		__m512i		minus = _mm512_permutexvar_epi64(
													 _mm512_set_epi64(3, 3, 2, 2, 1, 1, 0, 0),
													 _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *) (negatives + word * 32))));

		for (int high = 0; high < 2; high++)
		{
			__m512i		sum = _mm512_setzero_si512();

			for (int j = 0; j < 4; j++)
			{
				__m512i		at = _mm512_set1_epi8(high * 4 + j);
				__mmask64	set = _mm512_test_epi8_mask(value, _mm512_set1_epi8(1 << j));

				sum = _mm512_add_epi8(sum, _mm512_maskz_shuffle_epi8(set, source, at));
				sum = _mm512_add_epi8(sum, _mm512_shuffle_epi8(minus, at));
			}
			_mm512_storeu_si512(tables + word * 128 + high * 64, sum);
		}
	}
}

/* 16 edges: sums of even and of odd bytes of the lanes to one u16 an edge. */
static inline __m256i
fold(__m512i even, __m512i odd)
{
	__m256i		e;
	__m256i		o;
	__m128i		e1;
	__m128i		o1;

	/* even also counted the odd bytes, 256 times */
	even = _mm512_sub_epi16(even, _mm512_slli_epi16(odd, 8));
	e = _mm256_add_epi16(_mm512_castsi512_si256(even), _mm512_extracti64x4_epi64(even, 1));
	o = _mm256_add_epi16(_mm512_castsi512_si256(odd), _mm512_extracti64x4_epi64(odd, 1));
	e1 = _mm_add_epi16(_mm256_castsi256_si128(e), _mm256_extracti128_si256(e, 1));
	o1 = _mm_add_epi16(_mm256_castsi256_si128(o), _mm256_extracti128_si256(o, 1));
	return _mm256_set_m128i(_mm_unpackhi_epi16(e1, o1), _mm_unpacklo_epi16(e1, o1));
}

static inline uint32
finish(const VkCodeTable *table, __m256i sums, const float *bias, const float *scale,
	   float dv, float limit, float *est)
{
	__m512		sum = _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(sums));
	__m512		value;

	sum = _mm512_add_ps(_mm512_mul_ps(sum, _mm512_set1_ps(table->unit)),
						_mm512_set1_ps(table->offset));
	value = _mm512_sub_ps(_mm512_add_ps(_mm512_set1_ps(dv), _mm512_loadu_ps(bias)),
						  _mm512_mul_ps(_mm512_loadu_ps(scale), sum));
	_mm512_storeu_ps(est, value);
	return _mm512_cmp_ps_mask(value, _mm512_set1_ps(limit), _CMP_LT_OQ);
}

static uint32
estimate(const VkCodeTable *table, const uint8 *codes, const float *bias, const float *scale,
		 float dv, float limit, float *est)
{
	const __m512i nibble = _mm512_set1_epi8(15);

	/* 4 edges x 4 bytes in a lane to 4 bytes x 4 edges */
	const __m512i by_byte = _mm512_broadcast_i32x4(
												   _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
	const __m512i by_lane = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
	__m512i		even0 = _mm512_setzero_si512();
	__m512i		odd0 = even0;
	__m512i		even1 = even0;
	__m512i		odd1 = even0;
	int			words = table->code_dim / 32;
	uint32		below;

	for (int plane = 0; plane < table->planes; plane++)
	{
		/* what the first plane counts, it counts twice */
		even0 = _mm512_add_epi16(even0, even0);
		odd0 = _mm512_add_epi16(odd0, odd0);
		even1 = _mm512_add_epi16(even1, even1);
		odd1 = _mm512_add_epi16(odd1, odd1);
		for (int word = 0; word < words; word++)
		{
			__m512i		low = _mm512_loadu_si512(table->tables + word * 128);
			__m512i		high = _mm512_loadu_si512(table->tables + word * 128 + 64);
			__m512i		x0 = _mm512_loadu_si512(codes);
			__m512i		x1 = _mm512_loadu_si512(codes + 64);
			__m512i		l;
			__m512i		h;

			codes += VK_CODE_STRIDE;
			x0 = _mm512_permutexvar_epi32(by_lane, _mm512_shuffle_epi8(x0, by_byte));
			x1 = _mm512_permutexvar_epi32(by_lane, _mm512_shuffle_epi8(x1, by_byte));
			l = _mm512_shuffle_epi8(low, _mm512_and_si512(x0, nibble));
			h = _mm512_shuffle_epi8(high, _mm512_and_si512(_mm512_srli_epi16(x0, 4), nibble));
			even0 = _mm512_add_epi16(even0, _mm512_add_epi16(l, h));
			odd0 = _mm512_add_epi16(odd0, _mm512_add_epi16(_mm512_srli_epi16(l, 8), _mm512_srli_epi16(h, 8)));
			l = _mm512_shuffle_epi8(low, _mm512_and_si512(x1, nibble));
			h = _mm512_shuffle_epi8(high, _mm512_and_si512(_mm512_srli_epi16(x1, 4), nibble));
			even1 = _mm512_add_epi16(even1, _mm512_add_epi16(l, h));
			odd1 = _mm512_add_epi16(odd1, _mm512_add_epi16(_mm512_srli_epi16(l, 8), _mm512_srli_epi16(h, 8)));
		}
	}
	below = finish(table, fold(even0, odd0), bias, scale, dv, limit, est);
	return below | finish(table, fold(even1, odd1), bias + 16, scale + 16, dv, limit, est + 16) << 16;
}

const VkGraphKernels vk_graph_kernels_avx512 = {
	"avx512", rotate, fill_tables, estimate, encode
};

#endif							/* __x86_64__ */
