/*-------------------------------------------------------------------------
 *
 * graph_test.c
 *	  Graph kernels against the portable ones, and graphs in memory against
 *	  brute force.
 *
 * LINKS: src/am/graph/graph_layout.o src/am/graph/graph_code.o src/am/graph/graph_kernel_portable.o src/am/graph/graph_kernel_avx2.o src/am/graph/graph_kernel_avx512.o src/am/graph/graph_kernel_neon.o src/am/graph/graph_set.o src/am/graph/graph_space.o src/am/graph/graph_sparse.o src/am/graph/graph_search.o src/am/graph/graph_mem.o src/am/graph/graph_batch.o src/distance/kernel_portable.o src/distance/kernel_avx2.o src/distance/kernel_avx512.o src/distance/kernel_avx512vnni.o src/distance/kernel_neon.o src/distance/kernel_sparse.o src/distance/kernel_choose.o src/distance/metric.o src/distance/wide.o
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <time.h>

#include "am/graph/graph_batch.h"
#include "am/graph/graph_mem.h"
#include "am/graph/graph_page.h"
#include "distance/kernel.h"
#include "types/elem.h"
#include "types/types.h"

static int	failures = 0;
static uint64 state = 42;

#define CHECK(condition, ...) \
	do { \
		if (!(condition)) \
		{ \
			failures++; \
			printf("FAILED %s:%d: ", __FILE__, __LINE__); \
			printf(__VA_ARGS__); \
			printf("\n"); \
		} \
	} while (0)

static double
uniform(void)
{
	state = state * UINT64CONST(6364136223846793005) + UINT64CONST(1442695040888963407);
	return (double) (state >> 11) / (double) (UINT64CONST(1) << 53);
}

static float
normal(void)
{
	return (float) (sqrt(-2 * log(uniform() + 1e-300)) * cos(6.283185307179586 * uniform()));
}

static const VkGraphKernels *
usable_kernels(int i)
{
#ifdef __x86_64__
	if (i == 1)
		return vk_kernels_get(VK_KERNEL_AVX2) ? &vk_graph_kernels_avx2 : NULL;
	if (i == 2)
		return vk_kernels_get(VK_KERNEL_AVX512) ? &vk_graph_kernels_avx512 : NULL;
#endif
#ifdef __aarch64__
	if (i == 1)
		return &vk_graph_kernels_neon;
#endif
	return NULL;
}

/* Every kernel, bit for bit. */
static void
test_kernels(int dim)
{
	const VkGraphKernels *oracle = &vk_graph_kernels_portable;
	VkGraphLayout lay;
	VkRotation	rotation;
	float	   *x = palloc(sizeof(float) * (dim + 64));
	float	   *y = palloc(sizeof(float) * (dim + 64));
	double		before = 0;
	double		after = 0;

	vk_graph_layout_init(&lay, VK_ELEM_FLOAT4, VK_METRIC_L2, dim, 16, VK_GRAPH_PAGE_BYTES);
	vk_rotation_init(&rotation, lay.nav_dim, 7, palloc(VK_ROTATION_SIZE(lay.nav_dim)));
	x = palloc(sizeof(float) * lay.nav_dim);
	y = palloc(sizeof(float) * lay.nav_dim);
	for (int i = 0; i < lay.nav_dim; i++)
	{
		x[i] = i < dim ? normal() : 0;
		before += (double) x[i] * x[i];
	}
	memcpy(y, x, sizeof(float) * lay.nav_dim);
	oracle->rotate(&rotation, x);
	for (int i = 0; i < lay.nav_dim; i++)
		after += (double) x[i] * x[i];
	CHECK(fabs(before - after) < 1e-4 * before, "dim %d: rotation keeps the norm: %g %g", dim, before, after);

	for (int i = 1; i <= 2; i++)
	{
		const VkGraphKernels *kernels = usable_kernels(i);
		uint8	   *tables[2];
		VkCodeTable table[2];
		char	   *rec = (char *) TYPEALIGN(64, (uintptr_t) palloc0(lay.slot_size + 64));
		float	   *z = palloc(sizeof(float) * lay.nav_dim);
		float		est[2][VK_EDGE_GROUP];
		uint32		below[2];

		if (kernels == NULL)
			continue;
		memcpy(z, y, sizeof(float) * lay.nav_dim);
		kernels->rotate(&rotation, z);
		CHECK(memcmp(x, z, sizeof(float) * lay.nav_dim) == 0, "dim %d %s: rotate", dim, kernels->name);

		for (int t = 0; t < 2; t++)
		{
			tables[t] = (uint8 *) TYPEALIGN(64, (uintptr_t) palloc(lay.code_dim * 4 + 64));
			vk_code_table_build(t ? kernels : oracle, &table[t], x, lay.code_dim, lay.planes, tables[t]);
		}
		CHECK(memcmp(tables[0], tables[1], lay.code_dim * 4) == 0, "dim %d %s: tables", dim, kernels->name);

		for (int e = 0; e < lay.max_edges; e++)
		{
			VkEdgeCode	code[3] = {0};

			for (int j = 0; j < lay.nav_dim; j++)
				z[j] = normal();
			vk_edge_encode(oracle, &lay, y, z, &code[0]);
			vk_edge_encode(kernels, &lay, y, z, &code[1]);
			CHECK(memcmp(&code[0], &code[1], sizeof(code[0])) == 0, "dim %d %s: encode", dim, kernels->name);
			vk_edge_put(&lay, rec, e, e, 0, &code[0]);
			vk_edge_get(&lay, rec, e, &code[2]);
			CHECK(memcmp(&code[0], &code[2], sizeof(code[0])) == 0, "dim %d: put and get", dim);
		}
		for (int t = 0; t < 2; t++)
			below[t] = (t ? kernels : oracle)->estimate(&table[t], VK_EDGE_CODES(&lay, rec, 0),
														VK_EDGE_BIAS(&lay, rec), VK_EDGE_SCALE(&lay, rec),
														1.5f, dim * 2.0f, est[t]);
		CHECK(below[0] == below[1], "dim %d %s: mask %x %x", dim, kernels->name, below[0], below[1]);
		CHECK(memcmp(est[0], est[1], sizeof(est[0])) == 0, "dim %d %s: estimates", dim, kernels->name);
	}
}

/* Estimates of distances are unbiased and about as near as 1/sqrt(dim), by two bits half that. */
static void
test_estimates(int dim, VkMetric metric)
{
	VkGraphLayout lay;
	VkSpace		space;
	char	   *rec;
	float	   *points = palloc(sizeof(float) * dim * (VK_EDGE_GROUP + 2));
	float	   *rotated[VK_EDGE_GROUP + 2];
	uint8	   *tables;
	VkCodeTable table;
	float		est[VK_EDGE_GROUP];
	double		error = 0;
	double		bias = 0;
	double		bound;

	vk_graph_layout_init(&lay, VK_ELEM_FLOAT4, metric, dim, 16, VK_GRAPH_PAGE_BYTES);
	vk_space_init(&space, &lay, 99);
	rec = (char *) TYPEALIGN(64, (uintptr_t) palloc0(lay.slot_size + 64));
	tables = (uint8 *) TYPEALIGN(64, (uintptr_t) palloc(lay.code_dim * 4 + 64));
	for (int i = 0; i < VK_EDGE_GROUP + 2; i++)
	{
		VkPoint		point = {(char *) (points + i * dim), 0};

		for (int j = 0; j < dim; j++)
			points[i * dim + j] = i == 1 ? points[j] + 0.5f * normal() : normal();
		point.norm2 = vk_space_norm2(&space, point.data);
		rotated[i] = palloc(sizeof(float) * lay.nav_dim);
		vk_space_rotate(&space, &point, rotated[i]);
	}
	for (int e = 0; e < VK_EDGE_GROUP; e++)
	{
		VkEdgeCode	code;

		vk_edge_encode(space.codes, &lay, rotated[0], rotated[e + 2], &code);
		vk_edge_put(&lay, rec, e, e, 0, &code);
	}
	vk_code_table_build(space.codes, &table, rotated[1], lay.code_dim, lay.planes, tables);
	{
		VkPoint		query = {(char *) (points + dim), 0};
		VkPoint		owner = {(char *) points, 0};

		const float *biases = VK_EDGE_BIAS(&lay, rec);
		float		scaled[VK_EDGE_GROUP];
		float		nav;

		query.norm2 = vk_space_norm2(&space, query.data);
		owner.norm2 = vk_space_norm2(&space, owner.data);
		nav = vk_space_measure(&space, &query, &owner, NULL);
		if (vk_codes_inner(&lay))
			biases = vk_inner_bias(&lay, biases, nav, owner.norm2, scaled);
		space.codes->estimate(&table, VK_EDGE_CODES(&lay, rec, 0), biases,
							  VK_EDGE_SCALE(&lay, rec), nav, INFINITY, est);
		for (int e = 0; e < VK_EDGE_GROUP; e++)
		{
			VkPoint		nbr = {(char *) (points + (e + 2) * dim), 0};
			float		exact;
			double		unit;

			nbr.norm2 = vk_space_norm2(&space, nbr.data);
			exact = vk_space_measure(&space, &query, &nbr, NULL);
			unit = metric == VK_METRIC_IP ? sqrt(query.norm2 * nbr.norm2) : exact;
			error += fabs(est[e] - exact) / unit / VK_EDGE_GROUP;
			bias += (est[e] - exact) / unit / VK_EDGE_GROUP;
		}
	}

	/*
	 * codes of some dimensions only have the error of the projection as well,
	 * which is that of the query
	 */
	bound = (lay.code_dim < lay.nav_dim ? 3.5 : lay.planes == 1 ? 1.6 : 0.8) / sqrt(lay.code_dim);

	/*
	 * of an inner product, only what is across the owner is estimated: half
	 * of the query
	 */
	if (vk_codes_inner(&lay) && lay.code_dim == lay.nav_dim)
		bound *= 0.4;
	CHECK(error < bound, "dim %d metric %d: mean error %g", dim, metric, error);
	CHECK(fabs(bias) < bound * 1.25, "dim %d metric %d: bias %g", dim, metric, bias);
}

typedef enum
{
	DATA_NORMAL, DATA_CLUSTERED, DATA_SKEWED
} DataShape;

/* Points with an inner dimension of at most 12, as real data has. */
static char *
make_points(const VkSpace *space, int count, DataShape shape, uint32 *sizes, char **all)
{
	int			dim = space->lay.elem == VK_ELEM_SPARSE ? 0 : space->lay.dim;
	int			inner = Min(dim, 12);
	float	   *basis = palloc(sizeof(float) * Max(inner * dim, 1));
	float		clusters[20][12];

	for (int i = 0; i < inner * dim; i++)
		basis[i] = normal();
	for (int i = 0; i < 20 * 12; i++)
		clusters[i / 12][i % 12] = normal() * 4;
	for (int p = 0; p < count; p++)
	{
		if (space->lay.elem == VK_ELEM_SPARSE)
		{
			int			nnz = 5 + (int) (uniform() * 60);
			int32	   *out = palloc(4 + 8 * nnz);
			int			index = 0;
			int			topic = (int) (uniform() * 20) * 50;
			float	   *values;

			for (int i = 0; i < nnz; i++)
			{
				index += 1 + (int) (uniform() * uniform() * (i < nnz / 2 ? 20 : 40));
				out[1 + i] = index + (i > nnz / 2 ? topic : 0);
			}
			out[0] = nnz;
			values = (float *) (out + 1 + nnz);
			for (int i = 0; i < nnz; i++)
				values[i] = (float) (uniform() * 3) + 0.1f;
			all[p] = (char *) out;
			sizes[p] = 4 + 8 * nnz;
			continue;
		}
		{
			float		latent[12];
			float	   *out = palloc(sizeof(float) * dim);
			float		norm = shape == DATA_SKEWED ? expf(normal()) : 1;
			float	   *cluster = clusters[(int) (uniform() * 20)];

			for (int i = 0; i < inner; i++)
				latent[i] = normal() + (shape == DATA_CLUSTERED ? cluster[i] : 0);
			for (int j = 0; j < dim; j++)
			{
				float		value = 0.1f * normal();

				for (int i = 0; i < inner; i++)
					value += latent[i] * basis[i * dim + j];
				out[j] = value * norm;
			}
			if (space->lay.elem == VK_ELEM_FLOAT2)
			{
				VkHalf	   *half = palloc(sizeof(VkHalf) * dim);

				for (int j = 0; j < dim; j++)
					half[j] = vk_float_to_half(out[j]);
				all[p] = (char *) half;
			}
			else
				all[p] = (char *) out;
			sizes[p] = vk_graph_dense_size(&space->lay);
		}
	}
	return NULL;
}

/*
 * Estimates of sparse vectors, as a search gets them: those of vectors that fit
 * a code are right but for rounding and a few whose hashes collide; others are
 * unbiased and near.
 */
static void
test_sparse_estimates(VkMetric metric, double bound)
{
	enum
	{
		POINTS = VK_EDGE_GROUP + 1
	};
	VkGraphLayout lay;
	VkSpace		space;
	VkGraphSearch search;
	uint32		sizes[POINTS];
	char	   *all[POINTS];
	VkPoint		points[POINTS];
	char	   *rec;
	double		error = 0;
	double		bias = 0;
	double		scale = 0;
	int			fitting = 0;
	int			wrong = 0;

	vk_graph_layout_init(&lay, VK_ELEM_SPARSE, metric, 1000, 16, VK_GRAPH_PAGE_BYTES);
	vk_space_init(&space, &lay, 31);
	vk_search_init(&search, &space);
	rec = palloc0(lay.slot_size);
	for (int repeat = 0; repeat < 20; repeat++)
	{
		make_points(&space, POINTS, DATA_NORMAL, sizes, all);
		for (int i = 0; i < POINTS; i++)
		{
			points[i].data = all[i];
			points[i].norm2 = vk_space_norm2(&space, all[i]);
		}
		for (int e = 0; e < VK_EDGE_GROUP; e++)
		{
			VkEdgeCode	code;

			vk_sparse_encode(&space, &points[e], &code);
			vk_edge_put(&lay, rec, e, e, 0, &code);
		}
		((VkGraphNode *) rec)->nedges = VK_EDGE_GROUP;
		vk_search_set(&search, &points[VK_EDGE_GROUP]);
		vk_search_begin(&search, VK_EDGE_GROUP);
		vk_search_expand(&search, rec, 0, VK_EDGE_GROUP);
		CHECK(search.nbeam == VK_EDGE_GROUP, "metric %d: %d of the edges in the beam", metric, search.nbeam);
		for (int i = 0; i < search.nbeam; i++)
		{
			uint32		e = (uint32) search.beam[i] >> 1;
			float		estimate = vk_beam_dist(search.beam[i]);
			float		exact = vk_space_measure(&space, &points[VK_EDGE_GROUP], &points[e], NULL);
			double		size = lay.ip ? sqrt(points[e].norm2 * points[VK_EDGE_GROUP].norm2) :
			metric == VK_METRIC_COSINE || metric == VK_METRIC_JACCARD ? 1 :
			points[e].norm2 + points[VK_EDGE_GROUP].norm2;

			if (vk_point_sparse(&points[e]).nnz <= VK_SPARSE_TERMS && metric != VK_METRIC_JACCARD)
			{
				fitting++;
				wrong += fabs(estimate - exact) > 0.01 * size;
			}
			error += fabs(estimate - exact);
			bias += estimate - exact;
			scale += size;
		}
	}
	CHECK(wrong * 20 <= fitting, "metric %d: %d of %d estimates of short vectors", metric, wrong, fitting);
	CHECK(error < bound * scale, "metric %d: mean error %g", metric, error / scale);
	CHECK(fabs(bias) < bound / 2 * scale, "metric %d: bias %g", metric, bias / scale);
}

static int
compare_double(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y;
}

static double
test_recall(VkElem elem, VkMetric metric, int dim, int count, DataShape shape, int ef, double wanted)
{
	enum
	{
		QUERIES = 50, K = 10
	};
	VkGraphLayout lay;
	VkSpace    *space = palloc(sizeof(VkSpace));
	VkMemGraph *graph = palloc(sizeof(VkMemGraph));
	char	  **all = palloc(sizeof(char *) * (count + QUERIES));
	uint32	   *sizes = palloc(sizeof(uint32) * (count + QUERIES));
	double	   *exact = palloc(sizeof(double) * count);
	int			hits = 0;
	int			returned = 0;
	int64		hops;
	clock_t		start;
	double		build_time;
	double		recall;

	vk_graph_layout_init(&lay, elem, metric, dim, 16, VK_GRAPH_PAGE_BYTES);
	vk_space_init(space, &lay, 5);
	vk_mem_init(graph, space);
	make_points(space, count + QUERIES, shape, sizes, all);
	start = clock();
	for (int i = 0; i < count; i++)
	{
		ItemPointerData tid;

		ItemPointerSet(&tid, i / 100, i % 100 + 1);
		CHECK(vk_mem_insert(graph, all[i], sizes[i], &tid, 100), "insert");
	}
	build_time = (double) (clock() - start) / CLOCKS_PER_SEC;
	hops = graph->search.hops;
	for (int q = 0; q < QUERIES; q++)
	{
		VkPoint		query = {all[count + q], vk_space_norm2(space, all[count + q])};
		double		limit;
		int			found = 0;

		for (int i = 0; i < count; i++)
		{
			VkPoint		point = {all[i], vk_space_norm2(space, all[i])};

			vk_space_measure(space, &query, &point, &exact[i]);
		}
		qsort(exact, count, sizeof(double), compare_double);
		limit = exact[Min(K, count) - 1];
		vk_mem_search(graph, &query, ef);
		returned += graph->search.nvisited;
		for (int i = 0; i < graph->search.nvisited; i++)
			found += graph->search.visited[i].rank <= limit;
		hits += Min(found, K);
	}
	recall = (double) hits / (QUERIES * Min(K, count));
	printf("elem %d metric %d dim %d shape %d: recall %.3f, %d visited, %.3f ms/insert, "
		   "slot %d x %d code %d\n",
		   elem, metric, dim, shape, recall, returned / QUERIES, build_time / count * 1e3,
		   lay.slot_size, lay.slots_per_page, lay.code_dim);
	CHECK(recall >= wanted, "elem %d metric %d dim %d shape %d: recall %.3f < %.3f, %d visited",
		  elem, metric, dim, shape, recall, wanted, returned / QUERIES);
	(void) hops;
	return recall;
}

static double
mean_step(const VkGraphBatch *batch)
{
	double		sum = 0;

	for (int i = 1; i < batch->nrows; i++)
		sum += batch->space->dense.l2_squared(batch->rows[i - 1]->data, batch->rows[i]->data,
											  batch->space->lay.dim);
	return sum / (batch->nrows - 1);
}

/* A batch takes rows until it is full; sorted, it has each of them, and each near the one before. */
static void
test_batch(int count, Size bytes, DataShape shape)
{
	VkGraphLayout lay;
	VkSpace    *space = palloc(sizeof(VkSpace));
	VkGraphBatch *batch = palloc(sizeof(VkGraphBatch));
	VkVector   *value = palloc0(sizeof(VkVector) + 128 * sizeof(float));
	char	  **all = palloc(sizeof(char *) * count);
	uint32	   *sizes = palloc(sizeof(uint32) * count);
	int		   *times = palloc0(sizeof(int) * count);
	double		before;

	vk_graph_layout_init(&lay, VK_ELEM_FLOAT4, VK_METRIC_L2, 128, 16, VK_GRAPH_PAGE_BYTES);
	vk_space_init(space, &lay, 5);
	vk_batch_init(batch, space, bytes);
	make_points(space, count, shape, sizes, all);
	for (int i = 0; i < count; i++)
	{
		ItemPointerData tid;

		ItemPointerSet(&tid, i / 100, i % 100 + 1);
		value->dim = 128;
		memcpy(value->x, all[i], sizes[i]);
		if (!vk_batch_add(batch, &tid, (struct varlena *) value))
			break;
	}
	CHECK(batch->nrows == Min(Min(count, VK_BATCH_ROWS),
							  (int) (bytes / MAXALIGN(offsetof(VkBatchRow, data) + sizes[0]))),
		  "%d rows of %d in %zu bytes", batch->nrows, count, bytes);
	before = mean_step(batch);
	vk_batch_sort(batch);
	CHECK(mean_step(batch) < before * 0.8, "%d rows: steps of %.1f, before %.1f", batch->nrows,
		  mean_step(batch), before);
	for (int i = 0; i < batch->nrows; i++)
	{
		VkBatchRow *row = batch->rows[i];
		int			number = ItemPointerGetBlockNumberNoCheck(&row->tid) * 100 +
		ItemPointerGetOffsetNumberNoCheck(&row->tid) - 1;

		times[number]++;
		CHECK(memcmp(row->data, all[number], sizes[number]) == 0, "row %d", number);
	}
	for (int i = 0; i < batch->nrows; i++)
		CHECK(times[i] == 1, "row %d comes %d times", i, times[i]);
}

int
main(void)
{
	static const int dims[] = {1, 2, 3, 64, 100, 128, 256, 288, 384, 784, 1000, 1536, 4096, 16000};

	vk_kernels = vk_kernels_get(VK_KERNEL_AUTO);
	for (int i = 0; i < (int) lengthof(dims); i++)
	{
		test_kernels(dims[i]);
		if (dims[i] >= VK_NAV_MIN_DIM)
		{
			test_estimates(dims[i], VK_METRIC_L2);
			test_estimates(dims[i], VK_METRIC_IP);
			test_estimates(dims[i], VK_METRIC_COSINE);
		}
	}
	for (int dim = 1; dim <= 16000; dim += dim < 300 ? 1 : 37)
	{
		for (int m = 2; m <= 100; m += 7)
		{
			VkGraphLayout lay;

			for (int elem = 0; elem < 3; elem++)
			{
				vk_graph_layout_init(&lay, elem, VK_METRIC_L2, dim, m, VK_GRAPH_PAGE_BYTES);
				CHECK(lay.slot_size * lay.slots_per_page <= VK_GRAPH_PAGE_BYTES && lay.slots_per_page >= 1 &&
					  lay.code_dim >= 32 && lay.max_edges >= 32 && lay.forward >= 1 && lay.payload_inline >= 0,
					  "layout of dim %d, m %d", dim, m);
			}
		}
	}
	for (int metric = VK_METRIC_L2; metric <= VK_METRIC_L1; metric++)
	{
		test_sparse_estimates(metric, 0.018);
		for (int elem = 0; elem < 2; elem++)
			test_recall(elem, metric, 128, 1200, DATA_NORMAL, metric == VK_METRIC_L1 ? 60 : 40, 0.95);
		test_recall(VK_ELEM_SPARSE, metric, 1000, 1000, DATA_NORMAL, 100, 0.95);
	}
	test_sparse_estimates(VK_METRIC_JACCARD, 0.1);
	test_recall(VK_ELEM_SPARSE, VK_METRIC_JACCARD, 1000, 1000, DATA_NORMAL, 100, 0.9);
	test_recall(VK_ELEM_FLOAT4, VK_METRIC_L2, 100, 2000, DATA_CLUSTERED, 40, 0.95);
	test_recall(VK_ELEM_FLOAT4, VK_METRIC_IP, 100, 2000, DATA_SKEWED, 80, 0.9);
	for (int i = 0; i < (int) lengthof(dims); i++)
		test_recall(VK_ELEM_FLOAT4, VK_METRIC_L2, dims[i], dims[i] > 1000 ? 200 : 800, DATA_NORMAL, 40, 0.95);
	test_batch(20, 1024 * 1024, DATA_CLUSTERED);
	test_batch(2000, 1024 * 1024, DATA_CLUSTERED);
	test_batch(5000, 16 * 1024 * 1024, DATA_CLUSTERED);
	test_batch(5000, 16 * 1024 * 1024, DATA_NORMAL);
	printf("graph_test: %s\n", failures ? "FAILED" : "ok");
	return failures != 0;
}
