/*-------------------------------------------------------------------------
 *
 * graph_sparse.h
 *	  Codes of sparse vectors: their largest terms; and of sets.
 *
 * The code of an edge holds VK_SPARSE_TERMS terms of the neighbour, each a hash
 * of 16 bits of its index and its weight in 8 bits; by Jaccard's distance, as
 * many bits, those set that the neighbour's elements are hashed to.  It does not
 * depend on the owner of the edge, so a node has the same estimate wherever a
 * search comes to it from, and is estimated once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_GRAPH_SPARSE_H
#define VK_GRAPH_SPARSE_H

#include "am/graph/graph_space.h"
#include "am/graph/graph_set.h"

struct VkGraphSearch;

/* A query: its weights by hash of the index, and the nodes looked at. */
typedef struct VkSparseQuery
{
	uint32		bits[VK_SPARSE_CODE_BITS / 32]; /* sets: the query's code */
	float		share;			/* sets: of the bits that are set */
	int16	   *weights;		/* VK_SPARSE_HASHES */
	uint16	   *used;			/* places of weights that are not 0 */
	int			nused;
	int			used_allocated;
	float		unit;			/* of the products of weights */
	float		base;			/* the query's part of the estimates */
	VkNodeSet	looked;			/* nodes looked at */
} VkSparseQuery;

extern void vk_sparse_query_init(VkSparseQuery *query);
extern void vk_sparse_query_set(VkSparseQuery *query, const VkSpace *space, const VkPoint *point);

/* A level is searched with a beam of ef: no node has been looked at. */
extern void vk_sparse_begin(VkSparseQuery *query, int ef);

/* Gives back what a wide beam took. */
extern void vk_sparse_trim(VkSparseQuery *query);

/* The code of an edge to the point. */
extern void vk_sparse_encode(const VkSpace *space, const VkPoint *point, VkEdgeCode *code);

/* vk_search_expand() for graphs of sparse vectors. */
extern int	vk_sparse_expand(struct VkGraphSearch *search, const char *rec, int ef);

#endif							/* VK_GRAPH_SPARSE_H */
