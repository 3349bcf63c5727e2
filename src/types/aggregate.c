/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *	  avg() of the dense types; sum() needs only their addition.
 *
 * The state is a float8[]: the number of rows, then the sum of each element;
 * before the first row the array is {0}.  It is a plain array so that workers
 * of a parallel aggregate can pass it on without serialization.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"

#include "types/dense.h"

/* These functions may be called by hand, with any array. */
static float8 *
state_elements(ArrayType *state, VkElem elem, const char *verb, int *dim)
{
	if (ARR_NDIM(state) != 1 || ARR_DIMS(state)[0] < 1 ||
		ARR_HASNULL(state) || ARR_ELEMTYPE(state) != FLOAT8OID)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("%s_%s: expected state array", vk_elem_name(elem), verb),
				 errdetail("The state of avg is an array of the number of rows and the sum of each element.")));
	*dim = ARR_DIMS(state)[0] - 1;
	return (float8 *) ARR_DATA_PTR(state);
}

/* No rows yet.  The sums are -0, to which every number adds up to itself. */
static ArrayType *
new_state(int dim)
{
	size_t		size = ARR_OVERHEAD_NONULLS(1) + sizeof(float8) * (dim + 1);
	ArrayType  *state = palloc0(size);
	float8	   *sums;

	SET_VARSIZE(state, size);
	state->ndim = 1;
	state->elemtype = FLOAT8OID;
	ARR_DIMS(state)[0] = dim + 1;
	ARR_LBOUND(state)[0] = 1;
	sums = (float8 *) ARR_DATA_PTR(state);
	for (int i = 0; i < dim; i++)
		sums[i + 1] = -0.0;
	return state;
}

/*
 * The state to add to: the one given when it belongs to a running aggregate,
 * which lets us change it, else a copy.  Of an empty one, a zero state.
 */
static float8 *
writable_state(FunctionCallInfo fcinfo, VkElem elem, const char *verb, int dim,
			   ArrayType **state)
{
	int			state_dim;
	float8	   *sums;

	*state = PG_GETARG_ARRAYTYPE_P(0);
	sums = state_elements(*state, elem, verb, &state_dim);
	if (state_dim == 0)
	{
		*state = new_state(dim);
		return (float8 *) ARR_DATA_PTR(*state);
	}
	vk_check_typmod(elem, dim, state_dim);
	if (AggCheckCallContext(fcinfo, NULL))
		return sums;
	*state = PG_GETARG_ARRAYTYPE_P_COPY(0);
	return (float8 *) ARR_DATA_PTR(*state);
}

static inline void
add_to_sum(float8 *sums, int i, float8 value)
{
	sums[i + 1] += value;
	if (unlikely(isinf(sums[i + 1])))
		vk_report_overflow(i);
}

static pg_attribute_always_inline Datum
dense_accum(FunctionCallInfo fcinfo, VkElem elem)
{
	VkVector   *vec = PG_GETARG_VKVECTOR_P(1);
	ArrayType  *state;
	float8	   *sums = writable_state(fcinfo, elem, "accum", vec->dim, &state);

	sums[0] += 1;
	for (int i = 0; i < vec->dim; i++)
		add_to_sum(sums, i, vk_dense_get(elem, vec, i));
	PG_RETURN_ARRAYTYPE_P(state);
}

/* Adds the state of one worker to that of another. */
static pg_attribute_always_inline Datum
dense_combine(FunctionCallInfo fcinfo, VkElem elem)
{
	ArrayType  *other = PG_GETARG_ARRAYTYPE_P(1);
	int			dim;
	float8	   *added = state_elements(other, elem, "combine", &dim);
	ArrayType  *state;
	float8	   *sums;

	if (dim == 0)
	{
		(void) state_elements(PG_GETARG_ARRAYTYPE_P(0), elem, "combine", &dim);
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	sums = writable_state(fcinfo, elem, "combine", dim, &state);
	sums[0] += added[0];
	for (int i = 0; i < dim; i++)
		add_to_sum(sums, i, added[i + 1]);
	PG_RETURN_ARRAYTYPE_P(state);
}

/* The mean; NULL when there were no rows. */
static pg_attribute_always_inline Datum
dense_avg(FunctionCallInfo fcinfo, VkElem elem)
{
	int			dim;
	float8	   *sums = state_elements(PG_GETARG_ARRAYTYPE_P(0), elem, "avg", &dim);
	VkVector   *result;

	if (sums[0] == 0)
		PG_RETURN_NULL();
	vk_check_dim(elem, dim);
	result = vk_dense_alloc(elem, dim);
	for (int i = 0; i < dim; i++)
		vk_dense_put_checked(elem, result, i, (float) (sums[i + 1] / sums[0]));
	PG_RETURN_POINTER(result);
}

#define VK_DENSE_ELEM(id, name, ctype, widen, narrow) \
	VK_DENSE_FUNCTION(name, id, accum) \
	VK_DENSE_FUNCTION(name, id, combine) \
	VK_DENSE_FUNCTION(name, id, avg)
#include "types/elem.def"
