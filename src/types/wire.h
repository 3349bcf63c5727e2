/*-------------------------------------------------------------------------
 *
 * wire.h
 *	  Readers of the binary messages of the three types.
 *
 * Reading takes two calls: the header says how much to allocate, then the
 * body is read into it.  Sizes are checked against what the message holds
 * before anything is allocated or read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_WIRE_H
#define VK_WIRE_H

#include "types/readerr.h"

#define VK_WIRE_DENSE_HEADER	4	/* int16 dim, int16 unused */
#define VK_WIRE_SPARSE_HEADER	12	/* int32 dim, int32 nnz, int32 unused */

extern bool vk_wire_dense_header(const unsigned char *data, size_t len, VkElem elem,
								 int typmod, int *dim, VkReadError *error);
extern bool vk_wire_dense_body(const unsigned char *data, VkElem elem, int dim,
							   void *out, VkReadError *error);

extern bool vk_wire_sparse_header(const unsigned char *data, size_t len, int typmod,
								  int *dim, int *nnz, VkReadError *error);
extern bool vk_wire_sparse_body(const unsigned char *data, int dim, int nnz,
								int32_t *indices, float *values, VkReadError *error);

/* Bytes of the whole message, by which the caller moves on. */
extern size_t vk_wire_dense_size(VkElem elem, int dim);
extern size_t vk_wire_sparse_size(int nnz);

#endif							/* VK_WIRE_H */
