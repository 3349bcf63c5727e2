/*
 * types_text.c: fuzz the readers of the text formats
 *
 * The first byte chooses the type, the second the type modifier, the rest is
 * the literal.  What is accepted must keep the invariants of the type and,
 * written out again, read back as the same value.
 *
 * SOURCES: src/types/textio.c
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "types/textio.h"

/* An error must point into the literal, or just behind it. */
static void
check_error(const char *literal, size_t len, const VkReadError *error)
{
	if (error->position > len + 1)
		abort();
	if (error->token != NULL &&
		(error->token < literal || error->token + error->token_len > literal + len))
		abort();
	if (error->code == VK_READ_SYNTAX && (error->why == NULL || error->why[0] == '\0'))
		abort();
}

static void
fuzz_dense(const char *literal, size_t len, VkElem elem, int typmod)
{
	static _Alignas(float) unsigned char first[VK_MAX_DIM * sizeof(float)];
	static _Alignas(float) unsigned char second[VK_MAX_DIM * sizeof(float)];
	size_t		width = elem == VK_ELEM_FLOAT2 ? sizeof(VkHalf) : sizeof(float);
	VkReadError error;
	char	   *copy;
	char	   *at;
	int			dim;
	int			again;

	if (!vk_text_read_dense(literal, elem, typmod, first, &dim, &error))
	{
		check_error(literal, len, &error);
		return;
	}
	if (dim < 1 || dim > VK_MAX_DIM || (typmod != -1 && dim != typmod))
		abort();
	at = copy = malloc((size_t) dim * 24 + 3);
	for (int i = 0; i < dim; i++)
	{
		float		value = elem == VK_ELEM_FLOAT2 ? vk_half_to_float(((VkHalf *) first)[i]) : ((float *) first)[i];

		if (!isfinite(value))
			abort();
		at += sprintf(at, "%c%.9g", i == 0 ? '[' : ',', value);
	}
	strcpy(at, "]");
	if (!vk_text_read_dense(copy, elem, dim, second, &again, &error) ||
		again != dim || memcmp(first, second, width * (size_t) dim) != 0)
		abort();
	free(copy);
}

static void
fuzz_sparse(const char *literal, size_t len, int typmod)
{
	static VkSparseItem first[VK_SPARSE_MAX_NNZ];
	static VkSparseItem second[VK_SPARSE_MAX_NNZ];
	VkReadError error;
	char	   *copy;
	char	   *at;
	int			dim;
	int			nnz;
	int			again_dim;
	int			again_nnz;

	if (!vk_text_read_sparse(literal, typmod, first, &nnz, &dim, &error))
	{
		check_error(literal, len, &error);
		return;
	}
	if (dim < 1 || dim > VK_SPARSE_MAX_DIM || (typmod != -1 && dim != typmod) || nnz < 0 || nnz > VK_SPARSE_MAX_NNZ)
		abort();
	at = copy = malloc((size_t) nnz * 36 + 16);
	*at++ = '{';
	for (int i = 0; i < nnz; i++)
	{
		if (first[i].index < 0 || first[i].index >= dim || (i > 0 && first[i].index <= first[i - 1].index) ||
			!isfinite(first[i].value) || first[i].value == 0)
			abort();
		at += sprintf(at, "%s%d:%.9g", i == 0 ? "" : ",", first[i].index + 1, first[i].value);
	}
	sprintf(at, "}/%d", dim);
	if (!vk_text_read_sparse(copy, dim, second, &again_nnz, &again_dim, &error) ||
		again_nnz != nnz || again_dim != dim || memcmp(first, second, sizeof(first[0]) * (size_t) nnz) != 0)
		abort();
	free(copy);
}

int			LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char	   *literal;
	size_t		len;
	int			typmod;
	VkElem		elem;

	if (size < 2)
		return 0;
	elem = (VkElem) (data[0] % 3);
	typmod = data[1] % 8 == 0 ? data[1] / 8 + 1 : -1;
	literal = malloc(size - 1);
	memcpy(literal, data + 2, size - 2);
	literal[size - 2] = '\0';
	len = strlen(literal);
	if (elem == VK_ELEM_SPARSE)
		fuzz_sparse(literal, len, typmod);
	else
		fuzz_dense(literal, len, elem, typmod);
	free(literal);
	return 0;
}
