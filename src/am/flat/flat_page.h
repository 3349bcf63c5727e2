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
	BlockNumber free;			/* stack of groups with free slots, by free_next */
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
	uint16		codec;			/* the codes are of this codec; 0: not yet coded */
	uint16		flags;
	uint16		unused;
	BlockNumber free_next;		/* valid if on the free stack */
	uint32		unused2;
	/* arrays follow: see VkFlatLayout */
} VkFlatGroup;

StaticAssertDecl(sizeof(VkFlatGroup) == 24, "VkFlatGroup is on disk");

#define VK_FLAT_ON_FREE_STACK	0x0001

#define VkPageGetFlatGroup(page)	((VkFlatGroup *) VkPageData(page))

/* What a code says of its row besides its bytes; each rounded the safe way. */
typedef struct VkFlatCode
{
	float		scale;			/* of the code's bytes */
	uint32		square;			/* sum of the squares of the code's bytes */
	float		error;			/* at least |projected row - code| ; infinite: no bound */
	float		rest_low;		/* the part the code says nothing of: its norm is in */
	float		rest_high;		/* [rest_low, rest_high] */
} VkFlatCode;

/* Where the arrays of a group page are, from VkPageData(). */
typedef struct VkFlatLayout
{
	int			capacity;
	int			nblocks;
	int			code_bytes;
	int			blocks;			/* BlockNumber[nblocks] */
	int			tids;			/* ItemPointerData[capacity]; invalid: free slot */
	int			metas;			/* VkFlatCode[capacity], if code_bytes > 0 */
	int			codes;			/* int8[capacity][code_bytes] */
	int			used;			/* bytes in all */
} VkFlatLayout;

#define VkFlatBlocks(group, layout)	((BlockNumber *) ((char *) (group) + (layout)->blocks))
#define VkFlatTids(group, layout)	((ItemPointer) ((char *) (group) + (layout)->tids))
#define VkFlatMetas(group, layout)	((VkFlatCode *) ((char *) (group) + (layout)->metas))
#define VkFlatCodes(group, layout)	((int8 *) ((char *) (group) + (layout)->codes))

#endif							/* VK_FLAT_PAGE_H */
