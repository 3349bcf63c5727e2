/*-------------------------------------------------------------------------
 *
 * sparse_io.c
 *	  Text and binary I/O, type modifier, and length coercion of sparsevec.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/shortest_dec.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"

#include "types/report.h"
#include "types/textio.h"
#include "types/typmod.h"
#include "types/wire.h"

/* Bytes of an int32 in decimal, with its sign. */
#define INT32_DECIMAL_LEN	11

PG_FUNCTION_INFO_V1(vk_sparsevec_in);
Datum
vk_sparsevec_in(PG_FUNCTION_ARGS)
{
	char	   *literal = PG_GETARG_CSTRING(0);
	int32		typmod = PG_GETARG_INT32(2);
	VkSparseItem items[VK_SPARSE_MAX_NNZ];
	VkSparsevec *result;
	float	   *values;
	VkReadError error;
	int			dim;
	int			nnz;

	if (!vk_text_read_sparse(literal, typmod, items, &nnz, &dim, &error))
		return vk_report_text(&error, VK_ELEM_SPARSE, literal, (Node *) fcinfo->context);
	result = vk_sparsevec_alloc(dim, nnz);
	values = VK_SPARSEVEC_VALUES(result);
	for (int i = 0; i < nnz; i++)
	{
		result->indices[i] = items[i].index;
		values[i] = items[i].value;
	}
	PG_RETURN_POINTER(result);
}

PG_FUNCTION_INFO_V1(vk_sparsevec_out);
Datum
vk_sparsevec_out(PG_FUNCTION_ARGS)
{
	VkSparsevec *vec = PG_GETARG_VKSPARSEVEC_P(0);
	const float *values = VK_SPARSEVEC_VALUES(vec);
	size_t		per_item = INT32_DECIMAL_LEN + FLOAT_SHORTEST_DECIMAL_LEN + 2;
	char	   *literal = palloc(per_item * vec->nnz + INT32_DECIMAL_LEN + 4);
	char	   *at = literal;

	*at++ = '{';
	for (int i = 0; i < vec->nnz; i++)
	{
		if (i > 0)
			*at++ = ',';
		at += pg_ltoa(vec->indices[i] + 1, at);
		*at++ = ':';
		at += float_to_shortest_decimal_bufn(values[i], at);
	}
	*at++ = '}';
	*at++ = '/';
	at += pg_ltoa(vec->dim, at);
	*at = '\0';
	PG_RETURN_CSTRING(literal);
}

PG_FUNCTION_INFO_V1(vk_sparsevec_typmod_in);
Datum
vk_sparsevec_typmod_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(vk_typmod_read(PG_GETARG_ARRAYTYPE_P(0), VK_ELEM_SPARSE, VK_SPARSE_MAX_DIM));
}

PG_FUNCTION_INFO_V1(vk_sparsevec_recv);
Datum
vk_sparsevec_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int32		typmod = PG_GETARG_INT32(2);
	const unsigned char *data = (const unsigned char *) buf->data + buf->cursor;
	VkSparsevec *result;
	VkReadError error;
	int			dim;
	int			nnz;

	if (!vk_wire_sparse_header(data, buf->len - buf->cursor, typmod, &dim, &nnz, &error))
		vk_report_wire(&error, VK_ELEM_SPARSE);
	result = vk_sparsevec_alloc(dim, nnz);
	if (!vk_wire_sparse_body(data, dim, nnz, result->indices, VK_SPARSEVEC_VALUES(result), &error))
		vk_report_wire(&error, VK_ELEM_SPARSE);
	buf->cursor += vk_wire_sparse_size(nnz);
	PG_RETURN_POINTER(result);
}

PG_FUNCTION_INFO_V1(vk_sparsevec_send);
Datum
vk_sparsevec_send(PG_FUNCTION_ARGS)
{
	VkSparsevec *vec = PG_GETARG_VKSPARSEVEC_P(0);
	const float *values = VK_SPARSEVEC_VALUES(vec);
	StringInfoData buf;

	pq_begintypsend(&buf);
	enlargeStringInfo(&buf, vk_wire_sparse_size(vec->nnz));
	pq_writeint32(&buf, vec->dim);
	pq_writeint32(&buf, vec->nnz);
	pq_writeint32(&buf, vec->unused);
	for (int i = 0; i < vec->nnz; i++)
		pq_writeint32(&buf, vec->indices[i]);
	for (int i = 0; i < vec->nnz; i++)
		pq_writeint32(&buf, vk_float_bits(values[i]));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* Length coercion: sparsevec(sparsevec, typmod, explicit). */
PG_FUNCTION_INFO_V1(vk_sparsevec_coerce);
Datum
vk_sparsevec_coerce(PG_FUNCTION_ARGS)
{
	VkSparsevec *vec = PG_GETARG_VKSPARSEVEC_P(0);

	vk_check_typmod(VK_ELEM_SPARSE, vec->dim, PG_GETARG_INT32(1));
	PG_RETURN_POINTER(vec);
}
