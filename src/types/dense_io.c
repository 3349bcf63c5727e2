/*-------------------------------------------------------------------------
 *
 * dense_io.c
 *	  Text and binary I/O, type modifier, and length coercion of the dense
 *	  types.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/shortest_dec.h"
#include "libpq/pqformat.h"
#include "utils/array.h"

#include "types/dense.h"
#include "types/textio.h"
#include "types/typmod.h"
#include "types/wire.h"

static pg_attribute_always_inline Datum
dense_in(FunctionCallInfo fcinfo, VkElem elem)
{
	char	   *literal = PG_GETARG_CSTRING(0);
	int32		typmod = PG_GETARG_INT32(2);
	float		elements[VK_MAX_DIM];
	VkVector   *result;
	VkReadError error;
	int			dim;

	if (!vk_text_read_dense(literal, elem, typmod, elements, &dim, &error))
		return vk_report_text(&error, elem, literal, (Node *) fcinfo->context);
	result = vk_dense_alloc(elem, dim);
	memcpy(result->x, elements, vk_dense_width(elem) * dim);
	PG_RETURN_POINTER(result);
}

/* The shortest decimals that read back as the same floats. */
static pg_attribute_always_inline Datum
dense_out(FunctionCallInfo fcinfo, VkElem elem)
{
	VkVector   *vec = PG_GETARG_VKVECTOR_P(0);
	char	   *literal = palloc((size_t) FLOAT_SHORTEST_DECIMAL_LEN * vec->dim + 3);
	char	   *at = literal;

	for (int i = 0; i < vec->dim; i++)
	{
		*at++ = i == 0 ? '[' : ',';
		at += float_to_shortest_decimal_bufn(vk_dense_get(elem, vec, i), at);
	}
	*at++ = ']';
	*at = '\0';
	PG_RETURN_CSTRING(literal);
}

static pg_attribute_always_inline Datum
dense_typmod_in(FunctionCallInfo fcinfo, VkElem elem)
{
	PG_RETURN_INT32(vk_typmod_read(PG_GETARG_ARRAYTYPE_P(0), elem, VK_MAX_DIM));
}

static pg_attribute_always_inline Datum
dense_recv(FunctionCallInfo fcinfo, VkElem elem)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int32		typmod = PG_GETARG_INT32(2);
	const unsigned char *data = (const unsigned char *) buf->data + buf->cursor;
	VkVector   *result;
	VkReadError error;
	int			dim;

	if (!vk_wire_dense_header(data, buf->len - buf->cursor, elem, typmod, &dim, &error))
		vk_report_wire(&error, elem);
	result = vk_dense_alloc(elem, dim);
	if (!vk_wire_dense_body(data, elem, dim, result->x, &error))
		vk_report_wire(&error, elem);
	buf->cursor += vk_wire_dense_size(elem, dim);
	PG_RETURN_POINTER(result);
}

static pg_attribute_always_inline Datum
dense_send(FunctionCallInfo fcinfo, VkElem elem)
{
	VkVector   *vec = PG_GETARG_VKVECTOR_P(0);
	StringInfoData buf;

	pq_begintypsend(&buf);
	enlargeStringInfo(&buf, vk_wire_dense_size(elem, vec->dim));
	pq_writeint16(&buf, vec->dim);
	pq_writeint16(&buf, vec->unused);
	for (int i = 0; i < vec->dim; i++)
	{
		if (vk_dense_width(elem) == sizeof(VkHalf))
			pq_writeint16(&buf, ((VkHalf *) vec->x)[i]);
		else
			pq_writeint32(&buf, vk_float_bits(vec->x[i]));
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* Length coercion: vector(vector, typmod, explicit) and the like. */
static pg_attribute_always_inline Datum
dense_coerce(FunctionCallInfo fcinfo, VkElem elem)
{
	VkVector   *vec = PG_GETARG_VKVECTOR_P(0);

	vk_check_typmod(elem, vec->dim, PG_GETARG_INT32(1));
	PG_RETURN_POINTER(vec);
}

#define VK_DENSE_ELEM(id, name, ctype, widen, narrow) \
	VK_DENSE_FUNCTION(name, id, in) \
	VK_DENSE_FUNCTION(name, id, out) \
	VK_DENSE_FUNCTION(name, id, typmod_in) \
	VK_DENSE_FUNCTION(name, id, recv) \
	VK_DENSE_FUNCTION(name, id, send) \
	VK_DENSE_FUNCTION(name, id, coerce)
#include "types/elem.def"
