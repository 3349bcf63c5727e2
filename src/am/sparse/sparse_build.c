/*-------------------------------------------------------------------------
 *
 * sparse_build.c
 *	  Writes a segment: forward records as they come, posting lists at the end.
 *
 * While documents are added, their records go to disk; their elements are
 * collected as (term, document, weight).  Finishing sorts these by term, which
 * keeps the documents of a term in order, and writes list after list.  When they
 * outgrow the memory allowed, they are dropped, and gathered again from the
 * records, one range of terms after the other; the ranges follow from counts
 * per bucket of terms.
 *
 * Every page is entered in the list of the segment's blocks by the same WAL
 * record that makes it ours, so that a crash or an error leaves no page that
 * nobody knows: who comes next finds the BUILDING segment in the head page
 * and frees its blocks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/sparse/sparse.h"

typedef struct Element
{
	uint32		term;
	uint32		document;
	float		weight;
} Element;

/* Buckets of terms, by their highest bits. */
#define BUCKETS			4096

/* Sorting goes by digits of this many bits. */
#define DIGIT_BITS		11
#define DIGITS			(1 << DIGIT_BITS)

/* A page being filled. */
typedef struct PageImage
{
	BlockNumber block;			/* Invalid: none begun */
	int			used;
	int			count;
	char		bytes[VK_SPARSE_SPACE];
} PageImage;

struct VkSparseBuilder
{
	VkIndex    *index;
	VkStoreRef	ref;
	Size		memory;
	MemoryContext context;
	VkSparseSegment segment;
	BlockNumber blocks_last;	/* last page of the list of blocks */
	int			blocks_free;	/* room on it */

	VkSparseDocument *documents;
	float	   *norms;
	uint32		allocated;
	uint16	   *irregular;		/* documents that are in no other list */
	uint32		nirregular;
	Element    *elements;		/* NULL: dropped, or there are none */
	uint64		nelements;		/* of regular documents, dropped or not */
	uint64		elements_allocated;
	bool		dropped;
	int			bucket_shift;
	uint32		buckets[BUCKETS];
	char	   *record;			/* of the longest document so far */
	Size		record_size;
	PageImage	records;
	VkBlockList holdings;		/* pages of records, adopted ones included */

	/* while finishing */
	VkSparseReader reader;
	uint32		terms;			/* lists written */
	uint16	   *offsets;		/* of the present list */
	uint8	   *codes;
	PageImage	lists;			/* POSTINGS */
	VkSparseSlot *slots;		/* of the TERMS page being filled */
	int			nslots;
	char	   *payload;
	int			payload_used;
	VkSparseInner *level;		/* pages of the level below */
	int			level_count;
	int			level_allocated;
};

/* ------------------------------------------------------------------------
 * Pages
 * ------------------------------------------------------------------------ */

/* Begins a new page of the list of blocks, chained to the last. */
static void
add_blocks_page(VkSparseBuilder *builder)
{
	Buffer		buffer = vk_page_allocate(builder->index);
	BlockNumber block = BufferGetBlockNumber(buffer);
	Buffer		last = InvalidBuffer;
	VkEdit		edit;
	Page		page;

	if (builder->blocks_last != InvalidBlockNumber)
		last = vk_page_read(builder->index, builder->blocks_last, VK_SPARSE_BLOCKS,
							builder->ref.split_id, BUFFER_LOCK_EXCLUSIVE);
	vk_edit_start(&edit, builder->index);
	page = vk_edit_new(&edit, buffer, VK_SPARSE_BLOCKS, builder->ref.split_id);
	VkSparsePageGet(page)->number = builder->segment.number;
	VkPageSetUsed(page, sizeof(VkSparsePage));
	if (BufferIsValid(last))
		vk_edit_put_uint32(&edit, vk_edit_page(&edit, last),
						   &VkPageGetOpaque(BufferGetPage(last))->next, block);
	vk_edit_commit(&edit);
	vk_page_release(buffer);
	if (BufferIsValid(last))
		vk_page_release(last);
	builder->blocks_last = block;
	builder->blocks_free = VK_SPARSE_BLOCKS_PER_PAGE;
	builder->segment.pages++;
}

/* An empty page of the segment, entered in its list of blocks. */
static BlockNumber
new_page(VkSparseBuilder *builder, int kind)
{
	Buffer		list;
	Buffer		buffer;
	BlockNumber block;
	VkEdit		edit;
	Page		page;
	Page		list_page;
	int			at;

	if (builder->blocks_free == 0)
		add_blocks_page(builder);
	list = vk_page_read(builder->index, builder->blocks_last, VK_SPARSE_BLOCKS,
						builder->ref.split_id, BUFFER_LOCK_EXCLUSIVE);
	buffer = vk_page_allocate(builder->index);
	block = BufferGetBlockNumber(buffer);
	vk_edit_start(&edit, builder->index);
	page = vk_edit_new(&edit, buffer, kind, builder->ref.split_id);
	VkSparsePageGet(page)->number = builder->segment.number;
	if (kind == VK_SPARSE_RECORDS)
		VkSparsePageGet(page)->stamp = builder->segment.number;
	VkPageSetUsed(page, sizeof(VkSparsePage));
	at = vk_edit_page(&edit, list);
	list_page = BufferGetPage(list);
	vk_edit_put_uint32(&edit, at, (char *) list_page + ((PageHeader) list_page)->pd_lower, block);
	vk_edit_put_uint16(&edit, at, &VkSparsePageGet(list_page)->count,
					   VkSparsePageGet(list_page)->count + 1);
	vk_edit_put_uint16(&edit, at, &((PageHeader) list_page)->pd_lower,
					   ((PageHeader) list_page)->pd_lower + sizeof(BlockNumber));
	vk_edit_commit_release(&edit);
	builder->blocks_free--;
	if (kind == VK_SPARSE_RECORDS)
		vk_blocks_add(&builder->holdings, block);
	else
		builder->segment.pages++;
	return block;
}

/* Fills a page with its final content. */
static void
write_page(VkSparseBuilder *builder, BlockNumber block, int kind, const void *bytes,
		   int length, int count, BlockNumber next)
{
	Buffer		buffer = vk_page_read(builder->index, block, kind, builder->ref.split_id,
									  BUFFER_LOCK_EXCLUSIVE);
	VkEdit		edit;
	Page		page;

	Assert(length <= VK_SPARSE_SPACE);
	vk_edit_start(&edit, builder->index);
	page = vk_edit_new(&edit, buffer, kind, builder->ref.split_id);
	VkSparsePageGet(page)->number = builder->segment.number;
	VkSparsePageGet(page)->count = count;
	if (kind == VK_SPARSE_RECORDS)
		VkSparsePageGet(page)->stamp = builder->segment.number;
	memcpy(VkSparsePageItems(page), bytes, length);
	VkPageSetUsed(page, sizeof(VkSparsePage) + length);
	VkPageGetOpaque(page)->next = next;
	vk_edit_commit_release(&edit);
}

static void
image_begin(VkSparseBuilder *builder, PageImage *image, int kind)
{
	image->block = new_page(builder, kind);
	image->used = image->count = 0;
}

static void
image_end(VkSparseBuilder *builder, PageImage *image, int kind, BlockNumber next)
{
	if (image->block != InvalidBlockNumber)
		write_page(builder, image->block, kind, image->bytes, image->used, image->count, next);
	image->block = InvalidBlockNumber;
}

/* Writes an array of items to as many pages as it takes; their blocks to blocks. */
static int
write_array(VkSparseBuilder *builder, int kind, const char *items, int count,
			int item_size, int per_page, BlockNumber *blocks)
{
	int			pages = 0;

	for (int first = 0; first < count; first += per_page)
	{
		int			here = Min(per_page, count - first);

		blocks[pages] = new_page(builder, kind);
		write_page(builder, blocks[pages], kind, items + (Size) first * item_size,
				   here * item_size, here, InvalidBlockNumber);
		pages++;
	}
	return pages;
}

/* ------------------------------------------------------------------------
 * Adding documents
 * ------------------------------------------------------------------------ */

/*
 * Registers the segment in the head page and begins the list of its blocks.
 * The caller holds the merge lock and has made sure that the split is there.
 */
static void
register_segment(VkSparseBuilder *builder)
{
	VkSparseSegment *segment = &builder->segment;
	Buffer		buffer = vk_page_allocate(builder->index);
	VkSparseHead *head;
	Buffer		head_buffer;
	VkEdit		edit;
	Page		page;

	segment->state = VK_SEGMENT_BUILDING;
	segment->blocks = builder->blocks_last = BufferGetBlockNumber(buffer);
	segment->root = segment->holdings = InvalidBlockNumber;
	segment->pages = 1;
	builder->blocks_free = VK_SPARSE_BLOCKS_PER_PAGE;

	/* The page is nobody's yet: locking the head after it harms no one. */
	head_buffer = vk_sparse_head_lock(builder->index, builder->ref, &head);
	if (!BufferIsValid(head_buffer))
		elog(ERROR, "split %u vanished under a merge", builder->ref.split_id);
	vk_edit_start(&edit, builder->index);
	page = vk_edit_copy(&edit, head_buffer);
	head = (VkSparseHead *) VkPageData(page);
	if (head->count >= VK_SPARSE_HEAD_SEGMENTS)
		elog(ERROR, "no room for another segment of split %u", builder->ref.split_id);
	segment->number = head->next_number++;
	head->segments[head->count++] = *segment;
	VkPageSetUsed(page, offsetof(VkSparseHead, segments) +
				  head->count * sizeof(VkSparseSegment));
	page = vk_edit_new(&edit, buffer, VK_SPARSE_BLOCKS, builder->ref.split_id);
	VkSparsePageGet(page)->number = segment->number;
	VkPageSetUsed(page, sizeof(VkSparsePage));
	vk_edit_commit_release(&edit);
}

/* Begins a segment.  memory: bytes to stay about within. */
VkSparseBuilder *
vk_sparse_builder_begin(VkIndex *index, VkStoreRef ref, Size memory)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "vektonn sparse build",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	VkSparseBuilder *builder = palloc0(sizeof(VkSparseBuilder));

	builder->context = context;
	builder->index = index;
	builder->ref = ref;
	builder->memory = memory;
	builder->allocated = VK_SPARSE_DOCUMENTS_PER_PAGE;
	builder->documents = palloc(sizeof(VkSparseDocument) * builder->allocated);
	builder->norms = palloc(sizeof(float) * builder->allocated);
	builder->irregular = palloc(sizeof(uint16) * VK_SPARSE_SEGMENT_DOCS);
	while ((index->info.dim - 1) >> builder->bucket_shift >= BUCKETS)
		builder->bucket_shift++;
	builder->records.block = builder->lists.block = InvalidBlockNumber;
	register_segment(builder);
	MemoryContextSwitchTo(old);
	return builder;
}

/* The segment has taken all it may: finish it and begin another. */
bool
vk_sparse_builder_full(VkSparseBuilder *builder)
{
	return builder->segment.documents == VK_SPARSE_SEGMENT_DOCS;
}

/* Elements to keep in memory while documents are added; as many more to sort. */
static uint64
elements_limit(VkSparseBuilder *builder)
{
	return Max(builder->memory / 4 / sizeof(Element), VK_SPARSE_SEGMENT_DOCS);
}

/* Makes room for more elements, or drops them all. */
static void
grow_elements(VkSparseBuilder *builder, int more)
{
	Size		size;

	if (builder->nelements + more > elements_limit(builder))
	{
		if (builder->elements != NULL)
			pfree(builder->elements);
		builder->elements = NULL;
		builder->dropped = true;
		return;
	}
	builder->elements_allocated = Max(builder->elements_allocated * 2,
									  builder->nelements + more);
	size = builder->elements_allocated * sizeof(Element);
	builder->elements = builder->elements == NULL ? palloc_extended(size, MCXT_ALLOC_HUGE) :
		repalloc_huge(builder->elements, size);
}

/* Collects the elements of a regular document. */
static void
collect_elements(VkSparseBuilder *builder, uint32 document, const VkSparse *vec)
{
	double		scale = vk_sparse_weight_scale(builder->index->info.metric, vec);

	if (!builder->dropped && builder->nelements + vec->nnz > builder->elements_allocated)
		grow_elements(builder, vec->nnz);
	for (int i = 0; i < vec->nnz; i++)
		builder->buckets[vec->indices[i] >> builder->bucket_shift]++;
	for (int i = 0; i < vec->nnz && !builder->dropped; i++)
	{
		Element    *element = &builder->elements[builder->nelements + i];

		element->term = vec->indices[i];
		element->document = document;
		element->weight = vec->values[i] * scale;
	}
	builder->nelements += vec->nnz;
}

/* Writes the record to pages of the segment; sets where it begins. */
static void
write_record(VkSparseBuilder *builder, const char *record, int length,
			 VkSparseDocument *document)
{
	PageImage  *image = &builder->records;
	int			room = image->block == InvalidBlockNumber ? 0 : VK_SPARSE_SPACE - image->used;

	if (room < length &&
		(length <= VK_SPARSE_SPAN || room < (int) sizeof(VkSparseRecord)))
	{
		image_end(builder, image, VK_SPARSE_RECORDS, InvalidBlockNumber);
		image_begin(builder, image, VK_SPARSE_RECORDS);
	}
	document->block = image->block;
	document->place |= sizeof(VkSparsePage) + image->used;
	image->count++;
	for (int written = 0; written < length;)
	{
		int			piece = Min(length - written, VK_SPARSE_SPACE - image->used);

		memcpy(image->bytes + image->used, record + written, piece);
		image->used += piece;
		written += piece;
		if (written < length)
		{
			BlockNumber next = new_page(builder, VK_SPARSE_RECORDS);

			image_end(builder, image, VK_SPARSE_RECORDS, next);
			image->block = next;
			image->used = image->count = 0;
		}
	}
}

static void
grow_documents(VkSparseBuilder *builder)
{
	builder->allocated = Min(builder->allocated * 2, VK_SPARSE_SEGMENT_DOCS);
	builder->documents = repalloc(builder->documents,
								  sizeof(VkSparseDocument) * builder->allocated);
	builder->norms = repalloc(builder->norms, sizeof(float) * builder->allocated);
}

/*
 * The entry of another document.  What it needs but its place is collected;
 * `length` is that of its record.
 */
static VkSparseDocument *
add_document(VkSparseBuilder *builder, const ItemPointerData * tid, const VkSparse *vec,
			 uint32 length)
{
	VkMetric	metric = builder->index->info.metric;
	VkSparseSegment *segment = &builder->segment;
	VkSparseDocument *document;

	CHECK_FOR_INTERRUPTS();
	if (segment->documents >= VK_SPARSE_SEGMENT_DOCS)
		elog(ERROR, "too many rows for one segment of split %u", builder->ref.split_id);
	if (segment->documents == builder->allocated)
		grow_documents(builder);
	document = &builder->documents[segment->documents];
	document->tid = *tid;
	document->place = 0;
	builder->norms[segment->documents] = 0;
	if (vk_sparse_regular(metric, vec))
	{
		builder->norms[segment->documents] = vk_sparse_document_norm(metric, vec);
		collect_elements(builder, segment->documents, vec);
	}
	else
	{
		document->place = VK_SPARSE_DOCUMENT_IRREGULAR;
		builder->irregular[builder->nirregular++] = segment->documents;
	}
	segment->documents++;
	segment->elements += vec->nnz;
	segment->record_words += length / 4;
	return document;
}

void
vk_sparse_builder_add(VkSparseBuilder *builder, const ItemPointerData * tid,
					  const VkSparse *vec)
{
	MemoryContext old = MemoryContextSwitchTo(builder->context);
	uint32		length = vk_sparse_record_size(vec);
	VkSparseDocument *document = add_document(builder, tid, vec, length);

	if (builder->record_size < length)
	{
		if (builder->record != NULL)
			pfree(builder->record);
		builder->record = palloc(length);
		builder->record_size = length;
	}
	vk_sparse_record_encode(vec, builder->index->info.dim, tid, builder->record);
	write_record(builder, builder->record, length, document);
	MemoryContextSwitchTo(old);
}

/*
 * Adds a document whose record stays where it is: in a page that the caller
 * has the builder adopt as well.
 */
void
vk_sparse_builder_adopt(VkSparseBuilder *builder, const VkSparseRecord *record,
						BlockNumber block, int offset, const VkSparse *vec)
{
	MemoryContext old = MemoryContextSwitchTo(builder->context);
	VkSparseDocument *document = add_document(builder, &record->tid, vec, record->length);

	document->block = block;
	document->place |= offset;
	MemoryContextSwitchTo(old);
}

/* The segment will hold this page of records, and free it in the end. */
void
vk_sparse_builder_adopt_page(VkSparseBuilder *builder, BlockNumber block)
{
	MemoryContext old = MemoryContextSwitchTo(builder->context);

	vk_blocks_add(&builder->holdings, block);
	MemoryContextSwitchTo(old);
}

/* ------------------------------------------------------------------------
 * Posting lists
 * ------------------------------------------------------------------------ */

/* One pass of a radix sort: by the digit at `shift`, keeping order otherwise. */
static void
sort_by_digit(const Element *from, Element *to, uint64 count, uint32 base, int shift)
{
	uint64		starts[DIGITS] = {0};
	uint64		start = 0;

	for (uint64 i = 0; i < count; i++)
		starts[(from[i].term - base) >> shift & (DIGITS - 1)]++;
	for (int digit = 0; digit < DIGITS; digit++)
	{
		uint64		here = starts[digit];

		starts[digit] = start;
		start += here;
	}
	for (uint64 i = 0; i < count; i++)
		to[starts[(from[i].term - base) >> shift & (DIGITS - 1)]++] = from[i];
}

/*
 * Sorts elements whose terms lie in base .. base + range - 1 by term.  Returns
 * the sorted array, which is one of the two.
 */
static Element *
sort_elements(Element *elements, Element *spare, uint64 count, uint32 base, uint64 range)
{
	for (int shift = 0; range > 1 && (range - 1) >> shift > 0; shift += DIGIT_BITS)
	{
		Element    *sorted = spare;

		sort_by_digit(elements, spare, count, base, shift);
		spare = elements;
		elements = sorted;
		CHECK_FOR_INTERRUPTS();
	}
	return elements;
}

/* Gathers the elements with terms from .. to - 1 from the records. */
static uint64
gather_elements(VkSparseBuilder *builder, uint64 from, uint64 to, Element *elements)
{
	VkSparseReader *reader = &builder->reader;
	uint64		count = 0;

	for (uint32 d = 0; d < builder->segment.documents; d++)
	{
		const VkSparse *vec = &reader->fetch.vec;
		double		scale;

		if (d % VK_SPARSE_INTERRUPT == 0)
		{
			vk_sparse_fetch_release(&reader->fetch);
			CHECK_FOR_INTERRUPTS();
		}
		if (builder->documents[d].place & VK_SPARSE_DOCUMENT_IRREGULAR)
			continue;
		if (!vk_sparse_reader_record(reader, &builder->documents[d]))
			vk_sparse_report_gone(builder->index, builder->ref, builder->segment.number);
		scale = vk_sparse_weight_scale(builder->index->info.metric, vec);
		for (int i = 0; i < vec->nnz; i++)
		{
			uint64		term = vec->indices[i];

			if (term < from || term >= to)
				continue;
			elements[count].term = term;
			elements[count].document = d;
			elements[count++].weight = vec->values[i] * scale;
		}
	}
	vk_sparse_fetch_release(&reader->fetch);
	return count;
}

/* Notes a finished page of a tree level; least: its least term. */
static void
level_add(VkSparseBuilder *builder, uint32 least, BlockNumber block)
{
	if (builder->level_count == builder->level_allocated)
	{
		builder->level_allocated = Max(64, builder->level_allocated * 2);
		builder->level = builder->level == NULL ?
			palloc(sizeof(VkSparseInner) * builder->level_allocated) :
			repalloc(builder->level, sizeof(VkSparseInner) * builder->level_allocated);
	}
	builder->level[builder->level_count].term = least;
	builder->level[builder->level_count++].block = block;
}

/* Writes the TERMS page collected so far. */
static void
flush_terms(VkSparseBuilder *builder)
{
	int			slot_bytes = builder->nslots * sizeof(VkSparseSlot);
	BlockNumber block = new_page(builder, VK_SPARSE_TERMS);

	for (int i = 0; i < builder->nslots; i++)
	{
		if (!(builder->slots[i].postings & VK_SPARSE_SINGLE))
			builder->slots[i].offset += sizeof(VkSparsePage) + slot_bytes;
	}
	/* slots has room for a whole page. */
	memcpy((char *) builder->slots + slot_bytes, builder->payload, builder->payload_used);
	write_page(builder, block, VK_SPARSE_TERMS, builder->slots,
			   slot_bytes + builder->payload_used, builder->nslots, InvalidBlockNumber);
	level_add(builder, builder->nslots > 0 ? builder->slots[0].term : 0, block);
	builder->nslots = builder->payload_used = 0;
}

/* Writes a list's postings to POSTINGS pages; returns the number of chunks. */
static uint32
write_chunks(VkSparseBuilder *builder, const uint16 *offsets, const uint8 *codes,
			 int count, VkSparseChunk *chunks)
{
	int			width = vk_sparse_has_codes(builder->index->info.metric) ? 3 : 2;
	PageImage  *image = &builder->lists;
	uint32		nchunks = 0;

	while (count > 0)
	{
		int			room = image->block == InvalidBlockNumber ? 0 :
		(VK_SPARSE_SPACE - image->used) / width;
		int			here;

		/* Rather a new page than a piece too small to be worth a page access. */
		if (room < count && room < VK_SPARSE_INLINE_POSTINGS)
		{
			image_end(builder, image, VK_SPARSE_POSTINGS, InvalidBlockNumber);
			image_begin(builder, image, VK_SPARSE_POSTINGS);
			continue;
		}
		here = Min(room, count);
		Assert(nchunks < VK_SPARSE_MAX_CHUNKS);
		chunks[nchunks].block = image->block;
		chunks[nchunks].offset = sizeof(VkSparsePage) + image->used;
		chunks[nchunks++].count = here;
		memcpy(image->bytes + image->used, offsets, here * 2);
		image->used += here * 2;
		if (width == 3)
		{
			memcpy(image->bytes + image->used, codes, here);
			image->used += here;
			image->used += image->used & 1;
		}
		image->count++;
		offsets += here;
		codes += here;
		count -= here;
	}
	return nchunks;
}

/* Adds a list, whose postings are in builder->offsets and codes, to the TERMS pages. */
static void
write_list(VkSparseBuilder *builder, uint32 term, int count, const VkSparseListHead *head)
{
	bool		has_codes = vk_sparse_has_codes(builder->index->info.metric);
	bool		within = count <= VK_SPARSE_INLINE_POSTINGS;
	VkSparseSlot *slot;
	VkSparseChunk chunks[VK_SPARSE_MAX_CHUNKS];
	uint32		nchunks = 0;
	int			length;
	char	   *out;

	if (count == 1)
		length = 0;
	else if (within)
		length = sizeof(*head) + count * (has_codes ? 3 : 2);
	else
	{
		nchunks = write_chunks(builder, builder->offsets, builder->codes, count, chunks);
		length = sizeof(*head) + sizeof(nchunks) + nchunks * sizeof(VkSparseChunk);
	}
	length = (length + 3) & ~3;
	if ((builder->nslots + 1) * (int) sizeof(VkSparseSlot) +
		builder->payload_used + length > VK_SPARSE_SPACE)
		flush_terms(builder);
	slot = &builder->slots[builder->nslots++];
	slot->term = term;
	builder->terms++;
	if (count == 1)
	{
		slot->offset = builder->offsets[0];
		slot->postings = VK_SPARSE_SINGLE | vk_sparse_weight_pack(head->least);
		return;
	}
	slot->offset = builder->payload_used;
	slot->postings = within ? count : 0;
	out = builder->payload + builder->payload_used;
	memset(out, 0, length);
	memcpy(out, head, sizeof(*head));
	out += sizeof(*head);
	if (within)
	{
		memcpy(out, builder->offsets, 2 * count);
		if (has_codes)
			memcpy(out + 2 * count, builder->codes, count);
	}
	else
	{
		memcpy(out, &nchunks, sizeof(nchunks));
		memcpy(out + sizeof(nchunks), chunks, nchunks * sizeof(VkSparseChunk));
	}
	builder->payload_used += length;
}

/* Builds inner levels until one page is left; returns it. */
static BlockNumber
write_tree(VkSparseBuilder *builder, uint32 *levels)
{
	*levels = 0;
	while (builder->level_count > 1)
	{
		int			pages = (builder->level_count + VK_SPARSE_INNER_PER_PAGE - 1) /
		VK_SPARSE_INNER_PER_PAGE;
		BlockNumber *blocks = palloc(sizeof(BlockNumber) * pages);

		pages = write_array(builder, VK_SPARSE_INNER, (const char *) builder->level,
							builder->level_count, sizeof(VkSparseInner),
							VK_SPARSE_INNER_PER_PAGE, blocks);
		for (int i = 0; i < pages; i++)
		{
			builder->level[i].term = builder->level[i * VK_SPARSE_INNER_PER_PAGE].term;
			builder->level[i].block = blocks[i];
		}
		builder->level_count = pages;
		pfree(blocks);
		(*levels)++;
	}
	Assert(*levels <= VK_SPARSE_MAX_LEVELS);
	return builder->level[0].block;
}

/* Codes and writes the list that a run of elements of one term makes. */
static void
write_run(VkSparseBuilder *builder, const Element *run, int count)
{
	float		least = run[0].weight;
	float		most = run[0].weight;
	VkSparseListHead head;

	for (int i = 1; i < count; i++)
	{
		least = Min(least, run[i].weight);
		most = Max(most, run[i].weight);
	}
	head.least = least;
	head.step = vk_sparse_step(least, most);
	for (int i = 0; i < count; i++)
	{
		builder->offsets[i] = run[i].document;
		builder->codes[i] = vk_sparse_code(head.least, head.step, run[i].weight);
	}
	write_list(builder, run[0].term, count, &head);
}

static void
write_runs(VkSparseBuilder *builder, const Element *elements, uint64 count)
{
	uint64		end;

	for (uint64 begin = 0; begin < count; begin = end)
	{
		for (end = begin + 1; end < count && elements[end].term == elements[begin].term;)
			end++;
		write_run(builder, elements + begin, end - begin);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Writes the lists of dropped elements, range after range of buckets. */
static void
write_dropped(VkSparseBuilder *builder)
{
	uint64		limit = elements_limit(builder);
	uint64		size = 0;
	Element    *elements;
	Element    *spare;

	for (int bucket = 0; bucket < BUCKETS; bucket++)
		limit = Max(limit, builder->buckets[bucket]);
	size = Min(limit, builder->nelements) * sizeof(Element);
	elements = palloc_extended(size, MCXT_ALLOC_HUGE);
	spare = palloc_extended(size, MCXT_ALLOC_HUGE);
	for (int from = 0, to; from < BUCKETS; from = to)
	{
		uint64		first = (uint64) from << builder->bucket_shift;
		uint64		end;
		uint64		count = builder->buckets[from];

		for (to = from + 1; to < BUCKETS && count + builder->buckets[to] <= limit; to++)
			count += builder->buckets[to];
		end = (uint64) to << builder->bucket_shift;
		if (count == 0)
			continue;
		if (gather_elements(builder, first, end, elements) != count)
			vk_sparse_report_gone(builder->index, builder->ref, builder->segment.number);
		write_runs(builder, sort_elements(elements, spare, count, first, end - first), count);
	}
	pfree(elements);
	pfree(spare);
}

/* Writes all posting lists. */
static void
write_lists(VkSparseBuilder *builder)
{
	VkSparseListHead none = {0, 0};

	builder->offsets = palloc(sizeof(uint16) * VK_SPARSE_SEGMENT_DOCS);
	builder->codes = palloc0(VK_SPARSE_SEGMENT_DOCS);
	if (builder->dropped)
		write_dropped(builder);
	else if (builder->nelements > 0)
	{
		Element    *spare = palloc_extended(builder->nelements * sizeof(Element),
											MCXT_ALLOC_HUGE);

		write_runs(builder, sort_elements(builder->elements, spare, builder->nelements, 0,
										  builder->index->info.dim), builder->nelements);
	}
	if (builder->nirregular > 0)
	{
		memcpy(builder->offsets, builder->irregular, sizeof(uint16) * builder->nirregular);
		memset(builder->codes, 0, builder->nirregular);
		write_list(builder, VK_SPARSE_IRREGULAR_TERM, builder->nirregular, &none);
	}
	image_end(builder, &builder->lists, VK_SPARSE_POSTINGS, InvalidBlockNumber);
	if (builder->nslots > 0 || builder->level_count == 0)
		flush_terms(builder);
}

/* Opens the unfinished segment for reading its own records. */
static void
open_self(VkSparseBuilder *builder)
{
	VkSparseReader *reader = &builder->reader;

	memset(reader, 0, sizeof(*reader));
	reader->index = builder->index;
	reader->split_id = builder->ref.split_id;
	reader->number = builder->segment.number;
	vk_sparse_fetch_init(&reader->fetch, builder->index, builder->ref.split_id);
	reader->fetch.stamp = builder->segment.number;
}

/* Writes the list of the pages of records, from its last page to its first. */
static void
write_holdings(VkSparseBuilder *builder)
{
	const VkBlockList *holdings = &builder->holdings;
	BlockNumber next = InvalidBlockNumber;
	int			end = holdings->count;

	while (end > 0)
	{
		int			first = (end - 1) / VK_SPARSE_BLOCKS_PER_PAGE * VK_SPARSE_BLOCKS_PER_PAGE;
		BlockNumber block = new_page(builder, VK_SPARSE_HOLDINGS);

		write_page(builder, block, VK_SPARSE_HOLDINGS, holdings->blocks + first,
				   (end - first) * sizeof(BlockNumber), end - first, next);
		next = block;
		end = first;
	}
	builder->segment.holdings = next;
	builder->segment.record_pages = holdings->count;
}

/*
 * Finishes the segment and frees the builder.  *segment is its descriptor,
 * LIVE; making it so on disk is up to the caller.
 */
void
vk_sparse_builder_finish(VkSparseBuilder *builder, VkSparseSegment *segment)
{
	MemoryContext old = MemoryContextSwitchTo(builder->context);
	VkSparseRoot root = {0};

	image_end(builder, &builder->records, VK_SPARSE_RECORDS, InvalidBlockNumber);
	write_holdings(builder);
	open_self(builder);
	builder->slots = palloc(VK_SPARSE_SPACE);
	builder->payload = palloc(VK_SPARSE_SPACE);
	write_lists(builder);

	root.documents = builder->segment.documents;
	root.terms = builder->terms;
	root.tree = write_tree(builder, &root.levels);
	root.document_pages = write_array(builder, VK_SPARSE_DOCUMENTS,
									  (const char *) builder->documents, root.documents,
									  sizeof(VkSparseDocument), VK_SPARSE_DOCUMENTS_PER_PAGE,
									  root.document_blocks);
	if (vk_sparse_has_norms(builder->index->info.metric))
		root.norm_pages = write_array(builder, VK_SPARSE_NORMS, (const char *) builder->norms,
									  root.documents, sizeof(float), VK_SPARSE_NORMS_PER_PAGE,
									  root.norm_blocks);
	builder->segment.root = new_page(builder, VK_SPARSE_ROOT);
	write_page(builder, builder->segment.root, VK_SPARSE_ROOT,
			   (char *) &root + sizeof(VkSparsePage), sizeof(root) - sizeof(VkSparsePage),
			   0, InvalidBlockNumber);
	builder->segment.state = VK_SEGMENT_LIVE;
	*segment = builder->segment;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(builder->context);
}
