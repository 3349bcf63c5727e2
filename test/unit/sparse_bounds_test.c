/*
 * sparse_bounds_test.c: the inverted index never loses a near document
 *
 * - for every metric, on ordinary and adversarial data (negative weights, huge
 *   and tiny values, duplicates, empty vectors, no overlap, one-hot): a
 *   document's score bound, summed from quantised postings by each kernel,
 *   reaches the cut of the document's own computed distance;
 * - a partial sum plus the greatest contributions of the terms not yet added
 *   does so too;
 * - on ordinary data the bounds are tight enough to leave few documents;
 * - ranks, selections and the mark of documents without postings agree with
 *   plain loops.
 *
 * LINKS: src/am/sparse/sparse_query.o src/am/sparse/sparse_kernel.o
 * LINKS: src/distance/metric.o src/distance/kernel_portable.o src/distance/kernel_sparse.o src/distance/wide.o
 */
#include "postgres.h"

#include "am/sparse/sparse_kernel.h"
#include "check.h"
#include "distance/kernel.h"

#define HOLDS(condition) CHECK(condition, "does not hold")

#define DOCUMENTS		700
#define QUERIES			40
#define DIMENSIONS		120
#define MAX_ELEMENTS	60

const VkKernels *vk_kernels = &vk_kernels_portable;

typedef enum Data
{
	DATA_TEXT, DATA_SIGNED, DATA_WIDE, DATA_EXTREME, DATA_DUPLICATES,
	DATA_ONE_HOT, NUM_DATA
} Data;

typedef struct Document
{
	VkSparse	vec;
	int32		indices[MAX_ELEMENTS];
	float		values[MAX_ELEMENTS];
} Document;

typedef struct Postings
{
	int			count;
	float		least;
	float		most;
	float		step;
	uint16		offsets[DOCUMENTS];
	float		weights[DOCUMENTS];
	uint8		codes[DOCUMENTS];
} Postings;

static Document documents[DOCUMENTS + QUERIES];
static Postings lists[DIMENSIONS];
static float norms[DOCUMENTS];
static float scores[VK_SPARSE_SEGMENT_DOCS + VK_SPARSE_BLOCK];
static float maxima[VK_SPARSE_MAX_BLOCKS];

static double
uniform(void)
{
	return rand() / (RAND_MAX + 1.0);
}

static float
draw_value(Data data)
{
	float		sign = rand() % 2 ? 1 : -1;

	switch (data)
	{
		case DATA_SIGNED:
			return sign * (0.01 + uniform());
		case DATA_WIDE:
			return sign * exp(uniform() * 60 - 30);
		case DATA_EXTREME:
			return sign * exp(uniform() * 160 - 80);
		case DATA_ONE_HOT:
			return 1;
		default:
			return 0.1 + uniform();
	}
}

static void
draw_document(Data data, Document *document)
{
	int			most = data == DATA_ONE_HOT ? 1 : rand() % 20 == 0 ? 0 : MAX_ELEMENTS;
	int			nnz = 0;
	int			index = -1;

	while (nnz < most)
	{
		index += 1 + (int) (uniform() * uniform() * 20);
		if (data == DATA_ONE_HOT)
			index = rand() % DIMENSIONS;
		if (index >= DIMENSIONS)
			break;
		document->indices[nnz] = index;
		document->values[nnz++] = draw_value(data);
	}
	document->vec.indices = document->indices;
	document->vec.values = document->values;
	document->vec.nnz = nnz;
}

static void
draw_documents(Data data)
{
	for (int i = 0; i < DOCUMENTS + QUERIES; i++)
	{
		draw_document(data, &documents[i]);
		if (data == DATA_DUPLICATES && i >= 8)
		{
			documents[i] = documents[rand() % 8];
			documents[i].vec.indices = documents[i].indices;
			documents[i].vec.values = documents[i].values;
		}
	}
}

static void
build_lists(VkMetric metric)
{
	memset(lists, 0, sizeof(lists));
	for (int d = 0; d < DOCUMENTS; d++)
	{
		const VkSparse *vec = &documents[d].vec;
		double		scale = vk_sparse_weight_scale(metric, vec);

		norms[d] = 0;
		if (!vk_sparse_regular(metric, vec))
			continue;
		norms[d] = vk_sparse_document_norm(metric, vec);
		for (int i = 0; i < vec->nnz; i++)
		{
			Postings   *list = &lists[vec->indices[i]];
			float		weight = vec->values[i] * scale;

			if (list->count == 0 || weight < list->least)
				list->least = weight;
			if (list->count == 0 || weight > list->most)
				list->most = weight;
			list->weights[list->count] = weight;
			list->offsets[list->count++] = d;
		}
	}
	for (int t = 0; t < DIMENSIONS; t++)
	{
		Postings   *list = &lists[t];
		double		slack;

		list->step = vk_sparse_step(list->least, list->most);

		/*
		 * Doubles of very different size do not add up exactly; the cut
		 * allows for more.
		 */
		slack = 1e-15 * (fabs((double) list->least) + fabs((double) list->most));
		for (int i = 0; i < list->count; i++)
		{
			uint8		code = vk_sparse_code(list->least, list->step, list->weights[i]);

			HOLDS(list->least + (double) list->step * code <= list->weights[i] + slack);
			HOLDS(list->least + (double) list->step * (code + 1) >= list->weights[i] - slack);
			list->codes[i] = code;
		}
	}
}

/* Adds the lists of the first `terms` elements; returns what the others may add. */
static double
add_lists(const VkSparseKernel *kernel, const VkSparseQuery *query, int terms,
		  double *magnitude)
{
	double		rest = 0;

	*magnitude = 0;
	if (query->metric == VK_METRIC_L2 || query->metric == VK_METRIC_L1)
		vk_sparse_scores_norm(scores, 0, DOCUMENTS, norms, query->factor);
	else
		vk_sparse_scores_clear(scores, DOCUMENTS);
	for (int i = 0; i < query->vec.nnz; i++)
	{
		const Postings *list = &lists[query->vec.indices[i]];
		VkSparseTerm term;

		if (list->count == 0)
			continue;
		vk_sparse_term_bound(query, i, list->least, list->step, &term);
		*magnitude += term.magnitude;
		if (i >= terms)
			rest += term.most;
		else if (query->metric == VK_METRIC_JACCARD)
			vk_sparse_add_constant(scores, list->offsets, list->count, term.base);
		else if (query->metric == VK_METRIC_L1)
			kernel->add_limited(scores, list->offsets, list->codes, list->count, &term);
		else
			kernel->add(scores, list->offsets, list->codes, list->count, &term);
	}
	return rest;
}

static void
check_untouched(const VkSparseQuery *query)
{
	for (int d = 0; d < DOCUMENTS; d++)
	{
		bool		touched = vk_sparse_intersection(&query->vec, &documents[d].vec) > 0 &&
		vk_sparse_regular(query->metric, &documents[d].vec);

		HOLDS(vk_sparse_score_untouched(scores[d]) == !touched);
	}
}

/* Documents of the query whose bound reaches the cut of the 10th distance. */
static int
check_query(VkMetric metric, const VkSparse *vec, const VkSparseKernel *kernel)
{
	double		weights[MAX_ELEMENTS];
	double		nearest[10];
	double		magnitude;
	double		rest;
	VkSparseQuery query;
	int			reached = 0;
	int			filled = 0;

	vk_sparse_query_prepare(&query, metric, vec, weights);
	if (query.irregular)
		return 0;
	if (metric != VK_METRIC_JACCARD)
	{
		rest = add_lists(kernel, &query, vec->nnz / 2, &magnitude);
		for (int d = 0; d < DOCUMENTS; d++)
		{
			double		distance = vk_sparse_distance(metric) (vec, &documents[d].vec);

			if (vk_sparse_regular(metric, &documents[d].vec))
				HOLDS(scores[d] + rest >= vk_sparse_cut(&query, distance, magnitude));
		}
	}
	add_lists(kernel, &query, vec->nnz, &magnitude);
	if (metric != VK_METRIC_L2 && metric != VK_METRIC_L1)
		check_untouched(&query);
	if (metric == VK_METRIC_JACCARD)
		vk_sparse_scores_jaccard(scores, 0, DOCUMENTS, norms, vec->nnz);
	for (int d = 0; d < DOCUMENTS; d++)
	{
		double		distance = vk_sparse_distance(metric) (vec, &documents[d].vec);
		int			at;

		if (!vk_sparse_regular(metric, &documents[d].vec))
			continue;
		HOLDS(scores[d] >= vk_sparse_cut(&query, distance, magnitude));
		for (at = filled; at > 0 && nearest[at - 1] > distance; at--)
		{
			if (at < 10)
				nearest[at] = nearest[at - 1];
		}
		if (at < 10)
			nearest[at] = distance;
		filled = Min(filled + 1, 10);
	}
	for (int d = 0; d < DOCUMENTS; d++)
		reached += filled == 10 &&
			scores[d] >= vk_sparse_cut(&query, nearest[9], magnitude);
	return reached;
}

static void
test_bounds(void)
{
	for (int data = 0; data < NUM_DATA; data++)
	{
		for (int metric = 0; metric < VK_NUM_METRICS; metric++)
		{
			int			reached = 0;

			srand(data * 10 + metric);
			draw_documents(data);
			build_lists(metric);
			for (int q = 0; q < QUERIES; q++)
			{
				reached += check_query(metric, &documents[DOCUMENTS + q].vec,
									   vk_sparse_kernel());
				check_query(metric, &documents[DOCUMENTS + q].vec,
							&vk_sparse_kernel_portable);
			}

			/*
			 * Weights within a factor of ten are the hard case; ties are
			 * Jaccard's.
			 */
			if ((data == DATA_TEXT || data == DATA_SIGNED) && metric != VK_METRIC_JACCARD)
				HOLDS(reached <= QUERIES * 80);
		}
	}
}

/* Packed weights: the interval has the weight, and is narrow. */
static void
test_pack(void)
{
	for (int round = 0; round < 100000; round++)
	{
		float		weight = ldexpf(uniform() + 0.5f, rand() % 200 - 100) * (rand() % 2 ? 1 : -1);
		float		least;
		float		step;

		if (round % 7 == 0)
			weight = ldexpf(rand() % 2 ? 1 : -1, rand() % 200 - 100);
		vk_sparse_weight_unpack(vk_sparse_weight_pack(weight), &least, &step);
		HOLDS(least <= weight && weight <= (double) least + step);
		HOLDS(step <= fabsf(weight) / 32);
		HOLDS((vk_sparse_weight_pack(weight) & 0x8000) == 0);
	}
}

static int
compare_descending(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return x > y ? -1 : x < y;
}

/* What leads, with and without a cut. */
static void
test_lead(int count, int wanted, float cut, float *heap)
{
	float		lead = vk_sparse_scores_lead(scores, count, cut, wanted, heap);
	int			reach_lead = 0;
	int			reach_cut = 0;

	for (int i = 0; i < count; i++)
	{
		reach_lead += scores[i] >= lead;
		reach_cut += scores[i] >= cut;
	}
	HOLDS(lead >= cut);
	HOLDS(lead == cut || reach_lead >= wanted);
	HOLDS(lead > cut || reach_cut <= 2 * wanted || cut == -INFINITY);
}

static void
test_ranks(const VkSparseKernel *kernel)
{
	static float sorted[DOCUMENTS];
	static float heap[DOCUMENTS];
	static VkSparseCandidate found[DOCUMENTS];

	for (int round = 0; round < 300; round++)
	{
		int			count = 1 + rand() % DOCUMENTS;
		int			wanted = 1 + rand() % count;
		float		high = round % 3 ? INFINITY : uniform();
		int			below = 0;
		int			selected;
		float		low;

		for (int i = 0; i < count; i++)
			scores[i] = round % 2 ? uniform() : (rand() % 10) / 10.0f;
		for (int i = 0; i < count; i++)
		{
			if (scores[i] < high)
				sorted[below++] = scores[i];
		}
		qsort(sorted, below, sizeof(float), compare_descending);
		low = vk_sparse_scores_rank(scores, count, high, wanted, heap);
		HOLDS(low == (below < wanted ? -INFINITY : sorted[wanted - 1]));
		test_lead(count, wanted, round % 5 ? uniform() : -INFINITY, heap);
		kernel->maxima(scores, count, maxima);
		selected = kernel->select(scores, maxima, count, low, high, found);
		vk_sparse_candidates_sort(found, selected);
		HOLDS(selected >= Min(wanted, below));
		for (int i = 0; i < selected; i++)
			HOLDS(found[i].score == sorted[i] && scores[found[i].document] == sorted[i]);
	}
}

int
main(void)
{
	test_pack();
	test_bounds();
	test_ranks(vk_sparse_kernel());
	test_ranks(&vk_sparse_kernel_portable);
	printf("sparse_bounds_test: ok\n");
	return 0;
}
