/*-------------------------------------------------------------------------
 *
 * alloc.c
 *	  New values of the vector types.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "types/dense.h"

VkVector *
vk_dense_alloc(VkElem elem, int dim)
{
	size_t		size = vk_dense_size(elem, dim);
	VkVector   *result = palloc0(size);

	Assert(dim >= 1 && dim <= VK_MAX_DIM);
	SET_VARSIZE(result, size);
	result->dim = (int16) dim;
	return result;
}

VkSparsevec *
vk_sparsevec_alloc(int dim, int nnz)
{
	size_t		size = VK_SPARSEVEC_SIZE(nnz);
	VkSparsevec *result = palloc0(size);

	Assert(dim >= 1 && dim <= VK_SPARSE_MAX_DIM);
	Assert(nnz >= 0 && nnz <= VK_SPARSE_MAX_NNZ && nnz <= dim);
	SET_VARSIZE(result, size);
	result->dim = dim;
	result->nnz = nnz;
	return result;
}
