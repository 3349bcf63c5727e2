/*-------------------------------------------------------------------------
 *
 * am_value.c
 *	  Checks values that come from an index page before anybody trusts them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am_private.h"

static const char *
sparse_fault(const VkIndexInfo *info, const VkSparsevec *value, Size size)
{
	if (size < VK_SPARSEVEC_SIZE(0) || value->dim != info->dim ||
		value->nnz < 0 || value->nnz > VK_SPARSE_MAX_NNZ ||
		size != VK_SPARSEVEC_SIZE(value->nnz))
		return "A sparse vector has a wrong size.";
	for (int i = 0; i < value->nnz; i++)
		if (value->indices[i] < (i == 0 ? 0 : value->indices[i - 1] + 1) ||
			value->indices[i] >= info->dim)
			return "A sparse vector has indices out of order.";
	return NULL;
}

/*
 * What is wrong with a stored value of size bytes including its varlena
 * header; NULL if nothing.
 */
const char *
vk_value_fault(const VkIndexInfo *info, const struct varlena *value, Size size)
{
	if (size < VARHDRSZ || !VARATT_IS_4B_U(value) || VARSIZE(value) != size)
		return "A vector has a wrong header.";
	if (info->elem == VK_ELEM_SPARSE)
		return sparse_fault(info, (const VkSparsevec *) value, size);
	if (size != offsetof(VkVector, x) + info->row_bytes ||
		((const VkVector *) value)->dim != info->dim)
		return "A vector has a wrong size.";
	return NULL;
}
