/*-------------------------------------------------------------------------
 *
 * sparse_record.c
 *	  Forward records: encoding, and decoding that trusts nothing.
 *
 * Values are kept as they are, because distances are computed from them and
 * must have the bits the operator gives.  Indices are mostly near each other,
 * so that a gap fits into 16 bits; where gaps would take more room than the
 * indices themselves (hashed features), these are stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/sparse/sparse_record.h"

/* A gap of this or more takes three halves: the escape, low, high. */
#define GAP_ESCAPE			0xFFFF
#define GAP_ESCAPED_HALVES	3

/* 16-bit halves the gaps of vec take. */
static uint32
gap_halves(const VkSparse *vec)
{
	uint32		halves = 0;
	int32		previous = -1;

	for (int i = 0; i < vec->nnz; i++)
	{
		uint32		gap = vec->indices[i] - previous - 1;

		halves += gap < GAP_ESCAPE ? 1 : GAP_ESCAPED_HALVES;
		previous = vec->indices[i];
	}
	return halves;
}

/* Bytes of nnz indices in the smaller encoding, which is stored in *encoding. */
static uint32
index_bytes(const VkSparse *vec, uint8 *encoding)
{
	uint32		gaps = (gap_halves(vec) * 2 + 3) & ~3u;
	uint32		plain = vec->nnz * 4;

	*encoding = gaps < plain ? VK_SPARSE_GAPS : VK_SPARSE_PLAIN;
	return Min(gaps, plain);
}

uint32
vk_sparse_record_size(const VkSparse *vec)
{
	uint8		encoding;

	return sizeof(VkSparseRecord) + 4 * vec->nnz + index_bytes(vec, &encoding);
}

void
vk_sparse_record_encode(const VkSparse *vec, int32 dim,
						const ItemPointerData * tid, char *out)
{
	VkSparseRecord record = {0};
	char	   *indices = out + sizeof(VkSparseRecord) + 4 * vec->nnz;
	uint32		bytes = index_bytes(vec, &record.encoding);

	record.length = sizeof(VkSparseRecord) + 4 * vec->nnz + bytes;
	record.dim = dim;
	record.nnz = vec->nnz;
	record.tid = *tid;
	memcpy(out, &record, sizeof(record));
	memcpy(out + sizeof(record), vec->values, 4 * vec->nnz);
	if (record.encoding == VK_SPARSE_PLAIN)
		memcpy(indices, vec->indices, bytes);
	else
	{
		uint16	   *half = (uint16 *) indices;
		int32		previous = -1;

		for (int i = 0; i < vec->nnz; i++)
		{
			uint32		gap = vec->indices[i] - previous - 1;

			if (gap < GAP_ESCAPE)
				*half++ = gap;
			else
			{
				*half++ = GAP_ESCAPE;
				*half++ = gap & 0xFFFF;
				*half++ = gap >> 16;
			}
			previous = vec->indices[i];
		}
		if ((char *) half < indices + bytes)
			*half = 0;
	}
}

const char *
vk_sparse_record_check(const VkSparseRecord *record, uint64 available)
{
	uint64		least = sizeof(VkSparseRecord) + UINT64CONST(4) * record->nnz;

	if (record->length > available || record->length % 4 != 0)
		return "The length of a record is out of range.";
	if (record->nnz > VK_SPARSE_MAX_NNZ)
		return "The number of elements of a record is out of range.";
	if (record->dim < 1 || record->dim > VK_SPARSE_MAX_DIM)
		return "The dimension of a record is out of range.";
	if (record->encoding == VK_SPARSE_PLAIN)
		least += 4 * (uint64) record->nnz;
	else if (record->encoding == VK_SPARSE_GAPS)
		least += 2 * (uint64) record->nnz;
	else
		return "The indices of a record are in an unknown encoding.";
	if (record->length < least ||
		record->length > sizeof(VkSparseRecord) + UINT64CONST(8) * record->nnz)
		return "The length of a record disagrees with its number of elements.";
	return NULL;
}

/* Decodes gaps from half to end. */
static const char *
decode_gaps(const uint16 *half, const uint16 *end, int nnz, int32 *indices)
{
	uint64		next = 0;		/* least index the element may have */

	for (int i = 0; i < nnz; i++)
	{
		if (half >= end)
			return "The indices of a record end early.";
		if (likely(*half != GAP_ESCAPE))
			next += *half++;
		else
		{
			if (end - half < GAP_ESCAPED_HALVES)
				return "The indices of a record end early.";
			next += half[1] | (uint32) half[2] << 16;
			half += GAP_ESCAPED_HALVES;
		}
		/* A sum beyond the range stays there: checked once, at the end. */
		indices[i] = (int32) next;
		next++;
	}
	return next > VK_SPARSE_MAX_DIM ? "An index is out of range." : NULL;
}

const char *
vk_sparse_record_decode(const VkSparseRecord *record, int32 *indices, VkSparse *vec)
{
	int			nnz = record->nnz;
	const char *values = (const char *) record + sizeof(VkSparseRecord);
	const char *encoded = values + 4 * nnz;

	if (record->encoding == VK_SPARSE_GAPS)
	{
		const char *problem = decode_gaps((const uint16 *) encoded,
										  (const uint16 *) ((const char *) record + record->length),
										  nnz, indices);

		if (problem)
			return problem;
	}
	else
	{
		memcpy(indices, encoded, 4 * nnz);
		for (int i = 0; i < nnz; i++)
		{
			if (indices[i] < (i == 0 ? 0 : indices[i - 1] + 1))
				return "The indices of a record are not in ascending order.";
		}
	}
	if (nnz > 0 && indices[nnz - 1] >= record->dim)
		return "An index is beyond the dimension of its record.";
	vec->indices = indices;
	vec->values = (const float *) values;
	vec->nnz = nnz;
	return NULL;
}
