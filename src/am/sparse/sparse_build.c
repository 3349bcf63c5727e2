/*-------------------------------------------------------------------------
 *
 * sparse_build.c
 *	  Writes a segment: forward records as they come, posting lists at the end.
 *
 * While documents are added, their records go to disk and only their places,
 * their norms and one entry per term stay in memory.  Finishing reads the
 * records once more and sorts their elements into the lists by counting: the
 * entries know how long each list is and in which range its weights lie.  If
 * the postings do not fit into the memory allowed, that is done for one range
 * of terms after the other.
 *
 * Every page is entered in the list of the segment's blocks by the same WAL
 * record that makes it ours, so that a crash or an error leaves no page that
 * nobody knows: who comes next finds the BUILDING segment in the head page
 * and frees its blocks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/sparse/sparse.h"

typedef struct TermEntry
{
	uint32		term;
	uint32		count;			/* postings */
	float		least;
	float		most;
	uint32		filled;			/* postings placed so far */
	uint32		place;			/* in the sorted array of entries */
	uint64		start;			/* of the list, among all postings */
	char		status;
} TermEntry;

#define SH_PREFIX			termhash
#define SH_ELEMENT_TYPE		TermEntry
#define SH_KEY_TYPE			uint32
#define SH_KEY				term
#define SH_HASH_KEY(tb, key) murmurhash32(key)
#define SH_EQUAL(tb, a, b)	((a) == (b))
#define SH_SCOPE			static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

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
	termhash_hash *terms;
	uint64		postings;
	char	   *record;			/* of the longest document so far */
	Size		record_size;
	PageImage	forward;

	/* while finishing */
	VkSparseReader reader;
	TermEntry **sorted;
	uint16	   *offsets;		/* of the present range of terms */
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
	segment->root = InvalidBlockNumber;
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
	builder->terms = termhash_create(context, 1024, NULL);
	builder->forward.block = builder->lists.block = InvalidBlockNumber;
	register_segment(builder);
	MemoryContextSwitchTo(old);
	return builder;
}

/* The segment has taken all it may: finish it and begin another. */
bool
vk_sparse_builder_full(VkSparseBuilder *builder)
{
	/* The table of terms doubles: stop before that takes all memory. */
	return builder->segment.documents == VK_SPARSE_SEGMENT_DOCS ||
		(Size) builder->terms->members * sizeof(TermEntry) * 4 > builder->memory;
}

static void
count_term(VkSparseBuilder *builder, uint32 term, float weight)
{
	bool		found;
	TermEntry  *entry = termhash_insert(builder->terms, term, &found);

	builder->postings++;
	if (!found)
	{
		entry->count = 1;
		entry->least = entry->most = weight;
		return;
	}
	entry->count++;
	entry->least = Min(entry->least, weight);
	entry->most = Max(entry->most, weight);
}

/* Writes the record to the forward pages; sets where it begins. */
static void
write_record(VkSparseBuilder *builder, const char *record, int length,
			 VkSparseDocument *document)
{
	PageImage  *image = &builder->forward;
	int			room = image->block == InvalidBlockNumber ? 0 : VK_SPARSE_SPACE - image->used;

	if (room < length &&
		(length <= VK_SPARSE_SPAN || room < (int) sizeof(VkSparseRecord)))
	{
		image_end(builder, image, VK_SPARSE_FORWARD, InvalidBlockNumber);
		image_begin(builder, image, VK_SPARSE_FORWARD);
	}
	document->block = image->block;
	document->place = sizeof(VkSparsePage) + image->used;
	image->count++;
	for (int written = 0; written < length;)
	{
		int			piece = Min(length - written, VK_SPARSE_SPACE - image->used);

		memcpy(image->bytes + image->used, record + written, piece);
		image->used += piece;
		written += piece;
		if (written < length)
		{
			BlockNumber next = new_page(builder, VK_SPARSE_FORWARD);

			image_end(builder, image, VK_SPARSE_FORWARD, next);
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

void
vk_sparse_builder_add(VkSparseBuilder *builder, const ItemPointerData *tid,
					  const VkSparse *vec)
{
	MemoryContext old = MemoryContextSwitchTo(builder->context);
	VkMetric	metric = builder->index->info.metric;
	uint32		length = vk_sparse_record_size(vec);
	VkSparseDocument *document;

	CHECK_FOR_INTERRUPTS();
	if (builder->segment.documents >= VK_SPARSE_SEGMENT_DOCS)
		elog(ERROR, "too many rows for one segment of split %u", builder->ref.split_id);
	if (builder->segment.documents == builder->allocated)
		grow_documents(builder);
	if (builder->record_size < length)
	{
		if (builder->record != NULL)
			pfree(builder->record);
		builder->record = palloc(length);
		builder->record_size = length;
	}
	vk_sparse_record_encode(vec, builder->index->info.dim, tid, builder->record);
	document = &builder->documents[builder->segment.documents];
	document->tid = *tid;
	write_record(builder, builder->record, length, document);
	builder->norms[builder->segment.documents] = 0;
	if (vk_sparse_regular(metric, vec))
	{
		double		scale = vk_sparse_weight_scale(metric, vec);

		builder->norms[builder->segment.documents] = vk_sparse_document_norm(metric, vec);
		for (int i = 0; i < vec->nnz; i++)
			count_term(builder, vec->indices[i], vec->values[i] * scale);
	}
	else
	{
		document->place |= VK_SPARSE_DOCUMENT_IRREGULAR;
		count_term(builder, VK_SPARSE_IRREGULAR_TERM, 0);
	}
	builder->segment.documents++;
	builder->segment.elements += vec->nnz;
	MemoryContextSwitchTo(old);
}

/* ------------------------------------------------------------------------
 * Posting lists
 * ------------------------------------------------------------------------ */

static int
compare_entries(const void *a, const void *b)
{
	uint32		left = (*(TermEntry *const *) a)->term;
	uint32		right = (*(TermEntry *const *) b)->term;

	return left < right ? -1 : left > right;
}

/* Sorts the entries and lays the lists out one behind the other. */
static void
sort_terms(VkSparseBuilder *builder)
{
	termhash_iterator iterator;
	TermEntry  *entry;
	uint32		count = 0;
	uint64		start = 0;

	builder->sorted = palloc_extended(sizeof(TermEntry *) * Max(1, builder->terms->members),
									  MCXT_ALLOC_HUGE);
	termhash_start_iterate(builder->terms, &iterator);
	while ((entry = termhash_iterate(builder->terms, &iterator)) != NULL)
		builder->sorted[count++] = entry;
	qsort(builder->sorted, count, sizeof(TermEntry *), compare_entries);
	for (uint32 i = 0; i < count; i++)
	{
		builder->sorted[i]->place = i;
		builder->sorted[i]->start = start;
		builder->sorted[i]->filled = 0;
		start += builder->sorted[i]->count;
	}
}

static inline void
place_posting(VkSparseBuilder *builder, uint32 term, uint32 document, float weight,
			  uint32 from, uint32 to, uint64 base)
{
	TermEntry  *entry = termhash_lookup(builder->terms, term);
	uint64		at;

	if (entry == NULL)
		elog(ERROR, "term %u of a forward record was not counted", term);
	if (entry->place < from || entry->place >= to)
		return;
	at = entry->start - base + entry->filled++;
	builder->offsets[at] = document;
	builder->codes[at] = vk_sparse_code(entry->least, vk_sparse_step(entry->least, entry->most),
										weight);
}

/* Fills the lists of the sorted terms from..to - 1, reading all records. */
static void
place_postings(VkSparseBuilder *builder, uint32 from, uint32 to, uint64 base)
{
	VkMetric	metric = builder->index->info.metric;
	VkSparseReader *reader = &builder->reader;

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
		{
			place_posting(builder, VK_SPARSE_IRREGULAR_TERM, d, 0, from, to, base);
			continue;
		}
		if (!vk_sparse_reader_record(reader, &builder->documents[d]))
			vk_sparse_report_gone(builder->index, builder->ref, builder->segment.number);
		scale = vk_sparse_weight_scale(metric, vec);
		for (int i = 0; i < vec->nnz; i++)
			place_posting(builder, vec->indices[i], d, vec->values[i] * scale, from, to, base);
	}
	vk_sparse_fetch_release(&reader->fetch);
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
		builder->slots[i].offset += sizeof(VkSparsePage) + slot_bytes;
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

/* Adds a finished list to the TERMS pages. */
static void
write_list(VkSparseBuilder *builder, const TermEntry *entry, const uint16 *offsets,
		   const uint8 *codes)
{
	bool		has_codes = vk_sparse_has_codes(builder->index->info.metric);
	bool		within = entry->count <= VK_SPARSE_INLINE_POSTINGS;
	VkSparseListHead head;
	VkSparseChunk chunks[VK_SPARSE_MAX_CHUNKS];
	uint32		nchunks = 0;
	int			length;
	char	   *out;

	head.least = entry->least;
	head.step = vk_sparse_step(entry->least, entry->most);
	if (within)
		length = sizeof(head) + entry->count * (has_codes ? 3 : 2);
	else
	{
		nchunks = write_chunks(builder, offsets, codes, entry->count, chunks);
		length = sizeof(head) + sizeof(nchunks) + nchunks * sizeof(VkSparseChunk);
	}
	length = (length + 3) & ~3;
	if ((builder->nslots + 1) * (int) sizeof(VkSparseSlot) +
		builder->payload_used + length > VK_SPARSE_SPACE)
		flush_terms(builder);
	builder->slots[builder->nslots].term = entry->term;
	builder->slots[builder->nslots].offset = builder->payload_used;
	builder->slots[builder->nslots++].postings = within ? entry->count : 0;
	out = builder->payload + builder->payload_used;
	memset(out, 0, length);
	memcpy(out, &head, sizeof(head));
	out += sizeof(head);
	if (within)
	{
		memcpy(out, offsets, 2 * entry->count);
		if (has_codes)
			memcpy(out + 2 * entry->count, codes, entry->count);
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

/* Fills and writes all posting lists, range after range of terms. */
static void
write_lists(VkSparseBuilder *builder)
{
	uint32		nterms = builder->terms->members;
	uint64		limit = Max(builder->memory / 2 / 3, VK_SPARSE_SEGMENT_DOCS);
	uint64		size = Min(builder->postings, limit);
	uint32		from = 0;

	/* No list is longer than the segment has documents. */
	builder->offsets = palloc_extended(sizeof(uint16) * Max(1, size), MCXT_ALLOC_HUGE);
	builder->codes = palloc_extended(Max(1, size), MCXT_ALLOC_HUGE);
	while (from < nterms)
	{
		uint64		base = builder->sorted[from]->start;
		uint32		to = from;

		while (to < nterms &&
			   builder->sorted[to]->start + builder->sorted[to]->count - base <= size)
			to++;
		place_postings(builder, from, to, base);
		for (uint32 i = from; i < to; i++)
		{
			TermEntry  *entry = builder->sorted[i];

			CHECK_FOR_INTERRUPTS();
			Assert(entry->filled == entry->count);
			write_list(builder, entry, builder->offsets + (entry->start - base),
					   builder->codes + (entry->start - base));
		}
		from = to;
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
	vk_sparse_fetch_init(&reader->fetch, builder->index, builder->ref.split_id,
						 builder->segment.number, VK_SPARSE_FORWARD);
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

	image_end(builder, &builder->forward, VK_SPARSE_FORWARD, InvalidBlockNumber);
	open_self(builder);
	sort_terms(builder);
	builder->slots = palloc(VK_SPARSE_SPACE);
	builder->payload = palloc(VK_SPARSE_SPACE);
	write_lists(builder);

	root.documents = builder->segment.documents;
	root.terms = builder->terms->members;
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
