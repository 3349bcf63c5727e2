/*-------------------------------------------------------------------------
 *
 * am_page.h
 *	  Pages of a vektonn index: special area, checked access, WAL.
 *
 * The only way to a page, for the access method and for its stores.
 *
 * Reading: vk_page_read() pins, locks and checks a page that must be what the
 * caller says; vk_page_try() does the same for a page that may have been
 * given to somebody else meanwhile.
 *
 * Writing: collect the changes of up to VK_EDIT_MAX_PAGES exclusively locked
 * pages in a VkEdit, then vk_edit_commit() makes them at once, in memory and
 * in one WAL record.  Until then nothing has happened and an error is free.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_AM_PAGE_H
#define VK_AM_PAGE_H

#include "am/am.h"
#include "storage/bufpage.h"

/* Stored: never renumber.  Stores own ranges of 16. */
typedef enum VkPageKind
{
	VK_PAGE_FREE = 1,			/* in the free space map, or about to be */
	VK_PAGE_META = 2,
	VK_PAGE_DIR_INNER = 3,
	VK_PAGE_DIR_LEAF = 4,
	VK_PAGE_SHARED = 5,			/* rows of small splits */
	VK_PAGE_NULLS = 6,			/* TIDs of rows whose vector is NULL */
	VK_PAGE_FLAT_FIRST = 16,	/* 16..31: flat */
	VK_PAGE_SPARSE_FIRST = 32,	/* 32..47: sparse */
	VK_PAGE_GRAPH_FIRST = 48,	/* 48..63: graph */
	VK_PAGE_KIND_END = 64
} VkPageKind;

#define VK_PAGE_ID		0xFF8A

/*
 * Special area of every page, 16 bytes.
 */
typedef struct VkPageOpaque
{
	uint32		owner;			/* split id; 0 for pages of the whole index */
	BlockNumber next;			/* next page of a chain; meaning is the kind's */
	uint16		flags;			/* meaning is the kind's */
	uint16		kind;			/* VkPageKind */
	uint16		unused;			/* 0 */
	uint16		page_id;		/* VK_PAGE_ID; last two bytes of the page */
} VkPageOpaque;

StaticAssertDecl(sizeof(VkPageOpaque) == 16, "VkPageOpaque is on disk");

#define VkPageGetOpaque(page)	((VkPageOpaque *) PageGetSpecialPointer(page))

/* Bytes a page offers between header and special area. */
#define VK_PAGE_SPACE \
	((int) (BLCKSZ - MAXALIGN(SizeOfPageHeaderData) - MAXALIGN(sizeof(VkPageOpaque))))
#define VkPageData(page)	((char *) (page) + MAXALIGN(SizeOfPageHeaderData))

/*
 * pd_lower must lie behind all used bytes that are not line pointer items:
 * recovery zeroes what is between pd_lower and pd_upper.
 */
#define VkPageSetUsed(page, bytes) \
	(((PageHeader) (page))->pd_lower = MAXALIGN(SizeOfPageHeaderData) + (bytes))

#define VK_META_BLOCK	0

/* am_page.c: reading.  lock: BUFFER_LOCK_SHARE or BUFFER_LOCK_EXCLUSIVE. */
extern Buffer vk_page_read(VkIndex *index, BlockNumber block, int kind,
						   uint32 owner, int lock);
extern Buffer vk_page_try(VkIndex *index, BlockNumber block, int kind,
						  uint32 owner, int lock);
extern Buffer vk_page_read_any(VkIndex *index, BlockNumber block, int lock);
extern void vk_page_touch(VkIndex *index, BlockNumber block, int offset, int length);
extern const char *vk_page_hint(VkIndex *index, BlockNumber block);
extern void vk_page_prefetch(VkIndex *index, BlockNumber block);
extern void vk_page_hint_soon(VkIndex *index, BlockNumber block);
extern bool vk_page_prefetch_part(VkIndex *index, BlockNumber block, int offset,
								  int length);
extern void vk_page_unlock(Buffer buffer);	/* keeps the pin */
extern void vk_page_lock(Buffer buffer, int lock);	/* again, of one's own pin */
extern void vk_page_release(Buffer buffer); /* unlocks and unpins */
extern void vk_page_unpin(Buffer buffer);

/* To be called per page of a chain: a chain longer than the index is a loop. */
extern void vk_page_check_chain(VkIndex *index, BlockNumber visited, BlockNumber block);

extern bool vk_page_is_unused(Page page);

/* am_space.c: a page nobody uses, exclusively locked; initialise by vk_edit_new. */
extern Buffer vk_page_allocate(VkIndex *index);

/* Makes pages free that nothing refers to any more. */
extern void vk_page_free(VkIndex *index, BlockNumber block);
extern void vk_pages_free(VkIndex *index, VkBlockList *blocks);

/* am_page.c: writing */
#define VK_EDIT_MAX_PAGES	4	/* generic WAL records hold no more */
#define VK_EDIT_MAX_PUTS	72	/* an edge of a graph needs the most: 69 */

typedef enum VkEditMode
{
	VK_EDIT_PUTS,				/* listed byte ranges */
	VK_EDIT_COPY,				/* a private copy; differences are logged */
	VK_EDIT_IMAGE				/* a private copy; logged whole */
} VkEditMode;

typedef struct VkEditPut
{
	uint16		page;			/* index into buffers */
	uint16		offset;
	uint16		length;
	char		small[8];
	const char *data;			/* NULL: small */
} VkEditPut;

typedef struct VkEdit
{
	VkIndex    *index;
	int			npages;
	Buffer		buffers[VK_EDIT_MAX_PAGES];
	VkEditMode	modes[VK_EDIT_MAX_PAGES];
	Page		copies[VK_EDIT_MAX_PAGES];	/* modes COPY and IMAGE */
	int			nputs;
	VkEditPut	puts[VK_EDIT_MAX_PUTS];
} VkEdit;

extern void vk_edit_start(VkEdit *edit, VkIndex *index);

/*
 * Changes of byte ranges: where points into the page of buffer; data must
 * stay valid until commit unless length <= 8.  Ranges of one page must not
 * overlap.
 */
extern int	vk_edit_page(VkEdit *edit, Buffer buffer);
extern void vk_edit_put(VkEdit *edit, int page, const void *where,
						const void *data, Size length);
extern void vk_edit_put_uint16(VkEdit *edit, int page, const void *where, uint16 value);
extern void vk_edit_put_uint32(VkEdit *edit, int page, const void *where, uint32 value);

/* A private copy of the page to change freely; the differences are logged. */
extern Page vk_edit_copy(VkEdit *edit, Buffer buffer);

/* An initialised empty page to fill; the old content does not matter. */
extern Page vk_edit_new(VkEdit *edit, Buffer buffer, int kind, uint32 owner);

/* Marks the page free; call vk_page_freed() for its block after commit. */
extern void vk_edit_free(VkEdit *edit, Buffer buffer);
extern void vk_page_freed(VkIndex *index, BlockNumber block);

/* Does it all.  Locks and pins remain the caller's. */
extern void vk_edit_commit(VkEdit *edit);

/* Commits, then releases all buffers of the edit. */
extern void vk_edit_commit_release(VkEdit *edit);

#endif							/* VK_AM_PAGE_H */
