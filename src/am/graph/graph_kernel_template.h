/*-------------------------------------------------------------------------
 *
 * graph_kernel_template.h
 *	  Rotation and encoding, included once per instruction set.
 *
 * Written with the vector types of the compiler, 16 floats wide on every CPU,
 * so that every kernel adds in the same order.  The file that includes this
 * is compiled without fused multiply-add.
 *
 *-------------------------------------------------------------------------
 */

typedef float VkFloat16v __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32 VkInt16v __attribute__((vector_size(64), aligned(4), may_alias));

#define LANES	16
#define V(p)	(*(VkFloat16v *) (p))
#define CV(p)	(*(const VkFloat16v *) (p))

/* One butterfly of width h < LANES inside a register. */
#define BUTTERFLY(v, ...)	BUTTERFLY_STEP(v, __VA_ARGS__)
#define BUTTERFLY_STEP(v, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15, sign) \
	do { \
		VkFloat16v swapped = __builtin_shufflevector(v, v, s0, s1, s2, s3, s4, s5, s6, s7, \
													 s8, s9, s10, s11, s12, s13, s14, s15); \
		v = swapped + (VkFloat16v) ((VkInt16v) (v) ^ (VkInt16v) sign); \
	} while (0)

#define S	((int32) 0x80000000)
#define SWAP1	1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14
#define SWAP2	2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13
#define SWAP4	4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11
#define SWAP8	8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7
static const VkInt16v sign1 = {0, S, 0, S, 0, S, 0, S, 0, S, 0, S, 0, S, 0, S};
static const VkInt16v sign2 = {0, 0, S, S, 0, 0, S, S, 0, 0, S, S, 0, 0, S, S};
static const VkInt16v sign4 = {0, 0, 0, 0, S, S, S, S, 0, 0, 0, 0, S, S, S, S};
static const VkInt16v sign8 = {0, 0, 0, 0, 0, 0, 0, 0, S, S, S, S, S, S, S, S};
#undef S

/* Fast Walsh-Hadamard transform of n floats, n a power of two >= LANES. */
static void
hadamard(float *x, int n, float scale)
{
	int			h = LANES;

	for (int i = 0; i < n; i += LANES)
	{
		VkFloat16v	v = CV(x + i) * scale;

		BUTTERFLY(v, SWAP1, sign1);
		BUTTERFLY(v, SWAP2, sign2);
		BUTTERFLY(v, SWAP4, sign4);
		BUTTERFLY(v, SWAP8, sign8);
		V(x + i) = v;
	}
	/* two widths at once, so that half as often all is loaded and stored */
	for (; h * 2 < n; h *= 4)
	{
		for (int i = 0; i < n; i += 4 * h)
		{
			for (int j = i; j < i + h; j += LANES)
			{
				VkFloat16v	a = CV(x + j) + CV(x + j + h);
				VkFloat16v	b = CV(x + j) - CV(x + j + h);
				VkFloat16v	c = CV(x + j + 2 * h) + CV(x + j + 3 * h);
				VkFloat16v	d = CV(x + j + 2 * h) - CV(x + j + 3 * h);

				V(x + j) = a + c;
				V(x + j + h) = b + d;
				V(x + j + 2 * h) = a - c;
				V(x + j + 3 * h) = b - d;
			}
		}
	}
	if (h < n)
	{
		for (int j = 0; j < h; j += LANES)
		{
			VkFloat16v	a = CV(x + j);
			VkFloat16v	b = CV(x + j + h);

			V(x + j) = a + b;
			V(x + j + h) = a - b;
		}
	}
}

/*
 * Rounds of random signs and a Hadamard transform of a window of the largest
 * power of two, at the front and at the end by turns; where the window is not
 * all, the two halves are mixed by a rotation of 45 degrees after each round.
 */
static void
rotate(const VkRotation *rotation, float *x)
{
	int			dim = rotation->dim;
	int			window = rotation->window;
	float		scale = 1.0f / sqrtf((float) window);
	int			half = dim / 2;

	for (int round = 0; round < VK_ROTATION_ROUNDS; round++)
	{
		const uint32 *signs = rotation->signs + round * dim;
		int			start = round % 2 == 0 ? 0 : dim - window;

		for (int i = 0; i < dim; i += LANES)
			V(x + i) = (VkFloat16v) (*(const VkInt16v *) (x + i) ^
									 *(const VkInt16v *) (signs + i));
		hadamard(x + start, window, scale);
		if (window == dim)
			continue;
		for (int i = 0; i < half; i += LANES)
		{
			VkFloat16v	a = CV(x + i) * 0.70710678f;
			VkFloat16v	b = CV(x + half + i) * 0.70710678f;

			V(x + i) = a + b;
			V(x + half + i) = a - b;
		}
	}
}

static inline float
sum_lanes(VkFloat16v v)
{
	float		sum = 0;

	for (int i = 0; i < LANES; i++)
		sum += v[i];
	return sum;
}

static inline void
put_mask(uint8 *bits, unsigned mask)
{
	bits[0] = mask & 0xFF;
	bits[1] = mask >> 8;
}

/* Squared norm of nbr - owner over from..to-1. */
static inline float
sum_squares(const float *owner, const float *nbr, int from, int to)
{
	VkFloat16v	sum = {0};

	for (int i = from; i < to; i += LANES)
	{
		VkFloat16v	diff = CV(nbr + i) - CV(owner + i);

		sum += diff * diff;
	}
	return sum_lanes(sum);
}

static void
encode(const float *owner, const float *nbr, int dim, int code_dim, int planes, uint8 *bits,
	   float *norm2, float *diff_code, float *owner_code)
{
	float		sum2 = sum_squares(owner, nbr, 0, code_dim);
	VkFloat16v	sum_diff = {0};
	VkFloat16v	sum_owner = {0};
	const VkInt16v sign_bit = (VkInt16v) {0} +(int32) 0x80000000;
	float		level = planes == 1 ? INFINITY : sqrtf(sum2 / code_dim);
	VkFloat16v	levels = (VkFloat16v) {0} +level;
	VkFloat16v	one = (VkFloat16v) {0} +1.0f;
	VkFloat16v	three = (VkFloat16v) {0} +3.0f;

	for (int i = 0; i < code_dim; i += LANES)
	{
		VkFloat16v	diff = CV(nbr + i) - CV(owner + i);
		VkInt16v	sign = (VkInt16v) diff & sign_bit;
		VkFloat16v	size = (VkFloat16v) ((VkInt16v) diff & ~sign_bit);
		VkInt16v	large = (VkInt16v) (size > levels);
		VkFloat16v	code = (VkFloat16v) (((VkInt16v) three & large) | ((VkInt16v) one & ~large));

		sum_diff += size * code;
		sum_owner += (VkFloat16v) ((VkInt16v) (CV(owner + i) * code) ^ sign);
		put_mask(bits + i / 8, SIGN_MASK(sign) ^ 0xFFFF);
		if (planes > 1)
		{
			VkInt16v	low = (sign ^ large) & sign_bit;

			put_mask(bits + (code_dim + i) / 8, SIGN_MASK(low));
		}
	}
	*norm2 = sum2 + sum_squares(owner, nbr, code_dim, dim);
	*diff_code = sum_lanes(sum_diff);
	*owner_code = sum_lanes(sum_owner);
}
