/*-------------------------------------------------------------------------
 *
 * flat_page.h
 *	  On-disk structures of the flat store.  See README.md for the layouts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_FLAT_PAGE_H
#define VK_FLAT_PAGE_H

#include "am/am_page.h"

#define VK_PAGE_FLAT_HEAD	(VK_PAGE_FLAT_FIRST + 0)
#define VK_PAGE_FLAT_GROUP	(VK_PAGE_FLAT_FIRST + 1)
#define VK_PAGE_FLAT_ROWS	(VK_PAGE_FLAT_FIRST + 2)
#define VK_PAGE_FLAT_CODEC	(VK_PAGE_FLAT_FIRST + 3)

/* Head page of a split. */
typedef struct VkFlatHead
{
	uint32		ngroups;
	BlockNumber first;			/* group; chained by opaque->next */
	BlockNumber last;
	BlockNumber insert;			/* group that takes new rows */
	BlockNumber free;			/* stack of groups with free slots, by
								 * free_next */
	uint32		unused;
} VkFlatHead;

#define VkPageGetFlatHead(page)	((VkFlatHead *) VkPageData(page))

/*
 * A group: up to capacity rows.  Their heap TIDs and codes are on the group's
 * page, their elements on its row pages, without gaps.
 */
typedef struct VkFlatGroup
{
	uint16		capacity;		/* slots */
	uint16		nslots;			/* slots 0..nslots-1 have been used */
	uint16		nfree;			/* of them, those without a row */
	uint16		nblocks;		/* row pages allocated */
	uint16		code_bytes;		/* room per code; 0: none */
	uint16		codec;			/* the codes are of this codec; 0: not yet
								 * coded */
	uint16		flags;
	uint16		unused;
	BlockNumber free_next;		/* valid if on the free stack */
	uint32		unused2;
	/* arrays follow: see VkFlatLayout */
} VkFlatGroup;

StaticAssertDecl(sizeof(VkFlatGroup) == 24, "VkFlatGroup is on disk");

#define VK_FLAT_ON_FREE_STACK	0x0001

#define VkPageGetFlatGroup(page)	((VkFlatGroup *) VkPageData(page))

/*
 * Where the arrays of a group page are, from VkPageData().  All but blocks and
 * tids exist only if code_bytes > 0.  What they say is rounded the safe way.
 */
typedef struct VkFlatLayout
{
	int			capacity;
	int			nblocks;
	int			code_bytes;
	int			blocks;			/* BlockNumber[nblocks] */
	int			scale;			/* float[capacity]: of the code's bytes */
	int			square;			/* uint32[]: sum of the squares of the code's
								 * bytes */
	int			error;			/* float[]: at least |projected row - code|,
								 * or infinite */
	int			rest_low;		/* float[]: the norm of what the projection
								 * leaves */
	int			rest_high;		/* float[]: out is between these */
	int			codes;			/* int8[capacity][code_bytes] */
	int			tids;			/* ItemPointerData[capacity]; invalid: free
								 * slot */
	int			used;			/* bytes in all */
} VkFlatLayout;

#define VkFlatBlocks(group, layout)	((BlockNumber *) ((char *) (group) + (layout)->blocks))
#define VkFlatTids(group, layout)	((ItemPointer) ((char *) (group) + (layout)->tids))
#define VkFlatFloats(group, offset)	((float *) ((char *) (group) + (offset)))
#define VkFlatSquares(group, layout) ((uint32 *) ((char *) (group) + (layout)->square))
#define VkFlatCodeBytes(group, layout)	((int8 *) ((char *) (group) + (layout)->codes))

/* Words of VkMetaPage.store that flat uses. */
#define VK_FLAT_META_BLOCK	0	/* first page of the codec, or 0 */
#define VK_FLAT_META_CODEC	1	/* its number; 0 none yet, VK_FLAT_NO_CODEC
								 * none pays */
#define VK_FLAT_META_BYTES	2	/* its code_bytes */

#define VK_FLAT_NO_CODEC	0xFFFF

/* A codec, in a chain of pages: this, mean[dim], basis[nrows][dim]. */
typedef struct VkFlatCodecHeader
{
	uint32		magic;
	uint32		crc;			/* of the header with crc 0, and of all that
								 * follows */
	uint16		codec;			/* its number */
	uint16		kind;			/* VkFlatCodecKind */
	uint16		code_bytes;
	uint16		nrows;			/* coordinates coded, at most code_bytes */
	int32		dim;
	uint32		unused;
} VkFlatCodecHeader;

StaticAssertDecl(sizeof(VkFlatCodecHeader) == 24, "VkFlatCodecHeader is on disk");

#define VK_FLAT_CODEC_MAGIC	0x766B6364U

typedef enum VkFlatCodecKind
{
	VK_FLAT_IDENTITY = 1,		/* the first nrows coordinates themselves */
	VK_FLAT_BASIS = 2			/* projections on the rows of the basis */
} VkFlatCodecKind;

#endif							/* VK_FLAT_PAGE_H */
