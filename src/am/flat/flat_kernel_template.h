/*-------------------------------------------------------------------------
 *
 * flat_kernel_template.h
 *	  Bodies of the flat store's loops; flat_kernel_<isa>.c includes it once,
 *	  after defining KERNEL_NAME and a function dot_code(), and perhaps
 *	  KERNEL_DOT_FOUR and dot_four_codes() for four codes in a row.
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

static void
code_dots(const VkFlatCodes *codes, const int16_t *query, int32_t *dots)
{
	const int8_t *code = codes->codes;
	int			i = 0;

#ifdef KERNEL_DOT_FOUR
	for (; i + 4 <= codes->count; i += 4, code += 4 * codes->code_bytes)
		dot_four_codes(code, query, codes->code_bytes, dots + i);
#endif
	for (; i < codes->count; i++, code += codes->code_bytes)
		dots[i] = dot_code(code, query, codes->code_bytes);
}

/*
 * With a = |projected query - code|, b = the least difference of the norms of
 * the rests, e = both errors: |q - x| >= |(a, b)| - e.  See README.md.
 */
static void
code_bounds_l2(const VkFlatCodes *codes, const int32_t *dots, const VkFlatBound *bound,
			   double *restrict lower)
{
	const double query_scale = bound->query_scale;
	const double query_square = bound->query_square;
	const double query_error = bound->query_error;
	const double low = bound->rest_low;
	const double high = bound->rest_high;
	const double shrink = bound->shrink;
	const int	count = codes->count;
	const float *restrict scales = codes->scale;
	const uint32_t *restrict squares = codes->square;
	const float *restrict errors = codes->error;
	const float *restrict lows = codes->rest_low;
	const float *restrict highs = codes->rest_high;

	for (int i = 0; i < count; i++)
	{
		double		scale = scales[i];
		double		square = scale * scale * (double) (int32_t) squares[i];
		double		sum = query_square + square;
		double		a2 = sum - 2.0 * query_scale * scale * (double) dots[i] - DOUBLE_ERROR * sum;
		double		b1 = low - (double) highs[i];
		double		b2 = (double) lows[i] - high;
		double		b = b1 > b2 ? b1 : b2;
		double		total;

		a2 = a2 > 0.0 ? a2 : 0.0;
		b = b > 0.0 ? b : 0.0;
		total = a2 * shrink + b * b;
		lower[i] = sqrt(total) * (1.0 - DOUBLE_ERROR) - ((double) errors[i] + query_error);
	}
}

/* -<q, x> >= -(<q, mean> + <projections> + |rest of q| |rest of x| + errors). */
static void
code_bounds_ip(const VkFlatCodes *codes, const int32_t *dots, const VkFlatBound *bound,
			   double *restrict lower)
{
	const double query_scale = bound->query_scale;
	const double query_norm = bound->query_norm;
	const double query_error = bound->query_error;
	const double high = bound->rest_high;
	const double skew = bound->skew;
	const double constant = bound->constant;
	const double float_error = bound->float_error;
	const double mean_norm = bound->mean_norm;
	const int	count = codes->count;
	const float *restrict scales = codes->scale;
	const uint32_t *restrict squares = codes->square;
	const float *restrict errors = codes->error;
	const float *restrict highs = codes->rest_high;

	for (int i = 0; i < count; i++)
	{
		double		scale = scales[i];
		double		norm = scale * sqrt((double) (int32_t) squares[i]);
		double		error = errors[i];
		double		full = norm + error;
		double		product = query_scale * scale * (double) dots[i];
		double		upper = constant + product + query_norm * error + query_error * full +
		skew * (query_norm + query_error) * full + high * (double) highs[i];

		upper += float_error * (mean_norm + full + (double) highs[i]);
		upper += DOUBLE_ERROR * (fabs(constant) + query_norm * norm + fabs(upper));
		lower[i] = -upper;
	}
}

/* 16 floats at any alignment; the compiler splits them as the CPU needs. */
typedef float Float16 __attribute__((vector_size(64)));
typedef float Float16Any __attribute__((vector_size(64), aligned(4), may_alias));

#define LOAD16(p)	(*(const Float16Any *) (p))

/* Rows projected together, so that x is read once for all of them. */
#define PROJECT_ROWS	4

static float
fold(const Float16 *lanes, const float *row, const float *x, int at, int dim)
{
	float		sums[16];

	memcpy(sums, lanes, sizeof(sums));
	for (int lane = 0; at + lane < dim; lane++)
		sums[lane % 16] += row[at + lane] * x[at + lane];
	for (int width = 8; width > 0; width /= 2)
		for (int lane = 0; lane < width; lane++)
			sums[lane] += sums[lane + width];
	return sums[0];
}

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
		even0 += odd0;
		even1 += odd1;
		even2 += odd2;
		even3 += odd3;
		y[row] = fold(&even0, row0, x, at, dim);
		y[row + 1] = fold(&even1, row1, x, at, dim);
		y[row + 2] = fold(&even2, row2, x, at, dim);
		y[row + 3] = fold(&even3, row3, x, at, dim);
	}
	for (; row < nrows; row++)
	{
		Float16		none = {0};

		y[row] = fold(&none, basis + (size_t) row * dim, x, 0, dim);
	}
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
	code_bounds_l2,
	code_bounds_ip,
	project_rows,
	add_scaled_row,
};
