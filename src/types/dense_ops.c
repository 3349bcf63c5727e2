/*-------------------------------------------------------------------------
 *
 * dense_ops.c
 *	  Arithmetic and functions of the dense types.
 *
 * Results are computed in float (norms: in double) and rounded once.  For
 * halfs that equals half-precision arithmetic: a float has more than twice the
 * bits of a half, and two more, so that rounding twice changes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/varbit.h"

#include "types/dense.h"

typedef enum ArithOp
{
	ARITH_ADD,
	ARITH_SUB,
	ARITH_MUL
} ArithOp;

static pg_attribute_always_inline float
arith(ArithOp op, float left, float right)
{
	switch (op)
	{
		case ARITH_ADD:
			return left + right;
		case ARITH_SUB:
			return left - right;
		case ARITH_MUL:
			return left * right;
	}
	pg_unreachable();
}

/*
 * Element by element.  The loop that computes only notes whether something
 * went wrong, so that it is vectorized; a second one finds the element.
 */
static pg_attribute_always_inline Datum
dense_arith(FunctionCallInfo fcinfo, VkElem elem, ArithOp op)
{
	VkVector   *left = PG_GETARG_VKVECTOR_P(0);
	VkVector   *right = PG_GETARG_VKVECTOR_P(1);
	VkVector   *result;
	bool		wrong = false;

	vk_check_same_dim(elem, left->dim, right->dim);
	result = vk_dense_alloc(elem, left->dim);
	for (int i = 0; i < left->dim; i++)
	{
		float		a = vk_dense_get(elem, left, i);
		float		b = vk_dense_get(elem, right, i);
		float		value;

		vk_dense_put(elem, result, i, arith(op, a, b));
		value = vk_dense_get(elem, result, i);
		wrong |= !vk_float_is_finite(value);
		wrong |= op == ARITH_MUL && value == 0 && a != 0 && b != 0;
	}
	for (int i = 0; unlikely(wrong) && i < left->dim; i++)
	{
		if (!vk_float_is_finite(vk_dense_get(elem, result, i)))
			vk_report_overflow(i);
		if (op == ARITH_MUL && vk_dense_get(elem, result, i) == 0 &&
			vk_dense_get(elem, left, i) != 0 && vk_dense_get(elem, right, i) != 0)
			vk_report_underflow(i);
	}
	PG_RETURN_POINTER(result);
}

static pg_attribute_always_inline Datum
dense_add(FunctionCallInfo fcinfo, VkElem elem)
{
	return dense_arith(fcinfo, elem, ARITH_ADD);
}

static pg_attribute_always_inline Datum
dense_sub(FunctionCallInfo fcinfo, VkElem elem)
{
	return dense_arith(fcinfo, elem, ARITH_SUB);
}

static pg_attribute_always_inline Datum
dense_mul(FunctionCallInfo fcinfo, VkElem elem)
{
	return dense_arith(fcinfo, elem, ARITH_MUL);
}

static pg_attribute_always_inline Datum
dense_concat(FunctionCallInfo fcinfo, VkElem elem)
{
	VkVector   *left = PG_GETARG_VKVECTOR_P(0);
	VkVector   *right = PG_GETARG_VKVECTOR_P(1);
	int			dim = left->dim + right->dim;
	size_t		left_bytes = vk_dense_width(elem) * left->dim;
	VkVector   *result;

	vk_check_dim(elem, dim);
	result = vk_dense_alloc(elem, dim);
	memcpy(result->x, left->x, left_bytes);
	memcpy((char *) result->x + left_bytes, right->x, vk_dense_width(elem) * right->dim);
	PG_RETURN_POINTER(result);
}

static pg_attribute_always_inline Datum
dense_dims(FunctionCallInfo fcinfo, VkElem elem)
{
	PG_RETURN_INT32(PG_GETARG_VKVECTOR_P(0)->dim);
}

/*
 * The Euclidean length.  Four sums, as one would wait for each addition; they
 * are taken together in one fixed order, so the result is always the same.
 */
static pg_attribute_always_inline double
norm(VkElem elem, const VkVector *vec)
{
	double		sums[4] = {0};
	int			i = 0;

	for (; i + 4 <= vec->dim; i += 4)
		for (int lane = 0; lane < 4; lane++)
		{
			double		value = vk_dense_get(elem, vec, i + lane);

			sums[lane] += value * value;
		}
	for (int lane = 0; i + lane < vec->dim; lane++)
	{
		double		value = vk_dense_get(elem, vec, i + lane);

		sums[lane] += value * value;
	}
	return sqrt((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

static pg_attribute_always_inline Datum
dense_norm(FunctionCallInfo fcinfo, VkElem elem)
{
	PG_RETURN_FLOAT8(norm(elem, PG_GETARG_VKVECTOR_P(0)));
}

/* The vector of length 1 in the same direction; of a zero vector a zero vector. */
static pg_attribute_always_inline Datum
dense_normalize(FunctionCallInfo fcinfo, VkElem elem)
{
	VkVector   *vec = PG_GETARG_VKVECTOR_P(0);
	VkVector   *result = vk_dense_alloc(elem, vec->dim);
	double		length = norm(elem, vec);

	for (int i = 0; length > 0 && i < vec->dim; i++)
	{
		vk_dense_put(elem, result, i, (float) (vk_dense_get(elem, vec, i) / length));
		if (!vk_float_is_finite(vk_dense_get(elem, result, i)))
			vk_report_overflow(i);
	}
	PG_RETURN_POINTER(result);
}

/* Bit i is 1 where element i is positive; the first element is the highest bit. */
static pg_attribute_always_inline Datum
dense_quantize(FunctionCallInfo fcinfo, VkElem elem)
{
	VkVector   *vec = PG_GETARG_VKVECTOR_P(0);
	VarBit	   *result = palloc0(VARBITTOTALLEN(vec->dim));
	bits8	   *bits = VARBITS(result);

	SET_VARSIZE(result, VARBITTOTALLEN(vec->dim));
	VARBITLEN(result) = vec->dim;
	for (int i = 0; i < vec->dim; i++)
		bits[i / BITS_PER_BYTE] |= (vk_dense_get(elem, vec, i) > 0) << (BITS_PER_BYTE - 1 - i % BITS_PER_BYTE);
	PG_RETURN_VARBIT_P(result);
}

/* count elements from start (from 1), as substring() cuts: less at the ends. */
static pg_attribute_always_inline Datum
dense_subvector(FunctionCallInfo fcinfo, VkElem elem)
{
	VkVector   *vec = PG_GETARG_VKVECTOR_P(0);
	int64		start = PG_GETARG_INT32(1);
	int64		end = start + PG_GETARG_INT32(2);
	VkVector   *result;
	int			dim;

	start = Max(start, 1);
	end = Min(end, (int64) vec->dim + 1);
	dim = (int) Max(end - start, 0);
	vk_check_dim(elem, dim);
	result = vk_dense_alloc(elem, dim);
	memcpy(result->x, (char *) vec->x + vk_dense_width(elem) * (start - 1), vk_dense_width(elem) * dim);
	PG_RETURN_POINTER(result);
}

#define VK_DENSE_ELEM(id, name, ctype, widen, narrow) \
	VK_DENSE_FUNCTION(name, id, add) \
	VK_DENSE_FUNCTION(name, id, sub) \
	VK_DENSE_FUNCTION(name, id, mul) \
	VK_DENSE_FUNCTION(name, id, concat) \
	VK_DENSE_FUNCTION(name, id, dims) \
	VK_DENSE_FUNCTION(name, id, norm) \
	VK_DENSE_FUNCTION(name, id, normalize) \
	VK_DENSE_FUNCTION(name, id, quantize) \
	VK_DENSE_FUNCTION(name, id, subvector)
#include "types/elem.def"
