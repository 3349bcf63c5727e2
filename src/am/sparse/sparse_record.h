/*-------------------------------------------------------------------------
 *
 * sparse_record.h
 *	  Forward records: one sparse vector, with its heap TID, in bytes.
 *
 * Uses no symbol of the server, so that unit tests link it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_SPARSE_RECORD_H
#define VK_SPARSE_RECORD_H

#include "distance/distance.h"
#include "storage/itemptr.h"

/*
 * Header of a forward record; nnz float values follow, then the indices in
 * one of two encodings.  Records start at multiples of 4.
 */
typedef struct VkSparseRecord
{
	uint32		length;			/* bytes in all, a multiple of 4 */
	int32		dim;			/* of the vector */
	uint16		nnz;			/* 0..VK_SPARSE_MAX_NNZ */
	uint8		encoding;		/* VK_SPARSE_GAPS or VK_SPARSE_PLAIN */
	uint8		flags;			/* VK_SPARSE_DEAD, in pending lists only */
	ItemPointerData tid;		/* row of the table */
	uint16		zero;			/* padding */
} VkSparseRecord;

StaticAssertDecl(sizeof(VkSparseRecord) == 20, "forward record header has padding");

/* Indices as 16-bit gaps; 0xFFFF escapes to a 32-bit gap in two halves. */
#define VK_SPARSE_GAPS		0
/* Indices as 32-bit integers. */
#define VK_SPARSE_PLAIN		1

/* The row is gone from the table. */
#define VK_SPARSE_DEAD		0x01

#define VK_SPARSE_RECORD_MAX \
	(sizeof(VkSparseRecord) + 8 * VK_SPARSE_MAX_NNZ)

/* Bytes the record of vec takes. */
extern uint32 vk_sparse_record_size(const VkSparse *vec);

/* Writes the record of vec, vk_sparse_record_size() bytes, at out. */
extern void vk_sparse_record_encode(const VkSparse *vec, int32 dim,
									const ItemPointerData * tid, char *out);

/*
 * What is wrong with a record header of which `available` bytes may be in
 * reach; NULL if nothing is.
 */
extern const char *vk_sparse_record_check(const VkSparseRecord *record,
										  uint64 available);

/*
 * Decodes a whole record, whose header has been checked.  Values stay where
 * they are; indices go to `indices`, which has room for VK_SPARSE_MAX_NNZ.
 * Returns what is wrong, or NULL.
 */
extern const char *vk_sparse_record_decode(const VkSparseRecord *record,
										   int32 *indices, VkSparse *vec);

#endif							/* VK_SPARSE_RECORD_H */
