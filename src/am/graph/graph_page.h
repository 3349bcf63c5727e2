/*-------------------------------------------------------------------------
 *
 * graph_page.h
 *	  Pages of a graph.  README.md draws them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_GRAPH_PAGE_H
#define VK_GRAPH_PAGE_H

#include "storage/block.h"
#include "storage/bufpage.h"

#include "am/graph/graph_layout.h"

/* Kinds of pages: offsets from VK_PAGE_GRAPH_FIRST. */
#define VK_GRAPH_ROOT_KIND		0
#define VK_GRAPH_SLOTS_KIND		1

#define VK_GRAPH_MAGIC			0x766B6772U /* "vkgr" */
/*
 * 1: sketches of sparse vectors; 2: short codes of many dimensions; 3: no bias
 * in codes of inner products.
 */
#define VK_GRAPH_VERSION		4

/* Contents of the head page. */
typedef struct VkGraphRoot
{
	uint32		magic;
	uint32		version;
	uint64		seed;			/* of rotation and hashes; random, so it names
								 * the graph */
	VkNodeId	entry;			/* VK_NODE_NONE: the graph is empty */
	int32		level;			/* of entry; -1 if empty */
	VkNodeId	center;			/* a VK_SLOT_CENTER, or VK_NODE_NONE */
	BlockNumber first_page;		/* chain of all slot pages, newest first */
	BlockNumber free_page;		/* chain of slot pages with free slots */
	uint32		npages;			/* slot pages */
	/* the layout, to be compared with the one computed anew */
	int32		max_edges;
	int32		code_bits;		/* of one edge */
	int32		slot_size;
	int32		slots_per_page;
} VkGraphRoot;

StaticAssertDecl(sizeof(VkGraphRoot) == 56, "VkGraphRoot is on disk");

/* Follows the page header of a slot page. */
typedef struct VkGraphPageHeader
{
	BlockNumber next_free;		/* meaningful while VK_GRAPH_PAGE_LISTED */
	uint16		nused;			/* slots ever used; those behind do not exist
								 * yet */
	uint16		flags;
	uint32		unused[8];
} VkGraphPageHeader;

#define VK_GRAPH_PAGE_LISTED	0x0001	/* in the chain of pages with free
										 * slots */

StaticAssertDecl(sizeof(VkGraphPageHeader) == 40, "VkGraphPageHeader is on disk");

/* Slots begin at a cache line; before them, the page header and ours. */
#define VK_GRAPH_SLOTS_OFFSET	64
#define VK_GRAPH_SPECIAL_SIZE	16

#define VK_GRAPH_PAGE_BYTES \
	(BLCKSZ - VK_GRAPH_SLOTS_OFFSET - VK_GRAPH_SPECIAL_SIZE)

#define VkPageGetGraphHeader(page) \
	((VkGraphPageHeader *) ((char *) (page) + SizeOfPageHeaderData))
#define VkPageGetSlot(lay, page, slot) \
	((char *) (page) + VK_GRAPH_SLOTS_OFFSET + (Size) (slot) * (lay)->slot_size)

#endif							/* VK_GRAPH_PAGE_H */
