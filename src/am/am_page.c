/*-------------------------------------------------------------------------
 *
 * am_page.c
 *	  Pages of a vektonn index: checked access, WAL.
 *
 * WAL records are those of PostgreSQL's generic resource manager: per block
 * a list of {uint16 offset, uint16 length, bytes}, which generic_redo()
 * applies.  They are written directly, because GenericXLogFinish() finds the
 * changes by copying and comparing whole pages (4 to 6 us per page), while
 * here the caller mostly knows them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/xloginsert.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/buf_internals.h"
#include "utils/memutils.h"

#include "am/am_page.h"
#include "compat/pgcompat.h"

/*
 * Where the buffers of recently read blocks were.  ReadRecentBuffer() checks
 * the hint; a hit saves the lookup in the shared buffer mapping table, which
 * is most of the cost of an access.  Direct-mapped, per backend; neighbouring
 * blocks do not collide.
 */
#define RECENT_SLOTS	65536	/* power of two; 768 kB, touched as used */

/* How much of a page vk_page_prefetch takes from memory. */
#define PREFETCH_BYTES	2048

/* A line of the CPU's cache, or less. */
#define CPU_LINE		(PG_CACHE_LINE_SIZE / 2)

typedef struct RecentBuffer
{
	Oid			relation;		/* relfilenumber */
	BlockNumber block;
	Buffer		buffer;
} RecentBuffer;

static RecentBuffer recent_buffers[RECENT_SLOTS];

/* How often a walk along a chain asks how long the index is. */
#define CHAIN_CHECK	4096

/* Byte ranges to log that are closer than this are logged as one. */
#define MERGE_GAP	16

/* Delta larger than this: an image of the page is cheaper. */
#define MAX_DELTA	(BLCKSZ * 3 / 4)

/* Room for the fragments of one page: a put may add a header to 1 byte. */
#define FRAGMENT_SPACE	(MAX_DELTA + VK_EDIT_MAX_PUTS * 4 + BLCKSZ)

typedef struct PageDelta
{
	int			length;
	char		bytes[FRAGMENT_SPACE];
} PageDelta;

/* Static, since a critical section must not allocate. */
static PageDelta deltas[VK_EDIT_MAX_PAGES];

pg_noreturn static void
report_page(VkIndex *index, BlockNumber block, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("index \"%s\" contains a damaged page at block %u",
					RelationGetRelationName(index->rel), block),
			 errdetail("%s", what),
			 errhint("Please REINDEX it.")));
}

/* What is wrong with the page apart from its kind; NULL if nothing. */
static const char *
page_fault(Page page)
{
	PageHeader	header = (PageHeader) page;
	VkPageOpaque *opaque;

	if (PageIsNew(page))
		return "The page is empty.";
	if (header->pd_special != BLCKSZ - MAXALIGN(sizeof(VkPageOpaque)) ||
		header->pd_lower < SizeOfPageHeaderData ||
		header->pd_lower > header->pd_upper ||
		header->pd_upper > header->pd_special)
		return "The page header is inconsistent.";
	opaque = VkPageGetOpaque(page);
	if (opaque->page_id != VK_PAGE_ID)
		return "The page does not bear the mark of a vektonn index.";
	if (opaque->kind == 0 || opaque->kind >= VK_PAGE_KIND_END)
		return "The page is of an unknown kind.";
	return NULL;
}

static inline RecentBuffer *
recent_slot(VkIndex *index, BlockNumber block)
{
	uint32		hash = murmurhash32(RelationGetRelNumber_compat(index->rel));

	return &recent_buffers[(block + hash) & (RECENT_SLOTS - 1)];
}

static inline bool
recent_matches(VkIndex *index, BlockNumber block, const RecentBuffer *recent)
{
	return recent->buffer != InvalidBuffer && recent->block == block &&
		recent->relation == RelationGetRelNumber_compat(index->rel) &&
		recent->buffer <= NBuffers &&
		BufferIsLocal(recent->buffer) == RelationUsesLocalBuffers(index->rel);
}

static inline void
remember(VkIndex *index, BlockNumber block, RecentBuffer *recent, Buffer buffer)
{
	recent->relation = RelationGetRelNumber_compat(index->rel);
	recent->block = block;
	recent->buffer = buffer;
}

static Buffer
read_buffer(VkIndex *index, BlockNumber block)
{
	RecentBuffer *recent = recent_slot(index, block);

	if (block == InvalidBlockNumber)
		report_page(index, block, "A pointer to this block is stored, but no such block can be.");
	if (recent_matches(index, block, recent) &&
		ReadRecentBuffer(RelationGetLocator_compat(index->rel), MAIN_FORKNUM, block,
						 recent->buffer))
		return recent->buffer;
	recent->buffer = InvalidBuffer;
	remember(index, block, recent, ReadBuffer(index->rel, block));
	return recent->buffer;
}

/*
 * Reads, pins and locks a page of any kind.
 */
Buffer
vk_page_read_any(VkIndex *index, BlockNumber block, int lock)
{
	Buffer		buffer = read_buffer(index, block);
	const char *fault;

	LockBuffer(buffer, lock);
	fault = page_fault(BufferGetPage(buffer));
	if (unlikely(fault != NULL))
		report_page(index, block, fault);
	return buffer;
}

/*
 * Reads, pins and locks a page that must be of this kind and owner: a
 * different one is corruption.
 */
Buffer
vk_page_read(VkIndex *index, BlockNumber block, int kind, uint32 owner, int lock)
{
	Buffer		buffer = vk_page_read_any(index, block, lock);
	VkPageOpaque *opaque = VkPageGetOpaque(BufferGetPage(buffer));

	if (unlikely(opaque->kind != kind || opaque->owner != owner))
		report_page(index, block,
					psprintf("The page is of kind %d and owner %u, where kind %d and owner %u were expected.",
							 opaque->kind, opaque->owner, kind, owner));
	return buffer;
}

/*
 * Reads, pins and locks a page that was of this kind and owner when the
 * caller learned of it.  InvalidBuffer if it has been freed, and perhaps
 * reused, since.
 */
Buffer
vk_page_try(VkIndex *index, BlockNumber block, int kind, uint32 owner, int lock)
{
	Buffer		buffer = read_buffer(index, block);
	Page		page = BufferGetPage(buffer);
	VkPageOpaque *opaque;
	const char *fault;

	LockBuffer(buffer, lock);
	/* a freed page may have been allocated again and not yet initialised */
	if (PageIsNew(page))
	{
		UnlockReleaseBuffer(buffer);
		return InvalidBuffer;
	}
	fault = page_fault(page);
	if (unlikely(fault != NULL))
		report_page(index, block, fault);
	opaque = VkPageGetOpaque(page);
	if (opaque->kind == kind && opaque->owner == owner)
		return buffer;
	UnlockReleaseBuffer(buffer);
	return InvalidBuffer;
}

/*
 * Has the CPU fetch what reading the page in a shared buffer, and length bytes
 * from byte offset of it on, will need.
 */
static inline void
fetch_lines(Buffer buffer, int offset, int length)
{
	const char *page = (const char *) BufferGetPage(buffer);

	__builtin_prefetch(GetBufferDescriptor(buffer - 1));
	__builtin_prefetch(page);
	__builtin_prefetch(page + BLCKSZ - 1);
	for (int at = 0; at < length; at += CPU_LINE)
		__builtin_prefetch(page + offset + at);
}

/*
 * The same for bytes of the page's data, if the page is where it was last.  Worth
 * while for pages that are read one after the other: each is several cache
 * misses in a row.
 */
void
vk_page_touch(VkIndex *index, BlockNumber block, int offset, int length)
{
	RecentBuffer *recent = recent_slot(index, block);

	if (recent_matches(index, block, recent) && !BufferIsLocal(recent->buffer))
		fetch_lines(recent->buffer, MAXALIGN(SizeOfPageHeaderData) + offset, length);
}

/*
 * Where the page was last, in memory: to be prefetched, never to be read.  NULL
 * if that is not known.  Its buffer's descriptor is on its way to the cache.
 */
const char *
vk_page_hint(VkIndex *index, BlockNumber block)
{
	RecentBuffer *recent = recent_slot(index, block);

	if (!recent_matches(index, block, recent) || BufferIsLocal(recent->buffer))
		return NULL;
	__builtin_prefetch(GetBufferDescriptor(recent->buffer - 1));
	return (const char *) BufferGetPage(recent->buffer);
}

/* Where the page was last will be asked for. */
void
vk_page_hint_soon(VkIndex *index, BlockNumber block)
{
	__builtin_prefetch(recent_slot(index, block));
}

/*
 * Has the CPU fetch length bytes of a page into its cache, as above, or the
 * kernel the page from disk: then true.  offset is from the start of the page.
 */
bool
vk_page_prefetch_part(VkIndex *index, BlockNumber block, int offset, int length)
{
	RecentBuffer *recent = recent_slot(index, block);

	if (!recent_matches(index, block, recent))
	{
		PrefetchBufferResult result = PrefetchBuffer(index->rel, MAIN_FORKNUM, block);

		if (!BufferIsValid(result.recent_buffer))
			return result.initiated_io;
		remember(index, block, recent, result.recent_buffer);
	}
	if (!BufferIsLocal(recent->buffer))
		fetch_lines(recent->buffer, offset, length);
	return false;
}

/*
 * Asks for a whole page that will be read soon, or, if it is in a buffer, for
 * its first cache lines; the CPU goes on from there.
 */
void
vk_page_prefetch(VkIndex *index, BlockNumber block)
{
	if (block != InvalidBlockNumber)
		(void) vk_page_prefetch_part(index, block, 0, PREFETCH_BYTES);
}

void
vk_page_unlock(Buffer buffer)
{
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
}

void
vk_page_lock(Buffer buffer, int lock)
{
	LockBuffer(buffer, lock);
}

void
vk_page_release(Buffer buffer)
{
	UnlockReleaseBuffer(buffer);
}

void
vk_page_unpin(Buffer buffer)
{
	ReleaseBuffer(buffer);
}

void
vk_page_check_chain(VkIndex *index, BlockNumber visited, BlockNumber block)
{
	if (visited % CHAIN_CHECK == 0 && visited > RelationGetNumberOfBlocks(index->rel))
		report_page(index, block, "The page is part of a chain of pages that has no end.");
}

/* Whether the page, locked, is one that nobody uses. */
bool
vk_page_is_unused(Page page)
{
	return PageIsNew(page) ||
		(page_fault(page) == NULL && VkPageGetOpaque(page)->kind == VK_PAGE_FREE);
}

/* ------------------------------------------------------------------------
 * Edits
 * ------------------------------------------------------------------------ */

void
vk_edit_start(VkEdit *edit, VkIndex *index)
{
	edit->index = index;
	edit->npages = 0;
	edit->nputs = 0;
}

static int
add_page(VkEdit *edit, Buffer buffer, VkEditMode mode)
{
	int			page = edit->npages;

	if (page >= VK_EDIT_MAX_PAGES)
		elog(ERROR, "too many pages in one change of a vektonn index");
	edit->npages++;
	edit->buffers[page] = buffer;
	edit->modes[page] = mode;
	edit->copies[page] = NULL;
	if (mode != VK_EDIT_PUTS)
		edit->copies[page] = palloc(BLCKSZ);
	return page;
}

int
vk_edit_page(VkEdit *edit, Buffer buffer)
{
	return add_page(edit, buffer, VK_EDIT_PUTS);
}

void
vk_edit_put(VkEdit *edit, int page, const void *where, const void *data, Size length)
{
	VkEditPut  *put;
	Size		offset = (const char *) where - (const char *) BufferGetPage(edit->buffers[page]);

	if (edit->nputs >= VK_EDIT_MAX_PUTS)
		elog(ERROR, "too many ranges in one change of a vektonn index");
	Assert(offset + length <= BLCKSZ && edit->modes[page] == VK_EDIT_PUTS);
	put = &edit->puts[edit->nputs++];
	put->page = page;
	put->offset = offset;
	put->length = length;
	put->data = data;
	if (length <= sizeof(put->small))
	{
		memcpy(put->small, data, length);
		put->data = NULL;
	}
}

void
vk_edit_put_uint16(VkEdit *edit, int page, const void *where, uint16 value)
{
	vk_edit_put(edit, page, where, &value, sizeof(value));
}

void
vk_edit_put_uint32(VkEdit *edit, int page, const void *where, uint32 value)
{
	vk_edit_put(edit, page, where, &value, sizeof(value));
}

Page
vk_edit_copy(VkEdit *edit, Buffer buffer)
{
	int			page = add_page(edit, buffer, VK_EDIT_COPY);

	memcpy(edit->copies[page], BufferGetPage(buffer), BLCKSZ);
	return edit->copies[page];
}

static void
page_init(Page page, int kind, uint32 owner)
{
	VkPageOpaque *opaque;

	PageInit(page, BLCKSZ, sizeof(VkPageOpaque));
	opaque = VkPageGetOpaque(page);
	opaque->owner = owner;
	opaque->next = InvalidBlockNumber;
	opaque->kind = kind;
	opaque->page_id = VK_PAGE_ID;
}

Page
vk_edit_new(VkEdit *edit, Buffer buffer, int kind, uint32 owner)
{
	int			page = add_page(edit, buffer, VK_EDIT_IMAGE);

	page_init(edit->copies[page], kind, owner);
	return edit->copies[page];
}

void
vk_edit_free(VkEdit *edit, Buffer buffer)
{
	(void) vk_edit_new(edit, buffer, VK_PAGE_FREE, 0);
}

static void
delta_add(PageDelta *delta, uint16 offset, uint16 length, const char *data)
{
	Assert(delta->length + length + 4 <= FRAGMENT_SPACE);
	memcpy(delta->bytes + delta->length, &offset, sizeof(offset));
	memcpy(delta->bytes + delta->length + 2, &length, sizeof(length));
	memcpy(delta->bytes + delta->length + 4, data, length);
	delta->length += length + 4;
}

/*
 * Adds the differences between bytes from..to of two pages, merging close
 * ones.  Compares words; ranges are then word-aligned, which logs a few bytes
 * more than needed.
 */
static void
delta_compare(PageDelta *delta, Page old, Page new, int from, int to)
{
	int			start = -1;
	int			end = -1;

	for (int at = from; at < to; at += sizeof(uint64))
	{
		int			length = Min((int) sizeof(uint64), to - at);

		if (memcmp((char *) old + at, (char *) new + at, length) == 0)
			continue;
		if (start >= 0 && at - end > MERGE_GAP)
		{
			delta_add(delta, start, end - start, (char *) new + start);
			start = -1;
		}
		if (start < 0)
			start = at;
		end = at + length;
	}
	if (start >= 0)
		delta_add(delta, start, end - start, (char *) new + start);
}

/* Computes the delta of one page; an image instead if that is smaller. */
static void
compute_delta(VkEdit *edit, int page)
{
	PageDelta  *delta = &deltas[page];
	Page		old = BufferGetPage(edit->buffers[page]);

	delta->length = 0;
	if (edit->modes[page] == VK_EDIT_PUTS)
	{
		int			total = 0;

		for (int i = 0; i < edit->nputs; i++)
			if (edit->puts[i].page == page)
				total += edit->puts[i].length + 4;
		if (total > FRAGMENT_SPACE)
			elog(ERROR, "overlapping ranges in one change of a vektonn index");
		for (int i = 0; i < edit->nputs; i++)
		{
			VkEditPut  *put = &edit->puts[i];

			if (put->page == page)
				delta_add(delta, put->offset, put->length, put->data ? put->data : put->small);
		}
	}
	else if (edit->modes[page] == VK_EDIT_COPY)
	{
		PageHeader	new = (PageHeader) edit->copies[page];

		delta_compare(delta, old, (Page) new, 0, new->pd_lower);
		delta_compare(delta, old, (Page) new, new->pd_upper, BLCKSZ);
		if (delta->length > MAX_DELTA)
			edit->modes[page] = VK_EDIT_IMAGE;
	}
}

/* Inside the critical section: changes the buffer's page. */
static void
apply_page(VkEdit *edit, int page)
{
	Page		target = BufferGetPage(edit->buffers[page]);

	if (edit->modes[page] != VK_EDIT_PUTS)
	{
		memcpy(target, edit->copies[page], BLCKSZ);
		return;
	}
	for (int i = 0; i < edit->nputs; i++)
	{
		VkEditPut  *put = &edit->puts[i];

		if (put->page == page)
			memcpy((char *) target + put->offset, put->data ? put->data : put->small,
				   put->length);
	}
}

void
vk_edit_commit(VkEdit *edit)
{
	bool		logged = RelationNeedsWAL(edit->index->rel) && !edit->index->building;
	XLogRecPtr	lsn;

	for (int page = 0; page < edit->npages; page++)
	{
		/*
		 * Keep the hole zeroed, as recovery does: bytes that enter the used
		 * area are then compared with what a standby has there.
		 */
		if (edit->modes[page] != VK_EDIT_PUTS)
		{
			PageHeader	copy = (PageHeader) edit->copies[page];

			memset((char *) copy + copy->pd_lower, 0, copy->pd_upper - copy->pd_lower);
		}
		if (logged)
			compute_delta(edit, page);
	}

	START_CRIT_SECTION();
	for (int page = 0; page < edit->npages; page++)
	{
		apply_page(edit, page);
		MarkBufferDirty(edit->buffers[page]);
	}
	if (logged)
	{
		XLogBeginInsert();
		for (int page = 0; page < edit->npages; page++)
		{
			bool		image = edit->modes[page] == VK_EDIT_IMAGE;

			XLogRegisterBuffer(page, edit->buffers[page],
							   image ? REGBUF_FORCE_IMAGE | REGBUF_STANDARD : REGBUF_STANDARD);
			if (!image)
				XLogRegisterBufData(page, deltas[page].bytes, deltas[page].length);
		}
		lsn = XLogInsert(RM_GENERIC_ID, 0);
		for (int page = 0; page < edit->npages; page++)
			PageSetLSN(BufferGetPage(edit->buffers[page]), lsn);
	}
	END_CRIT_SECTION();

	for (int page = 0; page < edit->npages; page++)
		if (edit->copies[page] != NULL)
			pfree(edit->copies[page]);
}

void
vk_edit_commit_release(VkEdit *edit)
{
	vk_edit_commit(edit);
	for (int page = 0; page < edit->npages; page++)
		UnlockReleaseBuffer(edit->buffers[page]);
}
