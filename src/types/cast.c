/*-------------------------------------------------------------------------
 *
 * cast.c
 *	  Casts from and to arrays, and between the vector types.
 *
 * Each takes (value, typmod, explicit), as CREATE CAST has it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupmacs.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "types/dense.h"

static void
reject_nulls(ArrayType *array)
{
	const bits8 *present = ARR_NULLBITMAP(array);
	int			count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	for (int i = 0; present != NULL && i < count; i++)
		if (!(present[i / BITS_PER_BYTE] & (1 << i % BITS_PER_BYTE)))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("array must not contain nulls"),
					 errdetail("Element %d is null.", i + 1)));
}

/* numeric_float4() names a value that is out of range, this says where it was. */
static void
numeric_error_context(void *element)
{
	errcontext("element %d of the array", *(int *) element + 1);
}

static void
read_numerics(const char *data, float *elements, int count)
{
	int			i;
	ErrorContextCallback context = {error_context_stack, numeric_error_context, &i};

	error_context_stack = &context;
	for (i = 0; i < count; i++)
	{
		elements[i] = DatumGetFloat4(DirectFunctionCall1(numeric_float4, PointerGetDatum(data)));
		data = att_addlength_pointer(data, -1, data);
		data = (const char *) att_align_nominal(data, TYPALIGN_INT);
	}
	error_context_stack = context.previous;
}

/*
 * The elements of a one-dimensional array of numbers as floats, of which there
 * are a number that elem and typmod allow.
 */
static float *
array_elements(ArrayType *array, VkElem elem, int32 typmod, int *count)
{
	Oid			type = ARR_ELEMTYPE(array);
	const char *data;
	float	   *elements;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("array must be 1-D"),
				 errdetail("The array has %d dimensions.", ARR_NDIM(array))));
	reject_nulls(array);
	*count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	vk_check_dim(elem, *count);
	vk_check_typmod(elem, *count, typmod);

	data = ARR_DATA_PTR(array);
	elements = palloc(sizeof(float) * *count);
	switch (type)
	{
		case INT4OID:
			for (int i = 0; i < *count; i++)
				elements[i] = (float) ((const int32 *) data)[i];
			break;
		case FLOAT4OID:
			memcpy(elements, data, sizeof(float) * *count);
			break;
		case FLOAT8OID:
			for (int i = 0; i < *count; i++)
				elements[i] = (float) ((const double *) data)[i];
			break;
		case NUMERICOID:
			read_numerics(data, elements, *count);
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("unsupported array type"),
					 errdetail("Arrays of integer, real, double precision and numeric are supported.")));
	}
	return elements;
}

static pg_attribute_always_inline Datum
dense_from_array(FunctionCallInfo fcinfo, VkElem elem)
{
	int			dim;
	float	   *elements = array_elements(PG_GETARG_ARRAYTYPE_P(0), elem, PG_GETARG_INT32(1), &dim);
	VkVector   *result = vk_dense_alloc(elem, dim);

	for (int i = 0; i < dim; i++)
		vk_dense_put_checked(elem, result, i, elements[i]);
	PG_RETURN_POINTER(result);
}

static pg_attribute_always_inline Datum
dense_to_float4(FunctionCallInfo fcinfo, VkElem elem)
{
	VkVector   *vec = PG_GETARG_VKVECTOR_P(0);
	size_t		size = ARR_OVERHEAD_NONULLS(1) + sizeof(float4) * vec->dim;
	ArrayType  *result = palloc0(size);
	float4	   *elements;

	SET_VARSIZE(result, size);
	result->ndim = 1;
	result->elemtype = FLOAT4OID;
	ARR_DIMS(result)[0] = vec->dim;
	ARR_LBOUND(result)[0] = 1;
	elements = (float4 *) ARR_DATA_PTR(result);
	for (int i = 0; i < vec->dim; i++)
		elements[i] = vk_dense_get(elem, vec, i);
	PG_RETURN_ARRAYTYPE_P(result);
}

/* A sparsevec of those of dim elements that are not zero. */
static VkSparsevec *
sparse_from_elements(const float *elements, int dim)
{
	VkSparsevec *result;
	int			nnz = 0;
	int			next = 0;

	for (int i = 0; i < dim; i++)
	{
		vk_check_finite(VK_ELEM_SPARSE, elements[i], i);
		nnz += elements[i] != 0;
	}
	vk_check_nnz(nnz, dim);
	result = vk_sparsevec_alloc(dim, nnz);
	for (int i = 0; i < dim; i++)
	{
		if (elements[i] == 0)
			continue;
		result->indices[next] = i;
		VK_SPARSEVEC_VALUES(result)[next] = elements[i];
		next++;
	}
	return result;
}

static pg_attribute_always_inline Datum
dense_to_sparsevec(FunctionCallInfo fcinfo, VkElem elem)
{
	VkVector   *vec = PG_GETARG_VKVECTOR_P(0);
	float		elements[VK_MAX_DIM];

	vk_check_typmod(VK_ELEM_SPARSE, vec->dim, PG_GETARG_INT32(1));
	for (int i = 0; i < vec->dim; i++)
		elements[i] = vk_dense_get(elem, vec, i);
	PG_RETURN_POINTER(sparse_from_elements(elements, vec->dim));
}

static pg_attribute_always_inline Datum
dense_from_sparsevec(FunctionCallInfo fcinfo, VkElem elem)
{
	VkSparsevec *vec = PG_GETARG_VKSPARSEVEC_P(0);
	const float *values = VK_SPARSEVEC_VALUES(vec);
	VkVector   *result;

	vk_check_dim(elem, vec->dim);
	vk_check_typmod(elem, vec->dim, PG_GETARG_INT32(1));
	result = vk_dense_alloc(elem, vec->dim);
	for (int i = 0; i < vec->nnz; i++)
	{
		if (elem == VK_ELEM_FLOAT2)
			((VkHalf *) result->x)[vec->indices[i]] = vk_narrow_half(values[i], vec->indices[i]);
		else
			vk_dense_put(elem, result, vec->indices[i], values[i]);
	}
	PG_RETURN_POINTER(result);
}

/* From the other dense type: halfvec_to_vector and vector_to_halfvec. */
static pg_attribute_always_inline Datum
dense_convert(FunctionCallInfo fcinfo, VkElem from, VkElem to)
{
	VkVector   *vec = PG_GETARG_VKVECTOR_P(0);
	VkVector   *result;

	vk_check_typmod(to, vec->dim, PG_GETARG_INT32(1));
	result = vk_dense_alloc(to, vec->dim);
	for (int i = 0; i < vec->dim; i++)
		vk_dense_put_checked(to, result, i, vk_dense_get(from, vec, i));
	PG_RETURN_POINTER(result);
}

PG_FUNCTION_INFO_V1(vk_vector_to_halfvec);
Datum
vk_vector_to_halfvec(PG_FUNCTION_ARGS)
{
	return dense_convert(fcinfo, VK_ELEM_FLOAT4, VK_ELEM_FLOAT2);
}

PG_FUNCTION_INFO_V1(vk_halfvec_to_vector);
Datum
vk_halfvec_to_vector(PG_FUNCTION_ARGS)
{
	return dense_convert(fcinfo, VK_ELEM_FLOAT2, VK_ELEM_FLOAT4);
}

PG_FUNCTION_INFO_V1(vk_sparsevec_from_array);
Datum
vk_sparsevec_from_array(PG_FUNCTION_ARGS)
{
	int			dim;
	float	   *elements = array_elements(PG_GETARG_ARRAYTYPE_P(0), VK_ELEM_SPARSE,
										  PG_GETARG_INT32(1), &dim);

	PG_RETURN_POINTER(sparse_from_elements(elements, dim));
}

#define VK_DENSE_ELEM(id, name, ctype, widen, narrow) \
	VK_DENSE_FUNCTION(name, id, from_array) \
	VK_DENSE_FUNCTION(name, id, to_float4) \
	VK_DENSE_FUNCTION(name, id, to_sparsevec) \
	VK_DENSE_FUNCTION(name, id, from_sparsevec)
#include "types/elem.def"
