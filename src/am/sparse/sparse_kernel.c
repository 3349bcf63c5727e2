/*-------------------------------------------------------------------------
 *
 * sparse_kernel.c
 *	  Loops over score accumulators: adding posting lists, finding the best.
 *
 * Adding is bound by loads and stores at scattered addresses, which no vector
 * instruction makes faster; vectors help with the contributions before, and
 * with looking through the scores after.  Results of the two kernels differ
 * by rounding only, which the cut allows for.
 *
 * Offsets come from pages and are not checked: an array of scores has a place
 * for each of their 65,536 values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "am/sparse/sparse_kernel.h"

static void
portable_add(float *scores, const uint16 *offsets, const uint8 *codes,
			 int count, const VkSparseTerm *term)
{
	float		base = term->base;
	float		slope = term->slope;

	for (int i = 0; i < count; i++)
		scores[offsets[i]] += base + slope * codes[i];
}

static void
portable_add_limited(float *scores, const uint16 *offsets, const uint8 *codes,
					 int count, const VkSparseTerm *term)
{
	for (int i = 0; i < count; i++)
	{
		float		value = term->base + term->slope * codes[i];

		value = Min(value, term->limit);
		scores[offsets[i]] += Max(value, 0.0f);
	}
}

static int
portable_select(const float *scores, int count, float low, float high,
				VkSparseCandidate *out)
{
	int			found = 0;

	for (int i = 0; i < count; i++)
	{
		out[found].score = scores[i];
		out[found].document = i;
		found += scores[i] >= low && scores[i] < high;
	}
	return found;
}

static int
portable_next_above(const float *scores, int count, int from, float low, float high)
{
	while (from < count && !(scores[from] > low && scores[from] < high))
		from++;
	return from;
}

static void
portable_clear(float *scores, int count)
{
	for (int i = 0; i < count; i++)
		scores[i] = -0.0f;
}

const VkSparseKernel vk_sparse_kernel_portable = {
	portable_add, portable_add_limited, portable_select, portable_next_above,
	portable_clear
};

#if defined(__x86_64__)

#define AVX2 __attribute__((target("avx2,fma")))

/* Contributions are computed this many at a time, then added one by one. */
#define BATCH 32

AVX2 static inline void
avx2_contributions(float *values, const uint8 *codes, const VkSparseTerm *term,
				   bool limited)
{
	__m256		base = _mm256_set1_ps(term->base);
	__m256		slope = _mm256_set1_ps(term->slope);

	for (int i = 0; i < BATCH; i += 8)
	{
		__m128i		bytes = _mm_loadl_epi64((const __m128i *) (codes + i));
		__m256		code = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
		__m256		value = _mm256_fmadd_ps(slope, code, base);

		if (limited)
		{
			value = _mm256_min_ps(value, _mm256_set1_ps(term->limit));
			value = _mm256_max_ps(value, _mm256_setzero_ps());
		}
		_mm256_storeu_ps(values + i, value);
	}
}

AVX2 static void
avx2_add(float *scores, const uint16 *offsets, const uint8 *codes,
		 int count, const VkSparseTerm *term)
{
	float		values[BATCH];
	int			i = 0;

	for (; i + BATCH <= count; i += BATCH)
	{
		avx2_contributions(values, codes + i, term, false);
		for (int j = 0; j < BATCH; j++)
			scores[offsets[i + j]] += values[j];
	}
	for (; i < count; i++)
		scores[offsets[i]] += term->base + term->slope * codes[i];
}

AVX2 static void
avx2_add_limited(float *scores, const uint16 *offsets, const uint8 *codes,
				 int count, const VkSparseTerm *term)
{
	float		values[BATCH];
	int			i = 0;

	for (; i + BATCH <= count; i += BATCH)
	{
		avx2_contributions(values, codes + i, term, true);
		for (int j = 0; j < BATCH; j++)
			scores[offsets[i + j]] += values[j];
	}
	portable_add_limited(scores, offsets + i, codes + i, count - i, term);
}

/* Bit i: low <= scores[i] < high, of 8 scores. */
AVX2 static inline uint32
avx2_in_range(const float *scores, __m256 low, __m256 high)
{
	__m256		value = _mm256_loadu_ps(scores);
	__m256		inside = _mm256_and_ps(_mm256_cmp_ps(value, low, _CMP_GE_OQ),
									   _mm256_cmp_ps(value, high, _CMP_LT_OQ));

	return (uint32) _mm256_movemask_ps(inside);
}

AVX2 static int
avx2_select(const float *scores, int count, float low, float high,
			VkSparseCandidate *out)
{
	__m256		lows = _mm256_set1_ps(low);
	__m256		highs = _mm256_set1_ps(high);
	int			found = 0;
	int			i = 0;

	for (; i + 16 <= count; i += 16)
	{
		uint32		mask = avx2_in_range(scores + i, lows, highs) |
		avx2_in_range(scores + i + 8, lows, highs) << 8;

		for (; mask != 0; mask &= mask - 1)
		{
			int			document = i + __builtin_ctz(mask);

			out[found].score = scores[document];
			out[found++].document = document;
		}
	}
	for (; i < count; i++)
	{
		if (scores[i] >= low && scores[i] < high)
		{
			out[found].score = scores[i];
			out[found++].document = i;
		}
	}
	return found;
}

AVX2 static int
avx2_next_above(const float *scores, int count, int from, float low, float high)
{
	__m256		lows = _mm256_set1_ps(nextafterf(low, INFINITY));
	__m256		highs = _mm256_set1_ps(high);

	for (; from + 16 <= count; from += 16)
	{
		uint32		mask = avx2_in_range(scores + from, lows, highs) |
		avx2_in_range(scores + from + 8, lows, highs) << 8;

		if (mask != 0)
			return from + __builtin_ctz(mask);
	}
	return portable_next_above(scores, count, from, low, high);
}

/* Clears whole blocks: behind count there is padding. */
AVX2 static void
avx2_clear(float *scores, int count)
{
	__m256		mark = _mm256_set1_ps(-0.0f);

	for (int i = 0; i < count; i += VK_SPARSE_BLOCK)
	{
		_mm256_storeu_ps(scores + i, mark);
		_mm256_storeu_ps(scores + i + 8, mark);
	}
}

static const VkSparseKernel kernel_avx2 = {
	avx2_add, avx2_add_limited, avx2_select, avx2_next_above, avx2_clear
};

#endif

const VkSparseKernel *
vk_sparse_kernel(void)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return &kernel_avx2;
#endif
	return &vk_sparse_kernel_portable;
}

void
vk_sparse_add_constant(float *scores, const uint16 *offsets, int count, float value)
{
	for (int i = 0; i < count; i++)
		scores[offsets[i]] += value;
}

/* Scores from count up to the next full block never match. */
static void
pad(float *scores, int count)
{
	for (; count % VK_SPARSE_BLOCK != 0; count++)
		scores[count] = -INFINITY;
}

void
vk_sparse_scores_clear(float *scores, int count)
{
	vk_sparse_kernel()->clear(scores, count);
	pad(scores, count);
}

void
vk_sparse_scores_norm(float *scores, int first, int count, const float *norms,
					  double factor)
{
	float		less = (float) (-1 + 2 * factor);

	for (int i = 0; i < count; i++)
		scores[first + i] = less * norms[i];
	pad(scores, first + count);
}

void
vk_sparse_scores_jaccard(float *scores, int first, int count, const float *norms,
						 int query_nnz)
{
	for (int i = 0; i < count; i++)
	{
		float		common = scores[first + i];
		float		together = norms[i] + query_nnz - common;

		if (!vk_sparse_score_untouched(common))
			scores[first + i] = together > 0 ? common / together : 1;
	}
}

/* Moves the root of a min-heap down to where it belongs. */
static inline void
sift_down(float *heap, int count, float value)
{
	int			at = 0;

	for (int child = 1; child < count; child = 2 * at + 1)
	{
		if (child + 1 < count && heap[child + 1] < heap[child])
			child++;
		if (heap[child] >= value)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = value;
}

float
vk_sparse_scores_rank(const float *scores, int count, float high, int wanted,
					  float *heap)
{
	const VkSparseKernel *kernel = vk_sparse_kernel();
	int			filled = 0;
	int			at = 0;

	for (; at < count && filled < wanted; at++)
	{
		int			place = filled;

		if (!(scores[at] < high))
			continue;
		/* Sift up. */
		while (place > 0 && heap[(place - 1) / 2] > scores[at])
		{
			heap[place] = heap[(place - 1) / 2];
			place = (place - 1) / 2;
		}
		heap[place] = scores[at];
		filled++;
	}
	if (filled < wanted)
		return -INFINITY;
	while ((at = kernel->next_above(scores, count, at, heap[0], high)) < count)
		sift_down(heap, wanted, scores[at++]);
	return heap[0];
}

static int
compare_candidates(const void *a, const void *b)
{
	const VkSparseCandidate *left = a;
	const VkSparseCandidate *right = b;

	if (left->score != right->score)
		return left->score > right->score ? -1 : 1;
	return left->document < right->document ? -1 : left->document > right->document;
}

void
vk_sparse_candidates_sort(VkSparseCandidate *candidates, int count)
{
	qsort(candidates, count, sizeof(VkSparseCandidate), compare_candidates);
}
