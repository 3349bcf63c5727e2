/*-------------------------------------------------------------------------
 *
 * flat_codec.c
 *	  Compact codes of dense vectors, and what they prove of distances.
 *
 * A code holds a few coordinates of a row, a byte each with a scale of its
 * own: projections on the rows of an (almost) orthonormal basis, or simply
 * the first coordinates.  With it goes a bound of its error and an interval
 * of the norm of what the projection leaves out.  README.md proves the bounds;
 * the constants here are their rounding errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "port/pg_crc32c.h"
#include "utils/memutils.h"

#include "am/am_private.h"
#include "am/flat/flat_codec.h"
#include "compat/pgcompat.h"

/* Shorter vectors are compared as fast as their codes would be. */
#define MIN_CODED_DIM	32

/* Codes by projection have this many bytes: below and from MANY_DIMS. */
#define FEW_DIMS_BYTES	32
#define MANY_DIMS_BYTES	64
#define MANY_DIMS		256

/* Larger norms get no bound: float sums of their products might overflow. */
#define MAX_CODED_NORM	1e18

/* One rounding of a float, and of a double with some room. */
#define FLOAT_ROUNDING	5.9604644775390625e-8	/* 2^-24 */
#define DOUBLE_ROUNDING	1e-12

/* Whatever float underflow may lose in up to 16,000 products. */
#define UNDERFLOW		1e-37

/* Codecs a backend keeps in memory. */
#define CACHED_CODECS	4

typedef struct CachedCodec
{
	Oid			index;
	Oid			relation;		/* relfilenumber: REINDEX makes a new one */
	MemoryContext context;
	VkFlatCodec *codec;
} CachedCodec;

static CachedCodec cached_codecs[CACHED_CODECS];
static int	next_cached;

const VkFlatKernels *
vk_flat_kernels(void)
{
#ifdef __x86_64__
	if (strncmp(vk_kernels->name, "avx512", strlen("avx512")) == 0)
		return &vk_flat_kernels_avx512;
	if (strcmp(vk_kernels->name, "avx2") == 0)
		return &vk_flat_kernels_avx2;
#endif
	return &vk_flat_kernels_portable;
}

/* A code says next to nothing of a sum of absolute differences. */
bool
vk_flat_metric_has_codes(VkMetric metric)
{
	return metric == VK_METRIC_L2 || metric == VK_METRIC_IP || metric == VK_METRIC_COSINE;
}

/* Room that groups leave for codes as long as there is no codec; 0: never any. */
int
vk_flat_planned_bytes(const VkIndexInfo *info)
{
	if (!vk_flat_metric_has_codes(info->metric) || info->dim < MIN_CODED_DIM)
		return 0;
	return info->dim < MANY_DIMS ? FEW_DIMS_BYTES : MANY_DIMS_BYTES;
}

/*
 * Relative error of a distance computed by float kernels: dim / 32 additions
 * per lane, 6 to fold them, and the roundings of each term (see
 * distance/README.md), with room.
 */
double
vk_flat_float_error(int dim)
{
	return (dim / 32 + 16) * FLOAT_ROUNDING * 1.5;
}

/*
 * A row whose lower bound exceeds this has a distance, as vk_distance()
 * computes it, greater than threshold.
 */
double
vk_flat_prune_limit(const VkIndexInfo *info, double threshold)
{
	double		error = vk_flat_float_error(info->dim);

	if (isinf(threshold))
		return threshold;
	switch (info->metric)
	{
		case VK_METRIC_L2:
			return threshold * (1 + 2 * error);
		case VK_METRIC_COSINE:
			/* of the normalised vectors: |q - x|^2 = 2 (1 - cos) */
			return sqrt(2 * (Max(threshold, 0) + 4 * error + 1e-9));
		default:
			return threshold + DOUBLE_ROUNDING * fabs(threshold);
	}
}

/* ------------------------------------------------------------------------
 * Vectors
 * ------------------------------------------------------------------------ */

/*
 * The vector in the space that is coded: itself, or normalised for the
 * cosine.  False: it has no place there (zero, too large), and no bound.
 */
bool
vk_flat_to_floats(VkFlatCodec *codec, const void *elements, float *to)
{
	const VkFlatKernels *kernels = vk_flat_kernels();
	double		norm;

	if (codec->elem == VK_ELEM_FLOAT4)
		memcpy(to, elements, codec->dim * sizeof(float));
	else
		kernels->halves(elements, to, codec->dim);
	norm = sqrt(kernels->dot(to, to, codec->dim));
	if (!(norm <= MAX_CODED_NORM))
		return false;
	if (codec->metric != VK_METRIC_COSINE)
		return true;
	if (norm == 0)
		return false;
	kernels->divide(to, norm, codec->dim);
	return true;
}

/* A vector's projection and how exactly it is known. */
typedef struct Projection
{
	double		norm_low;		/* of the vector */
	double		norm_high;
	double		error;			/* |computed - exact projection|, at most */
	double		largest;		/* coordinate of the projection */
	double		rest_low;
	double		rest_high;
} Projection;

/*
 * Projects codec->work into codec->projected.  input_error: the relative
 * rounding of the work vector is counted once more for the cosine.
 */
static bool
project(VkFlatCodec *codec, Projection *projection)
{
	const VkFlatKernels *kernels = vk_flat_kernels();
	double		norm;
	double		input_error;
	double		projected_norm;
	double		low;
	double		high;

	norm = sqrt(kernels->dot(codec->work, codec->work, codec->dim));
	if (!(norm <= MAX_CODED_NORM))
		return false;

	/* subtraction of the mean, and division by the norm (then it is 1) */
	input_error = 4 * FLOAT_ROUNDING * norm + UNDERFLOW;
	if (codec->metric == VK_METRIC_COSINE)
		input_error += 4 * FLOAT_ROUNDING;
	projection->norm_low = Max(0, norm * (1 - DOUBLE_ROUNDING) - input_error);
	projection->norm_high = norm * (1 + DOUBLE_ROUNDING) + input_error;

	memset(codec->projected, 0, codec->code_bytes * sizeof(float));
	projection->error = input_error * (1 + codec->skew);
	if (codec->kind == VK_FLAT_IDENTITY)
		memcpy(codec->projected, codec->work, codec->nrows * sizeof(float));
	else
	{
		kernels->project(codec->basis, codec->work, codec->nrows, codec->dim,
						 codec->projected);
		projection->error += sqrt(codec->nrows) *
			((codec->dim / VK_FLOAT_LANES + 8) * FLOAT_ROUNDING * 1.5 * norm + UNDERFLOW);
	}

	projection->largest = 0;
	for (int i = 0; i < codec->nrows; i++)
		projection->largest = Max(projection->largest, fabs((double) codec->projected[i]));
	if (codec->kind == VK_FLAT_IDENTITY && codec->nrows == codec->dim)
	{
		projection->rest_low = projection->rest_high = 0;
		return true;
	}

	/* |rest|^2 = |x|^2 - |part in the basis' space|^2 */
	projected_norm = sqrt(kernels->dot(codec->projected, codec->projected, codec->nrows));
	low = (projected_norm * (1 + DOUBLE_ROUNDING) + projection->error) /
		sqrt(1 - codec->skew);
	high = Max(0, projected_norm * (1 - DOUBLE_ROUNDING) - projection->error) /
		sqrt(1 + codec->skew);
	projection->rest_low = projection->norm_low <= low ? 0 :
		sqrt((projection->norm_low - low) * (projection->norm_low + low)) * (1 - DOUBLE_ROUNDING);
	projection->rest_high = projection->norm_high <= high ? 0 :
		sqrt((projection->norm_high - high) * (projection->norm_high + high)) *
		(1 + DOUBLE_ROUNDING);
	return true;
}

/* A float not less, and not greater. */
static float
round_up(double value)
{
	float		result = (float) value;

	return result >= value ? result : nextafterf(result, INFINITY);
}

static float
round_down(double value)
{
	float		result = (float) value;

	return result <= value ? result : nextafterf(result, -INFINITY);
}

/* Computes the code of a row; error infinite if there is no bound for it. */
void
vk_flat_encode(VkFlatCodec *codec, const void *elements, VkFlatCode *code)
{
	const VkFlatKernels *kernels = vk_flat_kernels();
	Projection	projection;
	double		error;

	memset(code, 0, offsetof(VkFlatCode, bytes) + codec->code_bytes);
	code->error = INFINITY;
	if (!vk_flat_to_floats(codec, elements, codec->work))
		return;
	kernels->add_scaled(codec->work, codec->mean, -1.0f, codec->dim);
	if (!project(codec, &projection))
		return;

	code->scale = (float) (projection.largest / 127);
	if (code->scale >= FLT_MIN)
		kernels->quantise(codec->projected, codec->code_bytes, code->scale, code->bytes,
						  &code->square, &error);
	else
	{
		/* too small to divide by: a code of zeros, and all of it an error */
		code->scale = 0;
		error = kernels->dot(codec->projected, codec->projected, codec->nrows);
	}
	code->error = round_up(sqrt(error) * (1 + DOUBLE_ROUNDING) + projection.error);
	code->rest_low = round_down(projection.rest_low);
	code->rest_high = round_up(projection.rest_high);
}

/*
 * Whether what the code says of the row is true.  Another CPU may have made
 * it, of sums in another order, so the code of now need not be the same.
 */
bool
vk_flat_code_fits(VkFlatCodec *codec, const void *elements, const VkFlatCode *code)
{
	const VkFlatKernels *kernels = vk_flat_kernels();
	Projection	projection;
	double		missed = 0;
	uint32		square = 0;

	if (isinf(code->error))
		return true;			/* it says nothing */
	if (!vk_flat_to_floats(codec, elements, codec->work))
		return false;
	kernels->add_scaled(codec->work, codec->mean, -1.0f, codec->dim);
	if (!project(codec, &projection))
		return false;
	for (int i = 0; i < codec->code_bytes; i++)
	{
		double		miss = codec->projected[i] - (double) code->scale * code->bytes[i];

		missed += miss * miss;
		square += code->bytes[i] * code->bytes[i];
	}
	return square == code->square &&
		sqrt(missed) * (1 - DOUBLE_ROUNDING) - projection.error <= code->error &&
		projection.rest_low <= code->rest_high && projection.rest_high >= code->rest_low;
}

/* The code of a query, in the current context. */
VkFlatQuery *
vk_flat_encode_query(VkFlatCodec *codec, const void *elements)
{
	VkFlatQuery *query = palloc0(offsetof(VkFlatQuery, code) + codec->code_bytes * sizeof(int16));
	VkFlatBound *bound = &query->bound;
	Projection	projection;
	double		error = 0;
	double		square = 0;
	int			largest = Min(32767, (int) (PG_INT32_MAX / 127.0 / codec->code_bytes) - 1);

	query->code_bytes = codec->code_bytes;
	if (!vk_flat_to_floats(codec, elements, codec->work))
		return query;
	if (codec->metric == VK_METRIC_IP)
		for (int i = 0; i < codec->dim; i++)
			bound->constant += (double) codec->work[i] * codec->mean[i];
	else
		vk_flat_kernels()->add_scaled(codec->work, codec->mean, -1.0f, codec->dim);
	if (!project(codec, &projection))
		return query;

	bound->query_scale = projection.largest / largest;
	for (int i = 0; i < codec->nrows; i++)
	{
		double		value = codec->projected[i];
		int			step = bound->query_scale > 0 ? (int) rint(value / bound->query_scale) : 0;

		step = Min(largest, Max(-largest, step));
		query->code[i] = step;
		square += (double) step * step;
		value -= bound->query_scale * step;
		error += value * value;
	}
	bound->query_square = bound->query_scale * bound->query_scale * square;
	bound->query_norm = bound->query_scale * sqrt(square) * (1 + DOUBLE_ROUNDING);
	bound->query_error = sqrt(error) * (1 + DOUBLE_ROUNDING) + projection.error;
	bound->rest_low = projection.rest_low;
	bound->rest_high = projection.rest_high;
	bound->shrink = 1 / (1 + codec->skew);
	bound->skew = codec->skew / (1 - codec->skew);
	bound->float_error = projection.norm_high * (vk_flat_float_error(codec->dim) + 1e-9);
	bound->mean_norm = codec->mean_norm;
	query->usable = true;
	return query;
}

/* ------------------------------------------------------------------------
 * Codecs
 * ------------------------------------------------------------------------ */

/* A codec without content, in the current context. */
VkFlatCodec *
vk_flat_codec_make(const VkIndexInfo *info, VkFlatCodecKind kind, int nrows)
{
	VkFlatCodec *codec = palloc0(sizeof(VkFlatCodec));

	codec->codec = 1;
	codec->kind = kind;
	codec->nrows = nrows;
	codec->code_bytes = (nrows + VK_CODE_STEP - 1) / VK_CODE_STEP * VK_CODE_STEP;
	codec->dim = info->dim;
	codec->elem = info->elem;
	codec->metric = info->metric;
	codec->mean = palloc0(sizeof(float) * info->dim);
	if (kind == VK_FLAT_BASIS)
		codec->basis = palloc_extended(sizeof(float) * nrows * info->dim, MCXT_ALLOC_HUGE);
	codec->work = palloc(sizeof(float) * info->dim);
	codec->projected = palloc(sizeof(float) * codec->code_bytes);
	return codec;
}

/*
 * Computes what follows from mean and basis.  skew bounds the spectral norm of
 * basis basis' - 1 by its largest row sum.  False if the basis is too far from
 * orthonormal to be one.
 */
bool
vk_flat_codec_finish(VkFlatCodec *codec)
{
	double		square = 0;

	for (int i = 0; i < codec->dim; i++)
		square += (double) codec->mean[i] * codec->mean[i];
	codec->mean_norm = sqrt(square) * (1 + DOUBLE_ROUNDING);
	codec->skew = 0;
	if (codec->kind == VK_FLAT_IDENTITY)
		return true;
	for (int a = 0; a < codec->nrows; a++)
	{
		double		row = 0;

		for (int b = 0; b < codec->nrows; b++)
		{
			double		dot = vk_flat_kernels()->dot(codec->basis + (Size) a * codec->dim,
													 codec->basis + (Size) b * codec->dim,
													 codec->dim);

			row += fabs(a == b ? dot - 1 : dot);
		}
		codec->skew = Max(codec->skew, row);
	}
	codec->skew = codec->skew * (1 + DOUBLE_ROUNDING) + DOUBLE_ROUNDING;
	return codec->skew < 0.01;
}

static Size
codec_floats(const VkFlatCodec *codec)
{
	return codec->dim + (codec->kind == VK_FLAT_BASIS ? (Size) codec->nrows * codec->dim : 0);
}

static pg_crc32c
codec_crc(const VkFlatCodecHeader *header, const VkFlatCodec *codec)
{
	VkFlatCodecHeader copy = *header;
	pg_crc32c	crc;

	copy.crc = 0;
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, &copy, sizeof(copy));
	COMP_CRC32C(crc, codec->mean, codec->dim * sizeof(float));
	if (codec->basis != NULL)
		COMP_CRC32C(crc, codec->basis, (Size) codec->nrows * codec->dim * sizeof(float));
	FIN_CRC32C(crc);
	return crc;
}

/* The number and size of codes of new groups: from the metapage. */
void
vk_flat_codec_current(VkIndex *index, uint16 *codec, int *code_bytes)
{
	Buffer		buffer = vk_page_read(index, VK_META_BLOCK, VK_PAGE_META, 0, BUFFER_LOCK_SHARE);
	VkMetaPage *meta = VkPageGetMeta(BufferGetPage(buffer));

	*codec = (uint16) meta->store[VK_FLAT_META_CODEC];
	*code_bytes = (int) meta->store[VK_FLAT_META_BYTES];
	vk_page_release(buffer);
	if (*codec == 0)
		*code_bytes = vk_flat_planned_bytes(&index->info);
	else if (*codec == VK_FLAT_NO_CODEC)
		*codec = *code_bytes = 0;
}

/*
 * Writes a codec's pages, then names them in the metapage: codec NULL says
 * that none pays.  The caller holds the lock of vk_flat_train_lock.
 */
void
vk_flat_codec_store(VkIndex *index, VkFlatCodec *codec)
{
	BlockNumber next = 0;
	Buffer		buffer;
	VkMetaPage *meta;
	VkEdit		edit;
	int			page;

	if (codec != NULL)
	{
		VkFlatCodecHeader header = {0};
		Size		total = sizeof(header) + codec_floats(codec) * sizeof(float);
		char	   *bytes = palloc_extended(total, MCXT_ALLOC_HUGE);
		Size		mean_bytes = codec->dim * sizeof(float);

		header.magic = VK_FLAT_CODEC_MAGIC;
		header.codec = codec->codec;
		header.kind = codec->kind;
		header.code_bytes = codec->code_bytes;
		header.nrows = codec->nrows;
		header.dim = codec->dim;
		header.crc = codec_crc(&header, codec);
		memcpy(bytes, &header, sizeof(header));
		memcpy(bytes + sizeof(header), codec->mean, mean_bytes);
		if (codec->basis != NULL)
			memcpy(bytes + sizeof(header) + mean_bytes, codec->basis,
				   total - sizeof(header) - mean_bytes);

		/* from the last page to the first, each naming the one written before */
		next = InvalidBlockNumber;
		for (int64 at = (total - 1) / VK_PAGE_SPACE * VK_PAGE_SPACE; at >= 0; at -= VK_PAGE_SPACE)
		{
			Size		part = Min(VK_PAGE_SPACE, total - at);
			Page		copy;

			buffer = vk_page_allocate(index);
			vk_edit_start(&edit, index);
			copy = vk_edit_new(&edit, buffer, VK_PAGE_FLAT_CODEC, 0);
			memcpy(VkPageData(copy), bytes + at, part);
			VkPageSetUsed(copy, part);
			VkPageGetOpaque(copy)->next = next;
			next = BufferGetBlockNumber(buffer);
			vk_edit_commit_release(&edit);
		}
		pfree(bytes);
	}
	buffer = vk_page_read(index, VK_META_BLOCK, VK_PAGE_META, 0, BUFFER_LOCK_EXCLUSIVE);
	meta = VkPageGetMeta(BufferGetPage(buffer));
	vk_edit_start(&edit, index);
	page = vk_edit_page(&edit, buffer);
	vk_edit_put_uint32(&edit, page, &meta->store[VK_FLAT_META_BLOCK], next);
	vk_edit_put_uint32(&edit, page, &meta->store[VK_FLAT_META_CODEC],
					   codec != NULL ? codec->codec : VK_FLAT_NO_CODEC);
	vk_edit_put_uint32(&edit, page, &meta->store[VK_FLAT_META_BYTES],
					   codec != NULL ? codec->code_bytes : 0);
	vk_edit_commit_release(&edit);
}

/* Reads length bytes of the codec's pages on from where *block, *at are. */
static void
read_bytes(VkIndex *index, BlockNumber *block, int *at, char *to, Size length)
{
	while (length > 0)
	{
		Buffer		buffer = vk_page_read(index, *block, VK_PAGE_FLAT_CODEC, 0, BUFFER_LOCK_SHARE);
		Page		page = BufferGetPage(buffer);
		int			used = ((PageHeader) page)->pd_lower - MAXALIGN(SizeOfPageHeaderData);
		Size		part = Min(length, (Size) Max(used - *at, 0));

		if (part == 0 && *at == 0)
			vk_report_corruption(index->rel, *block, "A page of the codec is empty.");
		memcpy(to, VkPageData(page) + *at, part);
		to += part;
		length -= part;
		*at += part;
		if (*at >= used)
		{
			*block = VkPageGetOpaque(page)->next;
			*at = 0;
		}
		vk_page_release(buffer);
	}
}

static VkFlatCodec *
load_codec(VkIndex *index, uint16 number)
{
	Buffer		buffer = vk_page_read(index, VK_META_BLOCK, VK_PAGE_META, 0, BUFFER_LOCK_SHARE);
	BlockNumber block = VkPageGetMeta(BufferGetPage(buffer))->store[VK_FLAT_META_BLOCK];
	BlockNumber first = block;
	VkFlatCodecHeader header;
	VkFlatCodec *codec;
	int			at = 0;

	vk_page_release(buffer);
	read_bytes(index, &block, &at, (char *) &header, sizeof(header));
	if (header.magic != VK_FLAT_CODEC_MAGIC || header.codec != number ||
		header.dim != index->info.dim || header.nrows < 1 || header.nrows > header.dim ||
		header.code_bytes < header.nrows || header.code_bytes % VK_CODE_STEP != 0 ||
		header.code_bytes > VK_PAGE_SPACE / 2 ||
		(header.kind != VK_FLAT_IDENTITY && header.kind != VK_FLAT_BASIS))
		vk_report_corruption(index->rel, first, "The header of codec %u is damaged.", number);
	codec = vk_flat_codec_make(&index->info, header.kind, header.nrows);
	codec->codec = number;
	read_bytes(index, &block, &at, (char *) codec->mean, codec->dim * sizeof(float));
	if (codec->basis != NULL)
		read_bytes(index, &block, &at, (char *) codec->basis,
				   (Size) codec->nrows * codec->dim * sizeof(float));
	if (codec->code_bytes != header.code_bytes ||
		header.crc != codec_crc(&header, codec) || !vk_flat_codec_finish(codec))
		vk_report_corruption(index->rel, first, "The content of codec %u is damaged.", number);
	return codec;
}

/*
 * The codec of this number, in memory.  It stays valid until others push it
 * out of the cache: ask again after anything that may use another index.
 */
VkFlatCodec *
vk_flat_codec_get(VkIndex *index, uint16 number)
{
	Oid			relation = RelationGetRelNumber_compat(index->rel);
	CachedCodec *slot;
	MemoryContext context;
	MemoryContext old;
	VkFlatCodec *codec;

	for (int i = 0; i < CACHED_CODECS; i++)
	{
		slot = &cached_codecs[i];
		if (slot->codec != NULL && slot->index == RelationGetRelid(index->rel) &&
			slot->relation == relation && slot->codec->codec == number)
			return slot->codec;
	}
	context = AllocSetContextCreate(CurrentMemoryContext, "vektonn codec",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	codec = load_codec(index, number);
	MemoryContextSwitchTo(old);

	slot = &cached_codecs[next_cached];
	next_cached = (next_cached + 1) % CACHED_CODECS;
	if (slot->context != NULL)
		MemoryContextDelete(slot->context);
	MemoryContextSetParent(context, CacheMemoryContext);
	slot->context = context;
	slot->index = RelationGetRelid(index->rel);
	slot->relation = relation;
	slot->codec = codec;
	return codec;
}
