/*-------------------------------------------------------------------------
 *
 * sparse_check.c
 *	  vektonn.check_index: proves the invariants README.md numbers.
 *
 * That the posting lists are those of the records is proved by comparing
 * counts and sums of hashes: of every posting as it stands in its list, and
 * of every element of every record, coded anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"

#include "am/sparse/sparse.h"

/* A multiset of postings, but for collisions of 64-bit hashes. */
typedef struct Fingerprint
{
	uint64		count;
	uint64		sum;
} Fingerprint;

typedef struct SegmentCheck
{
	VkIndex    *index;
	VkCheck    *check;
	VkStoreRef	ref;
	const VkSparseSegment *segment;
	VkSparseReader *reader;
	VkBlockList holdings;		/* blocks of RECORDS pages, sorted */
	Fingerprint records;
	Fingerprint lists;
	uint32		terms;
	uint32		words;			/* of records */
} SegmentCheck;

static void
fingerprint_add(Fingerprint *fingerprint, uint32 term, uint32 document, uint8 code)
{
	fingerprint->count++;
	fingerprint->sum += hash_bytes_uint32_extended(term, (uint64) document << 8 | code);
}

/* ------------------------------------------------------------------------
 * Logs
 * ------------------------------------------------------------------------ */

static void
check_log_pages(VkIndex *index, VkStoreRef ref, const VkSparseLog *log, VkCheck *check)
{
	BlockNumber block = log->first;
	BlockNumber last = InvalidBlockNumber;
	uint32		pages = 0;
	uint32		rows = 0;
	uint32		rows_on_last = 0;

	while (block != InvalidBlockNumber)
	{
		Buffer		buffer = vk_page_read(index, block, VK_SPARSE_RECORDS, ref.split_id,
										  BUFFER_LOCK_SHARE);
		VkSparsePage *header = VkSparsePageGet(BufferGetPage(buffer));

		CHECK_FOR_INTERRUPTS();
		if (header->number != log->number)
			vk_report_corruption(index->rel, block, "The page belongs to log %u, not to %u.",
								 header->number, log->number);
		vk_check_page_seen(check, block);
		rows += header->count;
		rows_on_last = header->count;
		pages++;
		last = block;
		block = VkPageGetOpaque(BufferGetPage(buffer))->next;
		vk_page_release(buffer);
	}
	if (last != log->last || pages != log->pages || rows - rows_on_last != log->rows)
		vk_report_corruption(index->rel, ref.head, "Log %u has %u pages and %u rows, and says otherwise.",
							 log->number, pages, rows);
}

static void
check_log(VkIndex *index, VkStoreRef ref, const VkSparseLog *log, VkCheck *check)
{
	VkSparseLogScan scan;

	if (log->number == 0)
		return;
	check_log_pages(index, ref, log, check);
	vk_sparse_log_begin(&scan, index, ref.split_id, log);
	while (vk_sparse_log_next(&scan) == VK_LOG_RECORD)
	{
		ItemPointerData tid = scan.fetch.record->tid;

		vk_sparse_fetch_decode(&scan.fetch);
		vk_check_row_seen(check, &tid, scan.block);
	}
	vk_sparse_log_end(&scan);
}

/* ------------------------------------------------------------------------
 * Segments
 * ------------------------------------------------------------------------ */

/* The page holds part of a list: adds its postings, in ascending order. */
static void
add_postings(SegmentCheck *state, BlockNumber block, uint32 term, const uint16 *offsets,
			 const uint8 *codes, int count, int *previous)
{
	bool		has_codes = vk_sparse_has_codes(state->index->info.metric);

	for (int i = 0; i < count; i++)
	{
		if (offsets[i] <= *previous || offsets[i] >= state->segment->documents)
			vk_report_corruption(state->index->rel, block,
								 "Document %u is out of place in the list of term %u.",
								 offsets[i], term);
		*previous = offsets[i];
		fingerprint_add(&state->lists, term, offsets[i], has_codes ? codes[i] : 0);
	}
}

static void
check_list(SegmentCheck *state, BlockNumber block, Buffer buffer, const VkSparseSlot *slot)
{
	VkSparsePostings list;
	int			previous = -1;

	vk_sparse_read_list(state->index, buffer, slot, &list);
	if (list.postings != NULL)
		add_postings(state, block, slot->term, (const uint16 *) list.postings,
					 (const uint8 *) list.postings + 2 * list.count, list.count, &previous);
	for (int i = 0; i < list.nchunks; i++)
	{
		const uint16 *offsets;
		const uint8 *codes;
		Buffer		chunk = vk_sparse_reader_chunk(state->reader, &list.chunks[i],
												   &offsets, &codes);

		if (!BufferIsValid(chunk))
			vk_report_corruption(state->index->rel, list.chunks[i].block,
								 "The page is not of segment %u.", state->segment->number);
		add_postings(state, list.chunks[i].block, slot->term, offsets, codes,
					 list.chunks[i].count, &previous);
		vk_page_release(chunk);
	}
}

/* Every slot is in order and found from the root. */
static void
check_terms_page(SegmentCheck *state, BlockNumber block)
{
	Buffer		buffer = vk_page_read(state->index, block, VK_SPARSE_TERMS,
									  state->ref.split_id, BUFFER_LOCK_SHARE);
	int			count = VkSparsePageGet(BufferGetPage(buffer))->count;
	const VkSparseSlot *slots = (const VkSparseSlot *) VkSparsePageItems(BufferGetPage(buffer));

	vk_sparse_page_limits(state->index, buffer, 0,
						  sizeof(VkSparsePage) + count * sizeof(VkSparseSlot));
	for (int i = 0; i < count; i++)
	{
		VkSparsePostings found;

		if (i > 0 && slots[i].term <= slots[i - 1].term)
			vk_report_corruption(state->index->rel, block, "Term %u is out of order.",
								 slots[i].term);
		if (vk_sparse_reader_term(state->reader, slots[i].term, &found) != VK_TERM_FOUND ||
			state->reader->terms_block != block)
			vk_report_corruption(state->index->rel, block,
								 "Term %u is not found from the root of segment %u.",
								 slots[i].term, state->segment->number);
		check_list(state, block, buffer, &slots[i]);
		state->terms++;
	}
	vk_sparse_reader_terms_release(state->reader);
	vk_page_release(buffer);
}

/* Adds what the record's elements are in the lists. */
static void
add_record(SegmentCheck *state, uint32 number, const VkSparse *vec)
{
	VkMetric	metric = state->index->info.metric;
	double		scale = vk_sparse_weight_scale(metric, vec);

	for (int i = 0; i < vec->nnz; i++)
	{
		float		weight = vec->values[i] * scale;
		VkSparsePostings list;
		uint8		code = 0;

		if (vk_sparse_reader_term(state->reader, vec->indices[i], &list) != VK_TERM_FOUND)
			vk_report_corruption(state->index->rel, state->segment->root,
								 "Segment %u has no list of term %d.",
								 state->segment->number, vec->indices[i]);
		if (vk_sparse_has_codes(metric) && !list.is_single)
			code = vk_sparse_code(list.head.least, list.head.step, weight);
		if (vk_sparse_has_codes(metric) &&
			(weight < list.head.least || weight > list.head.least + (double) list.head.step * VK_SPARSE_LEVELS))
			vk_report_corruption(state->index->rel, state->segment->root,
								 "A weight of term %d is outside the limits of its list.",
								 vec->indices[i]);
		fingerprint_add(&state->records, vec->indices[i], number, code);
	}
	vk_sparse_reader_terms_release(state->reader);
}

/* A page with a record is one the segment frees in the end. */
static void
check_held(SegmentCheck *state, BlockNumber block)
{
	if (!vk_blocks_include(&state->holdings, block))
		vk_report_corruption(state->index->rel, block,
							 "Segment %u has a record on the page, but does not hold it.",
							 state->segment->number);
}

/* Visits the pages that hold the segment's records. */
static void
check_holdings(SegmentCheck *state)
{
	const VkSparseSegment *segment = state->segment;
	BlockNumber list = segment->holdings;

	while (list != InvalidBlockNumber)
	{
		int			count;
		BlockNumber *blocks = vk_sparse_read_blocks(state->index, state->ref, list,
													VK_SPARSE_HOLDINGS, segment->number,
													&count, &list);

		if (blocks == NULL)
			vk_report_corruption(state->index->rel, list,
								 "The page is not a list of segment %u.", segment->number);
		for (int i = 0; i < count; i++)
		{
			Buffer		buffer = vk_page_read(state->index, blocks[i], VK_SPARSE_RECORDS,
											  state->ref.split_id, BUFFER_LOCK_SHARE);

			CHECK_FOR_INTERRUPTS();
			if (VkSparsePageGet(BufferGetPage(buffer))->stamp > segment->number)
				vk_report_corruption(state->index->rel, blocks[i],
									 "The page was begun after segment %u, which holds it.",
									 segment->number);
			vk_page_release(buffer);
			vk_check_page_seen(state->check, blocks[i]);
			vk_blocks_add(&state->holdings, blocks[i]);
		}
		pfree(blocks);
	}
	if ((uint32) state->holdings.count != segment->record_pages)
		vk_report_corruption(state->index->rel, state->ref.head,
							 "Segment %u holds %d pages of records, and says %u.",
							 segment->number, state->holdings.count, segment->record_pages);
	vk_blocks_sort(&state->holdings);
}

static void
check_document(SegmentCheck *state, uint32 number, float norm, uint32 *dead)
{
	VkMetric	metric = state->index->info.metric;
	VkSparseReader *reader = state->reader;
	VkSparseDocument document;
	const VkSparse *vec = &reader->fetch.vec;
	bool		regular;

	if (!vk_sparse_reader_document(reader, number, &document) ||
		!vk_sparse_reader_record(reader, &document))
		vk_report_corruption(state->index->rel, state->segment->root,
							 "Document %u of segment %u leads to a page of another segment.",
							 number, state->segment->number);
	check_held(state, document.block);
	if (reader->fetch.block != document.block)
		check_held(state, reader->fetch.block);
	state->words += reader->fetch.record->length / 4;
	regular = vk_sparse_regular(metric, vec);
	if (regular == ((document.place & VK_SPARSE_DOCUMENT_IRREGULAR) != 0))
		vk_report_corruption(state->index->rel, document.block,
							 "Document %u is not marked as its values require.", number);
	if (vk_sparse_has_norms(metric) &&
		norm != (regular ? vk_sparse_document_norm(metric, vec) : 0))
		vk_report_corruption(state->index->rel, document.block,
							 "The norm of document %u is not that of its record.", number);
	if (regular)
		add_record(state, number, vec);
	else
		fingerprint_add(&state->records, VK_SPARSE_IRREGULAR_TERM, number, 0);
	if (document.place & VK_SPARSE_DOCUMENT_DEAD)
		(*dead)++;
	else
		vk_check_row_seen(state->check, &document.tid, document.block);
}

static void
check_documents(SegmentCheck *state)
{
	float		norms[VK_SPARSE_NORMS_PER_PAGE] = {0};
	uint32		dead = 0;

	for (uint32 number = 0; number < state->segment->documents; number++)
	{
		int			place = number % VK_SPARSE_NORMS_PER_PAGE;
		int			count;

		if (number % VK_SPARSE_INTERRUPT == 0)
		{
			vk_sparse_reader_release(state->reader);
			CHECK_FOR_INTERRUPTS();
		}
		if (place == 0 && state->reader->root.norm_pages > 0 &&
			!vk_sparse_reader_norms(state->reader, number / VK_SPARSE_NORMS_PER_PAGE, norms, &count))
			vk_report_corruption(state->index->rel, state->segment->root,
								 "The norms of segment %u are on a page of another segment.",
								 state->segment->number);
		check_document(state, number, norms[place], &dead);
	}
	vk_sparse_reader_release(state->reader);
	if (dead != state->segment->dead)
		vk_report_corruption(state->index->rel, state->ref.head,
							 "Segment %u has %u dead documents and says %u.",
							 state->segment->number, dead, state->segment->dead);
}

/* Visits the blocks a segment lists; checks their content if it is LIVE. */
static uint32
check_blocks(SegmentCheck *state)
{
	BlockNumber list = state->segment->blocks;
	bool		live = state->segment->state == VK_SEGMENT_LIVE;
	uint32		pages = 0;

	while (list != InvalidBlockNumber)
	{
		BlockNumber here = list;
		int			count;
		BlockNumber *blocks = vk_sparse_read_blocks(state->index, state->ref, here,
													VK_SPARSE_BLOCKS, state->segment->number,
													&count, &list);

		if (blocks == NULL)
			break;
		vk_check_page_seen(state->check, here);
		pages++;
		for (int i = 0; i < count && live; i++)
		{
			Buffer		buffer;
			VkPageOpaque *opaque;
			int			kind;

			CHECK_FOR_INTERRUPTS();
			buffer = vk_page_read_any(state->index, blocks[i], BUFFER_LOCK_SHARE);
			opaque = VkPageGetOpaque(BufferGetPage(buffer));
			kind = opaque->kind;
			if (opaque->owner != state->ref.split_id ||
				(kind != VK_SPARSE_RECORDS && kind < VK_SPARSE_ROOT) ||
				kind > VK_SPARSE_POSTINGS ||
				VkSparsePageGet(BufferGetPage(buffer))->number != state->segment->number)
				vk_report_corruption(state->index->rel, blocks[i],
									 "The page is not of segment %u, which lists it.",
									 state->segment->number);
			vk_page_release(buffer);
			/* These are among the holdings. */
			if (kind == VK_SPARSE_RECORDS)
				continue;
			vk_check_page_seen(state->check, blocks[i]);
			pages++;
			if (kind == VK_SPARSE_TERMS)
				check_terms_page(state, blocks[i]);
		}
		pfree(blocks);
	}
	return pages;
}

static void
check_segment(VkIndex *index, VkStoreRef ref, const VkSparseSegment *segment, VkCheck *check)
{
	SegmentCheck state = {0};
	uint32		pages;

	state.index = index;
	state.check = check;
	state.ref = ref;
	state.segment = segment;
	state.reader = palloc(sizeof(VkSparseReader));
	if (segment->state != VK_SEGMENT_LIVE)
	{
		/* The next merge frees its pages; some may be gone already. */
		(void) check_blocks(&state);
		pfree(state.reader);
		return;
	}
	if (!vk_sparse_reader_open(state.reader, index, ref.split_id, segment))
		vk_report_corruption(index->rel, segment->root, "The page is not the root of segment %u.",
							 segment->number);
	pages = check_blocks(&state);
	if (pages != segment->pages || state.terms != state.reader->root.terms)
		vk_report_corruption(index->rel, ref.head,
							 "Segment %u has %u pages and %u terms, and says otherwise.",
							 segment->number, pages, state.terms);
	check_holdings(&state);
	check_documents(&state);
	if (state.words != segment->record_words)
		vk_report_corruption(index->rel, ref.head,
							 "The records of segment %u have %u words, and it says %u.",
							 segment->number, state.words, segment->record_words);
	if (state.records.count != state.lists.count || state.records.sum != state.lists.sum)
		vk_report_corruption(index->rel, segment->root,
							 "The posting lists of segment %u are not those of its records.",
							 segment->number);
	vk_sparse_reader_close(state.reader);
	pfree(state.reader);
}

void
vk_sparse_check(VkIndex *index, VkStoreRef ref, VkCheck *check)
{
	VkSparseView view;
	BlockNumber block;
	Buffer		buffer = vk_page_read(index, ref.head, VK_SPARSE_HEAD, ref.split_id,
									  BUFFER_LOCK_SHARE);

	block = ((VkSparseHead *) VkPageData(BufferGetPage(buffer)))->more;
	vk_page_release(buffer);
	vk_check_page_seen(check, ref.head);
	while (block != InvalidBlockNumber)
	{
		buffer = vk_page_read(index, block, VK_SPARSE_LIST, ref.split_id, BUFFER_LOCK_SHARE);
		vk_check_page_seen(check, block);
		block = VkPageGetOpaque(BufferGetPage(buffer))->next;
		vk_page_release(buffer);
	}
	if (!vk_sparse_head_view(index, ref, &view))
		vk_report_corruption(index->rel, ref.head, "The page is not the head of split %u.",
							 ref.split_id);
	check_log(index, ref, &view.open, check);
	check_log(index, ref, &view.sealed, check);
	for (int i = 0; i < view.count; i++)
		check_segment(index, ref, &view.segments[i], check);
	pfree(view.segments);
}
