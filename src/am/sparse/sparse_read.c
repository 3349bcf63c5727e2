/*-------------------------------------------------------------------------
 *
 * sparse_read.c
 *	  Reading records, logs and segments.
 *
 * Nothing read is trusted: places and lengths are checked against what the
 * page has in use.  A page that meanwhile belongs to another segment is not an
 * error, but reported to the caller, who starts again from the head page.
 *
 * Records are looked at in their page, under its share lock, unless they lie
 * on several.  While a record or a page of documents or terms is held, others
 * are locked; who changes these pages never holds more than one of them, so
 * that nobody waits in a circle.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "am/sparse/sparse.h"

/* Of a terms page, loaded ahead: a part of its slots. */
#define TOUCH_SLOTS		128

void
vk_sparse_fetch_init(VkSparseFetch *fetch, VkIndex *index, uint32 split_id)
{
	memset(fetch, 0, sizeof(*fetch));
	fetch->index = index;
	fetch->split_id = split_id;
	fetch->stamp = PG_UINT32_MAX;
	fetch->buffer = InvalidBuffer;
	fetch->indices = palloc(sizeof(int32) * VK_SPARSE_MAX_NNZ);
}

void
vk_sparse_fetch_release(VkSparseFetch *fetch)
{
	if (BufferIsValid(fetch->buffer))
		vk_page_release(fetch->buffer);
	fetch->buffer = InvalidBuffer;
}

void
vk_sparse_fetch_free(VkSparseFetch *fetch)
{
	vk_sparse_fetch_release(fetch);
	if (fetch->copy != NULL)
		pfree(fetch->copy);
	pfree(fetch->indices);
}

/*
 * Makes fetch->buffer the locked page `block`; false if it is not ours any more.
 * A segment holds record pages of many logs and segments; what tells them
 * from pages that were freed and used again is their stamp.
 */
static bool
fetch_page(VkSparseFetch *fetch, BlockNumber block)
{
	VkSparsePage *header;

	if (BufferIsValid(fetch->buffer) && fetch->block == block)
		return true;
	vk_sparse_fetch_release(fetch);
	fetch->buffer = vk_page_try(fetch->index, block, VK_SPARSE_RECORDS, fetch->split_id,
								BUFFER_LOCK_SHARE);
	fetch->block = block;
	fetch->pages++;
	if (!BufferIsValid(fetch->buffer))
		return false;
	header = VkSparsePageGet(BufferGetPage(fetch->buffer));
	if ((fetch->log == 0 || header->number == fetch->log) && header->stamp <= fetch->stamp)
	{
		vk_sparse_page_limits(fetch->index, fetch->buffer, 0, sizeof(VkSparsePage));
		return true;
	}
	vk_sparse_fetch_release(fetch);
	return false;
}

static inline int
page_end(Page page)
{
	return ((PageHeader) page)->pd_lower - MAXALIGN(SizeOfPageHeaderData);
}

static void
check_record(VkSparseFetch *fetch, const VkSparseRecord *record, uint64 available,
			 BlockNumber block)
{
	const char *problem = vk_sparse_record_check(record, available);

	if (unlikely(problem != NULL))
		vk_report_corruption(fetch->index->rel, block, "%s", problem);
}

/* Copies together a record that begins at offset of the held page. */
static VkFetchResult
fetch_long(VkSparseFetch *fetch, int offset, const VkSparseRecord *begin)
{
	Size		length = begin->length;
	Size		copied = 0;

	check_record(fetch, begin, VK_SPARSE_RECORD_MAX, fetch->block);
	if (fetch->copy_size < length)
	{
		if (fetch->copy != NULL)
			pfree(fetch->copy);
		fetch->copy = palloc(length);
		fetch->copy_size = length;
	}
	for (;;)
	{
		Page		page = BufferGetPage(fetch->buffer);
		Size		piece = Min(length - copied, (Size) (page_end(page) - offset));
		BlockNumber next = VkPageGetOpaque(page)->next;

		memcpy(fetch->copy + copied, VkPageData(page) + offset, piece);
		copied += piece;
		if (copied == length)
			break;
		/* Every page but the last is full, so that each adds something. */
		if (next == InvalidBlockNumber || piece == 0)
			vk_report_corruption(fetch->index->rel, fetch->block,
								 "A record ends early.");
		if (!fetch_page(fetch, next))
			return VK_FETCH_GONE;
		offset = sizeof(VkSparsePage);
	}
	fetch->record = (const VkSparseRecord *) fetch->copy;
	check_record(fetch, fetch->record, length, fetch->block);
	return VK_FETCH_OK;
}

/*
 * Gets the record at offset of the block's data.  It stays valid until the
 * next fetch or release.
 */
VkFetchResult
vk_sparse_fetch(VkSparseFetch *fetch, BlockNumber block, int offset)
{
	Page		page;
	const VkSparseRecord *record;
	int			end;

	if (!fetch_page(fetch, block))
		return VK_FETCH_GONE;
	page = BufferGetPage(fetch->buffer);
	end = page_end(page);
	if (offset < (int) sizeof(VkSparsePage) || offset % 4 != 0 ||
		offset + (int) sizeof(VkSparseRecord) > end)
		vk_report_corruption(fetch->index->rel, block, "No record can be at byte %d of %d.", offset, end);
	record = (const VkSparseRecord *) (VkPageData(page) + offset);
	fetch->record = record;
	if (record->flags & VK_SPARSE_INCOMPLETE)
		return VK_FETCH_INCOMPLETE;
	if (unlikely(record->length > (uint32) (end - offset)))
		return fetch_long(fetch, offset, record);
	check_record(fetch, record, end - offset, block);
	return VK_FETCH_OK;
}

/* Makes fetch->vec the vector of the record. */
void
vk_sparse_fetch_decode(VkSparseFetch *fetch)
{
	const char *problem = vk_sparse_record_decode(fetch->record, fetch->indices, &fetch->vec);

	if (likely(problem == NULL) && unlikely(fetch->record->dim != fetch->index->info.dim))
		problem = "A vector is of another dimension than the index.";
	if (unlikely(problem != NULL))
		vk_report_corruption(fetch->index->rel, fetch->block, "%s", problem);
}

/* ------------------------------------------------------------------------
 * Logs
 * ------------------------------------------------------------------------ */

void
vk_sparse_log_begin(VkSparseLogScan *scan, VkIndex *index, uint32 split_id,
					const VkSparseLog *log)
{
	vk_sparse_fetch_init(&scan->fetch, index, split_id);
	scan->fetch.log = log->number;
	scan->block = log->number == 0 ? InvalidBlockNumber : log->first;
	scan->item = 0;
	scan->visited = 0;
	scan->expected = log->pages;
}

/* Goes to the page `block`; false if it is gone. */
static bool
log_page(VkSparseLogScan *scan)
{
	vk_sparse_fetch_release(&scan->fetch);
	CHECK_FOR_INTERRUPTS();
	if (!fetch_page(&scan->fetch, scan->block))
		return false;
	if (++scan->visited > scan->expected)
	{
		/* The log has grown; but not beyond the index. */
		scan->expected = RelationGetNumberOfBlocks(scan->fetch.index->rel);
		if (scan->visited > scan->expected)
			vk_report_corruption(scan->fetch.index->rel, scan->block,
								 "The pages of a log form a circle.");
	}
	scan->offset = VkSparsePageGet(BufferGetPage(scan->fetch.buffer))->first;
	return true;
}

/*
 * Steps to the next record that is complete and not dead.  A page is read
 * while it may grow: records that come after its lock was let go are not
 * seen, which is as if the scan had passed before them.
 */
VkLogResult
vk_sparse_log_next(VkSparseLogScan *scan)
{
	while (scan->block != InvalidBlockNumber)
	{
		VkFetchResult result;
		Page		page;

		/* A long record, or the caller, may have let the page go. */
		if (scan->item == 0 ? !log_page(scan) : !fetch_page(&scan->fetch, scan->block))
			return VK_LOG_GONE;
		page = BufferGetPage(scan->fetch.buffer);
		if (scan->item >= VkSparsePageGet(page)->count)
		{
			scan->block = VkPageGetOpaque(page)->next;
			scan->item = 0;
			continue;
		}
		scan->item++;
		scan->at = scan->offset;
		result = vk_sparse_fetch(&scan->fetch, scan->block, scan->offset);
		if (result == VK_FETCH_GONE)
			return VK_LOG_GONE;
		scan->offset += scan->fetch.record->length;
		if (result == VK_FETCH_OK && !(scan->fetch.record->flags & VK_SPARSE_DEAD))
			return VK_LOG_RECORD;
	}
	return VK_LOG_END;
}

void
vk_sparse_log_end(VkSparseLogScan *scan)
{
	vk_sparse_fetch_free(&scan->fetch);
}

/* ------------------------------------------------------------------------
 * Segments
 * ------------------------------------------------------------------------ */

/* False if the segment is gone. */
bool
vk_sparse_reader_open(VkSparseReader *reader, VkIndex *index, uint32 split_id,
					  const VkSparseSegment *segment)
{
	Buffer		buffer;

	reader->index = index;
	reader->split_id = split_id;
	reader->number = segment->number;
	reader->documents = reader->terms = InvalidBuffer;
	reader->documents_page = -1;
	reader->pages = 1;
	for (int i = 0; i < VK_SPARSE_MAX_LEVELS; i++)
		reader->inner_blocks[i] = InvalidBlockNumber;
	buffer = vk_sparse_page_try(index, segment->root, VK_SPARSE_ROOT, split_id,
								segment->number, BUFFER_LOCK_SHARE);
	if (!BufferIsValid(buffer))
		return false;
	vk_sparse_page_limits(index, buffer, 0, sizeof(VkSparseRoot));
	memcpy(&reader->root, VkPageData(BufferGetPage(buffer)), sizeof(VkSparseRoot));
	vk_page_release(buffer);
	if (reader->root.documents > VK_SPARSE_SEGMENT_DOCS ||
		reader->root.documents != segment->documents ||
		reader->root.document_pages > VK_SPARSE_MAX_DOCUMENT_PAGES ||
		reader->root.document_pages * VK_SPARSE_DOCUMENTS_PER_PAGE < reader->root.documents ||
		reader->root.norm_pages > VK_SPARSE_MAX_NORM_PAGES ||
		reader->root.levels > VK_SPARSE_MAX_LEVELS)
		vk_report_corruption(index->rel, segment->root, "The root of segment %u is damaged.",
							 segment->number);
	vk_sparse_fetch_init(&reader->fetch, index, split_id);
	reader->fetch.stamp = segment->number;
	return true;
}

/* Lets go of all pages; what was read from them is no longer valid. */
void
vk_sparse_reader_release(VkSparseReader *reader)
{
	if (BufferIsValid(reader->documents))
		vk_page_release(reader->documents);
	reader->documents = InvalidBuffer;
	reader->documents_page = -1;
	vk_sparse_reader_terms_release(reader);
	vk_sparse_fetch_release(&reader->fetch);
}

void
vk_sparse_reader_close(VkSparseReader *reader)
{
	vk_sparse_reader_release(reader);
	reader->pages += reader->fetch.pages;
	vk_sparse_fetch_free(&reader->fetch);
}

static Buffer
reader_page(VkSparseReader *reader, BlockNumber block, int kind)
{
	reader->pages++;
	return vk_sparse_page_try(reader->index, block, kind, reader->split_id,
							  reader->number, BUFFER_LOCK_SHARE);
}

/* The document's entry; false if the segment is gone. */
bool
vk_sparse_reader_document(VkSparseReader *reader, uint32 document, VkSparseDocument *out)
{
	int			page = document / VK_SPARSE_DOCUMENTS_PER_PAGE;
	int			place = document % VK_SPARSE_DOCUMENTS_PER_PAGE;

	Assert(document < reader->root.documents);
	if (reader->documents_page != page)
	{
		if (BufferIsValid(reader->documents))
			vk_page_release(reader->documents);
		reader->documents_page = -1;
		reader->documents = reader_page(reader, reader->root.document_blocks[page],
										VK_SPARSE_DOCUMENTS);
		if (!BufferIsValid(reader->documents))
			return false;
		vk_sparse_page_limits(reader->index, reader->documents, 0, sizeof(VkSparsePage) +
							  Min(VK_SPARSE_DOCUMENTS_PER_PAGE,
								  reader->root.documents - page * VK_SPARSE_DOCUMENTS_PER_PAGE) *
							  sizeof(VkSparseDocument));
		reader->documents_page = page;
	}
	memcpy(out, VkSparsePageItems(BufferGetPage(reader->documents)) +
		   place * sizeof(VkSparseDocument), sizeof(VkSparseDocument));
	return true;
}

/* Makes reader->fetch.vec the document's vector; false if the segment is gone. */
bool
vk_sparse_reader_record(VkSparseReader *reader, const VkSparseDocument *document)
{
	switch (vk_sparse_fetch(&reader->fetch, document->block,
							VkSparseDocumentOffset(document)))
	{
		case VK_FETCH_OK:
			break;
		case VK_FETCH_GONE:
			return false;
		case VK_FETCH_INCOMPLETE:
			vk_report_corruption(reader->index->rel, document->block,
								 "A record of segment %u is incomplete.", reader->number);
	}
	if (!ItemPointerEquals(unconstify(ItemPointerData *, &reader->fetch.record->tid),
						   unconstify(ItemPointerData *, &document->tid)))
		vk_report_corruption(reader->index->rel, document->block,
							 "A record of segment %u is another document's.", reader->number);
	vk_sparse_fetch_decode(&reader->fetch);
	return true;
}

/* The norms of one page, to norms[VK_SPARSE_NORMS_PER_PAGE]. */
bool
vk_sparse_reader_norms(VkSparseReader *reader, int page, float *norms, int *count)
{
	Buffer		buffer = reader_page(reader, reader->root.norm_blocks[page], VK_SPARSE_NORMS);

	if (!BufferIsValid(buffer))
		return false;
	*count = Min(VK_SPARSE_NORMS_PER_PAGE,
				 (int) reader->root.documents - page * VK_SPARSE_NORMS_PER_PAGE);
	vk_sparse_page_limits(reader->index, buffer, 0,
						  sizeof(VkSparsePage) + *count * sizeof(float));
	memcpy(norms, VkSparsePageItems(BufferGetPage(buffer)), *count * sizeof(float));
	vk_page_release(buffer);
	return true;
}

/* A copy of an inner page of the term tree; NULL if the segment is gone. */
static Page
inner_page(VkSparseReader *reader, int level, BlockNumber block)
{
	Page		copy = (Page) reader->inner[level].data;
	Buffer		buffer;

	if (reader->inner_blocks[level] == block)
		return copy;
	reader->inner_blocks[level] = InvalidBlockNumber;
	buffer = reader_page(reader, block, VK_SPARSE_INNER);
	if (!BufferIsValid(buffer))
		return NULL;
	memcpy(copy, BufferGetPage(buffer), BLCKSZ);
	vk_page_release(buffer);
	if (VkSparsePageGet(copy)->count == 0 ||
		VkSparsePageGet(copy)->count > VK_SPARSE_INNER_PER_PAGE)
		vk_report_corruption(reader->index->rel, block,
							 "An inner page of terms has %u entries.",
							 VkSparsePageGet(copy)->count);
	reader->inner_blocks[level] = block;
	return copy;
}

/* The block below an inner page in which the term must be. */
static BlockNumber
inner_search(Page page, uint32 term)
{
	const VkSparseInner *entries = (const VkSparseInner *) VkSparsePageItems(page);
	int			low = 0;
	int			high = VkSparsePageGet(page)->count;

	while (high - low > 1)
	{
		int			middle = (low + high) / 2;

		if (entries[middle].term <= term)
			low = middle;
		else
			high = middle;
	}
	return entries[low].block;
}

/* Makes reader->terms the locked page in which the term must be. */
static bool
find_terms_page(VkSparseReader *reader, uint32 term)
{
	BlockNumber block = reader->root.tree;

	for (uint32 level = 0; level < reader->root.levels; level++)
	{
		Page		page = inner_page(reader, level, block);

		if (page == NULL)
			return false;
		block = inner_search(page, term);
	}
	if (BufferIsValid(reader->terms) && reader->terms_block == block)
		return true;
	vk_sparse_reader_terms_release(reader);
	reader->terms = reader_page(reader, block, VK_SPARSE_TERMS);
	reader->terms_block = block;
	if (!BufferIsValid(reader->terms))
		return false;
	vk_sparse_page_limits(reader->index, reader->terms, 0, sizeof(VkSparsePage) +
						  VkSparsePageGet(BufferGetPage(reader->terms))->count *
						  sizeof(VkSparseSlot));
	return true;
}

/*
 * Begins loading the page in which the term will be looked up, as far as the
 * way to it is known.
 */
void
vk_sparse_reader_touch_term(VkSparseReader *reader, uint32 term)
{
	BlockNumber block = reader->root.tree;

	for (uint32 level = 0; level < reader->root.levels; level++)
	{
		if (reader->inner_blocks[level] != block)
			return;
		block = inner_search((Page) reader->inner[level].data, term);
	}
	vk_page_touch(reader->index, block, sizeof(VkSparsePage), TOUCH_SLOTS);
}

/* The same for the document's entry. */
void
vk_sparse_reader_touch_document(VkSparseReader *reader, uint32 document)
{
	int			page = document / VK_SPARSE_DOCUMENTS_PER_PAGE;
	int			place = document % VK_SPARSE_DOCUMENTS_PER_PAGE;

	if (page != reader->documents_page)
		vk_page_touch(reader->index, reader->root.document_blocks[page],
					  sizeof(VkSparsePage) + place * sizeof(VkSparseDocument),
					  sizeof(VkSparseDocument));
}

void
vk_sparse_reader_terms_release(VkSparseReader *reader)
{
	if (BufferIsValid(reader->terms))
		vk_page_release(reader->terms);
	reader->terms = InvalidBuffer;
}

/* Bytes of a posting. */
static inline int
posting_bytes(VkIndex *index)
{
	return sizeof(uint16) + (vk_sparse_has_codes(index->info.metric) ? sizeof(uint8) : 0);
}

static void
check_weights(VkIndex *index, Buffer buffer, uint32 term, const VkSparseListHead *head)
{
	if (!isfinite(head->least) || !isfinite(head->step) || head->step < 0)
		vk_report_corruption(index->rel, BufferGetBlockNumber(buffer),
							 "The weights of term %u are damaged.", term);
}

/* A list that is its slot. */
static void
read_single(VkIndex *index, Buffer buffer, const VkSparseSlot *slot, VkSparsePostings *list)
{
	vk_sparse_weight_unpack(slot->postings & ~VK_SPARSE_SINGLE, &list->head.least,
							&list->head.step);
	check_weights(index, buffer, slot->term, &list->head);
	list->single.document = slot->offset;
	list->single.code = 0;
	list->count = 1;
	list->postings = (const char *) &list->single;
}

/* Fills in a list from its slot, in a locked TERMS page. */
void
vk_sparse_read_list(VkIndex *index, Buffer buffer, const VkSparseSlot *slot,
					VkSparsePostings *list)
{
	Page		page = BufferGetPage(buffer);
	const char *data = VkPageData(page) + slot->offset;
	Size		begin = slot->offset;

	list->nchunks = 0;
	list->is_single = (slot->postings & VK_SPARSE_SINGLE) != 0;
	if (list->is_single)
	{
		read_single(index, buffer, slot, list);
		return;
	}
	if (slot->offset % 4 != 0)
		vk_report_corruption(index->rel, BufferGetBlockNumber(buffer),
							 "The list of term %u is out of place.", slot->term);
	vk_sparse_page_limits(index, buffer, begin, begin + sizeof(VkSparseListHead) + 4);
	memcpy(&list->head, data, sizeof(VkSparseListHead));
	data += sizeof(VkSparseListHead);
	begin += sizeof(VkSparseListHead);
	check_weights(index, buffer, slot->term, &list->head);
	list->count = slot->postings;
	list->postings = data;
	if (slot->postings > 0)
	{
		vk_sparse_page_limits(index, buffer, begin,
							  begin + posting_bytes(index) * slot->postings);
		return;
	}
	list->postings = NULL;
	list->nchunks = *(const uint32 *) data;
	if (list->nchunks < 1 || list->nchunks > VK_SPARSE_MAX_CHUNKS)
		vk_report_corruption(index->rel, BufferGetBlockNumber(buffer),
							 "The list of term %u has %d chunks.", slot->term, list->nchunks);
	vk_sparse_page_limits(index, buffer, begin,
						  begin + 4 + list->nchunks * sizeof(VkSparseChunk));
	memcpy(list->chunks, data + 4, list->nchunks * sizeof(VkSparseChunk));
	for (int i = 0; i < list->nchunks; i++)
		list->count += list->chunks[i].count;
}

/*
 * Looks a term up.  Terms asked for in ascending order are found fastest.  A
 * list within the page stays valid until the next look-up or release.
 */
VkTermResult
vk_sparse_reader_term(VkSparseReader *reader, uint32 term, VkSparsePostings *list)
{
	const VkSparseSlot *slots;
	int			low = 0;
	int			high;

	if (!find_terms_page(reader, term))
		return VK_TERM_GONE;
	slots = (const VkSparseSlot *) VkSparsePageItems(BufferGetPage(reader->terms));
	high = VkSparsePageGet(BufferGetPage(reader->terms))->count;
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (slots[middle].term < term)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == VkSparsePageGet(BufferGetPage(reader->terms))->count ||
		slots[low].term != term)
		return VK_TERM_ABSENT;
	vk_sparse_read_list(reader->index, reader->terms, &slots[low], list);
	return VK_TERM_FOUND;
}

/* Locks the page of a chunk; InvalidBuffer if the segment is gone. */
Buffer
vk_sparse_reader_chunk(VkSparseReader *reader, const VkSparseChunk *chunk,
					   const uint16 **offsets, const uint8 **codes)
{
	Buffer		buffer = reader_page(reader, chunk->block, VK_SPARSE_POSTINGS);
	const char *data;

	if (!BufferIsValid(buffer))
		return InvalidBuffer;
	if (chunk->offset % 2 != 0)
		vk_report_corruption(reader->index->rel, chunk->block, "A chunk is out of place.");
	vk_sparse_page_limits(reader->index, buffer, chunk->offset,
						  chunk->offset + posting_bytes(reader->index) * chunk->count);
	data = VkPageData(BufferGetPage(buffer)) + chunk->offset;
	*offsets = (const uint16 *) data;
	*codes = (const uint8 *) (data + 2 * chunk->count);
	return buffer;
}
