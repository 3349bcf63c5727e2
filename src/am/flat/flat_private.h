/*-------------------------------------------------------------------------
 *
 * flat_private.h
 *	  What the files of src/am/flat share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_FLAT_PRIVATE_H
#define VK_FLAT_PRIVATE_H

#include "am/am_batch.h"
#include "am/flat/flat_page.h"

/* Receives each row of a group; elements need not be aligned. */
typedef void (*VkFlatRowVisitor) (void *arg, int slot, const char *elements);

/* flat_store.c */
extern bool vk_flat_visit_rows(VkIndex *index, uint32 split_id, const BlockNumber *blocks,
							   int nslots, char *row, VkFlatRowVisitor visit, void *arg);
extern void vk_flat_layout(int row_bytes, int code_bytes, VkFlatLayout *layout);
extern VkFlatGroup *vk_flat_group(VkIndex *index, Buffer buffer, VkFlatLayout *layout);

/* A row by its slot. */
typedef struct VkFlatRowRef
{
	uint32		split_id;
	BlockNumber group;
	uint16		slot;
	uint64		tid;
} VkFlatRowRef;

/* flat_scan.c */
extern void vk_flat_collect(VkScan *scan, VkStoreRef ref);
extern bool vk_flat_find_blocks(VkIndex *index, const VkFlatRowRef *row, int first, int count,
								BlockNumber *blocks);
extern void vk_flat_check_row_gone(VkIndex *index, const VkFlatRowRef *row, int number,
								   BlockNumber block);

/* flat_batch.c */
extern const VkBatchOps vk_flat_batch;

/* flat_recode.c */
extern void vk_flat_maybe_train(VkIndex *index, VkStoreRef ref);
extern int	vk_flat_sample_rows(const VkIndexInfo *info);
extern void vk_flat_learn(VkIndex *index, struct varlena **sample, int nsample);

/* flat_vacuum.c */
extern void vk_flat_vacuum(VkVacuum *vacuum, VkStoreRef ref);
extern bool vk_flat_retire(VkIndex *index, VkStoreRef ref, VkEdit *edit, VkBlockList *blocks);
extern void vk_flat_stats(VkIndex *index, VkStoreRef ref, VkStoreStats *stats);
extern void vk_flat_check(VkIndex *index, VkStoreRef ref, VkCheck *check);

#endif							/* VK_FLAT_PRIVATE_H */
