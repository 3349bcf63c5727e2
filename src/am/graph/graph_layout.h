/*-------------------------------------------------------------------------
 *
 * graph_layout.h
 *	  What a slot of a graph page holds, and how large it is for a dimension.
 *
 * README.md in this folder draws the layouts.  Everything here is on disk:
 * changing it needs a new version in the metapage.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_GRAPH_LAYOUT_H
#define VK_GRAPH_LAYOUT_H

#include "storage/itemptr.h"

#include "distance/distance.h"

/* A slot of the index: block number * slots per page + slot number. */
typedef uint32 VkNodeId;

#define VK_NODE_NONE		((VkNodeId) 0xFFFFFFFF)

/* Contents of a slot; zeroed memory is a free one. */
#define VK_SLOT_FREE		0
#define VK_SLOT_NODE		1	/* a vector with its edges on one level */
#define VK_SLOT_TIDS		2	/* more heap TIDs of a node */
#define VK_SLOT_PAYLOAD		3	/* the rest of a vector too large for its slot */
#define VK_SLOT_CENTER		4	/* the vector that codes are relative to */

#define VK_NODE_DEAD		0x01	/* no heap TIDs left: traversed, not
									 * returned */

#define VK_NODE_INLINE_TIDS	5

/* Every slot begins with this. */
typedef struct VkGraphNode
{
	uint8		kind;			/* VK_SLOT_* */
	uint8		level;
	uint8		flags;			/* VK_NODE_* */
	uint8		gen;			/* grows each time the slot is freed */
	uint8		nedges;
	uint8		ntids;			/* heap TIDs in tids[] */
	uint16		version;		/* grows each time the edges change */
	VkNodeId	down;			/* the same vector one level below */
	VkNodeId	more;			/* first VK_SLOT_TIDS, level 0 only */
	VkNodeId	rest;			/* first VK_SLOT_PAYLOAD */
	uint32		payload_size;	/* bytes of the whole vector */
	double		norm2;			/* squared Euclidean norm */
	ItemPointerData tids[VK_NODE_INLINE_TIDS];
	uint16		unused;
} VkGraphNode;

#define VK_NODE_HEADER		64

StaticAssertDecl(sizeof(VkGraphNode) == VK_NODE_HEADER, "slot header is 64 bytes");

/* A VK_SLOT_TIDS or VK_SLOT_PAYLOAD slot: a link of a chain owned by a node. */
typedef struct VkGraphLink
{
	uint8		kind;
	uint8		unused1;
	uint8		flags;
	uint8		gen;
	uint16		count;			/* TIDs, or bytes of payload */
	uint16		unused2;
	VkNodeId	owner;			/* the node, of TIDs; else VK_NODE_NONE */
	VkNodeId	next;
	char		data[FLEXIBLE_ARRAY_MEMBER];
} VkGraphLink;

#define VK_LINK_HEADER		offsetof(VkGraphLink, data)

StaticAssertDecl(VK_LINK_HEADER == 16, "link header is 16 bytes");

/* Edges come in groups that one kernel call evaluates. */
#define VK_EDGE_GROUP		32
#define VK_GRAPH_MAX_EDGES	224

/* The least dimension of codes: shorter ones are too noisy. */
#define VK_NAV_MIN_DIM		64
#define VK_CODE_MIN_DIM		256
#define VK_CODE_WANTED_DIM	512
#define VK_CODE_SPANNING_DIM	1024
#define VK_CODE_MAX_DIM		2048

/* Beyond, a second bit is not worth reading twice as much for. */
#define VK_CODE_PLANES		2
#define VK_CODE_PLANES_DIM	320

/*
 * The code of a sparse vector: so many terms of 16 bits of hash and 8 of weight;
 * and where two slots fit a page, so much of the vector should fit each.
 */
#define VK_SPARSE_TERMS		24
#define VK_SPARSE_CODE_BITS	(VK_SPARSE_TERMS * 24)
#define VK_SPARSE_INLINE	1024

/*
 * A new node's edges in percent of m.  Sparse vectors are all far apart, and a
 * graph of more edges leads nearer for the same number of visited nodes.
 */
#define VK_SPARSE_FORWARD	150

#define VK_MAX_LEVEL		7
#define VK_LEVEL_FANOUT		32

typedef struct VkGraphLayout
{
	VkElem		elem;
	VkMetric	metric;
	int			dim;			/* of the type; sparsevec may have any */
	int			nav_dim;		/* dimension of the rotated vector, multiple
								 * of 32 */
	int			code_dim;		/* leading rotated dimensions that codes hold;
								 * sparse: bits */
	int			planes;			/* bits for each of them */
	int			code_bytes;		/* of one edge */
	int			max_edges;		/* multiple of VK_EDGE_GROUP */
	int			forward;		/* edges a new node chooses */
	int			prune_to;		/* edges left when a full node is pruned */
	bool		ip;				/* navigate by inner product, else by squared
								 * l2 */
	bool		spans;			/* the vector may go on in other slots */
	int			payload_inline; /* bytes of the vector in the node's slot */

	/* offsets in the slot */
	int			code_off;
	int			id_off;
	int			bias_off;
	int			scale_off;
	int			gen_off;
	int			payload_off;
	int			slot_size;
	int			slots_per_page;
} VkGraphLayout;

#define VK_EDGE_IDS(lay, rec)		((VkNodeId *) ((char *) (rec) + (lay)->id_off))
#define VK_EDGE_BIAS(lay, rec)		((float *) ((char *) (rec) + (lay)->bias_off))
#define VK_EDGE_SCALE(lay, rec)		((float *) ((char *) (rec) + (lay)->scale_off))
#define VK_EDGE_GEN(lay, rec)		((uint8 *) ((char *) (rec) + (lay)->gen_off))
#define VK_NODE_PAYLOAD(lay, rec)	((char *) (rec) + (lay)->payload_off)

/* Codes of the group of edges g. */
#define VK_EDGE_CODES(lay, rec, g) \
	((uint8 *) (rec) + (lay)->code_off + (size_t) (g) * VK_EDGE_GROUP * (lay)->code_bytes)

#define VK_LINK_CAPACITY(lay)		((lay)->slot_size - (int) VK_LINK_HEADER)
#define VK_LINK_TIDS(lay) \
	((int) (VK_LINK_CAPACITY(lay) / sizeof(ItemPointerData)))

/*
 * Fills the layout for a type, metric and option m.  page_bytes is what a page
 * has for slots.  Never fails for what the types allow.
 */
extern void vk_graph_layout_init(VkGraphLayout *lay, VkElem elem, VkMetric metric,
								 int dim, int m, int page_bytes);

/* Bytes of a dense vector as stored. */
static inline int
vk_graph_dense_size(const VkGraphLayout *lay)
{
	return lay->dim * (lay->elem == VK_ELEM_FLOAT4 ? 4 : 2);
}

/* Slots of a node whose vector has so many bytes as stored. */
static inline int
vk_graph_slots(const VkGraphLayout *lay, uint32 size)
{
	if (size <= (uint32) lay->payload_inline)
		return 1;
	return 2 + (int) ((size - lay->payload_inline - 1) / VK_LINK_CAPACITY(lay));
}

#endif							/* VK_GRAPH_LAYOUT_H */
