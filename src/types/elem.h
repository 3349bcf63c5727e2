/*-------------------------------------------------------------------------
 *
 * elem.h
 *	  Element types, their limits, and the half-precision format.
 *
 * Plain C without PostgreSQL headers, so that the readers of text and binary
 * input (textio.c, wire.c) link into programs that have no server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_ELEM_H
#define VK_ELEM_H

#include <stdint.h>
#include <string.h>

/* Limits, the same in text, binary and typmod. */
#define VK_MAX_DIM			16000	/* vector, halfvec */
#define VK_SPARSE_MAX_DIM	1000000000
#define VK_SPARSE_MAX_NNZ	16000

/* IEEE 754 binary16, stored as its bits. */
typedef uint16_t VkHalf;

/* One value per element type: VK_ELEM_FLOAT4 vector, _FLOAT2 halfvec, _SPARSE sparsevec. */
typedef enum VkElem
{
#define VK_ELEM(id, name) id,
#include "types/elem.def"
} VkElem;

/* The "conversion" of elements that are floats already. */
#define VK_SAME(value)		(value)

/* Bits of binary16. */
#define VK_HALF_SIGN		0x8000
#define VK_HALF_INF			0x7C00	/* exponent all ones; a mantissa makes it
									 * NaN */
#define VK_HALF_NAN			0x7E00

/* The exponents' biases differ by 127 - 15. */
#define VK_TWO_TO_112		5192296858534827628530496329220096.0f

/* Bits of binary32: what has an exponent of all ones is infinite or NaN. */
#define VK_FLOAT_SIGN		UINT32_C(0x80000000)
#define VK_FLOAT_EXPONENT	UINT32_C(0x7F800000)

static inline uint32_t
vk_float_bits(float value)
{
	uint32_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static inline float
vk_bits_float(uint32_t bits)
{
	float		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/*
 * The exact float of a half.  Shifting exponent and mantissa into place leaves
 * an exponent that is 112 too small; multiplying by 2^112 repairs it, and makes
 * subnormal halfs normal on the way (the product is exact).
 */
static inline float
vk_half_to_float(VkHalf half)
{
	uint32_t	sign = (uint32_t) (half & VK_HALF_SIGN) << 16;
	uint32_t	rest = (uint32_t) (half & 0x7FFF) << 13;

	if ((half & VK_HALF_INF) == VK_HALF_INF)
		return vk_bits_float(sign | rest | VK_FLOAT_EXPONENT);
	return vk_bits_float(sign | vk_float_bits(vk_bits_float(rest) * VK_TWO_TO_112));
}

/*
 * The nearest half of a float, ties to even.  What is too large becomes
 * infinity, what is too small a signed zero, NaN a quiet NaN.
 */
static inline VkHalf
vk_float_to_half(float value)
{
	uint32_t	bits = vk_float_bits(value);
	VkHalf		sign = (VkHalf) ((bits & VK_FLOAT_SIGN) >> 16);
	uint32_t	rest = bits & ~VK_FLOAT_SIGN;

	if (rest > VK_FLOAT_EXPONENT)
		return sign | VK_HALF_NAN;
	if (rest >= UINT32_C(0x47800000))	/* 2^16 and above; a little below
										 * rounds to it */
		return sign | VK_HALF_INF;
	if (rest < UINT32_C(0x38800000))	/* below 2^-14: subnormal or zero */
	{
		/*
		 * adding 0.5 lets the FPU round to multiples of 2^-24, the half's
		 * unit
		 */
		float		shifted = vk_bits_float(rest) + 0.5f;

		return sign | (VkHalf) (vk_float_bits(shifted) - vk_float_bits(0.5f));
	}

	/*
	 * rebias, then add just under half a unit, or half when the last bit is
	 * odd
	 */
	rest += UINT32_C(0xC8000FFF) + ((rest >> 13) & 1);
	return sign | (VkHalf) (rest >> 13);
}

static inline int
vk_half_is_finite(VkHalf half)
{
	return (half & VK_HALF_INF) != VK_HALF_INF;
}

static inline int
vk_float_is_finite(float value)
{
	return (vk_float_bits(value) & VK_FLOAT_EXPONENT) != VK_FLOAT_EXPONENT;
}

#endif							/* VK_ELEM_H */
