/*-------------------------------------------------------------------------
 *
 * flat_kernel_template.h
 *	  Bodies of the flat store's loops; flat_kernel_<isa>.c includes it once,
 *	  after defining KERNEL_NAME and a function dot_code().
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

	for (int i = 0; i < codes->count; i++, code += codes->code_bytes)
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

static void
project_rows(const float *basis, const float *x, int nrows, int dim, float *y)
{
	for (int row = 0; row < nrows; row++, basis += dim)
	{
		float		lanes[VK_FLOAT_LANES] = {0};
		int			at = 0;
		float		sum = 0;

		for (; at + VK_FLOAT_LANES <= dim; at += VK_FLOAT_LANES)
			for (int lane = 0; lane < VK_FLOAT_LANES; lane++)
				lanes[lane] += basis[at + lane] * x[at + lane];
		for (int lane = 0; at + lane < dim; lane++)
			lanes[lane] += basis[at + lane] * x[at + lane];
		for (int width = VK_FLOAT_LANES / 2; width > 0; width /= 2)
			for (int lane = 0; lane < width; lane++)
				lanes[lane] += lanes[lane + width];
		sum = lanes[0];
		y[row] = sum;
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
