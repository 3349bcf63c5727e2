/*-------------------------------------------------------------------------
 *
 * graph_kernel_neon.c
 *	  Edge code kernels for arm64, where NEON is always there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef __aarch64__

#include <arm_neon.h>
#include <math.h>

#include "am/graph/graph_code.h"

#define SIGN_MASK(v)	sign_mask((const uint32 *) &(v))

/* The sign bits of 16 lanes. */
static inline unsigned
sign_mask(const uint32 *v)
{
	static const int8 shifts[16] = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7};
	uint16x8_t	low = vcombine_u16(vshrn_n_u32(vld1q_u32(v), 16), vshrn_n_u32(vld1q_u32(v + 4), 16));
	uint16x8_t	high = vcombine_u16(vshrn_n_u32(vld1q_u32(v + 8), 16), vshrn_n_u32(vld1q_u32(v + 12), 16));
	uint8x16_t	top = vcombine_u8(vshrn_n_u16(low, 8), vshrn_n_u16(high, 8));
	uint8x16_t	bits = vshlq_u8(vshrq_n_u8(top, 7), vld1q_s8(shifts));

	return vaddv_u8(vget_low_u8(bits)) | (unsigned) vaddv_u8(vget_high_u8(bits)) << 8;
}

#include "am/graph/graph_kernel_template.h"

/* One table: the 16 subsets of four coordinates, summed as bytes. */
static inline void
fill_table(const uint8 *coords, const uint8 *negatives, uint8 *to)
{
	static const uint8 values[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	uint8x16_t	value = vld1q_u8(values);
	uint8x16_t	sum = vdupq_n_u8(negatives[0] + negatives[1] + negatives[2] + negatives[3]);

	for (int j = 0; j < 4; j++)
	{
		uint8x16_t	set = vtstq_u8(value, vdupq_n_u8(1 << j));

		sum = vaddq_u8(sum, vandq_u8(set, vdupq_n_u8(coords[j])));
	}
	vst1q_u8(to, sum);
}

/* The order of the tables is that of the portable kernel. */
static void
fill_tables(const uint8 *coords, const uint8 *negatives, int code_dim, uint8 *tables)
{
	for (int group = 0; group < code_dim / 4; group++)
		fill_table(coords + group * 4, negatives + group * 4,
				   tables + (group / 8 * 8 + group % 2 * 4 + group % 8 / 2) * 16);
}

static inline uint32
finish(const VkCodeTable *table, uint32x4_t sums, const float *bias, const float *scale,
	   float dv, float limit, float *est)
{
	static const uint32 places[4] = {1, 2, 4, 8};
	float32x4_t sum = vcvtq_f32_u32(sums);
	float32x4_t value;

	sum = vaddq_f32(vmulq_f32(sum, vdupq_n_f32(table->unit)), vdupq_n_f32(table->offset));
	value = vsubq_f32(vaddq_f32(vdupq_n_f32(dv), vld1q_f32(bias)),
					  vmulq_f32(vld1q_f32(scale), sum));
	vst1q_f32(est, value);
	return vaddvq_u32(vandq_u32(vcltq_f32(value, vdupq_n_f32(limit)), vld1q_u32(places)));
}

/* 16 edges.  The load takes the 4 bytes of each apart. */
static inline uint32
estimate_half(const VkCodeTable *table, const uint8 *codes, const float *bias, const float *scale,
			  float dv, float limit, float *est)
{
	const		uint8x16_t nibble = vdupq_n_u8(15);
	uint16x8_t	low = vdupq_n_u16(0);
	uint16x8_t	high = low;
	int			words = table->code_dim / 32;
	uint32		below;

	for (int word = 0; word < words * table->planes; word++)
	{
		const uint8 *tables = table->tables + (word < words ? word : word - words) * 128;
		uint8x16x4_t bytes = vld4q_u8(codes + word * VK_CODE_STRIDE);

		if (word == words)
		{
			/* what the first plane counts, it counts twice */
			low = vaddq_u16(low, low);
			high = vaddq_u16(high, high);
		}
		for (int k = 0; k < VK_CODE_PIECE; k++)
		{
			uint8x16_t	l = vqtbl1q_u8(vld1q_u8(tables + k * 16), vandq_u8(bytes.val[k], nibble));
			uint8x16_t	h = vqtbl1q_u8(vld1q_u8(tables + 64 + k * 16), vshrq_n_u8(bytes.val[k], 4));

			low = vaddq_u16(low, vaddl_u8(vget_low_u8(l), vget_low_u8(h)));
			high = vaddq_u16(high, vaddl_u8(vget_high_u8(l), vget_high_u8(h)));
		}
	}
	below = finish(table, vmovl_u16(vget_low_u16(low)), bias, scale, dv, limit, est);
	below |= finish(table, vmovl_u16(vget_high_u16(low)), bias + 4, scale + 4, dv, limit, est + 4) << 4;
	below |= finish(table, vmovl_u16(vget_low_u16(high)), bias + 8, scale + 8, dv, limit, est + 8) << 8;
	return below |
		finish(table, vmovl_u16(vget_high_u16(high)), bias + 12, scale + 12, dv, limit, est + 12) << 12;
}

static uint32
estimate(const VkCodeTable *table, const uint8 *codes, const float *bias, const float *scale,
		 float dv, float limit, float *est)
{
	uint32		below = estimate_half(table, codes, bias, scale, dv, limit, est);

	return below | estimate_half(table, codes + 64, bias + 16, scale + 16, dv, limit, est + 16) << 16;
}

const VkGraphKernels vk_graph_kernels_neon = {
	"neon", rotate, fill_tables, estimate, encode
};

#endif							/* __aarch64__ */
