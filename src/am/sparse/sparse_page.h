/*-------------------------------------------------------------------------
 *
 * sparse_page.h
 *	  Pages of the inverted index; README.md has the same as tables.
 *
 * Every page but the head begins with the number of the segment or log it
 * belongs to.  Such numbers are never used twice in a split, and splits have
 * numbers of their own, so that a reader who follows a pointer sees whether
 * the page still is what the pointer meant.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_SPARSE_PAGE_H
#define VK_SPARSE_PAGE_H

#include "am/am_page.h"
#include "am/sparse/sparse_kernel.h"
#include "am/sparse/sparse_record.h"

/* Kinds of pages. */
#define VK_SPARSE_HEAD			(VK_PAGE_SPARSE_FIRST + 0)
#define VK_SPARSE_LIST			(VK_PAGE_SPARSE_FIRST + 1)	/* more segments than
															 * the head has room for */
#define VK_SPARSE_RECORDS		(VK_PAGE_SPARSE_FIRST + 2)	/* of a log, then of
															 * segments */
#define VK_SPARSE_BLOCKS		(VK_PAGE_SPARSE_FIRST + 3)	/* all pages written for
															 * a segment */
#define VK_SPARSE_ROOT			(VK_PAGE_SPARSE_FIRST + 4)
#define VK_SPARSE_DOCUMENTS		(VK_PAGE_SPARSE_FIRST + 5)
#define VK_SPARSE_NORMS			(VK_PAGE_SPARSE_FIRST + 6)
#define VK_SPARSE_HOLDINGS		(VK_PAGE_SPARSE_FIRST + 7)	/* all RECORDS pages of
															 * a segment */
#define VK_SPARSE_TERMS			(VK_PAGE_SPARSE_FIRST + 8)
#define VK_SPARSE_INNER			(VK_PAGE_SPARSE_FIRST + 9)
#define VK_SPARSE_POSTINGS		(VK_PAGE_SPARSE_FIRST + 10)

/* States of a segment. */
#define VK_SEGMENT_BUILDING		1	/* nobody reads it; rubbish after a crash */
#define VK_SEGMENT_LIVE			2
#define VK_SEGMENT_RETIRED		3	/* replaced; all its pages are being freed */
#define VK_SEGMENT_MERGED		4	/* likewise, but its RECORDS pages are
									 * another segment's now */

typedef struct VkSparseSegment
{
	uint32		number;
	uint32		state;
	BlockNumber blocks;			/* first page listing its blocks */
	BlockNumber root;			/* BUILDING: not yet known */
	uint32		documents;
	uint32		dead;			/* of them, as of the last VACUUM */
	uint32		pages;			/* but for those of records */
	uint32		elements;		/* non-zero elements of all documents */
	BlockNumber holdings;		/* first page listing the pages of its records */
	uint32		record_pages;
	uint32		record_words;	/* length of all records, in 4 bytes */
} VkSparseSegment;

StaticAssertDecl(sizeof(VkSparseSegment) == 44, "segment descriptor has padding");

/* A chain of pages with records in order of arrival. */
typedef struct VkSparseLog
{
	uint32		number;			/* 0: there is none */
	BlockNumber first;
	BlockNumber last;			/* the page rows are added to */
	uint32		pages;
	uint32		rows;			/* on all pages but the last */
} VkSparseLog;

StaticAssertDecl(sizeof(VkSparseLog) == 20, "log descriptor has padding");

typedef struct VkSparseHead
{
	uint32		next_number;	/* for the next segment or log; from 1 */
	VkSparseLog open;			/* rows are added here */
	VkSparseLog sealed;			/* being turned into a segment */
	VkSparseLog retired;		/* its pages are being freed */
	BlockNumber more;			/* first VK_SPARSE_LIST page */
	uint32		count;
	VkSparseSegment segments[FLEXIBLE_ARRAY_MEMBER];
} VkSparseHead;

#define VK_SPARSE_HEAD_SEGMENTS \
	((int) ((VK_PAGE_SPACE - offsetof(VkSparseHead, segments)) / sizeof(VkSparseSegment)))

/* Room for segments a merge can count on; each has up to 65,536 rows. */
#define VK_SPARSE_HEAD_ROOM		64

/* LIST: chained by opaque.next; its segments are LIVE or RETIRED. */
typedef struct VkSparseList
{
	uint32		count;
	uint32		zero;
	VkSparseSegment segments[FLEXIBLE_ARRAY_MEMBER];
} VkSparseList;

#define VK_SPARSE_LIST_SEGMENTS \
	((int) ((VK_PAGE_SPACE - offsetof(VkSparseList, segments)) / sizeof(VkSparseSegment)))

/* Start of every other page. */
typedef struct VkSparsePage
{
	uint32		number;			/* of the segment or log it was written for */
	uint32		stamp;			/* RECORDS: no segment with a lesser number
								 * holds the page */
	uint16		count;			/* items; in a log: records that begin here */
	uint16		first;			/* in a log: where the first of them begins,
								 * in bytes */
} VkSparsePage;

StaticAssertDecl(sizeof(VkSparsePage) == 12, "sparse page header has padding");

#define VK_SPARSE_SPACE		((int) (VK_PAGE_SPACE - sizeof(VkSparsePage)))
#define VkSparsePageGet(page)	((VkSparsePage *) VkPageData(page))
#define VkSparsePageItems(page)	(VkPageData(page) + sizeof(VkSparsePage))

/* opaque.flags of the last page of a log: no record is added any more. */
#define VK_SPARSE_SEALED	0x01

/* Flag of a record in a log: its end was never written. */
#define VK_SPARSE_INCOMPLETE	0x02

/* BLOCKS and HOLDINGS: block numbers, chained by opaque.next. */
#define VK_SPARSE_BLOCKS_PER_PAGE	(VK_SPARSE_SPACE / (int) sizeof(BlockNumber))

/*
 * DOCUMENTS: where the document's record begins.  Records of 2,000 bytes or
 * less lie on one page; longer ones go on at the start of the next, as
 * opaque.next says.
 */
typedef struct VkSparseDocument
{
	BlockNumber block;
	uint16		place;			/* byte within the page's data, and flags */
	ItemPointerData tid;
} VkSparseDocument;

StaticAssertDecl(sizeof(VkSparseDocument) == 12, "document entry has padding");

/* Records begin at multiples of 4, so two bits are free. */
#define VK_SPARSE_DOCUMENT_DEAD			0x01
#define VK_SPARSE_DOCUMENT_IRREGULAR	0x02	/* not in any posting list but
												 * the irregular one */
#define VkSparseDocumentOffset(document)	((document)->place & ~3)

#define VK_SPARSE_DOCUMENTS_PER_PAGE	(VK_SPARSE_SPACE / (int) sizeof(VkSparseDocument))
#define VK_SPARSE_NORMS_PER_PAGE		(VK_SPARSE_SPACE / (int) sizeof(float))
#define VK_SPARSE_MAX_DOCUMENT_PAGES \
	((VK_SPARSE_SEGMENT_DOCS + VK_SPARSE_DOCUMENTS_PER_PAGE - 1) / VK_SPARSE_DOCUMENTS_PER_PAGE)
#define VK_SPARSE_MAX_NORM_PAGES \
	((VK_SPARSE_SEGMENT_DOCS + VK_SPARSE_NORMS_PER_PAGE - 1) / VK_SPARSE_NORMS_PER_PAGE)

/* ROOT */
typedef struct VkSparseRoot
{
	VkSparsePage header;
	uint32		documents;
	uint32		terms;			/* posting lists */
	BlockNumber tree;			/* root of the term tree */
	uint32		levels;			/* 0: the root is a TERMS page */
	uint32		document_pages;
	uint32		norm_pages;
	BlockNumber document_blocks[VK_SPARSE_MAX_DOCUMENT_PAGES];
	BlockNumber norm_blocks[VK_SPARSE_MAX_NORM_PAGES];
} VkSparseRoot;

StaticAssertDecl(sizeof(VkSparseRoot) <= VK_PAGE_SPACE, "root does not fit a page");

/* INNER: the least term below a block.  A first entry stands for all lesser terms. */
typedef struct VkSparseInner
{
	uint32		term;
	BlockNumber block;
} VkSparseInner;

#define VK_SPARSE_INNER_PER_PAGE	(VK_SPARSE_SPACE / (int) sizeof(VkSparseInner))
#define VK_SPARSE_MAX_LEVELS		4

/* TERMS: slots in ascending order of term, then the lists they point to. */
typedef struct VkSparseSlot
{
	uint32		term;
	uint16		offset;			/* of the list, in the page's data; a multiple
								 * of 4 */
	uint16		postings;		/* in this very page; 0: elsewhere, by chunks */
} VkSparseSlot;

/*
 * A list of one posting is its slot: then offset is the document, and this bit
 * of postings comes with the weight in the others, see vk_sparse_weight_pack().
 */
#define VK_SPARSE_SINGLE	0x8000

/* Not an index a vector can have: documents whose scores cannot be bounded. */
#define VK_SPARSE_IRREGULAR_TERM	0xFFFFFFFFU

/*
 * A list: its weights lie in least .. least + 256 * step.  Then, if its
 * postings are in the page, uint16 offsets[postings], uint8 codes[postings];
 * else uint32 chunks, and the chunks.
 */
typedef struct VkSparseListHead
{
	float		least;
	float		step;
} VkSparseListHead;

/* Part of a list in one POSTINGS page: uint16 offsets[count], uint8 codes[count]. */
typedef struct VkSparseChunk
{
	BlockNumber block;
	uint16		offset;			/* in the page's data; even */
	uint16		count;
} VkSparseChunk;

/* Longer lists are kept outside the TERMS pages. */
#define VK_SPARSE_INLINE_POSTINGS	160

/* A list of all documents takes no more chunks: each but the last two fills half a page. */
#define VK_SPARSE_MAX_CHUNKS	64

#endif							/* VK_SPARSE_PAGE_H */
