/*-------------------------------------------------------------------------
 *
 * topk.h
 *	  The k best (distance, heap TID) pairs beyond a cursor.
 *
 * A pass of an index scan fills one collector from all the stores it reads.
 * Pairs are totally ordered by distance, then TID, so that "beyond the last
 * pair returned" is well defined and a scan can go on in a later pass without
 * remembering what it has returned.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_TOPK_H
#define VK_TOPK_H

#include <math.h>

#include "storage/itemptr.h"

typedef struct VkTopkSort VkTopkSort;

/* 16 bytes; tid is block number << 16 | offset number, which orders as TIDs do. */
typedef struct VkCandidate
{
	double		distance;
	uint64		tid;
} VkCandidate;

typedef struct VkTopk
{
	VkCandidate *items;			/* a max-heap by (distance, tid) while filling */
	int64		count;
	int64		capacity;		/* k of this pass */
	int64		allocated;		/* length of items; grows up to capacity */
	bool		has_cursor;
	VkCandidate cursor;			/* only pairs strictly beyond it are kept */
	double		threshold;		/* distance of the k-th best so far, else
								 * infinity */
	VkTopkSort *sort;			/* not NULL: everything goes here instead */
	int64		pushed;			/* pairs offered beyond the cursor */
} VkTopk;

static inline uint64
vk_tid_encode(ItemPointer tid)
{
	return ((uint64) ItemPointerGetBlockNumberNoCheck(tid) << 16) |
		ItemPointerGetOffsetNumberNoCheck(tid);
}

static inline void
vk_tid_decode(uint64 encoded, ItemPointer tid)
{
	ItemPointerSet(tid, (BlockNumber) (encoded >> 16), (OffsetNumber) (encoded & 0xFFFF));
}

/* Distances are never NaN: vk_distance() promises it. */
static inline int
vk_candidate_compare(const VkCandidate *a, const VkCandidate *b)
{
	if (a->distance != b->distance)
		return a->distance < b->distance ? -1 : 1;
	if (a->tid != b->tid)
		return a->tid < b->tid ? -1 : 1;
	return 0;
}

extern void vk_topk_init(VkTopk *topk, int64 k, const VkCandidate *cursor);
extern void vk_topk_init_sort(VkTopk *topk, const VkCandidate *cursor, int work_mem_kb);
extern void vk_topk_insert(VkTopk *topk, const VkCandidate *candidate);
extern void vk_topk_finish(VkTopk *topk);
extern bool vk_topk_next_sorted(VkTopk *topk, VkCandidate *candidate);
extern void vk_topk_free(VkTopk *topk);

/*
 * Offers a pair.  A row whose distance is certainly greater than
 * topk->threshold need not be offered.
 */
static inline void
vk_topk_push(VkTopk *topk, double distance, uint64 tid)
{
	VkCandidate candidate;

	if (distance > topk->threshold)
		return;
	candidate.distance = distance;
	candidate.tid = tid;
	if (topk->has_cursor && vk_candidate_compare(&candidate, &topk->cursor) <= 0)
		return;
	vk_topk_insert(topk, &candidate);
}

#endif							/* VK_TOPK_H */
