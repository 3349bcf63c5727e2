/*-------------------------------------------------------------------------
 *
 * batch_pass.c
 *	  One pass over an index for many queries: the k best rows of each.
 *
 * Rows are read into blocks.  The products of a block with all queries, by
 * BLAS, and the norms give a bound for each pair of query and row; pairs it
 * does not exclude are compared by the same function as everywhere.  So
 * the products only steer: README.md proves that they exclude no row that is
 * among the k best, whatever the order in which BLAS adds up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "batch/batch_private.h"

/* 2^-24: the relative error of a float operation. */
#define FLOAT_ROUNDING	5.9604644775390625e-8

/* A product of two floats loses at most this to underflow, flushed or not. */
#define FLOAT_UNDERFLOW	2.3509887e-38

/* Sums of squares above this may overflow in products: compare such vectors. */
#define MAX_SQUARE		1e30

/* Roundings, as relative errors, of the filter's own arithmetic; README.md. */
#define FILTER_ROUNDING	(16 * FLOAT_ROUNDING)

/* Blocks larger than this gain nothing: the products should stay in cache. */
#define MAX_BLOCK_BYTES		(4 * 1024 * 1024)
#define MAX_PRODUCT_BYTES	(1024 * 1024)
#define MAX_BLOCK_ROWS		1024

/* A query that knows nothing yet compares this many times k rows first. */
#define SEED_SHARE		2

/* Shares of work_mem. */
#define QUERY_SHARE		3
#define BLOCK_SHARE		8		/* each of two */
#define PRODUCT_SHARE	6		/* each of two */

/* The queries of a pass, and where rows of one form meet them. */
typedef struct Space
{
	bool		ready;
	int			width;			/* floats per point */
	double		shrink;
	double		product_error;	/* relative to the norms */
	double		product_underflow;
	float		factor;			/* of the products */
	VkBlasMatrix queries;
	VkBatchBound *bounds;		/* per query */
	float	   *norms;			/* per row of the block */
	float	   *offsets;
	float	   *no_errors;		/* of raw rows */
	float	   *points;			/* of raw rows that are not floats, or
								 * normalised */
	float	   *products;
	int			product_queries;	/* so many have room */
	float	   *values;
	int		   *selected;
} Space;

typedef struct Pass
{
	VkRowSink	sink;			/* must be first */
	VkIndex    *index;
	const VkIndexInfo *info;
	const VkBatchOps *ops;
	VkDenseDistance distance;
	VkBlasProducts multiply;
	VkBatchQuery **queries;
	int			nqueries;
	Space		raw;
	Space		sketch;
	char	   *row;			/* one fetched */
} Pass;

static const void *
query_elements(const VkBatchQuery *query)
{
	return ((const VkVector *) query->value)->x;
}

bool
vk_batch_possible(VkIndex *index)
{
	return index->store->batch != NULL && index->store->batch->has_bounds(index->info.metric) &&
		vk_batch_products() != NULL;
}

static Size
block_bytes(void)
{
	return Min(MAX_BLOCK_BYTES, (Size) work_mem * 1024 / BLOCK_SHARE);
}

/* Whether raw rows are points as they lie. */
static bool
elements_are_points(const VkIndexInfo *info)
{
	return info->elem == VK_ELEM_FLOAT4 && info->metric != VK_METRIC_COSINE;
}

/* How many queries one pass can take within work_mem. */
int
vk_batch_size(VkIndex *index, int64 k)
{
	Size		each = sizeof(VkBatchQuery) + 2 * sizeof(VkBatchBound) +
	k * sizeof(VkCandidate) + index->info.dim * sizeof(float);

	if (!elements_are_points(&index->info))
		each += index->info.dim * sizeof(float);

	return Max(1, Min(PG_INT16_MAX, (Size) work_mem * 1024 / QUERY_SHARE / each));
}

/* ------------------------------------------------------------------------
 * Points
 * ------------------------------------------------------------------------ */

/*
 * The point of a raw vector: its elements as floats, normalised for the
 * cosine.  False if there is none: a zero vector has no direction.
 */
static bool
make_point(const VkIndexInfo *info, const void *elements, float *point)
{
	double		square = 0;
	double		norm;

	if (info->elem == VK_ELEM_FLOAT4)
		memcpy(point, elements, info->dim * sizeof(float));
	else
		for (int i = 0; i < info->dim; i++)
			point[i] = vk_half_to_float(((const VkHalf *) elements)[i]);
	if (info->metric != VK_METRIC_COSINE)
		return true;
	for (int i = 0; i < info->dim; i++)
		square += (double) point[i] * point[i];
	if (square == 0)
		return false;
	norm = 1 / sqrt(square);
	for (int i = 0; i < info->dim; i++)
		point[i] = (float) (point[i] * norm);
	return true;
}

/* A normalised vector's own rounding. */
static double
point_error(const VkIndexInfo *info)
{
	return info->metric == VK_METRIC_COSINE ?
		4 * FLOAT_ROUNDING + info->dim * FLOAT_UNDERFLOW : 0;
}

static double
point_square(const float *point, int width)
{
	double		lanes[4] = {0};
	int			i = 0;

	for (; i + 4 <= width; i += 4)
		for (int lane = 0; lane < 4; lane++)
			lanes[lane] += (double) point[i + lane] * point[i + lane];
	for (; i < width; i++)
		lanes[0] += (double) point[i] * point[i];
	return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

/* The part of a space that does not depend on how rows become points. */
static void
prepare_space(Pass *pass, Space *space, int width, double shrink, int capacity)
{
	Size		product_bytes = Min(MAX_PRODUCT_BYTES, (Size) work_mem * 1024 / PRODUCT_SHARE);
	double		roundings = (width + 2) * FLOAT_ROUNDING;

	space->width = width;
	space->shrink = shrink;
	space->factor = pass->info->metric == VK_METRIC_IP ? 1 : 2;
	space->product_error = roundings / (1 - roundings);
	space->product_underflow = width * FLOAT_UNDERFLOW;
	space->product_queries = Max(1, Min(pass->nqueries,
										(int) (product_bytes / sizeof(float) / capacity)));
	space->products = palloc_extended(sizeof(float) * space->product_queries * capacity,
									  MCXT_ALLOC_HUGE);
	space->norms = palloc(sizeof(float) * capacity);
	space->offsets = palloc(sizeof(float) * capacity);
	space->values = palloc(sizeof(float) * capacity);
	space->selected = palloc(sizeof(int) * capacity);
	space->bounds = palloc_extended(sizeof(VkBatchBound) * pass->nqueries,
									MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	space->queries.count = pass->nqueries;
	space->ready = true;
}

static void
finish_bound(VkBatchBound *bound, const float *point, int width)
{
	bound->square = point_square(point, width);
	bound->norm = sqrt(bound->square);
	bound->usable = bound->sketch.usable && bound->square <= MAX_SQUARE;
}

/* The distance of consecutive query vectors in floats, if they are points where they lie. */
static int
query_stride(const Pass *pass)
{
	int64		stride = 0;

	if (!elements_are_points(pass->info))
		return 0;
	for (int i = 1; i < pass->nqueries; i++)
	{
		int64		bytes = (const char *) pass->queries[i]->value -
		(const char *) pass->queries[i - 1]->value;

		if (bytes % (int64) sizeof(float) != 0 || bytes < (int64) VK_VECTOR_SIZE(pass->info->dim) ||
			bytes > PG_INT16_MAX * (int64) sizeof(float) || (stride != 0 && bytes != stride))
			return 0;
		stride = bytes;
	}
	return (int) (stride / (int64) sizeof(float));
}

static void
prepare_raw(Pass *pass)
{
	Space	   *space = &pass->raw;
	const VkIndexInfo *info = pass->info;
	int			capacity = pass->sink.raw.capacity;
	int			stride;
	float	   *copies = NULL;

	if (space->ready)
		return;
	prepare_space(pass, space, info->dim, 1, capacity);
	space->no_errors = palloc(sizeof(float) * capacity);
	if (!elements_are_points(info))
		space->points = palloc_extended(sizeof(float) * info->dim * capacity, MCXT_ALLOC_HUGE);
	stride = query_stride(pass);
	space->queries.stride = stride > 0 ? stride : info->dim;
	if (stride == 0)
		copies = palloc_extended(sizeof(float) * info->dim * (Size) pass->nqueries,
								 MCXT_ALLOC_HUGE);
	space->queries.data = copies != NULL ? copies : query_elements(pass->queries[0]);
	for (int i = 0; i < pass->nqueries; i++)
	{
		VkBatchBound *bound = &space->bounds[i];

		bound->sketch.usable = copies == NULL ||
			make_point(info, query_elements(pass->queries[i]), copies + (Size) i * info->dim);
		bound->sketch.error = point_error(info);
		finish_bound(bound, space->queries.data + (Size) i * space->queries.stride, info->dim);
		if (info->metric == VK_METRIC_IP)
			bound->sketch.of_norm = bound->norm * (pass->ops->float_error(info->dim) + 1e-9);
	}
}

static void
prepare_sketch(Pass *pass)
{
	Space	   *space = &pass->sketch;
	VkSketchRows *rows = &pass->sink.sketches;
	float	   *points;

	if (space->ready)
		return;
	prepare_space(pass, space, rows->width, rows->shrink, rows->capacity);
	pass->row = palloc(pass->info->row_bytes);
	points = palloc_extended(sizeof(float) * rows->width * (Size) pass->nqueries,
							 MCXT_ALLOC_HUGE);
	space->queries.data = points;
	space->queries.stride = rows->width;
	for (int i = 0; i < pass->nqueries; i++, points += rows->width)
	{
		VkBatchBound *bound = &space->bounds[i];

		pass->ops->query(pass->index, rows, query_elements(pass->queries[i]),
						 points, &bound->sketch);
		finish_bound(bound, points, rows->width);
	}
}

/* ------------------------------------------------------------------------
 * Bounds: see README.md
 * ------------------------------------------------------------------------ */

/* Norms and offsets of the block's rows. */
static void
measure_rows(Pass *pass, Space *space, const float *points, const float *errors, int count)
{
	bool		is_ip = pass->info->metric == VK_METRIC_IP;

	for (int i = 0; i < count; i++)
	{
		double		square = point_square(points + (Size) i * space->width, space->width);
		double		error = (double) errors[i] * errors[i] / space->shrink;

		if (square <= MAX_SQUARE)
		{
			space->norms[i] = (float) (sqrt(square) * (1 + 2 * FLOAT_ROUNDING));
			space->offsets[i] = is_ip ? 0 :
				(float) (square - error - (square + error) * FILTER_ROUNDING);
		}
		else
		{
			/* nothing is known: the value becomes infinite, or NaN */
			space->norms[i] = INFINITY;
			space->offsets[i] = 0;
		}
	}
}

/* What excludes rows from the k best of a query whose k-th is at threshold. */
static void
make_filter(const Pass *pass, const Space *space, const VkBatchBound *bound, double threshold,
			VkFilter *filter)
{
	const VkSketchQuery *sketch = &bound->sketch;
	double		prune = pass->ops->prune_limit(pass->info, threshold);
	double		of_norm = space->product_error * bound->norm * space->factor +
	FILTER_ROUNDING * bound->norm;
	double		of_error;
	double		limit;

	if (!bound->usable || isinf(threshold))
	{
		filter->of_norm = filter->of_error = 0;
		filter->limit = -INFINITY;
		return;
	}
	if (pass->info->metric == VK_METRIC_IP)
	{
		of_norm += sketch->of_norm;
		of_error = sketch->of_error;
		limit = -prune - sketch->constant -
			(fabs(prune) + fabs(sketch->constant)) * FILTER_ROUNDING;
	}
	else
	{
		double		reach = prune + sketch->error;

		of_error = 2 * reach / space->shrink;
		limit = bound->square - reach * reach / space->shrink;
		limit -= (bound->square + reach * reach) * FILTER_ROUNDING;
	}
	limit -= 2 * space->factor * space->product_underflow + FLOAT_UNDERFLOW;
	filter->of_norm = (float) (of_norm * (1 + FILTER_ROUNDING)) + FLT_MIN;
	filter->of_error = (float) (of_error * (1 + FILTER_ROUNDING)) + FLT_MIN;
	filter->limit = (float) (limit - fabs(limit) * FILTER_ROUNDING);
}

/* ------------------------------------------------------------------------
 * Comparing
 * ------------------------------------------------------------------------ */

static void
compare_row(Pass *pass, VkBatchQuery *query, const Space *space, int i)
{
	const char *elements;
	uint64		tid;

	if (space == &pass->raw)
	{
		elements = pass->sink.raw.elements + (Size) i * pass->info->row_bytes;
		tid = pass->sink.raw.tids[i];
	}
	else
	{
		elements = pass->row;
		tid = pass->sink.sketches.tids[i];
		if (!pass->ops->fetch(pass->index, &pass->sink.sketches.places[i], tid,
							  pass->row))
			return;
		vk_last_scan.survivors++;
	}
	vk_last_scan.rows++;
	vk_topk_push(&query->topk,
				 pass->distance(query_elements(query), elements, pass->info->dim), tid);
}

static int
compare_values(const void *a, const void *b, void *arg)
{
	const float *values = arg;
	float		left = values[*(const int *) a];
	float		right = values[*(const int *) b];

	return left > right ? -1 : left < right;
}

/*
 * The most promising rows of a block for a query that has not k candidates
 * yet: they make a threshold for the others.  Marks them in values, as excluded.
 */
static void
seed_query(Pass *pass, Space *space, VkBatchQuery *query, const float *products,
		   const float *errors, int count, float *marks)
{
	VkFilter	plain = {0, 0, 0};
	int			wanted = (int) Min(count, SEED_SHARE * query->topk.capacity);
	float		least;

	vk_filter_values(products, space->norms, errors, space->offsets, &plain, count,
					 space->values);
	least = vk_filter_greatest(space->values, count, wanted);
	vk_filter_values(products, space->norms, errors, space->offsets, &plain, count,
					 space->values);
	for (int i = 0; i < count && wanted > 0; i++)
	{
		if (space->values[i] < least)
			continue;
		compare_row(pass, query, space, i);
		marks[i] = 1;
		wanted--;
	}
}

static void
search_query(Pass *pass, Space *space, int number, const float *products, const float *errors,
			 int count)
{
	VkBatchQuery *query = pass->queries[number];
	const VkBatchBound *bound = &space->bounds[number];
	VkFilter	filter;
	float	   *marks = NULL;
	double		threshold;
	int			nselected;

	if (query->topk.count < query->topk.capacity)
	{
		marks = palloc0(sizeof(float) * count);
		seed_query(pass, space, query, products, errors, count, marks);
	}
	threshold = query->topk.threshold;
	make_filter(pass, space, bound, threshold, &filter);
	nselected = vk_filter_select(products, space->norms, errors, space->offsets, &filter, count,
								 space->values, space->selected);
	if (nselected > 1 && space == &pass->sketch)
		qsort_arg(space->selected, nselected, sizeof(int), compare_values, space->values);
	for (int i = 0; i < nselected; i++)
	{
		int			row = space->selected[i];

		if (marks != NULL && marks[row] != 0)
			continue;
		/* values made without a threshold cannot be compared with one */
		if (query->topk.threshold < threshold && !isinf(threshold))
		{
			threshold = query->topk.threshold;
			make_filter(pass, space, bound, threshold, &filter);
		}
		/* values of a larger threshold are not below those of a smaller one */
		if (space->values[row] < filter.limit)
			continue;
		compare_row(pass, query, space, row);
	}
	if (marks != NULL)
		pfree(marks);
}

/* Compares a block of rows with all queries. */
static void
search_block(Pass *pass, Space *space, const float *points, const float *errors, int count)
{
	VkBlasMatrix rows = {points, count, space->width};

	measure_rows(pass, space, points, errors, count);
	for (int first = 0; first < pass->nqueries; first += space->product_queries)
	{
		VkBlasMatrix queries = space->queries;

		queries.data += (Size) first * queries.stride;
		queries.count = Min(space->product_queries, pass->nqueries - first);
		CHECK_FOR_INTERRUPTS();
		pass->multiply(&queries, &rows, space->width, space->factor, space->products);
		for (int i = 0; i < queries.count; i++)
		{
			CHECK_FOR_INTERRUPTS();
			search_query(pass, space, first + i, space->products + (Size) i * count, errors,
						 count);
		}
	}
}

static void
flush_raw(VkRowSink *sink)
{
	Pass	   *pass = (Pass *) sink;
	VkRawRows  *rows = &sink->raw;
	Space	   *space = &pass->raw;
	const float *points = (const float *) rows->elements;

	if (rows->count == 0)
		return;
	prepare_raw(pass);
	for (int i = 0; i < rows->count; i++)
		space->no_errors[i] = (float) point_error(pass->info);
	if (space->points != NULL)
	{
		points = space->points;
		for (int i = 0; i < rows->count; i++)
		{
			float	   *point = space->points + (Size) i * pass->info->dim;

			if (!make_point(pass->info, rows->elements + (Size) i * pass->info->row_bytes, point))
				space->no_errors[i] = INFINITY;
		}
	}
	search_block(pass, space, points, space->no_errors, rows->count);
	rows->count = 0;
}

static void
flush_sketches(VkRowSink *sink)
{
	Pass	   *pass = (Pass *) sink;
	VkSketchRows *rows = &sink->sketches;

	if (rows->count == 0)
		return;
	prepare_sketch(pass);
	search_block(pass, &pass->sketch, rows->points, rows->errors, rows->count);
	vk_last_scan.codes += rows->count;
	rows->count = 0;
}

/* ------------------------------------------------------------------------
 * The pass
 * ------------------------------------------------------------------------ */

static void
prepare_sink(Pass *pass)
{
	VkRawRows  *raw = &pass->sink.raw;
	VkSketchRows *sketches = &pass->sink.sketches;
	int			row_bytes = pass->info->row_bytes;
	Size		raw_bytes = row_bytes + sizeof(uint64) + 5 * sizeof(float);
	Size		sketch_bytes;

	pass->ops->describe(pass->index, sketches);
	if (!elements_are_points(pass->info))
		raw_bytes += pass->info->dim * sizeof(float);
	raw->capacity = Max(VK_RAW_ROWS_MIN(row_bytes),
						Min(MAX_BLOCK_ROWS, (int) (block_bytes() / raw_bytes)));
	raw->tids = palloc(sizeof(uint64) * raw->capacity);
	raw->elements = palloc_extended((Size) raw->capacity * row_bytes, MCXT_ALLOC_HUGE);
	if (sketches->width > 0)
	{
		sketch_bytes = sketches->width * sizeof(float) + sizeof(uint64) + sizeof(VkRowPlace) +
			5 * sizeof(float);
		sketches->capacity = Max(VK_SKETCH_ROWS_MIN,
								 Min(MAX_BLOCK_ROWS, (int) (block_bytes() / sketch_bytes)));
		sketches->tids = palloc(sizeof(uint64) * sketches->capacity);
		sketches->errors = palloc(sizeof(float) * sketches->capacity);
		sketches->places = palloc(sizeof(VkRowPlace) * sketches->capacity);
		sketches->points = palloc_extended(sizeof(float) * sketches->width * sketches->capacity,
										   MCXT_ALLOC_HUGE);
	}
	pass->sink.flush_raw = flush_raw;
	pass->sink.flush_sketches = flush_sketches;
}

/*
 * Fills topk of each query with its k best rows, and all_found.  Dead and
 * invisible rows are among them.  Results live in the current context.
 */
void
vk_batch_pass(VkIndex *index, ScanKey keys, int nkeys, VkBatchQuery **queries, int nqueries,
			  int64 k)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "vektonn batch",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	Pass	   *pass;

	for (int i = 0; i < nqueries; i++)
		vk_topk_init(&queries[i]->topk, k, NULL);
	old = MemoryContextSwitchTo(context);
	pass = palloc0(sizeof(Pass));
	pass->index = index;
	pass->info = &index->info;
	pass->ops = index->store->batch;
	pass->distance = vk_dense_distance(index->info.elem, index->info.metric);
	pass->multiply = vk_batch_products();
	pass->queries = queries;
	pass->nqueries = nqueries;
	prepare_sink(pass);
	vk_read_rows(index, keys, nkeys, &pass->sink);
	flush_raw(&pass->sink);
	flush_sketches(&pass->sink);
	for (int i = 0; i < nqueries; i++)
	{
		queries[i]->all_found = queries[i]->topk.count < k;
		vk_topk_finish(&queries[i]->topk);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
