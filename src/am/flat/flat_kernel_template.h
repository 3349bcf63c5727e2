/*-------------------------------------------------------------------------
 *
 * flat_kernel_template.h
 *	  Bodies of the flat store's loops; flat_kernel_<isa>.c includes it once,
 *	  after defining KERNEL_NAME and a function dot_code(), and perhaps
 *	  KERNEL_DOT_FOUR and dot_four_codes() for four codes in a row, and
 *	  KERNEL_LANES_SET and lanes_set().
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Relative error of the double arithmetic of a bound, generously: some ten
 * roundings of 2^-53 each.
 */
#define DOUBLE_ERROR	4e-15

/* The same of floats, and what underflow may lose of a square. */
#define FLOAT_ERROR		2e-6f
#define FLOAT_TINY		1e-34f

/* A line of memory, and codes whose products are computed together. */
#define LINE	64
#define TOGETHER	4

/*
 * While it works, the memory that is read next is fetched, a few lines at a
 * time: neighbours in a chain of pages are no neighbours in memory, and what
 * the CPU guesses ahead ends with the page.
 */
static void
code_dots(const VkFlatCodes *codes, const int16_t *query, int32_t *dots)
{
	const int8_t *code = codes->codes;
	const char *ahead = codes->ahead;
	const char *end = ahead + (ahead != NULL ? VK_FLAT_AHEAD : 0);
	int			rounds = codes->count / TOGETHER + 1;
	int			lines = (VK_FLAT_AHEAD / LINE +rounds - 1) /rounds;
	int			i = 0;

	for (; i + TOGETHER <= codes->count; i += TOGETHER, code += TOGETHER * codes->code_bytes)
	{
		for (int line = 0; line < lines && ahead < end; line++, ahead += LINE)
			__builtin_prefetch(ahead);
#ifdef KERNEL_DOT_FOUR
		dot_four_codes(code, query, codes->code_bytes, dots + i);
#else
		for (int one = 0; one < TOGETHER; one++)
			dots[i + one] = dot_code(code + one * codes->code_bytes, query, codes->code_bytes);
#endif
	}
	for (; ahead < end; ahead += LINE)
		__builtin_prefetch(ahead);
	for (; i < codes->count; i++, code += codes->code_bytes)
		dots[i] = dot_code(code, query, codes->code_bytes);
}

/* 16 floats at any alignment; the compiler splits them as the CPU needs. */
typedef float Float16 __attribute__((vector_size(64)));
typedef float Float16Any __attribute__((vector_size(64), aligned(4), may_alias));

#define LOAD16(p)	(*(const Float16Any *) (p))

typedef int32_t Int16 __attribute__((vector_size(64)));
typedef double Double8 __attribute__((vector_size(64)));
typedef float Float8Any __attribute__((vector_size(32), aligned(4), may_alias));

typedef int32_t Int16Any __attribute__((vector_size(64), aligned(4), may_alias));

#define LOAD16_INT(p)	__builtin_convertvector(*(const Int16Any *) (p), Float16)

/* The lanes of x where the comparison holds, else 0. */
#define KEEP16(x, comparison)	((Float16) ((Int16) (x) & (comparison)))

#define LOAD8_DOUBLE(p)	__builtin_convertvector(*(const Float8Any *) (p), Double8)

/*
 * With a = |projected query - code|, b = the least difference of the norms of
 * the rests, e = both errors: |q - x| >= |(a, b)| - e.  See README.md.
 */
static inline double
lower_l2(const VkFlatCodes *codes, const int32_t *dots, const VkFlatBound *bound, int i)
{
	double		scale = codes->scale[i];
	double		square = scale * scale * (double) (int32_t) codes->square[i];
	double		sum = bound->query_square + square;
	double		a2 = sum - 2.0 * bound->query_scale * scale * (double) dots[i] - DOUBLE_ERROR * sum;
	double		b1 = bound->rest_low - (double) codes->rest_high[i];
	double		b2 = (double) codes->rest_low[i] - bound->rest_high;
	double		b = b1 > b2 ? b1 : b2;

	a2 = a2 > 0.0 ? a2 : 0.0;
	b = b > 0.0 ? b : 0.0;
	return sqrt(a2 * bound->shrink + b * b) * (1.0 - DOUBLE_ERROR) -
		((double) codes->error[i] + bound->query_error);
}

/* -<q, x> >= -(<q, mean> + <projections> + |rest of q| |rest of x| + errors). */
static inline double
lower_ip(const VkFlatCodes *codes, const int32_t *dots, const VkFlatBound *bound, int i)
{
	double		scale = codes->scale[i];
	double		high = codes->rest_high[i];
	double		norm = scale * sqrt((double) (int32_t) codes->square[i]);
	double		error = codes->error[i];
	double		full = norm + error;
	double		product = bound->query_scale * scale * (double) dots[i];
	double		upper = bound->constant + product + bound->query_norm * error +
	bound->query_error * full + bound->skew * (bound->query_norm + bound->query_error) * full +
	bound->rest_high * high;

	upper += bound->float_error * (bound->mean_norm + full + high);
	upper += DOUBLE_ERROR * (fabs(bound->constant) + bound->query_norm * norm + fabs(upper));
	return -upper;
}

#ifndef KERNEL_LANES_SET
/* Bit i: lane i of a comparison holds. */
static inline uint32_t
lanes_set(const Int16 *comparison)
{
	int32_t		lanes[16];
	uint32_t	bits = 0;

	memcpy(lanes, comparison, sizeof(lanes));
	for (int lane = 0; lane < 16; lane++)
		bits |= (uint32_t) (lanes[lane] & 1) << lane;
	return bits;
}
#endif

/* Of 16 rows from at on that floats did not exclude, those that doubles do not either. */
#define EMIT(left, lower_of) \
	for (; left != 0; left &= left - 1) \
	{ \
		int			row = at + __builtin_ctz(left); \
		double		value = lower_of(codes, dots, bound, row); \
		if (value > limit) \
			continue; \
		slots[count] = (uint16_t) row; \
		lower[count++] = value; \
	}

/* Of the 16 lanes from at on, those that are rows. */
#define ROWS_OF_LANES(at, count)	((count) - (at) < 16 ? (1U << ((count) - (at))) - 1 : 0xFFFFU)

/*
 * Most rows are excluded by floats alone, 16 at once, with FLOAT_ERROR and
 * FLOAT_TINY to spare for some ten roundings and for underflow.
 */
static int
select_l2(const VkFlatCodes *codes, const int32_t *dots, const VkFlatBound *bound, double limit,
		  uint16_t *slots, double *lower)
{
	const float doubled_scale = (float) (2.0 * bound->query_scale);
	const float query_square = (float) bound->query_square;
	const float low = (float) (bound->rest_low * (1.0 - FLOAT_ERROR));
	const float high = (float) (bound->rest_high * (1.0 + FLOAT_ERROR));
	const float shrink = (float) (bound->shrink * (1.0 - FLOAT_ERROR));
	const float reach = (float) ((limit + bound->query_error) * (1.0 + FLOAT_ERROR));
	const Float16 zero = {0};
	int			count = 0;

	for (int at = 0; at < codes->count; at += 16)
	{
		Float16		scale = LOAD16(codes->scale + at);
		Float16		square = scale * scale * LOAD16_INT(codes->square + at);
		Float16		sum = square + query_square;
		Float16		a2 = sum * (1.0f - FLOAT_ERROR) - scale * doubled_scale * LOAD16_INT(dots + at);
		Float16		b1 = low - LOAD16(codes->rest_high + at) * (1.0f + FLOAT_ERROR);
		Float16		b2 = LOAD16(codes->rest_low + at) * (1.0f - FLOAT_ERROR) - high;
		Float16		far = (LOAD16(codes->error + at) + reach) * (1.0f + FLOAT_ERROR);
		Float16		b = KEEP16(b1, b1 > b2) + KEEP16(b2, b1 <= b2);
		Float16		total = KEEP16(a2, a2 > zero) * shrink;
		Int16		excluded;
		uint32_t	left;

		b = KEEP16(b, b > zero);
		total += b * b * (1.0f - FLOAT_ERROR);
		excluded = total * (1.0f - FLOAT_ERROR) > far * far + FLOAT_TINY;
		left = ~lanes_set(&excluded) & ROWS_OF_LANES(at, codes->count);
		EMIT(left, lower_l2);
	}
	return count;
}

static int
select_ip(const VkFlatCodes *codes, const int32_t *dots, const VkFlatBound *bound, double limit,
		  uint16_t *slots, double *lower)
{
	const float query_scale = (float) bound->query_scale;
	const float query_norm = (float) bound->query_norm;
	const float of_error = (float) bound->query_norm;
	const float of_full = (float) (bound->query_error + bound->float_error +
								   bound->skew * (bound->query_norm + bound->query_error));
	const float of_rest = (float) (bound->rest_high + bound->float_error);
	const double enough = -limit - bound->constant - bound->float_error * bound->mean_norm -
	DOUBLE_ERROR * fabs(bound->constant);
	const float reach = (float) (enough - FLOAT_ERROR * fabs(enough) - FLOAT_TINY);
	int			count = 0;

	for (int at = 0; at < codes->count; at += 16)
	{
		Float16		scale = LOAD16(codes->scale + at);
		Float16		error = LOAD16(codes->error + at);
		Float16		norm = LOAD16_INT(codes->square + at);
		Float16		rest = LOAD16(codes->rest_high + at);
		Float16		positive;
		Float16		upper;
		Int16		excluded;
		float		roots[16];
		uint32_t	left;

		memcpy(roots, &norm, sizeof(roots));
		for (int lane = 0; lane < 16; lane++)
			roots[lane] = sqrtf(roots[lane]);
		norm = scale * LOAD16(roots);
		positive = error * of_error + (norm + error) * of_full + rest * of_rest;
		upper = scale * query_scale * LOAD16_INT(dots + at) + positive;
		upper += (norm * query_norm + positive) * FLOAT_ERROR + FLOAT_TINY;
		excluded = upper < reach;
		left = ~lanes_set(&excluded) & ROWS_OF_LANES(at, codes->count);
		EMIT(left, lower_ip);
	}
	return count;
}

/* Rows projected together, so that x is read once for all of them. */
#define PROJECT_ROWS	4

typedef float Float4 __attribute__((vector_size(16)));

/* What is left of 16 lanes after adding their quarters. */
static inline Float4
quarter(const Float16 *lanes)
{
	Float4		parts[4];

	memcpy(parts, lanes, sizeof(parts));
	return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

/* Writes the sums over the lanes of each of four vectors. */
static inline void
fold_four(const Float16 *a, const Float16 *b, const Float16 *c, const Float16 *d, float *to)
{
	Float4		a4 = quarter(a);
	Float4		b4 = quarter(b);
	Float4		c4 = quarter(c);
	Float4		d4 = quarter(d);
	Float4		ab = __builtin_shufflevector(a4, b4, 0, 4, 1, 5) + __builtin_shufflevector(a4, b4, 2, 6, 3, 7);
	Float4		cd = __builtin_shufflevector(c4, d4, 0, 4, 1, 5) + __builtin_shufflevector(c4, d4, 2, 6, 3, 7);
	Float4		sums = __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);

	memcpy(to, &sums, sizeof(sums));
}

/* The last count, at most 16, of a row, filled up with zeros. */
#define LOAD_TAIL(lanes, p, count) \
	(memset(&(lanes), 0, sizeof(lanes)), memcpy(&(lanes), p, (count) * sizeof(float)))

static void
project_rows(const float *basis, const float *x, int nrows, int dim, float *y)
{
	int			row = 0;

	for (; row + PROJECT_ROWS <= nrows; row += PROJECT_ROWS)
	{
		const float *row0 = basis + (size_t) row * dim;
		const float *row1 = row0 + dim;
		const float *row2 = row1 + dim;
		const float *row3 = row2 + dim;
		Float16		even0 = {0}, even1 = {0}, even2 = {0}, even3 = {0};
		Float16		odd0 = {0}, odd1 = {0}, odd2 = {0}, odd3 = {0};
		int			at = 0;

		for (; at + VK_FLOAT_LANES <= dim; at += VK_FLOAT_LANES)
		{
			Float16		x0 = LOAD16(x + at);
			Float16		x1 = LOAD16(x + at + 16);

			even0 += LOAD16(row0 + at) * x0;
			odd0 += LOAD16(row0 + at + 16) * x1;
			even1 += LOAD16(row1 + at) * x0;
			odd1 += LOAD16(row1 + at + 16) * x1;
			even2 += LOAD16(row2 + at) * x0;
			odd2 += LOAD16(row2 + at + 16) * x1;
			even3 += LOAD16(row3 + at) * x0;
			odd3 += LOAD16(row3 + at + 16) * x1;
		}
		if (at + 16 <= dim)
		{
			Float16		x0 = LOAD16(x + at);

			even0 += LOAD16(row0 + at) * x0;
			even1 += LOAD16(row1 + at) * x0;
			even2 += LOAD16(row2 + at) * x0;
			even3 += LOAD16(row3 + at) * x0;
			at += 16;
		}
		if (at < dim)
		{
			Float16		x0;
			Float16		part;

			LOAD_TAIL(x0, x + at, dim - at);
			LOAD_TAIL(part, row0 + at, dim - at);
			odd0 += part * x0;
			LOAD_TAIL(part, row1 + at, dim - at);
			odd1 += part * x0;
			LOAD_TAIL(part, row2 + at, dim - at);
			odd2 += part * x0;
			LOAD_TAIL(part, row3 + at, dim - at);
			odd3 += part * x0;
		}
		even0 += odd0;
		even1 += odd1;
		even2 += odd2;
		even3 += odd3;
		fold_four(&even0, &even1, &even2, &even3, y + row);
	}
	for (; row < nrows; row++)
	{
		const float *row0 = basis + (size_t) row * dim;
		Float16		even = {0};
		Float16		odd = {0};
		Float16		none = {0};
		float		sums[4];
		int			at = 0;

		for (; at + VK_FLOAT_LANES <= dim; at += VK_FLOAT_LANES)
		{
			even += LOAD16(row0 + at) * LOAD16(x + at);
			odd += LOAD16(row0 + at + 16) * LOAD16(x + at + 16);
		}
		for (; at < dim; at += 16)
		{
			int			count = dim - at < 16 ? dim - at : 16;
			Float16		part;
			Float16		x0;

			LOAD_TAIL(part, row0 + at, count);
			LOAD_TAIL(x0, x + at, count);
			even += part * x0;
		}
		even += odd;
		fold_four(&even, &none, &none, &none, sums);
		y[row] = sums[0];
	}
}

/* <a, b>, of products and sums in double. */
static double
dot_double(const float *a, const float *b, int dim)
{
	Double8		sums[4] = {{0}, {0}, {0}, {0}};
	double		lanes[8];
	double		total = 0;
	int			at = 0;

	for (; at + 32 <= dim; at += 32)
		for (int i = 0; i < 4; i++)
			sums[i] += LOAD8_DOUBLE(a + at + 8 * i) * LOAD8_DOUBLE(b + at + 8 * i);
	sums[0] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
	memcpy(lanes, &sums[0], sizeof(lanes));
	for (int i = 0; i < 8; i++)
		total += lanes[i];
	for (; at < dim; at++)
		total += (double) a[at] * b[at];
	return total;
}

static void
divide_row(float *row, double divisor, int dim)
{
	for (int i = 0; i < dim; i++)
		row[i] = (float) (row[i] / divisor);
}

/* Powers of two place the exponent; the sign comes last. */
static void
floats_of_halves(const uint16_t *halves, float *to, int dim)
{
	for (int i = 0; i < dim; i++)
	{
		uint32_t	bits = (uint32_t) (halves[i] & 0x7FFF) << 13;
		uint32_t	sign = (uint32_t) (halves[i] & 0x8000) << 16;
		float		value;

		memcpy(&value, &bits, sizeof(value));
		value *= 5.192296858534828e33f; /* 2^112 */
		memcpy(&bits, &value, sizeof(bits));
		bits |= sign;
		memcpy(&to[i], &bits, sizeof(bits));
	}
}

/* Adding and subtracting this rounds a small float to the nearest integer. */
#define ROUND_TO_INTEGER	12582912.0f /* 1.5 * 2^23 */

static void
quantise(const float *values, int length, float scale, int8_t *bytes, uint32_t *square,
		 double *error_square)
{
	const float inverse = 1.0f / scale;
	const double exact_scale = scale;
	Double8		errors = {0};
	double		lanes[8];
	int32_t		squares = 0;
	double		total = 0;

	for (int at = 0; at < length; at += 16)
	{
		Float16		steps = (LOAD16(values + at) * inverse + ROUND_TO_INTEGER) - ROUND_TO_INTEGER;
		Int16		whole = __builtin_convertvector(steps, Int16);
		float		parts[16];
		int32_t		wholes[16];

		memcpy(parts, &steps, sizeof(parts));
		memcpy(wholes, &whole, sizeof(wholes));
		for (int half = 0; half < 16; half += 8)
		{
			Double8		error = LOAD8_DOUBLE(values + at + half) -
			exact_scale * LOAD8_DOUBLE(parts + half);

			errors += error * error;
		}
		for (int i = 0; i < 16; i++)
		{
			bytes[at + i] = (int8_t) wholes[i];
			squares += wholes[i] * wholes[i];
		}
	}
	memcpy(lanes, &errors, sizeof(lanes));
	for (int i = 0; i < 8; i++)
		total += lanes[i];
	*square = squares;
	*error_square = total;
}

static void
add_scaled_row(float *restrict y, const float *restrict x, float factor, int dim)
{
	for (int i = 0; i < dim; i++)
		y[i] += factor * x[i];
}

const VkFlatKernels KERNEL_NAME = {
	KERNEL_TITLE,
	code_dots,
	select_l2,
	select_ip,
	project_rows,
	add_scaled_row,
	dot_double,
	divide_row,
	floats_of_halves,
	quantise,
};
