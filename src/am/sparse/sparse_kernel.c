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

/* Halvings that find a score which about as many reach as are wanted. */
#define BISECTIONS 16

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

static void
portable_maxima(const float *scores, int count, float *maxima)
{
	for (int block = 0; block < VkSparseBlocks(count); block++)
	{
		float		most = -INFINITY;

		for (int i = 0; i < VK_SPARSE_BLOCK; i++)
			most = Max(most, scores[block * VK_SPARSE_BLOCK + i]);
		maxima[block] = most;
	}
}

static int
portable_select(const float *scores, const float *maxima, int count, float low,
				float high, VkSparseCandidate *out)
{
	int			found = 0;

	for (int block = 0; block < VkSparseBlocks(count); block++)
	{
		int			end = Min(count, (block + 1) * VK_SPARSE_BLOCK);

		if (maxima[block] < low)
			continue;
		for (int i = block * VK_SPARSE_BLOCK; i < end; i++)
		{
			if (scores[i] >= low && scores[i] < high)
				out[found++] = (VkSparseCandidate)
			{
				.score = scores[i],.document = i
			};
		}
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

static int
portable_reaching(const float *scores, int count, float low)
{
	int			reaching = 0;

	for (int i = 0; i < count; i++)
		reaching += scores[i] >= low;
	return reaching;
}

static void
portable_extent(const float *scores, int count, float *least, float *most)
{
	*least = *most = scores[0];
	for (int i = 1; i < count; i++)
	{
		*least = Min(*least, scores[i]);
		*most = Max(*most, scores[i]);
	}
}

static void
portable_clear(float *scores, int count)
{
	for (int i = 0; i < count; i++)
		scores[i] = -0.0f;
}

const VkSparseKernel vk_sparse_kernel_portable = {
	portable_add, portable_add_limited, portable_maxima, portable_select,
	portable_next_above, portable_reaching, portable_extent, portable_clear
};

#if defined(__x86_64__)

#define AVX2 __attribute__((target("avx2,fma")))

/* Contributions are computed this many at a time, then added one by one. */
#define BATCH 32

/*
 * Postings whose load from memory begins while one is added: the CPU's own
 * prefetching starts anew at every page and list.
 */
#define AHEAD 256

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
		__builtin_prefetch(offsets + i + AHEAD);
		__builtin_prefetch(codes + i + AHEAD);
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
		__builtin_prefetch(offsets + i + AHEAD);
		__builtin_prefetch(codes + i + AHEAD);
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

AVX2 static void
avx2_maxima(const float *scores, int count, float *maxima)
{
	for (int block = 0; block < VkSparseBlocks(count); block++)
	{
		const float *from = scores + block * VK_SPARSE_BLOCK;
		__m256		most = _mm256_loadu_ps(from);
		__m256		other = _mm256_loadu_ps(from + 8);
		__m128		half;

		for (int i = 16; i < VK_SPARSE_BLOCK; i += 16)
		{
			most = _mm256_max_ps(most, _mm256_loadu_ps(from + i));
			other = _mm256_max_ps(other, _mm256_loadu_ps(from + i + 8));
		}
		most = _mm256_max_ps(most, other);
		half = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
		half = _mm_max_ps(half, _mm_movehl_ps(half, half));
		half = _mm_max_ss(half, _mm_movehdup_ps(half));
		maxima[block] = _mm_cvtss_f32(half);
	}
}

/* Of a block; scores behind count do not matter. */
AVX2 static int
avx2_select_block(const float *scores, int first, int count, __m256 lows, __m256 highs,
				  VkSparseCandidate *out)
{
	int			found = 0;

	for (int i = first; i < first + VK_SPARSE_BLOCK; i += 16)
	{
		uint32		mask = avx2_in_range(scores + i, lows, highs) |
		avx2_in_range(scores + i + 8, lows, highs) << 8;

		for (; mask != 0; mask &= mask - 1)
		{
			int			document = i + __builtin_ctz(mask);

			if (document >= count)
				return found;
			out[found].score = scores[document];
			out[found++].document = document;
		}
	}
	return found;
}

AVX2 static int
avx2_select(const float *scores, const float *maxima, int count, float low, float high,
			VkSparseCandidate *out)
{
	__m256		lows = _mm256_set1_ps(low);
	__m256		highs = _mm256_set1_ps(high);
	int			blocks = VkSparseBlocks(count);
	int			found = 0;
	int			block = 0;

	for (; block + 8 <= blocks; block += 8)
	{
		uint32		mask = (uint32) _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(maxima + block),
																	 lows, _CMP_GE_OQ));

		for (; mask != 0; mask &= mask - 1)
			found += avx2_select_block(scores, (block + __builtin_ctz(mask)) * VK_SPARSE_BLOCK,
									   count, lows, highs, out + found);
	}
	for (; block < blocks; block++)
	{
		if (maxima[block] >= low)
			found += avx2_select_block(scores, block * VK_SPARSE_BLOCK, count, lows, highs,
									   out + found);
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

AVX2 static int
avx2_reaching(const float *scores, int count, float low)
{
	__m256		lows = _mm256_set1_ps(low);
	__m256i		negative = _mm256_setzero_si256();
	int32		counts[8];
	int			reaching = 0;
	int			i = 0;

	for (; i + 8 <= count; i += 8)
	{
		__m256		mask = _mm256_cmp_ps(_mm256_loadu_ps(scores + i), lows, _CMP_GE_OQ);

		negative = _mm256_add_epi32(negative, _mm256_castps_si256(mask));
	}
	_mm256_storeu_si256((__m256i *) counts, negative);
	for (int lane = 0; lane < 8; lane++)
		reaching -= counts[lane];
	return reaching + portable_reaching(scores + i, count - i, low);
}

AVX2 static void
avx2_extent(const float *scores, int count, float *least, float *most)
{
	__m256		leasts = _mm256_set1_ps(scores[0]);
	__m256		mosts = leasts;
	float		lanes[2][8];
	int			i = 0;

	for (; i + 8 <= count; i += 8)
	{
		leasts = _mm256_min_ps(leasts, _mm256_loadu_ps(scores + i));
		mosts = _mm256_max_ps(mosts, _mm256_loadu_ps(scores + i));
	}
	_mm256_storeu_ps(lanes[0], leasts);
	_mm256_storeu_ps(lanes[1], mosts);
	*least = *most = scores[0];
	for (int lane = 0; lane < 8; lane++)
	{
		*least = Min(*least, lanes[0][lane]);
		*most = Max(*most, lanes[1][lane]);
	}
	for (; i < count; i++)
	{
		*least = Min(*least, scores[i]);
		*most = Max(*most, scores[i]);
	}
}

/* Clears whole blocks: behind count there is padding. */
AVX2 static void
avx2_clear(float *scores, int count)
{
	__m256		mark = _mm256_set1_ps(-0.0f);

	for (int i = 0; i < count; i += 16)
	{
		_mm256_storeu_ps(scores + i, mark);
		_mm256_storeu_ps(scores + i + 8, mark);
	}
}

static const VkSparseKernel kernel_avx2 = {
	avx2_add, avx2_add_limited, avx2_maxima, avx2_select, avx2_next_above,
	avx2_reaching, avx2_extent, avx2_clear
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

/*
 * By bisection, since it needs a few passes without a branch, where a heap
 * mispredicts several per score that enters it.
 */
float
vk_sparse_scores_lead(const float *scores, int count, float cut, int wanted, float *heap)
{
	const VkSparseKernel *kernel = vk_sparse_kernel();
	float		low = cut;
	float		high;
	float		least;

	if (wanted > count)
		return cut;
	kernel->extent(scores, count, &least, &high);
	if (cut >= least)
	{
		if (kernel->reaching(scores, count, cut) <= 2 * wanted)
			return cut;
	}
	else
		low = least;
	/* At least `wanted` reach low, and none is greater than high. */
	for (int step = 0; step < BISECTIONS; step++)
	{
		float		middle = low / 2 + high / 2;
		int			reaching = kernel->reaching(scores, count, middle);

		if (reaching < wanted)
			high = middle;
		else if (reaching > 2 * wanted)
			low = middle;
		else
			return middle;
	}
	return vk_sparse_scores_rank(scores, count, INFINITY, wanted, heap);
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
