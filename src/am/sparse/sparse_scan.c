/*-------------------------------------------------------------------------
 *
 * sparse_scan.c
 *	  Search: the k nearest of a split, exactly.
 *
 * Rows in logs are compared one by one.  In each segment:
 *
 * 1. The query's terms are looked up.  Lists in the term pages are added to
 *	  the scores on the way, long ones are noted.
 * 2. Long lists are added, those that matter most per posting first.  Now and
 *	  then, when the lists left can no longer lift a document without postings
 *	  over the cut, and few documents could still reach it with them, the rest
 *	  of the postings is not read.
 * 3. Documents are compared exactly in bands of falling score, until the cut
 *	  that belongs to the collector's threshold lies above the band.  A score
 *	  is an upper bound, so that no document is missed.
 *
 * Documents without postings in common with the query are part of that: their
 * score is minus their norm (l2, l1), or a constant with a known distance (ip,
 * cosine, jaccard), for which not even their record is read.
 *
 * When everything is wanted, and for queries whose scores cannot be bounded,
 * all documents are compared in order of their number.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/sparse/sparse.h"

/*
 * Postings that cost about as much as comparing one document: decides when to
 * stop adding lists.
 */
#define POSTINGS_PER_DOCUMENT	400

/*
 * Looking whether to stop reads all scores several times, as costly as adding
 * a posting per document: it is done after as many, while there are enough
 * left to gain something.
 */
#define WORTH_A_LOOK			4

/* Documents compared beyond k in the first band: quantisation misorders some. */
#define BAND_EXTRA				6

/* The maxima of so many blocks per document wanted tell which score leads. */
#define BLOCKS_PER_WANTED		4

/* A band is so much larger than the one before. */
#define BAND_GROWTH				4

/* Terms whose pages are being loaded while one is looked up. */
#define TERMS_AHEAD				3

/* Documents whose records are being loaded while others are compared. */
#define DOCUMENTS_AHEAD			16

/* Bytes loaded ahead of a record, and of the offsets and codes of a chunk. */
#define TOUCH_RECORD			512
#define TOUCH_OFFSETS			256
#define TOUCH_CODES				128

/* Kept per scan: the prepared query. */
typedef struct SparseQuery
{
	VkSparseQuery query;
	VkSparseDistance distance;
	double		untouched;		/* distance of documents without common terms */
	bool		has_untouched;	/* whether that is a constant */
} SparseQuery;

/* A long list yet to be added. */
typedef struct LongList
{
	VkSparseTerm term;
	int			count;
	int			nchunks;
	VkSparseChunk *chunks;
} LongList;

/* The search of one segment. */
typedef struct SegmentScan
{
	VkScan	   *scan;
	const SparseQuery *query;
	const VkSparseKernel *kernel;
	VkSparseReader *reader;
	int			documents;
	double		magnitude;		/* of all lists, for the cut */
	double		rest;			/* what the lists not added may add to a score */
	LongList   *lists;
	int			nlists;
	int64		postings_left;
	bool		complete;		/* all lists are added */
	uint64	   *compared;		/* bit per document; NULL until one was */
} SegmentScan;

/*
 * Scores and candidates of one segment: kept for the life of the backend,
 * because clearing fresh memory from the system costs more than a search.
 */
static float *scores;
static float *maxima;			/* of blocks of scores, as of the last look */
static VkSparseCandidate *candidates;
static float *heap;

static void
allocate_workspace(void)
{
	if (heap != NULL)
		return;
	scores = MemoryContextAlloc(TopMemoryContext,
								sizeof(float) * (VK_SPARSE_SEGMENT_DOCS + VK_SPARSE_BLOCK));
	maxima = MemoryContextAlloc(TopMemoryContext, sizeof(float) * VK_SPARSE_MAX_BLOCKS);
	candidates = MemoryContextAlloc(TopMemoryContext,
									sizeof(VkSparseCandidate) * VK_SPARSE_SEGMENT_DOCS);
	heap = MemoryContextAlloc(TopMemoryContext, sizeof(float) * VK_SPARSE_SEGMENT_DOCS);
}

static const SparseQuery *
prepare_query(VkScan *scan)
{
	SparseQuery *prepared = scan->store_query;
	VkMetric	metric = scan->index->info.metric;
	VkSparse	vec;
	VkSparse	empty = {0};
	double	   *weights;

	if (prepared != NULL)
		return prepared;
	vec = vk_sparse_view((const VkSparsevec *) scan->query);
	prepared = MemoryContextAllocZero(scan->query_context, sizeof(SparseQuery));
	weights = MemoryContextAlloc(scan->query_context, sizeof(double) * Max(1, vec.nnz));
	vk_sparse_query_prepare(&prepared->query, metric, &vec, weights);
	prepared->distance = vk_sparse_distance(metric);
	prepared->has_untouched = metric != VK_METRIC_L2 && metric != VK_METRIC_L1;
	if (prepared->has_untouched)
		prepared->untouched = prepared->distance(&vec, &empty);
	scan->store_query = prepared;
	return prepared;
}

/* The distance of a decoded row; the same bits as the operator's. */
static inline double
row_distance(const SparseQuery *query, const VkSparse *vec)
{
	if (query->query.metric == VK_METRIC_COSINE && vec->nnz > 0 && query->query.vec.nnz > 0)
		return vk_cosine_from_parts(vk_kernels->sparse.inner_product(&query->query.vec, vec),
									query->query.norm_squared, vk_sparse_norm_squared(vec));
	return query->distance(&query->query.vec, vec);
}

/* Scores below this are of no interest: see vk_sparse_cut(). */
static float
current_cut(const SegmentScan *segment)
{
	double		threshold = segment->scan->topk->threshold;
	double		cut;

	if (isinf(threshold))
		return -INFINITY;
	cut = vk_sparse_cut(&segment->query->query, threshold, segment->magnitude);
	/* One rounding more. */
	cut -= segment->rest * (1 + FLT_EPSILON);
	return nextafterf((float) cut, -INFINITY);
}

/* ------------------------------------------------------------------------
 * Comparing documents
 * ------------------------------------------------------------------------ */

/* Compares a document, unless it is dead; false if the segment is gone. */
static bool
compare_document(SegmentScan *segment, const VkSparseDocument *document, float score)
{
	VkScan	   *scan = segment->scan;
	VkSparseReader *reader = segment->reader;
	ItemPointerData copy = document->tid;
	uint64		tid = vk_tid_encode(&copy);

	if (document->place & VK_SPARSE_DOCUMENT_DEAD)
		return true;
	if (scan->query == NULL)
	{
		vk_scan_push(scan, 0, tid);
		return true;
	}
	if (segment->complete && segment->query->has_untouched &&
		vk_sparse_score_untouched(score))
	{
		vk_scan_push(scan, segment->query->untouched, tid);
		return true;
	}
	scan->stats->rows++;
	if (!vk_sparse_reader_record(reader, document))
		return false;
	vk_scan_push(scan, row_distance(segment->query, &reader->fetch.vec), tid);
	return true;
}

/* Lets interrupts in, for which no page may be locked. */
static void
take_a_breath(SegmentScan *segment, int done)
{
	if (done % VK_SPARSE_INTERRUPT == VK_SPARSE_INTERRUPT - 1)
	{
		vk_sparse_reader_release(segment->reader);
		CHECK_FOR_INTERRUPTS();
	}
}

static bool
compare_all(SegmentScan *segment)
{
	for (int d = 0; d < segment->documents; d++)
	{
		VkSparseDocument document;

		take_a_breath(segment, d);
		if (!vk_sparse_reader_document(segment->reader, d, &document) ||
			!compare_document(segment, &document, 0))
			return false;
	}
	return true;
}

static inline bool
is_compared(const SegmentScan *segment, uint32 number)
{
	return segment->compared != NULL &&
		(segment->compared[number / 64] & UINT64CONST(1) << number % 64) != 0;
}

/*
 * Looks up the entries of some candidates that reach the cut, and begins
 * loading their records.  Returns the number of candidates looked at, sets
 * *count to those taken; -1 if the segment is gone.
 */
static int
look_up_documents(SegmentScan *segment, const VkSparseCandidate *from, int available,
				  float cut, VkSparseDocument *documents, float *bounds, int *count)
{
	int			i;

	*count = 0;
	for (i = 0; i < available && *count < DOCUMENTS_AHEAD; i++)
	{
		VkSparseDocument *document = &documents[*count];

		if (i + 1 < available)
			vk_sparse_reader_touch_document(segment->reader, from[i + 1].document);
		if (from[i].score < cut || is_compared(segment, from[i].document))
			continue;
		if (!vk_sparse_reader_document(segment->reader, from[i].document, document))
			return -1;
		vk_page_touch(segment->scan->index, document->block,
					  VkSparseDocumentOffset(document), TOUCH_RECORD);
		bounds[(*count)++] = from[i].score;
	}
	return i;
}

/* Compares candidates, best first, until the cut is above the rest. */
static bool
compare_candidates(SegmentScan *segment, int count, bool in_order)
{
	float		cut = current_cut(segment);
	double		threshold = segment->scan->topk->threshold;

	for (int done = 0; done < count;)
	{
		VkSparseDocument documents[DOCUMENTS_AHEAD];
		float		bounds[DOCUMENTS_AHEAD];
		int			taken;
		int			passed;

		if (in_order && candidates[done].score < cut)
			break;
		passed = look_up_documents(segment, candidates + done, count - done, cut,
								   documents, bounds, &taken);
		if (passed < 0)
			return false;
		for (int i = 0; i < taken; i++)
		{
			if (segment->scan->topk->threshold != threshold)
			{
				threshold = segment->scan->topk->threshold;
				cut = current_cut(segment);
			}
			if (bounds[i] < cut)
				continue;
			segment->scan->stats->survivors++;
			if (!compare_document(segment, &documents[i], bounds[i]))
				return false;
		}
		done += passed;
		/* Interrupts, for which no page may be locked. */
		vk_sparse_reader_release(segment->reader);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* Candidates with low <= score < high; maxima must be up to date. */
static int
select_candidates(SegmentScan *segment, float low, float high)
{
	return segment->kernel->select(scores, maxima, segment->documents, low, high, candidates);
}

/*
 * The cut, if not many more than `wanted` documents reach it, else a higher
 * score that as many do reach.  That many blocks have one such document each,
 * so that the blocks' maxima tell, unless too many are wanted.
 */
static float
leading_score(SegmentScan *segment, int64 wanted, float cut)
{
	int			blocks = VkSparseBlocks(segment->documents);
	float		rank;

	if (wanted <= blocks / BLOCKS_PER_WANTED)
		return vk_sparse_scores_lead(maxima, blocks, cut, wanted, heap);
	rank = vk_sparse_scores_rank(scores, segment->documents, INFINITY, wanted, heap);
	return Max(cut, rank);
}

/*
 * Compares what the scores leave.  Bands of the best, ever larger, until the
 * collector is full; then all that reaches the cut.
 */
static bool
compare_bands(SegmentScan *segment)
{
	VkTopk	   *topk = segment->scan->topk;
	int64		k = segment->scan->k;
	int64		wanted = (topk->has_cursor ? 2 * k : k) + BAND_EXTRA;
	float		high = INFINITY;

	segment->kernel->maxima(scores, segment->documents, maxima);
	for (;;)
	{
		float		low = current_cut(segment);
		bool		in_order;
		int			found;

		if (low >= high)
			return true;

		/*
		 * The threshold may come from rows that are nothing like the best of
		 * these.
		 */
		if (high == INFINITY)
			low = leading_score(segment, wanted, low);
		else if (low == -INFINITY || select_candidates(segment, low, high) > 2 * wanted)
			low = Max(low, vk_sparse_scores_rank(scores, segment->documents, high, wanted, heap));
		found = select_candidates(segment, low, high);
		/* Many are faster compared as they lie than sorted. */
		in_order = found < segment->documents / 8 + 64;
		if (in_order)
			vk_sparse_candidates_sort(candidates, found);
		if (!compare_candidates(segment, found, in_order))
			return false;
		if (low == -INFINITY || current_cut(segment) >= low)
			return true;
		high = low;
		wanted *= BAND_GROWTH;
	}
}

/* ------------------------------------------------------------------------
 * Scores
 * ------------------------------------------------------------------------ */

static inline void
add_postings(SegmentScan *segment, const VkSparseTerm *term, const uint16 *offsets,
			 const uint8 *codes, int count)
{
	switch (segment->query->query.metric)
	{
		case VK_METRIC_JACCARD:
			vk_sparse_add_constant(scores, offsets, count, term->base);
			break;
		case VK_METRIC_L1:
			segment->kernel->add_limited(scores, offsets, codes, count, term);
			break;
		default:
			segment->kernel->add(scores, offsets, codes, count, term);
			break;
	}
	segment->scan->stats->codes += count;
}

/* Scores before any posting. */
static bool
clear_scores(SegmentScan *segment)
{
	const VkSparseQuery *query = &segment->query->query;
	VkSparseReader *reader = segment->reader;

	if (query->metric != VK_METRIC_L2 && query->metric != VK_METRIC_L1)
	{
		vk_sparse_scores_clear(scores, segment->documents);
		return true;
	}
	for (uint32 page = 0; page < reader->root.norm_pages; page++)
	{
		float		norms[VK_SPARSE_NORMS_PER_PAGE];
		int			count;

		if (!vk_sparse_reader_norms(reader, page, norms, &count))
			return false;
		vk_sparse_scores_norm(scores, page * VK_SPARSE_NORMS_PER_PAGE, count, norms,
							  query->factor);
	}
	return true;
}

/* Turns numbers of common terms into Jaccard similarities. */
static bool
finish_jaccard(SegmentScan *segment)
{
	VkSparseReader *reader = segment->reader;

	for (uint32 page = 0; page < reader->root.norm_pages; page++)
	{
		float		norms[VK_SPARSE_NORMS_PER_PAGE];
		int			count;

		if (!vk_sparse_reader_norms(reader, page, norms, &count))
			return false;
		vk_sparse_scores_jaccard(scores, page * VK_SPARSE_NORMS_PER_PAGE, count, norms,
								 segment->query->query.vec.nnz);
	}
	return true;
}

/* Adds a list that is in the locked terms page, or notes it for later. */
static bool
take_list(SegmentScan *segment, const VkSparseTerm *term, const VkSparsePostings *list)
{
	LongList   *later;

	segment->magnitude += term->magnitude;
	if (list->postings != NULL)
	{
		add_postings(segment, term, (const uint16 *) list->postings,
					 (const uint8 *) list->postings + 2 * list->count, list->count);
		return true;
	}
	later = &segment->lists[segment->nlists++];
	later->term = *term;
	later->count = list->count;
	later->nchunks = list->nchunks;
	later->chunks = palloc(sizeof(VkSparseChunk) * list->nchunks);
	memcpy(later->chunks, list->chunks, sizeof(VkSparseChunk) * list->nchunks);
	segment->rest += term->most;
	segment->postings_left += list->count;
	return true;
}

/* Looks up the query's terms and the list of documents that have no scores. */
static bool
look_up_terms(SegmentScan *segment)
{
	const VkSparseQuery *query = &segment->query->query;
	VkSparsePostings list;

	segment->lists = palloc(sizeof(LongList) * (query->vec.nnz + 1));
	for (int i = 0; i < query->vec.nnz; i++)
	{
		VkSparseTerm term;

		if (i + TERMS_AHEAD < query->vec.nnz)
			vk_sparse_reader_touch_term(segment->reader, query->vec.indices[i + TERMS_AHEAD]);
		switch (vk_sparse_reader_term(segment->reader, query->vec.indices[i], &list))
		{
			case VK_TERM_GONE:
				return false;
			case VK_TERM_ABSENT:
				break;
			case VK_TERM_FOUND:
				vk_sparse_term_bound(query, i, list.head.least, list.head.step, &term);
				take_list(segment, &term, &list);
				break;
		}
	}
	switch (vk_sparse_reader_term(segment->reader, VK_SPARSE_IRREGULAR_TERM, &list))
	{
		case VK_TERM_GONE:
			return false;
		case VK_TERM_ABSENT:
			break;
		case VK_TERM_FOUND:
			{
				/* More than any other list: added first, never left out. */
				VkSparseTerm always = {FLT_MAX / 4, 0, FLT_MAX, FLT_MAX / 4, 0};

				take_list(segment, &always, &list);
				break;
			}
	}
	vk_sparse_reader_terms_release(segment->reader);
	return true;
}

/* Begins loading the page of a chunk. */
static inline void
touch_chunk(SegmentScan *segment, const VkSparseChunk *chunk)
{
	VkIndex    *index = segment->scan->index;

	vk_page_touch(index, chunk->block, chunk->offset, TOUCH_OFFSETS);
	vk_page_touch(index, chunk->block, chunk->offset + sizeof(uint16) * chunk->count, TOUCH_CODES);
}

static bool
add_list(SegmentScan *segment, const LongList *list)
{
	for (int i = 0; i < list->nchunks; i++)
	{
		const uint16 *offsets;
		const uint8 *codes;
		Buffer		buffer;

		if (i + 1 < list->nchunks)
			touch_chunk(segment, &list->chunks[i + 1]);
		buffer = vk_sparse_reader_chunk(segment->reader, &list->chunks[i], &offsets, &codes);
		if (!BufferIsValid(buffer))
			return false;
		add_postings(segment, &list->term, offsets, codes, list->chunks[i].count);
		vk_page_release(buffer);
	}
	segment->postings_left -= list->count;
	return true;
}

/* Lists that promise most per posting first; a list also costs a page or two. */
static int
compare_lists(const void *a, const void *b)
{
	const LongList *left = a;
	const LongList *right = b;
	double		left_worth = left->term.most / (200.0 + left->count);
	double		right_worth = right->term.most / (200.0 + right->count);

	return left_worth > right_worth ? -1 : left_worth < right_worth;
}

/*
 * Compares the documents that lead by now, and marks them as compared, so
 * that there is a threshold.
 */
static bool
compare_leaders(SegmentScan *segment)
{
	int			wanted = segment->scan->k + BAND_EXTRA;
	float		low;
	int			found;

	segment->kernel->maxima(scores, segment->documents, maxima);
	low = leading_score(segment, wanted, -INFINITY);
	if (low == -INFINITY)
		return true;
	found = select_candidates(segment, low, INFINITY);
	if (found > 2 * wanted)
		return true;
	if (segment->compared == NULL)
		segment->compared = palloc0(sizeof(uint64) * (VK_SPARSE_SEGMENT_DOCS / 64));
	if (!compare_candidates(segment, found, false))
		return false;
	for (int i = 0; i < found; i++)
	{
		uint32		number = candidates[i].document;

		segment->compared[number / 64] |= UINT64CONST(1) << number % 64;
	}
	return true;
}

/* Whether comparing what is left is cheaper than reading the postings left. */
static bool
may_stop(SegmentScan *segment)
{
	float		cut = current_cut(segment);
	int			found;

	if (cut == -INFINITY)
		return false;

	/*
	 * Documents without postings must be out: all of them would be
	 * candidates.
	 */
	if (segment->query->has_untouched && cut <= 0)
		return false;
	found = select_candidates(segment, cut, INFINITY);
	return (int64) found * POSTINGS_PER_DOCUMENT < segment->postings_left;
}

/*
 * Whether to look if adding lists may stop: after `added` postings, when what
 * is left could matter less than what documents need.
 */
static bool
worth_a_look(SegmentScan *segment, int64 added, double rest_before)
{
	if (added < segment->documents ||
		segment->postings_left < (int64) WORTH_A_LOOK * segment->documents)
		return false;
	if (isinf(segment->scan->topk->threshold))
		return segment->rest < rest_before / 2;
	return current_cut(segment) > 0 || !segment->query->has_untouched;
}

/* Adds the long lists, as far as it is worth while. */
static bool
add_lists(SegmentScan *segment)
{
	bool		may_skip = segment->query->query.metric != VK_METRIC_JACCARD &&
	!segment->scan->topk->has_cursor && segment->scan->k < segment->documents / 64 &&
	segment->postings_left >= (int64) (WORTH_A_LOOK + 1) * segment->documents;
	int64		added = 0;
	double	   *rests = palloc(sizeof(double) * (segment->nlists + 1));

	/* Else they are added in the order in which they lie. */
	if (may_skip)
		qsort(segment->lists, segment->nlists, sizeof(LongList), compare_lists);
	rests[segment->nlists] = 0;
	for (int i = segment->nlists - 1; i >= 0; i--)
		rests[i] = rests[i + 1] + segment->lists[i].term.most;
	for (int i = 0; i < segment->nlists; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i + 1 < segment->nlists)
			touch_chunk(segment, &segment->lists[i + 1].chunks[0]);
		if (!add_list(segment, &segment->lists[i]))
			return false;
		segment->rest = rests[i + 1];
		added += segment->lists[i].count;
		if (!may_skip || !worth_a_look(segment, added, rests[0]))
			continue;
		added = 0;
		if (!compare_leaders(segment))
			return false;
		if (may_stop(segment))
			return true;
	}
	segment->complete = true;
	segment->rest = 0;
	return true;
}

/* ------------------------------------------------------------------------
 * Segments and logs
 * ------------------------------------------------------------------------ */

static bool
search_by_scores(SegmentScan *segment)
{
	if (!clear_scores(segment) || !look_up_terms(segment) || !add_lists(segment))
		return false;
	if (segment->query->query.metric == VK_METRIC_JACCARD && !finish_jaccard(segment))
		return false;
	return compare_bands(segment);
}

/* Searches a segment; false if it is gone. */
static bool
search_segment(VkScan *scan, const SparseQuery *query, uint32 split_id,
			   const VkSparseSegment *descriptor, VkSparseReader *reader)
{
	SegmentScan segment = {0};
	bool		done;

	if (!vk_sparse_reader_open(reader, scan->index, split_id, descriptor))
		return false;
	segment.scan = scan;
	segment.query = query;
	segment.kernel = vk_sparse_kernel();
	segment.reader = reader;
	segment.documents = reader->root.documents;
	if (query == NULL || query->query.irregular || scan->k >= segment.documents / 2)
		done = compare_all(&segment);
	else
		done = search_by_scores(&segment);
	vk_sparse_reader_close(reader);
	scan->stats->pages += reader->pages;
	return done;
}

/* Compares all rows of a log; false if it is gone. */
static bool
search_log(VkScan *scan, const SparseQuery *query, uint32 split_id, const VkSparseLog *log)
{
	VkSparseLogScan rows;
	VkLogResult result;

	if (log->number == 0)
		return true;
	vk_sparse_log_begin(&rows, scan->index, split_id, log);
	while ((result = vk_sparse_log_next(&rows)) == VK_LOG_RECORD)
	{
		ItemPointerData tid = rows.fetch.record->tid;
		double		distance = 0;

		if (query != NULL)
		{
			scan->stats->rows++;
			vk_sparse_fetch_decode(&rows.fetch);
			distance = row_distance(query, &rows.fetch.vec);
		}
		vk_scan_push(scan, distance, vk_tid_encode(&tid));
	}
	scan->stats->pages += rows.fetch.pages;
	vk_sparse_log_end(&rows);
	return result == VK_LOG_END;
}

static int
compare_documents(const void *a, const void *b)
{
	const VkSparseSegment *left = a;
	const VkSparseSegment *right = b;

	return left->documents < right->documents ? 1 : left->documents > right->documents ? -1 : 0;
}

/*
 * Searches what the view shows.  0, or the number of the segment or log of
 * which a page is gone.
 */
static uint32
search_view(VkScan *scan, const SparseQuery *query, uint32 split_id, VkSparseView *view,
			VkSparseReader *reader)
{
	/* The largest promises the best threshold for the others. */
	qsort(view->segments, view->count, sizeof(VkSparseSegment), compare_documents);
	for (int i = 0; i < view->count; i++)
	{
		if (view->segments[i].state == VK_SEGMENT_LIVE &&
			!search_segment(scan, query, split_id, &view->segments[i], reader))
			return view->segments[i].number;
	}
	if (!search_log(scan, query, split_id, &view->open))
		return view->open.number;
	if (!search_log(scan, query, split_id, &view->sealed))
		return view->sealed.number;
	return 0;
}

/*
 * Pages are freed only after the head page has let go of their segment: if it
 * still is there, the page that was not found is damaged.
 */
static void
check_gone(VkIndex *index, VkStoreRef ref, const VkSparseView *view, uint32 number)
{
	bool		there = view->open.number == number || view->sealed.number == number;

	for (int i = 0; i < view->count; i++)
		there |= view->segments[i].number == number &&
			view->segments[i].state == VK_SEGMENT_LIVE;
	if (there)
		vk_sparse_report_gone(index, ref, number);
}

/*
 * Searches a split.  When a merge replaced something meanwhile, all is done
 * again: the collector sorts out rows it is offered twice.
 */
void
vk_sparse_collect(VkScan *scan, VkStoreRef ref)
{
	const SparseQuery *query = scan->query == NULL ? NULL : prepare_query(scan);
	VkSparseReader *reader = palloc(sizeof(VkSparseReader));
	VkSparseView view;
	uint32		gone = 0;

	allocate_workspace();
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (!vk_sparse_head_view(scan->index, ref, &view))
			break;
		scan->stats->pages++;
		if (gone != 0)
			check_gone(scan->index, ref, &view, gone);
		gone = search_view(scan, query, ref.split_id, &view, reader);
		pfree(view.segments);
	} while (gone != 0);
	pfree(reader);
}
