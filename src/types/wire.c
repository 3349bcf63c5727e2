/*-------------------------------------------------------------------------
 *
 * wire.c
 *	  Readers of the binary messages: big-endian, see README.md.
 *
 * Plain C: no server, no allocation, no error but by VkReadError.
 *
 *-------------------------------------------------------------------------
 */
#include "types/wire.h"

/* Compilers make one load and a byte swap of these. */
static inline uint16_t
get16(const unsigned char *data)
{
	return (uint16_t) (data[0] << 8 | data[1]);
}

static inline uint32_t
get32(const unsigned char *data)
{
	return (uint32_t) data[0] << 24 | (uint32_t) data[1] << 16 |
		(uint32_t) data[2] << 8 | data[3];
}

static bool
fail(VkReadError *error, VkReadCode code, int64_t value, int64_t limit)
{
	memset(error, 0, sizeof(*error));
	error->code = code;
	error->value = value;
	error->limit = limit;
	return false;
}

/* Notes an error about element number i (from 0), which starts at offset. */
static bool
fail_element(VkReadError *error, VkReadCode code, int i, size_t offset)
{
	fail(error, code, 0, 0);
	error->element = i + 1;
	error->position = offset + 1;
	return false;
}

static bool
check_dim(VkReadError *error, int dim, int max_dim, int typmod)
{
	if (dim < 1)
		return fail(error, VK_READ_NO_DIM, dim, max_dim);
	if (dim > max_dim)
		return fail(error, VK_READ_DIM_LIMIT, dim, max_dim);
	if (typmod != -1 && dim != typmod)
		return fail(error, VK_READ_DIM_EXPECTED, dim, typmod);
	return true;
}

size_t
vk_wire_dense_size(VkElem elem, int dim)
{
	size_t		width = elem == VK_ELEM_FLOAT2 ? sizeof(VkHalf) : sizeof(float);

	return VK_WIRE_DENSE_HEADER + width * dim;
}

size_t
vk_wire_sparse_size(int nnz)
{
	return VK_WIRE_SPARSE_HEADER + (sizeof(int32_t) + sizeof(float)) * (size_t) nnz;
}

bool
vk_wire_dense_header(const unsigned char *data, size_t len, VkElem elem,
					 int typmod, int *dim, VkReadError *error)
{
	int			unused;

	if (len < VK_WIRE_DENSE_HEADER)
		return fail(error, VK_READ_SHORT, len, VK_WIRE_DENSE_HEADER);
	/* unsigned, so that what is out of range is too large, never too small */
	*dim = get16(data);
	unused = get16(data + 2);
	if (!check_dim(error, *dim, VK_MAX_DIM, typmod))
		return false;
	if (unused != 0)
		return fail(error, VK_READ_UNUSED, unused, 0);
	if (len < vk_wire_dense_size(elem, *dim))
		return fail(error, VK_READ_SHORT, len, vk_wire_dense_size(elem, *dim));
	return true;
}

static VkReadCode
code_of(float value)
{
	return value != value ? VK_READ_NAN : VK_READ_INFINITE;
}

/*
 * Both body readers first convert everything, noting only whether anything was
 * wrong, and look for the element that was in a second pass: the loops that
 * run for good input have no branch and are vectorized.
 */
static bool
read_floats(const unsigned char *data, size_t offset, int count, float *out,
			VkReadError *error)
{
	uint32_t	wrong = 0;

	for (int i = 0; i < count; i++)
	{
		uint32_t	bits = get32(data + offset + sizeof(float) * i);

		wrong |= (bits & VK_FLOAT_EXPONENT) == VK_FLOAT_EXPONENT;
		out[i] = vk_bits_float(bits);
	}
	for (int i = 0; wrong && i < count; i++)
		if (!vk_float_is_finite(out[i]))
			return fail_element(error, code_of(out[i]), i, offset + sizeof(float) * i);
	return true;
}

static bool
read_halfs(const unsigned char *data, size_t offset, int count, VkHalf *out,
		   VkReadError *error)
{
	uint32_t	wrong = 0;

	for (int i = 0; i < count; i++)
	{
		out[i] = get16(data + offset + sizeof(VkHalf) * i);
		wrong |= (out[i] & VK_HALF_INF) == VK_HALF_INF;
	}
	for (int i = 0; wrong && i < count; i++)
		if (!vk_half_is_finite(out[i]))
			return fail_element(error, code_of(vk_half_to_float(out[i])), i,
								offset + sizeof(VkHalf) * i);
	return true;
}

bool
vk_wire_dense_body(const unsigned char *data, VkElem elem, int dim, void *out,
				   VkReadError *error)
{
	if (elem == VK_ELEM_FLOAT2)
		return read_halfs(data, VK_WIRE_DENSE_HEADER, dim, out, error);
	return read_floats(data, VK_WIRE_DENSE_HEADER, dim, out, error);
}

bool
vk_wire_sparse_header(const unsigned char *data, size_t len, int typmod,
					  int *dim, int *nnz, VkReadError *error)
{
	int32_t		unused;

	if (len < VK_WIRE_SPARSE_HEADER)
		return fail(error, VK_READ_SHORT, len, VK_WIRE_SPARSE_HEADER);
	*dim = (int32_t) get32(data);
	*nnz = (int32_t) get32(data + 4);
	unused = (int32_t) get32(data + 8);
	if (*dim < 1 || *dim > VK_SPARSE_MAX_DIM)
		return check_dim(error, *dim, VK_SPARSE_MAX_DIM, -1);
	if (*nnz < 0)
		return fail(error, VK_READ_NNZ_NEGATIVE, *nnz, VK_SPARSE_MAX_NNZ);
	if (*nnz > VK_SPARSE_MAX_NNZ)
		return fail(error, VK_READ_NNZ_LIMIT, *nnz, VK_SPARSE_MAX_NNZ);
	if (*nnz > *dim)
		return fail(error, VK_READ_NNZ_ABOVE_DIM, *nnz, *dim);
	if (!check_dim(error, *dim, VK_SPARSE_MAX_DIM, typmod))
		return false;
	if (unused != 0)
		return fail(error, VK_READ_UNUSED, unused, 0);
	if (len < vk_wire_sparse_size(*nnz))
		return fail(error, VK_READ_SHORT, len, vk_wire_sparse_size(*nnz));
	return true;
}

/* Notes what is wrong with indices[i]; the user counts indices from 1. */
static bool
fail_index(VkReadError *error, const int32_t *indices, int i, int dim)
{
	VkReadCode	code;

	if (indices[i] < 0 || indices[i] >= dim)
		code = VK_READ_INDEX_BOUNDS;
	else if (indices[i] == indices[i - 1])
		code = VK_READ_INDEX_DUPLICATE;
	else
		code = VK_READ_INDEX_ORDER;
	fail_element(error, code, i, VK_WIRE_SPARSE_HEADER + sizeof(int32_t) * i);
	error->value = (int64_t) indices[i] + 1;
	error->limit = dim;
	return false;
}

bool
vk_wire_sparse_body(const unsigned char *data, int dim, int nnz,
					int32_t *indices, float *values, VkReadError *error)
{
	size_t		values_at = VK_WIRE_SPARSE_HEADER + sizeof(int32_t) * (size_t) nnz;
	int32_t		previous = -1;

	for (int i = 0; i < nnz; i++)
	{
		indices[i] = (int32_t) get32(data + VK_WIRE_SPARSE_HEADER + sizeof(int32_t) * i);
		/* previous is at least -1, so this rejects negative ones as well */
		if (indices[i] <= previous || indices[i] >= dim)
			return fail_index(error, indices, i, dim);
		previous = indices[i];
	}
	if (!read_floats(data, values_at, nnz, values, error))
		return false;
	for (int i = 0; i < nnz; i++)
		if (values[i] == 0)
			return fail_element(error, VK_READ_ZERO, i, values_at + sizeof(float) * i);
	return true;
}
