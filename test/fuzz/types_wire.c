/*
 * types_wire.c: fuzz the readers of the binary messages
 *
 * The first byte chooses the type, the second the type modifier, the rest is
 * the message.  What is accepted must keep the invariants of the type; memory
 * is allocated exactly as the header says, so that a body that is longer shows.
 *
 * SOURCES: src/types/wire.c
 */
#include <math.h>
#include <stdlib.h>

#include "types/wire.h"

static void
check_error(size_t len, const VkReadError *error)
{
	if (error->position > len || error->token != NULL)
		abort();
}

static void
fuzz_dense(const unsigned char *data, size_t len, VkElem elem, int typmod)
{
	size_t		width = elem == VK_ELEM_FLOAT2 ? sizeof(VkHalf) : sizeof(float);
	VkReadError error;
	void	   *values;
	int			dim;

	if (!vk_wire_dense_header(data, len, elem, typmod, &dim, &error))
	{
		check_error(len, &error);
		return;
	}
	if (dim < 1 || dim > VK_MAX_DIM || (typmod != -1 && dim != typmod) || vk_wire_dense_size(elem, dim) > len)
		abort();
	values = malloc(width * (size_t) dim);
	if (!vk_wire_dense_body(data, elem, dim, values, &error))
		check_error(len, &error);
	else
		for (int i = 0; i < dim; i++)
			if (!isfinite(elem == VK_ELEM_FLOAT2 ? vk_half_to_float(((VkHalf *) values)[i]) : ((float *) values)[i]))
				abort();
	free(values);
}

static void
fuzz_sparse(const unsigned char *data, size_t len, int typmod)
{
	VkReadError error;
	int32_t    *indices;
	float	   *values;
	int			dim;
	int			nnz;

	if (!vk_wire_sparse_header(data, len, typmod, &dim, &nnz, &error))
	{
		check_error(len, &error);
		return;
	}
	if (dim < 1 || dim > VK_SPARSE_MAX_DIM || (typmod != -1 && dim != typmod) || nnz < 0 || nnz > dim ||
		vk_wire_sparse_size(nnz) > len)
		abort();
	indices = malloc(sizeof(*indices) * (size_t) nnz);
	values = malloc(sizeof(*values) * (size_t) nnz);
	if (!vk_wire_sparse_body(data, dim, nnz, indices, values, &error))
		check_error(len, &error);
	else
		for (int i = 0; i < nnz; i++)
			if (indices[i] < 0 || indices[i] >= dim || (i > 0 && indices[i] <= indices[i - 1]) ||
				!isfinite(values[i]) || values[i] == 0)
				abort();
	free(indices);
	free(values);
}

int			LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	unsigned char *message;
	int			typmod;
	VkElem		elem;

	if (size < 2)
		return 0;
	elem = (VkElem) (data[0] % 3);
	typmod = data[1] % 8 == 0 ? data[1] / 8 + 1 : -1;
	/* a copy of its own size, so that reading behind it is noticed */
	message = malloc(size - 2);
	memcpy(message, data + 2, size - 2);
	if (elem == VK_ELEM_SPARSE)
		fuzz_sparse(message, size - 2, typmod);
	else
		fuzz_dense(message, size - 2, elem, typmod);
	free(message);
	return 0;
}
