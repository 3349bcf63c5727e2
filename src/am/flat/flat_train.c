/*-------------------------------------------------------------------------
 *
 * flat_train.c
 *	  Chooses a codec from a sample of rows: none, the coordinates themselves,
 *	  or projections on the sample's principal axes.
 *
 * The axes come from orthogonal iteration.  How well they prune is measured on
 * the sample: its members take turns as query.  Any basis is correct; a bad
 * one is only slow.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/pg_prng.h"
#include "miscadmin.h"

#include "am/flat/flat_codec.h"

#define ITERATIONS	5

/* Members of the sample that are used as queries to measure pruning. */
#define PROBES		24

/* Nanoseconds: per row, per byte read in sequence, per row read at random. */
#define ROW_NS		5.0
#define BYTE_NS		0.09
#define RANDOM_NS	350.0

/* Codes and their bounds take at most this share of a row: index size. */
#define MAX_CODE_SHARE	0.55
#define CODE_OVERHEAD	26

static void
random_row(float *row, int dim, pg_prng_state *prng)
{
	for (int i = 0; i < dim; i++)
		row[i] = (float) (pg_prng_double(prng) - 0.5);
}

/* Gram-Schmidt, twice per row; rows that vanish are replaced by random ones. */
static void
orthonormalise(float *basis, int nrows, int dim, pg_prng_state *prng)
{
	const VkFlatKernels *kernels = vk_flat_kernels();
	float	   *parts = palloc(sizeof(float) * nrows);

	for (int row = 0; row < nrows; row++)
	{
		float	   *here = basis + (Size) row * dim;

		CHECK_FOR_INTERRUPTS();
		for (int attempt = 0; attempt < 10; attempt++)
		{
			double		before = sqrt(kernels->dot(here, here, dim));
			double		after;

			/* the second round takes what rounding left of the first */
			for (int round = 0; round < 2; round++)
			{
				kernels->project(basis, here, row, dim, parts);
				for (int other = 0; other < row; other++)
					kernels->add_scaled(here, basis + (Size) other * dim, -parts[other], dim);
			}
			after = sqrt(kernels->dot(here, here, dim));
			if (after > 1e-4 * before && after > 1e-30 && isfinite(after))
			{
				for (int i = 0; i < dim; i++)
					here[i] = (float) (here[i] / after);
				if (after > 0.1 * before)
					break;
				continue;		/* lost digits: once more */
			}
			random_row(here, dim, prng);
		}
	}
	pfree(parts);
}

/* Principal axes of the centred sample. */
static void
find_axes(VkFlatCodec *codec, const float *sample, int nsample)
{
	const VkFlatKernels *kernels = vk_flat_kernels();
	int			dim = codec->dim;
	int			nrows = codec->nrows;
	Size		size = sizeof(float) * nrows * dim;
	float	   *sums = palloc_extended(size, MCXT_ALLOC_HUGE);
	pg_prng_state prng;

	pg_prng_seed(&prng, 1);
	for (int row = 0; row < nrows; row++)
		random_row(codec->basis + (Size) row * dim, dim, &prng);
	orthonormalise(codec->basis, nrows, dim, &prng);
	for (int iteration = 0; iteration < ITERATIONS; iteration++)
	{
		memset(sums, 0, size);
		for (int i = 0; i < nsample; i++)
		{
			const float *x = sample + (Size) i * dim;

			CHECK_FOR_INTERRUPTS();
			kernels->project(codec->basis, x, nrows, dim, codec->projected);
			for (int row = 0; row < nrows; row++)
				kernels->add_scaled(sums + (Size) row * dim, x, codec->projected[row], dim);
		}
		memcpy(codec->basis, sums, size);
		orthonormalise(codec->basis, nrows, dim, &prng);
	}
	pfree(sums);
}

/* Codes of the whole sample, as the arrays of a group. */
static void
encode_sample(VkFlatCodec *codec, const float *sample, int nsample, VkFlatCodes *codes)
{
	VkFlatCode *code = palloc(offsetof(VkFlatCode, bytes) + codec->code_bytes);
	float	   *floats = palloc(sizeof(float) * (4 * nsample + VK_FLAT_LANES));
	uint32	   *squares = palloc(sizeof(uint32) * (nsample + VK_FLAT_LANES));
	int8	   *bytes = palloc_extended((Size) codec->code_bytes * nsample, MCXT_ALLOC_HUGE);

	for (int i = 0; i < nsample; i++)
	{
		vk_flat_encode(codec, sample + (Size) i * codec->dim, code);
		floats[i] = code->scale;
		floats[nsample + i] = code->error;
		floats[2 * nsample + i] = code->rest_low;
		floats[3 * nsample + i] = code->rest_high;
		squares[i] = code->square;
		memcpy(bytes + (Size) i * codec->code_bytes, code->bytes, codec->code_bytes);
		CHECK_FOR_INTERRUPTS();
	}
	codes->count = nsample;
	codes->code_bytes = codec->code_bytes;
	codes->codes = bytes;
	codes->scale = floats;
	codes->error = floats + nsample;
	codes->rest_low = floats + 2 * nsample;
	codes->rest_high = floats + 3 * nsample;
	codes->square = squares;
	codes->ahead = NULL;
	pfree(code);
}

/* Share of the sample whose bounds do not exclude it, over some queries. */
static double
measure_survivors(VkFlatCodec *codec, const VkIndexInfo *info, const float *sample, int nsample)
{
	const VkFlatKernels *kernels = vk_flat_kernels();
	VkDenseDistance distance = vk_dense_distance(VK_ELEM_FLOAT4, info->metric);
	int32	   *dots = palloc(sizeof(int32) * (nsample + VK_FLAT_LANES));
	uint16	   *slots = palloc(sizeof(uint16) * nsample);
	double	   *lower = palloc(sizeof(double) * nsample);
	VkFlatCodes codes;
	int64		survivors = 0;

	encode_sample(codec, sample, nsample, &codes);
	for (int probe = 0; probe < PROBES; probe++)
	{
		int			at = (int) ((int64) probe * nsample / PROBES);
		const float *x = sample + (Size) at * codec->dim;
		double		best = INFINITY;
		double		limit;
		VkFlatQuery *query = vk_flat_encode_query(codec, x);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < nsample; i++)
			if (i != at)
				best = Min(best, distance(x, sample + (Size) i * codec->dim, codec->dim));
		limit = vk_flat_prune_limit(info, best);
		if (!query->usable)
		{
			survivors += nsample;
			continue;
		}
		kernels->dots(&codes, query->code, dots);
		survivors += (info->metric == VK_METRIC_IP ? kernels->select_ip : kernels->select_l2)
			(&codes, dots, &query->bound, limit, slots, lower);
		pfree(query);
	}
	pfree((void *) codes.scale);
	pfree((void *) codes.square);
	pfree((void *) codes.codes);
	pfree(dots);
	pfree(slots);
	pfree(lower);
	return (double) survivors / PROBES / nsample;
}

/* Nanoseconds per row of a scan with this codec. */
static double
scan_cost(VkFlatCodec *codec, const VkIndexInfo *info, const float *sample, int nsample)
{
	double		survivors = measure_survivors(codec, info, sample, nsample);

	return ROW_NS + (codec->code_bytes + CODE_OVERHEAD) * BYTE_NS +
		survivors * (RANDOM_NS + info->row_bytes * BYTE_NS);
}

static void
set_mean(VkFlatCodec *codec, const float *sample, int nsample)
{
	for (int i = 0; i < codec->dim; i++)
	{
		double		sum = 0;

		for (int row = 0; row < nsample; row++)
			sum += sample[(Size) row * codec->dim + i];
		codec->mean[i] = (float) (sum / nsample);
	}
}

static bool
code_fits(const VkIndexInfo *info, int code_bytes)
{
	return code_bytes <= VK_PAGE_SPACE / 4 &&
		code_bytes + CODE_OVERHEAD <= MAX_CODE_SHARE * info->row_bytes;
}

/*
 * The codec that promises the fastest scans, or NULL if none beats comparing
 * all rows.  sample: vectors as vk_flat_to_floats() makes them; it is
 * overwritten.  Everything is allocated in the current context.
 */
VkFlatCodec *
vk_flat_train(const VkIndexInfo *info, float *sample, int nsample)
{
	VkFlatCodec *best = NULL;
	double		best_cost = ROW_NS + info->row_bytes * BYTE_NS;
	VkFlatCodec *codec;
	double		cost;
	VkIndexInfo as_floats = *info;
	float	   *centred;
	Size		size = sizeof(float) * nsample * info->dim;

	as_floats.elem = VK_ELEM_FLOAT4;	/* what the sample consists of */
	if (code_fits(info, (info->dim + VK_CODE_STEP - 1) / VK_CODE_STEP * VK_CODE_STEP))
	{
		codec = vk_flat_codec_make(&as_floats, VK_FLAT_IDENTITY, info->dim);
		set_mean(codec, sample, nsample);
		if (vk_flat_codec_finish(codec) &&
			(cost = scan_cost(codec, info, sample, nsample)) < best_cost)
		{
			best = codec;
			best_cost = cost;
		}
	}
	if (info->dim > vk_flat_planned_bytes(info) && nsample > vk_flat_planned_bytes(info) &&
		code_fits(info, vk_flat_planned_bytes(info)))
	{
		codec = vk_flat_codec_make(&as_floats, VK_FLAT_BASIS, vk_flat_planned_bytes(info));
		set_mean(codec, sample, nsample);
		centred = palloc_extended(size, MCXT_ALLOC_HUGE);
		for (int row = 0; row < nsample; row++)
			for (int i = 0; i < info->dim; i++)
				centred[(Size) row * info->dim + i] = sample[(Size) row * info->dim + i] -
					codec->mean[i];
		find_axes(codec, centred, nsample);
		pfree(centred);
		if (vk_flat_codec_finish(codec) &&
			(cost = scan_cost(codec, info, sample, nsample)) < best_cost)
			best = codec;
	}
	if (best != NULL)
		best->elem = info->elem;
	return best;
}
