/*
 * kernel_avx512vnni.c: the kernels of AVX-512, and integer products by VNNI,
 * which multiplies unsigned by signed bytes and adds up four products at once.
 */
#include "postgres.h"

#include "distance/kernel.h"

#ifdef VK_HAVE_X86_KERNELS
#include <immintrin.h>

#define BYTES				64	/* in a register */

/* The first n < BYTES bytes at p, and zeros. */
static inline __m512i
load_part(const void *p, int n)
{
	return _mm512_maskz_loadu_epi8((((__mmask64) 1) << n) - 1, p);
}

static int32
vnni_dot_u8i8(const uint8 *a, const int8 *b, int n)
{
	__m512i		even = _mm512_setzero_si512();
	__m512i		odd = _mm512_setzero_si512();
	int			i = 0;

	for (; i + 2 * BYTES <= n; i += 2 * BYTES)
	{
		even = _mm512_dpbusd_epi32(even, _mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));
		odd = _mm512_dpbusd_epi32(odd, _mm512_loadu_si512(a + i + BYTES),
								  _mm512_loadu_si512(b + i + BYTES));
	}
	if (i + BYTES <= n)
	{
		even = _mm512_dpbusd_epi32(even, _mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));
		i += BYTES;
	}
	if (i < n)
		odd = _mm512_dpbusd_epi32(odd, load_part(a + i, n - i), load_part(b + i, n - i));
	return _mm512_reduce_add_epi32(_mm512_add_epi32(even, odd));
}

/* a + 128 is unsigned; the product is 128 times the sum of b too large. */
static int32
vnni_dot_i8(const int8 *a, const int8 *b, int n)
{
	const __m512i sign = _mm512_set1_epi8((char) 0x80);
	__m512i		sum = _mm512_setzero_si512();
	__m512i		excess = _mm512_setzero_si512();
	int			i = 0;

	for (; i + BYTES <= n; i += BYTES)
	{
		__m512i		x = _mm512_xor_si512(_mm512_loadu_si512(a + i), sign);
		__m512i		y = _mm512_loadu_si512(b + i);

		sum = _mm512_dpbusd_epi32(sum, x, y);
		excess = _mm512_dpbusd_epi32(excess, sign, y);
	}
	if (i < n)
	{
		__m512i		x = _mm512_xor_si512(load_part(a + i, n - i), sign);
		__m512i		y = load_part(b + i, n - i);

		sum = _mm512_dpbusd_epi32(sum, x, y);
		excess = _mm512_dpbusd_epi32(excess, sign, y);
	}
	return _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, excess));
}

#define VK_DOT_I8			vnni_dot_i8
#define VK_DOT_U8I8			vnni_dot_u8i8
#define VK_ISA				avx512vnni
#include "distance/kernel_avx512.h"
#endif
